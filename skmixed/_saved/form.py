"""Values as plain arrays, lists and dicts, and back.

What is saved names the parts and their fields by words of its own, and no class of
this package: a later version reads it whatever its modules look like, and tools
that load trusted types only find none but the estimator's.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._data.categories import Categories
from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor, LabelSource
from skmixed._data.labels import ColumnLevels
from skmixed._data.subjects import SubjectColumns
from skmixed._estimation.fit import Estimate
from skmixed._estimation.identifiability import Identifiability
from skmixed._estimation.runs import MonteCarlo
from skmixed._estimation.solution import (
    FamilySolution,
    ResidualSolution,
    Solution,
    TermSolution,
)
from skmixed._folds.calibration import Calibration
from skmixed._generalized.rows import GeneralizedRows
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Term
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.responses import ResponseProducts, ResponseTotals
from skmixed.exceptions import FitStatus

# To be raised when a state can no longer be read by the version before.
FORMAT = 1
# The names that parts have in a saved state: to be kept when a class is renamed. Packages
# above add theirs.
PARTS: dict[str, Any] = {
    "calibration": Calibration,
    "categories": Categories,
    "column levels": ColumnLevels,
    "cross-products": CrossProducts,
    "dependence": Dependence,
    "encoder": Encoder,
    "estimate": Estimate,
    "factor": GroupingFactor,
    "factor products": FactorProducts,
    "findings": Identifiability,
    "family": FamilySolution,
    "family rows": GeneralizedRows,
    "monte carlo": MonteCarlo,
    "pair products": PairProducts,
    "residual solution": ResidualSolution,
    "rows": RepeatedRows,
    "response products": ResponseProducts,
    "response totals": ResponseTotals,
    "solution": Solution,
    "source": LabelSource,
    "subjects": SubjectColumns,
    "term": Term,
    "term solution": TermSolution,
}


def pack(value: Any, parts: Mapping[str, Any] = PARTS) -> Any:
    """Return a value of nothing but arrays, lists, dicts, numbers and text.

    `parts`: classes by the names that they are saved by.

    Raises
    ------
    TypeError
        If it holds something that has no form in a saved state.
    """
    return _pack(value, {part: name for name, part in parts.items()})


def _pack(value: Any, names: Mapping[Any, str]) -> Any:
    """Return a value packed, with the names of classes."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return value
        return _pack_labels(value.tolist())
    if isinstance(value, tuple):
        return [_pack(item, names) for item in value]
    if isinstance(value, FitStatus):
        return {"is": "status", "name": value.name}
    if type(value) in map(type, STRUCTURES.values()):
        return {"is": "structure", "name": value.name}
    if isinstance(value, sp.csr_array):
        parts = {name: getattr(value, name) for name in ("data", "indices", "indptr")}
        return {"is": "matrix", **parts, "shape": list(value.shape)}
    if type(value) in names and is_dataclass(value):
        own = {field.name: _pack(getattr(value, field.name), names) for field in fields(value)}
        return {"is": names[type(value)], **own}
    raise TypeError(f"{type(value).__name__} has no form in a saved model.")


def _pack_labels(items: list[Any]) -> dict[str, Any]:
    """Pack text as one piece: a million strings are a million nodes to some tools."""
    if set(map(type, items)) != {str}:
        return {"is": "labels", "items": items}
    utf8 = np.frombuffer("".join(items).encode("utf-8", "surrogatepass"), dtype=np.uint8)
    lengths = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
    narrow = lengths.astype(np.min_scalar_type(lengths.max()))
    return {"is": "text", "utf8": utf8, "lengths": narrow}


def _split(utf8: NDArray[np.uint8], lengths: NDArray[np.unsignedinteger]) -> list[str]:
    text = utf8.tobytes().decode("utf-8", "surrogatepass")
    ends = np.cumsum(lengths, dtype=np.int64)
    return list(map(text.__getitem__, map(slice, (ends - lengths).tolist(), ends.tolist())))


def unpack(state: Any, parts: Mapping[str, Any] = PARTS) -> Any:
    """Return what was packed. A field that the state lacks takes its default."""
    if isinstance(state, list):
        return tuple(unpack(item, parts) for item in state)
    if not isinstance(state, dict):
        return state
    kind, own = state["is"], {name: item for name, item in state.items() if name != "is"}
    if kind in ("labels", "text"):
        items = own["items"] if kind == "labels" else _split(own["utf8"], own["lengths"])
        return np.fromiter(items, dtype=object, count=len(items))
    if kind == "status":
        return FitStatus[own["name"]]
    if kind == "structure":
        return STRUCTURES[own["name"]]
    if kind == "matrix":
        arrays = tuple(own[name] for name in ("data", "indices", "indptr"))
        matrix = sp.csr_array(arrays, shape=tuple(own["shape"]))
        matrix.check_format(full_check=True)  # compiled code follows the indices unchecked
        return matrix
    return parts[kind](**{name: unpack(item, parts) for name, item in own.items()})
