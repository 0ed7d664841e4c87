"""What the regressors of counts share: an exposure, also of rows in chunks, and draws."""

from __future__ import annotations

from typing import Any, Literal, Self, overload

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skmixed._data.chunks import ChunkColumns
from skmixed._data.metadata import weights_not_labels
from skmixed._estimators.predicting import scored
from skmixed._fitted.fitting import committed, committed_fit
from skmixed._generalized_estimators.incremental import MOST_ROWS, fit_to_chunks, update_with
from skmixed._generalized_estimators.intervals import predict_interval_of_counts
from skmixed._generalized_estimators.predicting import DrawSettings, sampled
from skmixed._generalized_estimators.reading import check_exposure_given, fit_model, log_exposure
from skmixed._generalized_estimators.regressors import GeneralizedRegressor
from skmixed._typing import FloatArray
from skmixed.typing import Effects, Include, SampledEffects


class CountRegressor(GeneralizedRegressor):
    """A base of regressors of counts, which may be proportional to an exposure."""

    _has_exposure = True

    def _counts(self, response: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, ...]:  # noqa: ARG002
        return (response,)

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
        given = {"sample_weight": sample_weight, "groups": groups, "exposure": exposure}
        return committed_fit(
            self, lambda own: fit_model(own, X, y, sample_weight, groups, exposure), X, y, **given
        )

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
            The most rows to hold in memory once equal ones are pooled; each takes some
            600 bytes. Rows are equal where X, the exposure and, of a negative binomial
            distribution, the count are. Where more remain the source is read again for
            each step.

        Returns
        -------
        CountRegressor
            The estimator itself. A failure, also of the source, leaves it as it was.

        Raises
        ------
        ValueError, TypeError
            As in `fit`, with the number of the chunk; the first is chunk 0. If the
            source can be read once only, or has other rows when it is read again. Of
            rows that are too many to hold, if `quadrature` is not 1.

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

    @overload
    def predict(
        self,
        X: Any,
        *,
        exposure: ArrayLike | None = ...,
        groups: Any = ...,
        include: Include = ...,
        effects: Effects = ...,
        return_std: Literal[False] = ...,
    ) -> FloatArray: ...
    @overload
    def predict(
        self,
        X: Any,
        *,
        exposure: ArrayLike | None = ...,
        groups: Any = ...,
        include: Include = ...,
        effects: Effects = ...,
        return_std: Literal[True],
    ) -> tuple[FloatArray, FloatArray]: ...
    @overload
    def predict(
        self,
        X: Any,
        *,
        exposure: ArrayLike | None = ...,
        groups: Any = ...,
        include: Include = ...,
        effects: Effects = ...,
        return_std: bool,
    ) -> Any: ...
    def predict(
        self,
        X: Any,
        *,
        exposure: ArrayLike | None = None,
        groups: Any = None,
        include: Include = "all",
        effects: Effects = "mode",
        return_std: bool = False,
    ) -> Any:
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
            glmer predicts, or its mean over their distribution given the data.
            The distribution is exact for one grouping factor with at most three
            coefficients, by quadrature, to 1e-6; else it is normal by Laplace's
            approximation, whose mean can be farther from the exact one than the
            mode is where groups have few rows. "mean" needs the rows of the fit.
        return_std : bool, default=False
            Whether to return the standard deviation of a new count too, whose groups are
            new ones of factors that are not included.

        Returns
        -------
        ndarray of shape (n_samples,)
            Expected counts.
        ndarray of shape (n_samples,)
            With `return_std`, standard deviations by the distribution of which
            `predict_interval` has the quantiles.

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
        return self._mean(
            X, groups, include, effects, lambda n: log_exposure(exposure, n), return_std
        )

    predict_interval = predict_interval_of_counts

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
            The exposure of each sample; needed if the fit had one.
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
        check_is_fitted(self)
        check_exposure_given(self._model, exposure)
        return scored(self, X, y, sample_weight, exposure=exposure, groups=groups)

    @weights_not_labels
    def update_groups(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        exposure: ArrayLike | None = None,
        groups: Any = None,
    ) -> Self:
        """Learn the effects of new or grown groups, with the model kept.

        As `MixedLogisticClassifier.update_groups`, with an exposure.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Further rows, none of which the fit has seen, with the columns of `fit`.
        y : array-like of shape (n_samples,)
            Counts, 0 or more.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each sample counts.
        exposure : array-like of shape (n_samples,), default=None
            The exposure of each sample; needed if the fit had one.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        CountRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the model has no random effects, X does not match that of `fit`,
            there are no rows, or a group, a number or a response is missing.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> X, y = [[1], [1], [1], [2], [2], [2], [3], [3]], [9, 12, 8, 2, 3, 1, 4, 5]
        >>> model = MixedPoissonRegressor(0).fit(X, y)
        >>> model.update_groups([[4], [4]], [14, 11]).predict([[4]]).round(1)
        array([11.2])
        """
        check_is_fitted(self)
        check_exposure_given(self._model, exposure)
        update_with(self, X, y, sample_weight, groups, exposure)
        return self

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: Any = 0,
        *,
        effects: SampledEffects = "conditional",
        exposure: ArrayLike | None = None,
        groups: Any = None,
    ) -> FloatArray:
        """Draw new counts for the rows of X.

        Parameters
        ----------
        X : frame or array-like of shape (n_rows, n_features)
            Samples with the columns that `fit` was given.
        n_samples : int, default=1
            The number of counts that are drawn for each row.
        random_state : int, RandomState, Generator or None, default=0
            An int gives the same samples at each call.
        effects : {"conditional", "new"}, default="conditional"
            Whether effects of known groups are drawn given the data, or all groups are
            new, as in `MixedLogisticClassifier.sample_y`.
        exposure : array-like of shape (n_rows,), default=None
            The exposure of each row; needed if the fit had one.
        groups : array-like of shape (n_rows,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            Counts.

        Raises
        ------
        ValueError
            If a parameter or X is not as above, a group is unknown and
            ``handle_unknown="error"``, or a count is too large to be drawn.

        See Also
        --------
        MixedLogisticClassifier.sample_y : How effects are drawn.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> X, y = [[1], [1], [1], [2], [2], [2]], [9, 12, 8, 2, 3, 1]
        >>> model = MixedPoissonRegressor(0).fit(X, y)
        >>> model.sample_y([[1], [2]], 100, exposure=[1, 100]).mean(axis=1).round()
        array([  9., 244.])
        """
        check_is_fitted(self)
        check_exposure_given(self._model, exposure)
        settings = DrawSettings(n_samples, random_state, effects)
        return sampled(self, X, settings, groups=groups, offset=lambda n: log_exposure(exposure, n))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
