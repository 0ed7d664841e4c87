"""Fitted models whose likelihoods may be compared: same rows, same kind.

Whether one model is a special case of another, and where that lies.

A model's random part is a set of blocks, each a covariance matrix over some
columns of one grouping factor: a term with independent coefficients of own
variances ("diag") is one block for each column, any other term is one. The matrices
that a linear block allows are the semidefinite ones of a linear space (`covariance`), so
that one is contained in others if its space is in the sum of theirs. Of other blocks the
covariances of what they contain are tried: an allowed one is the nearest to itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skmixed._data.encoder import Encoder
from skmixed._data.subjects import SubjectColumns
from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted, regressor_of
from skmixed._model.covariance import has_covariances, has_own_variances, is_linear
from skmixed._model.structures import STRUCTURES
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.row_sums import ColumnMoments
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus, RefitWarning, warn

# Covariances tried for whether a structure allows them, and the share that is rounding.
N_TRIED, ALLOWED = 3, 1e-9
# Sums of the same rows differ by the rounding of their order, at most n·eps.
SAME_SHARE = 1e-9


@dataclass(frozen=True)
class Contender:
    """One of the models compared.

    Attributes
    ----------
    name : str
    fitted : FittedModel
    tol, max_iter : float and int
        The estimator's, for a fit by another method.
    """

    name: str
    fitted: FittedModel
    tol: float
    max_iter: int

    @property
    def solution(self) -> Solution:
        return self.fitted.solution

    @property
    def method(self) -> str:
        return "reml" if self.solution.reml else "ml"

    @property
    def kept_names(self) -> set[str]:
        """Names of the independent fixed-effects columns."""
        names = self.fitted.encoder.fixed_names
        return {names[k] for k in self.solution.kept}


def open_models(models: Mapping[str, Any]) -> list[Contender]:
    """Open fitted models by name; refuse those on different rows, and exact fits."""
    contenders = [_open(name, model) for name, model in models.items()]
    for other in contenders[1:]:
        _check_same_rows(contenders[0], other)
    for contender in contenders:
        _check_not_exact(contender)
    return contenders


def comparable(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the models by one method, refitted by ML where REML compares nothing."""
    by_reml = [c for c in contenders if c.method == "reml"]
    has_one_x = all(have_same_fixed(contenders[0], c) for c in contenders[1:])
    if not by_reml or (len(by_reml) == len(contenders) and has_one_x):
        return list(contenders)
    result = [_by_maximum_likelihood(c) if c in by_reml else c for c in contenders]
    for message, category in _refit_messages(by_reml, result):
        warn(message, category)
    return result


def _refit_messages(
    by_reml: list[Contender], result: list[Contender]
) -> Iterator[tuple[str, type[Warning]]]:
    names = [c.name for c in by_reml]
    reason = (
        "restricted likelihoods of different fixed effects cannot be compared"
        if len(names) == len(result)
        else "a restricted likelihood cannot be compared with an ordinary one"
    )
    yield (
        f"Refitted by maximum likelihood for the comparison: {', '.join(names)}, since {reason}. "
        "Fit with method='ml' to avoid the refit.",
        RefitWarning,
    )
    for refitted in result:
        estimate = refitted.fitted.estimate
        if refitted.name in names and estimate.status is FitStatus.MAX_ITER:
            yield (
                f"The refit of {refitted.name} by maximum likelihood did not converge in "
                f"{estimate.n_iter} steps. Raise max_iter.",
                ConvergenceWarning,
            )


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


def have_same_fixed(a: Contender, b: Contender) -> bool:
    """Whether two models have the same columns X, as far as names and sums can tell."""
    return a.kept_names == b.kept_names and not a.kept_names.intersection(changed_columns(a, b))


def changed_columns(a: Contender, b: Contender) -> list[str]:
    """Names of both models under which they have different values, as after a scaler."""
    first, second = _column_sums(a.fitted), _column_sums(b.fitted)
    return [
        name
        for name, sums in first.items()
        if name in second and (np.abs(sums - second[name]) > SAME_SHARE).any()
    ]


def changed_factors(a: Contender, b: Contender) -> list[str]:
    """Names of both models under which they group the rows differently."""
    first, second = _level_counts(a.fitted), _level_counts(b.fitted)
    return [k for k, n in first.items() if k in second and not np.array_equal(n, second[k])]


def _open(name: str, model: Any) -> Contender:
    last = regressor_of(model)
    return Contender(name, fitted(last), last.tol, last.max_iter)


def _by_maximum_likelihood(contender: Contender) -> Contender:
    """Fit the model again from its statistics, with ML for REML."""
    parts = contender.fitted
    if parts.is_repeated:
        result = kernel.refit_repeated(
            parts.stats,
            parts.encoder.model(reml=False),
            parts.repeated.design,
            tol=contender.tol,
            max_iter=contender.max_iter,
        )
        return replace(contender, fitted=replace(parts, estimate=result))
    # Its findings need no check: the same columns and rows have passed it.
    result = kernel.fit_products(
        parts.stats,
        parts.encoder.model(reml=False),
        tol=contender.tol,
        max_iter=contender.max_iter,
    )
    return replace(contender, fitted=replace(parts, estimate=result))


def _check_not_exact(contender: Contender) -> None:
    if contender.fitted.estimate.status is FitStatus.EXACT_FIT:
        raise ValueError(
            f"{contender.name} reproduces y, so that its likelihood has no maximum to compare. "
            "Check that no column of X determines y."
        )


def _check_same_rows(a: Contender, b: Contender) -> None:
    pairs = zip(_row_sums(a.fitted.stats), _row_sums(b.fitted.stats), strict=True)
    for (what, first, scale), (_, second, _) in pairs:
        if abs(first - second) > SAME_SHARE * scale:
            raise ValueError(
                f"{a.name} and {b.name} are fitted to different rows: {what} is {first:.10g} and "
                f"{second:.10g}. Fit both to the same rows, with the same weights."
            )


def _row_sums(stats: CrossProducts) -> Iterator[tuple[str, float, float]]:
    """Yield what identifies the rows: a name, a value, and a scale to judge it by."""
    n = float(stats.n_rows)
    yield "the number of samples", n, n
    yield "the sum of the logarithms of the weights", stats.sum_log_weights, n
    yield "the sum of the weights", stats.sum_weights, stats.sum_weights
    yield from _response_sums("", stats.counted_once().response_moments)
    yield from _response_sums("weighted ", stats.response_moments)


def _response_sums(kind: str, moments: ColumnMoments) -> Iterator[tuple[str, float, float]]:
    """Sum, and squares around the mean, of y; the latter keeps its digits far from 0."""
    n, shifted, mean = moments.weight, float(moments.sums[0]), float(moments.mean[0])
    squares = max(float(moments.squares[0]) - shifted**2 / n, 0.0)
    # Beside SAME_SHARE of y's spread, 1e-13 of its mean and of its square, 1e-25.
    spread = np.sqrt(squares / n) + 1e-4 * abs(mean)
    yield f"the {kind}sum of y", n * mean, n * spread
    scale = squares + n * (1e-8 * mean) ** 2
    yield f"the {kind}sum of squares of y around its mean", squares, scale


def _column_sums(parts: FittedModel) -> dict[str, FloatArray]:
    """Products of each column with the ones, itself and y, in units of their lengths."""
    raw = parts.stats.around_zero()
    with_y = raw.responses.total.with_columns[:, 0]
    lengths, of_y = np.sqrt(np.diagonal(raw.total)), np.sqrt(raw.responses.total.squares[0])
    lengths, of_y = np.where(lengths > 0, lengths, 1.0), of_y if of_y > 0 else 1.0
    with_ones, with_y = raw.total[0] / (lengths * lengths[0]), with_y / (lengths * of_y)
    return {
        name: np.array([2.0 * np.log(lengths[k]), with_ones[k], with_y[k]])
        for k, name in enumerate(parts.encoder.names, start=1)
    }


def _level_counts(parts: FittedModel) -> dict[str, NDArray[np.int64]]:
    """Rows of each level, by size: the order of the levels is no matter."""
    pairs = zip(parts.encoder.factors, parts.stats.factors, strict=True)
    return {factor.name: np.sort(products.counts) for factor, products in pairs}


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
