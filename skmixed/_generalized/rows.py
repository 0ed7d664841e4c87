"""Rows of a generalized model from the user's units to the search's, and the way back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from skmixed._equations.changes import RowLayout
from skmixed._equations.cholesky import CholeskyFactor
from skmixed._estimation.solution import centered_to_user
from skmixed._generalized.system import GeneralizedSystem, HeldSlab, RowSlab, SlabSource
from skmixed._model.family import Family
from skmixed._model.terms import Model
from skmixed._repeated.coordinates import own_columns
from skmixed._statistics.coordinates import TermCoordinates
from skmixed._statistics.design import Design, FactorDesign
from skmixed._statistics.frame import residuals
from skmixed._typing import FloatArray, IntArray


@dataclass(frozen=True)
class RowTotals:
    """Sums over rows that no parameter has a part in.

    Attributes
    ----------
    n_rows : int
    weight : float
        Σw.
    constant : float
        What −2 log L has that depends on y and the weights alone.
    offsets : (4,) array
        Σwo, Σwo² and Σwoy, which tell offsets o apart whatever the order of the rows and
        whichever are pooled, and a scale of these.
    """

    n_rows: int
    weight: float
    constant: float
    offsets: FloatArray

    @staticmethod
    def of(given: "GeneralizedDesign") -> "RowTotals":
        response, own, n = given.design.responses[0], given.offset, given.design.n_rows
        weights = np.ones(n) if given.design.weights is None else given.design.weights
        constant, size = given.constant, np.abs(own)
        if constant is None:
            constant = 2.0 * given.family.constant(response, weights)
        scale = weights @ (1.0 + size + size**2 + size * np.abs(response))
        sums = [weights @ own, weights @ own**2, weights @ (own * response), scale]
        return RowTotals(n, float(weights.sum()), constant, np.array(sums))

    def plus(self, other: "RowTotals") -> "RowTotals":
        return RowTotals(
            self.n_rows + other.n_rows,
            self.weight + other.weight,
            self.constant + other.constant,
            self.offsets + other.offsets,
        )


class FamilySource(Protocol):
    """Rows of a generalized model in plain arrays, in memory or read each time.

    Attributes
    ----------
    family : Family
    totals : RowTotals
    n_passes : int
        How often the rows were read.
    """

    @property
    def family(self) -> Family: ...

    @property
    def totals(self) -> RowTotals: ...

    @property
    def n_passes(self) -> int: ...

    def parts(self) -> "Iterable[GeneralizedDesign]":
        """Go over all rows, from the first one."""

    def source(self, layout: "SlabLayout") -> SlabSource:
        """Return the rows laid out."""

    def with_family(self, family: Family) -> "FamilySource":
        """Return the rows with another family, of the same constant."""


@dataclass(frozen=True)
class GeneralizedDesign:
    """Rows of a generalized model in memory, with the family of their response.

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
    n_passes = 1

    @cached_property
    def totals(self) -> RowTotals:
        return RowTotals.of(self)

    def parts(self) -> "Iterable[GeneralizedDesign]":
        return (self,)

    def source(self, layout: "SlabLayout") -> SlabSource:
        return HeldSlab(layout.slab(self))

    def with_family(self, family: Family) -> "FamilySource":
        return replace(self, family=family)


class StreamedRows:
    """Rows of a generalized model that are read each time that they are gone over.

    Parameters
    ----------
    family : Family
    totals : RowTotals
    read : callable
        Returns the rows, part by part, from the first one.
    n_passes : int
        How often they were read before.
    """

    def __init__(
        self,
        family: Family,
        totals: RowTotals,
        read: Callable[[], Iterable[GeneralizedDesign]],
        n_passes: int,
    ) -> None:
        self.family, self.totals, self.n_passes = family, totals, n_passes
        self._read = read

    def parts(self) -> Iterable[GeneralizedDesign]:
        self.n_passes += 1
        return self._read()

    def source(self, layout: "SlabLayout") -> SlabSource:
        return StreamedSlabs(self, layout)

    def with_family(self, family: Family) -> FamilySource:
        def read() -> Iterator[GeneralizedDesign]:
            return (replace(part, family=family) for part in self._read())

        return StreamedRows(family, self.totals, read, 1)


@dataclass(frozen=True)
class StreamedSlabs:
    """Rows that are read, and laid out, each time that they are gone over."""

    rows: StreamedRows
    layout: "SlabLayout"
    is_held = False

    def slabs(self) -> Iterable[RowSlab]:
        return map(self.layout.slab, self.rows.parts())


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
        """Return the rows of all parts, one after the other, without their constant."""
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
        )

    def head(self, n: int) -> "GeneralizedRows":
        """Return the first rows, n at most."""
        weights = None if self.weights is None else self.weights[:n]
        return replace(
            self,
            columns=self.columns[:n],
            response=self.response[:n],
            weights=weights,
            offset=self.offset[:n],
            levels=self.levels[:n],
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
    weight_unit : float
        The weight that counts as 1 where columns are made orthonormal.
    """

    system: GeneralizedSystem
    terms: tuple[TermCoordinates, ...]
    kept: tuple[int, ...]
    basis: FloatArray
    weight_unit: float


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
    at_zero: CholeskyFactor, model: Model, center: FloatArray, given: FamilySource
) -> GeneralizedLayout:
    """Lay out rows in the coordinates of a linear system of the same columns."""
    like = at_zero.system
    places = SlabLayout(at_zero, model, center, RowLayout.of(like))
    # And β = Fγ, with F from orthonormal columns to those of the user
    system = GeneralizedSystem(
        family=given.family,
        source=given.source(places),
        layout=places.rows,
        n_fixed=like.n_fixed,
        n_rows=given.totals.n_rows,
        total_weight=given.totals.weight,
        constant=given.totals.constant,
    )
    terms, (to_user, _) = tuple(t for _, t in like.terms), centered_to_user(like, model)
    basis = to_user @ at_zero.fixed.inverse_root
    return GeneralizedLayout(system, terms, like.kept, basis, like.weight_unit)
