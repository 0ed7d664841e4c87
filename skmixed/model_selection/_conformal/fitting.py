"""Linear models that are fitted, and calibrated by the rows of the fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.model_selection import LeaveOneGroupOut

from skmixed._data.table import open_table
from skmixed._fitted import checks as validation
from skmixed._typing import IntArray
from skmixed.model_selection._conformal.rows import CalibratingRows
from skmixed.model_selection._cross_validate import THETAS
from skmixed.model_selection._sample import Sample, check_model
from skmixed.model_selection._splits.groups import Groups, beside, groups_of
from skmixed.model_selection._splits.questions import QUESTIONS, check_question, question_of
from skmixed.model_selection._splits.splits import Splits
from skmixed.model_selection._splits.splitters import splits_of
from skmixed.model_selection._statistics import check_statistics
from skmixed.typing import Question, RefitOrFixed

E = TypeVar("E")

# Folds of the rows of known groups.
N_FOLDS = 10


def fit_conformalize(
    model: E,
    X: Any,
    y: ArrayLike,
    *,
    question: Question | None = None,
    cv: Any = None,
    groups: Any = None,
    theta: RefitOrFixed = "refit",
    sample_weight: ArrayLike | None = None,
) -> E:
    """Fit a linear model, with intervals by rows that a fit has not seen.

    ``predict_interval(X, method="conformal")`` of the result holds for any distribution of
    effects and residuals: heavy tails, or variances that differ between rows or groups. What it
    takes is that new groups come from the same population as those of X, or new rows of known
    groups from the same as its rows.

    Parameters
    ----------
    model : MixedLinearRegressor
        With independent residuals. Not changed, whether it is fitted or not.
    X : frame or array-like of shape (n_samples, n_features)
        Numeric columns and grouping columns, as for `fit`.
    y : array-like of shape (n_samples,)
        The response of each sample.
    question : {"new_groups", "known_groups"}, default=None
        For which rows to calibrate: those of groups that X does not have, or new rows of groups
        that it has. None: for both, or for the one that a splitter answers; for rows as such,
        where the model has no groups.
    cv : int, splitter or iterable of pairs of arrays, default=None
        As for `cross_validate`: a number is that of folds of whole groups and, for rows of known
        groups, of folds of the rows of each group. A splitter, or training and test rows, answers
        one question, and predicts each row once at most. None: as many folds as there are groups,
        so that each is left out by itself; 10 for rows of known groups, and without groups.
    groups : array-like of shape (n_samples,) or frame, default=None
        The group of each sample, which is left out as a whole. None: the outermost grouping
        factor that the model names. Where it names none, they are given to `fit` too.
    theta : {"refit", "fixed"}, default="refit"
        Whether the relative variances θ are estimated anew without each fold, or held at those
        of all rows, which is faster, and narrows intervals a little where groups are few.
    sample_weight : array-like of shape (n_samples,), default=None
        Precision weights of the samples. Rows of weight 0 are left out.

    Returns
    -------
    MixedLinearRegressor
        A new one, fitted to X and y, with ``predict_interval(method="conformal")``. It is saved,
        copied and made slim with what these intervals need. `fit` and `partial_fit` leave them
        behind. To groups that `update_groups` has added they are those of new groups.

    Raises
    ------
    ValueError
        If there is one group, a label is missing, the splits do not answer one question, or a fit
        without a fold fails.
    TypeError
        If the model is none for which this is there.

    Warns
    -----
    UserWarning
        What fits without folds have to say, once each, with the number of fits that said it.

    See Also
    --------
    skmixed.MixedLinearRegressor.predict_interval : By the variances of the model, or these.
    cross_validate : How well rows out of fold are predicted.
    skmixed.exceptions.InfiniteIntervalsWarning : Where there are too few groups.

    Notes
    -----
    The name is that of ``CrossConformalRegressor`` in the package MAPIE, for it fits and
    calibrates by the same rows. With μ̂₋ₖ and s₋ₖ of the fit without fold k, row i of the fold
    has the score abs(yᵢ − μ̂₋ₖ(xᵢ)) / s₋ₖ(xᵢ), and the ends of an interval are quantiles of
    μ̂₋ₖ(x) ± s₋ₖ(x)·score over all rows: jackknife+ [1]_. For new groups a score of group k,
    one of K with Nₖ rows, has weight 1/((K + 1)Nₖ), and the rest of the weights is at
    infinity: hierarchical jackknife+ [2]_; that it weights groups alike is the pooling of
    [3]_. s is the standard deviation of y at given fixed effects, so that the width follows
    random slopes and weights.

    At level 1 − α intervals hold a row with probability 1 − α usually. For new groups, each left
    out by itself and θ refitted, it is 1 − 2α at least, whatever the distribution; with folds a
    little less ([1]_, theorem 4), and with θ held, which has seen all rows, nothing is proved.
    That is an average over groups and rows: it does not hold within each group, nor for each
    x. With fewer than 1/α − 1 groups they are infinite.

    References
    ----------
    .. [1] Barber, R. F., Candès, E. J., Ramdas, A. and Tibshirani, R. J. (2021). Predictive
       inference with the jackknife+. Annals of Statistics 49, 486–507, doi:10.1214/20-AOS1965.
    .. [2] Lee, Y., Barber, R. F. and Willett, R. (2023). Distribution-free inference with
       hierarchical data. arXiv:2306.06342.
    .. [3] Dunn, R., Wasserman, L. and Ramdas, A. (2023). Distribution-free prediction sets for
       two-layer hierarchical models. J. Amer. Statist. Assoc. 118, 2491–2502,
       doi:10.1080/01621459.2022.2060112.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import fit_conformalize
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = fit_conformalize(MixedLinearRegressor("Subject", random_slopes="Days"), X, y)
    >>> rows = pd.DataFrame({"Days": [5, 5], "Subject": ["308", "new"]})
    >>> model.predict_interval(rows, method="conformal", level=0.9).round(0)
    array([[307., 394.],
           [212., 400.]])
    >>> model.predict_interval(rows, level=0.9).round(0)
    array([[308., 396.],
           [222., 386.]])
    """
    validation.check_choice("theta", theta, THETAS)
    if question is not None:
        validation.check_choice("question", question, QUESTIONS)
    check_model(model)
    check_statistics(model, "whose fits without folds are made from sums over their rows")
    fitted, given = clone(model), Sample.given(X, y, sample_weight, None)
    own_groups = groups_of([model], X, groups, given.weights)
    splits = _splits(question, list(cv) if isinstance(cv, Iterator) else cv, given, own_groups)
    given = replace(given, groups=beside([model], X, groups))
    numbers = _counting(given)
    sample = given.of(numbers) if len(numbers) < own_groups.n_rows else given
    fitted.fit(sample.X, sample.y, **sample.beside_y)
    rows = CalibratingRows.of(fitted, sample, own_groups.of_counting(), numbers)
    calibrations = tuple(rows.calibration(*own, is_held=theta == "fixed") for own in splits)
    fitted._model = replace(fitted._model, calibrations=calibrations)
    return fitted


def _counting(sample: Sample) -> IntArray:
    """Return the numbers of the rows that count, which have a positive weight."""
    n_rows = open_table(sample.X).n_rows
    weights = validation.check_weights(sample.weights, n_rows)
    return np.arange(n_rows) if weights is None else np.flatnonzero(weights > 0)


def _splits(
    question: str | None, cv: Any, sample: Sample, groups: Groups
) -> list[tuple[str | None, Splits]]:
    """Return the questions, each with splits of the rows that count.

    A number of folds, and none, answers both questions unless one is asked.
    """
    given = sample.X, sample.y, groups
    if not (cv is None or isinstance(cv, int | np.integer)):
        splits = splits_of(cv, question, *given).of_counting()
        groups = groups.of_counting()
        check_question(question, splits, groups)
        _check_once(splits)
        return [(question or question_of(splits, groups), splits)]
    asked = QUESTIONS if question is None and not groups.are_none else (question,)
    ways: dict[str | None, Any] = {"new_groups": LeaveOneGroupOut() if cv is None else cv}
    n_folds = min(N_FOLDS, groups.n_rows)
    return [
        (own, splits_of(ways.get(own, cv), own, *given, n_folds=n_folds).of_counting())
        for own in asked
    ]


def _check_once(splits: Splits) -> None:
    """Refuse splits that predict a row several times, which would count for as many."""
    rows, _ = splits.tested
    times = np.bincount(rows, minlength=splits.n_rows)
    if times.max() > 1:
        raise ValueError(
            f"cv has row {int(np.argmax(times > 1))} in the test rows of several splits. Give a "
            "splitter that predicts each row once, such as GroupKFold or KFold."
        )
