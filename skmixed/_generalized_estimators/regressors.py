"""What the regressors of generalized models share: fit, predict and score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, overload

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin

from skmixed._data.metadata import weights_not_labels
from skmixed._data.random_effect import AllExcept
from skmixed._estimators.predicting import scored
from skmixed._estimators.regressor import Groups
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import committed, committed_fit
from skmixed._generalized_estimators.base import GeneralizedEstimator
from skmixed._generalized_estimators.intervals import predict_interval, standard_deviations
from skmixed._generalized_estimators.predicting import linear_rows
from skmixed._generalized_estimators.reading import ResponseReader, check_domain, fit_model
from skmixed._model.family import Family
from skmixed._typing import ColumnName, FloatArray
from skmixed.typing import CovarianceName, Effects, HandleUnknown, Include, Quadrature


class GeneralizedRegressor(RegressorMixin, GeneralizedEstimator):
    """A base of regressors; a subclass has the family."""

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: CovarianceName = "full",
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
        self.fit_intercept = fit_intercept
        self.handle_unknown = handle_unknown
        self.quadrature = quadrature
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    def _family(self) -> Family:
        raise NotImplementedError

    def _counts(self, response: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, ...]:  # noqa: ARG002
        """Return what is counted in the rows; nothing of a response that is measured."""
        return ()

    def _reader(self) -> ResponseReader:
        return ResponseReader(self._family(), type(self).__name__, self._counts)

    def _response(self, y: Any, n_rows: int) -> FloatArray:
        response = validation.check_response(y, n_rows, type(self).__name__)
        check_domain(response, self._family())
        return response

    def _mean(
        self,
        X: Any,
        groups: Any,
        include: Any,
        effects: str,
        added: Callable[[int], FloatArray] | None = None,
        return_std: Any = False,
    ) -> Any:
        """Predict; `added` makes of the number of rows what is added to η."""
        validation.check_flag("return_std", return_std)
        mean = linear_rows(self, X, groups, include, effects, added).mean()
        if not return_std:
            return mean
        return mean, standard_deviations(self, X, groups, include, added)


def fit_with_offset(
    estimator: Any, X: Any, y: FloatArray, sample_weight: Any, offset: FloatArray | None
) -> None:
    """Fit an estimator with something added to the linear predictor of each row."""
    committed(estimator, lambda own: fit_model(own, X, y, sample_weight, None, None, offset))


class MeanRegressor(GeneralizedRegressor):
    """A base of regressors of responses without an exposure."""

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
            Positive responses; of `MixedBinomialRegressor` shares of trials.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each sample counts.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; predictions then need them too.

        Returns
        -------
        MeanRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Examples
        --------
        >>> from skmixed import MixedGammaRegressor
        >>> model = MixedGammaRegressor().fit([[0.0], [0.0], [1.0], [1.0]], [2.0, 4.0, 9.0, 6.0])
        >>> model.fixed_effects_.round(3)
        (Intercept)    1.099
        x0             0.916
        dtype: float64
        """
        given = {"sample_weight": sample_weight, "groups": groups}
        return committed_fit(
            self, lambda own: fit_model(own, X, y, sample_weight, groups, None), X, y, **given
        )

    @overload
    def predict(
        self,
        X: Any,
        *,
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
        groups: Any = ...,
        include: Include = ...,
        effects: Effects = ...,
        return_std: bool,
    ) -> Any: ...
    def predict(
        self,
        X: Any,
        *,
        groups: Any = None,
        include: Include = "all",
        effects: Effects = "mode",
        return_std: bool = False,
    ) -> Any:
        """Predict expected responses.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples with the columns that `fit` was given.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        include : "all", "fixed" or list of str, default="all"
            The grouping factors that count: those of known groups by their
            effects, unknown ones by the mean over the distribution of theirs.
            The effects of others are 0.
        effects : {"mode", "mean"}, default="mode"
            The expected response at the mode of a known group's effects, as R's
            glmer predicts, or its mean over their distribution given the data.
            The distribution is exact for one grouping factor with at most three
            coefficients, by quadrature, to 1e-6; else it is normal by Laplace's
            approximation, whose mean can be farther from the exact one than the
            mode is where groups have few rows. "mean" needs the rows of the fit.
        return_std : bool, default=False
            Whether to return the standard deviation of a new observation, of one trial,
            too, whose groups are new ones of factors that are not included.

        Returns
        -------
        ndarray of shape (n_samples,)
            Expected responses.
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
        >>> from skmixed import MixedGammaRegressor
        >>> model = MixedGammaRegressor().fit([[0.0], [0.0], [1.0], [1.0]], [2.0, 4.0, 9.0, 6.0])
        >>> model.predict([[0.0], [1.0]]).round(3)
        array([3. , 7.5])
        """
        return self._mean(X, groups, include, effects, return_std=return_std)

    predict_interval = predict_interval

    @weights_not_labels
    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
    ) -> float:
        """Return R² of the predictions, as every scikit-learn regressor.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples to predict.
        y : array-like of shape (n_samples,)
            The observed responses.
        sample_weight : array-like of shape (n_samples,), default=None
            The weight of each sample in the score.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        float
            Coefficient of determination, at most 1.

        Examples
        --------
        >>> from skmixed import MixedGammaRegressor
        >>> X, y = [[0.0], [0.0], [1.0], [1.0]], [2, 4, 9, 6]
        >>> round(MixedGammaRegressor().fit(X, y).score(X, y), 3)
        0.757
        """
        return scored(self, X, y, sample_weight, groups=groups)
