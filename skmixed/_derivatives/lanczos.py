"""The log-determinant of the mixed-model equations by stochastic Lanczos quadrature.

With D the diagonal blocks of M_c and B = D^{-1/2}M_cD^{-T/2}, log|M_c| = log|D| + tr log B,
and tr log B = E w'(log B)w for random signs w (Ubaru, Chen and Saad, 2017, SIAM J.
Matrix Anal. Appl. 38). The diagonal blocks of B are identities, so that w'(B − I)w has
mean 0: taken off, it leaves a spread of second order in the off-diagonal blocks.

The even derivatives of log are negative and the odd ones positive, so that Gauss' quadrature
is above w'(log B)w, and that of Radau, with a node at a bound below B, is below it (Golub
and Meurant, 1994). Steps are added until what is between them is small beside the spread.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._equations.conjugate_gradients import CoreOperator, LogDeterminant
from skmixed._typing import FloatArray

# Steps of Lanczos' process to begin with, and at most: it converges at the rate of
# conjugate gradients.
STEPS, MOST_STEPS = 25, 400
# Half the width between the quadratures that is small: as a share of the Monte Carlo error,
# and in units of the criterion.
SMALL_SHARE, SMALL = 0.1, 1e-4
# Weight of an eigenvalue in a quadrature that is rounding.
NO_WEIGHT = 1e-12


def log_determinant(operator: CoreOperator, signs: FloatArray) -> LogDeterminant:
    """Estimate log|M_c| from (s_core, n) signs."""
    blocks = operator.blocks()

    def times(columns: FloatArray) -> FloatArray:
        return np.asarray(blocks.inverse_root @ operator.times(blocks.inverse_root.T @ columns))

    # tr log B = log|M_c| − log|D|, from twice the steps while the quadratures are apart
    process, steps = _Lanczos(times, signs), min(STEPS, len(signs))
    while True:
        process.run_to(steps)
        found = _quadrature(process, blocks.least_inverse)
        if steps >= MOST_STEPS or found.bias <= max(SMALL_SHARE * found.spread, SMALL):
            break
        steps = min(2 * steps, MOST_STEPS)
    error = float(np.hypot(found.spread, found.bias))
    return LogDeterminant(blocks.log_determinant + found.value, error, found.condition)


@dataclass(frozen=True)
class _Quadrature:
    """An estimate of tr log B, its Monte Carlo error, the largest bias, and the condition of B."""

    value: float
    spread: float
    bias: float
    condition: float


def _quadrature(process: "_Lanczos", bound: float) -> _Quadrature:
    """Integrate from above and below; `bound` is less than all eigenvalues of B."""
    size, n = process.v.shape
    diagonal, beside = process.matrices()
    values, weights = _nodes(diagonal, beside[:, :-1])
    above = size * (weights * _log(values)).sum(axis=1)
    # Radau: T with another row, of which the last entry is bound + β² (T − bound)⁻¹_kk
    shifted = _tridiagonal(diagonal - bound, beside[:, :-1])
    unit = np.zeros((1, diagonal.shape[1], 1))
    unit[:, -1] = 1.0
    last = bound + beside[:, -1] ** 2 * np.linalg.solve(shifted, unit)[:, -1, 0]
    nodes, shares = _nodes(np.column_stack([diagonal, last]), beside)
    below = size * (shares * _log(nodes)).sum(axis=1)
    samples = 0.5 * (above + below) - size * (diagonal[:, 0] - 1.0)
    seen = values[weights > NO_WEIGHT]  # others belong to no part of the sign
    return _Quadrature(
        value=float(samples.mean()),
        spread=float(samples.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan,
        bias=0.5 * float(np.abs(above - below).mean()),
        condition=float(seen.max() / seen.min()),
    )


class _Lanczos:
    """Lanczos' process on all signs at once, which can be carried on."""

    def __init__(self, times: Callable[[FloatArray], FloatArray], signs: FloatArray) -> None:
        self.times = times
        self.v, self.before = signs / np.sqrt(len(signs)), np.zeros_like(signs)
        self.diagonal: list[FloatArray] = []
        self.beside: list[FloatArray] = []

    def run_to(self, steps: int) -> None:
        """Carry the process on until there are so many steps."""
        beta = self.beside[-1] if self.beside else np.zeros(self.v.shape[1])
        while len(self.diagonal) < steps:
            u = self.times(self.v) - beta * self.before
            alpha = np.einsum("ij,ij->j", u, self.v)
            u -= alpha * self.v
            beta = np.linalg.norm(u, axis=0)
            # An invariant subspace is found: what follows has no weight.
            beta = np.where(beta > np.finfo(float).eps * len(u), beta, 0.0)
            self.diagonal.append(alpha)
            self.beside.append(beta)
            with np.errstate(divide="ignore", invalid="ignore"):
                following = np.nan_to_num(u / beta, posinf=0.0, neginf=0.0)
            self.v, self.before = following, self.v

    def matrices(self) -> tuple[FloatArray, FloatArray]:
        """Return the diagonals of T, (n, steps), and what is beside them and after the last."""
        return np.stack(self.diagonal, axis=1), np.stack(self.beside, axis=1)


def _log(values: FloatArray) -> FloatArray:
    return np.log(np.maximum(values, np.finfo(float).tiny))


def _tridiagonal(diagonal: FloatArray, beside: FloatArray) -> FloatArray:
    """Lay out symmetric tridiagonal matrices, (n, steps, steps)."""
    n, steps = diagonal.shape
    matrices = np.zeros((n, steps, steps))
    k = np.arange(steps)
    matrices[:, k, k] = diagonal
    matrices[:, k[1:], k[:-1]] = matrices[:, k[:-1], k[1:]] = beside
    return matrices


def _nodes(diagonal: FloatArray, beside: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of the quadratures of tridiagonal matrices, (n, steps)."""
    values, vectors = np.linalg.eigh(_tridiagonal(diagonal, beside))
    return values, vectors[:, 0, :] ** 2
