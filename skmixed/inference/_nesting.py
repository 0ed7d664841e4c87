"""Whether one model is a special case of another, and where that lies.

A model's random part is a set of blocks, each a covariance matrix over some
columns of one grouping factor: a term under "full" is one block, a term under
"diag" one for each column, a term under "spherical" one with a single variance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from skmixed._encode import Encoder


@dataclass(frozen=True)
class Block:
    """A covariance matrix over columns of one factor.

    Attributes
    ----------
    group : frozenset of str
        The factor's grouping columns.
    columns : frozenset of str
    is_spherical : bool
        Whether all columns share one variance, without correlations; False for a
        single column.
    """

    group: frozenset[str]
    columns: frozenset[str]
    is_spherical: bool

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in sorted(self.columns))
        form = " (spherical)" if self.is_spherical else ""
        return f"{names} within {':'.join(sorted(self.group))!r}{form}"


def blocks(encoder: Encoder) -> list[Block]:
    """List the blocks of a model's random part, of which no two share a column."""
    return list(_blocks(encoder))


def _blocks(encoder: Encoder) -> Iterator[Block]:
    for term in encoder.terms:
        group = frozenset(source.name for source in encoder.factors[term.factor].sources)
        names = encoder.coefficient_names(term)
        if term.structure.name == "diag":
            yield from (Block(group, frozenset([name]), is_spherical=False) for name in names)
        else:
            is_spherical = term.structure.name == "spherical" and len(names) > 1
            yield Block(group, frozenset(names), is_spherical)


def not_contained(null: list[Block], alternative: list[Block]) -> list[Block]:
    """Blocks of `null` that no choice of the covariances of `alternative` yields."""
    return [block for block in null if not _is_contained(block, alternative)]


def _is_contained(block: Block, others: list[Block]) -> bool:
    own = [o for o in others if o.group == block.group]
    full = [o.columns for o in own if not o.is_spherical]
    if not block.is_spherical:
        return any(block.columns <= columns for columns in full)
    # Its columns are uncorrelated, so that several blocks can make it up.
    whole = [o.columns for o in own if o.is_spherical and o.columns <= block.columns]
    return block.columns <= frozenset().union(*full, *whole)


def n_boundary(null: list[Block], alternative: list[Block]) -> int:
    """Count the variances of `alternative` that are 0 in `null`.

    These lie on the boundary of the alternative's parameters; its further
    covariances, and variances that `null` sets equal, do not.
    """
    return sum(_n_new(block, null) for block in alternative if block not in null)


def _n_new(block: Block, null: list[Block]) -> int:
    covered = frozenset().union(*(o.columns for o in null if o.group == block.group))
    if block.is_spherical:
        return int(not block.columns & covered)
    return len(block.columns - covered)
