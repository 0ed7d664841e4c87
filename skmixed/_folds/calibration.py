"""Intervals of new rows by the residuals of rows out of fold: jackknife+, with weights of groups.

With μ̂_f and s_f of the fit without fold f, rows i of fold f have the scores

    r_i = |y_i − μ̂_f(x_i)| / s_f(x_i)

and weights ω_i, whose sum lacks the share of the new row. With Q the quantile of values with
these weights, the rest of which lies at +∞, the interval of a new row x at level 1 − α is

    [−Q_{1−α}{−μ̂_f(x) + s_f(x) r_i},  Q_{1−α}{μ̂_f(x) + s_f(x) r_i}],

that of Barber et al. (2021) where each of n rows has the weight 1/(n + 1), and of Lee, Barber
and Willett (2023) where each of the N_k rows of group k of K has 1/((K + 1)N_k). Any s_f that
has not seen the row will do. Here it is that of y at given fixed effects,
s_f² = σ_f²/w + Σ_k z_k'Σ_k z_k, over the factors k whose levels are new to the fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._estimation.solution import Solution
from skmixed._folds.predictions import FoldPredictor
from skmixed._model.terms import Model, Term
from skmixed._statistics.row_block import runs
from skmixed._typing import FloatArray, IntArray

# Numbers in one array of a slab.
CELLS = 2**21
# Scores that are sorted at most, beside one of each fold, before folds are looked up in turn;
# and those that this leaves.
MOST_SORTED, MOST_LEFT = 1024, 64
# What sums of weights may lack of the level by rounding.
ROUNDING = 1e-9


@dataclass(frozen=True)
class PlainRows:
    """Rows as the fits of the folds predict them.

    Attributes
    ----------
    columns : tuple of (m,) arrays
        The ones, and the numeric columns.
    codes : tuple of (m,) arrays of int
        The level of each factor.
    weights : (m,) array
    """

    columns: tuple[FloatArray, ...]
    codes: tuple[IntArray, ...]
    weights: FloatArray

    def picked(self, rows: IntArray | slice) -> "PlainRows":
        """Return some of them."""
        columns = tuple(column[rows] for column in self.columns)
        return PlainRows(columns, tuple(own[rows] for own in self.codes), self.weights[rows])

    def beside_folds(self) -> "PlainRows":
        """Return them as columns (m, 1), to be taken with each of the folds."""
        columns = tuple(column[:, None] for column in self.columns)
        codes = tuple(own[:, None] for own in self.codes)
        return PlainRows(columns, codes, self.weights[:, None])


@dataclass(frozen=True)
class Calibration:
    """Scores of rows out of fold, and what the fits of F folds predict by.

    Attributes
    ----------
    new : tuple of bool
        Whether the level of each factor is new, in these rows and in those to be predicted.
    fixed : (F, p) array
        Coefficients of the fixed columns.
    sigma : (F,) array
        Residual standard deviations.
    effects : tuple of (s, q, F) arrays
        Random effects of each term, for all levels of a factor that is known; else q = 0.
    roots : tuple of (F, s, s) arrays
        Roots L of each term's covariance LL'.
    scores : (n,) array
        In ascending order.
    fold : (n,) array of int
        The fold of each.
    weights : (n,) array
    """

    new: tuple[bool, ...]
    fixed: FloatArray
    sigma: FloatArray
    effects: tuple[FloatArray, ...]
    roots: tuple[FloatArray, ...]
    scores: FloatArray
    fold: IntArray
    weights: FloatArray

    @staticmethod
    def empty(
        new: tuple[bool, ...], model: Model, n_levels: Sequence[int], n_folds: int
    ) -> "Calibration":
        """Return one without fits of folds, and without scores."""
        sizes = [len(term.columns) for term in model.terms]
        # Effects of the levels of a factor that is known, of no level of one that is new
        known = [0 if new[term.factor] else n_levels[term.factor] for term in model.terms]
        nothing = np.empty(0)
        return Calibration(
            new=new,
            fixed=np.zeros((n_folds, len(model.fixed))),
            sigma=np.zeros(n_folds),
            effects=tuple(np.zeros((s, q, n_folds)) for s, q in zip(sizes, known, strict=True)),
            roots=tuple(np.zeros((n_folds, s, s)) for s in sizes),
            scores=nothing,
            fold=nothing.astype(np.intp),
            weights=nothing,
        )

    def put(self, number: int, solution: Solution, levels: Sequence[IntArray | None]) -> None:
        """Take the fit without one fold in; `levels` are those of its effects, term by term."""
        self.fixed[number] = solution.fixed
        self.sigma[number] = solution.sigma
        for own, at, effects, root in zip(
            solution.terms, levels, self.effects, self.roots, strict=True
        ):
            root[number] = solution.sigma * own.lam
            if at is not None:
                effects[:, at, number] = own.effects

    def put_all(
        self, predictor: FoldPredictor, columns: Sequence[int], terms: Sequence[Term]
    ) -> None:
        """Take the fits without whole groups of one factor in, whose columns are `columns`."""
        self.fixed[:] = predictor.fixed
        self.sigma[:] = np.sqrt(predictor.scale * predictor.unit)
        # z'M'ΣMz of the columns as they are, with Mz = z less its center
        change = np.eye(len(columns))
        change[:, 0] -= predictor.random_center
        covariance = change.T @ (predictor.scale[:, None, None] * predictor.sigma) @ change
        for term, root in zip(terms, self.roots, strict=True):
            at = [columns.index(column) for column in term.columns]
            values, vectors = np.linalg.eigh(covariance[:, at][:, :, at])
            root[:] = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]

    def with_scores(
        self, model: Model, rows: PlainRows, y: FloatArray, fold: IntArray, weights: FloatArray
    ) -> "Calibration":
        """Return it with the scores of rows, each by the fit without its own fold."""
        center, sd = self._predicted(model, rows, fold)
        scores = np.abs(y - center) / sd
        order = np.argsort(scores, kind="stable")
        return replace(self, scores=scores[order], fold=fold[order], weights=weights[order])

    def interval(self, model: Model, rows: PlainRows, level: float) -> FloatArray:
        """Return both ends for new rows, (m, 2); infinite where there are too few groups."""
        out, step = np.empty((len(rows.weights), 2)), max(1, CELLS // len(self.sigma))
        for start in range(0, len(out), step):
            own = slice(start, start + step)
            folds = np.arange(len(self.sigma))[None, :]
            center, sd = self._predicted(model, rows.picked(own).beside_folds(), folds)
            # The lower end is the upper one of −y
            out[own, 0] = -self._upper(-center, sd, level)
            out[own, 1] = self._upper(center, sd, level)
        return out

    def is_finite_at(self, level: float) -> bool:
        """Whether there are rows enough for intervals at a level."""
        return bool(self._cumulative[-1] >= level - ROUNDING)

    @property
    def n_units(self) -> int:
        """Groups, or rows where these are alike: K, since the weights add up to K/(K + 1)."""
        total = float(self._cumulative[-1])
        return round(total / (1.0 - total))

    @staticmethod
    def n_needed(level: float) -> int:
        """Return how many it takes: the smallest K with K/(K + 1) at the level or above."""
        return int(np.ceil((level - ROUNDING) / (1.0 - level + ROUNDING)))

    @cached_property
    def _cumulative(self) -> FloatArray:
        return np.cumsum(self.weights)

    def _predicted(
        self, model: Model, rows: PlainRows, fold: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return μ̂_f and s_f of rows by folds; both broadcast.

        Term by term, so that a row is the same to the bit among others.
        """
        center = np.zeros(np.broadcast_shapes(rows.weights.shape, fold.shape))
        # X β̂_f, and σ_f²/w
        for j, column in enumerate(model.fixed):
            center += self.fixed[fold, j] * rows.columns[column]
        variance = self.sigma[fold] ** 2 / rows.weights
        for term, effects, roots in zip(model.terms, self.effects, self.roots, strict=True):
            values = [rows.columns[column] for column in term.columns]
            if self.new[term.factor]:
                # z'LL'z of levels that no fit has seen
                for k in range(len(values)):
                    own = (roots[fold, a, k] * z for a, z in enumerate(values))
                    variance = variance + sum(own) ** 2
            else:
                # Z b̂_f of those that it has
                for own_effects, z in zip(effects, values, strict=True):
                    center += own_effects[rows.codes[term.factor], fold] * z
        # A fit without a residual says nothing of the spread: any other s_f will do
        sd = np.sqrt(variance)
        return center, np.where(sd > 0, sd, 1.0)

    @cached_property
    def _by_fold(self) -> "ScoresByFold":
        return ScoresByFold.of(self.scores, self.fold, self.weights, len(self.sigma))

    def _upper(self, center: FloatArray, sd: FloatArray, level: float) -> FloatArray:
        """Return Q_level{center_f + sd_f r_i} of each row, (m,), from (m, F) arrays."""
        out = np.full(len(center), np.inf)
        first = int(np.searchsorted(self._cumulative, level - ROUNDING))
        if first == len(self.scores):
            return out
        low, high, starts, stops = self._bracket(center, sd, first)
        # By ±c_f + s_f r_i of all scores in a band, or by the scores of each fold in turn
        is_wide = stops - starts > MOST_SORTED + len(self.sigma)
        wide, rest = np.flatnonzero(is_wide), np.flatnonzero(~is_wide)
        if len(wide):
            bracket = low[wide], high[wide]
            out[wide] = self._by_fold.quantile(center[wide], sd[wide], level, *bracket)
        n_cells = max(1, int((stops - starts)[rest].max(initial=1)))
        step = max(1, CELLS // n_cells)
        for at in range(0, len(rest), step):
            rows = rest[at : at + step]
            band = slice(int(starts[rows].min()), int(stops[rows].max()))
            out[rows] = self._sorted(center[rows], sd[rows], level, band)
        return out

    def _sorted(self, center: FloatArray, sd: FloatArray, level: float, band: slice) -> FloatArray:
        """Return the quantiles, which are of the scores in a band, by a sort of these."""
        # Values in order, until their weights, and those of all scores before, reach the level
        fold = self.fold[band]
        values = center[:, fold] + sd[:, fold] * self.scores[band]
        order = np.argsort(values, axis=1, kind="stable")
        before = self._cumulative[band.start - 1] if band.start else 0.0
        reached = before + np.cumsum(self.weights[band][order], axis=1) >= level - ROUNDING
        chosen = np.take_along_axis(order, np.argmax(reached, axis=1)[:, None], axis=1)
        return np.asarray(np.take_along_axis(values, chosen, axis=1)[:, 0])

    def _bracket(
        self, center: FloatArray, sd: FloatArray, first: int
    ) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
        """Return values between which each quantile is, and from and to which score, (m,) each.

        Folds differ little: r_i alone says of most scores on which side of it they are.
        """
        least, most = center.min(axis=1), center.max(axis=1)
        flattest, steepest = sd.min(axis=1), sd.max(axis=1)
        # Of values between c + s r of the least c and s, and of the most, the quantile is too
        low = least + flattest * self.scores[first]
        high = most + steepest * self.scores[first]
        margin = 8.0 * np.finfo(float).eps * (np.abs(low) + np.abs(high) + np.abs(most - least))
        margin += 8.0 * np.finfo(float).eps * (np.abs(least) + np.abs(most))
        low, high = low - margin, high + margin
        starts = np.searchsorted(self.scores, (low - most) / steepest, side="left")
        stops = np.searchsorted(self.scores, (high - least) / flattest, side="right")
        return low, high, np.minimum(starts, first), np.maximum(stops, first + 1)


@dataclass(frozen=True)
class ScoresByFold:
    """The scores of each fold in ascending order, one fold behind the other.

    In a fold c + s r ascends with r, so that weights up to a value are looked up.

    Attributes
    ----------
    scores, weights : (n,) arrays
    starts : (F + 1,) array of int
        Where each fold starts, and the last one ends.
    before : (n + 1,) array
        Sums of the weights of the scores before each place.
    """

    scores: FloatArray
    weights: FloatArray
    starts: IntArray
    before: FloatArray

    @staticmethod
    def of(scores: FloatArray, fold: IntArray, weights: FloatArray, n_folds: int) -> "ScoresByFold":
        """Sort scores, which ascend, by their folds."""
        order = np.argsort(fold, kind="stable")
        starts = np.searchsorted(fold[order], np.arange(n_folds + 1))
        before = np.append(0.0, np.cumsum(weights[order]))
        return ScoresByFold(scores[order], weights[order], starts, before)

    def quantile(
        self, center: FloatArray, sd: FloatArray, level: float, low: FloatArray, high: FloatArray
    ) -> FloatArray:
        """Return the least value c + s r up to which weights reach a level, of each row, (m,).

        It is between `low` and `high`, (m,), and the brackets are halved until few values are
        left in them. Costs O(F log² n) for each row, from its (F,) centers and scales.
        """
        low, high, shape = low.copy(), high.copy(), center.shape
        begin, end = (np.broadcast_to(own, shape) for own in (self.starts[:-1], self.starts[1:]))
        # The places of values from low to high in each fold
        first = self._places(center, sd, np.nextafter(low, -np.inf), begin, end)
        last = self._places(center, sd, high, first, end)
        while True:
            middle = low + (high - low) / 2.0
            is_open = (last - first).sum(axis=1) > MOST_LEFT + shape[1]
            own = np.flatnonzero(is_open & (low < middle) & (middle < high))
            if not len(own):
                return self._least(center, sd, level, first, last)
            at = self._places(center[own], sd[own], middle[own], first[own], last[own])
            # Σ_f W_f(#{i of f: c_f + s_f r_i ≤ v}) of the middle value v
            reaches = self._weight(at) >= level - ROUNDING
            up, down = own[~reaches], own[reaches]
            low[up], first[up] = middle[up], at[~reaches]
            high[down], last[down] = middle[down], at[reaches]

    def _places(
        self, center: FloatArray, sd: FloatArray, value: FloatArray, first: IntArray, last: IntArray
    ) -> IntArray:
        """Return the first place of each fold with c + s r above a value, or its `last`, (m, F)."""
        low, high = first.copy(), last.copy()
        while (is_open := low < high).any():
            middle = (low + high) // 2
            r = self.scores[np.where(is_open, middle, 0)]
            is_below = center + sd * r <= value[:, None]
            low = np.where(is_open & is_below, middle + 1, low)
            high = np.where(is_open & ~is_below, middle, high)
        return low

    def _weight(self, places: IntArray) -> FloatArray:
        """Return the weights of all scores before a place of each fold, (m,)."""
        return np.asarray((self.before[places] - self.before[self.starts[:-1]]).sum(axis=1))

    def _least(
        self, center: FloatArray, sd: FloatArray, level: float, first: IntArray, last: IntArray
    ) -> FloatArray:
        """Return the quantile, which is among some scores of each fold, by a sort of these."""
        out, most = np.empty(len(first)), int((last - first).sum(axis=1).max())
        step = max(1, CELLS // most)
        for start in range(0, len(out), step):
            own = slice(start, start + step)
            values, weights = self._left(center[own], sd[own], first[own], last[own] - first[own])
            order = np.argsort(values, axis=1, kind="stable")
            # The weights before the first score of each fold, and of those that follow in order
            sums = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
            short = self._weight(first[own])[:, None] + sums < level - ROUNDING
            chosen = np.minimum(short.sum(axis=1), np.isfinite(values).sum(axis=1) - 1)
            at = np.take_along_axis(order, chosen[:, None], axis=1)
            out[own] = np.take_along_axis(values, at, axis=1)[:, 0]
        return out

    def _left(
        self, center: FloatArray, sd: FloatArray, first: IntArray, counts: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return values of some scores of each fold, and weights, (m, most); inf behind them."""
        totals, counts = counts.sum(axis=1), counts.ravel()
        # One behind the other: the row and the column of each value, its fold, and its place there
        rows, columns = np.repeat(np.arange(len(totals)), totals), runs(totals)
        cell = np.repeat(np.arange(len(counts)), counts)
        place = first.ravel()[cell] + runs(counts)
        values = np.full((len(totals), int(totals.max())), np.inf)
        values[rows, columns] = center.ravel()[cell] + sd.ravel()[cell] * self.scores[place]
        weights = np.zeros_like(values)
        weights[rows, columns] = self.weights[place]
        return values, weights
