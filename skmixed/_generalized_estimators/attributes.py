"""What a fit of a generalized model sets."""

from inspect import get_annotations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.results import SharedAttributes, results
from skmixed._typing import FloatArray


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
    shape_: float

    def _publish(self) -> None:
        """Set the attributes that show the model."""
        found = results(self._model, self.n_features_in_)
        self.__dict__.update((name, found[name]) for name in PUBLISHED)
        family = self._model.solution.family
        assert family is not None
        self.n_nodes_ = family.n_nodes
        if family.has_shape:
            self.shape_ = float(np.exp(family.phi))


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
GeneralizedAttributes.set_by_fit = frozenset(get_annotations(GeneralizedAttributes))
