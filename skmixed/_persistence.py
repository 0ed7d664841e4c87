"""How a fitted estimator is saved, and a copy of it that predicts and no more."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

from sklearn.utils.validation import check_is_fitted

from skmixed._estimate import Estimate
from skmixed._saved import check_saved, damaged
from skmixed._slim import Dropped
from skmixed._state import FORMAT, pack, unpack

# What a state of another form brings about where it is read.
MALFORMED = (KeyError, TypeError, AttributeError, IndexError)


class PlainState:
    """What `pickle`, `joblib`, `skops` and `copy` see of an estimator: plain arrays and lists.

    Attributes
    ----------
    _parts : tuple of str
        Attributes of a fitted estimator that are no plain ones, saved by their names
        without underscores.
    """

    _parts: ClassVar[tuple[str, ...]]

    def _check_parts(self, parts: dict[str, Any], n_features: Any) -> None:
        """Refuse parts that do not fit each other, with any error that comes of it."""

    def _after_loading(self) -> None:
        """Set what follows from the parts."""

    def __getstate__(self) -> dict[str, Any]:
        """Replace the parts of the fit by plain arrays and lists."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if self._parts[0] in state:
            parts = {name.strip("_"): pack(state.pop(name, None)) for name in self._parts}
            state["_fit"] = {"format": FORMAT, **parts}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        fit = state.pop("_fit", None)
        if fit is not None:
            if fit["format"] > FORMAT:
                raise ValueError(
                    f"The model was saved in format {fit['format']}, by a later version of "
                    f"skmixed; this one reads formats up to {FORMAT}. Update skmixed."
                )
            parts = _unpacked(fit, self._parts)
            try:
                self._check_parts(parts, state.get("n_features_in_"))
            except MALFORMED as error:
                raise damaged(f"{type(error).__name__}: {error}") from error
            state.update(parts)
        # Parameters that the version which saved it did not have.
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if parameter.default is not parameter.empty:
                state.setdefault(name, parameter.default)
        super().__setstate__(state)  # type: ignore[misc]
        if fit is not None:
            self._after_loading()


def _unpacked(fit: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts of a saved fit."""
    try:
        return {name: unpack(fit.get(name.strip("_"))) for name in names}
    except (*MALFORMED, ValueError) as error:
        raise damaged(f"{type(error).__name__}: {error}") from error


class Persistence(PlainState):
    """`slim`, and the state of a fitted regressor."""

    _parts = ("_encoder", "_stats", "_estimate", "_updated")
    _estimate: Estimate
    _publish: Callable[[Estimate], None]

    def _check_parts(self, parts: dict[str, Any], n_features: Any) -> None:
        check_saved(
            parts["_encoder"], parts["_stats"], parts["_estimate"], parts["_updated"], n_features
        )

    def _after_loading(self) -> None:
        self._publish(self._estimate)  # in the form of this version

    def slim(self) -> Self:
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
        partial_fit : Needs the statistics that a slim copy leaves behind.

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
        copy = type(self).__new__(type(self))
        copy.__dict__.update(vars(self))
        dropped = Dropped(vars(self)["_stats"].n_rows)
        copy.__dict__["_stats"] = dropped
        updated = vars(self).get("_updated")
        if updated is not None:
            copy.__dict__["_updated"] = replace(updated, stats=dropped)
        return copy
