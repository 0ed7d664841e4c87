"""What the data determine of Xβ where columns of X depend linearly on others.

A linear function l'β is estimable if l is in the row space of X: then it is the same
for all solutions of the normal equations (Searle, 1971, Linear Models, section 5.4).
With the kept columns X_k and the dropped ones X_d = X_k A, that is l_d = A'l_k. The
test needs a triangular factor of the rows, and for a row of l the size of A in operations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._model.terms import Model
from skmixed._statistics.frame import RANK_TOLERANCE
from skmixed._statistics.row_sums import CONSTANT_SHARE, RowSums
from skmixed._typing import FloatArray, IntArray

# Share of the spread of a dropped column up to which l_d − A'l_k counts as 0: rows may
# come in single precision.
ROUNDING = 1e-5
# The same share of the terms of l_d − A'l_k. A column is dropped for changes of the
# columns by `RANK_TOLERANCE` on average over the rows, of which single ones are off more.
DEPENDENT = 100 * RANK_TOLERANCE


@dataclass(frozen=True)
class Dependence:
    """The dropped columns of X as combinations of the kept ones.

    Attributes
    ----------
    kept, dropped : tuple of int
        Positions among the model's fixed effects.
    weights : (n_kept, n_dropped) array
        A, of columns around `center`.
    center : (n_fixed,) array
        Means of the columns, 1 for the intercept; without an intercept 0.
    scale : (n_kept,) array
        Standard deviations of the kept columns, or root mean squares around 0.
    floor : (n_dropped,) array
        What rounding leaves of 0 for a row of that size.
    """

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    weights: FloatArray
    center: FloatArray
    scale: FloatArray
    floor: FloatArray

    @staticmethod
    def of(stats: RowSums, model: Model, kept: tuple[int, ...]) -> "Dependence | None":
        """Read it off the cross-products; None where no column was dropped.

        From a triangular factor of the rows, since kept columns may nearly depend on
        each other. Its first row is what the columns have along the ones.
        """
        dropped = tuple(k for k in range(len(model.fixed)) if k not in kept)
        if not dropped:
            return None
        columns, k, d = np.array(model.fixed, dtype=np.intp), list(kept), list(dropped)
        center = np.zeros_like(stats.center)
        factor = stats.factor_around(center)[:, columns]
        if model.has_intercept:
            center, factor = stats.mean, factor[1:]
        norms = np.linalg.norm(factor, axis=0)
        safe = np.where(norms > 0, norms, 1.0)
        scaled = factor / safe
        solved = np.linalg.lstsq(scaled[:, k], scaled[:, d], rcond=None)[0]
        weights = np.asarray(solved * (safe[d] / safe[k][:, None]), dtype=np.float64)
        own = center[columns]
        own[columns == 0] = 1.0  # the ones, around which nothing is left
        rms = np.sqrt(stats.raw_squares[columns] / stats.sum_weights)
        sd = norms / np.sqrt(stats.sum_weights)
        floor = ROUNDING * sd[d] + DEPENDENT * (sd[d] + sd[k] @ np.abs(weights))
        floor += 10.0 * np.sqrt(CONSTANT_SHARE) * (rms[d] + rms[k] @ np.abs(weights))
        return Dependence(kept, dropped, weights, own, sd[k], floor)

    @property
    def has_intercept(self) -> bool:
        return bool(self.center.any())

    @property
    def rows(self) -> FloatArray:
        """[I A] in the order of the fixed effects, (n_kept, n_fixed): a basis of X's rows."""
        out = np.zeros((len(self.kept), len(self.center)))
        out[np.arange(len(self.kept)), self.kept] = 1.0
        out[:, self.dropped] = self.weights
        if self.has_intercept:  # the first column, which undoes the centering
            kept, dropped = list(self.kept[1:]), list(self.dropped)
            out[0, dropped] = self.center[dropped] - self.center[kept] @ self.weights[1:]
        return out

    def suspects(self, values: FloatArray) -> IntArray:
        """Return the rows of X, without the ones, that `deviates` may have something on.

        One product finds that most rows of a model with an intercept do not deviate.
        """
        if not self.has_intercept:
            return np.arange(len(values))
        null = np.zeros((len(self.center), len(self.dropped)))
        null[self.kept, :] = -self.rows[:, self.dropped]
        null[self.dropped, :] = np.eye(len(self.dropped))
        rest = values @ null[1:] + null[0]
        return np.flatnonzero((np.abs(rest) > self.floor).any(axis=1))

    def deviates(self, functions: FloatArray) -> NDArray[np.bool_]:
        """For which dropped columns l_d ≠ A'l_k, (n, n_fixed) to (n, n_dropped)."""
        rest, sizes = self._rests(functions)
        return np.asarray(np.abs(rest) > self.floor * sizes[:, None])

    def _rests(self, functions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return l_d − A'l_k, and the size of each l, which rounding is measured by."""
        moved = functions - functions[:, :1] * self.center
        kept, dropped = moved[:, self.kept], moved[:, self.dropped]
        sizes = np.abs(kept) / np.where(self.scale > 0, self.scale, 1.0)
        if self.has_intercept:  # around whose center nothing is left of the ones
            sizes[:, 0] = np.abs(functions[:, 0])
        return dropped - kept @ self.weights, sizes.max(axis=1, initial=0.0)

    def estimable_weights(self, functions: FloatArray) -> FloatArray:
        """Return W so that W L spans the combinations of functions that are estimable, (m, n).

        The identity where each is.
        """
        if not self.deviates(functions).any():
            return np.eye(len(functions))
        rest, sizes = self._rests(functions)
        sizes = np.where(sizes > 0, sizes, 1.0)
        # In units of the bounds, which what is 0 keeps to and what is not exceeds by far; that
        # of a column of zeros is 0
        floor = np.where(self.floor > 0, self.floor, DEPENDENT)
        scaled = rest / (floor * sizes[:, None])
        left, values, _ = np.linalg.svd(scaled)
        rank = int((values > np.sqrt(len(functions))).sum())
        return np.asarray(left[:, rank:].T / sizes)

    def deviate_somewhere(self, factor: FloatArray) -> NDArray[np.bool_]:
        """For which dropped columns a row has l_d ≠ A'l_k, of rows L with L'WL = R'R, (n_dropped,).

        `factor` is R, (m, n_fixed). Where all rows keep to `deviates`, whatever they are, this
        finds nothing.
        """
        moved = factor - factor[:, :1] * self.center
        norms = np.linalg.norm(moved[:, self.kept], axis=0) / np.where(
            self.scale > 0, self.scale, 1.0
        )
        if self.has_intercept:
            norms[0] = np.linalg.norm(factor[:, 0])
        # Σ w (l_d − A'l_k)² against Σ w of the squared bounds, each of at most its row's squares
        rest = np.linalg.norm(moved[:, self.dropped] - moved[:, self.kept] @ self.weights, axis=0)
        return np.asarray(rest > self.floor * np.linalg.norm(norms))
