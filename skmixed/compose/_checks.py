"""What MixedEffectsRegressor refuses of its parameters, and of its regressor."""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import Any

from pandas.api.types import is_bool_dtype, is_numeric_dtype
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skmixed._data.table import Table, numeric_column, shown
from skmixed._fitted import checks as validation
from skmixed._fitted.messages import Words
from skmixed._fitted.runtime import check_seed
from skmixed._typing import FloatArray

# What messages of the model of the effects call things here.
TURNS = Words(
    from_fixed="out of `linear`",
    fewer_fixed="Name fewer columns in `linear`.",
    iterative="Use coarser factors or fewer random slopes.",
    exact="Use coarser factors or fewer random slopes.",
)


def check_parameters(estimator: Any) -> None:
    """Check what needs no data."""
    validation.check_choice("method", estimator.method, validation.METHODS)
    validation.check_choice("handle_unknown", estimator.handle_unknown, validation.UNKNOWN)
    validation.check_flag("keep_groups", estimator.keep_groups)
    validation.check_number("tol", estimator.tol)
    validation.check_number("max_iter", estimator.max_iter, integral=True)
    validation.check_verbose(estimator.verbose)
    check_seed(estimator.random_state)
    check_regressor(estimator.regressor)


def check_regressor(regressor: Any) -> None:
    """Refuse what is no regressor.

    Raises
    ------
    TypeError
        If it is a class, or lacks a method.
    ValueError
        If it is a classifier, or another kind of estimator.
    """
    found = shown(regressor)
    if isinstance(regressor, type):
        raise TypeError(f"regressor={found} is a class. Give an instance of it.")
    missing = [
        name for name in ("fit", "predict", "get_params") if not hasattr(type(regressor), name)
    ]
    if missing:
        raise TypeError(
            f"regressor={found} has no method {missing[0]!r}. Give a regressor of scikit-learn, "
            "such as HistGradientBoostingRegressor()."
        )
    if is_classifier(regressor):
        raise ValueError(
            f"regressor={found} is a classifier. Give a regressor; for classes of groups there is "
            "MixedLogisticClassifier."
        )
    if not is_regressor(regressor):
        raise ValueError(f"regressor={found} is no regressor. Give one that predicts numbers.")


def check_finite(regressor: Any, table: Table, positions: Sequence[int]) -> None:
    """Refuse columns with missing or infinite numbers for a regressor whose tags say that it would.

    What has other estimators for parameters may fill them in; its tags are not those of all.
    """
    parts = regressor.get_params(deep=True).values()
    if get_tags(regressor).input_tags.allow_nan or any(hasattr(own, "fit") for own in parts):
        return
    for j in positions:
        column = table.get(j)
        if not is_numeric_dtype(column.dtype):
            continue
        try:
            numeric_column(column, table.label(j))
        except ValueError as error:
            raise ValueError(
                f"{error} {type(regressor).__name__}, of `regressor`, takes none: its tag "
                "input_tags.allow_nan is False. A Pipeline imputes within each fold."
            ) from error


def refusal(error: ValueError, target: FloatArray, response: FloatArray) -> ValueError:
    """Return the error of a regressor that refuses rows, with its cause where the model knows it.

    Parameters
    ----------
    error : ValueError
        What the regressor says.
    target : (n_trained,) array
        What it was to be trained on.
    response : (n,) array
    """
    least, least_target = response.min(), target.min()
    if not (least_target <= 0 < least or least_target < 0 <= least):
        return error
    return ValueError(
        f"`regressor` says: {error} It is trained on y less the effects of the groups (and on "
        f"columns of `linear`), here from {least_target:.3g} on, though y is positive. If "
        "that is what it refuses, give it a loss for all numbers, or model the logarithm of y: "
        "TransformedTargetRegressor(MixedEffectsRegressor(...), func=np.log, inverse_func=np.exp)."
    )


def check_text(estimator: Any, table: Table, grouping: set[int]) -> None:
    """Refuse grouping columns of text for a regressor that takes numbers."""
    tags = get_tags(estimator.regressor).input_tags
    if isinstance(estimator.regressor, Pipeline) or tags.categorical or tags.string:
        return
    for j in sorted(grouping):
        column = table.get(j)
        if not (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)):
            raise ValueError(
                f"keep_groups=True hands grouping column {table.label(j)!r} (dtype {column.dtype}) "
                f"to `regressor`, and {type(estimator.regressor).__name__} takes numbers alone. "
                "Give a Pipeline that encodes it, or keep_groups=False."
            )


def weight_params(regressor: Any, weights: FloatArray | None) -> dict[str, Any]:
    """Return the weights under the name by which the regressor's fit takes them."""
    if weights is None:
        return {}
    prefix, last = "", regressor
    while isinstance(last, Pipeline):
        name, last = last.steps[-1]
        prefix += f"{name}__"
    if not (has_fit_parameter(last, "sample_weight") or _hands_on(last)):
        raise ValueError(
            f"sample_weight is given, but {type(last).__name__}.fit, of `regressor`, takes none. "
            "Leave it out, or give another regressor."
        )
    return {f"{prefix}sample_weight": weights}


def _hands_on(regressor: Any) -> bool:
    """Whether a regressor's fit takes any argument, to hand it to another's."""
    kinds = {p.kind for p in signature(regressor.fit).parameters.values()}
    return Parameter.VAR_KEYWORD in kinds
