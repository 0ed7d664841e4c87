"""The log-determinant of the mixed-model equations by stochastic Lanczos quadrature.

With D the diagonal blocks of M_c and B = D^{-1/2}M_cD^{-T/2}, log|M_c| = log|D| + tr log B,
and tr log B = E w'(log B)w for random signs w (Ubaru, Chen and Saad, 2017, SIAM J.
Matrix Anal. Appl. 38). The diagonal blocks of B are identities, so that w'(B − I)w has
mean 0: taken off, it leaves a spread of second order in the off-diagonal blocks.
"""

from collections.abc import Callable

import numpy as np

from skmixed._equations.conjugate_gradients import CoreOperator, LogDeterminant
from skmixed._typing import FloatArray

# Steps of Lanczos' process: it converges at the rate of conjugate gradients.
STEPS = 25
# Weight of an eigenvalue in a quadrature that is rounding.
NO_WEIGHT = 1e-12


def log_determinant(operator: CoreOperator, signs: FloatArray) -> LogDeterminant:
    """Estimate log|M_c| from (s_core, n) signs."""
    inverse_root, log_blocks = operator.root_of_blocks()

    def times(columns: FloatArray) -> FloatArray:
        return np.asarray(inverse_root @ operator.times(inverse_root.T @ columns))

    diagonal, beside, first = _lanczos(times, signs)
    size = len(signs)
    values, vectors = _tridiagonal_eigen(diagonal, beside)
    weights = vectors[:, 0, :] ** 2
    samples = size * (weights * np.log(np.maximum(values, np.finfo(float).tiny))).sum(axis=1)
    samples -= size * (first - 1.0)
    error = float(samples.std(ddof=1) / np.sqrt(len(samples))) if len(samples) > 1 else np.nan
    seen = values[weights > NO_WEIGHT]  # others belong to no part of the sign
    condition = float(seen.max() / seen.min())
    return LogDeterminant(log_blocks + float(samples.mean()), error, condition)


def _lanczos(
    times: Callable[[FloatArray], FloatArray], signs: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the tridiagonal matrices of all columns, (n, steps), and w'Bw / w'w."""
    size, n = signs.shape
    steps = min(STEPS, size)
    v, before = signs / np.sqrt(size), np.zeros_like(signs)
    diagonal, beside = np.ones((n, steps)), np.zeros((n, steps - 1))
    beta = np.zeros(n)
    for k in range(steps):
        u = times(v) - beta * before
        alpha = np.einsum("ij,ij->j", u, v)
        diagonal[:, k] = alpha
        if k + 1 == steps:
            break
        u -= alpha * v
        beta = np.linalg.norm(u, axis=0)
        # An invariant subspace is found: what follows has no weight.
        beta = np.where(beta > np.finfo(float).eps * size, beta, 0.0)
        beside[:, k] = beta
        with np.errstate(divide="ignore", invalid="ignore"):
            v, before = np.nan_to_num(u / beta, posinf=0.0, neginf=0.0), v
    return diagonal, beside, diagonal[:, 0]


def _tridiagonal_eigen(diagonal: FloatArray, beside: FloatArray) -> tuple[FloatArray, FloatArray]:
    n, steps = diagonal.shape
    matrices = np.zeros((n, steps, steps))
    k = np.arange(steps)
    matrices[:, k, k] = diagonal
    matrices[:, k[1:], k[:-1]] = matrices[:, k[:-1], k[1:]] = beside
    values, vectors = np.linalg.eigh(matrices)
    return values, vectors
