"""New rows of known groups, and new groups: both questions of one model."""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from skmixed._fitted import checks as validation
from skmixed.inference._tables.table import ResultTable
from skmixed.model_selection._cross_validate import cross_validate
from skmixed.typing import Question

ASKED: tuple[Question, Question] = ("known_groups", "new_groups")


def both_questions(
    model: Any,
    X: Any,
    y: ArrayLike,
    *,
    n_splits: int = 5,
    groups: Any = None,
    scoring: Any = None,
    sample_weight: ArrayLike | None = None,
) -> ResultTable:
    """How well a model predicts new rows of known groups, and new groups.

    The two are different questions. A model that is to serve people who are not in the data is
    judged by the second; the first promises it too much.

    Parameters
    ----------
    model : estimator
        `MixedLinearRegressor`, or any other, as for `cross_validate`.
    X : frame or array-like of shape (n_samples, n_features)
        Numeric columns and grouping columns.
    y : array-like of shape (n_samples,)
        The response of each sample.
    n_splits : int, default=5
        Folds: of rows in random order for known groups, where each group needs rows in
        training, and of whole groups for new ones.
    groups : array-like of shape (n_samples,) or frame, default=None
        The group of each sample. None: the outermost grouping factor of the model.
    scoring : str, callable, sequence of str, or dict, default=None
        Scores, as for `cross_validate`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples in the fits.

    Returns
    -------
    ResultTable
        A row for each question, in words, and for each score its mean over the splits.

    Raises
    ------
    ValueError
        As `cross_validate`; also if a group has so few rows that some fold has all of them.

    See Also
    --------
    cross_validate : Each question by itself, with the scores of all splits.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.model_selection import both_questions
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> both_questions(model, X, y, scoring=["r2", "neg_root_mean_squared_error"]).round(2)
                                               r2  neg_root_mean_squared_error
    question
    new rows of known groups of 'Subject'  0.74                       -28.14
    new groups of 'Subject'                0.09                       -49.58
    """
    validation.check_number("n_splits", n_splits, integral=True)
    if n_splits < 2:
        raise ValueError(f"n_splits={n_splits} is no number of folds. Give 2 or more.")
    asked = {"cv": n_splits, "groups": groups, "scoring": scoring, "sample_weight": sample_weight}
    known, new = (cross_validate(model, X, y, question=own, **asked) for own in ASKED)
    rows = {own.question: own.summary()["mean"] for own in (known, new)}
    out = pd.DataFrame(rows).T
    out.index.name = "question"
    title = "Scores of new rows of known groups, and of new groups"
    return ResultTable.of(out, title, kinds=dict.fromkeys(out.columns, "number"))
