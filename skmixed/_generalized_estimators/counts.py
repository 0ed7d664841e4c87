"""MixedPoissonRegressor and MixedNegativeBinomialRegressor: counts of groups."""

from skmixed._generalized_estimators.counting import CountRegressor
from skmixed._model.family import FAMILIES, Family


class MixedPoissonRegressor(CountRegressor):
    """Poisson regression with random effects.

    Counts y have the mean μ = e exp(Xβ + Zb), e the exposure, and bⱼ ~ N(0, Σₖ) for
    level j of grouping factor k. The parameters maximize the likelihood, the integral
    over b taken by Laplace's approximation or by quadrature; derivatives are exact.

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
        Akaike's criterion; counts the rank of X and all of θ.
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
    MixedLogisticClassifier : Two classes.
    MixedLinearRegressor : Normal responses.

    Notes
    -----
    The likelihood is that of R's glmer and glmmTMB [1]_ (nAGQ = 1). A grouping column
    with a level for each row models counts that vary more than Poisson's.

    The mean over groups is exp(Xβ + v/2), v = z'Σz: it is what `predict` gives for a
    group that was not seen in `fit`.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    Visits of patients to clinics:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import MixedPoissonRegressor
    >>> rng = np.random.default_rng(0)
    >>> clinic = np.repeat(np.arange(25), 12)
    >>> x = rng.normal(size=300)
    >>> y = rng.poisson(np.exp(1 + 0.3 * x + rng.normal(0, 0.5, 25)[clinic]))
    >>> X = pd.DataFrame({"x": x, "clinic": clinic})
    >>> model = MixedPoissonRegressor("clinic").fit(X, y)
    >>> model.fixed_effects_.round(3)
    (Intercept)    0.986
    x              0.269
    dtype: float64
    >>> rows = pd.DataFrame({"x": [0.0, 0.0], "clinic": [3, 99]})
    >>> model.predict(rows).round(2)
    array([0.8 , 2.94])
    """

    def _family(self) -> Family:
        return FAMILIES["poisson", "log"]


class MixedNegativeBinomialRegressor(CountRegressor):
    """Negative binomial regression with random effects.

    Counts y have the mean μ = e exp(Xβ + Zb), e the exposure, the variance μ + μ²/α
    (NB2), and bⱼ ~ N(0, Σₖ) for level j of grouping factor k. The parameters, α among
    them, maximize the likelihood, the integral over b taken by Laplace's approximation
    or by quadrature; derivatives are exact.

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
        α; the larger, the nearer to Poisson's distribution.
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
    MixedPoissonRegressor : Counts whose variance is their mean.
    MixedGammaRegressor : Positive responses.

    Notes
    -----
    The likelihood is that of R's glmmTMB with family nbinom2 [1]_. Where counts vary no
    more than Poisson's, α grows without bound and the search stops where that no longer
    matters.

    References
    ----------
    .. [1] Brooks, M. E. and others (2017). glmmTMB balances speed and flexibility among
       packages for zero-inflated generalized linear mixed modeling. The R Journal 9(2),
       378–400, doi:10.32614/RJ-2017-066.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import MixedNegativeBinomialRegressor
    >>> rng = np.random.default_rng(0)
    >>> clinic = np.repeat(np.arange(25), 12)
    >>> x = rng.normal(size=300)
    >>> mean = np.exp(1 + 0.3 * x + rng.normal(0, 0.5, 25)[clinic])
    >>> y = rng.poisson(mean * rng.gamma(2, 1 / 2, 300))
    >>> X = pd.DataFrame({"x": x, "clinic": clinic})
    >>> model = MixedNegativeBinomialRegressor("clinic").fit(X, y)
    >>> model.fixed_effects_.round(3)
    (Intercept)    0.821
    x              0.223
    dtype: float64
    >>> round(model.shape_, 2)
    2.37
    """

    def _family(self) -> Family:
        return FAMILIES["negative_binomial", "log"]
