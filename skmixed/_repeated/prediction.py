"""Predictions of rows by the covariance of their residuals with those of the fit.

The best linear prediction of a row with x, z and residual covariances r with the rows of
its subject is

    x'β̂ + z'b̂ + r'Py,    Py = V⁻¹(y − Xβ̂),

and a row of the fit is predicted from all others: y_i − (Py)_i / P_ii, with the variance
1 / P_ii, β estimated from the others too (Christensen, 2011, Plane Answers, section 13.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._model.time_points import TimePoints
from skmixed._repeated.coordinates import RowsInFrame
from skmixed._repeated.fit import RepeatedModel, whitened_residuals
from skmixed._typing import BoolArray, FloatArray, IntArray

# Numbers of one matrix over rows to predict.
SLAB_NUMBERS = 2**21


@dataclass(frozen=True)
class NewRows:
    """Rows to predict, by the numbers that labels have in the fit.

    Attributes
    ----------
    subject, stratum : (n,) arrays of int
        −1 where unknown.
    places : TimePoints
        Of shape (n, 1).
    visit : (n,) array of int
        The number of each row's time among the labels of times, −1 where unknown.
    levels : (n, f) array of int
        −1 where unknown, or where a factor's effects do not count.
    frame : RowsInFrame or None
        X and Z in the units of the search; None for predictions without variances.
    """

    subject: IntArray
    stratum: IntArray
    places: TimePoints
    visit: IntArray
    levels: IntArray
    frame: RowsInFrame | None = None


class RepeatedPredictor:
    """Predictions by a model with a covariance of the residuals."""

    def __init__(self, model: RepeatedModel) -> None:
        self.model, self.layout = model, model.layout

    @cached_property
    def _whitened(self) -> FloatArray:
        """Py of the rows of the fit, (n,)."""
        return whitened_residuals(self.layout, self.model.factor)

    @cached_property
    def _diagonal(self) -> FloatArray:
        """P_ii of the rows of the fit, or (V⁻¹)_ii where β̂ is that of fewer rows, (n,)."""
        factor, wide = self.model.factor, self.layout.laid.wide[:, :-1]
        out, inner = np.zeros(len(wide)), factor.inverse
        if self.model.is_updated:
            inner = factor.of_outer
        # A_ii − (AUKU'A)_ii, N in the place of K for V⁻¹
        for at, index in zip(factor.blocks, self.layout.blocks, strict=True):
            inverse = at.inverse[index.pattern]
            half = inverse @ wide[index.rows]
            seen = np.einsum("mnu,uv,mnv->mn", half, inner, half, optimize=True)
            out[index.rows] = np.diagonal(inverse, axis1=1, axis2=2) - seen
        return out

    @cached_property
    def _left_out_variance(self) -> FloatArray:
        """Variances of the errors of rows predicted from all others, at their weights; (n,).

        1/P_ii; with β̂ of fewer rows 1/v + (V⁻¹X)_iΦ(V⁻¹X)_i'/v², v = (V⁻¹)_ii.
        """
        factor, wide = self.model.factor, self.layout.laid.wide[:, :-1]
        out = 1.0 / self._diagonal
        if self.model.is_updated:
            columns = wide @ factor.to_fixed
            for at, index in zip(factor.blocks, self.layout.blocks, strict=True):
                own = at.inverse[index.pattern] @ columns[index.rows]
                seen = np.einsum("mnp,pq,mnq->mn", own, factor.fixed_covariance, own, optimize=True)
                out[index.rows] += seen * out[index.rows] ** 2
        return out / self.model.design.rows.weights

    @cached_property
    def _of_subjects(self) -> tuple[IntArray, IntArray, IntArray]:
        """The rows of the fit subject by subject, where each begins, and how many it has."""
        subject = self.layout.laid.subject
        counts = np.bincount(subject)
        return np.argsort(subject, kind="stable"), np.cumsum(counts) - counts, counts

    def _strata(self, rows: NewRows) -> IntArray:
        """Return each row's stratum; of a subject of the fit with correlations that of the fit."""
        if not self.layout.system.residual.is_correlated:
            return rows.stratum
        laid = self.layout.laid
        of_subject = np.zeros(int(laid.subject.max()) + 1, dtype=np.intp)
        of_subject[laid.subject] = laid.stratum
        return np.where(rows.subject >= 0, of_subject[rows.subject], rows.stratum)

    def same(self, rows: NewRows) -> IntArray:
        """Return which row of the fit is at each row's subject and time, −1 where none is."""
        known = self.model.design.rows
        if not self.model.design.timeline.has_times:
            return np.full(len(rows.subject), -1)
        q = int(max(known.visit.max(), rows.visit.max(initial=0))) + 1
        cells = known.subject * np.int64(q) + known.visit
        order = np.argsort(cells, kind="stable")
        wanted = rows.subject * np.int64(q) + rows.visit
        at = np.minimum(np.searchsorted(cells[order], wanted), len(order) - 1)
        found = order[at]
        is_same = (cells[found] == wanted) & (rows.subject >= 0) & (rows.visit >= 0)
        return np.where(is_same, found, -1)

    def correction(self, rows: NewRows) -> FloatArray:
        """Return r'Py in units of y; 0 for unknown subjects, and for rows of the fit."""
        out = np.zeros(len(rows.subject))
        same = self.same(rows)
        for chosen, own, covariance in self._covariances(rows, (rows.subject >= 0) & (same < 0)):
            out[chosen] = (covariance * self._whitened[own]).sum(axis=1)
        return self.layout.residual_scale * out

    def left_out(self, rows: IntArray) -> FloatArray:
        """Return the predictions of rows of the fit from all others."""
        own = self.model.design.rows
        error = self.layout.residual_scale * self._whitened[rows] / self._diagonal[rows]
        return np.asarray(own.response[rows] - error / np.sqrt(own.weights[rows]))

    def normalized(self, rows: NewRows, errors: FloatArray) -> FloatArray:
        """Return L⁻¹e of the rows of each subject in time, R = LL', for e in units of y.

        Rows of unknown subjects are each alone.
        """
        number = np.unique(rows.subject, return_inverse=True)[1]
        alone = rows.subject < 0
        number[alone] = number.max(initial=0) + 1 + np.arange(int(alone.sum()))
        places, residual, strata = rows.places, self.layout.system.residual, self._strata(rows)
        order = np.lexsort((places.visit[:, 0], places.position[:, 0], number))
        counts = np.unique(number, return_counts=True)[1]
        starts, out = np.cumsum(counts) - counts, np.empty(len(errors))
        # Subjects of one stratum and number of rows at a time
        for n in np.unique(counts):
            own = order[starts[counts == n][:, None] + np.arange(n)]
            for stratum in np.unique(strata[own[:, 0]]):
                which = own[strata[own[:, 0]] == stratum]
                phi = self.model.factor.phi[residual.of_stratum(int(stratum))]
                times = TimePoints(*(v[which][:, :, 0] for v in places.parts))
                root = np.linalg.cholesky(residual.evaluate(phi, times).value)
                out[which] = np.linalg.solve(root, errors[which][:, :, None])[:, :, 0]
        return out / self.layout.residual_scale

    def _covariances(
        self, rows: NewRows, wanted: BoolArray
    ) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        """Return which rows, the rows of the fit of their subjects, (b, m), and r, (b, m)."""
        order, starts, counts = self._of_subjects
        sizes = np.where(wanted, counts[rows.subject], 0)
        for m in np.unique(sizes[wanted]):
            every = np.flatnonzero(sizes == m)
            step = max(SLAB_NUMBERS // (int(m) + 1) ** 2, 1)
            for start in range(0, len(every), step):
                chosen = every[start : start + step]
                own = order[starts[rows.subject[chosen]][:, None] + np.arange(m)]
                yield chosen, own, self._residual_covariance(rows, chosen, own)

    def _residual_covariance(self, rows: NewRows, chosen: IntArray, own: IntArray) -> FloatArray:
        """Return the covariances of residuals with those of the rows of their subjects, (b, m)."""
        laid, residual = self.layout.laid, self.layout.system.residual
        # R of the subject's times and the new one, whose last row it is
        new = rows.places.taken_rows(chosen)
        places = TimePoints(
            np.column_stack([laid.visit[own], new.visit]),
            np.column_stack([laid.position[own], new.position]),
            np.column_stack([laid.covariate[own], new.covariate]),
        )
        out = np.zeros(own.shape)
        strata = self._strata(rows)[chosen]
        for stratum in np.unique(strata):
            which = strata == stratum
            part = places.taken_rows(which)
            phi = self.model.factor.phi[residual.of_stratum(int(stratum))]
            out[which] = residual.evaluate(phi, part).value[:, -1, :-1]
        return out

    def variance(self, rows: NewRows, *, of_observation: bool) -> FloatArray:
        """Return the variances of the errors of predictions, in units of y²; (n,).

        Of observations, or of their means x'β + z'b.
        """
        frame, factor, layout = rows.frame, self.model.factor, self.layout
        assert frame is not None
        own = self._own_variance(rows, of_observation=of_observation)
        left = np.column_stack([self._outer_columns(rows, frame), frame.fixed]) / layout.root_unit
        # s − c'Ac + (u − U'Ac)'K(u − U'Ac), c the covariance with the rows of a block
        for chosen, inverse, known, covariance in self._by_block(rows, of_observation):
            solved = np.einsum("bxy,by->bx", inverse, covariance)
            own[chosen] -= (covariance * solved).sum(axis=1)
            left[chosen] -= np.einsum("bx,bxu->bu", solved, layout.laid.wide[known][:, :, :-1])
        out = own + ((left @ factor.inverse_root) ** 2).sum(axis=1)
        same = self.same(rows)
        if of_observation:
            out = np.where(same >= 0, self._left_out_variance[np.maximum(same, 0)], out)
        return layout.residual_scale**2 * out

    def _own_variance(self, rows: NewRows, *, of_observation: bool) -> FloatArray:
        """Return the variances of rows of which nothing is known; outer known levels apart."""
        residual, out = self.layout.system.residual, np.zeros(len(rows.subject))
        # The variance of the residual, and z'Σz of what is not an outer known level
        if of_observation:
            strata = self._strata(rows)
            for stratum in np.unique(strata):
                which = strata == stratum
                part = rows.places.taken_rows(which)
                phi = self.model.factor.phi[residual.of_stratum(int(stratum))]
                out[which] = residual.evaluate(phi, part).value[:, 0, 0]
        outer = {term.index for term in self.layout.system.outer}
        for index, (t, lam) in enumerate(
            zip(self.layout.terms, self.model.factor.lam[:-1], strict=True)
        ):
            assert rows.frame is not None
            own = ((rows.frame.terms[index] @ lam) ** 2).sum(axis=1) / self.layout.root_unit**2
            is_known = rows.levels[:, t.term.factor] >= 0
            out += np.where(is_known & (index in outer), 0.0, own)
        return out

    def _outer_columns(self, rows: NewRows, frame: RowsInFrame) -> FloatArray:
        """Return the rows of the outer Z, (n, u − p); 0 for unknown levels."""
        out = np.zeros((len(rows.subject), self.layout.system.n_outer))
        for term in self.layout.system.outer:
            levels = rows.levels[:, self.layout.terms[term.index].term.factor]
            known = np.flatnonzero(levels >= 0)
            columns = term.start + levels[known][:, None] * term.size + np.arange(term.size)
            out[known[:, None], columns] = frame.terms[term.index][known]
        return out

    def _by_block(
        self, rows: NewRows, of_observation: bool
    ) -> Iterator[tuple[IntArray, FloatArray, IntArray, FloatArray]]:
        """Return which rows, A of their blocks, and the rows and covariances of these."""
        factor, layout = self.model.factor, self.layout
        group, number = self._blocks_of(rows)
        for g, (at, index) in enumerate(zip(factor.blocks, layout.blocks, strict=True)):
            every = np.flatnonzero(group == g)
            step = max(SLAB_NUMBERS // (index.rows.shape[1] + 1) ** 2, 1)
            for start in range(0, len(every), step):
                chosen = every[start : start + step]
                known = index.rows[number[chosen]]
                covariance = self._block_covariance(rows, chosen, known, of_observation)
                yield chosen, at.inverse[index.pattern[number[chosen]]], known, covariance

    def _block_covariance(
        self, rows: NewRows, chosen: IntArray, known: IntArray, of_observation: bool
    ) -> FloatArray:
        """Return the covariances of rows with those of their blocks, (b, m)."""
        layout, laid = self.layout, self.layout.laid
        # R for rows of the same subject, and z'ΛΛ'z for rows of the same level
        out = np.zeros(known.shape)
        if of_observation:
            own = laid.subject[known] == rows.subject[chosen][:, None]
            out += own * self._residual_covariance(rows, chosen, known)
        outer = {term.index for term in layout.system.outer}
        for index, (t, lam) in enumerate(
            zip(layout.terms, self.model.factor.lam[:-1], strict=True)
        ):
            if index not in outer:
                assert rows.frame is not None
                columns, levels = laid.terms[index]
                same = levels[known] == rows.levels[chosen, t.term.factor][:, None]
                z = rows.frame.terms[index][chosen] @ (lam @ lam.T) / layout.root_unit
                out += same * np.einsum("bs,bxs->bx", z, columns[known])
        return out

    def _blocks_of(self, rows: NewRows) -> tuple[IntArray, IntArray]:
        """Return the group of each row's block, −1 where it has none, and its number there."""
        laid, n = self.layout.laid, len(rows.subject)
        # By the first row of the fit that has the subject, or else the level
        of_row = np.zeros((2, len(laid.subject)), dtype=np.intp)
        for g, index in enumerate(self.layout.blocks):
            of_row[0, index.rows] = g
            of_row[1, index.rows] = np.arange(len(index.rows))[:, None]
        out = np.full((2, n), -1)
        outer = {term.index for term in self.layout.system.outer}
        codes = [(laid.subject, rows.subject)]
        codes += [
            (laid.terms[index][1], rows.levels[:, t.term.factor])
            for index, t in enumerate(self.layout.terms)
            if index not in outer
        ]
        for known, new in reversed(codes):
            first = np.full(int(known.max()) + 1, -1)
            first[known] = np.arange(len(known))
            found = new >= 0
            out[:, found] = of_row[:, first[new[found]]]
        return out[0], out[1]
