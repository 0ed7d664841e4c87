"""Rows from the user's units to the search's, starts there, and estimates back.

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
from skmixed._estimation.fit import Estimate, Examined
from skmixed._estimation.solution import centered_to_user, has_full_rank
from skmixed._estimation.start import moment_start
from skmixed._model.residual import Residual
from skmixed._model.terms import Model
from skmixed._model.time_points import ResidualMoments
from skmixed._repeated.layout import BlockLayout, InnerTerm, block_codes
from skmixed._repeated.likelihood import OuterTerm, RepeatedFactor, RepeatedSystem
from skmixed._repeated.rows import LaidRows, RepeatedDesign, RepeatedRows
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray, IntArray, Lam
from skmixed.exceptions import FitStatus, UndeterminedError

# Rows that are laid out at a time.
PART = 2**14
# Share of the variance of all residuals below which those of a stratum are rounding.
NO_RESIDUALS = 1e-18
# Share of the residual variance that a second start leaves to the random effects.
LITTLE = 0.1


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
        own = own_columns(factor, factor.columns, columns, center)
        terms |= {t.index: own @ t.to_factor_columns for t in factor.terms}
    fixed = both[:, :-1] @ at_zero.fixed.inverse_root
    return RowsInFrame(fixed, both[:, -1], tuple(terms[k] for k in sorted(terms)))


def own_columns(
    factor: FactorLayout,
    kept: Sequence[int],
    columns: Sequence[FloatArray],
    center: FloatArray,
) -> FloatArray:
    """Return the rows' columns of a factor in its frame, (n, r); the first one is of ones."""
    own = np.column_stack([columns[c] for c in kept]) - center[list(kept)]
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
    is_markov = residual.is_markov
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


def starts(layout: RepeatedLayout, given: Examined, before: Estimate | None) -> list[Lam]:
    """Return Λ and φ to start from: by moments, and with the correlation in either part."""
    system, residual = layout.system, layout.system.residual
    if before is not None and before.solution.residual is not None:
        own = before.solution.residual
        if own.phi.size == residual.n_phi and before.status is FitStatus.CONVERGED:
            return [_start_before(layout, before)]
    moments = residual_moments(system)
    if min(float(np.trace(own.covariance)) for own in moments) < NO_RESIDUALS:
        raise UndeterminedError(
            "The fixed effects reproduce the rows of a stratum of the residual covariance, which "
            "leaves it no residuals. Use fewer strata in `by`, or fewer fixed effects."
        )
    phi = residual.start(moments)
    free = _uncorrelated(residual, phi)
    if given.moments is None and residual.is_any_covariance:
        even = residual.even_start(moments)
        return [(phi,), (even,)]
    if given.moments is None:
        if residual.is_correlated:
            return [(phi,), (_of_no_correlation(layout, moments),)]
        return [(phi,), (free,)] if residual.n_variances > 1 else [(phi,)]
    # Λ of moments is relative to residuals of one variance.
    lam = moment_start(given.at_zero, given.likelihood, given.moments)
    share = 1.0 / np.sqrt(1.0 + sum(float((own**2).sum()) for own in lam))
    shared = tuple(share * own for own in lam)
    little = tuple(np.sqrt(LITTLE) * np.eye(len(own)) for own in lam)
    starts = [(*shared, residual.scaled(free, share)), (*little, phi)]
    has_own = residual.variance.is_of_visits and not residual.is_any_covariance
    of_visits = range(residual.m if has_own else 0)
    return starts + [(*shared, _without_visit(residual, phi, k)) for k in of_visits]


def _without_visit(residual: Residual, phi: FloatArray, visit: int) -> FloatArray:
    """Return the parameters with next to no variance of one visit's residuals.

    The optimum can be where random effects are all that a visit differs by.
    """
    out = phi.reshape(residual.n_strata, -1).copy()
    out[:, visit] += np.log(LITTLE)
    return out.ravel()


def _of_no_correlation(layout: RepeatedLayout, moments: list[ResidualMoments]) -> FloatArray:
    """Return parameters to start from as if residuals were uncorrelated, also the nearest ones."""
    laid = layout.laid
    order = np.lexsort((laid.position, laid.subject))
    steps = np.abs(np.diff(laid.position[order]))[np.diff(laid.subject[order]) == 0]
    gap = 0.5 * float(steps[steps > 0].min(initial=np.inf))
    return layout.system.residual.start([own.uncorrelated(gap) for own in moments])


def _uncorrelated(residual: Residual, phi: FloatArray) -> FloatArray:
    """Return the parameters with no correlation, or next to none."""
    return residual.weakened(phi, LITTLE)


def _start_before(layout: RepeatedLayout, before: Estimate) -> Lam:
    """Carry estimates over to the units of this layout."""
    solution = before.solution
    assert solution.residual is not None
    relative = solution.sigma / layout.scale
    pairs = zip(layout.terms, solution.terms, strict=True)
    terms = [np.asarray(np.linalg.solve(t.to_user, relative * s.lam)) for t, s in pairs]
    phi = solution.residual.phi.ravel()
    return (*inside(terms), layout.system.residual.scaled(phi, 1.0 / layout.residual_scale))


def inside(terms: Sequence[FloatArray]) -> Lam:
    """Return Λ with a little variance where it is singular: a search does not leave a boundary."""
    return tuple(own if has_full_rank(own) else np.sqrt(LITTLE) * np.eye(len(own)) for own in terms)


def inverse_times(
    layout: RepeatedLayout, factor: RepeatedFactor, columns: FloatArray
) -> FloatArray:
    """Return A times columns, (n, k)."""
    out = np.empty_like(columns)
    for group, at in zip(layout.system.groups, factor.blocks, strict=True):
        out[group.rows] = at.times(columns[group.rows])
    return out


def whitened_residuals(layout: RepeatedLayout, factor: RepeatedFactor) -> FloatArray:
    """Return Py = A(y − Xγ̂ − Zb̂) of each row, b̂ the outer effects; (n,)."""
    left = layout.laid.wide @ factor.residual_weights
    return inverse_times(layout, factor, left[:, None])[:, 0]


def random_effects(
    layout: RepeatedLayout, factor: RepeatedFactor, whitened: FloatArray
) -> list[FloatArray]:
    """Return b̂ = ΛΛ'Z'Py of each term, (s, q)."""
    out = []
    for (columns, levels), lam in zip(layout.laid.terms, factor.lam[:-1], strict=True):
        q = int(levels.max()) + 1
        sums = [np.bincount(levels, column * whitened, q) for column in columns.T]
        out.append(lam @ lam.T @ np.stack(sums))
    return out


def fitted_values(
    layout: RepeatedLayout, factor: RepeatedFactor, rows: RepeatedRows, effects: list[FloatArray]
) -> FloatArray:
    """Return Xβ̂ + Zb̂ of the rows for b̂ of each term, (s, q), in units of y; (n,)."""
    laid, n = layout.laid, layout.system.n_outer
    error = laid.wide[:, -1] - laid.wide[:, n:-1] @ factor.effects[n:]
    for (columns, levels), own in zip(laid.terms, effects, strict=True):
        error -= (columns * own[:, levels].T).sum(axis=1)
    return np.asarray(rows.response - layout.residual_scale * error / np.sqrt(rows.weights))


def least_squares_fit(layout: RepeatedLayout, rows: RepeatedRows) -> FloatArray:
    """Return the fitted values of least squares, (n,)."""
    error = layout.residual_scale * layout.laid.wide[:, -1] / np.sqrt(rows.weights)
    return np.asarray(rows.response - error)
