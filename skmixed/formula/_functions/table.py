"""The functions of formulas by name: R's, where formulaic has none, or another meaning."""

from collections.abc import Mapping
from functools import cache, wraps
from typing import Any

from skmixed.formula._code import AS_CODED, AS_FACTOR, AS_NUMBER, AS_TERM, CONTRASTS, as_number
from skmixed.formula._functions.factors import as_term, coded, contrasts_of, factor, relevel
from skmixed.formula._functions.polynomials import LEARNING, poly, scale
from skmixed.formula._functions.splines import bs, ns

LEARNED = {"ns": ns, "bs": bs, "poly": poly, "scale": scale}


def combined(*values: Any) -> list[Any]:
    """R's ``c``."""
    return list(values)


PLAIN = {"factor": factor, AS_FACTOR: factor, "relevel": relevel, "c": combined}
# R's words for values.
VALUES = {"TRUE": True, "FALSE": False, "NULL": None}
# Those that no formula names itself.
MARKED = {AS_NUMBER: as_number, AS_TERM: as_term, AS_CODED: coded, CONTRASTS: contrasts_of}


def check_context(context: Any) -> None:
    if context is not None and not isinstance(context, Mapping):
        raise TypeError(
            f"context={context!r} is of type {type(context).__name__}. Give a mapping from names "
            "to the functions and values that the formula uses, such as {'double': double}."
        )


@cache
def own_functions() -> dict[str, Any]:
    """Return what formulas name beside what formulaic has."""
    learned = {name: _learning(function) for name, function in LEARNED.items()}
    return {**learned, **PLAIN, **VALUES}


def _learning(function: Any) -> Any:
    """Return a function that keeps what it learns, whose column may be named: ``ns(x=days)``."""
    from formulaic.transforms import stateful_transform

    inner = stateful_transform(function)

    @wraps(inner)
    def outer(x: Any, *more: Any, **named: Any) -> Any:
        # formulaic looks for names by evaluating arguments, without what was learned.
        return inner(x, *more, **named) if "_state" in named else x

    return outer


def namespace(context: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """Return what code may name beside columns: what a formula learns from, or its new rows."""
    return {**own_functions(), **context, **MARKED, LEARNING: is_new}
