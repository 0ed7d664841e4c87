"""What the estimators of generalized models share."""

from collections.abc import Callable, Sequence
from inspect import get_annotations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skmixed._data.metadata import leave_groups
from skmixed._data.parameters import NestedParameters
from skmixed._data.random_effect import AllExcept
from skmixed._data.table import Table, open_checked
from skmixed._estimators.regressor import Groups
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.results import SharedAttributes, results
from skmixed._generalized_estimators.incremental import fit_chunks, update_groups
from skmixed._generalized_estimators.predicting import sample_y
from skmixed._generalized_estimators.reading import check_parameters
from skmixed._generalized_estimators.summary import summary
from skmixed._typing import ColumnName, FloatArray

PUBLISHED = (
    "coef_",
    "intercept_",
    "theta_",
    "criterion_",
    "converged_",
    "singular_",
    "status_",
    "n_iter_",
)


class GeneralizedAttributes(SharedAttributes):
    """The attributes of a fitted generalized model."""

    # What fit sets. Other names, such as a subclass sets before, are left alone.
    _model: FittedModel
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    coef_: FloatArray
    intercept_: Any
    theta_: FloatArray
    criterion_: float
    converged_: bool
    singular_: bool
    status_: str
    n_iter_: int
    n_nodes_: int
    n_passes_: int
    shape_: float

    def _publish(self) -> None:
        """Set the attributes that show the model."""
        found = results(self._model, self.n_features_in_)
        self.__dict__.update((name, found[name]) for name in PUBLISHED)
        family = self._model.solution.family
        assert family is not None
        self.n_nodes_, self.n_passes_ = family.n_nodes, family.n_passes
        if family.has_shape:
            self.shape_ = float(np.exp(family.phi))


GeneralizedAttributes.set_by_fit = frozenset(get_annotations(GeneralizedAttributes))


class GeneralizedEstimator(NestedParameters, GeneralizedAttributes, BaseEstimator):
    """A base: parameters, and the way from rows to a fitted model.

    A subclass has `_reader`, and `_response`, from y to what the likelihood takes; where that
    are classes, `_labels` leads back.
    """

    # Whether a weight is a number of trials of which the response is the mean.
    _has_trials: ClassVar[bool] = False
    _has_exposure: ClassVar[bool] = False

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

    # Methods that stand in modules of their own.
    summary = summary
    fit_chunks = fit_chunks
    update_groups = update_groups
    sample_y = sample_y

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
            leave_groups(routing)
        return routing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self.groups is not None
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def _response(self, y: Any, n_rows: int) -> FloatArray:
        raise NotImplementedError

    def _labels(self, response: FloatArray) -> Any:
        return response

    def _open(self, X: Any, y: Any) -> Table:
        """Check the parameters and open X, for a fit."""
        check_parameters(self)
        return open_checked(X, self, y, reset=True)
