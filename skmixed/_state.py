"""A fitted estimator as plain arrays, lists and dicts, and back.

What is saved names the parts and their fields by words of its own, and no class of
this package: a later version reads it whatever its modules look like, and tools
that load trusted types only find none but the estimator's.
"""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._categories import Categories
from skmixed._covariance import STRUCTURES
from skmixed._crossprod import CrossProducts, FactorProducts
from skmixed._design import Term
from skmixed._encode import Encoder, Factor, Source
from skmixed._estimable import Dependence
from skmixed._estimate import Estimate
from skmixed._identify import Findings
from skmixed._iterative import MonteCarlo
from skmixed._levels import ColumnLevels
from skmixed._pair_products import PairProducts
from skmixed._serving import Serving
from skmixed._slim import Dropped
from skmixed._solution import Solution, TermSolution
from skmixed.exceptions import FitStatus

# To be raised when a state can no longer be read by the version before.
FORMAT = 1
# The names that parts have in a saved state: to be kept when a class is renamed.
PARTS: dict[str, Any] = {
    "categories": Categories,
    "column levels": ColumnLevels,
    "cross-products": CrossProducts,
    "dependence": Dependence,
    "dropped statistics": Dropped,
    "encoder": Encoder,
    "estimate": Estimate,
    "factor": Factor,
    "factor products": FactorProducts,
    "findings": Findings,
    "monte carlo": MonteCarlo,
    "pair products": PairProducts,
    "serving": Serving,
    "solution": Solution,
    "source": Source,
    "term": Term,
    "term solution": TermSolution,
}
_NAMES = {part: name for name, part in PARTS.items()}


def pack(value: Any) -> Any:
    """Return a value of nothing but arrays, lists, dicts, numbers and text.

    Raises
    ------
    TypeError
        If it holds something that has no form in a saved state.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return value
        return _pack_labels(value.tolist())
    if isinstance(value, tuple):
        return [pack(item) for item in value]
    if isinstance(value, FitStatus):
        return {"is": "status", "name": value.name}
    if type(value) in map(type, STRUCTURES.values()):
        return {"is": "structure", "name": value.name}
    if isinstance(value, sp.csr_array):
        parts = {name: getattr(value, name) for name in ("data", "indices", "indptr")}
        return {"is": "matrix", **parts, "shape": list(value.shape)}
    if type(value) in _NAMES and is_dataclass(value):
        own = {field.name: pack(getattr(value, field.name)) for field in fields(value)}
        return {"is": _NAMES[type(value)], **own}
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


def unpack(state: Any) -> Any:
    """Return what was packed. A field that the state lacks takes its default."""
    if isinstance(state, list):
        return tuple(unpack(item) for item in state)
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
        parts = tuple(own[name] for name in ("data", "indices", "indptr"))
        matrix = sp.csr_array(parts, shape=tuple(own["shape"]))
        matrix.check_format(full_check=True)  # compiled code follows the indices unchecked
        return matrix
    return PARTS[kind](**{name: unpack(item) for name, item in own.items()})
