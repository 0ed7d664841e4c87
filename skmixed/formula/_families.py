"""Families of generalized models by a formula: their names, links, estimators and responses."""

import warnings
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from skmixed._data.labels import ColumnLevels, learn_levels
from skmixed._data.table import check_unmasked, numeric_column
from skmixed._fitted.checks import check_choice
from skmixed._fitted.messages import FORMULA, speaking
from skmixed._generalized_estimators.classifying import log_odds
from skmixed._generalized_estimators.counts import (
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
)
from skmixed._generalized_estimators.means import MixedBinomialRegressor, MixedGammaRegressor
from skmixed._generalized_estimators.predicting import linear_rows
from skmixed._model.family import FAMILIES
from skmixed._typing import FloatArray
from skmixed.exceptions import UnknownLevelsWarning
from skmixed.formula._columns import kind_of
from skmixed.formula._syntax import ParsedFormula, error_at, place_of
from skmixed.typing import Effects, Family, GlmerFamily, Include

BINOMIAL = "binomial"
# The estimator of each family.
REGRESSORS: dict[str, Any] = {
    BINOMIAL: MixedBinomialRegressor,
    "poisson": MixedPoissonRegressor,
    "negative_binomial": MixedNegativeBinomialRegressor,
    "gamma": MixedGammaRegressor,
}
# What R's words for families are here.
FAMILIES_OF_R: dict[GlmerFamily, Family] = {
    "binomial": "binomial",
    "poisson": "poisson",
    "negative_binomial": "negative_binomial",
    "gamma": "gamma",
    "nbinom2": "negative_binomial",
    "Gamma": "gamma",
}
# What other words stand for, beside those that are nearly right.
MEANT = {
    **dict.fromkeys(("logistic", "bernoulli", "logit", "probit", "cloglog", "binary"), BINOMIAL),
    **dict.fromkeys(("quasibinomial", "betabinomial"), BINOMIAL),
    **dict.fromkeys(("nbinom", "nbinom1", "nbinom2", "negbin", "nb"), "negative_binomial"),
    **dict.fromkeys(("count", "counts", "quasipoisson"), "poisson"),
}
NORMAL = dict.fromkeys(("gaussian", "normal", "linear"), "For a normal response use skmixed.lmer.")
CLASS_LABELS = 2


def check_family(family: Any, known: Collection[str]) -> None:
    """Refuse a family that is not among those known, with what it may be meant for."""
    check_choice("family", family, known, MEANT, NORMAL)


def check_generalized(parameters: Any) -> None:
    """Refuse a distribution, or a link, that is not there."""
    family, link = parameters.family, parameters.link
    if family is None:
        if link is not None or parameters.quadrature != 1:
            raise ValueError(
                f"link={link!r} and quadrature={parameters.quadrature!r} belong to a generalized "
                "model. Give its family, such as family='binomial'."
            )
        return
    check_family(family, REGRESSORS)
    links = [own for name, own in FAMILIES if name == family]
    if link is not None and link not in links:
        listed = ", ".join(map(repr, links))
        raise ValueError(f"link={link!r} is none of the {family} family. It has {listed}.")
    if parameters.residual is not None:
        raise ValueError(
            "residual is the covariance of normal residuals, which a generalized model has none "
            "of. Leave it, or the family, out."
        )


def check_counted(parameters: Any, parsed: ParsedFormula) -> None:
    """Refuse a response of successes and failures where it has no meaning."""
    if not parsed.counts:
        return
    if parameters.family != BINOMIAL:
        own = "a normal one" if parameters.family is None else f"{parameters.family!r}"
        raise error_at(
            parsed.text,
            place_of(parsed.text, "cbind"),
            f"cbind(successes, failures) is a response of the binomial family, not of {own}. "
            "Use skmixed.glmer with family='binomial'.",
        )
    if parameters.weights is not None:
        raise ValueError(
            f"weights={parameters.weights!r} and {parsed.response} both give trials. Leave one out."
        )


def estimator_of(family: str, link: str | None, **parameters: Any) -> Any:
    """Return the estimator of a family, not fitted."""
    links = {} if link is None or family != BINOMIAL else {"link": link}
    return REGRESSORS[family](**parameters, **links)


def learned_classes(values: Any, name: str) -> ColumnLevels | None:
    """Return the two classes of a binomial response, or None of proportions.

    Labels are in the order of their categories, else sorted as scikit-learn's scorers
    take them to be, not as R sorts them.

    Raises
    ------
    ValueError
        If there are more labels than two, or one.
    """
    column = _column(values)
    kind = kind_of(column, name)
    if kind == "booleans":
        return ColumnLevels(np.array([False, True]))
    if kind == "numbers":
        is_binary = np.isin(np.asarray(column, dtype=float), (0.0, 1.0)).all()
        return ColumnLevels(np.array([0, 1])) if is_binary else None
    if kind != "labels":
        return None
    levels, _ = learn_levels(column, name)
    if len(levels) == CLASS_LABELS:
        return levels
    listed = ", ".join(map(repr, levels.labels[:5].tolist())) + ", …" * (len(levels) > 5)
    if len(levels) < CLASS_LABELS:
        raise ValueError(f"{name!r} has one label, {listed}. A model of classes needs two.")
    raise ValueError(
        f"{name!r} has {len(levels)} labels ({listed}), and the binomial family is of two classes. "
        f"Tell one from the others, as in I({name} == {levels.labels[0]!r}) ~ …, or fit a model "
        "for each by sklearn.multiclass.OneVsRestClassifier."
    )


def class_numbers(classes: ColumnLevels, values: Any, name: str) -> FloatArray:
    """Return 1 for the second class, 0 for the first, (n,).

    Raises
    ------
    ValueError
        If a label is neither.
    """
    column = _column(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownLevelsWarning)  # the error says more
        codes = classes.codes(column, name)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        first, second = classes.labels.tolist()
        raise ValueError(
            f"{name!r} has {column.iloc[row]!r} at row {row}, which is none of the classes "
            f"{first!r} and {second!r} of the fit."
        )
    return codes.astype(float)


def success_of(classes: ColumnLevels | None) -> dict[str, str]:
    """Return what a summary has to say of the class that is counted."""
    if classes is None or classes.labels.dtype != object:
        return {}
    return {"Success": repr(classes.labels[1])}


def counts_of(values: Any, text: str) -> FloatArray:
    """Return what a response counts, (n,).

    Raises
    ------
    ValueError
        If it is no number, or below 0.
    """
    counts = numeric_column(np.asarray(values), text, "The response")
    if (counts < 0).any():
        row = int(np.argmax(counts < 0))
        raise ValueError(
            f"cbind(…) has {counts[row]:g} for {text!r} at row {row}. It counts successes and "
            "failures, each 0 or more."
        )
    return counts


def _column(values: Any) -> pd.Series:
    if isinstance(values, pd.Series | pd.Categorical):
        return pd.Series(values).reset_index(drop=True)
    check_unmasked(values, "y")
    return pd.Series(column_or_1d(values, warn=True))


def _has_classes(estimator: Any) -> bool:
    """Whether the response is of two classes; before a fit whether it may be."""
    if not estimator.__sklearn_is_fitted__():
        return bool(estimator.family == BINOMIAL)
    return estimator._frame.classes is not None


class FormulaClasses:
    """The methods of `FormulaRegressor` that are there for a response of two classes."""

    predict: Callable[..., FloatArray]
    _factors: Callable[[Any], Any]
    _given: Callable[[Any], Any]
    regressor_: Any

    @available_if(_has_classes)  # type: ignore[untyped-decorator]
    def predict_proba(
        self, X: Any, *, include: Include = "all", effects: Effects = "mode"
    ) -> FloatArray:
        """Predict the probabilities of the classes of a binomial response.

        It is there where the response has two labels, is of booleans, or of 0 and 1.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Samples with the columns named in `feature_names_in_`.
        include : "all", "fixed" or list of str, default="all"
            Whose effects count, as in `predict`.
        effects : {"mode", "mean"}, default="mode"
            What stands for the effects of known groups, as in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Probabilities in the order of `classes_`.

        Raises
        ------
        ValueError
            If a column is missing, or holds a category that was not in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from skmixed import glmer
        >>> from skmixed.datasets import load_toenail
        >>> data = load_toenail().frame
        >>> data["nail"] = np.where(data["severe"] == 1, "loose", "fast")
        >>> model = glmer("nail ~ treated + visit + (1 | patient)", data, "binomial")
        >>> model.classes_
        array(['fast', 'loose'], dtype='<U5')
        >>> model.predict_proba(data.iloc[:2]).round(2)
        array([[0.12, 0.88],
               [0.25, 0.75]])
        """
        found = self.predict(X, include=include, effects=effects)
        return np.column_stack([1.0 - found, found])

    @available_if(_has_classes)  # type: ignore[untyped-decorator]
    def decision_function(
        self, X: Any, *, include: Include = "all", effects: Effects = "mode"
    ) -> FloatArray:
        """Return the log odds of the second class of a binomial response.

        It is there where `predict_proba` is.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Samples with the columns named in `feature_names_in_`.
        include : "all", "fixed" or list of str, default="all"
            Whose effects count, as in `predict`.
        effects : {"mode", "mean"}, default="mode"
            What stands for the effects of known groups, as in `predict`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The logarithm of the odds that `predict_proba` gives.

        Raises
        ------
        ValueError
            If a column is missing, or holds a category that was not in `fit`.

        Examples
        --------
        >>> from skmixed import glmer
        >>> from skmixed.datasets import load_toenail
        >>> data = load_toenail().frame
        >>> model = glmer("severe ~ treated + visit + (1 | patient)", data, "binomial")
        >>> model.decision_function(data.iloc[:2]).round(1)
        array([2. , 1.1])
        """
        given = self._given(X)
        with speaking(FORMULA):
            names = self._factors(include)
            columns, offset = given.columns(names), given.offset()
            added = None if offset is None else lambda _: offset
            found = linear_rows(self.regressor_, columns, None, names, effects, added)
            return log_odds(found, found.mean())
