"""Cross-validation without rows: of parts that are given as their statistics."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from skmixed._data.encoder import Encoder, EncoderUnion
from skmixed._data.parameters import items_of
from skmixed._fitted import kernel
from skmixed._fitted.prediction_rows import warn_not_estimable
from skmixed._fitted.sufficient_statistics import SufficientStatistics, check_same_columns
from skmixed._folds.products import sums_without_each
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.estimability import Dependence
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._messages import FitNames, tell
from skmixed.model_selection._outcomes import Outcome
from skmixed.model_selection._splits.questions import in_words_of
from skmixed.model_selection._statistics import check_statistics
from skmixed.model_selection._validation import Validation, of_grid, of_one


def cross_validate_statistics(
    model: Any,
    folds: Sequence[SufficientStatistics],
    *,
    param_grid: Any = None,
    scoring: Any = ("r2", "neg_mean_squared_error"),
) -> Validation:
    """Cross-validate a linear mixed model from the statistics of its folds.

    Each fold is left out in turn: the model is fitted to the sum of all other statistics, and
    the squared error of the fold is a function of its own. So data that never come together are
    validated, such as those of several sites or the chunks of a Parquet data set.

    Parameters
    ----------
    model : MixedLinearRegressor
        Not changed.
    folds : sequence of SufficientStatistics
        Of the rows of each fold, two or more, as `MixedLinearRegressor.statistics` makes them.
    param_grid : dict or list of dicts, default=None
        Candidates, with the columns and grouping factors of the statistics: values of
        ``method`` and ``covariance``.
    scoring : str or sequence of str, default=('r2', 'neg_mean_squared_error')
        Of "r2", "neg_mean_squared_error" and "neg_root_mean_squared_error", whose sums the
        statistics have. Weighted by the weights of the rows.

    Returns
    -------
    Validation
        As of `cross_validate`.

    Raises
    ------
    ValueError
        If there are fewer than two folds, they are of different columns, or a score needs rows;
        if ``handle_unknown="error"`` and all folds have groups that the others do not have.
    TypeError
        If `model` is no `MixedLinearRegressor` with independent residuals, or a fold no
        `SufficientStatistics`.

    Warns
    -----
    sklearn.exceptions.FitFailedWarning
        If the fit without a fold fails, or refuses groups of the fold; its scores are NaN.
    skmixed.exceptions.NotEstimableWarning
        If a fold has rows whose prediction depends on which columns a fit has dropped.

    See Also
    --------
    cross_validate : From rows.
    skmixed.MixedLinearRegressor.statistics : Statistics of rows.

    Examples
    --------
    Two halves of the subjects, each summed up where its rows are:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import cross_validate_statistics
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> folds = [model.statistics(X[own], y[own]) for own in (slice(90), slice(90, None))]
    >>> found = cross_validate_statistics(model, folds)
    >>> print(found.question)
    new groups of 'Subject'
    >>> found["test_r2"].round(2)
    array([-0.17,  0.19])
    """
    names, is_single = _check_scoring(scoring)
    folds = items_of(folds, "folds")
    _check(model, folds)
    params = [{}] if param_grid is None else list(ParameterGrid(param_grid))
    models = [clone(model).set_params(**own) for own in params]
    outcomes = [Outcome.of_sums(len(folds), names) for _ in models]
    known = []
    for number, (fold, others) in enumerate(
        zip(folds, sums_without_each(folds, _plus), strict=True)
    ):
        part = _HeldOutSums.of(others, fold)
        known.append(part.known_rows)
        for own, outcome in zip(models, outcomes, strict=True):
            fit = Fit.of(partial(clone(own).fit_statistics, others))
            outcome.take(number, fit)
            if fit.error is not None:
                continue
            asked = Fit.of(partial(part.squares, fit.estimator))
            outcome.predicted(number, asked)
            for name in names if asked.error is None else ():
                outcome.scores[name][number] = OF_SUMS[name](*asked.estimator)
    tell(outcomes, FitNames(params, len(folds), lambda number: f"fold {number}"))
    scores = {
        "score" if is_single else name: np.stack([own.scores[name] for own in outcomes])
        for name in names
    }
    seconds = np.stack([own.seconds for own in outcomes])
    times = seconds, np.stack([own.scored for own in outcomes])
    found = of_one(scores, *times) if param_grid is None else of_grid(params, scores, *times)
    shares = np.average(known, axis=0, weights=[fold.n_rows for fold in folds])
    question = in_words_of(dict(zip(folds[0].n_levels, shares, strict=True)))
    return Validation(found, question, f"{len(folds)} folds, from their statistics")


def _r2(squares: float, around_mean: float, _weight: float) -> float:
    return 1.0 - squares / around_mean if around_mean > 0 else float(squares == 0)


# From Σ w (y − ŷ)², Σ w (y − ȳ)² and Σ w of a fold to its score.
OF_SUMS: dict[str, Callable[[float, float, float], float]] = {
    "r2": _r2,
    "neg_mean_squared_error": lambda squares, _, weight: -squares / weight,
    "neg_root_mean_squared_error": lambda squares, _, weight: -float(np.sqrt(squares / weight)),
}


def _check_scoring(scoring: Any) -> tuple[list[str], bool]:
    names = [scoring] if isinstance(scoring, str) else items_of(scoring, "scoring")
    if not names:
        raise ValueError(f"scoring={scoring!r} has no score. Give one, or leave it out.")
    for name in names:
        if not (isinstance(name, str) and name in OF_SUMS):
            raise ValueError(
                f"scoring={name!r} is no function of sums over rows. Choose from "
                f"{', '.join(map(repr, OF_SUMS))}, or give rows to cross_validate."
            )
    return list(names), isinstance(scoring, str)


def _check(model: Any, folds: Sequence[SufficientStatistics]) -> None:
    check_statistics(model, "whose statistics these are")
    if len(folds) < 2:
        raise ValueError(f"There are {len(folds)} folds. Give the statistics of two or more.")
    for number, own in enumerate(folds):
        if not isinstance(own, SufficientStatistics):
            raise TypeError(
                f"Fold {number} is of type {type(own).__name__}. Give SufficientStatistics, as "
                "`MixedLinearRegressor.statistics` makes them of rows."
            )


def _plus(
    folds: Sequence[SufficientStatistics], others: SufficientStatistics | None
) -> SufficientStatistics:
    return reduce(add, folds if others is None else [others, *folds])


@dataclass(frozen=True)
class _HeldOutSums:
    """The statistics of a fold, over the levels of the others and its own.

    Attributes
    ----------
    products : CrossProducts
    n_known : tuple of int
        Levels of each factor that the others have; they come first.
    """

    products: CrossProducts
    n_known: tuple[int, ...]

    @staticmethod
    def of(others: SufficientStatistics, fold: SufficientStatistics) -> "_HeldOutSums":
        check_same_columns(others.encoder, fold.encoder)
        union = EncoderUnion.of(others.encoder)
        n_known = tuple(union.n_levels)
        places = union.take(fold.encoder)
        return _HeldOutSums(fold.products.aligned(places, union.n_levels), n_known)

    @property
    def known_rows(self) -> list[float]:
        """The share of the rows whose level of each factor the others have."""
        pairs = zip(self.products.factors, self.n_known, strict=True)
        return [float(factor.counts[:n].sum() / factor.counts.sum()) for factor, n in pairs]

    def squares(self, model: Any) -> tuple[float, float, float]:
        """Return Σ w (y − ŷ)², Σ w (y − ȳ)² and Σ w by a model that is fitted to the others."""
        encoder, solution, stats = model._model.encoder, model._model.solution, self.products
        if model.handle_unknown == "error":
            self._check_known(encoder)
        self._warn_not_estimable(encoder, solution.dependence)
        beta = np.zeros(len(stats.center))
        beta[list(encoder.fixed)] = solution.fixed
        effects = [np.zeros((len(f.counts), len(f.columns))) for f in stats.factors]
        for term, own in zip(encoder.terms, solution.terms, strict=True):
            columns = [stats.factors[term.factor].columns.index(c) for c in term.columns]
            effects[term.factor][: self.n_known[term.factor], columns] += own.effects.T
        return (*kernel.squares_around(stats, beta, effects), stats.sum_weights)

    def _check_known(self, encoder: Encoder) -> None:
        """Refuse levels that the others do not have."""
        for factor, own, n in zip(
            encoder.factors, self.products.factors, self.n_known, strict=True
        ):
            n_unknown = int(own.counts[n:].sum())
            if n_unknown:
                raise ValueError(
                    f"{n_unknown} rows have a level of grouping factor {factor.name!r} that was "
                    "not seen in fit. Use handle_unknown='population' to predict them without its "
                    "effect."
                )

    def _warn_not_estimable(self, encoder: Encoder, dependence: Dependence | None) -> None:
        """Warn of rows whose mean the others do not determine."""
        if dependence is None:
            return
        deviating = kernel.deviating_columns(dependence, self.products, encoder.fixed)
        if deviating.any():
            which = f"some of the {self.products.n_rows} rows left out"
            warn_not_estimable(which, encoder, dependence, deviating)
