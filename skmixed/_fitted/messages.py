"""What messages call things, and what a finished fit has to say about itself.

The kernel's checks are the same for the columns of X and for the terms of a formula; what
a user can do about them is said in the words of what was called.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skmixed._data.encoder import Encoder
from skmixed._estimation.fit import Estimate
from skmixed._estimation.identifiability import Identifiability
from skmixed._model.family import FAMILIES, FARTHEST
from skmixed._model.terms import Term
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import FloatArray, Message
from skmixed.exceptions import (
    ExactFitWarning,
    FitStatus,
    IdentifiabilityWarning,
    RankDeficiencyWarning,
    SingularFitWarning,
)

# Below this a conditional standard deviation counts as zero beside the marginal
# one; singular terms have an exact zero, or the rounding of one.
NO_VARIANCE = 1e-12
# Decimals of ids that are written down as a number of two parts, such as 2.1.
WRITTEN_DECIMALS = 1


@dataclass(frozen=True)
class Words:
    """Words for one way of giving a model."""

    response: str = "y"
    response_name: str = "y"
    weights: str = "sample_weight"
    rows: str = "X"
    from_fixed: str = "out of `fixed`"
    fewer_fixed: str = "Name fewer columns in `fixed`."
    from_groups: str = "out of `groups`"
    from_random: str = "out of `groups`"
    twice: str = (
        "Name it in one RandomEffect; for the others use intercept=False or leave the slope out."
    )
    determines: str = "no column of X determines y"
    iterative: str = "Use solver='iterative' for the fit, coarser factors or fewer random slopes."
    smaller_covariance: str = "Use covariance='diag' or 'spherical', or fewer random slopes."
    exact: str = "Raise max_iter, or use solver='exact'."
    least_squares: str = "groups=None: no random effects"
    beyond: str = "the residual variance"
    unknown: str = "without its effect"
    weight_unit: str = "; a common factor changes sigma_ alone"
    weight_rule: str = "Weights are precisions, Var(ε_i) = σ²/w_i; use 0 to leave a row out."


COLUMNS = Words()
FORMULA = Words(
    response="the response",
    response_name="the response",
    weights="weights",
    rows="The data",
    from_fixed="out of the formula",
    fewer_fixed="Use fewer terms in the formula.",
    from_groups="out of the formula",
    from_random="out of the random effects",
    twice="Name it in one term; for the others write (0 + … | g), or leave it out.",
    determines="no term of the formula determines the response",
    iterative="Use coarser factors or fewer random slopes.",
    smaller_covariance=(
        "Use fewer coefficients; for the categories f of a group g, (1 | g) + (1 | g:f) has two "
        "variances."
    ),
    exact="Raise max_iter.",
    least_squares="no random-effects term",
)

_WORDS: ContextVar[Words] = ContextVar("skmixed_words", default=COLUMNS)


def words() -> Words:
    """Return the words of what was called."""
    return _WORDS.get()


@contextmanager
def speaking(own: Words) -> Iterator[None]:
    """Use other words inside."""
    token = _WORDS.set(own)
    try:
        yield
    finally:
        _WORDS.reset(token)


def fit_warnings(
    result: Estimate, encoder: Encoder, stats: CrossProducts, max_iter: int
) -> list[Message]:
    """List the warnings of a fit, each with its class."""
    own = result.solution.family
    has_residual = own is None or own.has_shape
    return [
        *warnings_before(result.findings, encoder, stats, has_residual=has_residual),
        *warnings_after(result, encoder, stats, max_iter),
    ]


def warnings_before(
    findings: Identifiability, encoder: Encoder, stats: CrossProducts, *, has_residual: bool = True
) -> list[Message]:
    """List those that the search, which may take long, has no part in.

    `has_residual`: whether there is a variance within groups to be estimated too.
    """
    return [
        *_non_integral(encoder),
        *(_too_many_levels(encoder, stats) if has_residual else ()),
        *_undetermined(findings, encoder, stats, has_residual=has_residual),
        *_apart(findings, encoder),
    ]


def warnings_after(
    result: Estimate, encoder: Encoder, stats: CrossProducts, max_iter: int
) -> list[Message]:
    """List those of the estimates."""
    return [
        *dropped(result, encoder),
        *_ending(result, encoder, max_iter),
        *_not_finite(result, encoder),
        *_unsolved(result, encoder),
        *_singular(result, encoder, stats),
    ]


def _unsolved(result: Estimate, encoder: Encoder) -> Iterator[Message]:
    found = result.monte_carlo
    if found is not None and not found.is_solved:
        names = " and ".join(repr(factor.name) for factor in encoder.factors)
        yield (
            f"Conjugate gradients for the crossed factors {names} stopped at max_iter with a "
            f"relative residual of {found.residual:.1e}; the equations' condition is about "
            f"{found.condition:.1e}, so that these factors are hardly connected, or nearly the "
            f"same. {words().exact}",
            ConvergenceWarning,
        )


# What is said of a model without its residual covariance.
FEW_ROWS = (
    "The rows so far do not determine the residual covariance. Add further rows by partial_fit."
)


def waiting(encoder: Encoder, reason: Exception) -> Message:
    """Say that more rows are needed."""
    what = "variances, which are 0 until more rows come"
    if encoder.subjects is not None:
        what = "residual covariance: residuals are taken to be independent until more rows come"
    return f"The rows so far do not determine the {what}. {reason}", IdentifiabilityWarning


def dropped(result: Estimate, encoder: Encoder) -> Iterator[Message]:
    """Name the fixed columns that depend linearly on others."""
    kept = set(result.solution.kept)
    names = [n for k, n in enumerate(encoder.fixed_names) if k not in kept]
    if names:
        before = "the intercept and the columns" if 0 in encoder.fixed else "the columns"
        listed = ", ".join(map(repr, names))
        if len(names) == 1:
            message = (
                f"Fixed-effects column {listed} depends linearly on {before} before it; its "
                f"coefficient is set to 0. Leave it {words().from_fixed}."
            )
        else:
            message = (
                f"Fixed-effects columns {listed} depend linearly on {before} before them; their "
                f"coefficients are set to 0. Leave them {words().from_fixed}."
            )
        yield message, RankDeficiencyWarning


def _non_integral(encoder: Encoder) -> Iterator[Message]:
    for factor in encoder.factors:
        for source, levels in zip(factor.sources, factor.levels, strict=True):
            broken = _scaled(levels.labels)
            if len(broken):
                yield (
                    f"The labels of grouping column {source.name!r} are not whole numbers (such as "
                    f"{broken[0]!s}). If a scaler has transformed it, pass it through "
                    "instead; if it is a measurement, it is no grouping column.",
                    UserWarning,
                )


def _scaled(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the fractions among labels that a scaler may have made.

    A standardized id has all the digits of a float, which one that was written down,
    such as 2.1, has not; the ends of a range that was scaled are 0 and 1.
    """
    if labels.dtype.kind != "f":
        return labels[:0]
    broken = labels[labels != np.round(labels)]
    is_written = bool((np.round(broken, WRITTEN_DECIMALS) == broken).all())
    is_range = labels.min() in (0.0, -1.0) and labels.max() == 1.0
    return broken[:0] if is_written and not is_range else broken


def _too_many_levels(encoder: Encoder, stats: CrossProducts) -> Iterator[Message]:
    for position, factor in enumerate(encoder.factors):
        size = sum(len(t.columns) for t in encoder.terms if t.factor == position)
        if size * factor.n_levels >= stats.n_rows:
            yield (
                f"Grouping factor {factor.name!r} has {size} coefficients for each of "
                f"{factor.n_levels} levels, but there are {stats.n_rows} samples: the variances "
                "are probably not identifiable. Use fewer random slopes or a coarser factor.",
                IdentifiabilityWarning,
            )


def _undetermined(
    findings: Identifiability, encoder: Encoder, stats: CrossProducts, *, has_residual: bool
) -> Iterator[Message]:
    for position in findings.undetermined:
        term = encoder.terms[position]
        name = encoder.factors[term.factor].name
        constant = [encoder.column_name(c) for c in _constant_within(stats, term)]
        if not (constant or has_residual):
            continue
        reason = (
            f"{', '.join(map(repr, constant))} takes one value within every group"
            if constant
            else f"{', '.join(map(repr, encoder.coefficient_names(term)))} vary too little"
        )
        yield (
            f"The variances within {name!r} are not determined by the data, since {reason}: other "
            "values fit as well. Leave that slope out.",
            IdentifiabilityWarning,
        )


def _apart(findings: Identifiability, encoder: Encoder) -> Iterator[Message]:
    pairs = findings.apart
    for position in sorted({index for index, _, _ in pairs}):
        term = encoder.terms[position]
        names = dict(zip(term.columns, encoder.coefficient_names(term), strict=True))
        own = [f"{names[a]!r} and {names[b]!r}" for k, a, b in pairs if k == position]
        name = encoder.factors[term.factor].name
        yield (
            f"The data do not determine correlations within {name!r}, since no group has both "
            f"{', nor both '.join(own)}: other values fit as well. Make the coefficients "
            "independent, covariance='diag'.",
            IdentifiabilityWarning,
        )


def _constant_within(stats: CrossProducts, term: Term) -> list[int]:
    """Find the slopes without variation inside the levels."""
    products, columns = stats.column_products(term.factor), stats.factors[term.factor].columns
    found = []
    for column in set(term.columns) - {0}:
        a = columns.index(column)
        squares, sums, weights = products[:, a, a], products[:, a, 0], products[:, 0, 0]
        total = float(squares.sum())
        if total - float((sums**2 / weights).sum()) <= 1e-10 * total:
            found.append(column)
    return sorted(found)


def _ending(result: Estimate, encoder: Encoder, max_iter: int) -> Iterator[Message]:
    if result.status is FitStatus.EXACT_FIT:
        yield (
            f"The model reproduces {words().response}: the residual variance is 0 to rounding, and "
            "criterion and variance components are those where the search stopped. Check that "
            f"{words().determines}.",
            ExactFitWarning,
        )
    subjects, own = encoder.subjects, result.solution.family
    if result.status is FitStatus.MAX_ITER and subjects is not None and subjects.has_fitted_power:
        yield (
            f"The fit with variances that are a power of its own fitted values did not settle in "
            f"{result.n_iter} steps: the variances are those of other values than the fitted ones. "
            f"Name a column in power=, use fewer random effects, or raise max_iter={max_iter}.",
            ConvergenceWarning,
        )
    elif result.status is FitStatus.MAX_ITER and subjects is not None:
        yield (
            f"The search for the residual covariance {subjects.structure!r} ended after "
            f"{result.n_iter} steps without convergence: the likelihood may have no maximum, as "
            "where few subjects have the same times, or where fixed effects reproduce rows that "
            "have a variance of their own. Use a structure with fewer parameters"
            + (f", or raise max_iter={max_iter}." if result.n_iter >= max_iter else "."),
            ConvergenceWarning,
        )
    elif own is not None and own.unstable:
        return  # said with the number of nodes
    elif result.status is FitStatus.MAX_ITER and result.n_iter >= max_iter:
        yield (
            f"The search for the variance components did not converge in {result.n_iter} "
            "steps. Raise max_iter, or simplify the random effects.",
            ConvergenceWarning,
        )
    elif result.status is FitStatus.MAX_ITER:
        yield (
            f"The search for the variance components ended after {result.n_iter} of {max_iter} "
            "steps without convergence: no further step can be computed from where it is. "
            "Simplify the random effects, or rescale the columns.",
            ConvergenceWarning,
        )


def _not_finite(result: Estimate, encoder: Encoder) -> Iterator[Message]:
    """Say which estimates of a generalized model are not finite."""
    if result.findings.separated:
        names = [repr(encoder.column_name(c)) for c in result.findings.separated]
        which = f"Values of column{'s' * (len(names) > 1)} {', '.join(names)}"
        yield (
            f"{which} predict the responses of some rows without error, so that no finite "
            "coefficient is the best. The fixed effects are those where the search stopped. Leave "
            "a column out, or join categories in which all responses are the same.",
            ConvergenceWarning,
        )
    own = result.solution.family
    if own is not None and own.unstable:
        yield (
            f"The log-likelihood by quadrature still changes by {own.unstable:.1g} with the last "
            f"ones of {own.n_nodes} nodes for each coefficient, which are the most that 'auto' "
            "takes, and has no more digits than that. The random effects are large for what the "
            "rows of a group say of them: see variance_components_.",
            ConvergenceWarning,
        )
    if own is not None and own.refuted:
        yield (
            "Laplace's approximation does not hold at these estimates, whose random effects are "
            "large: by quadrature their log-likelihood is lower than that of the model without "
            f"random effects, by {own.refuted:.3g}. Use quadrature='auto'.",
            ConvergenceWarning,
        )
    if own is not None and own.phi > FARTHEST:
        limit = FAMILIES[own.family, own.link].limit
        yield from [(limit, SingularFitWarning)] if limit else []
    for position in result.findings.pure:
        yield (
            f"All responses within each group of {encoder.factors[position].name!r} are the same, "
            "so that the variance of its effects has no finite estimate. It is that where the "
            "search stopped. Group by a coarser factor, or leave it out.",
            ConvergenceWarning,
        )


def _singular(result: Estimate, encoder: Encoder, stats: CrossProducts) -> Iterator[Message]:
    if encoder.subjects is not None and result.solution.residual is not None:
        for message in encoder.subjects.said_of_ends(result.solution.residual):
            yield message, SingularFitWarning
    if result.status is not FitStatus.EXACT_FIT:
        yield from singular([own.search_lam for own in result.solution.terms], encoder, stats)


def singular(
    lams: Sequence[FloatArray], encoder: Encoder, stats: CrossProducts
) -> Iterator[Message]:
    """Say which terms' Λ, in the coordinates of the search, lack rank."""
    for term, lam in zip(encoder.terms, lams, strict=True):
        if not lam.any(axis=0).all():
            has_own = stats.factors[term.factor].regression is not None
            message = _singular_message(term, lam, encoder, is_by_name=not has_own)
            yield message, SingularFitWarning


def _singular_message(term: Term, lam: FloatArray, encoder: Encoder, *, is_by_name: bool) -> str:
    """Say what has no variance; not by name where the search combines the coefficients."""
    group = encoder.factors[term.factor].name
    names = encoder.coefficient_names(term)
    sd = np.linalg.norm(lam, axis=1)
    is_zero = sd <= NO_VARIANCE * max(sd.max(), 1.0)
    zero = [n for n, own in zip(names, is_zero, strict=True) if own and is_by_name]
    advice = "The model may be richer than the data supports; consider leaving the slope out."
    if zero == [names[0]] and term.has_intercept:
        advice = f"The groups do not differ beyond {words().beyond}."
    if zero:
        listed = ", ".join(map(repr, zero))
        return f"The estimated variance of {listed} within {group!r} is 0. {advice}"
    listed = ", ".join(map(repr, names))
    return (
        f"The estimated covariance of {listed} within {group!r} is singular: a combination of them "
        f"has variance 0 (for two, a correlation of -1 or 1). {advice}"
    )
