"""Rows from the user's units to the search's, and estimates back.

In the search's units least squares leaves residuals with a variance of 1, X is
orthonormal with the weights, and the columns of random effects are those of the
system's terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.layout import FactorLayout
from skmixed._estimation.solution import centered_to_user
from skmixed._model.residual import Residual
from skmixed._model.terms import Model
from skmixed._model.time_points import ResidualMoments
from skmixed._repeated.layout import BlockLayout, InnerTerm, block_codes
from skmixed._repeated.likelihood import OuterTerm, RepeatedSystem
from skmixed._repeated.rows import LaidRows, RepeatedDesign, RepeatedRows
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray, IntArray

# Rows that are laid out at a time.
PART = 2**14


@dataclass(frozen=True)
class RepeatedLayout:
    """A model's rows, laid out for the search, and the way back from it.

    Attributes
    ----------
    system : RepeatedSystem
    laid : LaidRows
    terms : tuple of TermCoordinates
        In the model's order.
    kept : tuple of int
        Columns with a fixed effect that are not dropped.
    scale : float
        The standard deviation of least squares, in units of y.
    root_unit : float
        Root of the unit of weights.
    basis : (p, p) array
        F, from γ to the effects of the kept columns.
    offset : (p,) array
        What least squares and centering add to these.
    gamma : (p,) array
        γ of least squares.
    """

    system: RepeatedSystem
    laid: LaidRows
    terms: tuple[TermCoordinates, ...]
    kept: tuple[int, ...]
    scale: float
    root_unit: float
    basis: FloatArray
    offset: FloatArray
    gamma: FloatArray

    @property
    def residual_scale(self) -> float:
        """What the standard deviations of the search are multiplied by."""
        return self.scale * self.root_unit

    def with_response(
        self, response: FloatArray, levels: IntArray, likelihood: Likelihood
    ) -> "RepeatedLayout":
        """Lay out another response of the rows, in the units of the search; (n,)."""
        fixed = self.laid.wide[:, self.system.n_outer : -1]
        laid = replace(self.laid, wide=np.column_stack([fixed, response]))
        own = self.terms, self.system.residual
        codes, inside = _codes(laid.subject, levels, *own)
        system, laid = _system(laid, codes, inside, *own, likelihood, self.system.constant)
        return replace(self, system=system, laid=laid)


@dataclass(frozen=True)
class RowsInFrame:
    """Rows of X, y and Z in the units of the search.

    Attributes
    ----------
    fixed : (n, p) array
        X less its centers and regressions, times R_x⁻ᵀ.
    response : (n,) array
    terms : tuple of (n, s) arrays
    """

    fixed: FloatArray
    response: FloatArray
    terms: tuple[FloatArray, ...]


def rows_in_frame(
    at_zero: CholeskyFactor, model: Model, center: FloatArray, rows: RepeatedRows
) -> RowsInFrame:
    """Take rows to the frame of a system, without their weights."""
    system = at_zero.system
    columns = [np.ones(rows.n_rows), *rows.columns.T]
    # [X y] less centers and the regression of each column on those before
    both = np.column_stack([*(columns[model.fixed[j]] for j in system.kept), rows.response])
    both -= system.center
    if system.regression is not None:
        both = residuals(both, system.regression)
    # Z of each term: the factor's columns, then the search's combinations of them
    terms: dict[int, FloatArray] = {}
    for factor in system.factors:
        own = factor_columns(factor, columns, center)
        terms |= {t.index: own @ t.to_factor_columns for t in factor.terms}
    fixed = both[:, :-1] @ at_zero.fixed.inverse_root
    return RowsInFrame(fixed, both[:, -1], tuple(terms[k] for k in sorted(terms)))


def factor_columns(
    factor: FactorLayout, columns: Sequence[FloatArray], center: FloatArray
) -> FloatArray:
    """Return the rows' columns of a factor in its frame, (n, r); the first one is of ones."""
    used = {c for t in factor.terms for c in t.term.columns}
    kept = [0, *sorted(used - {0})]
    own = np.column_stack([columns[c] for c in kept]) - center[kept]
    return own if factor.regression is None else residuals(own, factor.regression)


def lay_out_repeated(
    at_zero: CholeskyFactor,
    likelihood: Likelihood,
    model: Model,
    center: FloatArray,
    design: RepeatedDesign,
) -> RepeatedLayout:
    """Lay out a model's rows."""
    rows, residual = design.rows, design.residual
    system, root_unit = at_zero.system, float(np.sqrt(at_zero.system.weight_unit))
    laid, gamma = _laid_rows(at_zero, model, center, design, root_unit)
    scale = float(np.sqrt(likelihood.sigma_squared(at_zero)))
    laid.wide[:, -1] /= scale
    coordinates = {t.index: t for f in system.factors for t in f.terms}
    terms = tuple(coordinates[k] for k in sorted(coordinates))
    codes, inside = _codes(rows.subject, rows.levels, terms, residual)
    to_user, offset = centered_to_user(system, model)
    basis = to_user @ at_zero.fixed.inverse_root
    # −2 log L in the user's units: log|S| and log|X'V⁻¹X| of y and X, and the weights
    constant = 2.0 * likelihood.dof * np.log(scale) - likelihood.sum_log_weights
    if likelihood.reml:
        constant -= 2.0 * float(np.log(np.abs(np.diagonal(at_zero.fixed.inverse_root))).sum())
    found, laid = _system(laid, codes, inside, terms, residual, likelihood, constant)
    offset = basis @ gamma + offset
    return RepeatedLayout(found, laid, terms, system.kept, scale, root_unit, basis, offset, gamma)


def _codes(
    subject: IntArray, levels: IntArray, terms: tuple[TermCoordinates, ...], residual: Residual
) -> tuple[IntArray, tuple[bool, ...]]:
    """Return each row's block, and which factors' levels are inside of blocks."""
    sizes = np.zeros(levels.shape[1], dtype=int)
    np.add.at(sizes, [t.term.factor for t in terms], [t.size for t in terms])
    is_markov = residual.correlation.is_markov
    return block_codes(subject, levels, sizes.tolist(), is_markov=is_markov)


def _laid_rows(
    at_zero: CholeskyFactor,
    model: Model,
    center: FloatArray,
    design: RepeatedDesign,
    root_unit: float,
) -> tuple[LaidRows, FloatArray]:
    """Return rows with their weights, y less least squares, and γ of these."""
    rows, places, system = design.rows, design.places, at_zero.system
    sizes = {t.index: (t.size, t.term.factor) for f in system.factors for t in f.terms}
    wide = np.empty((rows.n_rows, len(system.kept) + 1))
    terms = [np.empty((rows.n_rows, sizes[k][0])) for k in sorted(sizes)]
    # Part by part: nothing of the size of the rows is made beside what is kept
    for start in range(0, rows.n_rows, PART):
        part = slice(start, start + PART)
        own = rows.taken(part)
        root = np.sqrt(own.weights)[:, None] / root_unit
        framed = rows_in_frame(at_zero, model, center, own)
        np.multiply(root, framed.fixed, out=wide[part, :-1])
        wide[part, -1] = root[:, 0] * framed.response
        for out, columns in zip(terms, framed.terms, strict=True):
            np.multiply(root, columns, out=out[part])
    gamma = wide[:, :-1].T @ wide[:, -1]
    wide[:, -1] -= wide[:, :-1] @ gamma
    levels = [rows.levels[:, sizes[k][1]] for k in sorted(sizes)]
    laid = LaidRows(
        wide=wide,
        terms=tuple(zip(terms, levels, strict=True)),
        subject=rows.subject,
        visit=places.visit,
        stratum=rows.stratum,
        position=places.position,
        covariate=places.covariate,
    )
    return laid, gamma


def _system(
    laid: LaidRows,
    codes: IntArray,
    inside: tuple[bool, ...],
    terms: tuple[TermCoordinates, ...],
    residual: Residual,
    likelihood: Likelihood,
    constant: float,
) -> tuple[RepeatedSystem, LaidRows]:
    """Lay out blocks and outer terms; return the rows with the outer Z before X."""
    inner, outer, z, start = [], [], [], 0
    n_tau = n_outer = 0
    # Inner terms are parts of the blocks; each outer one has dense columns of Z.
    for t, (columns, levels) in zip(terms, laid.terms, strict=True):
        directions = t.term.structure.directions(t.size)
        place = slice(n_tau, n_tau + len(directions))
        n_tau = place.stop
        if inside[t.term.factor]:
            inner.append(InnerTerm(t.index, directions, place))
            continue
        q = int(levels.max()) + 1
        outer.append(OuterTerm(t.index, start, q, t.size, directions, place))
        own = np.zeros((len(levels), q, t.size))
        own[np.arange(len(levels)), levels] = columns
        z.append(own.reshape(len(levels), -1))
        n_outer = start = start + q * t.size
    if z:
        laid = replace(laid, wide=np.column_stack([*z, laid.wide]))
    system = RepeatedSystem(
        groups=tuple(BlockLayout(laid, residual, tuple(inner), n_tau).blocks(codes)),
        outer=tuple(outer),
        structures=tuple(t.term.structure for t in terms),
        sizes=tuple(t.size for t in terms),
        residual=residual,
        n_outer=n_outer,
        n_fixed=laid.wide.shape[1] - n_outer - 1,
        n_rows=len(laid.wide),
        reml=likelihood.reml,
        constant=float(constant),
    )
    return system, laid


def residual_moments(system: RepeatedSystem) -> list[ResidualMoments]:
    """Return the moments of the residuals of least squares in each stratum."""
    residual, m = system.residual, system.residual.moment_visits
    own = np.zeros((system.n_outer + system.n_fixed + 1,) * 2)
    own[-1, -1] = 1.0
    sums, counts = np.zeros((2, residual.n_strata, m, m))
    near = np.zeros((residual.n_strata, 3))
    for group in system.groups:
        for number, *parts in group.moments(own, m):
            for total, part in zip((sums, counts, near), parts, strict=True):
                total[number] += part
    return [_moments(*parts) for parts in zip(sums, counts, near, strict=True)]


def _moments(sums: FloatArray, counts: FloatArray, near: FloatArray) -> ResidualMoments:
    products, gaps, n = near
    variance = float(np.trace(sums) / max(np.trace(counts), 1.0))
    neighbor = products / max(n, 1.0) / max(variance, np.finfo(float).tiny)
    gap = gaps / n if n and gaps else 1.0
    return ResidualMoments(sums / np.maximum(counts, 1.0), counts, float(gap), float(neighbor))
