"""What a fit reports: estimates at the optimum, on the user's scale."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from skmixed._derivatives.criterion import Factor, Likelihood
from skmixed._equations.cholesky import factorize, no_effects
from skmixed._equations.products import Root
from skmixed._equations.system import System
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.covariance import lower_factor
from skmixed._model.residual import VARIANCES, Residual
from skmixed._model.terms import Model
from skmixed._model.time_points import TimePoints
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray, IntArray, Lam

# Strength of Λ at which an exact fit is found first, and by how much more the next one is
# where a pass has not left less than this share of the last one.
STRENGTH, STRONGER, SHRINKS = 10.0, 3.0, 0.5
# The largest one, at which X'V⁻¹X keeps four digits beside the rounding of X'X.
STRONGEST = 1e6
# The least one for what the passes have left: crossed effects keep ten digits.
LAST_STRENGTH = 1e3
# What is rounding of a pass at strength 1, as a share; it grows with the square of that.
ROUNDING = 1e-14


@dataclass(frozen=True)
class TermSolution:
    """Estimates of one random-effects term.

    Attributes
    ----------
    lam : (s, s) array
        Relative covariance factor, lower triangular: Cov(b_j) = σ² lam lam'.
    theta : (n_theta,) array
        lme4's parameters of `lam`.
    search_lam : (s, s) array
        The same factor in the search's coordinates, where its zero columns are
        exact.
    effects : (s, q) array
        BLUPs b̂, on the scale of y per unit of the column.
    """

    lam: FloatArray
    theta: FloatArray
    search_lam: FloatArray
    effects: FloatArray

    @property
    def is_singular(self) -> bool:
        """Whether the covariance lacks rank, judged on scaled columns."""
        return not has_full_rank(self.search_lam)


def has_full_rank(search_lam: FloatArray) -> bool:
    """Whether no column of a canonical Λ is zero."""
    return bool(search_lam.any(axis=0).all())


@dataclass(frozen=True)
class ResidualSolution:
    """Estimates of the covariance of the residuals.

    Attributes
    ----------
    correlation, variance : str
        Names of the models of correlations and of standard deviations.
    steps : (m,) array of int
        The time of each visit in steps.
    phi : (n_strata, d) array
        The parameters of each stratum, with standard deviations in units of y.
    has_shared_correlation : bool
        Whether those of correlations are the same in all strata.
    is_plane : bool
        Whether times are places in the plane.
    log_sizes : (n,) array or None
        The logarithms of the fitted values that standard deviations are a power of.
    at_end : tuple of int
        Strata with a correlation at an end of what it may be, or a variance given others of 0.
    """

    correlation: str
    variance: str
    steps: IntArray
    phi: FloatArray
    has_shared_correlation: bool = False
    is_plane: bool = False
    log_sizes: FloatArray | None = None
    at_end: tuple[int, ...] = ()

    @property
    def model(self) -> Residual:
        """The model that these are parameters of."""
        correlation, variance = CORRELATIONS[self.correlation], VARIANCES[self.variance]
        how = self.has_shared_correlation, self.is_plane
        return Residual(correlation, variance, self.steps, len(self.phi), *how)

    @property
    def of_sizes(self) -> dict[str, FloatArray]:
        """Parameters of the standard deviations beside σ, of each stratum, by name."""
        names = enumerate(self.model.variance.others, start=1)
        return {name: self.phi[:, k] for k, name in names}

    def matrix(self, stratum: int, places: TimePoints) -> FloatArray:
        """Return R of subjects of a stratum, (b, n, n)."""
        return self.model.evaluate(self.phi[stratum], places).value


@dataclass(frozen=True)
class FamilySolution:
    """What a generalized model has in the place of a residual variance.

    Attributes
    ----------
    family, link : str
        Names of the distribution of the response, and of its link.
    phi : float
        Logarithm of the shape; 0 of a family that has none.
    phi_error : float
        Its standard error; NaN of a family without a shape.
    has_shape : bool
    covariances : tuple of (q, s, s) arrays
        Of the effects of each level given y and the parameters, by the curvature at the mode.
    n_nodes : int
        Nodes of the quadrature for each coefficient; 1 is Laplace's approximation.
    offsets : (4,) array
        Sums over the rows that tell offsets of the linear predictor apart, and their scale.
    n_passes : int
        How often the rows were read.
    unstable : float
        Change of the log-likelihood by the last nodes that were added until it is stable,
        where it is not; else 0.
    refuted : float
        How much higher the log-likelihood without effects is than that of Laplace's estimates
        by quadrature; 0 where it is not, or is not known.
    """

    family: str
    link: str
    phi: float
    phi_error: float
    has_shape: bool
    covariances: tuple[FloatArray, ...]
    n_nodes: int = 1
    offsets: FloatArray = field(default_factory=lambda: np.zeros(4))
    n_passes: int = 1
    unstable: float = 0.0
    refuted: float = 0.0


@dataclass(frozen=True)
class Solution:
    """Estimates at the optimum.

    Attributes
    ----------
    fixed : (len(model.fixed),) array
        Fixed effects in the model's order; 0 for dropped columns.
    kept : tuple of int
        Positions of the columns that were not dropped.
    fixed_root : (p, p) array
        R, with RR' the covariance matrix of the estimates of the kept columns.
    terms : tuple of TermSolution
    sigma : float
        Residual standard deviation.
    criterion : float
    reml : bool
        Which criterion it is.
    dependence : Dependence or None
        How the dropped columns depend on the kept ones; None where none was dropped,
        and in models saved before it was kept.
    residual : ResidualSolution or None
        None where the residuals are independent with one variance. Else `sigma` is the
        root of the mean variance of the rows' residuals.
    family : FamilySolution or None
        None of a linear model. Else effects are on the scale of the link, and `sigma` is 1.
    """

    fixed: FloatArray
    kept: tuple[int, ...]
    fixed_root: FloatArray
    terms: tuple[TermSolution, ...]
    sigma: float
    criterion: float
    reml: bool
    dependence: Dependence | None = None
    residual: ResidualSolution | None = None
    family: FamilySolution | None = None

    @property
    def fixed_covariance(self) -> FloatArray:
        """Covariance matrix of the estimates of the kept columns, (p, p)."""
        return self.fixed_root @ self.fixed_root.T

    @property
    def theta(self) -> FloatArray:
        return np.concatenate([np.empty(0), *(t.theta for t in self.terms)])

    @property
    def n_parameters(self) -> int:
        """Count the rank of X, all of θ, also at the boundary, and σ, those of R or a shape."""
        of_residual = 1 if self.residual is None else self.residual.model.n_free
        if self.family is not None:
            of_residual = int(self.family.has_shape)
        return len(self.kept) + len(self.theta) + of_residual

    @property
    def is_singular(self) -> bool:
        at_end = () if self.residual is None else self.residual.at_end
        return bool(at_end) or any(t.is_singular for t in self.terms)

    def with_ends(self, at_end: tuple[int, ...]) -> "Solution":
        """Return the same with strata whose residual covariance is at an end."""
        assert self.residual is not None
        return replace(self, residual=replace(self.residual, at_end=at_end))


def solve(factor: Factor, likelihood: Likelihood, model: Model) -> Solution:
    """Read the estimates off the factor at the optimum."""
    system = factor.system
    to_user, _ = centered_to_user(system, model)
    root_unit = float(np.sqrt(system.weight_unit))
    effects: tuple[FloatArray, ...] = ()
    if system.factors:
        effects = user_effects(system, factor.lam, factor.effects().spherical)
    root = factor.fixed.half_solve(to_user.T)
    sigma = float(np.sqrt(likelihood.sigma_squared(factor)))
    # σ̂R_x⁻¹ of the user's columns is the root of Cov(β̂); Λ is in the unit of weights.
    return Solution(
        fixed=fixed_effects(system, model, factor.beta),
        kept=system.kept,
        fixed_root=sigma * root.T,
        terms=tuple(
            _term_solution(t, factor.lam[t.index], own, root_unit)
            for (_, t), own in zip(system.terms, effects, strict=True)
        ),
        sigma=sigma * root_unit,
        criterion=likelihood.value(factor),
        reml=likelihood.reml,
    )


def interpolating(solution: Solution, system: System, lam: Lam, model: Model) -> Solution:
    """Return the solution of an exact fit with the effects that all multiples of its Λ tend to.

    They are those with y = Xβ + ZΛu whose u are shortest. At a large Λ what tells them from
    others with the same Xβ + Zb is lost beside ΛZ'ZΛ. Here they are found at small ones, by
    fitting what the last one leaves of y again (iterated Tikhonov regularization; Engl, Hanke
    and Neubauer, 1996, Regularization of Inverse Problems, section 5.1).
    """
    if not any(own.any() for own in lam):
        return solution
    strength = _strength(system, lam)
    unit, most = tuple(own / strength for own in lam), min(strength, STRONGEST)
    passes = _Passes(Root.of(system), unit)
    # β and b; then b alone of what is left, where β would gain nothing but rounding
    strength = passes.fit(min(STRENGTH, most), most)
    beta = passes.beta
    passes.fit(min(max(LAST_STRENGTH, strength), most), most, is_beta_held=True)
    effects = user_effects(system, unit, passes.spherical)
    terms = tuple(replace(t, effects=b) for t, b in zip(solution.terms, effects, strict=True))
    return replace(solution, fixed=fixed_effects(system, model, beta), terms=terms)


class _Passes:
    """Fits of y, of what the first one has left of it, and so on.

    Attributes
    ----------
    spherical : list of (s, q) arrays
        u of each factor, in units of Λ at strength 1.
    beta : (p,) array
    rows : list of arrays
        R(b; β), with R'R = [Z X]'W[Z X].
    """

    def __init__(self, root: Root, unit: Lam) -> None:
        self.root, self.unit, system = root, unit, root.system
        self.spherical = list(no_effects(system, np.empty(0)).spherical)
        self.beta = np.zeros(system.n_fixed)
        self.rows = self._rows(self.spherical, self.beta)

    def fit(self, strength: float, most: float, *, is_beta_held: bool = False) -> float:
        """Fit until a pass is rounding, at larger Λ where it leaves much; return its strength."""
        last = np.inf
        while True:
            length = self._pass(strength, is_beta_held=is_beta_held)
            rounding = ROUNDING * (1.0 if is_beta_held else strength**2)
            if length <= rounding * self._length(self.rows, self.beta):
                return strength
            if not length <= SHRINKS * last:
                if strength >= most:
                    return strength
                strength = min(STRONGER * strength, most)
            last = length

    def _pass(self, strength: float, *, is_beta_held: bool) -> float:
        """Fit what is left; return the length of what was fitted."""
        left = self.root.residual(self.rows)
        factor = factorize(left, tuple(strength * own for own in self.unit))
        if is_beta_held:
            factor = factor.with_beta(np.zeros(len(self.beta)))
        step = factor.effects()
        spherical = [strength * u for u in step.spherical]
        rows = self._rows(spherical, step.fixed)
        self.spherical = [a + b for a, b in zip(self.spherical, spherical, strict=True)]
        self.beta = self.beta + step.fixed
        self.rows = [a + b for a, b in zip(self.rows, rows, strict=True)]
        return self._length(rows, step.fixed)

    def _rows(self, spherical: list[FloatArray], beta: FloatArray) -> list[FloatArray]:
        parts = zip(self.root.system.factors, spherical, strict=True)
        return self.root.times([factor.lam(self.unit) @ u for factor, u in parts], beta)

    def _length(self, rows: list[FloatArray], beta: FloatArray) -> float:
        """Return the length of Zb + Xβ and Xβ together."""
        squares = beta @ self.root.system.fixed_products[:-1, :-1] @ beta
        return float(np.sqrt(squares + sum(float(np.vdot(own, own)) for own in rows)))


def _strength(system: System, lam: Lam) -> float:
    """Return the root of the largest eigenvalue of ΛZ'WZΛ, about, for a level of mean size."""
    sizes = [
        float(np.linalg.norm(lam[term.index], 2) * np.sqrt(system.n_rows / factor.n_levels))
        for factor, term in system.terms
    ]
    return max(sizes)


def centered_to_user(system: System, model: Model) -> tuple[FloatArray, FloatArray]:
    """Undo the centering and the regression of X and y: user's β = T β + offset."""
    p = system.n_fixed
    to_user, offset = np.eye(p), np.zeros(p)
    if model.has_intercept:
        to_user[0, 1:] = -system.center[1:p]
        offset[0] = system.center[p]
    if system.regression is not None:
        to_user = residuals(to_user, system.regression[:p, :p])
        offset += to_user @ system.regression[:p, p]
    return to_user, offset


def fixed_effects(system: System, model: Model, beta: FloatArray) -> FloatArray:
    """Turn β of the kept columns to that of the user's columns, 0 for dropped ones."""
    to_user, offset = centered_to_user(system, model)
    out = np.zeros(len(model.fixed))
    out[list(system.kept)] = to_user @ beta + offset
    return out


def user_effects(
    system: System, lam: Lam, spherical: Sequence[FloatArray]
) -> tuple[FloatArray, ...]:
    """Turn spherical effects of each factor to those of each term, of the user's columns."""
    places = {t.index: (k, t) for k, f in enumerate(system.factors) for t in f.terms}
    return tuple(
        t.to_user @ lam[index] @ spherical[k][t.columns] for index, (k, t) in sorted(places.items())
    )


def _term_solution(
    term: TermCoordinates, lam: FloatArray, own: FloatArray, root_unit: float
) -> TermSolution:
    user = term.to_user @ lam
    return TermSolution(
        lam=lower_factor(user / root_unit),
        theta=term.term.structure.theta(user / root_unit),
        search_lam=lam,
        effects=own,
    )
