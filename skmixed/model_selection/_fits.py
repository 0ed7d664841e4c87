"""The fits of a cross-validation: from statistics of the folds, or to the rows of each."""

import numbers
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing, column_or_1d, indexable

from skmixed._data.table import open_table
from skmixed.model_selection._splits.splits import Splits


@dataclass(frozen=True)
class Sample:
    """The rows of a cross-validation.

    Attributes
    ----------
    X, y : as given
    weights : as given, or None
    groups : as given, or None
        Grouping columns beside X for `fit` and `predict`, where the model names none.
    """

    X: Any
    y: Any
    weights: Any
    groups: Any

    @staticmethod
    def given(X: Any, y: Any, weights: Any, groups: Any) -> "Sample":
        """Take rows as users give them, in containers that can be indexed.

        A single weight is that of each row, and one column of responses is a response.
        """
        if isinstance(weights, numbers.Real):
            weights = np.full(open_table(X).n_rows, float(weights))
        if y is None:
            raise ValueError("y is None, but scores need responses. Give that of each sample.")
        shape = getattr(y, "shape", ())
        if len(shape) > 1:
            if shape[1:] != (1,):
                raise ValueError(
                    f"y is of shape {tuple(shape)}. Give one response, of shape (n_samples,)."
                )
            y = column_or_1d(y, warn=True)
        return Sample(*indexable(X, y, weights, groups))

    def of(self, rows: Any) -> "Sample":
        """Return some of them."""
        X, y, weights, groups = (
            None if own is None else _safe_indexing(own, rows)
            for own in (self.X, self.y, self.weights, self.groups)
        )
        return Sample(X, y, weights, groups)

    @property
    def beside(self) -> dict[str, Any]:
        """Arguments of `predict` beside X."""
        return {} if self.groups is None else {"groups": self.groups}


@dataclass(frozen=True)
class HeldOut:
    """The rows that each split predicts.

    Attributes
    ----------
    sample : Sample
        All rows.
    splits : Splits
    """

    sample: Sample
    splits: Splits

    @cached_property
    def _ordered(self) -> Sample:
        """The rows in the order of their folds, of which each is a part of them."""
        return self.sample.of(self.splits.by_fold[0])

    def __getitem__(self, number: int) -> Sample:
        if self.splits.fold is None:
            return self.sample.of(self.splits.test(number))
        return self._ordered.of(self.splits.place(number))


@dataclass
class Fit:
    """One fit of one candidate.

    Attributes
    ----------
    estimator : estimator or None
        None where it could not be fitted.
    seconds : float
    messages : list of str
        Warnings.
    error : Exception or None
    """

    estimator: Any = None
    seconds: float = 0.0
    messages: list[tuple[str, type[Warning]]] = field(default_factory=list)
    error: Exception | None = None

    @staticmethod
    def of(make: Callable[[], Any]) -> "Fit":
        """Make an estimator; an error of its data is kept for later."""
        start, own = time.perf_counter(), Fit()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                own.estimator = make()
            except (ValueError, ArithmeticError) as error:
                own.error = error
        own.messages = [(str(w.message), w.category) for w in caught]
        own.seconds = time.perf_counter() - start
        return own


class Fits(Protocol):
    """A way to fit some candidates to the training rows of each split."""

    def each(self) -> Iterator[list[Fit]]:
        """Yield the fits of all candidates, split by split."""


@dataclass(frozen=True)
class Refits:
    """Each candidate is fitted to the training rows of each split.

    Attributes
    ----------
    candidates : sequence of estimator
    rows : Sample
    splits : Splits
    """

    candidates: Sequence[Any]
    rows: Sample
    splits: Splits

    def each(self) -> Iterator[list[Fit]]:
        for number in range(len(self.splits)):
            train = self.rows.of(self.splits.train(number))
            yield [Fit.of(partial(_fitted, model, train)) for model in self.candidates]

    def to_all_rows(self, number: int) -> Any:
        """Return a candidate that is fitted to all rows."""
        return _fitted(self.candidates[number], self.rows)


def _fitted(model: Any, train: Sample) -> Any:
    params = train.beside
    if train.weights is not None:
        params["sample_weight"] = train.weights
    return clone(model).fit(train.X, train.y, **params)
