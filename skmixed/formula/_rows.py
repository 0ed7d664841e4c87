"""Rows of frames given to a model by a formula: which count, and what they hold."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._fitted.checks import check_response
from skmixed._fitted.messages import FORMULA, Words, speaking
from skmixed._typing import FloatArray
from skmixed.formula._columns import NamedRows, missing_message
from skmixed.formula._model_frame import ModelFrame, Quantity, Reading

DROP_ADVICE = "Impute those rows, or leave them out by na_action='drop'."


@dataclass(frozen=True)
class FrameRows:
    """Rows of a frame given to a model by a formula.

    Attributes
    ----------
    frame : ModelFrame
    rows : NamedRows
    keep : (n_samples,) array of bool, or None
        The rows of the frame given that these are; None for all.
    """

    frame: ModelFrame
    rows: NamedRows
    keep: NDArray[np.bool_] | None

    @property
    def response_name(self) -> str | None:
        return None if self.frame.response is None else self.frame.response.text

    def columns(self, include: Any) -> pd.DataFrame:
        has_labels = isinstance(include, str) and include == "all"
        needed = self.frame.needed(include)
        return self.frame.columns(self.rows, needed, has_labels=has_labels)

    def offset(self) -> FloatArray | None:
        return self.frame.offset(self.rows)

    def response(self, y: Any) -> FloatArray:
        """Return y, or what the left-hand side of the formula is on the rows, (n,)."""
        return response_of(self.frame.response, self.rows, self.kept(y))

    def weights(self, sample_weight: Any) -> Any:
        """Return the weights given, or those that the model names."""
        if sample_weight is not None or self.frame.weights is None:
            return self.kept(sample_weight)
        return self.frame.weights.values(self.rows)

    def kept(self, values: Any) -> Any:
        """Leave the rows out that are not here."""
        if values is None or self.keep is None or np.ndim(values) != 1:
            return values
        return np.asarray(values)[self.keep] if len(values) == len(self.keep) else values


def response_of(named: Quantity | None, rows: NamedRows, y: Any) -> FloatArray:
    """Return y, or the response that a formula names, (n,).

    Raises
    ------
    ValueError
        If y is given beside a response that the formula computes, or there is none.
    """
    check_given_response(named, y)
    with speaking(in_words_of(named)):
        if y is None and named is not None:
            y = named.values(rows)
        return check_response(y, rows.n_rows, None)


def check_given_response(named: Quantity | None, y: Any) -> None:
    if y is not None and named is not None and named.sum is not None:
        raise ValueError(
            f"y is given, but the formula computes its response, {named.text!r}. Leave y "
            "out, or let the formula begin with ~ and transform y by scikit-learn's "
            "TransformedTargetRegressor."
        )
    if y is None and named is None:
        raise ValueError("y=None, and the formula names no response before its ~. Give one.")


def in_words_of(named: Quantity | None) -> Words:
    return FORMULA if named is None else replace(FORMULA, response_name=named.text)


def complete_rows(
    reading: Reading, y: Any, sample_weight: Any, *, may_drop: bool
) -> NDArray[np.bool_] | None:
    """Return which rows to keep, None for all; refuse rows with missing values unless `may_drop`.

    Raises
    ------
    ValueError
        If there are such rows, or no others.
    """
    n_rows = reading.rows.n_rows
    missing = reading.rows.missing(reading.needed(with_response=y is None))
    beside = {"y=": y, "sample_weight=": sample_weight}  # other names than the columns'
    missing |= {name: _missing(values, n_rows) for name, values in beside.items()}
    missing = {name: own for name, own in missing.items() if own.any()}
    if not missing:
        return None
    if not may_drop:
        name, own = next(iter(missing.items()))
        raise ValueError(missing_message(name, own, DROP_ADVICE))
    keep = np.asarray(~np.any(list(missing.values()), axis=0))
    if not keep.any():
        listed = ", ".join(f"{name!r} in {int(own.sum())}" for name, own in missing.items())
        raise ValueError(
            f"None of the {n_rows} rows is without missing values: {listed}. Impute them, or "
            "leave columns out of the formula."
        )
    return keep


def _missing(values: Any, n_rows: int) -> NDArray[np.bool_]:
    """Return which entries of an array given beside the data are missing."""
    if np.ndim(values) != 1 or len(values) != n_rows:
        return np.zeros(n_rows, dtype=bool)
    return np.asarray(pd.isna(pd.Series(values)))
