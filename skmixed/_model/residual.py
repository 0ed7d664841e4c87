"""The covariance of the residuals: standard deviations, correlations and strata.

The covariance of the residuals of one subject at times a and b is

    R_ab = s_a s_b C_ab,    log s_a = Σ_k ℓ_ak φ_k,

with a model of C (`correlation`) and one of the standard deviations s, linear in its
parameters on the log scale. Each stratum has parameters of its own. A further model of
s is an entry of `VARIANCES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from skmixed._model.correlation import CorrelationModel
from skmixed._model.time_points import (
    START_WITHIN,
    Neighbors,
    ResidualMoments,
    TimePoints,
    positive,
)
from skmixed._typing import BoolArray, FloatArray, IntArray

# Smallest standard deviation of a visit given those before it, as a share of its own one.
LEAST = 1e-5
# Share below which it is 0 for inference.
BOUNDARY = 1e-3


@dataclass(frozen=True)
class Variance:
    """A model of the standard deviations s of the rows.

    Attributes
    ----------
    name : str
    count : callable
        From the number of visits to that of parameters.
    exponents : callable
        From places and the number of visits to ℓ, (v, b, n).
    levels : callable
        From the number of visits to what log c adds to the parameters if all s are
        multiplied by c.
    is_of_visits : bool
        Whether each visit has one of its own.
    is_of_covariate : bool
        Whether they depend on a number of each row.
    """

    name: str
    count: Callable[[int], int]
    exponents: Callable[[TimePoints, int], FloatArray]
    levels: Callable[[int], FloatArray]
    is_of_visits: bool = False
    is_of_covariate: bool = False


def _of_visits(places: TimePoints, m: int) -> FloatArray:
    return (places.visit == np.arange(m)[:, None, None]).astype(float)


def _of_power(places: TimePoints, m: int) -> FloatArray:  # noqa: ARG001
    return np.stack([np.ones(places.visit.shape), places.covariate])


VARIANCES = {
    own.name: own
    for own in (
        Variance(
            "constant",
            lambda _: 1,
            lambda places, _: np.ones((1, *places.visit.shape)),
            lambda _: np.ones(1),
        ),
        Variance("visits", lambda m: m, _of_visits, np.ones, is_of_visits=True),
        Variance(
            "power",
            lambda _: 2,
            _of_power,
            lambda _: np.array([1.0, 0.0]),
            is_of_covariate=True,
        ),
    )
}


@dataclass(frozen=True)
class Residual:
    """The covariance of the residuals of one subject, in each stratum.

    Attributes
    ----------
    correlation : CorrelationModel
    variance : Variance
    steps : (m,) array of int
        The time of each visit in steps; m is the number of visits, or without times that
        of the rows of the largest subject.
    n_strata : int
    """

    correlation: CorrelationModel
    variance: Variance
    steps: IntArray
    n_strata: int

    @property
    def m(self) -> int:
        return len(self.steps)

    @property
    def n_variances(self) -> int:
        """Parameters of the standard deviations of one stratum."""
        return self.variance.count(self.m)

    @property
    def n_own(self) -> int:
        """Parameters of one stratum."""
        last = int(self.steps[-1]) if len(self.steps) else 0
        return self.n_variances + self.correlation.count(self.m, last)

    @property
    def n_phi(self) -> int:
        return self.n_own * self.n_strata

    @property
    def is_of_visits(self) -> bool:
        """Whether R of a subject depends on nothing but its visits."""
        return self.correlation.time in ("order", "steps") and not self.variance.is_of_covariate

    @property
    def all_visits(self) -> TimePoints:
        """A subject with all visits."""
        zeros = np.zeros((1, self.m))
        return TimePoints(np.arange(self.m)[None], self.steps[None].astype(float), zeros)

    def of_stratum(self, stratum: int) -> slice:
        """Return the places of a stratum's parameters."""
        return slice(stratum * self.n_own, (stratum + 1) * self.n_own)

    def split(self, own: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the parameters of the standard deviations, and those of C."""
        return own[: self.n_variances], own[self.n_variances :]

    def evaluate(self, own: FloatArray, places: TimePoints) -> "ResidualAt":
        """Return R of subjects at one stratum's parameters, with what its derivatives need."""
        of_sd, of_corr = self.split(own)
        row = self.variance.exponents(places, self.m)
        log_sd = np.tensordot(of_sd, row, 1)
        sizes = np.exp(log_sd[:, :, None] + log_sd[:, None, :])
        matrix, slopes = self.correlation.matrix(of_corr, places, self.m)
        return ResidualAt(self, places, of_corr, row, sizes, sizes * matrix, slopes)

    def sd(self, own: FloatArray, places: TimePoints) -> FloatArray:
        """Return s of subjects with n rows, (b, n); of an unstructured R given the times before."""
        row = self.variance.exponents(places, self.m)
        return np.exp(np.tensordot(self.split(own)[0], row, 1))

    @property
    def moment_visits(self) -> int:
        """Visits whose moments a start asks for; 1 where it asks for those of all rows alone."""
        kind, is_markov = self.correlation.time, self.correlation.is_markov
        is_by_visit = kind == "order" or (kind == "steps" and not is_markov)
        return self.m if is_by_visit or self.variance.name == "visits" else 1

    def normalized(self, own: FloatArray, places: TimePoints, errors: FloatArray) -> FloatArray:
        """Return L⁻¹e, R = LL', of subjects with n rows in order of time, (b, n)."""
        if not self.correlation.is_markov:
            root = np.linalg.cholesky(self.evaluate(own, places).value)
            return np.asarray(np.linalg.solve(root, errors[:, :, None])[:, :, 0])
        # (z_t − r z_{t−1})/√(1 − r²) for z = e/s
        of_corr = self.split(own)[1]
        out = errors / self.sd(own, places)
        r, _ = self.correlation.matrix(of_corr, Neighbors.within(places), self.m)
        r = r.reshape(len(out), -1)
        out[:, 1:] = (out[:, 1:] - r * out[:, :-1]) / np.sqrt((1.0 - r) * (1.0 + r))
        return out

    def coordinates(self, phi: FloatArray) -> "ResidualCoordinates":
        """Return coordinates of the search around the parameters of all strata."""
        own = phi.reshape(self.n_strata, -1)
        return ResidualCoordinates(own, self.m if self.is_any_covariance else 0)

    def scaled(self, phi: FloatArray, factor: float) -> FloatArray:
        """Return the parameters with which all standard deviations are multiplied."""
        own = np.zeros(self.n_own)
        own[: self.n_variances] = np.log(factor) * self.variance.levels(self.m)
        return phi + np.tile(own, self.n_strata)

    def weakened(self, phi: FloatArray, share: float) -> FloatArray:
        """Return parameters with correlations of about a share of what they were."""
        out = phi.reshape(self.n_strata, -1).copy()
        for own in out:
            own[self.n_variances :] = self.correlation.weakened(
                own[self.n_variances :], self.m, share
            )
        return out.ravel()

    @property
    def is_correlated(self) -> bool:
        """Whether rows of one subject are correlated."""
        return self.n_own > self.n_variances

    @property
    def is_any_covariance(self) -> bool:
        """Whether R of all visits is any covariance."""
        return self.correlation.is_any and self.variance.is_of_visits

    def start(self, moments: ResidualMoments) -> FloatArray:
        """Return parameters of one stratum to start from, by the moments of its residuals."""
        of_corr = self.correlation.start(moments, self.steps)
        sd = moments.sd
        if self.is_any_covariance:
            sd = np.diagonal(np.linalg.cholesky(positive(moments.covariance)))
        if not self.variance.is_of_visits:
            counts = np.diagonal(moments.counts)
            sd = np.sqrt(np.average(sd**2, weights=np.maximum(counts, 1e-300)))
        of_sd = np.zeros(self.n_variances)
        of_sd[: np.size(sd)] = np.log(sd)
        return np.concatenate([of_sd, of_corr])

    def even_start(self, moments: ResidualMoments) -> FloatArray:
        """Return parameters of any covariance to start from, with one correlation."""
        rho = float(np.clip(moments.neighbor, START_WITHIN, 1.0 - START_WITHIN))
        even = rho + (1.0 - rho) * np.eye(self.m)
        covariance = np.outer(moments.sd, moments.sd) * even
        return self.start(replace(moments, covariance=covariance))


@dataclass(frozen=True)
class ResidualCoordinates:
    """Coordinates of the search around parameters φ: φ itself, or a Cholesky factor.

    An unstructured R = MM' with M = diag(s)L has an optimum with a diagonal entry of M that
    is 0 where few subjects have the same visits: there log s and L, whose rows are those of
    M over s, are infinite. The entries of M are not.

    Attributes
    ----------
    own : (h, d) array
        φ of each stratum.
    m : int
        The number of visits where R is any covariance, else 0.
    """

    own: FloatArray
    m: int

    @property
    def _row(self) -> IntArray:
        """The row of M of each entry below the diagonal."""
        return np.tril_indices(self.m, -1)[0]

    @property
    def is_free(self) -> BoolArray:
        """Which coordinates are no diagonal entry of M that is 0, or next to it; (d,)."""
        out = np.ones(self.own.shape, dtype=bool)
        if self.m:
            roots = [np.linalg.norm(self._factor(phi), axis=1) for phi in self.own]
            out[:, : self.m] = np.exp(self.own[:, : self.m]) > BOUNDARY * np.array(roots)
        return out.ravel()

    @property
    def jacobian(self) -> FloatArray:
        """∂φ/∂M, a row for each coordinate, (d, d)."""
        out = np.eye(self.own.size)
        if not self.m:
            return out
        m, row, n = self.m, self._row, self.own.shape[1]
        below = m + np.arange(len(row))
        # ∂ log s_a/∂M_aa = 1/s_a, ∂φ_ab/∂M_ab = 1/s_a, ∂φ_ab/∂M_aa = −φ_ab/s_a
        for at, phi in zip(range(0, self.own.size, n), self.own, strict=True):
            inverse = np.exp(-phi[:m])
            out[at : at + n, at : at + n] = np.diag(np.append(inverse, inverse[row]))
            out[at + row, at + below] = -phi[m:] * inverse[row]
        return out

    def curvature(self, gradient: FloatArray) -> FloatArray:
        """Return Σ_i g_i ∂²φ_i/∂M∂M', (d, d)."""
        out = np.zeros((self.own.size,) * 2)
        if not self.m:
            return out
        m, row, n = self.m, self._row, self.own.shape[1]
        below = m + np.arange(len(row))
        # ∂² log s_a = −1/s_a², ∂²φ_ab = 2φ_ab/s_a² in M_aa, −1/s_a² in M_aa and M_ab
        for at, phi in zip(range(0, self.own.size, n), self.own, strict=True):
            squares, g = np.exp(-2.0 * phi[:m]), gradient[at : at + n]
            sums = np.bincount(row, phi[m:] * g[m:], m)
            diagonal = at + np.arange(m)
            out[diagonal, diagonal] = squares * (2.0 * sums - g[:m])
            mixed = -squares[row] * g[m:]
            out[at + row, at + below] = out[at + below, at + row] = mixed
        return out

    def moved(self, step: FloatArray) -> FloatArray:
        """Return φ at coordinates `step`."""
        steps = step.reshape(self.own.shape)
        if not self.m:
            return np.asarray((self.own + steps).ravel())
        return np.concatenate(
            [
                self._parameters(self._factor(phi) + self._laid(own))
                for phi, own in zip(self.own, steps, strict=True)
            ]
        )

    def step_to(self, phi: FloatArray) -> FloatArray:
        """Return the step that leads to φ."""
        others = phi.reshape(self.own.shape)
        if not self.m:
            return np.asarray((others - self.own).ravel())
        rows, columns = np.tril_indices(self.m, -1)
        moves = [self._factor(b) - self._factor(a) for a, b in zip(self.own, others, strict=True)]
        return np.concatenate([np.append(np.diagonal(d), d[rows, columns]) for d in moves])

    def _laid(self, entries: FloatArray) -> FloatArray:
        """Return a lower triangle of its diagonal and the rows below it, (m, m)."""
        out = np.diag(entries[: self.m])
        out[np.tril_indices(self.m, -1)] = entries[self.m :]
        return out

    def _factor(self, phi: FloatArray) -> FloatArray:
        """Return M, (m, m)."""
        unit = np.append(np.ones(self.m), phi[self.m :])
        return np.exp(phi[: self.m, None]) * self._laid(unit)

    def _parameters(self, factor: FloatArray) -> FloatArray:
        """Return φ of a lower triangle, whose columns may have either sign."""
        factor = factor * np.where(np.diagonal(factor) < 0, -1.0, 1.0)
        least = LEAST * np.linalg.norm(factor, axis=1)
        s = np.maximum(np.diagonal(factor), np.maximum(least, np.finfo(float).tiny))
        below = (factor / s[:, None])[np.tril_indices(self.m, -1)]
        return np.append(np.log(s), below)


@dataclass(frozen=True)
class ResidualAt:
    """R of some subjects at the parameters of their stratum.

    Attributes
    ----------
    residual : Residual
    places : TimePoints
    of_corr : (c,) array
    row : (v, b, n) array
        ℓ.
    sizes : (b, n, n) array
        s_a s_b.
    value : (b, n, n) array
        R.
    slopes : (c, b, n, n) array
        ∂C/∂φ.
    """

    residual: Residual
    places: TimePoints
    of_corr: FloatArray
    row: FloatArray
    sizes: FloatArray
    value: FloatArray
    slopes: FloatArray

    @property
    def exponents(self) -> FloatArray:
        """∂ log(s_a s_b)/∂φ_k = ℓ_ak + ℓ_bk, (v, b, n, n)."""
        return self.row[:, :, :, None] + self.row[:, :, None, :]

    @property
    def first(self) -> FloatArray:
        """∂R/∂φ of the stratum, (d, b, n, n)."""
        return np.concatenate([self.exponents * self.value, self.sizes * self.slopes])

    def curvature(self, weights: FloatArray) -> FloatArray:
        """Return Σ W ∂²R/∂φ∂φ' over all entries for symmetric weights, (b, n, n); (d, d)."""
        # ℓ_k ℓ_l R of two standard deviations, ℓ_k ss'∂C of one, ss'∂²C of none
        v, exponents = len(self.row), self.exponents.reshape(len(self.row), -1)
        weighted, entries = exponents * np.ravel(weights * self.value), self.value.size
        slopes = self.slopes.reshape(len(self.slopes), entries)
        mixed = (exponents * np.ravel(weights * self.sizes)) @ slopes.T
        out = np.empty((v + len(self.slopes),) * 2)
        out[:v, :v], out[:v, v:], out[v:, :v] = weighted @ exponents.T, mixed, mixed.T
        out[v:, v:] = self.residual.correlation.curvature(
            self.of_corr, self.places, self.residual.m, weights * self.sizes
        )
        return out

    def mixture(self, pairs: FloatArray) -> FloatArray:
        """Return Σ_ij w_ij ∂²R/∂φ_i∂φ_j for symmetric w, (d, d); (b, n, n)."""
        v, exponents = len(self.row), self.exponents
        of_sds = np.einsum("kbxy,kbxy->bxy", np.tensordot(pairs[:v, :v], exponents, 1), exponents)
        mixed = np.tensordot(pairs[:v, v:], self.slopes, 1)
        of_both = 2.0 * np.einsum("kbxy,kbxy->bxy", exponents, mixed)
        of_corr = self.residual.correlation.mixture(
            self.of_corr, self.places, self.residual.m, pairs[v:, v:]
        )
        return np.asarray(of_sds * self.value + self.sizes * (of_both + of_corr))
