"""What the estimators of generalized models share."""

from collections.abc import Callable, Sequence
from typing import Any

from sklearn.base import BaseEstimator

from skmixed._data.parameters import NestedParameters
from skmixed._data.random_effect import AllExcept
from skmixed._data.table import Table, open_checked
from skmixed._estimators.regressor import Groups
from skmixed._generalized_estimators.attributes import GeneralizedAttributes
from skmixed._generalized_estimators.reading import check_parameters
from skmixed._generalized_estimators.summary import summary
from skmixed._typing import ColumnName


class GeneralizedEstimator(NestedParameters, GeneralizedAttributes, BaseEstimator):
    """A base: parameters, and the way from rows to a fitted model.

    A subclass has `_family` and `_target`.
    """

    groups: Groups | None
    random_slopes: ColumnName | Sequence[ColumnName] | None
    fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None
    covariance: str
    fit_intercept: bool
    handle_unknown: str
    quadrature: int | str
    tol: float
    max_iter: int
    verbose: int

    # Stands in a module of its own.
    summary = summary

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this estimator.

        Where the constructor names the grouping columns, an unset request for
        `groups` counts as False, so that a splitter that asks for groups does
        not oblige the estimator to.

        Returns
        -------
        MetadataRequest
            The requests of the methods.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> routing = MixedPoissonRegressor("region").get_metadata_routing()
        >>> routing.fit.requests["groups"]
        False
        """
        routing = super().get_metadata_routing()
        if self.groups is not None:
            for method in ("fit", "predict", "predict_proba", "decision_function", "score"):
                request = getattr(routing, method, None)
                if request is not None and request.requests.get("groups", False) is None:
                    request.add_request(param="groups", alias=False)
        return routing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self.groups is not None
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def _open(self, X: Any, y: Any) -> Table:
        """Check the parameters and open X, for a fit."""
        check_parameters(self)
        return open_checked(X, self, y, reset=True)
