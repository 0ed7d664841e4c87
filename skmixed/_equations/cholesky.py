"""The Cholesky factorization of the mixed-model equations at one Λ.

With index 1 for an eliminated factor and c for what is left of the random
effects, and M_1 = Λ_1'Z_1'Z_1Λ_1 + I = LL' per level, the factor of the whole is

    [ L            0    ]      H = L⁻¹Λ_1'Z_1'[Z_c X y]
    [ (HΛ_c)'  R        ]      RR' = [ Λ_c'S_ccΛ_c + I   Λ_c'S_cX ],   S = [Z_c X y]'[Z_c X y] − H'H
                                     [ S_XcΛ_c           S_XX     ]

(Bates et al., 2015, J. Stat. Softw. 67(1), equations 18 and 48 to 50, with the
random effects in parts; docs/mathematics.md, "The blocked Cholesky factor"). S is
kept in the coordinates of the columns themselves, free of Λ_c, and the stages of the
chain are eliminated from it one by one. A `CholeskyFactor` is a value: nothing in it
changes when another Λ is tried.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from skmixed._equations.elimination import EliminatedStage, FactorRows, eliminate
from skmixed._equations.layout import FactorLayout
from skmixed._equations.linear_algebra import (
    FixedFactor,
    cholesky_lower,
    solve_lower,
    to_slabs,
)
from skmixed._equations.system import Stage, System
from skmixed._model.chart import Span
from skmixed._typing import FloatArray, Lam


@dataclass(frozen=True)
class Effects:
    """Random and fixed effects.

    Attributes
    ----------
    spherical : tuple of (s, q) arrays
        u of each factor, in the order of the system.
    outer : (n_outer,) array
        b = Λu of the outer columns, of all factors but the first.
    fixed : (p,) array
        β of the kept columns.
    """

    spherical: tuple[FloatArray, ...]
    outer: FloatArray
    fixed: FloatArray

    @staticmethod
    def of(
        system: System, lam: Lam, spherical: tuple[FloatArray, ...], fixed: FloatArray
    ) -> "Effects":
        """Take in u of each factor, and β."""
        outer = [
            (factor.lam(lam) @ own).T.ravel()
            for factor, own in zip(system.factors[1:], spherical[1:], strict=True)
        ]
        return Effects(spherical, np.concatenate([np.empty(0), *outer]), fixed)


def no_effects(system: System, fixed: FloatArray) -> Effects:
    """Return random effects of 0, those of a least-squares fit."""
    sizes = [(sum(t.size for t in f.terms), f.n_levels) for f in system.factors]
    return Effects(tuple(map(np.zeros, sizes)), np.zeros(system.factors[-1].outer.stop), fixed)


@dataclass(frozen=True)
class CholeskyFactor:
    """The blocked Cholesky factor at one Λ, and what it gives at once.

    Attributes
    ----------
    system : System
    lam : tuple of (s, s) arrays
        Λ of each term, in the search's coordinates.
    stages : tuple of EliminatedStage
    schur : (q_core + p + 1,) * 2 array
        S above.
    chol_core : (s_core + p,) * 2 array
        R, lower triangular.
    solution : (s_core + p,) array
        The spherical effects of the core and the fixed effects β̂ of the kept
        columns, centered as in `System`.
    residual_squares : float
        The penalized residual sum of squares r².
    logdet_z, logdet_x : float
        log|M| and log|X'V⁻¹X|.
    spans : dict of Span
        By the place of a factor's first entry, in units of Λ (`relative`); else empty.
    random_inverse : (q_core,) * 2 array, G of the core without X there; else None
    """

    system: System
    lam: Lam
    stages: "tuple[EliminatedStage, ...]"
    schur: FloatArray
    chol_core: FloatArray
    solution: FloatArray
    residual_squares: float
    logdet_z: float
    logdet_x: float
    spans: dict[int, Span] = field(default_factory=dict)
    random_inverse: FloatArray | None = None

    @property
    def reduced_products(self) -> FloatArray:
        """S of the core, X and y; without a core [X y]'V⁻¹[X y], (p + 1, p + 1)."""
        return self.schur

    @property
    def n_stages(self) -> int:
        """Factors eliminated level by level; they come first."""
        return len(self.stages)

    @property
    def n_spherical(self) -> int:
        """Columns of the core's random effects in the coordinates of Λ."""
        return len(self.solution) - self.system.n_fixed

    def effect_columns(self) -> float:
        """Count the columns of the random effects, each by Λ's part of its pivot: Σ 1 − 1/d².

        Columns of zeros, and those that depend on others before them, have a pivot of 1.
        """
        pivots = [np.diagonal(stage.chol, axis1=1, axis2=2) for stage in self.stages]
        pivots.append(np.diagonal(self.chol_core)[: self.n_spherical])
        return sum(float((1.0 - 1.0 / own**2).sum()) for own in pivots)

    @property
    def beta(self) -> FloatArray:
        """Fixed effects of the kept columns, (p,)."""
        return self.solution[self.n_spherical :]

    @property
    def fixed(self) -> FixedFactor:
        """The factor of X'V⁻¹X."""
        return FixedFactor(self.chol_core[self.n_spherical :, self.n_spherical :])

    def from_spherical(self, rows: FloatArray) -> FloatArray:
        """Multiply by Λ_c: (s_core, k) to (q_core, k)."""
        return _apply(self.system, self.lam, rows, transposed=False)

    def core_solution(self, columns: FloatArray) -> FloatArray:
        """Return Λ_c(RR')⁻¹Λ_c'v of the core without X, (q_core, m)."""
        n = self.n_spherical
        rows = _apply(self.system, self.lam, columns, transposed=True)
        half = solve_lower(self.chol_core[:n, :n], rows)
        return self.from_spherical(solve_lower(self.chol_core[:n, :n], half, transposed=True))

    @cached_property
    def inverse_root(self) -> FloatArray:
        """TR⁻ᵀ of the core and X, (q_core + p, s_core + p); costs a third of their order cubed."""
        upper = solve_lower(self.chol_core, np.eye(len(self.chol_core))).T
        random, fixed = np.split(upper, [self.n_spherical])
        return np.ascontiguousarray(np.concatenate([self.from_spherical(random), fixed]))

    def effects(self) -> Effects:
        """Return the best linear unbiased predictors b̂ = Λû (Henderson, 1975, Biometrics 31).

        û is from L'u = c_u − R_ZXβ̂ (Bates et al., 2015, J. Stat. Softw. 67(1), equation 52).
        """
        if self.system.is_sparse:  # of which the core is factored at Λ = 0 alone
            return no_effects(self.system, self.beta)
        return self._back([stage.white_response for stage in self.stages], self.solution)

    def mean_products(self, k: int) -> FloatArray:
        """Return the mean over levels of a factor's products Z'V_1⁻¹Z, (r, r).

        V_1 is the covariance of what is eliminated before the factor.
        """
        factor = self.system.factors[k]
        q, r = factor.n_levels, factor.n_columns
        if factor.core is None:
            own = self.stages[k].products[:, :, self.system.stages[k].random]
            return np.asarray(own.sum(axis=(0, 3)) / q)
        own = self.schur[factor.core, factor.core].reshape(q, r, q, r)
        return np.asarray(np.einsum("qaqb->ab", own) / q)

    def with_beta(self, beta: FloatArray) -> "CholeskyFactor":
        """Return the factor with other fixed effects, given, and the core's effects for them.

        Those solve R_c'u = v − R_xc'β, of which v does not change.
        """
        n = self.n_spherical
        across = self.chol_core[n:, :n].T @ (self.beta - beta)
        moved = solve_lower(self.chol_core[:n, :n], across, transposed=True)
        return replace(self, solution=np.concatenate([self.solution[:n] + moved, beta]))

    def with_fixed_of(self, fit: "CholeskyFactor") -> "CholeskyFactor":
        """Return the factor with β̂, r² and R_x of another one.

        Both have the same columns of X, in the same coordinates.
        """
        chol, n = self.chol_core.copy(), self.n_spherical
        chol[n:, n:] = fit.fixed.root
        return replace(
            self.with_beta(fit.beta),
            chol_core=chol,
            residual_squares=fit.residual_squares,
            logdet_x=fit.logdet_x,
        )

    def noise(self, rng: np.random.Generator) -> tuple[list[FloatArray], FloatArray]:
        """Draw a standard normal for each row of the factor: of the stages, and of the core."""
        core = rng.standard_normal(len(self.chol_core))
        return [rng.standard_normal(s.white_response.shape) for s in self.stages], core

    def solve_transposed(self, stages: Sequence[FloatArray], core: FloatArray) -> Effects:
        """Solve R'(u; β) = v, from v of each stage, (k, s, b), and of the core and X."""
        return self._back(stages, solve_lower(self.chol_core, core, transposed=True))

    def _back(self, white: Sequence[FloatArray], solution: FloatArray) -> Effects:
        """Go back along the chain from the solution for the core and X."""
        n, factors = len(self.stages), self.system.factors
        outer = np.zeros(factors[-1].outer.stop if factors else 0)
        of_core, beta = np.split(solution, [self.n_spherical])
        outer[self.system.n_chain :] = self.from_spherical(of_core[:, None])[:, 0]
        spherical = [
            of_core[own].reshape(factor.n_levels, -1).T
            for own, factor in zip(self.system.spherical_places, factors[n:], strict=True)
        ]
        # Stage by stage, the outer ones first: L'u = w − H_Xβ − H_c b_c and b = Λu
        for k in reversed(range(n)):
            own = self.stages[k].effects(white[k], beta, outer)
            spherical.insert(0, own)
            if k:
                outer[factors[k].outer] = (self.stages[k].lam @ own).T.ravel()
        return Effects(tuple(spherical), outer, beta)


def _apply(system: System, lam: Lam, rows: FloatArray, *, transposed: bool) -> FloatArray:
    parts, start = [], 0
    for factor in system.core_factors:
        own = factor.lam(lam)
        own = own.T if transposed else own
        size = factor.n_levels * own.shape[1]
        part = rows[start : start + size].reshape(factor.n_levels, own.shape[1], -1)
        parts.append(np.matmul(own, part).reshape(factor.n_levels * own.shape[0], -1))
        start += size
    return np.concatenate(parts) if parts else np.empty((0, rows.shape[1]))


def factorize(system: System, lam: Lam, reuse: CholeskyFactor | None = None) -> CholeskyFactor:
    """Factor the system at Λ.

    `reuse` is a factorization of the same system that the caller gives up: its
    arrays over the levels are overwritten, since new ones cost as much as the
    arithmetic (first writes to fresh memory).

    Raises
    ------
    numpy.linalg.LinAlgError
        If X'V⁻¹X is not positive definite to rounding, which takes a Λ far
        beyond the data's resolution.
    """
    old = [None] * len(system.stages) if reuse is None else reuse.stages

    def one(k: int, products: FloatArray, values: FloatArray) -> EliminatedStage:
        return eliminate(system.stages[k], products, values, system.factors[k].lam(lam), old[k])

    # The chain, level by level: L, H and S = [Z_c X y]'[Z_c X y] − H'H
    stages, schur = eliminate_chain(system, one)
    response = schur[: system.n_core, -1:]
    if system.n_core:  # a sparse core is not here
        response = _apply(system, lam, response, transposed=True)
    n, p = len(response) + system.n_fixed, system.n_fixed
    # RR' of the core and X; R(u_c; β) from Rv = Λ_c'S_cy, and r² = S_yy − v'v
    chol = _core_factor(system, lam, schur, n)
    rhs = solve_lower(chol, np.concatenate([response, schur[system.n_core : -1, -1:]])[:, 0])
    logs = 2.0 * np.log(np.diagonal(chol))
    return CholeskyFactor(
        system=system,
        lam=lam,
        stages=stages,
        schur=schur,
        chol_core=chol,
        solution=solve_lower(chol, rhs, transposed=True),
        residual_squares=float(schur[-1, -1] - rhs @ rhs),
        logdet_z=sum(stage.logdet for stage in stages) + float(logs[: n - p].sum()),
        logdet_x=float(logs[n - p :].sum()),
    )


def zero_lam(system: System) -> Lam:
    """Λ = 0 of each term: the model without random effects."""
    return tuple(np.zeros((t.size, t.size)) for _, t in system.terms)


Rows = TypeVar("Rows", bound=FactorRows)


def eliminate_chain(
    system: System, one: Callable[[int, FloatArray, FloatArray], Rows]
) -> tuple[tuple[Rows, ...], FloatArray]:
    """Eliminate the stages, inner first; return them and the Schur complement of the core.

    `one` eliminates stage k, given what the stages before have left of its
    products and of the values of its cells.
    """
    schur = system.core
    left = [(stage.products, stage.values) for stage in system.stages]
    done: list[Rows] = []
    for k in range(len(system.stages)):
        part = one(k, *left[k])
        done.append(part)
        if part.gram.any():  # else nothing is taken
            schur = schur.copy() if schur is system.core else schur
            _take_from_core(system, part, schur)
            for g in range(k + 1, len(system.stages)):
                taken = _taken(part, system.stages[g], system.factors[g])
                left[g] = (left[g][0] - taken[0], left[g][1] - taken[1])
    return tuple(done), schur


def _take_from_core(system: System, rows: FactorRows, schur: FloatArray) -> None:
    """Subtract H'H of a stage from the core."""
    n, fixed = system.n_core, rows.stage.fixed
    schur[n:, n:] -= rows.gram[np.ix_(fixed, fixed)]
    if n:
        rows.take_squares(schur)
        at_fixed = zip(rows.at_outer, rows.at_fixed, strict=True)
        schur[:n, n:] -= sum(half.T @ of_fixed for half, of_fixed in at_fixed)[system.n_chain :]
        schur[n:, :n] = schur[:n, n:].T


def _taken(rows: FactorRows, later: Stage, place: FactorLayout) -> tuple[FloatArray, FloatArray]:
    """H'H between a later stage of the chain and all that it meets.

    Each level of the inner stage has one cell there, so that what a level of the
    outer one loses depends on its own inner levels alone.
    """
    q, r = place.n_levels, place.n_columns
    halves = rows.at_outer
    # Of a level with itself, (q, r, r), and with X and y, (q, r, p + 1).
    own = [h[:, place.outer] for h in halves]
    squares = np.zeros((q, r, r))
    own_products = sum(h.T @ h for h in own).tocoo()
    squares[own_products.row // r, own_products.row % r, own_products.col % r] = own_products.data
    fixed = zip(own, rows.at_fixed, strict=True)
    crossed = sum(h.T @ f for h, f in fixed).reshape(q, r, -1)
    products = np.zeros((r, later.products.shape[2], q))
    products[:, later.random] = squares.transpose(1, 2, 0)
    products[:, later.fixed] = crossed.transpose(1, 2, 0)
    slabs = to_slabs(products, *later.products.shape[::3])
    if not len(later.cells):
        return slabs, later.values
    # With the columns beyond, which lie at the cells of the later stage.
    rest = sum(o.T @ h for o, h in zip(own, halves, strict=True)).tocoo()
    outside = rest.col >= place.outer.stop
    values = np.zeros(later.values.shape)
    at = later.cells.find(rest.row[outside] // r, rest.col[outside])
    values[rest.row[outside] % r, at] = rest.data[outside]
    return slabs, values


def _core_factor(system: System, lam: Lam, schur: FloatArray, n: int) -> FloatArray:
    """Factor [Λ_c X]'S[Λ_c X], I added to the random effects, of order n."""
    fixed = slice(system.n_core, -1)
    if n == system.n_fixed or not any(own.any() for own in lam):
        # At Λ = 0 it is the identity beside X'X.
        chol = np.eye(n)
        chol[n - system.n_fixed :, n - system.n_fixed :] = cholesky_lower(schur[fixed, fixed])
        return chol
    equations = congruent(system, lam, schur[:-1, :-1], transposed=True)
    random = np.arange(n - system.n_fixed)
    equations[random, random] += 1.0
    return cholesky_lower(equations, is_kept=False)


def congruent(
    system: System, lam: Lam, matrix: FloatArray, *, transposed: bool, is_kept: bool = True
) -> FloatArray:
    """Return TST' for a symmetric matrix, with T = [Λ_c 0; 0 I] or its transpose.

    A matrix that is not kept may be written over.
    """
    lams = [factor.lam(lam) for factor in system.core_factors]
    if all(own.shape == (1, 1) for own in lams):
        places = [
            (factor.core, own.item()) for factor, own in zip(system.core_factors, lams, strict=True)
        ]
        places.append((slice(system.n_core, None), 1.0))
        out = np.empty(matrix.shape) if is_kept else matrix
        for rows, a in places:
            for columns, b in places:
                np.multiply(matrix[rows, columns], a * b, out=out[rows, columns])
        return out
    # TS, and T(TS)': each one product for the levels of a factor
    shape = [own.shape[0 if transposed else 1] for own in lams]
    n = sum(f.n_levels * k for f, k in zip(system.core_factors, shape, strict=True))
    left = np.concatenate([_apply(system, lam, matrix[:n], transposed=transposed), matrix[n:]])
    right = np.ascontiguousarray(left.T)
    return np.concatenate([_apply(system, lam, right[:n], transposed=transposed), right[n:]])
