"""Whether one model is a special case of another, and where that lies.

A model's random part is a set of blocks, each a covariance matrix over some
columns of one grouping factor: a term with independent coefficients of own
variances ("diag") is one block for each column, any other term is one. The matrices
that a block allows are the semidefinite ones of a linear space (`_covariance`), so
that one is contained in others if its space is in the sum of theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._covariance import STRUCTURES, has_covariances, has_own_variances
from skmixed._encode import Encoder

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """A covariance matrix over columns of one factor.

    Attributes
    ----------
    group : frozenset of str
        The factor's grouping columns.
    columns : tuple of str
    form : str
        Name of the structure; "full" for a single column.
    """

    group: frozenset[str]
    columns: tuple[str, ...]
    form: str

    def __str__(self) -> str:
        names = ", ".join(repr(name) for name in sorted(self.columns))
        form = "" if self.form == "full" else f" ({self.form})"
        return f"{names} within {':'.join(sorted(self.group))!r}{form}"

    def directions(self, names: list[str]) -> FloatArray:
        """Return a basis of its space in a matrix over these names, (d, len(names)²)."""
        own = STRUCTURES[self.form].directions(len(self.columns))
        places = np.array([names.index(name) for name in self.columns])
        out = np.zeros((len(own), len(names), len(names)))
        out[:, places[:, None], places] = own
        return out.reshape(len(own), -1)


def blocks(encoder: Encoder) -> list[Block]:
    """List the blocks of a model's random part, of which no two share a column."""
    return list(_blocks(encoder))


def _blocks(encoder: Encoder) -> Iterator[Block]:
    for term in encoder.terms:
        group = frozenset(source.name for source in encoder.factors[term.factor].sources)
        names = tuple(encoder.coefficient_names(term))
        if has_own_variances(term.structure) and not has_covariances(term.structure):
            yield from (Block(group, (name,), "full") for name in names)
        else:
            yield Block(group, names, term.structure.name if len(names) > 1 else "full")


def not_contained(null: list[Block], alternative: list[Block]) -> list[Block]:
    """Blocks of `null` that no choice of the covariances of `alternative` yields."""
    return [block for block in null if not _is_contained(block, alternative)]


def _is_contained(block: Block, others: list[Block]) -> bool:
    own = [o for o in others if o.group == block.group]
    if not own:
        return False
    names = sorted({*block.columns, *(name for o in own for name in o.columns)})
    space = np.concatenate([o.directions(names) for o in own])
    both = np.concatenate([space, block.directions(names)])
    return int(np.linalg.matrix_rank(both)) == int(np.linalg.matrix_rank(space))


def n_boundary(null: list[Block], alternative: list[Block]) -> int:
    """Count the variances of `alternative` that are 0 in `null`.

    These lie on the boundary of the alternative's parameters; its further
    covariances, and variances that `null` sets equal, do not.
    """
    return sum(_n_new(block, null) for block in alternative)


def _n_new(block: Block, null: list[Block]) -> int:
    covered = frozenset().union(*(o.columns for o in null if o.group == block.group))
    size, structure = len(block.columns), STRUCTURES[block.form]
    if has_own_variances(structure):
        return len(frozenset(block.columns) - covered)
    return 0 if covered.intersection(block.columns) else min(structure.n_theta(size), size)
