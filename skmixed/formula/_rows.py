"""Rows of frames given to a model by a formula: which count, and what they hold."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.random_effect import ResidualCovariance
from skmixed._fitted.checks import check_response
from skmixed._fitted.messages import FORMULA, Words, speaking
from skmixed._typing import FloatArray
from skmixed.formula._columns import NamedRows, missing_message
from skmixed.formula._families import class_numbers, counts_of, learned_classes
from skmixed.formula._model_frame import ModelFrame, Reading
from skmixed.formula._reference.observed import ObservedValues
from skmixed.formula._source import Quantity

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
        return self.frame.response_name

    def learned(self, weights: Any) -> ModelFrame:
        """Return the formula with the values of its columns in the rows, which were fitted to.

        `weights`: those of the fit, None for 1; the trials of counts are none.
        """
        frame, rows = self.frame, self.rows
        offsets = [np.asarray(own.values(rows), dtype=float) for own in frame.offsets]
        own = None if self._counted else weights
        learn = ObservedValues.learn
        observed = learn(frame.kinds, frame.variables, frame.coded_numbers, rows, own, offsets)
        return replace(frame, observed=observed)

    def columns(self, include: Any) -> pd.DataFrame:
        has_labels = isinstance(include, str) and include == "all"
        needed = self.frame.needed(include)
        return self.frame.columns(self.rows, needed, has_labels=has_labels)

    def offset(self) -> FloatArray | None:
        return self.frame.offset(self.rows)

    def with_classes(self, y: Any) -> "FrameRows":
        """Return the rows with the classes of y, or of the response that the formula names."""
        if self._counted:
            return self
        values, name = self._values(y), self.response_name or "y"
        return replace(self, frame=replace(self.frame, classes=learned_classes(values, name)))

    def response(self, y: Any) -> FloatArray:
        """Return y, or what the left-hand side of the formula is on the rows, (n,).

        Of a response of classes 1 for the second; of counts the proportion of successes.

        Raises
        ------
        ValueError
            If y is given beside a response that the formula computes, or there is none.
        """
        check_given_response(self.frame, y)
        with speaking(in_words_of(self.frame)):
            if self._counted:
                successes, trials = self._counts()
                return successes / np.where(trials > 0.0, trials, 1.0)
            values, classes = self._values(y), self.frame.classes
            if classes is not None:
                values = class_numbers(classes, values, self.response_name or "y")
            return check_response(values, self.rows.n_rows, None)

    def weights(self, sample_weight: Any) -> Any:
        """Return the weights given, or those that the model names; of counts the trials."""
        if self._counted:
            if sample_weight is not None:
                raise ValueError(
                    f"sample_weight and {self.response_name} both give trials. Leave one out."
                )
            return self._counts()[1]
        if sample_weight is not None or self.frame.weights is None:
            return self.kept(sample_weight)
        return self.frame.weights.values(self.rows)

    @property
    def _counted(self) -> list[Quantity]:
        """Successes and failures, where the response counts these."""
        frame = self.frame
        return [own for own in (frame.response, frame.failures) if own and frame.failures]

    def _counts(self) -> tuple[FloatArray, FloatArray]:
        """Return the successes and the trials, each (n,)."""
        found = [counts_of(own.values(self.rows), own.text) for own in self._counted]
        successes, trials = found[0], found[0] + found[1]
        if not trials.any():
            raise ValueError(f"{self.response_name} has no trial in any row: all counts are 0.")
        return successes, trials

    def _values(self, y: Any) -> Any:
        named = self.frame.response
        return named.values(self.rows) if y is None and named is not None else self.kept(y)

    def kept(self, values: Any) -> Any:
        """Leave the rows out that are not here."""
        if values is None or self.keep is None or np.ndim(values) != 1:
            return values
        return np.asarray(values)[self.keep] if len(values) == len(self.keep) else values


def check_given_response(own: ModelFrame | Reading, y: Any) -> None:
    named = own.response
    if y is not None and named is not None and (named.sum is not None or own.failures):
        raise ValueError(
            f"y is given, but the formula computes its response, {own.response_name!r}. Leave y "
            "out, or let the formula begin with ~ and transform y by scikit-learn's "
            "TransformedTargetRegressor."
        )
    if y is None and named is None:
        raise ValueError("y=None, and the formula names no response before its ~. Give one.")


def check_offsets(reading: Reading, residual: ResidualCovariance | None) -> None:
    """Refuse variances that are a power of fitted values that lack a part of the mean."""
    if reading.offsets and residual is not None and residual.has_fitted_power:
        raise ValueError(
            f"{residual!r} has variances by fitted values, of which an offset is no part. Leave "
            "the offset out and subtract it from the response, or name a column in power=."
        )


def in_words_of(frame: ModelFrame) -> Words:
    name = frame.response_name
    return FORMULA if name is None else replace(FORMULA, response_name=name)


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
