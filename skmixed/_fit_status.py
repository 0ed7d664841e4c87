"""How a fit can end."""

from enum import Enum


class FitStatus(Enum):
    """How the search for the variance components ended.

    Attributes
    ----------
    LEAST_SQUARES : str
        The model has no random effects.
    CONVERGED : str
        The search converged, also where the fit is singular.
    EXACT_FIT : str
        The model reproduces y; see `ExactFitWarning`.
    UNDETERMINED : str
        `partial_fit` waits for further rows; see `UndeterminedError`.
    SEPARATED : str
        A generalized model has fixed effects without finite estimates, with a
        `sklearn.exceptions.ConvergenceWarning`.
    MAX_ITER : str
        The search stopped before it converged, with a
        `sklearn.exceptions.ConvergenceWarning`.

    See Also
    --------
    skmixed.MixedLinearRegressor : Has the sentence of its fit as ``status_``.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_rail
    >>> from skmixed.exceptions import FitStatus
    >>> model = MixedLinearRegressor("Rail").fit(*load_rail(return_X_y=True))
    >>> model.status_
    'The search for the variance components converged.'
    >>> FitStatus(model.status_) is FitStatus.CONVERGED
    True
    """

    LEAST_SQUARES = "No random effects: the estimates are those of least squares."
    CONVERGED = "The search for the variance components converged."
    EXACT_FIT = "The model reproduces y: the residual variance is 0 to rounding."
    UNDETERMINED = "The rows do not determine the variances; the estimates are at variances of 0."
    SEPARATED = "Some estimates are not finite: columns of X, or the groups, determine y."
    MAX_ITER = "The search ended before it converged, at max_iter or where no step led on."
