"""What the factors of formulaic's formulas name, and the columns that they need."""

import ast
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from skmixed._formula_syntax import error_at, place_of

DATE_ADVICE = "Make a number of them, such as days since the first."


def names_of(formula: Any) -> list[str]:
    """Return all names that a formula uses, sorted: columns, functions and others.

    formulaic's own list leaves out the columns of stateful transformations.
    """
    names: set[str] = set()
    for factor in {factor for term in formula for factor in term.factors}:
        if factor.eval_method.value == "lookup":
            names.add(factor.expr)
        elif factor.eval_method.value == "python":
            names |= _names_in_code(factor.expr)
    return sorted(names)


def _names_in_code(expression: str) -> set[str]:
    quoted = re.findall(r"`([^`]+)`", expression)
    for k, name in enumerate(quoted):
        expression = expression.replace(f"`{name}`", f"_quoted_{k}_")
    nodes = list(ast.walk(ast.parse(expression.strip(), mode="eval")))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Q":
            names |= {str(own.value) for own in node.args if isinstance(own, ast.Constant)}
    return {name for name in names - bound if not name.startswith("_quoted_")} | set(quoted)


def written(term: Any) -> str:
    """Write a term so that formulaic reads it again, names with blanks and all."""
    return ":".join(map(_written_factor, term.factors))


def _written_factor(factor: Any) -> str:
    forms = {"lookup": "`{}`", "python": "{{{}}}"}
    return forms.get(factor.eval_method.value, "{}").format(factor.expr)


def with_floats(frame: pd.DataFrame, formula: Any) -> pd.DataFrame:
    """Compute as R does, with doubles: integers of few bits overflow.

    Those that C(…) takes for labels stay integers, of 64 bits.
    """
    factors = {factor.expr for term in formula for factor in term.factors}
    codes = [_names_in_code(expr) for expr in factors if expr.startswith("C(")]
    labels: set[str] = set().union(*codes)
    types: dict[Any, str] = {}
    for name, dtype in frame.dtypes.items():
        if pd.api.types.is_float_dtype(dtype):
            types[name] = "float64"
        elif pd.api.types.is_integer_dtype(dtype):
            types[name] = "int64" if name in labels else "float64"
    return frame.astype(types)


def has_labels(column: Any) -> bool:
    """Whether a column holds categories: text or pandas categories, not numbers or dates."""
    dtype: Any = getattr(column, "dtype", None)
    if pd.api.types.is_object_dtype(dtype):
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        return inferred not in ("integer", "floating", "mixed-integer-float", "boolean")
    if isinstance(dtype, pd.CategoricalDtype):
        return True
    is_number = pd.api.types.is_numeric_dtype(dtype)
    return not (is_number or getattr(dtype, "kind", "") in "mM")


def check_no_dates(text: str, formula: Any, name: str, column: Any) -> None:
    """Refuse a column of dates as a term; functions may take one."""
    exprs = {f.expr for term in formula for f in term.factors if f.eval_method.value == "lookup"}
    if name in exprs and getattr(getattr(column, "dtype", None), "kind", "") in "mM":
        raise error_at(
            text, place_of(text, name), f"Column {name!r} holds dates or times. {DATE_ADVICE}"
        )


def check_names(text: str, parts: Iterable[Any], grouping: Iterable[str]) -> None:
    """Refuse a formula that makes two columns of one name.

    `parts` are formulaic's specs.
    """
    owners: dict[str, set[str]] = {name: {f"`{name}`"} for name in grouping}
    for spec in parts:
        for term, columns in spec.term_indices.items():
            owner = set(map(_written_factor, term.factors))
            for name in (spec.column_names[k] for k in columns):
                if owners.setdefault(name, owner) != owner:
                    raise error_at(
                        text,
                        place_of(text, name),
                        f"The formula makes two columns of the name {name!r}. Rename the column "
                        "of the data.",
                    )
