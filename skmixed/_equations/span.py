"""The span of one factor's Λ, and what lies outside it.

From M = Λ'SΛ + I follows Λ'(I − SΛM⁻¹Λ') = M⁻¹Λ': with P_Λ = ΛΛ⁺

    Z'V⁻¹ = Λ⁺' M⁻¹Λ'Z' + (I − P_Λ)(Z' − SΛM⁻¹Λ'Z'),    S = Z'Z

In the span of Λ the first term is all there is, and has no difference in it. As a
difference, Z' − SΛM⁻¹Λ'Z' keeps as many digits fewer as Λ'SΛ has: seven where a
standard deviation is a thousand times the residual one.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._typing import FloatArray


@dataclass(frozen=True)
class Span:
    """The matrices of one Λ, (s, s) each.

    Attributes
    ----------
    inverse, precision : arrays
        Λ⁺' and (ΛΛ')⁺.
    null : array or None
        I − ΛΛ⁺; None where Λ has full rank.
    """

    inverse: FloatArray
    precision: FloatArray
    null: FloatArray | None

    @staticmethod
    def of(lam: FloatArray) -> "Span":
        left, sizes, right = np.linalg.svd(lam)
        # A direction that is left out is no worse off: there Λ'SΛ is below rounding.
        keep = sizes > np.finfo(float).eps * sizes[0]
        inverse = (left[:, keep] / sizes[keep]) @ right[keep]
        null = None if keep.all() else np.eye(len(lam)) - left[:, keep] @ left[:, keep].T
        return Span(inverse, inverse @ inverse.T, null)
