"""Fitted models whose likelihoods may be compared: same rows, same kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skmixed._data.parameters import items_of
from skmixed._fitted.fitted_model import FittedModel, fitted, formula_of, regressor_of
from skmixed._fitted.subject_checks import residual_structure
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.row_sums import ColumnMoments
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus, RefitWarning, warn
from skmixed.inference._comparison.contender import Contender

# Distributions of counts, which compare with each other.
COUNTS = {"poisson", "negative_binomial"}
# Sums of the same rows differ by the rounding of their order, at most n·eps.
SAME_SHARE = 1e-9


def named_models(
    caller: str, models: Sequence[Any], names: Sequence[str] | None
) -> Mapping[str, Any]:
    """Return models by name: one mapping of names to them, or several, ``model0`` and so on.

    Raises
    ------
    TypeError
        If they are given as a list, or a mapping beside others.
    ValueError
        If there are fewer than two, or names that do not fit.
    """
    if len(models) == 1 and isinstance(models[0], list | tuple):
        kind = type(models[0]).__name__
        raise TypeError(
            f"{caller} takes models one by one, not as a {kind}. Write {caller}(first, second), "
            "or give a mapping of names to models."
        )
    if len(models) > 1 and any(isinstance(model, Mapping) for model in models):
        raise TypeError(
            f"{caller} takes one mapping of names to models alone, or models one by one. Put all "
            "models into the mapping."
        )
    if len(models) == 1 and isinstance(models[0], Mapping):
        if names is not None:
            raise ValueError(f"names={names!r} has no use beside a mapping of names to models.")
        named = dict(models[0])
    else:
        default = [f"model{k}" for k in range(len(models))]
        given = default if names is None else items_of(names, "names")
        if len(given) != len(models):
            raise ValueError(f"names={names!r} has {len(given)} names for {len(models)} models.")
        named = dict(zip(given, models, strict=True))
        if len(named) != len(models):
            raise ValueError(f"names={names!r} has a name twice. Give each model its own.")
    if len(named) < 2:
        raise ValueError(
            f"{caller} needs at least two models, got {len(named)}. Give them one by one, "
            f"{caller}(first, second), or as one mapping of names to models."
        )
    return named


def formula_remarks(named: Mapping[str, Any], contenders: Sequence[Contender]) -> list[str]:
    """Return the formulas of models that have one, with what else says how they differ."""
    out = []
    for contender in contenders:
        by_formula, view = formula_of(named[contender.name]), contender.fitted
        residual = residual_structure(view.encoder.subjects, view.solution.residual)
        if by_formula is not None:
            parts = [by_formula.formula, *([f"residuals: {residual}"] if residual else [])]
            out.append(f"{contender.name}: {'; '.join(parts)}")
    return out


def open_models(models: Mapping[str, Any], *, is_nested: bool = False) -> list[Contender]:
    """Open fitted models by name; refuse those on different rows, and exact fits.

    `is_nested`: whether they are to have one distribution of the response.
    """
    contenders = [_open(name, model) for name, model in models.items()]
    for other in contenders[1:]:
        _check_same_kind(contenders[0], other, is_nested=is_nested)
        _check_same_rows(contenders[0], other)
        if is_nested:
            _check_same_exposure(contenders[0], other)
    _check_same_integral(contenders)
    for contender in contenders:
        _check_not_exact(contender)
    return contenders


def comparable(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the models by one method, refitted by ML where REML compares nothing."""
    by_reml = [c for c in contenders if c.method == "reml"]
    has_one_x = all(have_same_fixed(contenders[0], c) for c in contenders[1:])
    if not by_reml or (len(by_reml) == len(contenders) and has_one_x):
        return list(contenders)
    result = [c.refitted(reml=False) if c in by_reml else c for c in contenders]
    names = [c.name for c in by_reml]
    reason = (
        "restricted likelihoods of different fixed effects cannot be compared"
        if len(names) == len(result)
        else "a restricted likelihood cannot be compared with an ordinary one"
    )
    warn(
        f"Refitted by maximum likelihood for the comparison: {', '.join(names)}, since {reason}. "
        "Fit with method='ml' to avoid the refit.",
        RefitWarning,
    )
    warn_of_unfinished([c for c in result if c.name in names])
    return result


def warn_of_unfinished(refitted: Sequence[Contender]) -> None:
    """Warn of refits whose search did not converge."""
    for own in refitted:
        estimate = own.fitted.estimate
        if estimate.status is FitStatus.MAX_ITER:
            how = "restricted maximum" if own.solution.reml else "maximum"
            warn(
                f"The refit of {own.name} by {how} likelihood did not converge in "
                f"{estimate.n_iter} steps. Raise max_iter.",
                ConvergenceWarning,
            )


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
    return Contender(name, fitted(last, has_family=True), last.tol, last.max_iter)


def _check_same_kind(a: Contender, b: Contender, *, is_nested: bool) -> None:
    """Refuse distributions whose likelihoods do not compare, or of which neither has the other."""
    first, second = a.solution.family, b.solution.family
    if first is None and second is None:
        return
    families = {"normal" if own is None else own.family for own in (first, second)}
    if len(families) > 1 and not families <= COUNTS:
        raise ValueError(
            f"{a.name} and {b.name} have different distributions of y, {_kind(a)} and {_kind(b)}, "
            "whose likelihoods do not compare. Fit both with one distribution."
        )
    if is_nested and len(families) > 1:
        raise ValueError(
            f"{a.name} and {b.name} have different distributions of y, {_kind(a)} and {_kind(b)}. "
            "Poisson's is the negative binomial one at an infinite shape, a boundary at which the "
            "ratio of likelihoods is not tested here. Use `compare`, or overdispersion_test of "
            "Poisson's model."
        )
    if is_nested and _kind(a) != _kind(b):
        raise ValueError(
            f"{a.name} and {b.name} have different distributions of y, {_kind(a)} and {_kind(b)}: "
            "neither is a special case of the other. Use `compare`."
        )


def _check_same_exposure(a: Contender, b: Contender) -> None:
    """Refuse generalized models of which one has another offset."""
    own, other = a.solution.family, b.solution.family
    if own is None or other is None:
        return
    first, second = own.offsets, other.offsets
    if (np.abs(first - second) > SAME_SHARE * np.maximum(first, second)[-1]).any():
        raise ValueError(
            f"{a.name} and {b.name} have different exposures, so that neither is a special case "
            "of the other. Give both the same."
        )


def _kind(contender: Contender) -> str:
    own = contender.solution.family
    return "normal" if own is None else f"{own.family.replace('_', ' ')} ({own.link})"


def _check_same_integral(contenders: Sequence[Contender]) -> None:
    """Refuse likelihoods whose integrals over random effects are taken in different ways."""
    with_effects = [c for c in contenders if c.solution.family is not None and c.solution.terms]
    for other in with_effects[1:]:
        counts = [_n_nodes(with_effects[0]), _n_nodes(other)]
        if counts[0] != counts[1]:
            ways = ["Laplace's approximation" if n == 1 else f"{n} nodes" for n in counts]
            raise ValueError(
                f"The likelihood of {with_effects[0].name} is by {ways[0]} and that of "
                f"{other.name} by {ways[1]}, which differ by more than the models do. Fit both "
                "with the same quadrature."
            )


def _n_nodes(contender: Contender) -> int:
    own = contender.solution.family
    return 1 if own is None else own.n_nodes


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
