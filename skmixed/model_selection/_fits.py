"""The fits of a cross-validation: from statistics of the folds, or to the rows of each."""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from sklearn.base import clone

from skmixed._typing import IntArray, Message
from skmixed.model_selection._sample import Sample
from skmixed.model_selection._splits.splits import Splits

# How messages name a row by its number.
ROW = re.compile(r"(?P<one>\b[Rr]ow )(?P<number>\d+)\b|(?P<two>\(rows )(?P<a>\d+) and (?P<b>\d+)\)")
# What the data of a fit may raise.
OF_DATA = (ValueError, ArithmeticError)


@dataclass
class Fit:
    """One fit of one candidate, or what is asked of it.

    Attributes
    ----------
    estimator : estimator or None
        None where it could not be fitted.
    seconds : float
    messages : list of pairs
        Warnings: texts, and their classes.
    error : Exception or None
    """

    estimator: Any = None
    seconds: float = 0.0
    messages: list[Message] = field(default_factory=list)
    error: Exception | None = None

    @staticmethod
    def of(
        make: Callable[[], Any],
        rows: IntArray | None = None,
        errors: tuple[type[Exception], ...] = OF_DATA,
    ) -> "Fit":
        """Make an estimator; an error is kept for later.

        `rows` are the numbers of the rows that it is made of, by which messages name them.
        """
        start, own = time.perf_counter(), Fit()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                own.estimator = make()
            except errors as error:
                own.error = error if rows is None else _renumbered_error(error, rows)
        texts = [(str(w.message), w.category) for w in caught]
        own.messages = texts if rows is None else [(renumbered(t, rows), c) for t, c in texts]
        own.seconds = time.perf_counter() - start
        return own


def renumbered(text: str, rows: IntArray) -> str:
    """Return a message about some rows with the numbers that these have among all rows."""

    def number(own: str) -> str:
        return str(rows[int(own)]) if int(own) < len(rows) else own

    def replaced(found: re.Match[str]) -> str:
        if found["one"]:
            return f"{found['one']}{number(found['number'])}"
        return f"{found['two']}{number(found['a'])} and {number(found['b'])})"

    return ROW.sub(replaced, text)


def _renumbered_error(error: Exception, rows: IntArray) -> Exception:
    if error.args and isinstance(error.args[0], str):
        error.args = (renumbered(error.args[0], rows), *error.args[1:])
    return error


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
            rows = self.splits.train(number)
            train = self.rows.of(rows)
            # As scikit-learn's loop does, whatever an estimator raises
            yield [Fit.of(partial(_fitted, m, train), rows, (Exception,)) for m in self.candidates]

    def to_all_rows(self, number: int) -> Any:
        """Return a candidate that is fitted to all rows."""
        return _fitted(self.candidates[number], self.rows)


def _fitted(model: Any, train: Sample) -> Any:
    return clone(model).fit(train.X, train.y, **train.beside_y)
