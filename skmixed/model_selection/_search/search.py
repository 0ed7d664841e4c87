"""A search over candidates: their fits to all rows and to the rows of each split, and the best."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import ParameterGrid

from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import printer
from skmixed.exceptions import ExactFitWarning, FitStatus, warn
from skmixed.model_selection._cross_validate import CandidateFits, scores_and_times
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._sample import HeldOut, Sample
from skmixed.model_selection._scoring import Scorer, scorers_of
from skmixed.model_selection._search.choice import Choice
from skmixed.model_selection._search.criteria import CRITERIA, CV, TITLES
from skmixed.model_selection._splits.groups import Groups, beside, groups_of
from skmixed.model_selection._splits.questions import QUESTIONS, check_question, in_words
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._splits.splitters import splits_of
from skmixed.model_selection._validation import shown

# What candidates may differ in.
VARIED = (
    *("groups", "random_slopes", "fixed", "covariance"),
    *("method", "fit_intercept", "residual"),
)


def check_search(own: Any) -> None:
    """Check the parameters of a search that need no data."""
    validation.check_parameters(own)
    validation.check_choice("criterion", own.criterion, (CV, *CRITERIA))
    validation.check_flag("one_standard_error", own.one_standard_error)
    if own.question is not None:
        validation.check_choice("question", own.question, QUESTIONS)
    if own.one_standard_error and own.criterion != CV:
        raise ValueError(
            f"one_standard_error=True with criterion={own.criterion!r}, which has no standard "
            "error. Use criterion='cv', or leave it out."
        )


def base_of(own: Any) -> MixedLinearRegressor:
    """Return the model that the candidates are variants of; not fitted, and silent."""
    names = MixedLinearRegressor().get_params()
    return MixedLinearRegressor(**{name: getattr(own, name) for name in names} | {"verbose": 0})


def candidates_of(own: Any) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the parameters of each candidate, and the candidates, not fitted."""
    grid = ParameterGrid({} if own.candidates is None else own.candidates)
    names = {name for part in grid.param_grid for name in part}
    for name in sorted(names):
        if name.partition("__")[0] not in VARIED:
            raise ValueError(
                f"candidates names {name!r}, in which they cannot differ. They may in "
                f"{', '.join(map(repr, VARIED))}."
            )
    params = list(grid)
    if not params:
        raise ValueError(f"candidates={own.candidates!r} has no candidate. Give one or more.")
    base = base_of(own)
    return params, [clone(base).set_params(**varied) for varied in params]


def search(
    own: Any, X: Any, y: Any, sample_weight: Any, groups: Any
) -> tuple[Choice, int, MixedLinearRegressor]:
    """Return what is found of the candidates, the number of the best, and its fit to all rows."""
    params, models = candidates_of(own)
    sample = Sample.given(X, y, sample_weight, beside(models, X, groups))
    factors = groups_of(models, X, groups, sample.weights)
    scorers = _scorer(models[0], own.scoring) if own.criterion == CV else {}
    splits = _splits(own, X, y, factors)
    _check_rows(splits, scorers)
    candidates = CandidateFits.of(models, sample, splits)
    fits = _to_all_rows(candidates, params, own)
    if own.criterion == CV:
        outcomes = candidates.outcomes(params, HeldOut(sample, splits), scorers)
        table = scores_and_times(outcomes, scorers)
        question = in_words(splits, factors)
        by = _by(scorers, len(splits), question, is_simplest=own.one_standard_error)
        choice = Choice.of_splits(params, table, question, candidates.how, by)
    else:
        choice = _by_criterion(own.criterion, params, fits)
    choice = choice.among(fits)
    best = choice.best(one_standard_error=own.one_standard_error)
    return choice, best, candidates.to_all_rows(best)


def _by(scorers: Mapping[str, Scorer], n: int, question: str, *, is_simplest: bool) -> str:
    """Say by which score of n splits candidates are judged, and the question that these ask."""
    (scorer,) = scorers.values()
    asking = "1 split, which asks for" if n == 1 else f"{n} splits, which ask for"
    rule = " (the simplest within one standard error of the best)" * is_simplest
    return f"the mean of {scorer.name!r} over {asking} {question}{rule}"


def _splits(own: Any, X: Any, y: Any, groups: Groups) -> Splits:
    """Return the splits; none at all without cross-validation."""
    if own.criterion != CV:
        return Splits(groups.n_rows, None)
    splits = splits_of(own.cv, own.question, X, y, groups)
    check_question(own.question, splits, groups)
    return splits


def _scorer(model: Any, scoring: Any) -> dict[str, Scorer]:
    scorers, is_single = scorers_of(model, scoring)
    if not is_single:
        raise TypeError(
            f"scoring={scoring!r} is not one score, by which a candidate can be chosen. Give one "
            "name, or a function."
        )
    return scorers


def _check_rows(splits: Splits, scorers: Mapping[str, Scorer]) -> None:
    """Refuse a score that is not defined in some split, so that no candidate has a mean."""
    if any(own.by_split == "r2" for own in scorers.values()) and splits.n_single_rows:
        raise ValueError(
            f"scoring='r2' is not defined for splits that predict one row, of which cv has "
            f"{splits.n_single_rows} of {len(splits)}: no candidate has a mean. Score by an error, "
            "such as 'neg_mean_squared_error', or by 'log_predictive_density'."
        )


def _to_all_rows(
    candidates: CandidateFits, params: Sequence[dict[str, Any]], own: Any
) -> list[Fit]:
    """Fit each candidate to all rows; raise the error of the first if all fail.

    Statistics, which are as large as the groups are many, are kept for a criterion alone.
    """
    report, fits = printer(own.verbose), []
    for k, varied in enumerate(params):
        fit = Fit.of(partial(candidates.to_all_rows, k))
        if own.criterion == CV and fit.error is None:
            fit.estimator = fit.estimator.slim()
        fits.append(fit)
        if report is not None:
            report(f"candidate {k + 1} of {len(params)}: {shown(varied)}")
    errors = [(k, fit.error) for k, fit in enumerate(fits) if fit.error is not None]
    if len(errors) == len(fits) > 1:
        raise ValueError(
            f"None of the {len(fits)} candidates can be fitted to all rows. The first "
            f"({shown(params[0])}): {errors[0][1]}"
        ) from errors[0][1]
    if len(errors) == len(fits):
        raise errors[0][1]
    if errors:
        number, error = errors[0]
        warn(
            f"{len(errors)} of {len(fits)} candidates cannot be fitted to all rows, and are not "
            f"chosen. The first ({shown(params[number])}): {error}",
            FitFailedWarning,
        )
    return fits


def _by_criterion(name: str, params: list[dict[str, Any]], fits: Sequence[Fit]) -> Choice:
    """Judge the candidates that are fitted by a criterion, of which the lowest value is best.

    Of one that reproduces y it is −∞, unless it has as many coefficients as there are rows and
    would reproduce any y.
    """
    values, how = np.full(len(fits), np.nan), f"{TITLES[name]} of all rows"
    exact, others = [], {}
    for k, fit in enumerate(fits):
        if fit.error is None and fit.estimator._model.estimate.status is FitStatus.EXACT_FIT:
            exact.append(k)
        elif fit.error is None:
            others[k] = fit.estimator
    if others:
        models = {f"candidate {k} ({shown(params[k])})": own for k, own in others.items()}
        values[list(others)], how = CRITERIA[name](models)
    for k in exact:
        values[k] = _of_exact_fit(f"Candidate {k} ({shown(params[k])})", fits[k], TITLES[name])
    return Choice.of_score(params, -values, how)


def _of_exact_fit(candidate: str, fit: Fit, title: str) -> float:
    """Return the criterion of a candidate that reproduces y, and say so."""
    model = fit.estimator._model
    if len(model.solution.kept) >= model.n_rows:
        warn(
            f"{candidate} has as many coefficients as there are rows, and would reproduce any y: "
            f"it has no {title}, and is not chosen.",
            FitFailedWarning,
        )
        return np.nan
    warn(
        f"{candidate} reproduces y, so that its {title} is minus infinity, below that of any model "
        "that does not. Check that no column of X determines y, or leave the candidate out.",
        ExactFitWarning,
    )
    return -np.inf
