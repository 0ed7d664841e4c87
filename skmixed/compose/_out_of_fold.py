"""Predictions of rows by a regressor that was not trained on them."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params

from skmixed._fitted.fitted_model import last_step
from skmixed._typing import BoolArray, FloatArray, IntArray

# A row is in the samples of all of so many trees once in 10¹⁰.
FEWEST_TREES = 50


@dataclass(frozen=True)
class Learner:
    """A regressor with the rows that it is trained on.

    Attributes
    ----------
    regressor : estimator
        Cloned for each fit.
    X : table
        Its columns.
    n_rows : int
    params : mapping
        Arguments of its `fit`; those of one value a row are split with the rows.
    refusal : callable
        Takes the error by which the regressor refuses rows, and their target; returns one
        in the words of the model, or the same.
    """

    regressor: Any
    X: Any
    n_rows: int
    params: Mapping[str, Any]
    refusal: Callable[[ValueError, FloatArray], ValueError]

    def fitted(self, target: FloatArray, rows: IntArray | None = None) -> Any:
        """Return a clone that is trained on some rows, or on all."""
        rows = np.arange(self.n_rows) if rows is None else rows
        params = _check_method_params(self.X, self.params, indices=rows)
        with self._explaining(target[rows]):
            return clone(self.regressor).fit(self.rows(rows), target[rows], **params)

    def rows(self, rows: IntArray) -> Any:
        """Return a copy of rows, which steps that write on their input may change."""
        return _safe_indexing(self.X, rows)

    def predicted(self, fitted: Any, rows: IntArray, target: FloatArray) -> FloatArray:
        """Return predictions of rows by a regressor that is fitted to a target, (n,)."""
        with self._explaining(target):
            return predicted(fitted, self.rows(rows), len(rows))

    @contextmanager
    def _explaining(self, target: FloatArray) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            explained = self.refusal(error, target)
            if explained is error:
                raise
            raise explained from error


class OutOfFold(Protocol):
    """A way to predict each row without its own response.

    One that `cv` names also has `check`, which refuses a regressor that it does not serve.
    """

    @property
    def learner(self) -> Learner:
        """What is trained."""

    @property
    def n_fits(self) -> int:
        """Fits of the regressor for one prediction of all rows."""

    @property
    def kept_whole(self) -> frozenset[int]:
        """The factors of which a row is predicted without all other rows of its level, too."""

    def predictions(self, target: FloatArray) -> FloatArray:
        """Return predictions of all rows, (n,), for a response (n,)."""


@dataclass(frozen=True)
class Folds:
    """Each fold is predicted by a fit to the others.

    Attributes
    ----------
    learner : Learner
    splits : sequence of pairs of arrays of int
        Rows to train on, and rows to predict.
    kept_whole : frozenset of int
    """

    learner: Learner
    splits: Sequence[tuple[IntArray, IntArray]]
    kept_whole: frozenset[int]

    @staticmethod
    def of(
        learner: Learner, splits: Sequence[tuple[IntArray, IntArray]], codes: Sequence[IntArray]
    ) -> "Folds":
        """Take folds; `codes` have each row's level of each factor."""
        kept_whole = frozenset(
            k
            for k, own in enumerate(codes)
            if all(not np.isin(own[test], own[train]).any() for train, test in splits)
        )
        return Folds(learner, splits, kept_whole)

    @property
    def n_fits(self) -> int:
        return len(self.splits)

    def predictions(self, target: FloatArray) -> FloatArray:
        out = np.empty(len(target))
        for train, test in self.splits:
            fitted = self.learner.fitted(target, train)
            out[test] = self.learner.predicted(fitted, test, target)
        return out


@dataclass(frozen=True)
class OutOfBag:
    """Each row is predicted by the trees whose samples lack it."""

    learner: Learner
    n_fits: int = 1
    kept_whole: frozenset[int] = frozenset()

    @staticmethod
    def check(regressor: Any) -> None:
        if not has_bag(regressor):
            raise ValueError(
                "cv='oob', but `regressor` does not draw samples of the rows for at least "
                f"{FEWEST_TREES} trees, so that rows have none whose sample lacks them. Give a "
                f"forest with bootstrap=True and n_estimators of {FEWEST_TREES} or more, or a "
                "number of folds."
            )

    def predictions(self, target: FloatArray) -> FloatArray:
        regressor = clone(self.learner.regressor)
        last_step(regressor).set_params(oob_score=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = last_step(replace(self.learner, regressor=regressor).fitted(target))
        if not _is_out_of_bag(fitted.estimators_samples_, len(target)).all():
            # What scikit-learn has to say of these rows is left out
            raise ValueError(
                "Some rows are in the samples of all trees, as rows of large sample_weight are, so "
                "that no tree predicts them out of bag. Give cv a number of folds, or the forest "
                "more trees."
            )
        for said in caught:
            warnings.warn_explicit(said.message, said.category, said.filename, said.lineno)
        return checked(np.asarray(fitted.oob_prediction_), len(target))


def _is_out_of_bag(samples: Sequence[IntArray], n_rows: int) -> BoolArray:
    """Return which rows some tree's sample lacks, (n_rows,)."""
    out = np.zeros(n_rows, dtype=bool)
    for own in samples:
        lacks = np.ones(n_rows, dtype=bool)
        lacks[own] = False
        out |= lacks
        if out.all():  # mostly after some twenty trees
            break
    return out


@dataclass(frozen=True)
class InSample:
    """Each row is predicted by a fit to all rows, its own response among them."""

    learner: Learner
    n_fits: int = 1
    kept_whole: frozenset[int] = frozenset()

    @staticmethod
    def check(regressor: Any) -> None:
        """Any will do."""

    def predictions(self, target: FloatArray) -> FloatArray:
        rows = np.arange(len(target))
        return self.learner.predicted(self.learner.fitted(target), rows, target)


def predicted(regressor: Any, X: Any, n_rows: int) -> FloatArray:
    """Return a fitted regressor's predictions, (n_rows,)."""
    return checked(np.asarray(regressor.predict(X)), n_rows)


def checked(values: Any, n_rows: int) -> FloatArray:
    """Return predictions as a vector.

    Raises
    ------
    ValueError
        If they are not a finite number a row.
    """
    out = np.asarray(values, dtype=np.float64)
    if out.shape == (n_rows, 1):
        out = out[:, 0]
    if out.shape != (n_rows,):
        raise ValueError(
            f"`regressor` predicts an array of shape {out.shape} for {n_rows} rows, where one "
            "number a row is due. Give a regressor of one response."
        )
    if not np.isfinite(out).all():
        bad = ~np.isfinite(out)
        raise ValueError(
            f"`regressor` predicts {out[bad][0]} for {int(bad.sum())} rows. Check its parameters, "
            "or scale its columns."
        )
    return out


def has_bag(regressor: Any) -> bool:
    """Whether a regressor, or the last step of a Pipeline, has trees that lack each row."""
    last = last_step(regressor)
    params = last.get_params(deep=False)
    if not {"oob_score", "bootstrap", "n_estimators"} <= params.keys():
        return False
    if not hasattr(type(last), "estimators_samples_"):
        return False
    return bool(params["bootstrap"]) and params["n_estimators"] >= FEWEST_TREES


# What `cv` may name.
NAMED: dict[str, Any] = {"oob": OutOfBag, "in_sample": InSample}
