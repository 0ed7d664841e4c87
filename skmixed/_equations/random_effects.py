"""The random effects at one Λ, by back-substitution.

The best linear unbiased predictors b̂ = Λû (Henderson, 1975, Biometrics 31), with û
from L'u = c_u − R_ZXβ̂ (Bates et al., 2015, J. Stat. Softw. 67(1), equation 52; see
docs/mathematics.md, "The BLUP as a conditional mean").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skmixed._equations.cholesky import Factorization
from skmixed._equations.system import Blocks
from skmixed._typing import FloatArray


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


def no_effects(blocks: Blocks) -> Effects:
    """Return effects of 0, those of a least-squares fit."""
    sizes = [(sum(t.size for t in f.terms), f.n_levels) for f in blocks.factors]
    return Effects(tuple(map(np.zeros, sizes)), np.zeros(blocks.factors[-1].outer.stop))


def effects(factorization: Factorization) -> Effects:
    """Solve for the effects, those of the core first, then back along the chain."""
    white = [white_response(factorization, k) for k in range(len(factorization.stages))]
    return back_substituted(factorization, white, factorization.solution)


def back_substituted(
    factorization: Factorization, white: Sequence[FloatArray], solution: FloatArray
) -> Effects:
    """Solve with the factor's transpose, from the `solution` for the core and X on.

    `white` is the right side of each stage, (k, s, b).
    """
    blocks = factorization.blocks
    outer = np.zeros(blocks.factors[-1].outer.stop)
    of_core = solution[: factorization.n_spherical, None]
    outer[blocks.n_chain :] = factorization.from_spherical(of_core)[:, 0]
    spherical: dict[int, FloatArray] = {}
    start = 0
    for k, factor in enumerate(blocks.factors):
        if factor.core is not None:
            s = sum(t.size for t in factor.terms)
            stop = start + factor.n_levels * s
            spherical[k] = solution[start:stop].reshape(factor.n_levels, s).T
            start = stop
    beta = solution[factorization.n_spherical :]
    for k in reversed(range(len(blocks.stages))):
        spherical[k] = stage_effects(factorization, k, white[k], beta, outer)
        if k:
            own = blocks.factors[k].lam(factorization.lam) @ spherical[k]
            outer[blocks.factors[k].outer] = own.T.ravel()
    return Effects(tuple(spherical[k] for k in sorted(spherical)), outer)


def white_response(factorization: Factorization, k: int) -> FloatArray:
    """Return H_y of one stage, (k, s, b)."""
    return factorization.stages[k].half[:, :, factorization.blocks.stages[k].fixed[-1]]


def stage_effects(
    factorization: Factorization, k: int, white: FloatArray, beta: FloatArray, outer: FloatArray
) -> FloatArray:
    """Solve L'u = v − H_Xβ − H_c b_c of one stage, (s, q); v = H_y for û."""
    stage, done = factorization.blocks.stages[k], factorization.stages[k]
    q = factorization.blocks.factors[k].n_levels
    of_fixed = np.zeros(stage.products.shape[2])
    of_fixed[stage.fixed[:-1]] = beta
    u = white - np.matmul(of_fixed, done.half)
    if len(stage.rows):
        for j, values in enumerate(done.cell_half):
            own = np.zeros(u[:, j].size)
            own[:q] = stage.with_values(values) @ outer
            u[:, j] -= own.reshape(u[:, j].shape)
    for j in reversed(range(u.shape[1])):
        u[:, j] -= np.einsum("nkb,nkb->nb", done.chol[:, j + 1 :, j], u[:, j + 1 :])
        u[:, j] /= done.chol[:, j, j]
    return np.asarray(u.transpose(1, 0, 2).reshape(u.shape[1], -1)[:, :q])
