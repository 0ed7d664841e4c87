"""The terms that a formula writes, with the factors of each."""

from dataclasses import dataclass
from typing import Any

from skmixed._fitted.fitted_model import formula_of
from skmixed._model.coding import ModelTerm, terms_of_spec


@dataclass(frozen=True)
class WrittenTerm:
    """A term of a sum that a formula writes, but for its intercept.

    Attributes
    ----------
    coded : ModelTerm
    factors : frozenset of str
        What it is a product of.
    """

    coded: ModelTerm
    factors: frozenset[str]

    def is_within(self, other: "WrittenTerm") -> bool:
        """Whether the other is a product of this one and more, as R's ``drop.scope`` has it."""
        return self.factors < other.factors


def fixed_terms(model: Any) -> list[WrittenTerm] | None:
    """Return the terms of the fixed part where a formula says, else None."""
    own = formula_of(model)
    return None if own is None else _of_part(own._frame.fixed)


def slope_terms(model: Any) -> list[list[WrittenTerm]] | None:
    """Return those of the coefficients of each random-effects term where a formula says."""
    own = formula_of(model)
    return None if own is None else [_of_part(part) for part in own._frame.slopes]


def _of_part(part: Any) -> list[WrittenTerm]:
    coded = [term for term in terms_of_spec(part.spec, part.sum.written) if not term.is_intercept]
    factors = [own for own, _ in part.owned]
    return [WrittenTerm(*pair) for pair in zip(coded, factors, strict=True)]


def droppable(terms: list[WrittenTerm]) -> list[WrittenTerm]:
    """Return the terms that are part of no other one."""
    return [own for own in terms if not any(own.is_within(other) for other in terms)]
