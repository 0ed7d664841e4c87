"""Predictions and draws of rows by the covariance of their residuals with those of the fit.

The best linear prediction of a row with x, z and residual covariances r with the rows of
its subject is

    x'β̂ + z'b̂ + r'Py,    Py = V⁻¹(y − Xβ̂),

and a row of the fit is predicted from all others: y_i − (Py)_i / P_ii, with the variance
1 / P_ii, β estimated from the others too (Christensen, 2011, Plane Answers, section 13.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._model.time_points import TimePoints, numbered
from skmixed._repeated.coordinates import RowsInFrame, inverse_times, whitened_residuals
from skmixed._repeated.fit import RepeatedModel
from skmixed._repeated.likelihood import BlocksAt
from skmixed._repeated.rows import RowsBeside, log_sizes
from skmixed._repeated.small_sample import inner_products
from skmixed._typing import FloatArray, IntArray
from skmixed._uncertainty.draws import ResidualSampler, SubjectRoots, SubjectRows

# Share of a residual's variance below which what a row leaves is rounding.
NO_REST = 1e-10


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

    def with_sizes(self, values: FloatArray) -> "NewRows":
        """Return the rows with fitted values that standard deviations are a power of, (n,)."""
        return replace(self, places=replace(self.places, covariate=log_sizes(values)[:, None]))


@dataclass(frozen=True)
class RowInfluence:
    """What rows are to a fit, (n,); changes (p, n).

    Attributes
    ----------
    leverage : (n,) array
        ∂ŷ_i/∂y_i of ŷ = Xβ̂ + Zb̂.
    sd : (n,) array
        The standard deviation of √w_i(y_i − ŷ_i), NaN where the row fits itself.
    distance : (n,) array
        Cook's distance of β̂ without the row.
    changes : (p, n) array
        β̂ without the row less β̂, of the kept columns.
    """

    leverage: FloatArray
    sd: FloatArray
    distance: FloatArray
    changes: FloatArray


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
        out = np.zeros(len(wide))
        root = factor.outer_root if self.model.is_updated else factor.inverse_root
        # A_ii − (AUKU'A)_ii, N in the place of K for V⁻¹: by a root of K, since A, and what
        # AU has in common with it, has no bound as R turns singular
        for group, at in zip(self.layout.system.groups, factor.blocks, strict=True):
            half = at.times(wide[group.rows]) @ root
            out[group.rows] = at.diagonal - (half**2).sum(axis=1)
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
            for group, at in zip(self.layout.system.groups, factor.blocks, strict=True):
                own = at.times(columns[group.rows]) @ factor.fixed_root
                out[group.rows] += (own**2).sum(axis=1) * out[group.rows] ** 2
        return out / self.model.design.rows.weights

    def _strata(self, rows: NewRows) -> IntArray:
        """Return each row's stratum; of a subject of the fit with correlations that of the fit."""
        if not self.layout.system.residual.is_correlated:
            return rows.stratum
        laid = self.layout.laid
        of_subject = np.zeros(int(laid.subject.max()) + 1, dtype=np.intp)
        of_subject[laid.subject] = laid.stratum
        is_known = (rows.subject >= 0) & (rows.subject < len(of_subject))
        return np.where(is_known, of_subject[rows.subject * is_known], rows.stratum)

    def powers(self, rows: NewRows) -> FloatArray:
        """Return the power of the rows' sizes that their standard deviations are, (n,)."""
        residual = self.layout.system.residual
        phi = self.model.factor.phi.reshape(residual.n_strata, -1)
        return np.asarray(phi[self._strata(rows), 1 + residual.variance.others.index("power")])

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
        out, laid = np.zeros(len(rows.subject)), self.layout.laid
        is_new = (rows.subject >= 0) & (self.same(rows) < 0)
        for at, chosen, beside in self._beside(rows, of_observation=True):
            out[chosen] = at.residual_parts(beside, laid, self._whitened)
        return self.layout.residual_scale * np.where(is_new, out, 0.0)

    def left_out(self, rows: IntArray) -> FloatArray:
        """Return the predictions of rows of the fit from all others."""
        own = self.model.design.rows
        error = self.layout.residual_scale * self._whitened[rows] / self._diagonal[rows]
        return np.asarray(own.response[rows] - error / np.sqrt(own.weights[rows]))

    def influence(self) -> RowInfluence:
        """Return what the rows of the fit are to it, for units of y.

        With C = ZΣZ' of inner terms, so that V is S = R + C and outer effects, and F = AU:

            h_i = 1 − (RP)_ii = (CA)_ii + (U − CF)_i K F_i'
            Var(e_i) = (RPR)_ii = (R − C + CAC)_ii − (U − CF)_i K (U − CF)_i',

        and leaving out row i changes γ̂ by −ΦX'V⁻¹ε_i (Py)_i/P_ii.
        """
        layout, factor = self.layout, self.model.factor
        columns = layout.laid.wide[:, :-1]
        solved = inverse_times(layout, factor, columns)
        seen, once, twice = inner_products(layout, factor, solved)
        rest = (columns - seen) @ factor.inverse_root
        leverage = once + (rest * (solved @ factor.inverse_root)).sum(axis=1)
        own = self._residual_variances(layout.laid.stratum, layout.laid.subjects.places)
        # The diagonal of R of the rows, and of C among the three
        squares = own + twice - (rest**2).sum(axis=1)
        sd = np.sqrt(np.where(squares > NO_REST * own, squares, np.nan))
        determined = np.where(self._diagonal * own > NO_REST, self._diagonal, np.nan)
        shift = self._whitened / determined
        changes = solved @ factor.to_fixed @ factor.fixed_root * -shift[:, None]
        of_gamma = changes @ factor.fixed_root.T
        p = max(len(factor.fixed_root), 1)
        return RowInfluence(
            leverage=leverage,
            sd=layout.residual_scale * sd,
            distance=(changes**2).sum(axis=1) / p,
            changes=layout.scale * (layout.basis @ of_gamma.T),
        )

    def _residual_variances(self, strata: IntArray, places: TimePoints) -> FloatArray:
        """Return those of rows at places, (n, 1)."""
        residual, out = self.layout.system.residual, np.zeros(len(strata))
        for which, phi in residual.by_stratum(self.model.factor.phi, strata):
            out[which] = residual.evaluate(phi, places.taken_rows(which)).value[:, 0, 0]
        return out

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
            for of_stratum, phi in residual.by_stratum(self.model.factor.phi, strata[own[:, 0]]):
                which = own[of_stratum]
                times = TimePoints(*(v[which][:, :, 0] for v in places.parts))
                out[which] = residual.normalized(phi, times, errors[which])
        return out / self.layout.residual_scale

    def variance(self, rows: NewRows, *, of_observation: bool) -> FloatArray:
        """Return the variances of the errors of predictions, in units of y²; (n,).

        Of observations, or of their means x'β + z'b.
        """
        frame, factor, layout = rows.frame, self.model.factor, self.layout
        assert frame is not None
        own = self._own_variance(rows, of_observation=of_observation)
        left = np.column_stack([self._outer_columns(rows, frame), frame.fixed]) / layout.root_unit
        # s − c'Ac + (u − U'Ac)'K(u − U'Ac), c the covariance with the rows of a block
        for at, chosen, beside in self._beside(rows, of_observation=of_observation):
            square, seen = at.reductions(beside, layout.laid)
            # What rows of the fit determine without error leaves the rounding of s
            own[chosen] = np.maximum(own[chosen] - square, 0.0)
            left[chosen] -= seen
        out = own + ((left @ factor.inverse_root) ** 2).sum(axis=1)
        same = self.same(rows)
        if of_observation:
            out = np.where(same >= 0, self._left_out_variance[np.maximum(same, 0)], out)
        return layout.residual_scale**2 * out

    def _own_variance(self, rows: NewRows, *, of_observation: bool) -> FloatArray:
        """Return the variances of rows of which nothing is known; outer known levels apart."""
        out = np.zeros(len(rows.subject))
        # The variance of the residual, and z'Σz of what is not an outer known level
        if of_observation:
            out += self._residual_variances(self._strata(rows), rows.places)
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

    def residual_sampler(self, rows: NewRows, *, is_conditional: bool) -> "ResidualSampler":
        """Return what draws the residuals of rows, whose unknown subjects have further numbers.

        With `is_conditional` those of known subjects at times that are not of the fit are
        drawn given the residuals of the fit; others are drawn anew, the rows of a subject
        jointly.
        """
        laid, residual = self.layout.laid.subjects, self.layout.system.residual
        n_known, further = int(laid.subject.max()) + 1, np.zeros(len(rows.subject), dtype=bool)
        if is_conditional and residual.is_correlated:
            further = (rows.subject < n_known) & (self.same(rows) < 0)
        seen = np.flatnonzero(np.isin(laid.subject, rows.subject[further]))
        # Rows drawn anew have subjects of their own, behind those of the fit
        number = rows.subject + np.where(further, 0, n_known)
        own = SubjectRows(number, self._strata(rows), rows.places)
        both = SubjectRows.joined(laid.taken(seen), own)
        both = replace(both, subject=numbered([both.subject, both.stratum], len(both.subject))[0])
        first = inverse = np.arange(len(both.subject))
        if self.model.design.timeline.has_times and residual.is_correlated:
            _, first, inverse = np.unique(both.cells, return_index=True, return_inverse=True)
        is_known = first < len(seen)
        taken, phi = both.taken(first), self.model.factor.phi
        roots = SubjectRoots.of(residual, phi, taken, is_known)
        return ResidualSampler(roots, seen, first, inverse, self.layout.residual_scale)

    def _beside(
        self, rows: NewRows, *, of_observation: bool
    ) -> Iterator[tuple[BlocksAt, IntArray, RowsBeside]]:
        """Return the blocks of rows, group by group: which rows, and these beside the blocks."""
        group, block = self._blocks_of(rows)
        # Z at the scale of the rows with weights; no subject where residuals do not count
        subject = rows.subject if of_observation else np.full(len(rows.subject), -1)
        frame, unit = rows.frame, self.layout.root_unit
        terms = tuple(
            (frame.terms[index] / unit, rows.levels[:, t.term.factor])
            for index, t in enumerate(self.layout.terms)
            if frame is not None
        )
        beside = RowsBeside(block, subject, self._strata(rows), rows.places, terms)
        for g, at in enumerate(self.model.factor.blocks):
            chosen = np.flatnonzero(group == g)
            if len(chosen):
                yield at, chosen, beside.taken(chosen)

    def _blocks_of(self, rows: NewRows) -> tuple[IntArray, IntArray]:
        """Return the group of each row's block, −1 where it has none, and its number there."""
        laid, n = self.layout.laid, len(rows.subject)
        # By the first row of the fit that has the subject, or else the level
        of_row = np.zeros((2, len(laid.subject)), dtype=np.intp)
        for g, blocks in enumerate(self.layout.system.groups):
            of_row[0, blocks.rows] = g
            of_row[1, blocks.rows] = blocks.block_of_row
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
