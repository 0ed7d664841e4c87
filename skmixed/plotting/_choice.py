"""Which factor and which of its coefficients a display shows."""

from collections.abc import Sequence

from skmixed._encode import Encoder
from skmixed._results import factor_names
from skmixed._sequences import items_of


def choose_group(encoder: Encoder, group: str | None) -> int:
    """Return the position of a factor by its name, the first for None.

    Raises
    ------
    ValueError
        If there is none of that name, or none at all.
    """
    names = factor_names(encoder)
    if not names:
        raise ValueError(
            "The model has no grouping factor (groups=None is ordinary least squares), so that "
            "there is nothing to show. Name grouping columns in `groups`, "
            "or write (1 | g) in the formula."
        )
    if group is None:
        return 0
    if group not in names:
        raise ValueError(
            f"group={group!r} is not a grouping factor of the model. It has "
            f"{', '.join(map(repr, names))}."
        )
    return names.index(group)


def coefficients(encoder: Encoder, k: int) -> list[str]:
    """Name the coefficients of a factor's levels, in the order of its terms."""
    own = [term for term in encoder.terms if term.factor == k]
    return [name for term in own for name in encoder.coefficient_names(term)]


def choose_names(encoder: Encoder, k: int, name: str | Sequence[str] | None) -> list[str]:
    """Return the coefficients named, all for None.

    Raises
    ------
    ValueError
        If the factor does not have one.
    """
    known = coefficients(encoder, k)
    if name is None:
        return known
    wanted = (name,) if isinstance(name, str) else items_of(name, "name")
    if not wanted:
        raise ValueError(f"name={name!r} names no coefficient. Use None for all.")
    for one in wanted:
        if not (isinstance(one, str) and one in known):
            raise ValueError(
                f"name={one!r} is not a coefficient of {encoder.factors[k].name!r}. It has "
                f"{', '.join(map(repr, known))}."
            )
    return list(dict.fromkeys(wanted))
