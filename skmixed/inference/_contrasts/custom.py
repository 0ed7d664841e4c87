"""Comparisons by weights that a user gives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.table import shown
from skmixed._typing import FloatArray
from skmixed.inference._contrasts.families import CellFamily
from skmixed.inference._contrasts.methods import Weights


def custom_weights(method: Any, family: CellFamily) -> Weights:
    """Return the weights over the cells of a family, from a mapping, a frame or a matrix."""
    named = _by_name(method)
    rows = [_weights(name, own, family) for name, own in named.items()]
    return Weights(tuple(map(str, named)), np.array(rows))


def _by_name(method: Any) -> Mapping[Any, Any]:
    """Return the weights of each comparison by its name."""
    if isinstance(method, pd.DataFrame):
        named: Mapping[Any, Any] = dict(method.iterrows())
        if len(named) < len(method):
            raise ValueError("The method has one name twice among its rows. Rename it.")
        twice = method.columns[method.columns.duplicated()]
        if len(twice):
            raise ValueError(
                f"The method has the column {twice[0]!r} twice, which has one weight in each "
                "comparison. Leave one out."
            )
    elif isinstance(method, Mapping):
        named = method
    elif isinstance(method, list | tuple | np.ndarray):
        try:
            rows = np.atleast_2d(np.asarray(method, dtype=float))
        except (TypeError, ValueError) as error:
            raise ValueError(_no_method(method)) from error
        named = {f"c{k + 1}": row for k, row in enumerate(rows)}
    else:
        raise TypeError(_no_method(method))
    if not named:
        raise ValueError("The method has no comparison. Give the weights of one or more.")
    return named


def _no_method(method: Any) -> str:
    return (
        f"method={shown(method)} is no comparison. Give the name of a method, or weights: a "
        "mapping from names of comparisons to weights, or a matrix with a row for each."
    )


def _weights(name: Any, own: Any, family: CellFamily) -> FloatArray:
    n = len(family.cells)
    out = np.zeros(n)
    if isinstance(own, pd.Series) and isinstance(own.index, pd.RangeIndex):
        own = own.to_numpy()
    if isinstance(own, Mapping | pd.Series):
        for cell, weight in own.items():
            out[family.place(cell, f"method[{name!r}]")] += _number(name, weight)
    else:
        try:
            out = np.asarray(own, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"method[{name!r}]={shown(own)} are no weights. Give a number for each cell, or "
                "a mapping from cells to numbers."
            ) from error
    if out.shape != (n,):
        raise ValueError(
            f"method[{name!r}] has weights of shape {out.shape}, and the family has {n} cells: "
            f"{', '.join(map(repr, family.plain_labels[:10]))}{', ...' if n > 10 else ''}. Give "
            "one weight for each."
        )
    if not np.isfinite(out).all() or not out.any():
        what = "only zeros" if not out.any() else "weights that are NaN or infinite"
        raise ValueError(f"method[{name!r}] has {what}. Give others.")
    return out


def _number(name: Any, weight: Any) -> float:
    try:
        return float(weight)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"method[{name!r}] has the weight {weight!r}, which is no number."
        ) from error
