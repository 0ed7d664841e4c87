"""Second moments of the data at Λ = 0, where V is the weights alone.

For the start of the search (MINQUE) and for what the data cannot determine. With
P = W − WX(X'WX)⁻¹X'W and E_k = Z_k'WX R_X⁻ᵀ, Z_k'PZ_l = Z_k'WZ_l − E_kE_l'.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from skmixed._blocks import Blocks
from skmixed._factorize import Factorization, solve_lower

FloatArray = NDArray[np.float64]


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
class _Factor:
    """One factor's own, levels last: zz (r, r, q), zx = E (r, p, q), own = EE', rho (r, q)."""

    zz: FloatArray
    zx: FloatArray
    own: FloatArray
    rho: FloatArray

    @staticmethod
    def of(at_zero: Factorization, zz: FloatArray, fixed: FloatArray) -> "_Factor":
        """Take in Z'WZ and Z'W[X y] per level, (r, r, q) and (r, p + 1, q)."""
        root = solve_lower(at_zero.chol_x, np.eye(at_zero.blocks.n_fixed))
        zx = np.matmul(root, fixed[:, :-1])
        rho = np.matmul(np.append(-at_zero.beta, 1.0), fixed)
        return _Factor(zz, zx, np.einsum("apq,bpq->abq", zx, zx), rho)

    @property
    def pairs(self) -> FloatArray:
        """Σ_j E_ax E_by, (r, p, r, p)."""
        r, p, q = self.zx.shape
        flat = self.zx.reshape(r * p, q)
        return (flat @ flat.T).reshape(r, p, r, p)


def moments(at_zero: Factorization) -> Moments:
    """Sum the moments; costs q·r²·(r² + p²) per factor and the cells of each pair."""
    blocks = at_zero.blocks
    factors = _factors(at_zero)
    sizes = [f.n_columns**2 for f in blocks.factors]
    raw, information = np.zeros((sum(sizes),) * 2), np.zeros((sum(sizes),) * 2)
    for place, own in zip(blocks.factors, factors, strict=True):
        raw[place.entries, place.entries], information[place.entries, place.entries] = _within(own)
    for k, j in combinations(range(len(factors)), 2):
        rows, columns = blocks.factors[k].entries, blocks.factors[j].entries
        both = _between(factors[k], factors[j], _pair(blocks, k, j))
        for out, part in zip((raw, information), both, strict=True):
            out[rows, columns], out[columns, rows] = part, part.T
    return Moments(
        zz=np.concatenate([f.zz.sum(axis=2).ravel() for f in factors]),
        zpz=np.concatenate([(f.zz - f.own).sum(axis=2).ravel() for f in factors]),
        outer=np.concatenate([(f.rho @ f.rho.T).ravel() for f in factors]),
        raw=raw,
        information=information,
    )


def _factors(at_zero: Factorization) -> list[_Factor]:
    blocks, out = at_zero.blocks, []
    for stage in blocks.stages:
        own, fixed = (
            stage.products[:, :, columns].transpose(1, 2, 0, 3).reshape(len(stage.random), -1, q)
            for columns in (stage.random, stage.fixed)
            for q in [stage.products.shape[0] * stage.products.shape[3]]
        )
        out.append(_Factor.of(at_zero, own, fixed))
    for place in blocks.core_factors:
        q, r = place.n_levels, place.n_columns
        core = blocks.core[place.core].reshape(q, r, -1).transpose(1, 2, 0)
        diagonal = core[:, place.core].reshape(r, q, r, q)[:, np.arange(q), :, np.arange(q)]
        out.append(_Factor.of(at_zero, diagonal.transpose(1, 2, 0), core[:, blocks.n_core :]))
    return out


def _within(factor: _Factor) -> tuple[FloatArray, FloatArray]:
    """Moments of one factor: all pairs of its levels, of which one level with itself apart."""
    r = len(factor.zz)
    zz, own = factor.zz.reshape(r * r, -1), factor.own.reshape(r * r, -1)
    raw = zz @ zz.T
    # One level with itself is in the pairs too, there as O O'.
    same = (zz - own) @ (zz - own).T - own @ own.T
    pairs = factor.pairs
    across = np.einsum("axdy,bxcy->abcd", pairs, pairs, optimize=True)
    return _entries(raw.reshape((r,) * 4)), _entries(same.reshape((r,) * 4) + across)


def _entries(sums: FloatArray) -> FloatArray:
    """Order Σ Q_da Q_bc, indexed d, a, b, c, by the directions ab and cd."""
    return sums.transpose(1, 2, 3, 0).reshape(len(sums) ** 2, -1)


def _pair(blocks: Blocks, k: int, j: int) -> tuple[Any, Any, FloatArray]:
    """Cells of two factors: levels of each, and products (n, r_k, r_l)."""
    size = blocks.factors[k].n_columns, blocks.factors[j].n_columns
    if k < len(blocks.stages):
        stage, columns = blocks.stages[k], blocks.factors[j].outer
        rows = [stage.with_values(values)[:, columns] for values in stage.values]
        order = np.arange(size[0] * stage.cells.shape[0]).reshape(size[0], -1).T.ravel()
        matrix = sp.csr_array(sp.csr_array(sp.vstack(rows))[order])
    else:
        matrix = sp.csr_array(blocks.core[blocks.factors[k].core, blocks.factors[j].core])
    cells = matrix.tobsr(size)
    levels = np.repeat(np.arange(cells.indptr.size - 1), np.diff(cells.indptr))
    return levels, cells.indices, cells.data


def _between(
    first: _Factor,
    second: _Factor,
    cells: tuple[Any, Any, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Moments of two factors: Σ_jl Q_ad Q_bc with Q_jl = A_jl − E_jE_l'."""
    rows, columns, values = cells
    shape = (values.shape[1] ** 2, values.shape[2] ** 2)
    raw = np.einsum("nad,nbc->abcd", values, values, optimize=True)
    fitted = np.einsum("axn,dxn->nad", first.zx[:, :, rows], second.zx[:, :, columns])
    mixed = np.einsum("nad,nbc->abcd", values, fitted, optimize=True)
    both = np.einsum("axby,dxcy->abcd", first.pairs, second.pairs, optimize=True)
    full = raw - mixed - mixed.transpose(1, 0, 3, 2) + both
    return raw.reshape(shape), full.reshape(shape)
