"""Second moments of the data at Λ = 0, where V is the weights alone.

For the start of the search (MINQUE) and for what the data cannot determine. With
P = W − WX(X'WX)⁻¹X'W and E_k = Z_k'WX R_X⁻ᵀ, Z_k'PZ_l = Z_k'WZ_l − E_kE_l'.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np

from skmixed._equations.cholesky import CholeskyFactor
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class Moments:
    """Sums over levels, and over pairs of levels, factor by factor.

    Attributes
    ----------
    zz, zpz, outer : (n,) arrays
        Σ_j (Z'WZ)_jj, Σ_j (Z'PZ)_jj and Σ_j ρ_jρ_j', each row by row.
    raw, information : (n, n) arrays
        tr(W V_ab W V_cd) and tr(P V_ab P V_cd) for V_ab = Z E_ab Z'. The second
        is twice REML's expected information (Kenward and Roger, 1997, Biometrics
        53, section 2).
    """

    zz: FloatArray
    zpz: FloatArray
    outer: FloatArray
    raw: FloatArray
    information: FloatArray


@dataclass(frozen=True)
class _FactorMoments:
    """One factor's own, levels last: zz (r, r, q), zx = E (r, p, q), own = EE', rho (r, q)."""

    zz: FloatArray
    zx: FloatArray
    own: FloatArray
    rho: FloatArray

    @staticmethod
    def of(at_zero: CholeskyFactor, zz: FloatArray, fixed: FloatArray) -> "_FactorMoments":
        """Take in Z'WZ and Z'W[X y] per level, (r, r, q) and (r, p + 1, q)."""
        zx = np.matmul(at_zero.fixed.inverse_root.T, fixed[:, :-1])
        rho = np.matmul(np.append(-at_zero.beta, 1.0), fixed)
        return _FactorMoments(zz, zx, np.einsum("apq,bpq->abq", zx, zx), rho)


@dataclass(frozen=True)
class _Sums:
    """Sums over levels of one factor.

    zz, zpz, outer : (r, r). raw : (r², r²), Σ A A'. same : (r², r²), Σ (A − O)(A − O)' −
    O O', one level with itself. pairs : (r, p, r, p), Σ_j E_ax E_by.
    """

    zz: FloatArray
    zpz: FloatArray
    outer: FloatArray
    raw: FloatArray
    same: FloatArray
    pairs: FloatArray

    @staticmethod
    def of(part: _FactorMoments) -> "_Sums":
        r, p, _ = part.zx.shape
        flat = part.zx.reshape(r * p, part.zx.shape[2])
        zz, own = part.zz.reshape(r * r, -1), part.own.reshape(r * r, -1)
        left = zz - own
        return _Sums(
            zz=zz.sum(axis=1).reshape(r, r),
            zpz=left.sum(axis=1).reshape(r, r),
            outer=part.rho @ part.rho.T,
            raw=zz @ zz.T,
            same=left @ left.T - own @ own.T,
            pairs=(flat @ flat.T).reshape(r, p, r, p),
        )

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def information(self) -> FloatArray:
        """All pairs of levels; one level with itself is among them too, there as O O'."""
        r, p, _, _ = self.pairs.shape
        # Σ_xy (Σ_j E_ax E_dy)(Σ_l E_bx E_cy)
        rows = self.pairs.transpose(0, 2, 1, 3).reshape(r * r, p * p)
        across = (rows @ rows.T).reshape(r, r, r, r).transpose(0, 2, 3, 1)
        return _entries(self.same.reshape(across.shape) + across)


def moments(at_zero: CholeskyFactor) -> Moments:
    """Sum the moments; costs q·r²·(r² + p²) per factor and the cells of each pair."""
    system = at_zero.system
    sums = [_summed(_parts(at_zero, k)) for k in range(len(system.factors))]
    size = system.factors[-1].entries.stop
    raw, information = np.zeros((size, size)), np.zeros((size, size))
    for place, own in zip(system.factors, sums, strict=True):
        raw[place.entries, place.entries] = _entries(own.raw.reshape((place.n_columns,) * 4))
        information[place.entries, place.entries] = own.information
    # E of all levels at once, which only pairs of factors need.
    zx = [
        np.concatenate([part.zx for part in _parts(at_zero, k)], axis=2)
        for k in range(len(sums) if len(sums) > 1 else 0)
    ]
    for k, j in combinations(range(len(sums)), 2):
        rows, columns = system.factors[k].entries, system.factors[j].entries
        both = _between(zx[k], zx[j], sums[k].pairs, sums[j].pairs, system.pair_cells(k, j))
        for out, part in zip((raw, information), both, strict=True):
            out[rows, columns], out[columns, rows] = part, part.T
    names = ("zz", "zpz", "outer")
    flat = [np.concatenate([getattr(own, name).ravel() for own in sums]) for name in names]
    return Moments(flat[0], flat[1], flat[2], raw, information)


def _summed(parts: Iterator[_FactorMoments]) -> _Sums:
    total = _Sums.of(next(parts))
    for part in parts:
        total = total + _Sums.of(part)
    return total


def _parts(at_zero: CholeskyFactor, k: int) -> Iterator[_FactorMoments]:
    """Yield a factor's own, slab by slab of levels; one part for a factor in the core."""
    for own, fixed in at_zero.system.level_products(k):
        yield _FactorMoments.of(at_zero, own, fixed)


def _entries(sums: FloatArray) -> FloatArray:
    """Order Σ Q_da Q_bc, indexed d, a, b, c, by the directions ab and cd."""
    return sums.transpose(1, 2, 3, 0).reshape(len(sums) ** 2, -1)


def _between(
    first: FloatArray,
    second: FloatArray,
    first_pairs: FloatArray,
    second_pairs: FloatArray,
    cells: tuple[Any, Any, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Moments of two factors: Σ_jl Q_ad Q_bc with Q_jl = A_jl − E_jE_l'."""
    rows, columns, values = cells
    shape = (values.shape[1] ** 2, values.shape[2] ** 2)
    raw = np.einsum("nad,nbc->abcd", values, values, optimize=True)
    fitted = np.einsum("axn,dxn->nad", first[:, :, rows], second[:, :, columns])
    mixed = np.einsum("nad,nbc->abcd", values, fitted, optimize=True)
    both = np.einsum("axby,dxcy->abcd", first_pairs, second_pairs, optimize=True)
    full = raw - mixed - mixed.transpose(1, 0, 3, 2) + both
    return raw.reshape(shape), full.reshape(shape)
