"""Draws from the model: statistics of a response, without rows, and residuals of subjects.

All that a fit reads of y are its products with Z, X and itself. Let R have the r
rows of the rank of [Z X], and R'R = [Z X]'W[Z X]. Then W^½[Z X] = QR with orthonormal
columns Q, and for y = [Z X]m + ε with m = (b; β) and ε ~ N(0, σ²W⁻¹),

    [Z X]'Wy = R'v,    y'Wy = v'v + σ²χ²,    v = Q'W^½y = Rm + σξ,

ξ ~ N(0, I_r), beside an independent χ² with n − r degrees of freedom: the part of
W^½ε outside of the span of Q. R is that of `semidefinite`.

Draws of the fixed and random effects given the data, and given Λ and σ.

With a flat prior of β, (b, β) given y is normal around (b̂, β̂) with covariance
σ²TC⁻¹T', T = blockdiag(Λ, I) (Henderson, 1975, Biometrics 31; `row_substitution`). With
C = RR' and ξ ~ N(0, I), σTR⁻ᵀξ is a draw of the deviation: a back-substitution along
the chain, as for b̂ itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import scipy.linalg

from skmixed._derivatives.criterion import Likelihood
from skmixed._equations.changes import with_response
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._equations.layout import FactorLayout
from skmixed._equations.products import Root
from skmixed._equations.system import System
from skmixed._estimation.solution import centered_to_user, user_effects
from skmixed._model.residual import Residual
from skmixed._model.terms import Model
from skmixed._model.time_points import RowPairs, TimePoints, numbered
from skmixed._typing import BoolArray, FloatArray, IntArray, Lam


@dataclass(frozen=True)
class Simulator:
    """A fitted model, ready for draws of the statistics of its response.

    Attributes
    ----------
    root : Root
    likelihood : Likelihood
    lam : tuple of (s, s) arrays
        Λ of each term, in the search's coordinates.
    beta : (p,) array
        Fixed effects of the kept columns, in the coordinates of the system.
    sigma : float
        Residual standard deviation in the system's unit of weights.
    """

    root: Root
    likelihood: Likelihood
    lam: Lam
    beta: FloatArray
    sigma: float

    @staticmethod
    def of(factorization: CholeskyFactor, likelihood: Likelihood) -> "Simulator":
        """Take the parameters of a factorization, at the optimum that is."""
        return Simulator(
            root=Root.of(factorization.system),
            likelihood=likelihood,
            lam=factorization.lam,
            beta=factorization.beta,
            sigma=float(np.sqrt(likelihood.sigma_squared(factorization))),
        )

    def draw(self, rng: np.random.Generator) -> tuple[System, Likelihood]:
        """Draw a response; return the system with its products for those of y, and its likelihood.

        Costs a multiplication by R and one by R', linear in levels and cells.
        """
        system, root = self.root.system, self.root
        effects = [self._effects(factor, rng) for factor in system.factors]
        mean, noise = root.times(effects, self.beta), root.noise(rng)
        v = [m + self.sigma * xi for m, xi in zip(mean, noise, strict=True)]
        dof = max(system.n_rows - root.rank, 0)  # a rank found by rounding exceeds no rows
        rest = 2.0 * float(rng.standard_gamma(dof / 2.0))  # χ², also with 0 degrees of freedom
        squares = sum((float(np.vdot(part, part)) for part in v), self.sigma**2 * rest)
        drawn = with_response(system, *root.transposed(v), squares)
        return drawn, replace(self.likelihood, floor=drawn.floor)

    def _effects(self, factor: FactorLayout, rng: np.random.Generator) -> FloatArray:
        """Draw b of one factor, (r, q)."""
        lam = factor.lam(self.lam)
        return self.sigma * (lam @ rng.standard_normal((lam.shape[1], factor.n_levels)))


@dataclass(frozen=True)
class Deviation:
    """A draw of (β, b) − (β̂, b̂), of the user's columns.

    Attributes
    ----------
    fixed : (p,) array
        Of the kept columns.
    effects : tuple of (s, q) arrays
        Of each term.
    """

    fixed: FloatArray
    effects: tuple[FloatArray, ...]


def draw_deviation(
    factorization: CholeskyFactor, model: Model, sigma: float, rng: np.random.Generator
) -> Deviation:
    """Draw one, with σ in the system's unit of weights; costs a pass over levels and cells."""
    stages, core = factorization.noise(rng)
    drawn = factorization.solve_transposed([sigma * own for own in stages], sigma * core)
    to_user, _ = centered_to_user(factorization.system, model)
    effects = user_effects(factorization.system, factorization.lam, drawn.spherical)
    return Deviation(to_user @ drawn.fixed, effects)


@dataclass(frozen=True)
class SubjectRows:
    """Rows whose residuals are correlated within subjects.

    Attributes
    ----------
    subject : (n,) array of int
        From 0 on.
    stratum : (n,) array of int
        One for each subject.
    places : TimePoints
        Of shape (n, 1).
    """

    subject: IntArray
    stratum: IntArray
    places: TimePoints

    @property
    def cells(self) -> IntArray:
        """The number of each row's subject and time; rows of one are the same residual."""
        columns = (self.subject, *(own[:, 0] for own in self.places.parts))
        return numbered(columns, len(self.subject))[0]

    @staticmethod
    def joined(first: "SubjectRows", second: "SubjectRows") -> "SubjectRows":
        """Return the rows of both, whose subjects have one numbering."""
        pairs = zip(first.places.parts, second.places.parts, strict=True)
        return SubjectRows(
            np.concatenate([first.subject, second.subject]),
            np.concatenate([first.stratum, second.stratum]),
            TimePoints(*(np.concatenate(pair) for pair in pairs)),
        )

    def taken(self, rows: IntArray) -> "SubjectRows":
        """Return some of the rows."""
        return SubjectRows(self.subject[rows], self.stratum[rows], self.places.taken_rows(rows))


@dataclass(frozen=True)
class SubjectRoots:
    """What turns independent normal numbers into residuals, given those of some rows.

    Attributes
    ----------
    parts : tuple of _RootPart
    """

    parts: tuple["_RootPart", ...]

    @staticmethod
    def of(
        residual: Residual, phi: FloatArray, rows: SubjectRows, is_known: BoolArray
    ) -> "SubjectRoots":
        """Factor; a LinAlgError where a covariance is not positive definite."""
        # Without correlations each row is a subject of its own
        if not residual.is_correlated:
            rows = replace(rows, subject=np.arange(len(rows.subject)))
        make = _chains if residual.is_markov else _alike
        return SubjectRoots(tuple(make(residual, phi, rows, is_known)))

    def draw(self, values: FloatArray) -> FloatArray:
        """Turn the numbers of rows into residuals, in place; (s, N).

        The values of rows with known residuals are these.
        """
        for part in self.parts:
            part.draw(values)
        return values


class _RootPart(Protocol):
    """Some of the subjects."""

    def draw(self, values: FloatArray) -> None:
        """Turn the numbers of their rows into residuals, in place; (s, N)."""


@dataclass(frozen=True)
class _Alike:
    """Subjects of one stratum and number of rows, those with known residuals first.

    Attributes
    ----------
    rows : (b, n) array of int
    pattern : (b,) array of int
        Which of the patterns of times each has.
    root : (p, n, n) array
        L of each pattern, R = LL'.
    n_known : int
    """

    rows: IntArray
    pattern: IntArray
    root: FloatArray
    n_known: int

    def draw(self, values: FloatArray) -> None:
        own = values[:, self.rows]
        sums = np.zeros_like(own)
        # Row by row of L, so that a sample has the same rounding among any others:
        # z_j = (ε_j − Σ_k<j L_jk z_k)/L_jj, or ε_j = Σ_k<j L_jk z_k + L_jj z_j
        for j in range(self.rows.shape[1]):
            diagonal = self.root[:, j, j][self.pattern]
            z = own[:, :, j].copy()
            if j < self.n_known:
                z = (z - sums[:, :, j]) / diagonal
            else:
                own[:, :, j] = sums[:, :, j] + diagonal * z
            sums[:, :, j + 1 :] += self.root[:, j + 1 :, j][self.pattern] * z[:, :, None]
        values[:, self.rows] = own


def _alike(
    residual: Residual, phi: FloatArray, rows: SubjectRows, is_known: BoolArray
) -> Iterator[_Alike]:
    """Lay out subjects by their stratum and numbers of rows and of known ones."""
    # The rows subject by subject, and how many of each there are, and are known
    order = np.lexsort((~is_known, rows.subject))
    subject = rows.subject[order]
    starts = np.flatnonzero(np.append(True, subject[1:] != subject[:-1]))[: len(order)]
    counts = np.diff(np.append(starts, len(order)))
    known = np.add.reduceat(is_known[order].astype(np.intp), starts) if len(order) else counts
    # R = LL' of each pattern of subjects of one kind
    kinds = np.column_stack([rows.stratum[order[starts]], counts, known])
    distinct, number = np.unique(kinds, axis=0, return_inverse=True)
    for k, (stratum, n, n_known) in enumerate(distinct):
        own = order[starts[number.ravel() == k][:, None] + np.arange(n)]
        places = TimePoints(*(values[own][:, :, 0] for values in rows.places.parts))
        pattern, firsts = numbered([c for own in places.parts for c in own.T], len(own))
        at = residual.evaluate(phi[residual.of_stratum(int(stratum))], places.taken_rows(firsts))
        root = np.asarray(np.linalg.cholesky(at.value), dtype=float)
        yield _Alike(own, pattern, root, int(n_known))


@dataclass(frozen=True)
class _Chains:
    """Subjects whose residuals are of Markov type, their rows in order of time.

    With x = ε/s, x_j is a x_{j−1} + b x_k + c z_j for the next known row k.

    Attributes
    ----------
    rows : (n,) array of int
    is_known : (n,) array of bool
    before, after, noise : (n,) arrays
        A, b and c.
    ahead : (n,) array of int
        Which row k is.
    sd : (n,) array
    """

    rows: IntArray
    is_known: BoolArray
    before: FloatArray
    after: FloatArray
    noise: FloatArray
    ahead: IntArray
    sd: FloatArray

    def draw(self, values: FloatArray) -> None:
        own = values[:, self.rows]
        known = own / self.sd
        drawn = self.after * known[:, self.ahead] + self.noise * own
        right = np.where(self.is_known, known, drawn)
        # x_j − a_j x_{j−1} of all rows at once
        bands = np.stack([np.ones(len(self.rows)), np.append(-self.before[1:], 0.0)])
        found = scipy.linalg.solve_banded((1, 0), bands, right.T).T
        values[:, self.rows] = np.where(self.is_known, own, self.sd * found)


def _chains(
    residual: Residual, phi: FloatArray, rows: SubjectRows, is_known: BoolArray
) -> Iterator[_Chains]:
    """Lay out the subjects of each stratum."""
    places = rows.places
    order = np.lexsort((places.visit[:, 0], places.position[:, 0], rows.subject))
    for of_stratum, phi_of in residual.by_stratum(phi, rows.stratum[order]):
        own = order[of_stratum]
        subject, known = rows.subject[own], is_known[own]
        every = np.arange(len(own))
        has_before = np.append(False, subject[1:] == subject[:-1])
        # The next known row from each on, backwards
        marks = np.where(known, every, len(own))[::-1]
        ahead = np.minimum.accumulate(marks)[::-1]
        has_ahead = ahead < len(own)
        ahead = np.where(has_ahead, ahead, every)
        has_ahead &= subject[ahead] == subject
        pairs = (own[every - has_before], own), (own, own[ahead])
        first, second = (residual.correlation_of(phi_of, RowPairs.of(places, *p)) for p in pairs)
        one, two = np.where(has_before, first, 0.0), np.where(has_ahead, second, 0.0)
        # x_j given x_{j−1} and x_k: correlations r and q with them, rq between them
        rest = np.maximum((1.0 - one * two) * (1.0 + one * two), np.finfo(float).tiny)
        of_one, of_two = (1.0 - one) * (1.0 + one), (1.0 - two) * (1.0 + two)
        before = np.where(known, 0.0, one * of_two / rest)
        noise = np.sqrt(of_one * of_two / rest)
        sd = residual.sd(phi_of, places.taken_rows(own))[:, 0]
        yield _Chains(own, known, before, two * of_one / rest, noise, ahead, sd)


@dataclass(frozen=True)
class ResidualSampler:
    """What residuals of some rows are drawn by.

    Attributes
    ----------
    roots : SubjectRoots
        Of the rows that are different subjects or times.
    seen : (k,) array of int
        Rows of the fit whose residuals count.
    first, inverse : (d,) and (k + n,) arrays of int
        Which rows, of those of the fit and further ones, are different, and which of
        these each is.
    scale : float
        The unit of the residuals.
    """

    roots: SubjectRoots
    seen: IntArray
    first: IntArray
    inverse: IntArray
    scale: float

    def drawn(self, errors: FloatArray, numbers: FloatArray) -> FloatArray:
        """Return residuals from those of the fit, (s, k), and normal numbers, (s, n).

        In units of y, for rows of weight 1.
        """
        both = np.concatenate([errors / self.scale, numbers], axis=1)[:, self.first]
        found = self.roots.draw(both)[:, self.inverse[errors.shape[1] :]]
        return self.scale * found
