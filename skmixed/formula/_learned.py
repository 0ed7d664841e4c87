"""What formulaic learns of a sum of terms, in plain values, and back.

formulaic keeps it in objects of its own, which change with its versions and in use. Here
it is text, numbers and arrays, from which a `formulaic.ModelSpec` is made for each
evaluation.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._model.coding import Coding


@dataclass(frozen=True)
class Product:
    """A product of factors, which are some columns of a term.

    Attributes
    ----------
    factors : tuple of (str, bool)
        The code of each, and whether its coding is reduced.
    scale : float
    """

    factors: tuple[tuple[str, bool], ...]
    scale: float


@dataclass(frozen=True)
class LearnedTerm:
    """A term's products, and the names of all their columns."""

    products: tuple[Product, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class LearnedFactor:
    """What the coding of one factor has learned.

    Attributes
    ----------
    kind : str
        "numerical", "categorical" or "constant".
    categories : array of object, or None
    coding : Coding or None
        Of categories alone.
    more : dict
        What a coding of the user's keeps: plain values, in dicts and lists.
    """

    kind: str
    categories: NDArray[Any] | None = None
    coding: Coding | None = None
    more: Mapping[Any, Any] = field(default_factory=dict)

    @staticmethod
    def of(kind: Any, state: Mapping[Any, Any] | None) -> "LearnedFactor":
        more = dict(state or {})
        categories, contrasts = more.pop("categories", None), more.pop("contrasts", None)
        if categories is not None:
            categories = np.fromiter(categories, dtype=object, count=len(categories))
        coding = None if contrasts is None else Coding.of(contrasts)
        return LearnedFactor(kind.value, categories, coding, _plain(more))

    @property
    def state(self) -> dict[Any, Any]:
        """A copy, by formulaic's names."""
        categories = None if self.categories is None else self.categories.tolist()
        known = {"categories": categories, "contrasts": self.coding}
        return {k: v for k, v in known.items() if v is not None} | deepcopy(dict(self.more))


@dataclass(frozen=True)
class Learned:
    """What was learned of a sum of terms.

    Attributes
    ----------
    terms : tuple of LearnedTerm
        In the order of the sum.
    factors : dict of str to LearnedFactor
        By code.
    transforms : dict
        What transformations have learned, by code: plain values, in dicts and lists.
    """

    terms: tuple[LearnedTerm, ...]
    factors: Mapping[str, LearnedFactor]
    transforms: Mapping[str, Any]

    @staticmethod
    def of(spec: Any) -> "Learned":
        """Read it off a `formulaic.ModelSpec`."""
        terms = (
            LearnedTerm(tuple(map(_product, scoped)), tuple(columns))
            for _, scoped, columns in spec.structure
        )
        factors = {
            str(code): LearnedFactor.of(kind, state)
            for code, (kind, state) in spec.encoder_state.items()
        }
        return Learned(tuple(terms), factors, _plain(spec.transform_state))

    def spec(self, formula: Any) -> Any:
        """Return a `formulaic.ModelSpec` of the sum, with copies of all that evaluation changes."""
        from formulaic import ModelSpec
        from formulaic.materializers.base import EncodedTermStructure
        from formulaic.parser.types import Factor

        structure = [
            EncodedTermStructure(term, _scoped(term, own.products), list(own.columns))
            for term, own in zip(formula, self.terms, strict=True)
        ]
        factors = {c: (Factor.Kind(own.kind), own.state) for c, own in self.factors.items()}
        return ModelSpec(
            formula=formula,
            na_action="ignore",
            output="pandas",
            structure=structure,
            transform_state=deepcopy(self.transforms),
            encoder_state=factors,
        )


def _product(scoped: Any) -> Product:
    factors = ((own.factor.expr, bool(own.reduced)) for own in scoped.factors)
    return Product(tuple(factors), float(scoped.scale))


def _scoped(term: Any, products: tuple[Product, ...]) -> list[Any]:
    """Return a term's products as formulaic has them."""
    from formulaic.materializers.types import EvaluatedFactor, ScopedFactor, ScopedTerm

    known = {factor.expr: factor for factor in term.factors}
    return [
        ScopedTerm(
            [
                ScopedFactor(EvaluatedFactor(known[code], None), reduced=is_reduced)
                for code, is_reduced in own.factors
            ],
            scale=own.scale,
        )
        for own in products
    ]


def _plain(value: Any) -> Any:
    """Return a learned value without formulaic's objects."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "get_coding_matrix"):
        return Coding.of(value)
    return value.item() if isinstance(value, np.generic) else value
