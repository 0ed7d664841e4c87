"""A fitted estimator as plain arrays, lists and dicts, and back.

What is saved names the parts and their fields by words of its own, and no class of
this package: a later version reads it whatever its modules look like, and tools
that load trusted types only find none but the estimator's.

How a fitted estimator is saved, and a copy of it that predicts and no more.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

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
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.saved_checks import (
    DamagedModelError,
    check_columns,
    damaged,
    require,
)
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
# The names that parts have in a saved state: to be kept when a class is renamed.
PARTS: dict[str, Any] = {
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
    "fitted model": FittedModel,
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


# What a state of another form brings about where it is read.
MALFORMED = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, SyntaxError, TypeError),
)


class PlainState:
    """What `pickle`, `joblib`, `skops` and `copy` see of an estimator: plain arrays and lists.

    Attributes
    ----------
    _parts : tuple of str
        Attributes of a fitted estimator that are no plain ones, saved by their names
        without underscores.
    set_by_fit : frozenset of str
        Attributes that `fit` sets; it starts from an estimator that has none of them.
    """

    _parts: ClassVar[tuple[str, ...]]
    set_by_fit: ClassVar[frozenset[str]] = frozenset()

    def _pack_parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the parts by the names that they are saved by."""
        return {name.strip("_"): pack(part) for name, part in parts.items()}

    def _unpack_parts(self, fit: dict[str, Any]) -> dict[str, Any]:
        """Return the parts of a saved fit by their attributes."""
        return {name: unpack(fit.get(name.strip("_"))) for name in self._parts}

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        """Refuse parts that do not fit each other or the state, with any error that comes of it."""

    def _after_loading(self) -> None:
        """Set what follows from the parts."""

    def __getstate__(self) -> dict[str, Any]:
        """Replace the parts of the fit by plain arrays and lists."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if self._parts[0] in state:
            parts = {name: state.pop(name, None) for name in self._parts}
            state["_fit"] = {"format": FORMAT, **self._pack_parts(parts)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        with reading():
            # The parts come from what is checked, and from nothing else.
            require(all(type(name) is str for name in state), "names")
            state = {name: own for name, own in state.items() if name not in self._parts}
            fit = state.pop("_fit", None)
            check_columns(state)
            require(fit is not None or "n_features_in_" not in state, "columns")
        if fit is not None:
            check_format(fit)
            with reading():
                parts = self._unpack_parts(fit)
            with reading():
                self._check_parts(parts, state)
            state.update(parts)
        # Parameters that the version which saved it did not have.
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if parameter.default is not parameter.empty:
                state.setdefault(name, parameter.default)
        super().__setstate__(state)  # type: ignore[misc]
        if fit is not None:
            with reading():
                self._after_loading()


@contextmanager
def reading() -> Iterator[None]:
    """Say of a saved model that it is damaged, whatever error reading it brings about."""
    try:
        yield
    except DamagedModelError:
        raise
    except (*MALFORMED, ValueError) as error:
        raise damaged(f"{type(error).__name__}: {error}") from error


def check_format(fit: Any) -> None:
    """Refuse the format of a later version."""
    with reading():
        saved_in = fit["format"]
        require(type(saved_in) is int and saved_in > 0, "format")
    if saved_in > FORMAT:
        raise ValueError(
            f"The model was saved in format {saved_in}, by a later version of skmixed; this one "
            f"reads formats up to {FORMAT}. Update skmixed."
        )


def slim(self: Any) -> Any:
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
    kind: Any = type(self)
    copy = kind.__new__(kind)
    copy.__dict__.update(vars(self))
    copy.__dict__["_model"] = self._model.slim()
    return copy
