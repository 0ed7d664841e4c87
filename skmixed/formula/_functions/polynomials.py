"""Polynomials and standardized columns with R's numbers, as formulaic computes them."""

from typing import Any

import numpy as np

from skmixed.formula._functions.refusal import (
    FunctionError,
    numbers_of,
    shown,
    truth,
    unwrapped,
    whole_number,
)

# Says in the namespace of an evaluation whether functions learn.
LEARNING = "isꓘlearning"


def poly(
    x: Any,
    degree: Any = 1,
    raw: Any = False,
    *,
    _state: dict[str, Any],
    _context: Any,
) -> Any:
    """Orthogonal polynomials, as R's ``poly``, or with `raw` powers."""
    from formulaic import transforms

    values = numbers_of("poly", x)
    degree, raw = whole_number("poly", "degree", degree, 1), truth("poly", "raw", raw)
    if raw:
        return _powers(values, degree, _state, is_new=bool(_context[LEARNING]))
    n_distinct = len(np.unique(values[~np.isnan(values)]))
    if "alpha" not in _state and degree >= n_distinct:
        raise FunctionError(
            "poly",
            f"degree={degree} in poly(…): its column has {n_distinct} distinct values, through "
            f"which a polynomial of degree {n_distinct - 1} goes. Give a smaller one.",
        )
    return transforms.poly(values, degree, _state=_state)


def _powers(values: Any, degree: int, state: dict[str, Any], *, is_new: bool) -> Any:
    """Return powers by their exponents; models that were saved before count from 0."""
    from formulaic.materializers.types import FactorValues

    if is_new:
        state["first"] = 1
    names = tuple(str(k + state.get("first", 0)) for k in range(degree))
    return FactorValues(values[:, None] ** np.arange(1, degree + 1), column_names=names)


def scale(x: Any, center: Any = True, scale: Any = True, ddof: Any = 1, *, _state: Any) -> Any:
    """Standardize a column, as R's ``scale``: by the sum of squares over n − 1."""
    from formulaic import transforms

    values = np.asarray(unwrapped(x))
    if values.ndim == 1:
        values = numbers_of("scale", x)
        for name, own in {"center": center, "scale": scale}.items():
            if np.ndim(own) or not isinstance(own, bool | int | float | np.number):
                raise FunctionError(
                    "scale", f"{name}={shown(own)} in scale(…): give True, False or a number."
                )
    if "scale" not in _state and scale is True:
        _check_spread(values, center)
    return transforms.scale(values, center=center, scale=scale, ddof=ddof, _state=_state)


def _check_spread(values: Any, center: Any) -> None:
    """Refuse a column whose standard deviation is 0, or whose root mean square."""
    taken = values[:1] if center is True else 0.0 if center is False else np.asarray(center)
    constant = np.atleast_1d((values == taken).all(axis=0))
    if constant.any():
        value = np.atleast_2d(values.T)[int(np.argmax(constant)), 0]
        raise FunctionError(
            "scale",
            f"scale(…) is of a column with the one value {value:g}, which has no standard "
            "deviation to divide by. Leave it out of the formula.",
        )
