"""MixedBinomialRegressor and MixedGammaRegressor: proportions of trials, and positive responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from numpy.typing import ArrayLike

from skmixed._data.metadata import weights_not_labels
from skmixed._data.random_effect import AllExcept
from skmixed._estimators.regressor import Groups
from skmixed._fitted import checks as validation
from skmixed._generalized_estimators.intervals import predict_interval_of_proportions
from skmixed._generalized_estimators.predicting import DrawSettings, sampled
from skmixed._generalized_estimators.regressors import MeanRegressor
from skmixed._model.binomial import LINKS
from skmixed._model.family import FAMILIES, Family
from skmixed._typing import ColumnName, FloatArray
from skmixed.typing import CovarianceName, HandleUnknown, Link, Quadrature, SampledEffects


class MixedBinomialRegressor(MeanRegressor):
    """Binomial regression with random effects, for proportions of trials.

    Of w trials the proportion y succeeds, with probability μ, g(μ) = Xβ + Zb, and
    bⱼ ~ N(0, Σₖ) for level j of grouping factor k. `sample_weight` has the numbers of
    trials w. The parameters maximize the likelihood, the integral over b taken by
    Laplace's approximation or by quadrature; derivatives are exact.

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
    link : {"logit", "probit", "cloglog"}, default="logit"
        The link g: log(μ/(1 − μ)), Φ⁻¹(μ) or log(−log(1 − μ)).
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
    MixedLogisticClassifier : Single trials, with labels of two classes.
    MixedPoissonRegressor : Counts without a largest one.

    Notes
    -----
    The likelihood is that of R's glmer and glmmTMB [1]_, of ``cbind(successes, failures)``.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    Cases of a disease in herds of cattle, in two periods:

    >>> import pandas as pd
    >>> from skmixed import MixedBinomialRegressor
    >>> X = pd.DataFrame({"late": [0, 1] * 4, "herd": list("aabbccdd")})
    >>> cases, animals = [9, 4, 2, 0, 7, 3, 1, 1], [14, 12, 16, 20, 9, 17, 21, 14]
    >>> y = pd.Series(cases) / animals
    >>> model = MixedBinomialRegressor("herd").fit(X, y, sample_weight=animals)
    >>> model.fixed_effects_.round(2)
    (Intercept)   -0.79
    late          -1.70
    dtype: float64
    >>> model.predict(X[:2]).round(2)
    array([0.66, 0.26])
    """

    _has_trials = True

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: CovarianceName = "full",
        link: Link = "logit",
        fit_intercept: bool = True,
        handle_unknown: HandleUnknown = "population",
        quadrature: Quadrature = 1,
        tol: float = 1e-10,
        max_iter: int = 200,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.random_slopes = random_slopes
        self.fixed = fixed
        self.covariance = covariance
        self.link = link
        self.fit_intercept = fit_intercept
        self.handle_unknown = handle_unknown
        self.quadrature = quadrature
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    @weights_not_labels
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
    ) -> Self:
        """Estimate the fixed effects, the variances, and the modes of the effects.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Numeric columns, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            The share of the trials of each sample that succeed, from 0 to 1.
        sample_weight : array-like of shape (n_samples,), default=None
            The number of trials of each sample; 1 if None.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; predictions then need them too.

        Returns
        -------
        MixedBinomialRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Examples
        --------
        >>> from skmixed import MixedBinomialRegressor
        >>> X, y = [[0.0], [0.0], [1.0], [1.0]], [0.2, 0.1, 0.6, 0.5]
        >>> MixedBinomialRegressor().fit(X, y, sample_weight=[10] * 4).fixed_effects_.round(2)
        (Intercept)   -1.73
        x0             1.94
        dtype: float64
        """
        return super().fit(X, y, sample_weight, groups=groups)

    predict_interval = predict_interval_of_proportions

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: Any = 0,
        *,
        effects: SampledEffects = "conditional",
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
    ) -> FloatArray:
        """Draw new proportions for the rows of X.

        Parameters
        ----------
        X : frame or array-like of shape (n_rows, n_features)
            Samples with the columns that `fit` was given.
        n_samples : int, default=1
            The number of proportions that are drawn for each row.
        random_state : int, RandomState, Generator or None, default=0
            An int gives the same samples at each call.
        effects : {"conditional", "new"}, default="conditional"
            Whether effects of known groups are drawn given the data, or all groups are
            new, as in `MixedLogisticClassifier.sample_y`.
        sample_weight : array-like of shape (n_rows,), default=None
            The number of trials of each row; 1 if None.
        groups : array-like of shape (n_rows,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            Proportions of the trials.

        Raises
        ------
        ValueError
            If a parameter or X is not as above, or a group is unknown and
            ``handle_unknown="error"``.

        See Also
        --------
        MixedLogisticClassifier.sample_y : How effects are drawn.

        Examples
        --------
        >>> from skmixed import MixedBinomialRegressor
        >>> X, y = [[1], [1], [2], [2], [3], [3]], [0.9, 0.8, 0.3, 0.1, 0.5, 0.6]
        >>> model = MixedBinomialRegressor(0).fit(X, y, sample_weight=[10] * 6)
        >>> model.sample_y([[1], [2]], 2000, sample_weight=[4, 4]).mean(axis=1).round(1)
        array([0.8, 0.2])
        """
        settings = DrawSettings(n_samples, random_state, effects)
        return sampled(self, X, settings, groups=groups, trials=sample_weight)

    def _counts(self, response: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, ...]:
        return (response,) if weights is None else (response * weights, weights)

    def _family(self) -> Family:
        validation.check_choice("link", self.link, LINKS)
        return FAMILIES["binomial", self.link]


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
