"""Draws of the fixed and random effects given the data, and given Λ and σ.

With a flat prior of β, (b, β) given y is normal around (b̂, β̂) with covariance
σ²TC⁻¹T', T = blockdiag(Λ, I) (Henderson, 1975, Biometrics 31; `_row_variance`). With
C = RR' and ξ ~ N(0, I), σTR⁻ᵀξ is a draw of the deviation: a back-substitution along
the chain, as for b̂ itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._design import Model
from skmixed._effects import back_substituted
from skmixed._factorize import Factorization, solve_lower
from skmixed._solution import centered_to_user, user_effects

FloatArray = NDArray[np.float64]


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
    factorization: Factorization, model: Model, rng: np.random.Generator
) -> Deviation:
    """Draw one; costs a pass over levels and cells."""
    blocks, n = factorization.blocks, factorization.n_spherical
    sigma = float(np.sqrt(factorization.sigma_squared))
    chol = factorization.chol_core
    solution = solve_lower(chol, sigma * rng.standard_normal(len(chol)), transposed=True)
    to_user, _ = centered_to_user(blocks, model)
    fixed = to_user @ solution[n:]
    if not blocks.factors:
        return Deviation(fixed, ())
    shapes = [(k, s, b) for k, s, _, b in (done.chol.shape for done in factorization.stages)]
    white = [sigma * rng.standard_normal(shape) for shape in shapes]
    found = back_substituted(factorization, white, solution)
    return Deviation(fixed, user_effects(factorization, found.spherical))
