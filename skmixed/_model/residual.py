"""The covariance of the residuals, and its parameters as users read them.

The covariance of the residuals of one subject at times a and b is

    R_ab = s_a s_b C_ab,    log s_a = Σ_k ℓ_ak φ_k,

with a model of C (`correlation`) and one of the standard deviations s, linear in its
parameters on the log scale. Each stratum has parameters of its own. A further model of
s is an entry of `VARIANCES`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._model.correlation import CorrelationModel
from skmixed._model.residual_coordinates import (
    CholeskyCoordinates,
    OwnCoordinates,
    PartialCoordinates,
    ResidualCoordinates,
    SharedCorrelation,
    in_partials,
)
from skmixed._model.time_points import (
    START_WITHIN,
    ResidualMoments,
    RowPairs,
    RowPlaces,
    TimePoints,
    positive,
)
from skmixed._typing import BoolArray, FloatArray, IntArray


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
    others : tuple of str
        Names of the parameters behind the first, log σ, as they are shown.
    """

    name: str
    count: Callable[[int], int]
    exponents: Callable[[RowPlaces, int], FloatArray]
    levels: Callable[[int], FloatArray]
    is_of_visits: bool = False
    is_of_covariate: bool = False
    others: tuple[str, ...] = ()


def _of_visits(places: RowPlaces, m: int) -> FloatArray:
    return (places.visit == np.arange(m)[:, None, None]).astype(float)


def _of_power(places: RowPlaces, m: int) -> FloatArray:  # noqa: ARG001
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
            others=("power",),
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
    has_shared_correlation : bool
        Whether the strata have variances of their own alone: their parameters of C are equal.
    is_plane : bool
        Whether positions are points x + iy of the plane, which have distances and no order.
    """

    correlation: CorrelationModel
    variance: Variance
    steps: IntArray
    n_strata: int
    has_shared_correlation: bool = False
    is_plane: bool = False

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
    def n_free(self) -> int:
        """Parameters of all strata, those that are equal once."""
        n_shared = (self.n_own - self.n_variances) * self.has_shared_correlation
        return self.n_phi - (self.n_strata - 1) * n_shared

    @property
    def is_of_visits_alone(self) -> bool:
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

    def by_stratum(self, phi: FloatArray, rows: IntArray) -> Iterator[tuple[BoolArray, FloatArray]]:
        """Yield which rows are of each stratum, by their strata, (n,), and its parameters."""
        for stratum in np.unique(rows):
            yield rows == stratum, phi[self.of_stratum(int(stratum))]

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

    def sd(self, own: FloatArray, places: RowPlaces) -> FloatArray:
        """Return s of subjects with n rows, (b, n); of an unstructured R given the times before."""
        row = self.variance.exponents(places, self.m)
        return np.exp(np.tensordot(self.split(own)[0], row, 1))

    def covariance_of(self, own: FloatArray, pairs: RowPairs) -> FloatArray:
        """Return the entries of R of pairs of different rows, (c,)."""
        sizes = self.sd(own, pairs).prod(axis=1)
        of_pairs = self.correlation.matrix(self.split(own)[1], pairs, self.m)[0]
        return np.asarray(sizes * np.ravel(of_pairs))

    def correlation_of(self, own: FloatArray, pairs: RowPairs) -> FloatArray:
        """Return the correlations of pairs of rows, C_ab/√(C_aa C_bb), (c,)."""
        of_corr = self.split(own)[1]
        both, first, second = (
            np.ravel(self.correlation.matrix(of_corr, places, self.m)[0])
            for places in (pairs, pairs.alone(0), pairs.alone(1))
        )
        return np.asarray(both / np.sqrt(first * second))

    @property
    def is_markov(self) -> bool:
        """Whether a row depends on those before it through the last of them alone."""
        return self.correlation.is_markov and not self.is_plane

    @property
    def moment_visits(self) -> int:
        """Visits whose moments a start asks for; 1 where it asks for those of all rows alone."""
        kind, is_markov = self.correlation.time, self.is_markov
        is_by_visit = kind == "order" or (kind == "steps" and not is_markov)
        return self.m if is_by_visit or self.variance.is_of_visits else 1

    def normalized(self, own: FloatArray, places: TimePoints, errors: FloatArray) -> FloatArray:
        """Return L⁻¹e, R = LL', of subjects with n rows in order of time, (b, n)."""
        if not self.is_markov:
            root = np.linalg.cholesky(self.evaluate(own, places).value)
            return np.asarray(np.linalg.solve(root, errors[:, :, None])[:, :, 0])
        # (z_t − r z_{t−1})/√(1 − r²) for z = e/s
        out = errors / self.sd(own, places)
        r = self.correlation_of(own, RowPairs.of_neighbors(places)).reshape(len(out), -1)
        out[:, 1:] = (out[:, 1:] - r * out[:, :-1]) / np.sqrt((1.0 - r) * (1.0 + r))
        return out

    def coordinates(self, phi: FloatArray) -> ResidualCoordinates:
        """Return coordinates of the search around the parameters of all strata."""
        own, n = phi.reshape(self.n_strata, -1), self.n_variances
        if self.is_any_covariance and not self.has_shared_correlation:
            return CholeskyCoordinates(own, self.m)
        by_lag = self.correlation.is_by_lag
        values = in_partials(own, n) if by_lag else own
        ends = np.full(own.shape, np.inf)
        ends[:, n:] = [self.correlation.to_end(of_stratum[n:]) for of_stratum in own]
        shared = SharedCorrelation(values, ends, n)
        found = shared if self.has_shared_correlation else OwnCoordinates(values, ends)
        return PartialCoordinates(own, found, n) if by_lag else found

    def scaled(self, phi: FloatArray, factor: float) -> FloatArray:
        """Return the parameters with which all standard deviations are multiplied."""
        own = np.zeros(self.n_own)
        own[: self.n_variances] = np.log(factor) * self.variance.levels(self.m)
        return phi + np.tile(own, self.n_strata)

    def weakened(self, phi: FloatArray, share: float) -> FloatArray:
        """Return parameters with correlations of about a share of what they were."""
        out, n = phi.reshape(self.n_strata, -1).copy(), self.n_variances
        for own in out:
            own[n:] = self.correlation.weakened(own[n:], self.m, share)
        return out.ravel()

    @property
    def is_correlated(self) -> bool:
        """Whether rows of one subject are correlated."""
        return self.n_own > self.n_variances

    @property
    def is_any_covariance(self) -> bool:
        """Whether R of all visits is any covariance."""
        return self.correlation.is_any and self.variance.is_of_visits

    def start(self, moments: Sequence[ResidualMoments]) -> FloatArray:
        """Return parameters to start from, by the moments of the residuals of each stratum."""
        own = np.stack([self._start(of_stratum) for of_stratum in moments])
        if self.has_shared_correlation:
            own[:, self.n_variances :] = own[:, self.n_variances :].mean(axis=0)
        return own.ravel()

    def _start(self, moments: ResidualMoments) -> FloatArray:
        """Return those of one stratum."""
        of_corr, sd = self.correlation.start(moments, self.steps), moments.sd
        if self.is_any_covariance:
            sd = np.diagonal(np.linalg.cholesky(positive(moments.covariance)))
        if not self.variance.is_of_visits:
            counts = np.diagonal(moments.counts)
            sd = np.sqrt(np.average(sd**2, weights=np.maximum(counts, 1e-300)))
        of_sd = np.zeros(self.n_variances)
        of_sd[: np.size(sd)] = np.log(sd)
        return np.concatenate([of_sd, of_corr])

    def even_start(self, moments: Sequence[ResidualMoments]) -> FloatArray:
        """Return parameters of any covariance to start from, with one correlation each."""
        return self.start([self._evened(own) for own in moments])

    def _evened(self, moments: ResidualMoments) -> ResidualMoments:
        """Return moments with one correlation of all visits, that of neighbors."""
        rho = float(np.clip(moments.neighbor, START_WITHIN, 1.0 - START_WITHIN))
        even = rho + (1.0 - rho) * np.eye(self.m)
        return replace(moments, covariance=np.outer(moments.sd, moments.sd) * even)


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


@dataclass(frozen=True)
class ShownParameter:
    """A standard deviation, a correlation, or what else a stratum's covariance has.

    Attributes
    ----------
    component : str
        "sigma", "corr", "range", or a name of `Variance.others`.
    key : tuple of int
        The numbers, from 1, of the visits that it is of, or of a lag; empty for all.
    value : float
    slope : (d,) array
        Its derivatives by the stratum's parameters.
    """

    component: str
    key: tuple[int, ...]
    value: float
    slope: FloatArray


def shown_parameters(residual: Residual, own: FloatArray) -> list[ShownParameter]:
    """Return what is shown of one stratum's parameters, (d,)."""
    of_corr = residual.split(own)[1]
    values = residual.correlation.shown(of_corr, residual.m)
    slopes = np.zeros((len(values), residual.n_own))
    slopes[:, residual.n_variances :] = residual.correlation.shown_slopes(of_corr, residual.m)
    out = _of_variances(residual, own)
    for (name, value), slope in zip(values.items(), slopes, strict=True):
        component, _, numbers = name.rstrip(")").partition("(")
        key = tuple(int(number) for number in numbers.split(",") if number)
        out.append(ShownParameter(component, key, value, slope))
    return out


def _of_variances(residual: Residual, own: FloatArray) -> list[ShownParameter]:
    """Return the standard deviations, and other parameters of theirs."""
    if residual.variance.is_of_visits:
        at = residual.evaluate(own, residual.all_visits)
        # ∂√R_aa = ∂R_aa/(2√R_aa)
        sd = np.sqrt(np.diagonal(at.value[0]))
        slopes = np.diagonal(at.first[:, 0], axis1=1, axis2=2) / (2.0 * sd)
        pairs = enumerate(zip(sd, slopes.T, strict=True), start=1)
        return [ShownParameter("sigma", (k,), float(s), slope) for k, (s, slope) in pairs]
    unit, size = np.eye(residual.n_own), float(np.exp(own[0]))
    others = enumerate(residual.variance.others, start=1)
    first = ShownParameter("sigma", (), size, size * unit[0])
    return [first, *(ShownParameter(name, (), float(own[k]), unit[k]) for k, name in others)]
