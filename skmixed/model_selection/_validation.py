"""What a cross-validation has found: scores by split, and the question that they answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from skmixed._typing import FloatArray
from skmixed.inference._tables.table import ResultTable


class Validation(dict[str, Any]):
    """Scores of a cross-validation.

    A dict with the keys of `sklearn.model_selection.cross_validate`, or, with candidates, of
    ``GridSearchCV.cv_results_``.

    Parameters
    ----------
    found : dict
        The scores.
    question : str
        Which question the splits ask, in words: whether the groups of the predicted rows were
        in the training rows.
    how : str
        How the fits were made, in words.

    Attributes
    ----------
    question, how : str
        As given.

    See Also
    --------
    cross_validate : Makes it.

    Examples
    --------
    >>> from sklearn.model_selection import GroupKFold
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import cross_validate
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> found = cross_validate(model, X, y, cv=GroupKFold(6), scoring=["r2"])
    >>> print(found.question)
    new groups of 'Subject'
    >>> found["test_r2"].round(2)
    array([ 0.38,  0.49,  0.13, -1.26,  0.09,  0.27])
    """

    def __init__(self, found: dict[str, Any], question: str, how: str) -> None:
        super().__init__(found)
        self.question = question
        self.how = how

    def summary(self) -> ResultTable:
        """Return the mean and the standard deviation of each score over the splits.

        Returns
        -------
        ResultTable
            A row for each score, or with candidates for each of them, and columns ``mean``
            and ``sd`` of each score, with candidates also ``rank``. ``attrs["question"]``
            says what was asked.

        Examples
        --------
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_orthodont
        >>> from skmixed.model_selection import cross_validate
        >>> X, y = load_orthodont(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", fixed=["age"])
        >>> found = cross_validate(model, X, y, scoring=["neg_mean_absolute_error"])
        >>> found.summary().round(2)
                                 mean   sd
        neg_mean_absolute_error -1.91  0.7
        """
        if "params" in self:
            names = [k.removeprefix("mean_test_") for k in self if k.startswith("mean_test_")]
            keys = {"mean": "mean", "sd": "std", "rank": "rank"}
            columns = {
                (name, part): self[f"{key}_test_{name}"]
                for name in names
                for part, key in keys.items()
            }
            index = pd.Index([shown(own) for own in self["params"]], name="candidate")
            out = pd.DataFrame(columns, index=index)
        else:
            names = [k.removeprefix("test_") for k in self if k.startswith("test_")]
            scores = [self[f"test_{name}"] for name in names]
            mean, sd = [np.mean(own) for own in scores], [_sd(own) for own in scores]
            out = pd.DataFrame({"mean": mean, "sd": sd}, index=names)
        table = ResultTable.of(out, f"Cross-validation of {self.question}", [f"{self.how}."])
        table.attrs["question"] = self.question
        return table

    def __repr__(self) -> str:
        table = self.summary().to_string(float_format=lambda value: f"{value:.3f}")
        return f"Cross-validation of {self.question}; {self.how}\n{table}"


def shown(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items()) or "as given"


def _sd(scores: FloatArray) -> Any:
    """Return the standard deviation over splits; NaN where a score is infinite."""
    with np.errstate(invalid="ignore"):
        return scores.std(axis=-1)


def of_one(
    scores: dict[str, FloatArray], seconds: FloatArray, scored: FloatArray
) -> dict[str, Any]:
    """Return scores (1, K) of one model as scikit-learn's cross_validate does."""
    found: dict[str, Any] = {"fit_time": seconds[0], "score_time": scored[0]}
    return found | {f"test_{name}": own[0] for name, own in scores.items()}


def of_grid(
    params: Sequence[dict[str, Any]],
    scores: dict[str, FloatArray],
    seconds: FloatArray,
    scored: FloatArray,
) -> dict[str, Any]:
    """Return scores (C, K) of candidates as GridSearchCV's cv_results_ do."""
    found: dict[str, Any] = {}
    for name, own in (("fit_time", seconds), ("score_time", scored)):
        found |= {f"mean_{name}": own.mean(axis=1), f"std_{name}": own.std(axis=1)}
    for name in dict.fromkeys(name for own in params for name in own):
        column = np.ma.masked_array(np.empty(len(params), dtype=object), mask=True)
        for k, own_params in enumerate(params):
            if name in own_params:
                column[k] = own_params[name]
        found[f"param_{name}"] = column
    found["params"] = list(params)
    for name, own in scores.items():
        found |= {f"split{k}_test_{name}": own[:, k] for k in range(own.shape[1])}
        mean = own.mean(axis=1)
        found |= {f"mean_test_{name}": mean, f"std_test_{name}": _sd(own)}
        found[f"rank_test_{name}"] = ranks(mean)
    return found


def ranks(scores: FloatArray) -> NDArray[np.int32]:
    """Return 1 for the highest score; all NaN are last, as in scikit-learn, also behind −∞."""
    has_none = np.isnan(scores)
    out = np.full(len(scores), 1 + np.count_nonzero(~has_none), dtype=np.int32)
    out[~has_none] = rankdata(-scores[~has_none], method="min")
    return out
