"""MixedPoissonRegressor: counts, with random effects of groups."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.metrics import r2_score

from skmixed._data.chunks import ChunkColumns
from skmixed._data.random_effect import AllExcept
from skmixed._data.table import check_unmasked
from skmixed._estimators.regressor import Groups
from skmixed._estimators.weights import weights_not_labels
from skmixed._fitted.fitting import committed
from skmixed._generalized_estimators.incremental import MOST_ROWS, fit_to_chunks
from skmixed._generalized_estimators.reading import fit_model
from skmixed._generalized_estimators.regressors import GeneralizedRegressor
from skmixed._model.family import FAMILIES, Family
from skmixed._typing import ColumnName, FloatArray


class CountRegressor(GeneralizedRegressor):
    """A base of regressors of counts, which may be proportional to an exposure."""

    _has_exposure = True

    def _counts(self, response: FloatArray, weights: FloatArray | None) -> FloatArray:  # noqa: ARG002
        return response

    @weights_not_labels
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        exposure: ArrayLike | None = None,
        groups: Any = None,
    ) -> Self:
        """Estimate the fixed effects, the variances, and the modes of the effects.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Numeric columns, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            Counts, 0 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each sample counts.
        exposure : array-like of shape (n_samples,), default=None
            What the expected count is proportional to, such as person-years;
            its logarithm is an offset of the linear predictor. 1 if None.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; predictions then need them too.

        Returns
        -------
        CountRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Examples
        --------
        Events per person-year:

        >>> from skmixed import MixedPoissonRegressor
        >>> X = [[0.0], [0.0], [1.0], [1.0]]
        >>> model = MixedPoissonRegressor().fit(X, [2, 4, 9, 6], exposure=[10, 20, 10, 5])
        >>> model.predict([[0.0], [1.0]]).round(3)
        array([0.2, 1. ])
        """
        return committed(self, lambda own: fit_model(own, X, y, sample_weight, groups, exposure))

    def fit_chunks(
        self,
        source: Any,
        *,
        target: str | None = None,
        sample_weight: str | None = None,
        exposure: str | None = None,
        max_held_rows: int = MOST_ROWS,
    ) -> Self:
        """Fit to rows that come chunk by chunk.

        The estimates are those of `fit` on all rows together, however they are cut and
        ordered. Grouping columns are columns of X; their levels are learned on the way,
        and come in order of appearance.

        Parameters
        ----------
        source : str, path, data set, Dask dataframe, list or callable
            A Parquet file or folder, a ``pyarrow.dataset.Dataset``, a Dask dataframe, a
            list of chunks, or a function without arguments that returns a new iterator
            of chunks each time. Chunks are frames with the column `target`, or without
            `target` pairs (X, y) or (X, y, sample_weight).
        target : str, default=None
            The column of the counts, where chunks are frames; all columns that are not
            named here are those of X.
        sample_weight, exposure : str, default=None
            The columns of sample weights and of exposures.
        max_held_rows : int, default=2000000
            The most rows to hold once equal ones are pooled; each takes some 600
            bytes. Rows are equal where X, the exposure and, of a negative binomial
            distribution, the count are.

        Returns
        -------
        CountRegressor
            The estimator itself. A failure, also of the source, leaves it as it was.

        Raises
        ------
        ValueError, TypeError
            As in `fit`, with the number of the chunk; the first is chunk 0. Or if the
            source can be read once only.
        MemoryError
            If the rows to hold are more than `max_held_rows`.

        Examples
        --------
        >>> import pandas as pd
        >>> from skmixed import MixedPoissonRegressor
        >>> rows = pd.DataFrame(
        ...     {"x": [0.0, 0.0, 1.0, 1.0], "n": [2, 4, 9, 6], "t": [10, 20, 10, 5]}
        ... )
        >>> model = MixedPoissonRegressor()
        >>> model = model.fit_chunks([rows[:2], rows[2:]], target="n", exposure="t")
        >>> model.predict(pd.DataFrame({"x": [0.0, 1.0]})).round(3)
        array([0.2, 1. ])
        """
        columns = ChunkColumns(target, sample_weight, exposure)
        return committed(self, lambda own: fit_to_chunks(own, source, columns, max_held_rows))

    def predict(
        self,
        X: Any,
        *,
        exposure: ArrayLike | None = None,
        groups: Any = None,
        include: str | Sequence[str] = "all",
        effects: str = "mode",
    ) -> FloatArray:
        """Predict expected counts.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples with the columns that `fit` was given.
        exposure : array-like of shape (n_samples,), default=None
            The exposure of each sample; 1 if None, which gives rates.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        include : "all", "fixed" or list of str, default="all"
            The grouping factors that count: those of known groups by their
            effects, unknown ones by the mean over the distribution of theirs,
            exp(η + v/2). The effects of others are 0.
        effects : {"mode", "mean"}, default="mode"
            The expected count at the mode of a known group's effects, as R's
            glmer predicts, or its mean over their distribution given the data,
            which is normal by Laplace's approximation. "mean" is there for
            models with one random-effects term.

        Returns
        -------
        ndarray of shape (n_samples,)
            Expected counts.

        Raises
        ------
        ValueError
            If X does not match that of `fit`, or a group is unknown and
            ``handle_unknown="error"``.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> model = MixedPoissonRegressor().fit([[0.0], [0.0], [1.0], [1.0]], [2, 4, 9, 6])
        >>> model.predict([[0.0], [1.0]]).round(3)
        array([3. , 7.5])
        """
        return self._mean(X, groups, include, effects, exposure)

    @weights_not_labels
    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        exposure: ArrayLike | None = None,
        groups: Any = None,
    ) -> float:
        """Return R² of the predictions, as every scikit-learn regressor.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples to predict.
        y : array-like of shape (n_samples,)
            The observed counts.
        sample_weight : array-like of shape (n_samples,), default=None
            The weight of each sample in the score.
        exposure : array-like of shape (n_samples,), default=None
            The exposure of each sample; 1 if None.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        float
            Coefficient of determination, at most 1.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> X, y = [[0.0], [0.0], [1.0], [1.0]], [2, 4, 9, 6]
        >>> round(MixedPoissonRegressor().fit(X, y).score(X, y), 3)
        0.757
        """
        check_unmasked(y, "y")
        check_unmasked(sample_weight, "sample_weight")
        predicted = self.predict(X, exposure=exposure, groups=groups)
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags


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
        Schwarz's criterion, with the number of samples.
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

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: str = "full",
        fit_intercept: bool = True,
        handle_unknown: str = "population",
        quadrature: int | str = 1,
        tol: float = 1e-10,
        max_iter: int = 200,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.random_slopes = random_slopes
        self.fixed = fixed
        self.covariance = covariance
        self.fit_intercept = fit_intercept
        self.handle_unknown = handle_unknown
        self.quadrature = quadrature
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    def _family(self) -> Family:
        return FAMILIES["poisson", "log"]
