"""The system in units of the random effects themselves.

Derivatives with respect to Σ have the size of Z'PZ, and Z'V⁻¹Z = ((Z'Z)⁻¹ + Σ)⁻¹ per
level: 1 for a combination of effects without variance, 1e-7 for one whose standard
deviation is some thousand times the residual one. In the columns of the data a sum
over levels of products of these has lost the small ones before they are told apart.
So the columns of each term become ZT with TT' = S̄⁻¹ + Σ, S̄ the mean over levels of
what Z'Z is where the term is eliminated, in which T'Z'V⁻¹ZT is about the identity,
and Λ becomes E = T⁻¹Λ; those of X become XF with F'X'V⁻¹XF = I. All that does not
depend on the parametrization of Σ is the same: degrees of freedom, adjusted
covariances, errors of components.

T keeps the structure: any matrix where every covariance is allowed, a diagonal one
where the scale of each column is free, else a multiple of the identity. Derived in
docs/mathematics.md, "Units in which these are computed".
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._derivatives.criterion import Likelihood
from skmixed._derivatives.information import Information, information
from skmixed._equations.changes import in_columns
from skmixed._equations.cholesky import CholeskyFactor, factorize
from skmixed._equations.layout import DesignRows
from skmixed._equations.selected_inverse import in_spans
from skmixed._equations.system import System
from skmixed._model.covariance import is_unrestricted
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._typing import FloatArray, Lam
from skmixed._uncertainty.row_slopes import RowSlopes

# Least eigenvalue of S̄, scaled to a unit diagonal, that is told from 0.
COLLINEAR = 1e-12
# Numbers of the matrices of `RowSlopes` up to which they are kept, 200 MB.
MOST_NUMBERS = 25_000_000


@dataclass(frozen=True)
class Units:
    """The units of the columns of Z and X.

    Attributes
    ----------
    bases, lam : tuples of (s, s) arrays
        T and E of each term, by its index: Λ = TE.
    fixed : (p, p) array
        F, the columns of X becoming XF: β = Fβ_F.
    """

    bases: Lam
    lam: Lam
    fixed: FloatArray

    @staticmethod
    def of(factorization: CholeskyFactor) -> "Units":
        system = factorization.system
        found = {}
        for k, factor in enumerate(system.factors):
            products = factorization.mean_products(k)
            for term in factor.terms:
                own = term.to_factor_columns.T @ products @ term.to_factor_columns
                found[term.index] = _unit(term, own, factorization.lam[term.index])
        parts = [found[term.index] for _, term in system.terms]
        fixed = factorization.fixed.inverse_root
        return Units(tuple(t for t, _ in parts), tuple(e for _, e in parts), fixed)

    def factorize(self, system: System) -> CholeskyFactor:
        """Factorize a system, of the same terms, in these units."""
        return in_spans(factorize(in_columns(system, self.bases, self.fixed), self.lam))

    def rows(self, system: System, rows: DesignRows) -> DesignRows:
        """Return rows of [Z X] in these units, from rows in the coordinates of the system."""
        return rows.in_columns([factor.lam(self.bases) for factor in system.factors], self.fixed)


def _unit(
    term: TermCoordinates, products: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return T and E of a term."""
    structure = term.term.structure
    squares = np.maximum(np.diagonal(products), 0.0)
    variances = np.einsum("ab,ab->a", lam, lam)
    if is_unrestricted(structure):
        return _rotated(products, lam)
    if not structure.is_scale_invariant:
        squares, variances = np.full((2, len(lam)), [[squares.mean()], [variances.mean()]])
    # A column of zeros has no products: any unit will do.
    total = variances + 1.0 / np.where(squares > 0.0, squares, 1.0)
    unit = np.sqrt(total)
    return np.diag(unit), lam / unit[:, None]


def _rotated(products: FloatArray, lam: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return T and E with E diagonal: the principal components of Λ in units of S̄."""
    scale = np.sqrt(np.maximum(np.diagonal(products), 0.0))
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(products / np.outer(scale, scale))
    values = np.maximum(values, COLLINEAR * values[-1]) if values[-1] > 0 else np.ones(len(lam))
    root = np.sqrt(values)
    nonzero = lam[:, lam.any(axis=0)]  # columns of zeros stay what they are
    whole = root[:, None] * (vectors.T @ (scale[:, None] * nonzero))
    left, sizes, _ = np.linalg.svd(whole)
    sizes = np.append(sizes, np.zeros(len(lam) - len(sizes)))
    unit = np.hypot(1.0, sizes)
    base = (vectors @ (left * unit / root[:, None])) / scale[:, None]
    return base, np.diag(sizes / unit)


@dataclass(frozen=True, eq=False)
class Relative:
    """The system at the optimum in its own units, and the information there.

    Attributes
    ----------
    units : Units
    factorization : CholeskyFactor
        In these units.
    likelihood : Likelihood
    """

    units: Units
    factorization: CholeskyFactor
    likelihood: Likelihood

    @staticmethod
    def of(factorization: CholeskyFactor, likelihood: Likelihood) -> "Relative":
        units = Units.of(factorization)
        return Relative(units, units.factorize(factorization.system), likelihood)

    @cached_property
    def information(self) -> Information:
        """Observed and expected information on the variance parameters, in these units."""
        return information(self.factorization, self.likelihood)

    def row_slopes(self) -> RowSlopes:
        """Return what the derivatives of rows need, kept where it is no more than 200 MB."""
        found = vars(self).get("_row_slopes")
        if found is None:
            found = RowSlopes.of(self.factorization)
            if found.n_numbers <= MOST_NUMBERS:
                vars(self)["_row_slopes"] = found
        return found
