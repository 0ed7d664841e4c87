"""Covariances of the random effects of each level, given β, σ and θ.

Of b̂ − b given the fixed effects the covariance is σ²ΛM⁻¹Λ'; the diagonal blocks
of M⁻¹ are entries of the selected inverse. They are taken in spherical
coordinates, u = Λ⁻¹b, in which terms on one factor stay apart (see
docs/mathematics.md, "The BLUP as a conditional mean").
"""

import numpy as np
from numpy.typing import NDArray

from skmixed._factorize import Factorization, congruent
from skmixed._inverse import Inverse, inverse_of_cholesky

FloatArray = NDArray[np.float64]


def level_covariances(factorization: Factorization) -> tuple[FloatArray, ...]:
    """Return the diagonal blocks of ΛM⁻¹Λ' for each term, (q, s, s).

    In the user's coordinates and relative to the σ² of the `Factorization`; lme4's
    conditional variances (Bates et al., 2015, J. Stat. Softw. 67(1), equation 58).
    """
    blocks = factorization.blocks
    spherical = _spherical_blocks(factorization) if blocks.factors else []
    out: dict[int, FloatArray] = {}
    for factor, own in zip(blocks.factors, spherical, strict=True):
        for term in factor.terms:
            root = term.to_user @ factorization.lam[term.index]
            out[term.index] = root @ own[:, term.columns, term.columns] @ root.T
    return tuple(out[index] for index in sorted(out))


def _spherical_blocks(factorization: Factorization) -> list[FloatArray]:
    """Return the diagonal blocks of M⁻¹ for each factor of the blocks, (q, s, s)."""
    blocks, n = factorization.blocks, factorization.n_spherical
    random = inverse_of_cholesky(factorization.chol_core[:n, :n])
    core = np.zeros((blocks.n_core + blocks.n_fixed,) * 2)  # 0 for X: β is given
    core[: blocks.n_core, : blocks.n_core] = (
        congruent(blocks, factorization.lam, random, transposed=False) if n else random
    )
    later = Inverse.along(factorization, core)
    out = [_of_stage(factorization, k, later[k]) for k in range(len(blocks.stages))]
    start = 0
    for factor in blocks.core_factors:
        s = sum(t.size for t in factor.terms)
        own = slice(start, start + factor.n_levels * s)
        square = random[own, own].reshape(factor.n_levels, s, factor.n_levels, s)
        out.append(np.einsum("qaqb->qab", square))
        start = own.stop
    return out


def _of_stage(factorization: Factorization, k: int, later: Inverse) -> FloatArray:
    """Return (M⁻¹)_jj = L⁻ᵀ(I + L⁻¹Λ'S_jG S_j'ΛL⁻ᵀ)L⁻¹, G the inverse of what is later."""
    blocks, done = factorization.blocks, factorization.stages[k]
    place, q = blocks.factors[k], blocks.factors[k].n_levels
    lam = place.lam(factorization.lam)
    lower = done.chol.transpose(0, 3, 1, 2).reshape(-1, *done.chol.shape[1:3])[:q]
    inverse = np.linalg.inv(lower)
    middle = np.broadcast_to(np.eye(lam.shape[1]), inverse.shape)
    if not done.is_zero:
        within, _, _ = later.within(blocks.stages[k], done, place, blocks.n_chain)
        root = inverse @ lam.T
        middle = middle + root @ within.transpose(2, 0, 1) @ root.transpose(0, 2, 1)
    return np.asarray(inverse.transpose(0, 2, 1) @ middle @ inverse)
