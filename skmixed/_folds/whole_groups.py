"""Models of one grouping factor without the groups of a fold, for many folds at once.

The levels j of the factor are independent given Σ, the relative covariance of the effects of
one. Their parts of the equations, with S_j = Z_j'WZ_j, B_j = Z_j'W[X y] and the rows of a fold
f, are sums:

    E_f(Σ) = Σ_{i in f} w [x y]'[x y] − Σ_{j in f} B_j'Σ(I + S_jΣ)⁻¹B_j

is [X y]'V⁻¹[X y] of the rows of the fold, and log|V| = Σ_j log|I + S_jΣ|. Without the fold
they are those of all rows less E_f, which costs the fold's own groups alone.

The columns are turned so that those of all rows are I, and r² for y, at one Σ near those that
are looked at: what is lost in sums and differences is then small beside what is left.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._derivatives.criterion import Likelihood, lay_out
from skmixed._derivatives.parameters import Parameters
from skmixed._equations.cholesky import factorize
from skmixed._equations.system import System
from skmixed._estimation.fit import Estimate
from skmixed._estimation.solution import centered_to_user
from skmixed._folds.held_theta import in_coordinates
from skmixed._folds.totals import FoldTotals
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.rank import working_columns
from skmixed._typing import FloatArray, IntArray, Lam
from skmixed.exceptions import FitStatus

# Up to so many folds each has a search of its own: that of all takes more time to set up.
FEW_FOLDS = 60
# Share of all squares of a column that a fold may have: a bit is lost in the difference.
LARGEST_SHARE = 0.5
# Share of a column's squares that is left beside the columns before it, from which on the rank
# is not in doubt. It is decided at 1e-12.
FULL_RANK = 1e-9
# What is left of the information on any combination of the columns, from which on no more than
# three digits of a sum are lost.
LEAST_LEFT = 1e-3
# The least eigenvalue of a matrix with a diagonal of 1 for which rounding does not matter.
DEFINITE = 1e-13


@dataclass(frozen=True)
class WholeGroups:
    """The groups of one factor, in the order of the folds that they are in.

    Attributes
    ----------
    system : System
        Of all rows.
    likelihood : Likelihood
        Of all rows.
    parameters : Parameters
    within : (q, r, r) array
        S_j.
    beside : (q, r, p + 1) array
        B_j.
    order : (q,) array of int
        Their numbers in the system.
    fold : (q,) array of int
        In ascending order; each has at least one group.
    totals : (F, p + 1, p + 1) array
        Σ w [x y]'[x y] of the rows of each fold.
    unturned : (F, p + 1, p + 1) array
        The same of the system's columns.
    turn : (p + 1, p + 1) array
        From the system's columns to these [X y], in which all of B_j and the sums are.
    are_separable : (F,) array of bool
        Which folds leave all digits that count in a difference of sums.
    counts : (F,) array
        Rows.
    center : (r,) array
        What is subtracted from the factor's columns.
    to_user, offset : (p, p) and (p,) arrays
        The user's fixed effects are Tβ + offset.
    """

    system: System
    likelihood: Likelihood
    parameters: Parameters
    within: FloatArray
    beside: FloatArray
    order: IntArray
    fold: IntArray
    totals: FloatArray
    unturned: FloatArray
    turn: FloatArray
    are_separable: NDArray[np.bool_]
    counts: IntArray
    center: FloatArray
    to_user: FloatArray
    offset: FloatArray

    @staticmethod
    def of(
        stats: CrossProducts,
        model: Model,
        system: System,
        likelihood: Likelihood,
        fold_of_level: IntArray,
        totals: FoldTotals,
        lam: Lam,
    ) -> "WholeGroups":
        """Take the groups of a system apart; `lam` is where all sums are to keep their digits."""
        order = np.argsort(fold_of_level, kind="stable")
        slabs = list(system.level_products(0))
        within, beside = (
            np.concatenate([own[k] for own in slabs], axis=2).transpose(2, 0, 1)[: len(order)]
            for k in (0, 1)
        )
        # From [e u] of the statistics to [x y] of the system
        columns = working_columns(stats, model)
        k, p = len(stats.center), system.n_fixed
        change = columns.fixed.change_from(stats)
        if change is None:
            change = np.eye(k)[:, list(columns.fixed.used)]
        to_system = np.zeros((k + 1, p + 1))
        to_system[:k, :p], to_system[k, p] = change, 1.0
        delta = columns.response_change_from(stats)
        to_system[:k, p] = 0.0 if delta is None else delta[:, 0]
        own = to_system.T @ (totals.products / system.weight_unit) @ to_system
        # [X y] to [XL⁻' y − Xβ̂], with X'V⁻¹X = LL'
        turn = _turn_at(system, lam)
        to_user, offset = centered_to_user(system, model)
        return WholeGroups(
            system,
            likelihood,
            Parameters.of(system),
            within[order],
            beside[order] @ turn,
            order,
            fold_of_level[order],
            turn.T @ own @ turn,
            own,
            turn,
            _are_separable(system.fixed_products, own),
            totals.counts,
            stats.center[list(stats.factors[0].columns)],
            to_user @ turn[:p, :p],
            offset - to_user @ turn[:p, p],
        )

    def by_method(self, *, reml: bool) -> "WholeGroups":
        """Return the same groups for REML or ML."""
        dof = self.system.n_rows - self.system.n_fixed * reml
        return replace(self, likelihood=replace(self.likelihood, reml=reml, dof=dof))

    @property
    def n_folds(self) -> int:
        return len(self.totals)

    @property
    def directions(self) -> FloatArray:
        """D_i with Σ = Σ_i τ_i D_i in the factor's columns, (d, r, r)."""
        order = np.argsort(self.parameters.places_by_factor[0])
        return self.parameters.by_factor[0][order]

    @property
    def starts(self) -> IntArray:
        """The first group of each fold, (F,)."""
        return np.searchsorted(self.fold, np.arange(self.n_folds))

    def by_fold(self, values: FloatArray) -> FloatArray:
        """Return the sums over the groups of each fold, (F, …), of (q, …) values."""
        return values if len(values) == self.n_folds else np.add.reduceat(values, self.starts)

    @property
    def dof(self) -> FloatArray:
        """ν without each fold, (F,)."""
        return np.asarray(np.maximum(self.likelihood.dof - self.counts, 1), dtype=np.float64)

    @property
    def have_more_rows(self) -> NDArray[np.bool_]:
        """Whether there are more rows than random coefficients without each fold, (F,)."""
        size = sum(term.size for _, term in self.parameters.terms)
        levels = len(self.fold) - np.bincount(self.fold, minlength=self.n_folds)
        rows = self.counts.sum() - self.counts
        return np.asarray(size * levels < rows)

    def sigma(self, tau: FloatArray) -> FloatArray:
        """Return Σ, (…, r, r), at τ, (…, d)."""
        return np.asarray(np.tensordot(tau, self.directions, axes=1))

    def lam(self, tau: FloatArray) -> Lam:
        """Return Λ of each term at a τ, (d,), where Σ has full rank."""
        out = []
        for (_, t), place in zip(self.parameters.terms, self.parameters.places, strict=True):
            sigma = np.tensordot(tau[place], t.term.structure.directions(t.size), axes=1)
            out.append(np.asarray(np.linalg.cholesky(sigma), dtype=np.float64))
        return tuple(out)

    def equations(self, sigma: FloatArray) -> "GroupEquations":
        """Return the parts of the equations of each group at its Σ, (q or 1, r, r)."""
        matrix, p = self.within @ sigma, self.beside.shape[2]
        size = matrix.shape[1]
        matrix[:, range(size), range(size)] += 1.0
        # (I + S_jΣ)⁻¹[B_j S_j]
        right = np.concatenate([self.beside, self.within], axis=2)
        solved, logdet = np.linalg.solve(matrix, right), np.linalg.slogdet(matrix)[1]
        return GroupEquations(self, sigma, solved[:, :, :p], solved[:, :, p:], logdet)


def _turn_at(system: System, lam: Lam) -> FloatArray:
    """Return [L⁻' −β̂; 0 1] with LL' = X'V⁻¹X at some Λ, where there is one."""
    factor, p = factorize(system, lam), system.n_fixed
    # Without a core the Schur complement of the groups is that of X and y
    root = np.linalg.cholesky(factor.reduced_products[:p, :p])
    out = np.eye(p + 1)
    out[:p, :p] = np.linalg.inv(root).T
    out[:p, p] = -factor.beta
    return out


def _are_separable(total: FloatArray, own: FloatArray) -> NDArray[np.bool_]:
    """Which folds have no more than half of the squares of each column, and leave its rank, (F,).

    From the products of the system's columns over all rows, and over those of each fold.
    """
    squares = np.diagonal(own, axis1=1, axis2=2)
    are_small = np.all(squares <= LARGEST_SHARE * np.diagonal(total), axis=1)
    # The pivots of [X y]'W[X y] without the fold
    _, shares = pivots_of(total - own, are_small)
    return np.asarray(are_small & (shares > FULL_RANK).all(axis=1))


def are_many_folds(n_folds: int, n_factors: int) -> bool:
    """Whether folds of whole groups are enough for one search, in a model of some factors."""
    return n_folds > FEW_FOLDS and n_factors == 1


def whole_groups_of(
    stats: CrossProducts,
    model: Model,
    fold_of_level: IntArray,
    totals: FoldTotals,
    at: Estimate | Lam,
    *,
    are_rows_predicted: bool,
) -> WholeGroups | None:
    """Return the groups of a model of one factor, at estimates from all rows or at a system's Λ.

    None where estimates are no optimum, or where their equations have no digits.
    `are_rows_predicted`: whether the fits are to predict rows, for which X has all columns of the
    model, as they are but for their centers. Else columns that depend on others are without
    effect in all folds of which the rank of the others is not in doubt.
    """
    system, likelihood = lay_out(stats, model)
    # The equations are to have β and the effects of one factor, which is eliminated
    has_more = bool(system.n_core) or not system.n_fixed
    is_plain = system.regression is None and system.n_fixed == len(model.fixed)
    is_optimum = not isinstance(at, Estimate) or at.status is FitStatus.CONVERGED
    if has_more or not is_optimum or (are_rows_predicted and not is_plain):
        return None
    try:
        lam = in_coordinates(at, system) if isinstance(at, Estimate) else at
        return WholeGroups.of(stats, model, system, likelihood, fold_of_level, totals, lam)
    except np.linalg.LinAlgError:
        return None


@dataclass(frozen=True)
class GroupEquations:
    """The parts of the equations of each group at some Σ.

    Attributes
    ----------
    groups : WholeGroups
    sigma : (q or 1, r, r) array
    left : (q, r, p + 1) array
        Q_j = (I + S_jΣ)⁻¹B_j, what is Z_j'V⁻¹[X y].
    inside : (q, r, r) array
        (I + S_jΣ)⁻¹S_j, what is Z_j'V⁻¹Z_j.
    logdet : (q,) array
    """

    groups: WholeGroups
    sigma: FloatArray
    left: FloatArray
    inside: FloatArray
    logdet: FloatArray

    @property
    def of_folds(self) -> tuple[FloatArray, FloatArray]:
        """E_f, (F, p + 1, p + 1), and log|V|, (F,), of the rows of each fold."""
        taken = self.groups.beside.transpose(0, 2, 1) @ (self.sigma @ self.left)
        found = self.groups.totals - self.groups.by_fold(taken)
        logdet = self.groups.by_fold(self.logdet)
        return (found + found.transpose(0, 2, 1)) / 2.0, logdet

    def slopes(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return −Σ_j tr(W Q_j'D_iQ_j) of each group for its W, and tr(Z'V⁻¹Z D_i), (q, d) each.

        The derivatives of tr(WE) and of log|V| in τ_i. `weights` are (q or 1, p + 1, p + 1).
        """
        directions = self.groups.directions
        outer = self.left @ weights @ self.left.transpose(0, 2, 1)
        of_products = -np.tensordot(outer, directions, axes=([1, 2], [1, 2]))
        of_logdet = np.tensordot(self.inside, directions, axes=([2, 1], [1, 2]))
        return of_products, of_logdet


@dataclass(frozen=True)
class Deleted:
    """The fit without each fold, at some Σ.

    Attributes
    ----------
    beta : (F, p) array
        Of the turned columns.
    residual_squares : (F,) array
        r².
    root : (F, p, p) array
        L, with LL' = X'V⁻¹X.
    logdet : (F,) array
        log|V|.
    are_sure : (F,) array of bool
        Where the rank of X is not in doubt, and r² is no rounding.
    """

    beta: FloatArray
    residual_squares: FloatArray
    root: FloatArray
    logdet: FloatArray
    are_sure: NDArray[np.bool_]

    @staticmethod
    def of(
        groups: WholeGroups, equations: FloatArray, logdet: FloatArray, sure: NDArray[np.bool_]
    ) -> "Deleted":
        """Solve [X y]'V⁻¹[X y] of the rows without each fold, (F, p + 1, p + 1).

        Those of folds that are not `sure` to begin with are not looked at.
        """
        p = groups.system.n_fixed
        # LL' = [A c; c' s] has L⁻¹c in its last row, and the root of r² = s − c'A⁻¹c at its end
        chol, shares = pivots_of(equations, sure)
        root = chol[:, :p, :p]
        # In these columns the squared pivots of all rows are near 1
        pivots = np.square(np.diagonal(root, axis1=1, axis2=2))
        has_rank = ((shares[:, :p] > 0.0) & (pivots > LEAST_LEFT)).all(axis=1)
        last = chol[:, p, :p, None]
        beta = np.asarray(np.linalg.solve(root.transpose(0, 2, 1), last)[:, :, 0], np.float64)
        r2 = chol[:, p, p] ** 2
        enough = r2 > max(groups.likelihood.floor, FULL_RANK * groups.system.response_squares)
        return Deleted(beta, r2, root, logdet, sure & has_rank & enough)

    def criterion(self, groups: WholeGroups) -> FloatArray:
        """Return log|V| + ν log r², and log|X'V⁻¹X| by REML: −2 log L but for constants, (F,)."""
        out = self.logdet + groups.dof * np.log(self.residual_squares)
        if groups.likelihood.reml:
            out += 2.0 * np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        return np.asarray(out)

    def weights(self, groups: WholeGroups) -> FloatArray:
        """Return W with ∂d = tr(W ∂E), (F, p + 1, p + 1).

        It is ν vv'/r² with v' = (−β' 1), and A⁻¹ beside it by REML.
        """
        n_folds, p = self.beta.shape
        v = np.concatenate([-self.beta, np.ones((n_folds, 1))], axis=1)
        out = (groups.dof / self.residual_squares)[:, None, None] * v[:, :, None] * v[:, None, :]
        if groups.likelihood.reml:
            half = np.linalg.solve(self.root, np.broadcast_to(np.eye(p), self.root.shape))
            out[:, :p, :p] += half.transpose(0, 2, 1) @ half
        return out


def pivots_of(matrices: FloatArray, sure: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return L of LL' = A of each (F, m, m), and the shares of A's diagonal that L's squares are.

    They are those of I where a matrix is not `sure` to begin with, with shares 0 where it has
    no such L.
    """
    m = matrices.shape[1]
    safe = np.where(sure[:, None, None], matrices, np.eye(m))
    try:
        chol, is_definite = np.linalg.cholesky(safe), np.ones(len(safe), dtype=bool)
    except np.linalg.LinAlgError:
        is_definite = _are_definite(safe)
        safe = np.where(is_definite[:, None, None], safe, np.eye(m))
        chol = np.linalg.cholesky(safe)
    squares = np.diagonal(safe, axis1=1, axis2=2)
    shares = np.diagonal(chol, axis1=1, axis2=2) ** 2 / squares
    return np.asarray(chol), np.asarray(np.where(is_definite[:, None], shares, 0.0))


def _are_definite(matrices: FloatArray) -> NDArray[np.bool_]:
    """Whether the least eigenvalue of each matrix, scaled to a diagonal of 1, is no rounding."""
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)
    usable = np.isfinite(matrices).all(axis=(1, 2)) & np.all(diagonal > 0, axis=1)
    safe = np.where(usable[:, None, None], matrices, np.eye(matrices.shape[1]))
    roots = np.sqrt(np.diagonal(safe, axis1=1, axis2=2))
    scaled = safe / (roots[:, :, None] * roots[:, None, :])
    return np.asarray(usable & (np.linalg.eigvalsh(scaled)[:, 0] > DEFINITE))
