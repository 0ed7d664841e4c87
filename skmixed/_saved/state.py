"""What of a fitted estimator is saved, and how it is read."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from skmixed._callbacks import CallbackSupportMixin, without_callbacks
from skmixed._saved.encoder import check_columns
from skmixed._saved.form import FORMAT, PARTS, pack, unpack
from skmixed._saved.requirements import DamagedModelError, damaged, require

# What a state of another form brings about where it is read.
MALFORMED = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(RuntimeError, SyntaxError, TypeError),
)


class PlainState(CallbackSupportMixin):
    """What `pickle`, `joblib`, `skops` and `copy` see of an estimator: plain arrays and lists.

    Attributes
    ----------
    _parts : tuple of str
        Attributes of a fitted estimator that are no plain ones, saved by their names
        without underscores.
    _classes : mapping of str to class
        What they are made of, by the names that it is saved by.
    set_by_fit : frozenset of str
        Attributes that `fit` sets; it starts from an estimator that has none of them.
    """

    _parts: ClassVar[tuple[str, ...]]
    _classes: ClassVar[Mapping[str, Any]] = PARTS
    set_by_fit: ClassVar[frozenset[str]] = frozenset()

    def _pack_parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        """Return the parts by the names that they are saved by."""
        return {name.strip("_"): pack(part, self._classes) for name, part in parts.items()}

    def _unpack_parts(self, fit: dict[str, Any]) -> dict[str, Any]:
        """Return the parts of a saved fit by their attributes."""
        own = {name: fit.get(name.strip("_")) for name in self._parts}
        return {name: unpack(part, self._classes) for name, part in own.items()}

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        """Refuse parts that do not fit each other or the state, with any error that comes of it."""

    def _after_loading(self) -> None:
        """Set what follows from the parts."""

    def __getstate__(self) -> dict[str, Any]:
        """Replace the parts of the fit by plain arrays and lists."""
        state: dict[str, Any] = dict(super().__getstate__())
        if self._parts[0] in state:
            parts = {name: state.pop(name, None) for name in self._parts}
            state = without_callbacks(state)
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
        super().__setstate__(state)
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
