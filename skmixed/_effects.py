"""The random effects at one Λ, by back-substitution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._factorize import Factorization

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """Estimated random effects.

    Attributes
    ----------
    spherical : tuple of (s, q) arrays
        û of each factor, in the order of the blocks.
    outer : (n_outer,) array
        b̂ = Λû of the outer columns, of all factors but the first.
    """

    spherical: tuple[FloatArray, ...]
    outer: FloatArray


def effects(factorization: Factorization) -> Effects:
    """Solve for the effects, those of the core first, then back along the chain."""
    blocks = factorization.blocks
    outer = np.zeros(blocks.factors[-1].outer.stop)
    outer[blocks.n_chain :] = -factorization.residual_weights[: blocks.n_core]
    spherical: dict[int, FloatArray] = {}
    start = 0
    for k, factor in enumerate(blocks.factors):
        if factor.core is not None:
            s = sum(t.size for t in factor.terms)
            stop = start + factor.n_levels * s
            spherical[k] = factorization.solution[start:stop].reshape(factor.n_levels, s).T
            start = stop
    for k in reversed(range(len(blocks.stages))):
        spherical[k] = _stage_effects(factorization, k, outer)
        if k:
            own = blocks.factors[k].lam(factorization.lam) @ spherical[k]
            outer[blocks.factors[k].outer] = own.T.ravel()
    return Effects(tuple(spherical[k] for k in sorted(spherical)), outer)


def _stage_effects(factorization: Factorization, k: int, outer: FloatArray) -> FloatArray:
    """Solve L'u = H_y − H_Xβ̂ − H_c b̂_c of one stage, (s, q)."""
    stage, done = factorization.blocks.stages[k], factorization.stages[k]
    q = factorization.blocks.factors[k].n_levels
    residual = np.zeros(stage.products.shape[2])
    residual[stage.fixed] = np.append(-factorization.beta, 1.0)
    u = np.matmul(residual, done.half)
    if len(stage.rows):
        for j, values in enumerate(done.cell_half):
            own = np.zeros(u[:, j].size)
            own[:q] = stage.with_values(values) @ outer
            u[:, j] -= own.reshape(u[:, j].shape)
    for j in reversed(range(u.shape[1])):
        u[:, j] -= np.einsum("nkb,nkb->nb", done.chol[:, j + 1 :, j], u[:, j + 1 :])
        u[:, j] /= done.chol[:, j, j]
    return np.asarray(u.transpose(1, 0, 2).reshape(u.shape[1], -1)[:, :q])
