"""The likelihood of blocks of rows, and what it and its derivatives need of these.

With S block-diagonal, A = S⁻¹ and outer random effects beside it, V = S + ZGZ', G = ΛΛ':

    −2 log L = log|S| + log|Λ'Z'AZΛ + I| + y'Py + n log 2π,

and by REML log|X'V⁻¹X| − p log 2π beside that, where

    P = A − A U K U'A,    U = [Z X],    K = T (T'U'AUT + diag(I, 0))⁻¹ T',    T = diag(Λ, I),

(Henderson's equations with V⁻¹ in the form of Woodbury). All follows from products
W'AW, W = [Z X y], and W'A V_i A W for the direction V_i of each parameter.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._equations.linear_algebra import solve_lower
from skmixed._model.covariance import Covariance
from skmixed._model.residual import Residual
from skmixed._repeated.rows import LaidRows, RowsBeside
from skmixed._typing import FloatArray, IntArray, Lam, Moments


class Directions(Protocol):
    """The directions S_i = ∂S/∂θ_i of some blocks at one Λ and φ."""

    @property
    def places(self) -> list[int]:
        """Which parameters they are of."""

    def traces(self) -> FloatArray:
        """Return tr(AS_i), (d,)."""

    def products(self) -> FloatArray:
        """Return W'AS_iAW, (d, k, k)."""

    def average(self, weights: FloatArray) -> FloatArray:
        """Return e'AS_iAS_jAe for e = Wc, (k,) to (d, d)."""

    def observed(self, matrix: FloatArray) -> FloatArray:
        """Return the second derivatives of log|S| + tr(A WBW') for symmetric B, (k, k); (d, d)."""

    def pair_products(self, weights: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij W'AS_iAS_jAW for symmetric w over all parameters, (k, k)."""

    def second_products(self, weights: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij W'A ∂²S/∂θ_i∂θ_j AW for w over all parameters, (k, k)."""


class BlocksAt(Protocol):
    """Blocks at one Λ and φ, with A = S⁻¹; columns are those of their rows, in their order."""

    @property
    def logdet(self) -> float:
        """log|S| of all blocks."""

    @property
    def products(self) -> FloatArray:
        """W'AW, (k, k)."""

    @property
    def diagonal(self) -> FloatArray:
        """The diagonal of A, of each row."""

    @property
    def residual_variance(self) -> float:
        """The sum of the diagonal of R."""

    @property
    def least_share(self) -> float:
        """The least variance of a row given the others of its block, as a share of its own."""

    def directions(self) -> Directions:
        """Return the derivatives of S."""

    def times(self, columns: FloatArray) -> FloatArray:
        """Return A times columns, (n, c)."""

    def cluster_products(self, columns: FloatArray) -> FloatArray:
        """Return C'AC of each block, for columns (n, c); (b, c, c)."""

    def residual_parts(self, rows: RowsBeside, laid: LaidRows, whitened: FloatArray) -> FloatArray:
        """Return r'Py of rows beside blocks, r their residuals' covariances with these; (m,)."""

    def reductions(self, rows: RowsBeside, laid: LaidRows) -> tuple[FloatArray, FloatArray]:
        """Return c'Ac and c'AU of rows beside blocks, c their covariances; (m,) and (m, u)."""


class Blocks(Protocol):
    """Rows laid out in blocks that are independent of each other but for outer effects."""

    @property
    def rows(self) -> IntArray:
        """Which rows they are, block by block, (n,)."""

    @property
    def block_of_row(self) -> IntArray:
        """The number of the block of each of these, (n,)."""

    def at(self, residual: Residual, lam: Lam, phi: FloatArray) -> BlocksAt:
        """Evaluate the covariance; a LinAlgError where it is not positive definite."""

    def moments(self, matrix: FloatArray, m: int) -> Iterator[Moments]:
        """Return the moments of the rows of each stratum, WBW' in the place of R.

        Its number; sums over pairs of m visits and how many pairs there are; and of
        neighbors the sum, that of their distances, and how many they are.
        """


# Relative rounding of y'Ay, and the rounding of −2 log L from which on that is not defined.
ROUNDING, NO_DIGITS = 2.0**-52, 1e-2


@dataclass(frozen=True)
class OuterTerm:
    """A random-effects term whose levels are shared by blocks.

    Attributes
    ----------
    index : int
        Position among the model's terms.
    start, n_levels, size : int
        Its columns of Z: level by level, `size` coefficients each.
    directions : (d, s, s) array
        Those of Σ.
    place : slice
        Places of its τ among the parameters.
    """

    index: int
    start: int
    n_levels: int
    size: int
    directions: FloatArray
    place: slice

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.n_levels * self.size)

    def times(self, matrix: FloatArray, rows: FloatArray) -> FloatArray:
        """Return (I ⊗ D) times rows, (q·s, k)."""
        by_level = rows.reshape(self.n_levels, self.size, -1)
        return np.asarray(matrix @ by_level).reshape(rows.shape)


@dataclass(frozen=True)
class RepeatedSystem:
    """The blocks of a model, and what else its likelihood is made of.

    In units of the search: y has a variance of about 1, and X is orthonormal.

    Attributes
    ----------
    groups : tuple of Blocks
    outer : tuple of OuterTerm
    structures : tuple of Covariance
        Of each term, in the model's order.
    sizes : tuple of int
        Coefficients of each term.
    residual : Residual
    n_outer, n_fixed, n_rows : int
    reml : bool
    constant : float
        What units and weights add to −2 log L.
    """

    groups: tuple[Blocks, ...]
    outer: tuple[OuterTerm, ...]
    structures: tuple[Covariance, ...]
    sizes: tuple[int, ...]
    residual: Residual
    n_outer: int
    n_fixed: int
    n_rows: int
    reml: bool
    constant: float

    @property
    def n_blocks(self) -> int:
        """Blocks of rows that share outer effects alone."""
        return sum(int(group.block_of_row.max()) + 1 for group in self.groups)

    @property
    def dof(self) -> int:
        """ν: n − rank X for REML, n for ML."""
        return self.n_rows - self.n_fixed if self.reml else self.n_rows

    @property
    def n_tau(self) -> int:
        """Parameters of the random effects."""
        directions = zip(self.structures, self.sizes, strict=True)
        return sum(len(structure.directions(size)) for structure, size in directions)

    @property
    def n_parameters(self) -> int:
        return self.n_tau + self.residual.n_phi


@dataclass(frozen=True)
class RepeatedFactor:
    """The likelihood's parts at one Λ and φ.

    Attributes
    ----------
    system : RepeatedSystem
    lam : tuple of arrays
        Λ of each term, and φ behind them.
    blocks : tuple of BlocksAt
    products : (k, k) array
        W'AW.
    root : (u, u) array
        L, with LL' = T'U'AUT + diag(I, 0).
    solved : (u,) array
        L⁻¹T'U'Ay.
    logdet : float
        log|S|.
    """

    system: RepeatedSystem
    lam: Lam
    blocks: tuple[BlocksAt, ...]
    products: FloatArray
    root: FloatArray
    solved: FloatArray
    logdet: float

    @staticmethod
    def of(system: RepeatedSystem, lam: Lam) -> "RepeatedFactor":
        """Factor; a LinAlgError where a covariance is not positive definite."""
        *terms, phi = lam
        blocks = tuple(group.at(system.residual, tuple(terms), phi) for group in system.groups)
        products = sum(own.products for own in blocks)
        u = system.n_outer + system.n_fixed
        # T'U'AUT + diag(I, 0) and T'U'Ay
        right = _times_lam(system, lam, np.asarray(products)[:u])
        both = _times_lam(system, lam, np.ascontiguousarray(right[:, :u].T))
        both[np.diag_indices(system.n_outer)] += 1.0
        root: FloatArray = np.asarray(np.linalg.cholesky((both + both.T) / 2.0), dtype=float)
        solved = solve_lower(root, right[:, u])
        logdet = sum(own.logdet for own in blocks)
        return RepeatedFactor(
            system, lam, blocks, np.asarray(products), root, solved, float(logdet)
        )

    def with_fixed(self, gamma: FloatArray, covariance: FloatArray) -> "RepeatedFactor":
        """Return the same with γ̂ and Φ of other rows: effects given the fixed ones.

        The last block of L is the factor of X'V⁻¹X, and the last part of L⁻¹T'U'Ay its
        transpose times γ̂.
        """
        n, root, solved = self.system.n_outer, self.root.copy(), self.solved.copy()
        root[n:, n:] = np.linalg.cholesky(np.linalg.inv(covariance))
        solved[n:] = root[n:, n:].T @ gamma
        return replace(self, root=root, solved=solved)

    @property
    def phi(self) -> FloatArray:
        return self.lam[-1]

    @property
    def residual_squares(self) -> float:
        """The residual squares y'Py."""
        return float(self.products[-1, -1] - self.solved @ self.solved)

    @property
    def value(self) -> float:
        """−2 log L, restricted for REML."""
        diagonal = np.log(np.diagonal(self.root))
        logdet = 2.0 * float(diagonal[: None if self.system.reml else self.system.n_outer].sum())
        out = self.logdet + logdet + self.residual_squares
        return out + self.system.dof * float(np.log(2.0 * np.pi)) + self.system.constant

    @cached_property
    def inverse_root(self) -> FloatArray:
        """H = TL⁻', with K = HH', (u, u)."""
        upper = solve_lower(self.root, np.eye(len(self.root))).T
        return _times_lam(self.system, self.lam, np.ascontiguousarray(upper), transposed=False)

    @cached_property
    def inverse(self) -> FloatArray:
        """K, (u, u)."""
        return self.inverse_root @ self.inverse_root.T

    @cached_property
    def outer_root(self) -> FloatArray:
        """A root of N, (u, q): the first columns of L⁻¹ are those of its first block's inverse."""
        n = self.system.n_outer
        padded = np.zeros((len(self.root), n))
        if n:
            padded[:n] = solve_lower(np.ascontiguousarray(self.root[:n, :n]), np.eye(n)).T
        return _times_lam(self.system, self.lam, padded, transposed=False)

    @cached_property
    def of_outer(self) -> FloatArray:
        """N = Λ(Λ'Z'AZΛ + I)⁻¹Λ', of the outer effects with β known, in the place of K."""
        return self.outer_root @ self.outer_root.T

    @property
    def for_traces(self) -> FloatArray:
        """K for REML, whose traces are of P; N for ML, whose are of V⁻¹."""
        return self.inverse if self.system.reml else self.of_outer

    @cached_property
    def effects(self) -> FloatArray:
        """The outer effects and γ̂, (u,)."""
        return self.inverse_root @ self.solved

    @cached_property
    def residual_weights(self) -> FloatArray:
        """Coefficients c of the residuals e = Wc = y − Zb̂ − Xγ̂, (k,)."""
        return np.append(-self.effects, 1.0)

    @property
    def has_digits(self) -> bool:
        """Whether the rounding of y'Ay leaves y'Py digits."""
        return bool(ROUNDING * self.products[-1, -1] < NO_DIGITS)

    @property
    def fixed_root(self) -> FloatArray:
        """A root of Φ: the last block of T is the identity, that of L⁻' a root, (p, p)."""
        n = self.system.n_outer
        return self.inverse_root[n:, n:]

    @cached_property
    def fixed_covariance(self) -> FloatArray:
        """Φ = (X'V⁻¹X)⁻¹, (p, p)."""
        n = self.system.n_outer
        return self.inverse[n:, n:]

    @cached_property
    def to_fixed(self) -> FloatArray:
        """D with V⁻¹X = AUD, (u, p): the identity below −NZ'AX."""
        n, p = self.system.n_outer, self.system.n_fixed
        out = np.zeros((n + p, p))
        out[n:] = np.eye(p)
        out[:n] = -(self.of_outer[:n, :n] @ self.products[:n, n : n + p])
        return out


def _times_lam(
    system: RepeatedSystem, lam: Lam, rows: FloatArray, *, transposed: bool = True
) -> FloatArray:
    """Return T'R, or TR, for rows R of U, (u, k)."""
    out = rows.copy()
    for term in system.outer:
        own = lam[term.index]
        out[term.columns] = term.times(own.T if transposed else own, rows[term.columns])
    return out
