"""How a fitted estimator is saved, and a copy of it that predicts and no more."""

import inspect
from dataclasses import replace
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from skmixed._slim import Dropped
from skmixed._state import FORMAT, pack, unpack

_PARTS = ("_encoder", "_stats", "_estimate", "_updated")


class Persistence:
    """`slim`, and what `pickle`, `joblib`, `skops` and `copy` see of an estimator."""

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

    def __getstate__(self) -> dict[str, Any]:
        """Replace the parts of the fit by plain arrays and lists."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if "_estimate" in state:
            parts = {name.strip("_"): pack(state.pop(name, None)) for name in _PARTS}
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
            state.update({name: unpack(fit.get(name.strip("_"))) for name in _PARTS})
        # Parameters that the version which saved it did not have.
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if parameter.default is not parameter.empty:
                state.setdefault(name, parameter.default)
        super().__setstate__(state)  # type: ignore[misc]
