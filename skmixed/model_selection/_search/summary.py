"""The summary of a model that was chosen: that it was, by what, and among how many."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.summary import Summary, summarize
from skmixed.model_selection._search.choice import Choice
from skmixed.model_selection._validation import shown
from skmixed.typing import Ddf, Robust


def summary(self: Any, ddf: Ddf | None = None, *, robust: Robust | None = None) -> Summary:
    """Summarize the chosen model, and say how it was chosen.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        Degrees of freedom of the t tests, as in `MixedLinearRegressor.summary`.
    robust : {"CR0", "CR2", "CR3"}, default=None
        Standard errors by the residuals of whole subjects, as there.

    Returns
    -------
    Summary
        As that of `MixedLinearRegressor.summary`. Its notes begin with the number of
        candidates, what judged them, and the question that splits asked.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model: the tests are
        normal.

    See Also
    --------
    skmixed.MixedLinearRegressor.summary : The summary of one model.

    Examples
    --------
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import MixedLinearRegressorCV
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> grid = {"random_slopes": [None, "Days"]}
    >>> model = MixedLinearRegressorCV("Subject", candidates=grid, criterion="aic").fit(X, y)
    >>> for note in model.summary().notes:
    ...     print(note)
    Chosen of 2 candidates by AIC by restricted likelihoods of all rows: random_slopes='Days'.
    Tests and intervals do not count that the model was chosen.
    The search for the variance components converged.
    """
    check_is_fitted(self)
    return summarize(self, ddf, robust, remarks=remarks_of(Choice(**self._choice), self))


def remarks_of(choice: Choice, model: Any) -> list[str]:
    """Return in words how a model was chosen; nothing where there was no choice."""
    n = len(choice.params)
    if n == 1:
        return []
    n_without = int(np.isnan(choice.score).sum())
    without = f", {n_without} of which {'has' if n_without == 1 else 'have'} no score,"
    best, by = shown(choice.params[model.best_index_]), choice.by or choice.how
    return [
        f"Chosen of {n} candidates{without * (n_without > 0)} by {by}: {best}.",
        "Tests and intervals do not count that the model was chosen.",
    ]
