"""Factors in formulas: columns taken for one, another reference category, and codings."""

import inspect
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed.formula._functions.label_order import sorted_text
from skmixed.formula._functions.refusal import FunctionError, unwrapped


def factor(x: Any, levels: Any = None, *, contrasts: Any = None) -> Any:
    """Take a column for a factor, as R's function of this name does."""
    from formulaic.transforms import C

    levels = None if levels is None else list(levels)
    return C(with_sorted_text(x), contrasts, levels=levels)


def relevel(x: Any, ref: Any = None) -> Any:
    """Make another category the reference, as R's function of this name does."""
    from formulaic.transforms import C

    if ref is None or np.ndim(ref):
        raise FunctionError(
            "relevel", "relevel(…) needs the category that comes first: relevel(f, ref='b')."
        )
    values, levels = _values_and_levels(x)
    level, is_level = _matched(ref, levels)
    # The categories of a column are all that were there in fit, those of `factor` of
    # numbers only those of these rows.
    if not is_level and isinstance(values.dtype, pd.CategoricalDtype):
        raise _unknown(ref, levels)
    ordered = [level, *(own for own in levels if own != level)]
    own = C(pd.Series(pd.Categorical(values, categories=ordered)))
    encode = own.__formulaic_metadata__.encoder

    def checked(values: Any, *, encoder_state: dict[str, Any], **more: Any) -> Any:
        if not is_level and "categories" not in encoder_state:
            raise _unknown(ref, levels)
        return encode(values, encoder_state=encoder_state, **more)

    own.__formulaic_metadata__.encoder = checked
    return own


def coded(x: Any, coding: Any) -> Any:
    """Take a column for a factor of some coding, by formulaic's name of it."""
    from formulaic.transforms import C

    return C(x, contrasts_of(coding))


def contrasts_of(coding: str) -> Any:
    """Return formulaic's class of a coding."""
    from formulaic.transforms import ContrastsRegistry

    return getattr(ContrastsRegistry, coding)


def as_term(value: Any) -> Any:
    """Take computed booleans and text for factors, as R does."""
    if hasattr(value, "__formulaic_metadata__") or getattr(value, "ndim", 0) != 1:
        return value
    if value.dtype == np.bool_:
        return pd.Series(pd.Categorical(np.asarray(value), categories=[False, True]))
    return with_sorted_text(value)


def with_sorted_text(value: Any) -> Any:
    """Make a factor of computed text, its categories in R's order; leave all else."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "UO" or value.ndim != 1:
        return value
    if not _is_text(value):
        return pd.Series(value, dtype=object)
    return pd.Series(pd.Categorical(value, categories=_sorted_levels(value)))


def _is_text(values: NDArray[Any]) -> bool:
    return values.dtype.kind == "U" or bool(pd.api.types.infer_dtype(values) == "string")


def _sorted_levels(values: NDArray[Any]) -> list[Any]:
    found = pd.unique(values).astype(object)
    return list(sorted_text(found)) if _is_text(found) else sorted(found.tolist())


def _values_and_levels(x: Any) -> tuple[pd.Series, list[Any]]:
    """Return a factor's values, and its categories in their order."""
    values = pd.Series(unwrapped(x))
    encoder = getattr(getattr(x, "__formulaic_metadata__", None), "encoder", None)
    given = inspect.getclosurevars(encoder).nonlocals if encoder else {}
    if given.get("contrasts") is not None or (encoder and "contrasts" not in given):
        raise FunctionError(
            "relevel",
            "relevel(…) is of a factor without a coding. Code what it makes: "
            "C(relevel(f, ref='b'), contr.sum).",
        )
    if given.get("levels") is not None:
        values = pd.Series(pd.Categorical(values, categories=given["levels"]))
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values, values.cat.categories.tolist()
    if not encoder and values.dtype.kind in "iuf":
        raise FunctionError(
            "relevel",
            "relevel(…) is of a factor, and its column holds numbers. Write "
            "relevel(factor(k), ref=2) of a column k.",
        )
    return values, _sorted_levels(values.to_numpy())


def _matched(ref: Any, levels: list[Any]) -> tuple[Any, bool]:
    """Return the level that is meant, a number also by its text, and whether it is one."""
    named = ref
    if isinstance(ref, str) and ref not in levels and not any(isinstance(v, str) for v in levels):
        with suppress(ValueError):
            named = float(ref)  # of new rows perhaps none has it
    found = [own for own in levels if own == named or str(own) == ref]
    return (found[0], True) if found else (named, False)


def _unknown(ref: Any, levels: list[Any]) -> FunctionError:
    listed = ", ".join(map(repr, levels[:10])) + ", …" * (len(levels) > 10)
    return FunctionError(
        "relevel", f"ref={ref!r} in relevel(…) is no category of its factor, which has {listed}."
    )
