"""The fitted model in a saved state, its checks, and a copy that predicts and no more."""

from collections.abc import Mapping
from typing import Any, TypeVar

from sklearn.utils.validation import check_is_fitted

from skmixed._estimation.fit import Estimate
from skmixed._fitted.fitted_model import FittedModel
from skmixed._saved.calibrations import check_calibration
from skmixed._saved.encoder import check_encoder
from skmixed._saved.estimates import check_estimate
from skmixed._saved.form import PARTS
from skmixed._saved.requirements import check_counts, check_kind, require
from skmixed._saved.rows import check_family_rows, check_rows, check_sizes
from skmixed._saved.statistics import check_products

E = TypeVar("E")

# What a fitted model is made of, by the names that it is saved by.
CLASSES: Mapping[str, Any] = {**PARTS, "fitted model": FittedModel}


def check_model(model: Any, n_features: Any) -> None:
    """Refuse, with a ValueError, a fitted model whose parts are no parts of one."""
    check_kind("model", model, FittedModel)
    check_kind("estimate", model.estimate, Estimate)
    check_encoder(model.encoder, n_features)
    check_counts("number of rows", model.n_rows)
    check_estimate(model.encoder, model.estimate)
    if model.products is not None:
        check_products(model.encoder, model.products)
        check_rows(model.encoder, model.rows, model.products.n_rows)
        check_family_rows(model.encoder, model.family_rows, model.solution.family, model.n_rows)
    check_kind("calibrations", model.calibrations, tuple)
    for own in model.calibrations:
        check_calibration(model.encoder, own)
    n = None if model.products is None else model.n_rows
    check_sizes(model.encoder, model.solution.residual, n)
    require(model.products is not None or model.rows is model.family_rows is None, "rows")
    if model.before is not None:
        check_model(model.before, n_features)
        require(model.before.before is None, "further rows")


def slim(self: E) -> E:
    """Return a copy without the statistics of the fit, for serving.

    It predicts the same to the bit and shows the estimates, in the memory
    of the labels and the BLUPs. Inference, `partial_fit` and `update_groups`
    raise a ValueError; `fit` works as ever. The copy shares arrays with the
    original, which keeps its statistics.

    Returns
    -------
    MixedLinearRegressor
        The copy.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If there is nothing to copy.

    See Also
    --------
    summary : Shows the estimates, of a slim copy too.

    Examples
    --------
    >>> import pickle
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> small = model.slim()
    >>> bool((small.predict(X) == model.predict(X)).all())
    True
    >>> len(pickle.dumps(small)) < len(pickle.dumps(model))
    True
    """
    check_is_fitted(self)
    copy = type(self).__new__(type(self))
    copy.__dict__.update(vars(self), _model=vars(self)["_model"].slim())
    return copy
