"""MixedEffectsRegressor: any regressor as the fixed part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import get_annotations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from skmixed._callbacks import CallbackSupportMixin
from skmixed._data.metadata import leave_groups, weights_not_labels
from skmixed._data.parameters import NestedParameters
from skmixed._estimators import predicting
from skmixed._estimators.regressor import Groups, MixedLinearRegressor
from skmixed._fitted.fitting import committed_fit
from skmixed._fitted.messages import speaking
from skmixed._typing import ColumnName
from skmixed.compose import _predicting, _summary
from skmixed.compose._checks import TURNS
from skmixed.compose._fit import fit
from skmixed.compose._linear_part import combined
from skmixed.typing import CovarianceName, EstimationMethod, HandleUnknown


class MixedEffectsRegressor(
    NestedParameters, CallbackSupportMixin, MetaEstimatorMixin, RegressorMixin, BaseEstimator
):
    """Random effects of groups beside any regressor of scikit-learn.

    The model is y = f(X) + Zb + ε, f by the regressor, bⱼ ~ N(0, Σₖ) for level j of
    grouping factor k, and εᵢ ~ N(0, σ²/wᵢ). In turns the regressor is fitted to y − Zb̂,
    and the variances and effects to what is left of y by regressors that have not seen
    the row. So the residual variance has the error of the regressor in it, as a new row
    has, and intervals contain the share of observations that they say.

    Parameters
    ----------
    regressor : estimator
        A regressor of scikit-learn, or a Pipeline that ends in one. It is cloned, and
        sees the columns of X as they are given, without the grouping columns.
    groups : str, int, RandomEffect or list of these, default=None
        Grouping column of X, by name or by position, as in `MixedLinearRegressor`.
        None: the factors are those given to ``fit(groups=)``.
    random_slopes : str, int or list of these, default=None
        Columns whose effect varies between groups around what f makes of them;
        shorthand for ``RandomEffect(groups, slopes=...)``.
    linear : str, int or list of these, default=None
        Columns with a linear effect beside f, which the regressor does not see. Their
        coefficients, with standard errors, are in `linear_effects_`. They need folds of
        whole groups: three divisions into them are drawn, or the one that `cv` gives is
        taken.
    covariance : str, default="full"
        Covariance of one group's coefficients, as in `RandomEffect`.
    method : {"reml", "ml"}, default="reml"
        Whether variances are estimated by restricted or ordinary maximum likelihood.
    cv : "auto", int, splitter, iterable, "oob" or "in_sample", default="auto"
        By what a row is predicted that its regressor has not seen. An int is a number
        of folds of rows, or of whole groups where a column of X is constant within
        groups and so tells them apart: of the outer factor, or of groups of several that
        have rows in common; of the first one, with a warning, where that are nearly all.
        "auto" is five of those folds, or, where folds of
        rows will do, the regressor is a forest and there are no weights, its trees whose
        sample lacks the row; "oob" is these trees in any case, of the last step of a
        Pipeline too. "in_sample" predicts rows that were seen:
        variances are too small then, unless f is as rigid as a linear model. A splitter
        is given the levels of the first factor as groups.
    max_iter : int, default=10
        Turns at most.
    tol : float, default=0.1
        The turns stop when the effects move by no more, as a root mean square over
        the rows in residual standard deviations; or by no less than in the turn before,
        as of a regressor that a small change of the response makes another. Effects of
        factors whose groups the folds keep whole do not count.
    keep_groups : bool, default=False
        Whether the regressor sees the grouping columns too.
    handle_unknown : {"population", "error"}, default="population"
        What predictions do with a group that is unknown or missing: go
        without its effect, or raise. May be set after `fit`.
    verbose : int, default=0
        1 prints a line for each turn.
    random_state : int, RandomState or None, default=0
        Shuffles the folds. The regressor has one of its own.

    Attributes
    ----------
    regressor_ : estimator
        The regressor, fitted to y − Zb̂ of all rows.
    mixed_model_ : MixedLinearRegressor
        The model of the effects, fitted to y less the predictions out of fold. The
        functions of `skmixed.inference`, `diagnostics` and `plotting` take it, with
        y less the predictions of `regressor_` (and the linear effects) as response. Its
        effects are those that predictions add: after folds of whole groups of what
        `regressor_`, which has seen the groups, leaves.
    linear_effects_ : DataFrame
        With `linear`, a row for each of its columns, as
        `inference.coefficient_table` has it: estimate, standard error, test, interval.
    linear_models_ : list of MixedLinearRegressor
        With `linear`, the models of its columns, as far as the others do not say
        them, by three divisions into folds of groups; or by the one that `cv` gives.
    intercept_ : float
        The mean of y less the predictions out of fold, which predictions add: near 0
        for regressors of means.
    random_effects_ : mapping of str to DataFrame
        BLUPs: grouping factor → frame of levels × coefficients, on the scale of y.
    variance_components_ : DataFrame
        Columns ``group``, ``name``, ``variance``, ``sd``, ``corr``. The last row's
        variance is σ² and the mean squared error of f.
    sigma_ : float
        The root of the latter.
    out_of_fold_r2_ : float
        R² of f alone for rows that it has not seen.
    converged_ : bool
        Whether the effects moved by `tol` or less in the last turn, or as little as the
        regressor's jitter lets them. False too where they moved by more and more.
    n_iter_ : int
        Turns.
    n_regressor_fits_ : int
        Fits of the regressor in all.
    n_features_in_ : int
        Columns of X, grouping columns included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    MixedLinearRegressor : Where f is linear; tests, intervals of means, no folds.
    MixedEffectEncoder : Groups as columns for another regressor.

    Notes
    -----
    MERF [1]_ takes the residuals of a forest that has seen the rows; they are too small,
    and so is its residual variance. Out of fold the residual variance is σ² + MSE(f̂).

    Linear effects are those of a mixed model of y − E[y|W] by columns − E[columns|W], of
    which folds of whole groups tell the expectations [2]_. Errors of these enter by their
    product alone. Three divisions into folds are taken, of whose estimates the median is
    shown; a linear column costs 15 fits of the regressor, and y as many.

    Effects of groups that folds keep whole are not taken from y, since those of other groups
    would tell the next turn of the group that is left out; if there are no other effects,
    there is one turn. With five folds a turn costs five fits of the
    regressor, and the end one: 16 fits for three turns, which mostly do. What is not the
    regressor costs O(n) a turn.

    References
    ----------
    .. [1] Hajjem, A., Bellavance, F. and Larocque, D. (2014). Mixed-effects random forest
       for clustered data. J. Stat. Comput. Simul. 84(6), 1313–1328,
       doi:10.1080/00949655.2012.741599.
    .. [2] Emmenegger, C. and Bühlmann, P. (2023). Plug-in machine learning for partially
       linear mixed-effects models with repeated measurements. Scand. J. Stat. 50(4),
       1553–1567, doi:10.1111/sjos.12639.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> from skmixed import MixedEffectsRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"x": rng.uniform(-3, 3, 600), "shop": np.repeat(range(40), 15)})
    >>> y = np.sin(X["x"]) + rng.normal(size=40)[X["shop"]] + 0.5 * rng.normal(size=600)
    >>> forest = RandomForestRegressor(min_samples_leaf=5, random_state=0)
    >>> model = MixedEffectsRegressor(forest, "shop").fit(X, y)
    >>> model.variance_components_["sd"].round(1).tolist()  # of shops, and of rows
    [1.0, 0.5]
    >>> model.predict_interval(pd.DataFrame({"x": [0.0, 0.0], "shop": [3, 99]})).round(0)
    array([[-1.,  1.],
           [-3.,  2.]])
    """

    # What to give where a model is fitted to statistics.
    _instead = (
        "After a fit its mixed_model_ is one, for rows that its regressor_ has not seen, with y "
        "less predict(X, include='fixed') as the response."
    )
    # What fit sets. Other names, such as a subclass sets before, are left alone.
    regressor_: Any
    mixed_model_: MixedLinearRegressor
    linear_models_: list[MixedLinearRegressor]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    converged_: bool
    n_iter_: int
    n_regressor_fits_: int
    out_of_fold_r2_: float
    _positions: list[int]
    _linear: list[int]

    def __init__(
        self,
        regressor: Any,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        linear: ColumnName | Sequence[ColumnName] | None = None,
        covariance: CovarianceName = "full",
        method: EstimationMethod = "reml",
        cv: Any = "auto",
        max_iter: int = 10,
        tol: float = 0.1,
        keep_groups: bool = False,
        handle_unknown: HandleUnknown = "population",
        verbose: int = 0,
        random_state: Any = 0,
    ) -> None:
        self.regressor = regressor
        self.groups = groups
        self.random_slopes = random_slopes
        self.linear = linear
        self.covariance = covariance
        self.method = method
        self.cv = cv
        self.max_iter = max_iter
        self.tol = tol
        self.keep_groups = keep_groups
        self.handle_unknown = handle_unknown
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
        **fit_params: Any,
    ) -> MixedEffectsRegressor:
        """Fit the regressor, the variances and the effects in turns.

        Parameters
        ----------
        X : frame, array-like or sparse matrix of shape (n_samples, n_features)
            Columns for the regressor, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            The response of each sample.
        sample_weight : array-like of shape (n_samples,), default=None
            The precision weight of each sample, for the regressor too.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; `predict` and `score` then need them too.
        **fit_params : dict
            Metadata for the regressor's fit; with metadata routing enabled only.

        Returns
        -------
        MixedEffectsRegressor
            The estimator itself. A failure, in a fold too, leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Warns
        -----
        ConvergenceWarning
            If the effects still move by more than `tol` after `max_iter` turns, or move
            by more and more.

        Examples
        --------
        >>> from sklearn.linear_model import LinearRegression
        >>> from skmixed import MixedEffectsRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, y)
        >>> model.n_iter_, model.n_regressor_fits_
        (2, 11)
        """
        routed = self._routed(sample_weight, fit_params)
        given = {"sample_weight": sample_weight, "groups": groups}
        with speaking(TURNS):
            return committed_fit(
                self, lambda own: fit(own, X, y, sample_weight, groups, routed), X, y, **given
            )

    # Methods that stand in modules of their own.
    predict = _predicting.predict
    predict_interval = _predicting.predict_interval
    score = predicting.score
    update_groups = _predicting.update_groups
    summary = _summary.summary

    @property
    def random_effects_(self) -> Mapping[str, pd.DataFrame]:
        """BLUPs: grouping factor → frame of levels × coefficients."""
        return self._need("random_effects_").random_effects_

    @property
    def variance_components_(self) -> pd.DataFrame:
        """Variances: columns group, name, variance, sd, corr."""
        return self._need("variance_components_").variance_components_

    @property
    def intercept_(self) -> float:
        """The mean of y less the predictions out of fold."""
        return self._need("intercept_").intercept_

    @property
    def sigma_(self) -> float:
        """Residual standard deviation, the regressor's error included."""
        return self._need("sigma_").sigma_

    @property
    def linear_effects_(self) -> pd.DataFrame:
        """Linear effects: estimate, standard error, test and interval of each column.

        Computed when it is asked for: Satterthwaite's degrees of freedom cost as much as a fit.
        """
        self._need("linear_effects_")
        if "linear_models_" not in vars(self):
            raise AttributeError("This MixedEffectsRegressor has no linear part: linear=None.")
        return combined(self.linear_models_)

    def _need(self, attribute: str) -> MixedLinearRegressor:
        """Return the model of the effects, or say as an attribute error that there is none."""
        if "mixed_model_" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {attribute!r} before fit."
            )
        return self.mixed_model_

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this estimator.

        Returns
        -------
        MetadataRouter
            The own requests, and those of the regressor's fit. Where the constructor
            names the grouping columns, an unset request for `groups` counts as False.

        Examples
        --------
        >>> from sklearn.linear_model import Ridge
        >>> from skmixed import MixedEffectsRegressor
        >>> routing = MixedEffectsRegressor(Ridge(), "shop").get_metadata_routing()
        >>> list(routing)[0][0]
        'regressor'
        """
        own = self._get_metadata_request()
        if self.groups is not None:
            leave_groups(own)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(own)
        return router.add(regressor=self.regressor, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        own = get_tags(self.regressor)
        tags.input_tags.categorical = self.groups is not None or own.input_tags.categorical
        tags.input_tags.sparse = own.input_tags.sparse
        # Grouping columns have no missing labels
        tags.input_tags.allow_nan = own.input_tags.allow_nan and self.groups is None
        tags.non_deterministic = own.non_deterministic
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "mixed_model_" in vars(self)

    def _routed(self, sample_weight: Any, fit_params: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the regressor's fit is given; None without routing."""
        if not get_config()["enable_metadata_routing"]:
            if fit_params:
                raise ValueError(
                    f"fit was given {', '.join(map(repr, sorted(fit_params)))} for `regressor` "
                    "without metadata routing. Enable it by "
                    "sklearn.set_config(enable_metadata_routing=True)."
                )
            return None
        given = dict(fit_params)
        if sample_weight is not None:
            given["sample_weight"] = sample_weight
        return dict(process_routing(self, "fit", **given)["regressor"]["fit"])


MixedEffectsRegressor.set_by_fit = frozenset(get_annotations(MixedEffectsRegressor))
