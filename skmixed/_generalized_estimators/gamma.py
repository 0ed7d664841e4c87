"""MixedGammaRegressor: positive responses, with random effects of groups."""

from typing import Any

from skmixed._generalized_estimators.regressors import MeanRegressor
from skmixed._model.family import FAMILIES, Family


class MixedGammaRegressor(MeanRegressor):
    """Gamma regression with random effects, for positive responses.

    Responses y have the mean μ = exp(Xβ + Zb), the variance μ²/α, and bⱼ ~ N(0, Σₖ) for
    level j of grouping factor k. The parameters, α among them, maximize the likelihood,
    the integral over b taken by Laplace's approximation or by quadrature; derivatives
    are exact.

    Parameters
    ----------
    groups : str, int, RandomEffect or list of these, default=None
        Grouping column of X, by name or by position, as in `MixedLinearRegressor`.
        None: the factors are those given to ``fit(groups=)``, and without them
        the model has fixed effects alone.
    random_slopes : str, int or list of these, default=None
        Columns whose effect varies between groups; shorthand for
        ``RandomEffect(groups, slopes=...)``.
    fixed : list of str or int, AllExcept or callable, default=None
        Columns with a fixed effect. None: all that are not grouping columns.
    covariance : str, default="full"
        Covariance of one group's coefficients, as in `RandomEffect`.
    fit_intercept : bool, default=True
        Whether the fixed effects have an intercept.
    handle_unknown : {"population", "error"}, default="population"
        What predictions do with a group that is unknown or missing: average over
        the distribution of its effect, or raise.
    quadrature : int or "auto", default=1
        Nodes of adaptive Gauss–Hermite quadrature for each random coefficient, for one
        grouping factor of at most three; 1 is Laplace's approximation. "auto" takes
        more and more until the log-likelihood is stable to 1e-6.
    tol : float, default=1e-10
        The search stops when it expects −2 log-likelihood to fall by no more.
    max_iter : int, default=200
        Steps of the search at most.
    verbose : int, default=0
        1 prints a line per step of the search.

    Attributes
    ----------
    coef_ : ndarray of shape (`n_features_in_`,)
        Fixed slopes on the link's scale; 0 for a column without a fixed effect.
    intercept_ : float
        The fixed intercept; 0.0 in a model without one.
    shape_ : float
        α; 1/α is the dispersion, the squared coefficient of variation.
    fixed_effects_ : Series
        Fixed effects by name, the intercept first; 0 for dropped columns.
    random_effects_ : mapping of str to DataFrame
        Modes of the random effects given the data: grouping factor → frame of
        levels × coefficients, on the link's scale.
    variance_components_ : DataFrame
        Columns ``group``, ``name``, ``variance``, ``sd``, ``corr``: a row for each
        random coefficient, on the link's scale.
    covariances_ : dict of str to DataFrame
        Grouping factor → covariance of one level's effects.
    theta_ : ndarray of shape (n_theta,)
        Entries of the factors Λₖ of Σₖ = ΛₖΛₖ', in lme4's order.
    criterion_ : float
        −2 log-likelihood, with all constants.
    log_likelihood_ : float
        The maximized log-likelihood.
    aic_ : float
        Akaike's criterion; counts the rank of X, all of θ and the shape.
    bic_ : float
        Schwarz's criterion, with the number of rows, whatever their weights, as R's glmer.
    converged_ : bool
        Whether the search converged; a singular fit has.
    singular_ : bool
        Whether an estimated covariance matrix is singular.
    status_ : str
        How the search ended, in a sentence of `skmixed.exceptions.FitStatus`.
    n_iter_ : int
        Steps of the search.
    n_nodes_ : int
        Nodes of the quadrature for each random coefficient.
    n_passes_ : int
        How often the rows were read: 1, unless `fit_chunks` could not hold them.
    n_features_in_ : int
        Columns of X, grouping columns included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    MixedPoissonRegressor : Counts.
    MixedLinearRegressor : Normal responses.

    Notes
    -----
    The likelihood is that of R's glmmTMB [1]_, maximized over α too; glmer's value is no
    maximum in it.

    References
    ----------
    .. [1] Brooks, M. E. and others (2017). glmmTMB balances speed and flexibility among
       packages for zero-inflated generalized linear mixed modeling. The R Journal 9(2),
       378–400, doi:10.32614/RJ-2017-066.

    Examples
    --------
    >>> from skmixed import MixedGammaRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedGammaRegressor("Subject").fit(X, y)
    >>> model.fixed_effects_.round(4)
    (Intercept)    5.5339
    Days           0.0338
    dtype: float64
    >>> round(model.shape_, 1)
    107.1
    """

    def _family(self) -> Family:
        return FAMILIES["gamma", "log"]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
