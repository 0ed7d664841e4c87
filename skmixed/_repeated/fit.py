"""From rows to the estimates of a model with a covariance of the residuals, and draws."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._derivatives.criterion import Likelihood, lay_out
from skmixed._equations.cholesky import CholeskyFactor, factorize, zero_lam
from skmixed._estimation.fit import Estimate, Examined
from skmixed._estimation.search import Ending, trust_region_search
from skmixed._estimation.solution import (
    ResidualSolution,
    Solution,
    TermSolution,
)
from skmixed._model.covariance import lower_factor
from skmixed._model.terms import Model
from skmixed._repeated.coordinates import (
    RepeatedLayout,
    fitted_values,
    inside,
    inverse_times,
    lay_out_repeated,
    least_squares_fit,
    random_effects,
    starts,
    whitened_residuals,
)
from skmixed._repeated.derivatives import JointChart, RepeatedObjective, strata_at_end
from skmixed._repeated.likelihood import RepeatedFactor
from skmixed._repeated.rows import RepeatedDesign, log_sizes
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.draws import Deviation, SubjectRoots
from skmixed.exceptions import FitStatus

# Starts whose runs go to their end.
ALWAYS = 2
# By how much a start is above an optimum next to it at most.
NEXT_TO = 1.0
# Share of its correlations that a start keeps where its criterion is not defined.
HALF = 0.5
# Times a start's correlations are made smaller at most.
MOST_HALVINGS = 60
# A variance given the other rows of a subject, as a share, below which R is singular.
SINGULAR = 1e-7
# Relative change of fitted values below which they are those of the fit that they weight, and
# the tolerance of such fits.
SETTLED, SIZES_TOL = 1e-9, 1e-12
# Shares of a change of these that are made at least and at most.
SHARES = 0.1, 2.0


def fit_repeated(
    given: Examined,
    center: FloatArray,
    design: RepeatedDesign,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    before: Estimate | None = None,
) -> tuple[Estimate, "RepeatedModel"]:
    """Fit a model whose system was examined; `before` are the estimates of fewer rows.

    Return also the rows, laid out at the optimum.
    """
    if design.has_fitted_sizes:
        return _reweighted(given, center, design, max_iter, report)
    return _fit_with_sizes(
        given, center, design, tol=tol, max_iter=max_iter, report=report, before=before
    )


def _reweighted(
    given: Examined,
    center: FloatArray,
    design: RepeatedDesign,
    max_iter: int,
    report: Callable[[str], None] | None,
) -> tuple[Estimate, "RepeatedModel"]:
    """Fit with sizes that are the fitted values, until these are those of the fit.

    Each fit is of a likelihood given the sizes, and starts where the one before ended.
    """
    # From μ of least squares on: log|μ| += ω (log|μ̂| − log|μ|), μ̂ of the fit with sizes |μ|
    own = given.at_zero, given.likelihood, given.model, center
    sizes = log_sizes(least_squares_fit(lay_out_repeated(*own, design), design.rows))
    before, counts, last, share = None, np.zeros(2, dtype=int), None, 1.0
    for _ in range(max(max_iter, 1)):
        design = replace(design, log_sizes=sizes)
        before, model = _fit_with_sizes(
            given, center, design, tol=SIZES_TOL, max_iter=max_iter, report=report, before=before
        )
        counts += before.n_iter, before.n_factorizations
        step = log_sizes(model.fitted_values) - sizes
        change = float(np.abs(step).max())
        if report is not None:
            report(f"fitted values as sizes: the largest relative change is {change:.3g}")
        if change <= SETTLED:
            break
        share = _share_of_step(step, last, share)
        sizes, last = sizes + share * step, step
    if len(design.strata_of_one_size):
        raise ValueError(
            "The fitted values are all alike, so that their power in power='fitted(.)' is not "
            "determined. Leave power= out, or give the model effects that differ between rows."
        )
    # Of the last fit, with the steps of all
    assert before is not None
    status = before.status if change <= SETTLED else FitStatus.MAX_ITER
    n_iter, n_factorizations = counts.tolist()
    counted = replace(before, status=status, n_iter=n_iter, n_factorizations=n_factorizations)
    return _with_sizes(counted, design), model


def _share_of_step(step: FloatArray, last: FloatArray | None, share: float) -> float:
    """Return ω of a step d: ω ← −ω d₋'(d − d₋)/|d − d₋|², d₋ the step before.

    Aitken's acceleration of a vector (Irons and Tuck, 1969, Int. J. Numer. Methods Eng. 1),
    which settles fits that go back and forth.
    """
    if last is None:
        return 1.0
    turned = step - last
    return float(np.clip(-share * (last @ turned) / (turned @ turned), *SHARES))


def _with_sizes(estimate: Estimate, design: RepeatedDesign) -> Estimate:
    """Return estimates that keep the sizes that they were found with."""
    solution = estimate.solution
    assert solution.residual is not None
    residual = replace(solution.residual, log_sizes=design.log_sizes)
    return replace(estimate, solution=replace(solution, residual=residual))


def _fit_with_sizes(
    given: Examined,
    center: FloatArray,
    design: RepeatedDesign,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None = None,
    before: Estimate | None = None,
) -> tuple[Estimate, "RepeatedModel"]:
    """Fit at the sizes of the design."""
    layout = lay_out_repeated(given.at_zero, given.likelihood, given.model, center, design)
    objective = RepeatedObjective(layout.system)
    best: Ending | None = None
    for number, first in enumerate(starts(layout, given, before)):
        start = _defined(objective, first)
        # Without random effects to share the correlation with, an end is the lowest unless a start
        # is about as low: that of no correlation is next to the optimum of independent residuals.
        is_found = best is not None and best.status is FitStatus.CONVERGED and not layout.terms
        if best is not None and is_found and objective.evaluate(start) >= best.value + NEXT_TO:
            continue
        # The starts behind the first two are left where they do not end lower.
        known = np.inf if best is None or number < ALWAYS else best.value
        end = trust_region_search(
            objective, start, tol=tol, max_iter=max_iter, report=report, known=known
        )
        if _is_unbounded(objective.factor):
            end = replace(end, status=FitStatus.MAX_ITER)
        if best is None or _is_better(end, best):
            best = end
    assert best is not None
    objective.evaluate(best.lam)
    factor = RepeatedFactor.of(layout.system, JointChart.of(layout.system, best.lam).lam)
    at_end = strata_at_end(factor) if best.status is FitStatus.CONVERGED else ()
    estimate = Estimate(
        solution=solution_of(layout, factor, given.model).with_ends(at_end),
        status=best.status,
        n_iter=best.n_iter,
        n_factorizations=objective.n_factorizations,
        findings=given.findings,
    )
    own = given.at_zero, given.likelihood, center, given.model
    return estimate, RepeatedModel(design, layout, factor, *own)


def _defined(objective: RepeatedObjective, start: Lam) -> Lam:
    """Return a start with so much less correlation that its criterion is defined."""
    *terms, phi = start
    residual = objective.system.residual
    for _ in range(MOST_HALVINGS):
        if np.isfinite(objective.evaluate(start)):
            break
        phi = residual.weakened(phi, HALF)
        start = (*terms, phi)
    return start


def _is_better(end: Ending, best: Ending) -> bool:
    """Whether an end is lower, or an optimum and the other is none."""
    if (end.status is FitStatus.CONVERGED) is (best.status is FitStatus.CONVERGED):
        return end.value < best.value
    return end.status is FitStatus.CONVERGED


def _is_unbounded(factor: RepeatedFactor) -> bool:
    """Whether the criterion falls without bound: R of some rows turns singular.

    So it is of an unstructured R where fewer blocks than visits have some visits in common:
    a combination of the visits that is 0 in all of them gets no variance.
    """
    if not factor.system.residual.is_any_covariance:
        return False
    # s_a² given the other rows of the block, as a share of the variance
    return min(at.least_share for at in factor.blocks) < SINGULAR


def solution_of(layout: RepeatedLayout, factor: RepeatedFactor, model: Model) -> Solution:
    """Return the estimates in the user's units."""
    system, residual = layout.system, layout.system.residual
    *lam, phi = factor.lam
    # β = F(γ_ls + γ̂) and its root, of least squares and what generalized ones add
    n = system.n_outer
    fixed = np.zeros(len(model.fixed))
    gamma = layout.scale * factor.effects[n:]
    fixed[list(layout.kept)] = layout.basis @ gamma + layout.offset
    root = layout.scale * layout.basis @ factor.fixed_root
    sigma = layout.residual_scale * float(np.sqrt(mean_residual_variance(factor)))
    effects = random_effects(layout, factor, whitened_residuals(layout, factor))
    relative = layout.scale / sigma
    terms = []
    for t, own, levels in zip(layout.terms, lam, effects, strict=True):
        user = relative * (t.to_user @ own)
        structure = t.term.structure
        effect = layout.scale * (t.to_user @ levels)
        terms.append(TermSolution(lower_factor(user), structure.theta(user), own, effect))
    own_phi = residual.scaled(phi, layout.residual_scale).reshape(residual.n_strata, -1)
    names = residual.correlation.name, residual.variance.name
    return Solution(
        fixed=fixed,
        kept=layout.kept,
        fixed_root=root,
        terms=tuple(terms),
        sigma=sigma,
        criterion=factor.value,
        reml=system.reml,
        residual=ResidualSolution(
            *names, residual.steps, own_phi, residual.has_shared_correlation, residual.is_plane
        ),
    )


def mean_residual_variance(factor: RepeatedFactor) -> float:
    """Return the mean of the diagonal of R over the rows."""
    return sum(at.residual_variance for at in factor.blocks) / factor.system.n_rows


@dataclass(frozen=True)
class RepeatedModel:
    """A fitted model with a covariance of the residuals, laid out at its optimum.

    Attributes
    ----------
    design : RepeatedDesign
    layout : RepeatedLayout
    factor : RepeatedFactor
    at_zero : CholeskyFactor
        Of the rows of the fit with independent residuals and no random effects.
    likelihood : Likelihood
        Of that.
    center : (k,) array
        The center of its statistics.
    model : Model
    is_updated : bool
        Whether there are rows that came after the fit, whose β̂ and Φ are kept.
    """

    design: RepeatedDesign
    layout: RepeatedLayout
    factor: RepeatedFactor
    at_zero: CholeskyFactor
    likelihood: Likelihood
    center: FloatArray
    model: Model
    is_updated: bool = False

    @staticmethod
    def of(
        stats: CrossProducts, model: Model, design: RepeatedDesign, solution: Solution
    ) -> "RepeatedModel":
        """Lay out the rows of a fit again, at its estimates."""
        assert solution.residual is not None
        if solution.residual.log_sizes is not None:
            design = replace(design, log_sizes=solution.residual.log_sizes)
        system, likelihood = lay_out(stats, model)
        at_zero = factorize(system, zero_lam(system))
        layout = lay_out_repeated(at_zero, likelihood, model, stats.center, design)
        phi = design.residual.scaled(solution.residual.phi.ravel(), 1.0 / layout.residual_scale)
        lam = tuple(term.search_lam for term in solution.terms)
        factor = RepeatedFactor.of(layout.system, (*lam, phi))
        return RepeatedModel(design, layout, factor, at_zero, likelihood, stats.center, model)

    @property
    def fitted_values(self) -> FloatArray:
        """Xβ̂ + Zb̂ of the rows, (n,)."""
        whitened = whitened_residuals(self.layout, self.factor)
        effects = random_effects(self.layout, self.factor, whitened)
        return fitted_values(self.layout, self.factor, self.design.rows, effects)

    def with_rows(self, design: RepeatedDesign) -> "RepeatedModel":
        """Return the model with more rows, its fixed effects and variances kept."""
        own = self.at_zero, self.likelihood, self.model, self.center
        layout = lay_out_repeated(*own, design)
        # γ̂ in the units of the fit, from least squares of all rows on
        of_fit = self.factor.effects[self.factor.system.n_outer :]
        gamma = of_fit + (self.layout.gamma - layout.gamma) / layout.scale
        factor = RepeatedFactor.of(layout.system, self.factor.lam)
        factor = factor.with_fixed(gamma, self.factor.fixed_covariance)
        return replace(self, design=design, layout=layout, factor=factor, is_updated=True)

    @cached_property
    def subject_roots(self) -> SubjectRoots:
        """Roots of the covariance of the residuals of the rows."""
        laid, residual = self.layout.laid, self.layout.system.residual
        none = np.zeros(len(laid.subject), dtype=bool)
        return SubjectRoots.of(residual, self.factor.phi, laid.subjects, none)

    def with_effects(self, solution: Solution) -> Solution:
        """Return a solution with the random effects of these rows."""
        layout, factor = self.layout, self.factor
        found = random_effects(layout, factor, whitened_residuals(layout, factor))
        pairs = zip(solution.terms, layout.terms, found, strict=True)
        terms = [
            replace(own, effects=layout.scale * (t.to_user @ effects)) for own, t, effects in pairs
        ]
        return replace(solution, terms=tuple(terms))


def repeated_deviation(model: RepeatedModel, rng: np.random.Generator) -> Deviation:
    """Draw (β, b) − (β̂, b̂) given the data, of the user's columns.

    Outer effects and γ have the covariance K. Inner ones given these are Λz − ΛΛ'Z'A(ZΛz +
    ε + Uu), z and ε drawn from the model and u the deviation of the former: a draw less what
    the equations say of it (Journel and Huijbregts, 1978, Mining Geostatistics, section VII.A).
    """
    layout, factor, system = model.layout, model.factor, model.layout.system
    # u = Hz, K = HH'
    u = factor.inverse_root @ rng.standard_normal(len(factor.root))
    effects = {t.index: u[t.columns].reshape(-1, t.size).T for t in system.outer}
    inner = [t.index for t in layout.terms if t.index not in effects]
    if inner:
        prior, response = _drawn(model, inner, rng)
        left = response + layout.laid.wide[:, :-1] @ u
        whitened = inverse_times(layout, factor, left[:, None])[:, 0]
        found = random_effects(layout, factor, whitened)
        effects |= {index: prior[index] - found[index] for index in inner}
    fixed = layout.scale * layout.basis @ u[system.n_outer :]
    of_user = [layout.scale * (t.to_user @ effects[t.index]) for t in layout.terms]
    return Deviation(fixed, tuple(of_user))


def drawn_response(model: RepeatedModel, rng: np.random.Generator) -> FloatArray:
    """Draw a response Xγ̂ + Zb + ε of the rows of the fit, in the units of the search; (n,)."""
    system, laid = model.layout.system, model.layout.laid
    response = _drawn(model, [t.index for t in model.layout.terms], rng)[1]
    gamma = model.factor.effects[system.n_outer :]
    return np.asarray(response + laid.wide[:, system.n_outer : -1] @ gamma)


def _drawn(
    model: RepeatedModel, terms: list[int], rng: np.random.Generator
) -> tuple[dict[int, FloatArray], FloatArray]:
    """Draw the effects of some terms, (s, q), and Zb + ε of the rows, (n,)."""
    laid, effects = model.layout.laid, {}
    out = model.subject_roots.draw(rng.standard_normal((1, len(laid.subject))))[0]
    for index in terms:
        columns, levels = laid.terms[index]
        lam = model.factor.lam[index]
        effects[index] = lam @ rng.standard_normal((lam.shape[1], int(levels.max()) + 1))
        out += (columns * effects[index][:, levels].T).sum(axis=1)
    return effects, out


def refit_drawn(
    model: RepeatedModel, rng: np.random.Generator, *, tol: float, max_iter: int
) -> tuple[Solution, FitStatus]:
    """Draw a response of the rows, and fit the model to it, from the Λ and φ drawn with."""
    response, levels = drawn_response(model, rng), model.design.rows.levels
    layout = model.layout.with_response(response, levels, model.likelihood)
    objective = RepeatedObjective(layout.system)
    *terms, phi = model.factor.lam
    start = _defined(objective, (*inside(terms), phi))
    end = trust_region_search(objective, start, tol=tol, max_iter=max_iter)
    factor = RepeatedFactor.of(layout.system, JointChart.of(layout.system, end.lam).lam)
    return solution_of(layout, factor, model.model), end.status
