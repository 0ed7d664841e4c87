"""MixedLinearRegressorCV: a linear mixed model that is chosen among candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import get_annotations
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin

from skmixed._data.metadata import leave_groups, own_name_of, weights_not_labels
from skmixed._data.parameters import NestedParameters
from skmixed._data.random_effect import AllExcept, ResidualCovariance
from skmixed._data.table import open_checked
from skmixed._estimators import intervals, predicting, sampling, updating
from skmixed._estimators.regressor import Groups, MixedLinearRegressor
from skmixed._fitted.checks import check_response
from skmixed._fitted.fitting import committed_fit
from skmixed._fitted.results import FittedAttributes
from skmixed._typing import ColumnName
from skmixed.inference._tables.table import ResultTable
from skmixed.model_selection._search import summary
from skmixed.model_selection._search.choice import Choice
from skmixed.model_selection._search.search import base_of, check_search, search
from skmixed.model_selection._validation import Validation
from skmixed.typing import (
    CovarianceName,
    Criterion,
    EstimationMethod,
    HandleUnknown,
    Question,
    Solver,
)


class MixedLinearRegressorCV(NestedParameters, FittedAttributes, RegressorMixin, BaseEstimator):
    """Linear mixed model, chosen among candidates by cross-validation or AIC.

    Candidates are variants of one `skmixed.MixedLinearRegressor`: other grouping factors, random
    slopes, covariances or fixed columns. All of them are fitted to all rows and, for
    cross-validation, without each fold; from sums over the rows of each fold, so that the
    rows are read once. The estimator is then the best one, fitted to all rows, and has its
    predictions, effects, intervals and tests.

    Parameters
    ----------
    groups : str, int, RandomEffect or list of these, default=None
        Grouping column of X, by name or by position, as in `skmixed.MixedLinearRegressor`; of the
        candidates that name none.
    candidates : dict or list of dicts, default=None
        Parameters in which the candidates differ, with the values to try, as the grid of
        `sklearn.model_selection.GridSearchCV`: `groups`, `random_slopes`, `fixed`,
        `covariance`, `method`, `fit_intercept`, `residual`, and parts of these such as
        ``groups__slopes``. None: a single one.
    random_slopes : str, int or list of these, default=None
        Columns whose effect varies between groups.
    fixed : list of str or int, AllExcept or callable, default=None
        Columns with a fixed effect. None: all that are not grouping columns.
    covariance : str, default="full"
        Covariance of one group's coefficients, as in `skmixed.RandomEffect`.
    method : {"reml", "ml"}, default="reml"
        Whether to use restricted or ordinary maximum likelihood.
    fit_intercept : bool, default=True
        Whether the fixed effects have an intercept.
    criterion : {"cv", "aic", "bic", "conditional_aic"}, default="cv"
        By what the best candidate is chosen: the mean score over the splits of `cv`, or an
        information criterion of the fits to all rows. The conditional one is that of
        `skmixed.inference.conditional_aic`, for new rows of the same groups.
    cv : int, splitter or iterable of pairs of arrays, default=None
        Splits of the rows, as for `cross_validate`: a number is that of folds of whole groups,
        or with ``question="known_groups"`` of folds of rows of each group. Where no candidate has
        groups they are scikit-learn's folds of rows. None: 5.
    question : {"new_groups", "known_groups"}, default=None
        Which predictions are to be good: of rows of groups that the fit has not seen, or of
        new rows of groups that it has. None: the splits decide.
    scoring : str or callable, default="neg_log_predictive_density"
        The score of a split, of which the greater is the better: a name of scikit-learn's, a
        function of a fitted estimator, X and y, or "log_predictive_density" by either of its
        names, as for `cross_validate`.
    one_standard_error : bool, default=False
        Whether the simplest candidate is chosen whose mean score is below the best one by no
        more than one standard error of the difference of the two over the splits.
    handle_unknown : {"population", "error"}, default="population"
        What `predict` does with a group that is unknown or missing.
    solver : {"auto", "exact", "iterative"}, default="auto"
        How crossed factors are solved for, as in `skmixed.MixedLinearRegressor`.
    residual : ResidualCovariance, default=None
        The covariance of the residuals of one subject. Such candidates are fitted to the
        rows of each split.
    tol : float, default=1e-12
        A search stops when it expects the criterion to fall by no more.
    max_iter : int, default=200
        Steps of a search at most.
    verbose : int, default=0
        1 prints a line for each candidate.
    random_state : int, RandomState instance or None, default=0
        Seed of the iterative solver's random signs.

    Attributes
    ----------
    best_params_ : dict
        Parameters of the chosen candidate.
    best_index_ : int
        Its number in `candidates_`.
    best_score_ : float
        Its score: the mean over the splits, or the negative of the criterion.
    best_estimator_ : MixedLinearRegressor
        The chosen model by itself, fitted to all rows.
    candidates_ : DataFrame
        A row for each candidate, and columns ``n_parameters``, ``score``, ``difference`` to
        the highest one, ``standard_error`` of that over splits, and ``rank``.
    cv_results_ : Validation
        The scores of all splits, with the question that they answer. Only with
        ``criterion="cv"``.
    fixed_effects_, coef_, intercept_ : Series, ndarray, float
        Fixed effects of the chosen model. These and the following are those of
        `skmixed.MixedLinearRegressor`, which has more.
    random_effects_ : mapping of str to DataFrame
        BLUPs: grouping factor → frame of levels × coefficients.
    variance_components_ : DataFrame
        Variances, standard deviations and correlations.
    n_features_in_ : int
        Columns of X, grouping columns included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    cross_validate : The scores of candidates, without a choice.
    skmixed.MixedLinearRegressor : One model.
    skmixed.inference.compare : Models that are fitted already.

    Notes
    -----
    AIC and BIC are by restricted likelihoods where all candidates have ``method="reml"`` and
    the same fixed part. Else restricted likelihoods do not compare, and the criterion is that
    of fits by maximum likelihood, as in `skmixed.inference.compare`; the chosen model is the one
    that its `method` asks for. In both ways the number of parameters counts the rank of X,
    all variance parameters, and σ. The conditional AIC is that of each fit as it is.

    Of candidates with equal scores the one with fewer parameters is chosen, and of these the
    first. Candidates that cannot be fitted to all rows, or not in some split, are not chosen.
    The criterion of one that reproduces y is minus infinity, and it is chosen, with a warning;
    one with as many coefficients as there are rows has none.

    For new groups, predictions are those of the fixed effects, so that an error such as
    "neg_mean_squared_error" says next to nothing of random effects, and the predictive density,
    which judges the spread of single rows, too, only something. Where random effects are to be
    chosen, ``question="known_groups"`` and AIC see more.

    The rule of one standard error is that of [1]_, but with the error of a difference: what
    makes a fold hard for all candidates is no reason to take the simplest.

    The score of the best of many is optimistic. For an honest one cross-validate the
    estimator itself, as by `sklearn.model_selection.cross_val_score`; tests and intervals take the
    chosen model for given.

    References
    ----------
    .. [1] Hastie, T., Tibshirani, R. and Friedman, J. (2009). The Elements of Statistical
       Learning, 2nd ed. Springer, section 7.10.

    Examples
    --------
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import MixedLinearRegressorCV
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressorCV(
    ...     "Subject",
    ...     candidates={"random_slopes": [None, "Days"], "fixed": [[], ["Days"]]},
    ... ).fit(X, y)
    >>> model.best_params_
    {'fixed': ['Days'], 'random_slopes': 'Days'}
    >>> model.candidates_[["n_parameters", "score", "difference", "rank"]].round(2)
                                          n_parameters  score  difference  rank
    candidate
    fixed=[], random_slopes=None                     3  -5.48       -0.20     3
    fixed=[], random_slopes='Days'                   5  -5.53       -0.26     4
    fixed=['Days'], random_slopes=None               4  -5.33       -0.06     2
    fixed=['Days'], random_slopes='Days'             6  -5.27        0.00     1
    >>> model.fixed_effects_.round(2)
    (Intercept)    251.41
    Days            10.47
    dtype: float64
    """

    # What to give where a model is fitted to statistics.
    _instead = "After a fit its best_estimator_ is one, whose intervals take the choice for given."
    # What fit sets beside the attributes of the model.
    best_params_: dict[str, Any]
    best_index_: int
    best_score_: float
    _choice: dict[str, Any]

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        candidates: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: CovarianceName = "full",
        method: EstimationMethod = "reml",
        fit_intercept: bool = True,
        criterion: Criterion = "cv",
        cv: Any = None,
        question: Question | None = None,
        scoring: Any = "neg_log_predictive_density",
        one_standard_error: bool = False,
        handle_unknown: HandleUnknown = "population",
        solver: Solver = "auto",
        residual: ResidualCovariance | None = None,
        tol: float = 1e-12,
        max_iter: int = 200,
        verbose: int = 0,
        random_state: Any = 0,
    ) -> None:
        self.groups = groups
        self.candidates = candidates
        self.random_slopes = random_slopes
        self.fixed = fixed
        self.covariance = covariance
        self.method = method
        self.fit_intercept = fit_intercept
        self.criterion = criterion
        self.cv = cv
        self.question = question
        self.scoring = scoring
        self.one_standard_error = one_standard_error
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
    ) -> MixedLinearRegressorCV:
        """Choose a candidate, and fit it to all rows.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Numeric columns, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            The response of each sample.
        sample_weight : array-like of shape (n_samples,), default=None
            The precision weight of each sample in the fits. Scores are not weighted.
        groups : array-like of shape (n_samples,) or frame, default=None
            The group of each sample, for `cv`. Where no candidate names a grouping column,
            they are the grouping columns of all; `predict` and `score` then need them too.

        Returns
        -------
        MixedLinearRegressorCV
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model, the splits do not
            answer the question, or no candidate can be fitted.
        TypeError
            If a parameter is of the wrong kind.

        Warns
        -----
        sklearn.exceptions.FitFailedWarning
            If some candidates cannot be fitted, or not in some split.
        skmixed.exceptions.ExactFitWarning
            If a candidate reproduces y.

        Examples
        --------
        >>> from skmixed.datasets import load_pastes
        >>> from skmixed.model_selection import MixedLinearRegressorCV
        >>> X, y = load_pastes(return_X_y=True)
        >>> model = MixedLinearRegressorCV(
        ...     fixed=[], criterion="aic", candidates={"groups": ["batch", "sample"]}
        ... )
        >>> model.fit(X, y).best_params_
        {'groups': 'sample'}
        """
        given = {"sample_weight": sample_weight, "groups": groups}
        return committed_fit(self, lambda own: own._fit(X, y, sample_weight, groups), X, y, **given)

    # Methods that stand in modules of their own.
    predict = predicting.predict
    predict_interval = intervals.predict_interval
    score = predicting.score
    sample_y = sampling.sample_y
    summary = summary.summary
    update_groups = updating.update_groups

    @property
    def best_estimator_(self) -> MixedLinearRegressor:
        """The chosen model by itself, fitted to all rows."""
        self._need("best_estimator_")
        model = base_of(self).set_params(verbose=self.verbose, **self.best_params_)
        model.__dict__.update((k, v) for k, v in vars(self).items() if k in model.set_by_fit)
        return model

    @property
    def candidates_(self) -> ResultTable:
        """One row a candidate: n_parameters, score, difference, standard_error, rank."""
        self._need("candidates_")
        return Choice(**self._choice).table()

    @property
    def cv_results_(self) -> Validation:
        """The scores of all splits, with the question that they answer."""
        self._need("cv_results_")
        if not self._choice["splits"].shape[1]:
            raise AttributeError(
                f"This {type(self).__name__} was not chosen by cross-validation, and has no "
                "scores of splits. See candidates_."
            )
        return Choice(**self._choice).validation()

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this estimator.

        Where the parameters name the grouping columns, an unset request for `groups`
        counts as False, so that a splitter that asks for groups does not oblige the
        estimator to.

        Returns
        -------
        MetadataRequest
            The requests of `fit`, `predict` and `score`.

        Examples
        --------
        >>> from skmixed.model_selection import MixedLinearRegressorCV
        >>> MixedLinearRegressorCV("school").get_metadata_routing().fit.requests["groups"]
        False
        """
        routing = super().get_metadata_routing()
        if self._names_groups:
            leave_groups(routing)
        return routing

    @property
    def _names_groups(self) -> bool:
        """Whether the parameters name a grouping column."""
        given = self.candidates if isinstance(self.candidates, list | tuple) else [self.candidates]
        return self.groups is not None or any("groups" in own for own in given if own)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self._names_groups
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def _fit(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> None:
        check_search(self)
        table = open_checked(X, self, y, reset=True)
        response = check_response(y, table.n_rows, type(self).__name__)
        choice, best, model = search(self, X, response, sample_weight, groups)
        self._model, self._response_name = model._model, own_name_of(y)
        self._choice = dict(vars(choice))
        self.best_index_ = best
        self.best_params_ = choice.params[best]
        self.best_score_ = float(choice.score[best])
        self._publish()

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        super()._check_parts(parts, state)
        Choice.read(state["_choice"], state["best_index_"])


MixedLinearRegressorCV.set_by_fit = FittedAttributes.set_by_fit | {
    *get_annotations(MixedLinearRegressorCV)
}
