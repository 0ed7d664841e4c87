"""A fitted generalized model: its rows, laid out, the derivatives at the optimum, and errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._derivatives.trust_region import Point
from skmixed._equations.linear_algebra import cholesky_lower, solve_lower
from skmixed._equations.selected_inverse import level_covariances
from skmixed._estimation.fit import Estimate, examined
from skmixed._estimation.solution import Solution, user_effects
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.fit import (
    STARTS,
    SearchSettings,
    covariance_by,
    estimates_covariance,
    fit_generalized,
)
from skmixed._generalized.modes import start_of
from skmixed._generalized.objective import (
    GeneralizedChart,
    LaplaceObjective,
    QuadratureObjective,
)
from skmixed._generalized.rows import FamilySource, GeneralizedLayout, lay_out_generalized
from skmixed._generalized.system import GeneralizedSystem, working
from skmixed._model.chart import Chart, consecutive
from skmixed._model.covariance import gradient_matrix
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model
from skmixed._statistics.accumulator import Accumulator
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.components import Components, term_errors

# Of fits of other models to the same rows.
TOLERANCE, MAX_ITER = 1e-9, 200


@dataclass(frozen=True)
class GeneralizedModel:
    """A fitted generalized model.

    Attributes
    ----------
    model : Model
    layout : GeneralizedLayout
    lam : tuple of arrays
        Λ of each term, and (γ, φ).
    n_nodes : int
        Nodes of the quadrature for each coefficient; 1 is Laplace's approximation.
    stats : CrossProducts
        Of the rows.
    rows : FamilySource
        The rows as they are.
    before : GeneralizedModel or None
        The fit itself, where rows came after it.
    """

    model: Model
    layout: GeneralizedLayout
    lam: Lam
    n_nodes: int
    stats: CrossProducts
    rows: FamilySource
    before: "GeneralizedModel | None" = None

    @staticmethod
    def of(
        stats: CrossProducts, model: Model, rows: FamilySource, solution: Solution
    ) -> "GeneralizedModel":
        at_zero = examined(stats, model).at_zero
        layout = lay_out_generalized(at_zero, model, stats.center, rows)
        assert solution.family is not None
        gamma = of_search(layout, solution.fixed)
        rest = np.append(gamma, [solution.family.phi] * layout.system.n_shape)
        lam = tuple(term.search_lam for term in solution.terms)
        n_nodes = solution.family.n_nodes
        return GeneralizedModel(model, layout, (*lam, rest), n_nodes, stats, rows)

    def objective_of(self, system: GeneralizedSystem) -> LaplaceObjective:
        """Return −2 log L of rows, by the approximation that the fit has used."""
        if self.n_nodes == 1 or not system.structures:
            return LaplaceObjective(system)
        return QuadratureObjective(system, self.n_nodes)

    @cached_property
    def found(self) -> LaplaceDerivatives:
        """The mode of the effects and the derivatives there."""
        objective = LaplaceObjective(self.layout.system)
        objective.evaluate(self.lam)
        return LaplaceDerivatives(objective.mode)

    @cached_property
    def covariance(self) -> FloatArray:
        """The covariance of the estimates of (δ, γ, φ), by the observed information."""
        if self.n_nodes == 1:
            return estimates_covariance(self.found)
        return covariance_by(self.point.hessian, self.layout.system)

    @cached_property
    def point(self) -> Point:
        """−2 log L at the estimates, with its exact derivatives in (δ, γ, φ)."""
        objective = self.objective_of(self.layout.system)
        return objective.point(objective.evaluate(self.lam), is_slow=True)

    def slopes(self) -> list[FloatArray]:
        """Return G = ∂(−2 log L)/∂Σ of each term, (s, s).

        By quadrature it is known in the null space of Σ alone, and 0 elsewhere.
        """
        structures = self.layout.system.structures
        *terms, rest = self.point.lam
        if self.n_nodes > 1:
            return [self._null_slope(k, lam, rest) for k, lam in enumerate(terms)]
        # Of Laplace's approximation by the gradient in τ
        sizes = [len(s.directions(len(lam))) for s, lam in zip(structures, terms, strict=True)]
        parts = zip(structures, terms, consecutive(sizes), strict=True)
        return [gradient_matrix(s, self.found.gradient[at], len(lam)) for s, lam, at in parts]

    def _null_slope(self, k: int, lam: FloatArray, rest: FloatArray) -> FloatArray:
        """Return G in the null space of one term's Σ, by second derivatives.

        With null vectors N, and δ in one column of Λ that is 0, Σ changes by Nδδ'N': the second
        derivatives in δ are 2N'GN.
        """
        size, rank = len(lam), int(lam.any(axis=0).sum())
        if rank == size:
            return np.zeros((size, size))
        null = np.linalg.svd(lam)[0][:, rank:]
        *terms, _ = self.point.lam
        # ∂Λ/∂δ of this term alone, in its first column that is 0
        basis = [np.zeros((0, *own.shape)) for own in terms]
        basis[k] = np.zeros((size - rank, size, size))
        basis[k][:, :, int(np.argmin(lam.any(axis=0)))] = null.T
        # 2N'GN, whatever the structure is that Σ has
        free = (STRUCTURES["full"],) * len(terms)
        chart = GeneralizedChart(Chart(free, tuple(terms), tuple(basis)), rest)
        objective = QuadratureObjective(self.layout.system, self.n_nodes)
        objective.evaluate(self.lam)
        inner = objective.second_derivatives(chart)[: size - rank, : size - rank]
        return np.asarray(null @ inner @ null.T / 2.0)

    @cached_property
    def working(self) -> tuple[CrossProducts, Lam]:
        """The linear model that Newton's method solves at the mode: its sums, and its Λ.

        Its response is z = η − o − s/W, with the weights W and σ = 1.
        """
        accumulator, mode = Accumulator(), self.found.mode
        # z and W of each row, beside the columns as they are
        for part, slab in zip(self.rows.parts(), self.layout.system.source.slabs(), strict=True):
            eta = mode.effects.eta(slab)
            residual, own = working(slab.family, slab.response, eta, mode.phi)
            response, weights = eta - slab.offset + residual, slab.weights * own
            accumulator.add(replace(part.design, responses=(response,), weights=weights))
        stats = accumulator.products()
        # Λ in the coordinates and the unit of weights of these sums
        system = examined(stats, self.model).at_zero.system
        root_unit = np.sqrt(system.weight_unit)
        pairs = zip(self.layout.terms, system.terms, strict=True)
        maps = [np.linalg.solve(new.to_user, old.to_user) for old, (_, new) in pairs]
        *terms, _ = self.lam
        return stats, tuple(root_unit * own @ lam for own, lam in zip(maps, terms, strict=True))

    def lowest_elsewhere(self) -> float:
        """Return the least −2 log L of searches that start away from the estimates.

        Infinite where the likelihood has no digits at any of the starts.
        """
        return min(map(self._least_from, (*STARTS, 0.0)))

    def _least_from(self, sd: float) -> float:
        """Return −2 log L where a search from effects of that size ends."""
        system, search = self.layout.system, SearchSettings(TOLERANCE, MAX_ITER)
        laplace, objective = LaplaceObjective(system), self.objective_of(system)
        try:
            start, scores = start_of(system, sd)
            laplace.begin(start, scores)
            lam = search.run(laplace, start).lam
            laplace.evaluate(lam)
            objective.resume(lam, laplace.mode)
            return search.run(objective, lam).value
        except np.linalg.LinAlgError:
            return np.inf

    @property
    def fixed_covariance(self) -> FloatArray:
        """That of γ, (p, p)."""
        stop = len(self.covariance) - self.layout.system.n_shape
        of_fixed = slice(stop - self.layout.system.n_fixed, stop)
        return self.covariance[of_fixed, of_fixed]

    @cached_property
    def components(self) -> Components:
        """Standard deviations and correlations of the effects with their errors, at σ = 1.

        The error of log σ is that of ½φ, where there is a shape.
        """
        chart = GeneralizedChart.of(self.layout.system, self.lam).terms
        terms = []
        for t, lam, basis, place in zip(
            self.layout.terms, chart.lam, chart.basis, chart.places, strict=True
        ):
            joint = np.zeros((len(basis) + 1,) * 2)
            joint[:-1, :-1] = self.covariance[place, place]
            terms.append(term_errors(t.to_user @ lam, t.to_user @ basis, joint, 1.0))
        has_shape = bool(self.layout.system.n_shape)
        of_shape = 0.5 * float(np.sqrt(self.covariance[-1, -1])) if has_shape else np.nan
        return Components(tuple(terms), 1.0, of_shape)

    def refitted(
        self, model: Model, *, tol: float = TOLERANCE, max_iter: int = MAX_ITER
    ) -> Estimate:
        """Fit a model with fewer columns, or terms, to the rows."""
        return fit_generalized(
            examined(self.stats, model),
            self.stats.center,
            self.rows,
            search=SearchSettings(tol, max_iter),
            n_nodes=self.n_nodes,
        )

    @cached_property
    def fixed_root(self) -> FloatArray:
        """R⁻ᵀ of X'V⁻¹X = RR', of the kept columns as they are: its square is Cov(β̂), (p, p)."""
        if self.before is not None:
            return self.before.fixed_root
        root, p = cholesky_lower(self.found.fixed_information), self.layout.system.n_fixed
        return np.asarray(self.layout.basis @ solve_lower(root, np.eye(p), transposed=True))

    @cached_property
    def conditional_root(self) -> FloatArray:
        """A root of the covariance of β̂ at given Σ and φ, by the exact Hessian, (p, p)."""
        if self.before is not None:
            return self.before.conditional_root
        p, n_shape = self.layout.system.n_fixed, self.layout.system.n_shape
        hessian = self.found.hessian if self.n_nodes == 1 else self.point.hessian
        stop = len(hessian) - n_shape
        root = cholesky_lower(hessian[stop - p : stop, stop - p : stop] / 2.0)
        return np.asarray(self.layout.basis @ solve_lower(root, np.eye(p), transposed=True))

    def with_rows(
        self, stats: CrossProducts, model: Model, rows: FamilySource
    ) -> "GeneralizedModel":
        """Return the model of rows that are those of the fit and further ones.

        The fixed effects, Σ and the shape are the fit's, and so is the error of the first.
        """
        layout = lay_out_generalized(examined(stats, model).at_zero, model, stats.center, rows)
        *terms, rest = self.lam
        # Λ and γ in the coordinates of all rows, of which more columns may be kept
        lam = [
            np.asarray(np.linalg.solve(new.to_user, old.to_user @ own))
            for new, old, own in zip(layout.terms, self.layout.terms, terms, strict=True)
        ]
        gamma, phi = self.layout.system.split(rest)
        fixed = np.zeros(len(model.fixed))
        fixed[list(self.layout.kept)] = self.layout.basis @ gamma
        rest = np.append(of_search(layout, fixed), [phi] * layout.system.n_shape)
        return GeneralizedModel(model, layout, (*lam, rest), self.n_nodes, stats, rows, before=self)

    def with_effects(self, solution: Solution) -> Solution:
        """Return a solution with the modes of the effects, and their covariances, of these rows."""
        assert solution.family is not None
        mode = self.found.mode
        effects = user_effects(
            self.layout.system.layout.system, mode.lam, mode.factor.effects().spherical
        )
        terms = zip(solution.terms, effects, strict=True)
        return replace(
            solution,
            terms=tuple(replace(term, effects=own) for term, own in terms),
            family=replace(solution.family, covariances=level_covariances(mode.factor)),
        )


@dataclass(frozen=True)
class SearchEnd:
    """What holds where a search has ended.

    Attributes
    ----------
    lam : tuple of (s, s) arrays
        The canonical Λ of each term.
    gradient, hessian : arrays
        Of −2 log L in (δ, γ, φ).
    slopes : list of (s, s) arrays
        G = ∂(−2 log L)/∂Σ of each term, of quadrature in the null space of Σ.
    elsewhere : float
        By how much a search from another start ends lower; NaN without random effects.
    """

    lam: Lam
    gradient: FloatArray
    hessian: FloatArray
    slopes: list[FloatArray]
    elsewhere: float

    @staticmethod
    def of(own: GeneralizedModel) -> "SearchEnd":
        point, elsewhere = own.point, np.nan
        if own.layout.terms:
            elsewhere = max(point.value - own.lowest_elsewhere(), 0.0)
        *terms, _ = point.lam
        return SearchEnd(tuple(terms), point.gradient, point.hessian, own.slopes(), elsewhere)


def of_search(layout: GeneralizedLayout, fixed: FloatArray) -> FloatArray:
    """Return γ of fixed effects of all columns, of which the kept ones count, (p,) or (p, d)."""
    own = fixed[list(layout.kept)]
    if not len(own):
        return own
    columns = own if own.ndim == 2 else own[:, None]
    return np.asarray(np.linalg.solve(layout.basis, columns)).reshape(own.shape)


@dataclass(frozen=True)
class EstimateSlopes:
    """What the estimates move by along d directions of the parameters.

    Along these the parameters have the variance 1 and no covariance, so that the variance of what
    moves by j_a is Σ_a j_a².

    Attributes
    ----------
    fixed : (k, d) array
        Of the fixed effects, 0 for a dropped column.
    effects : tuple of (s, q, d) arrays
        Of the modes of each term's effects.
    covariances : tuple of (d, s, s) arrays
        Of Σ of each term.
    """

    fixed: FloatArray
    effects: tuple[FloatArray, ...]
    covariances: tuple[FloatArray, ...]

    @staticmethod
    def of(own: GeneralizedModel) -> "EstimateSlopes":
        """Take the parameters of the fit, and the modes of all rows."""
        fit = own if own.before is None else own.before
        values, vectors = np.linalg.eigh(fit.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        stop = len(root) - fit.layout.system.n_shape
        start = stop - fit.layout.system.n_fixed
        fixed = np.zeros((len(own.model.fixed), len(root)))
        fixed[list(fit.layout.kept)] = fit.layout.basis @ root[start:stop]
        # Σ' of each term in the coordinates of all rows, and τ'
        chart, slopes, tau = GeneralizedChart.of(fit.layout.system, fit.lam).terms, [], []
        for new, old, lam, basis, place in zip(
            own.layout.terms, fit.layout.terms, chart.lam, chart.basis, chart.places, strict=True
        ):
            move = np.linalg.solve(new.to_user, old.to_user)
            steps = move @ basis @ lam.T @ move.T
            steps = np.einsum("ka,kij->aij", root[place], steps + steps.transpose(0, 2, 1))
            slopes.append(steps)
            tau.append(new.term.structure.coordinates(steps).T)
        parameters = np.concatenate([*tau, of_search(own.layout, fixed), root[stop:]])
        pairs = zip(own.layout.terms, slopes, strict=True)
        covariances = tuple(t.to_user @ steps @ t.to_user.T for t, steps in pairs)
        return EstimateSlopes(fixed, _effects_along(own, slopes, parameters), covariances)


def _effects_along(
    own: GeneralizedModel, slopes: Sequence[FloatArray], parameters: FloatArray
) -> tuple[FloatArray, ...]:
    """Return b' of each term, (s, q, d), from Σ' of each, (d, s, s), and (τ', γ', φ')."""
    if not own.layout.terms:
        return ()
    layout, scores, out = own.layout.system.layout, own.found.mode.effects.scores, []
    of_scores = own.found.of_scores @ parameters
    factors = [factor.entries.start for factor in layout.system.factors]
    for (factor, term), lam, slope in zip(layout.system.terms, own.lam, slopes, strict=False):
        place, columns = layout.places[factors.index(factor.entries.start)], term.to_factor_columns
        at = scores[place].reshape(factor.n_levels, -1) @ columns
        moved = of_scores[place].reshape(factor.n_levels, len(columns), -1)
        # (Σρ)' = Σ'ρ + Σρ'
        moved = np.einsum("ij,rj,qra->iqa", lam @ lam.T, columns, moved, optimize=True)
        moved += np.einsum("aij,qj->iqa", slope, at)
        out.append(np.einsum("ij,jqa->iqa", term.to_user, moved))
    return tuple(out)
