"""MixedLinearRegressor: scikit-learn's contract around the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin

from skmixed._data.metadata import leave_groups, own_name_of, weights_not_labels
from skmixed._data.parameters import NestedParameters
from skmixed._data.random_effect import AllExcept, RandomEffect, ResidualCovariance
from skmixed._data.table import open_checked
from skmixed._estimators import incremental, intervals, predicting, sampling, summary, updating
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import committed_fit, estimate_from, specification
from skmixed._fitted.reader import Intake
from skmixed._fitted.results import FittedAttributes
from skmixed._typing import ColumnName
from skmixed.typing import CovarianceName, EstimationMethod, HandleUnknown, Solver

Groups = ColumnName | RandomEffect | Sequence[ColumnName | tuple[ColumnName, ...] | RandomEffect]


class MixedLinearRegressor(NestedParameters, FittedAttributes, RegressorMixin, BaseEstimator):
    """Linear mixed-effects regression, by REML or maximum likelihood.

    The model is y = Xβ + Zb + ε with bⱼ ~ N(0, σ²ΛₖΛₖ') for level j of
    grouping factor k and εᵢ ~ N(0, σ²/wᵢ). `predict` adds the best linear
    unbiased predictions (BLUPs) of known groups to the fixed effects, shrunken
    towards 0 by the estimated variances; a group not seen in `fit`, nor in
    `update_groups` since, gets the fixed effects alone.

    Parameters
    ----------
    groups : str, int, RandomEffect or list of these, default=None
        Grouping column of X, by name or by position (also in a frame); a tuple
        inside a list is the interaction of its columns, ``[("school",
        "class")]``. None: the factors are those given to ``fit(groups=)``, and
        without them the model is ordinary least squares.
    random_slopes : str, int or list of these, default=None
        Columns whose effect varies between groups; shorthand for
        ``RandomEffect(groups, slopes=...)``.
    fixed : list of str or int, AllExcept or callable, default=None
        Columns with a fixed effect. None: all that are not grouping columns;
        ``AllExcept(columns)``: neither those, such as identifiers that are no
        numbers. A callable is called with X and returns the columns, of which
        grouping columns are left out, as
        :func:`sklearn.compose.make_column_selector` makes it.
    covariance : str, default="full"
        Covariance of one group's coefficients, as in `RandomEffect`: "full", "diag",
        "spherical", "compound_symmetry", "ar1" and further ones.
    method : {"reml", "ml"}, default="reml"
        Whether to use restricted or ordinary maximum likelihood.
    fit_intercept : bool, default=True
        Whether the fixed effects have an intercept.
    handle_unknown : {"population", "error"}, default="population"
        What `predict` does with a group that is unknown or missing: predict
        without its effect, or raise.
    solver : {"auto", "exact", "iterative"}, default="auto"
        How crossed factors are solved for: by a dense Cholesky factor of all but
        the largest chain of nested ones, or by conjugate gradients, whose
        estimates carry a small Monte Carlo error. "auto" counts operations: the
        exact way unless it would take long.
    residual : ResidualCovariance, default=None
        The covariance of the residuals of one subject: correlated in time, or with
        variances that differ. None: they are independent with one variance.
    tol : float, default=1e-12
        The search stops when it expects the criterion to fall by no more; the
        iterative one stops at its Monte Carlo error.
    max_iter : int, default=200
        Steps of the search at most.
    verbose : int, default=0
        1 prints a line per step of the search.
    random_state : int, RandomState instance or None, default=0
        Seed of the iterative solver's random signs.

    Attributes
    ----------
    coef_ : ndarray of shape (`n_features_in_`,)
        Fixed slopes, one for each column of X; 0 for a column without a fixed effect,
        such as a grouping column.
    intercept_ : float
        The fixed intercept; 0.0 in a model without one.
    fixed_effects_ : Series
        Fixed effects by name, the intercept first; 0 for dropped columns.
    random_effects_ : mapping of str to DataFrame
        BLUPs: grouping factor → frame of levels × coefficients, built at each look;
        with those that `update_groups` has learned.
    variance_components_ : DataFrame
        Columns ``group``, ``name``, ``variance``, ``sd``, ``corr``: a row for each
        random coefficient, and one for the residual. ``corr`` is the correlation
        with the term's first coefficient, ``corr2`` with its second, and so on. Where
        the standard deviation of a residual is a power of a column v, that of
        abs(v) = 1, and the power in a column ``power``.
    covariances_ : dict of str to DataFrame
        Grouping factor → covariance of one level's effects, on the scale of the
        data.
    sigma_ : float
        Residual standard deviation, on the scale of y; with a residual covariance the
        root of the mean variance.
    residual_covariance_ : DataFrame
        Covariance of the residuals of one subject at all times; with strata one below
        the other, and of rows with abs(v) = 1 where variances are a power of v.
    theta_ : ndarray of shape (n_theta,)
        Entries of the relative covariance factors Λₖ, in lme4's order.
    criterion_ : float
        −2 log-likelihood (ML) or the REML criterion, with lme4's constants.
    log_likelihood_ : float
        Log-likelihood (ML) or restricted log-likelihood (REML).
    aic_ : float
        Akaike's criterion; counts the rank of X, all of θ, and σ.
    bic_ : float
        Schwarz's criterion, with the number of samples under REML too.
    converged_ : bool
        Whether the search converged; a singular fit has.
    singular_ : bool
        Whether an estimated covariance matrix is singular, or a correlation of residuals at
        an end of what its structure allows.
    status_ : str
        How the search ended, in a sentence of `skmixed.exceptions.FitStatus`.
    n_iter_ : int
        Steps of the search, of the better one where it was repeated; 1 for least squares.
    n_factorizations_ : int
        Factorizations of the mixed-model equations, or iterative solutions.
    solver_ : str
        The solver used: "exact" or "iterative".
    monte_carlo_errors_ : DataFrame
        Columns ``group``, ``name``, ``sd_error``: Monte Carlo standard errors of
        the random effects' standard deviations by the iterative solver; 0 by the
        exact one.
    criterion_error_ : float
        Monte Carlo standard error of the criterion; 0 by the exact solver.
    n_features_in_ : int
        Columns of X, grouping columns included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    RandomEffect : One random-effects term with slopes and a covariance of its own.
    ResidualCovariance : Residuals that are correlated, or have several variances.
    lmer : The same models by lme4's formulas.
    MixedEffectEncoder : Groups as features of other estimators.
    skmixed.inference.coefficient_table : Tests of the fixed effects.
    skmixed.inference.confidence_intervals : Intervals of all parameters.

    Notes
    -----
    One pass reduces the rows to cross-products, in O(n·(p + s)²) operations and
    O(groups·s·(p + s)) memory for s coefficients per group; everything after it
    does not depend on the number of rows. The criterion is that of [1]_,
    equations 34 and 41; the search uses its exact gradient and the average
    information of [2]_.

    Weights are precisions, Var(εᵢ) = σ²/wᵢ, as in lme4: doubling a weight is
    not repeating a row. A weight of 0 leaves the row out.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.
    .. [2] Gilmour, A. R., Thompson, R. and Cullis, B. R. (1995). Average information
       REML: an efficient algorithm for variance parameter estimation in linear
       mixed models. Biometrics 51, 1440–1450, doi:10.2307/2533274.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor(groups="Subject", random_slopes=["Days"])
    >>> model.fit(X, y).fixed_effects_.round(4)
    (Intercept)    251.4051
    Days            10.4673
    dtype: float64
    >>> model.random_effects_["Subject"].head(2).round(2)
             (Intercept)  Days
    Subject
    308             2.26  9.20
    309           -40.40 -8.62
    >>> model.predict(X.iloc[:2]).round(3)
    array([253.664, 273.33 ])
    """

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: CovarianceName = "full",
        method: EstimationMethod = "reml",
        fit_intercept: bool = True,
        handle_unknown: HandleUnknown = "population",
        solver: Solver = "auto",
        residual: ResidualCovariance | None = None,
        tol: float = 1e-12,
        max_iter: int = 200,
        verbose: int = 0,
        random_state: Any = 0,
    ) -> None:
        self.groups = groups
        self.random_slopes = random_slopes
        self.fixed = fixed
        self.covariance = covariance
        self.method = method
        self.fit_intercept = fit_intercept
        self.handle_unknown = handle_unknown
        self.solver = solver
        self.residual = residual
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose
        self.random_state = random_state

    @weights_not_labels
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
    ) -> MixedLinearRegressor:
        """Estimate the variance components, the fixed effects and the BLUPs.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Numeric columns, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            The response of each sample.
        sample_weight : array-like of shape (n_samples,), default=None
            The precision weight of each sample.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; `predict` and `score` then need them too.

        Returns
        -------
        MixedLinearRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Examples
        --------
        The labels of the groups may also come beside X, which is then an array or
        a frame of numbers alone:

        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor().fit(X[["Days"]], y, groups=X["Subject"])
        >>> model.random_effects_
        RandomEffects('Subject': 18 levels)
        >>> model.predict(X[["Days"]], groups=X["Subject"])[:2].round(1)
        array([292.2, 302.7])
        """
        given = {"sample_weight": sample_weight, "groups": groups}
        return committed_fit(self, lambda own: own._fit(X, y, sample_weight, groups), X, y, **given)

    # Methods that stand in modules of their own.
    fit_chunks = incremental.fit_chunks
    partial_fit = incremental.partial_fit
    statistics = incremental.statistics
    fit_statistics = incremental.fit_statistics
    predict = predicting.predict
    predict_interval = intervals.predict_interval
    score = predicting.score
    sample_y = sampling.sample_y
    summary = summary.summary
    update_groups = updating.update_groups

    @property
    def _fits_statistics(self) -> bool:
        """Whether a fit reads nothing of rows but sums over them."""
        return self.residual is None

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this estimator.

        Where the constructor names the grouping columns, an unset request for
        `groups` counts as False, so that a splitter that asks for groups does
        not oblige the estimator to.

        Returns
        -------
        MetadataRequest
            The requests of `fit`, `partial_fit`, `predict` and `score`.

        Examples
        --------
        >>> from skmixed import MixedLinearRegressor
        >>> MixedLinearRegressor("school").get_metadata_routing().fit.requests["groups"]
        False
        >>> MixedLinearRegressor().get_metadata_routing().fit.requests["groups"] is None
        True
        """
        routing = super().get_metadata_routing()
        if self.groups is not None:
            leave_groups(routing)
        return routing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self.groups is not None
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def _fit(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> None:
        validation.check_parameters(self)
        table = open_checked(X, self, y, reset=True)
        intake = Intake(specification(self), type(self).__name__)
        intake.add(table, y, sample_weight, groups, is_last=True)
        stats = intake.statistics()
        self._response_name = own_name_of(y)
        estimate_from(self, stats)
