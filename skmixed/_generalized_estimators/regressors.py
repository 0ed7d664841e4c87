"""What the regressors of generalized models share: fit, predict and score."""

from typing import Any

from sklearn.base import RegressorMixin

from skmixed._fitted import checks as validation
from skmixed._fitted.messages import speaking
from skmixed._generalized_estimators.base import GeneralizedEstimator
from skmixed._generalized_estimators.predicting import linear_rows
from skmixed._generalized_estimators.reading import (
    WORDS,
    ResponseToModel,
    check_domain,
    fit_model,
    log_exposure,
)
from skmixed._model.family import Family
from skmixed._typing import FloatArray


class GeneralizedRegressor(RegressorMixin, GeneralizedEstimator):
    """A base of regressors; a subclass has the family."""

    def _family(self) -> Family:
        raise NotImplementedError

    def _fit(self, X: Any, y: Any, sample_weight: Any, groups: Any, exposure: Any = None) -> None:
        table = self._open(X, y)
        response = validation.check_response(y, table.n_rows, type(self).__name__)
        with speaking(WORDS):
            weights = validation.check_weights(sample_weight, table.n_rows)
        family = self._family()
        check_domain(response, family, type(self).__name__)
        offset = log_exposure(exposure, table.n_rows)
        fit_model(self, table, ResponseToModel(family, response, weights, offset), groups)

    def _mean(
        self, X: Any, groups: Any, include: Any, effects: str, exposure: Any = None
    ) -> FloatArray:
        def offset(n_rows: int) -> FloatArray:
            return log_exposure(exposure, n_rows)

        return linear_rows(self, X, groups, include, effects, offset).mean()
