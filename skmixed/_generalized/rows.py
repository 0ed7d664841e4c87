"""Rows of a generalized model from the user's units to the search's, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from skmixed._equations.changes import RowLayout
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._estimation.solution import centered_to_user
from skmixed._generalized.system import GeneralizedSystem, HeldSlab, RowSlab
from skmixed._model.family import Family
from skmixed._model.terms import Model
from skmixed._repeated.coordinates import own_columns
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class GeneralizedDesign:
    """Rows of a generalized model, with the family of their response.

    Attributes
    ----------
    design : Design
    offset : (n,) array
        What the linear predictor has beside Xβ + Zb.
    family : Family
    constant : float or None
        What −2 log L has that depends on y and the weights alone, of rows of which equal
        ones were pooled; None: that of these rows.
    """

    design: Design
    offset: FloatArray
    family: Family
    constant: float | None = None


@dataclass(frozen=True)
class GeneralizedRows:
    """Rows of a generalized model, as a fit keeps them.

    Attributes
    ----------
    columns : (n, k) array
        The numeric columns, in the order of the statistics.
    response : (n,) array
    weights : (n,) array or None
    offset : (n,) array
    levels : (n, f) array of int
        Each row's level of each grouping factor.
    constant : float or None
        That of `GeneralizedDesign`.
    """

    columns: FloatArray
    response: FloatArray
    weights: FloatArray | None
    offset: FloatArray
    levels: IntArray
    constant: float | None = None

    @staticmethod
    def of(given: GeneralizedDesign) -> "GeneralizedRows":
        design = given.design
        n, levels = design.n_rows, [factor.codes for factor in design.factors]
        return GeneralizedRows(
            columns=np.stack([*design.columns], axis=1) if design.columns else np.empty((n, 0)),
            response=design.responses[0],
            weights=design.weights,
            offset=given.offset,
            levels=np.stack(levels, axis=1) if levels else np.empty((n, 0), dtype=np.intp),
            constant=given.constant,
        )

    @staticmethod
    def joined(parts: "Sequence[GeneralizedRows]") -> "GeneralizedRows":
        """Return the rows of all parts, one after the other."""
        weights = None
        if any(part.weights is not None for part in parts):
            own = [np.ones(len(p.response)) if p.weights is None else p.weights for p in parts]
            weights = np.concatenate(own)
        return GeneralizedRows(
            columns=np.concatenate([part.columns for part in parts]),
            response=np.concatenate([part.response for part in parts]),
            weights=weights,
            offset=np.concatenate([part.offset for part in parts]),
            levels=np.concatenate([part.levels for part in parts]),
            constant=sum(part.constant or 0.0 for part in parts),
        )

    def renumbered(self, levels: Sequence[IntArray]) -> "GeneralizedRows":
        """Return the rows with other numbers of the levels of factors."""
        columns = [place[own] for place, own in zip(levels, self.levels.T, strict=True)]
        return replace(self, levels=np.stack(columns, axis=1) if columns else self.levels)

    def repeated(self) -> "GeneralizedRows":
        """Return each row as often as its weight says, a whole number."""
        assert self.weights is not None
        at = np.repeat(np.arange(len(self.weights)), np.rint(self.weights).astype(np.intp))
        return GeneralizedRows(
            self.columns[at], self.response[at], None, self.offset[at], self.levels[at]
        )

    def design(
        self, family: Family, n_levels: Sequence[int], columns: Sequence[tuple[int, ...]]
    ) -> GeneralizedDesign:
        """Return the rows as the kernel takes them; `columns` are those of each factor."""
        codes = map(np.ascontiguousarray, self.levels.T)
        factors = tuple(map(FactorDesign, codes, n_levels, columns))
        given = tuple(np.ascontiguousarray(own) for own in self.columns.T)
        return GeneralizedDesign(
            Design(given, (self.response,), self.weights, factors),
            self.offset,
            family,
            self.constant,
        )


@dataclass(frozen=True)
class GeneralizedLayout:
    """A model's rows, laid out for the search, and the way back from it.

    Attributes
    ----------
    system : GeneralizedSystem
    terms : tuple of TermCoordinates
        In the model's order.
    kept : tuple of int
        Columns with a fixed effect that are not dropped.
    basis : (p, p) array
        F, from γ to the effects of the kept columns.
    """

    system: GeneralizedSystem
    terms: tuple[TermCoordinates, ...]
    kept: tuple[int, ...]
    basis: FloatArray


@dataclass(frozen=True)
class SlabLayout:
    """The coordinates of a linear system, in which rows of the same columns are laid out.

    In these X is orthonormal with the weights, and Z has centered and scaled columns.

    Attributes
    ----------
    at_zero : CholeskyFactor
    model : Model
    center : (k,) array
        What Z's columns are less, by the columns of the statistics.
    rows : RowLayout
        Of no rows.
    """

    at_zero: CholeskyFactor
    model: Model
    center: FloatArray
    rows: RowLayout

    def slab(self, given: GeneralizedDesign) -> RowSlab:
        """Lay out rows."""
        design, factors = given.design, self.at_zero.system.factors
        n = design.n_rows
        columns = [np.ones(n), *design.columns]
        # Z of each factor, in the order of the system
        given_factors = [design.factors[f.position] for f in factors]
        of_factors = [
            np.ascontiguousarray(own_columns(f, own.columns, columns, self.center).T)
            for f, own in zip(factors, given_factors, strict=True)
        ]
        codes = [own.codes for own in given_factors]
        return RowSlab(
            family=given.family,
            response=design.responses[0],
            weights=np.ones(n) if design.weights is None else design.weights,
            offset=given.offset,
            fixed=self._fixed_rows(columns),
            rows=self.rows.with_rows(of_factors, codes, n),
        )

    def _fixed_rows(self, columns: Sequence[FloatArray]) -> FloatArray:
        """Return the columns of X less centers and regressions, times R_x⁻ᵀ, (p, n)."""
        system, p = self.at_zero.system, self.at_zero.system.n_fixed
        own = np.empty((len(columns[0]), p))
        for j, kept in enumerate(system.kept):
            np.subtract(columns[self.model.fixed[kept]], system.center[j], out=own[:, j])
        if system.regression is not None:
            own = residuals(own, system.regression[:p, :p])
        return np.ascontiguousarray((own @ self.at_zero.fixed.inverse_root).T)


def lay_out_generalized(
    at_zero: CholeskyFactor, model: Model, center: FloatArray, given: GeneralizedDesign
) -> GeneralizedLayout:
    """Lay out rows in the coordinates of a linear system of the same columns."""
    like = at_zero.system
    places = SlabLayout(at_zero, model, center, RowLayout.of(like))
    slab, constant = places.slab(given), given.constant
    if constant is None:
        constant = 2.0 * given.family.constant(slab.response, slab.weights)
    # And β = Fγ, with F from orthonormal columns to those of the user
    system = GeneralizedSystem(
        family=given.family,
        source=HeldSlab(slab),
        layout=places.rows,
        n_fixed=like.n_fixed,
        n_rows=slab.n_rows,
        total_weight=float(slab.weights.sum()),
        constant=constant,
    )
    terms, (to_user, _) = tuple(t for _, t in like.terms), centered_to_user(like, model)
    return GeneralizedLayout(system, terms, like.kept, to_user @ at_zero.fixed.inverse_root)
