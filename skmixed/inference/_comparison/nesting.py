"""Whether one model is a special case of another, and where that lies.

A model's random part is a set of blocks, each a covariance matrix over some
columns of one grouping factor: a term with independent coefficients of own
variances ("diag") is one block for each column, any other term is one. The matrices
that a linear block allows are the semidefinite ones of a linear space (`covariance`), so
that one is contained in others if its space is in the sum of theirs. Of other blocks the
covariances of what they contain are tried: an allowed one is the nearest to itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from skmixed._data.encoder import Encoder
from skmixed._data.subjects import SubjectColumns
from skmixed._model.covariance import has_covariances, has_own_variances, is_linear
from skmixed._model.structures import STRUCTURES
from skmixed._typing import FloatArray
from skmixed.inference._comparison.comparable import changed_columns, changed_factors
from skmixed.inference._comparison.contender import Contender

# Covariances tried for whether a structure allows them, and the share that is rounding.
N_TRIED, ALLOWED = 3, 1e-9


@dataclass(frozen=True)
class Reference:
    """Distribution of the statistic under the null: χ², or of two an equal mixture."""

    degrees: tuple[int, ...]
    is_conservative: bool = False

    def __str__(self) -> str:
        if len(self.degrees) == 2:
            return " + ".join(f"½χ²({df})" for df in self.degrees)
        return f"χ²({self.degrees[0]}){', conservative' if self.is_conservative else ''}"

    def p_value(self, statistic: float) -> float:
        """P(T ≥ statistic); χ²(0) is 0."""
        if statistic == 0.0:
            return 1.0
        return float(np.mean([chdtrc(df, statistic) if df else 0.0 for df in self.degrees]))


def contains_residual(null: SubjectColumns | None, other: SubjectColumns | None) -> bool:
    """Whether one residual covariance is seen to be a special case of another."""
    if null is None:
        return True
    if other is None:
        return False
    is_same = null.structure == other.structure or not null.is_correlated
    is_special = is_same or other.structure in null.correlation.contained_in
    has_visits = other.variance.is_of_visits or not null.variance.is_of_visits
    own = null.subject, null.time, null.power
    roles = zip(own, (other.subject, other.time, other.power), strict=True)
    same_columns = all(a is None or (b is not None and a.name == b.name) for a, b in roles)
    by, own_by = null.by, other.by
    has_strata = by is None or (own_by is not None and by.name == own_by.name)
    same_columns = same_columns and other.has_fitted_power >= null.has_fitted_power
    is_tied = other.shared_correlation and not (by is None or null.shared_correlation)
    has_correlations = not (is_tied and null.is_correlated)
    return is_special and has_visits and same_columns and has_strata and has_correlations


def n_residual_boundary(null: SubjectColumns | None, other: SubjectColumns | None) -> int:
    """Count the correlations of `other` that are 0, their least value, in `null`."""
    if other is None or not other.correlation.is_positive:
        return 0
    is_independent = null is None or not null.is_correlated
    n_correlations = 1 if other.shared_correlation else other.n_strata
    return n_correlations if is_independent else 0


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
        return self._laid(own, names).reshape(len(own), -1)

    def drawn(self, names: list[str], rng: np.random.Generator) -> FloatArray:
        """Return one of its covariances in a matrix over these names."""
        structure, size = STRUCTURES[self.form], len(self.columns)
        lam = structure.lam(rng.uniform(0.2, 1.2, structure.n_theta(size)), size)
        return self._laid(lam @ lam.T, names)

    @property
    def is_linear(self) -> bool:
        return is_linear(STRUCTURES[self.form])

    def _laid(self, matrices: FloatArray, names: list[str]) -> FloatArray:
        """Return matrices over the columns within ones over these names."""
        places = np.array([names.index(name) for name in self.columns])
        out = np.zeros((*matrices.shape[:-2], len(names), len(names)))
        out[..., places[:, None], places] = matrices
        return out


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
    inside = [b for other in alternative if not other.is_linear for b in _within(null, other)]
    linear = [other for other in alternative if other.is_linear]
    return [b for b in null if b not in inside and not _is_contained(b, linear)]


def _within(null: list[Block], other: Block) -> list[Block]:
    """Blocks on columns of a block that is not linear, if it allows all of them together."""
    own = [b for b in null if b.group == other.group and set(b.columns) <= set(other.columns)]
    rng, names = np.random.default_rng(0), list(other.columns)
    for _ in range(N_TRIED):
        joint = np.zeros((len(names), len(names)))
        for block in own:
            joint += block.drawn(names, rng)
        factor = STRUCTURES[other.form].nearest(joint)
        if np.abs(factor @ factor.T - joint).max() > ALLOWED * np.abs(joint).max():
            return []
    return own


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


def _missing(null: Contender, alternative: Contender) -> list[str]:
    """List what the null has, by name, that the alternative has not."""
    fixed = null.kept_names - set(alternative.fitted.encoder.fixed_names)
    own, other = null.fitted.encoder, alternative.fitted.encoder
    random = not_contained(blocks(own), blocks(other))
    has_residual = contains_residual(own.subjects, other.subjects)
    return [
        *([] if has_residual else ["the residual covariance"]),
        *(f"the fixed effect of {name!r}" for name in sorted(fixed)),
        *(f"the covariance of {block}" for block in random),
    ]


def _of_coding(null: Contender, alternative: Contender) -> str:
    """Say which factors both have by other columns, as with another reference category."""
    names = [own.fitted.encoder.fixed_names for own in (null, alternative)]
    only = [[n for n in own if n not in other] for own, other in (names, names[::-1])]
    first, second = ({n.partition("[")[0] for n in own if "[" in n} for own in only)
    coded = sorted(name for name in first & second if ":" not in name)
    what = ", ".join(map(repr, coded))
    return f" ({what} may have another coding or reference category there)" if coded else ""


def check_nested(null: Contender, alternative: Contender) -> None:
    """Refuse two models of which one is not seen to be a special case of the other."""
    missing = _missing(null, alternative)
    changed = [*changed_columns(null, alternative), *changed_factors(null, alternative)]
    if missing:
        problem = f"{alternative.name} does not contain {', '.join(missing)} of {null.name}"
        problem += _of_coding(null, alternative)
    elif changed:
        problem = (
            f"column {changed[0]!r} has other values in {null.name} than in {alternative.name}"
        )
    else:
        return
    raise ValueError(
        f"{null.name} is not seen to be a special case of {alternative.name}: {problem}. Use "
        "`compare`, or check_nested=False if you know that the models are nested."
    )


def reference_of(null: Contender, alternative: Contender, *, boundary: bool) -> Reference:
    """Return the distribution of the statistic of two models."""
    df = alternative.solution.n_parameters - null.solution.n_parameters
    parts = blocks(null.fitted.encoder), blocks(alternative.fitted.encoder)
    if not boundary or not_contained(*parts):
        return Reference((df,))
    on_boundary = n_boundary(*parts)
    residual = null.fitted.encoder.subjects, alternative.fitted.encoder.subjects
    return mixture(df, on_boundary + n_residual_boundary(*residual))


def mixture(df: int, n_boundary: int) -> Reference:
    """Return the distribution with so many parameters less, of which so many are variances of 0."""
    if n_boundary == 1:
        return Reference((df - 1, df))
    return Reference((df,), is_conservative=n_boundary > 1)
