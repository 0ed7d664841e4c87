"""Messages about some rows name them by their numbers among all rows."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin

import skmixed
from skmixed import MixedLinearRegressor, MixedPoissonRegressor
from skmixed.exceptions import NotEstimableWarning
from skmixed.model_selection import cross_validate, fit_conformalize
from skmixed.model_selection._fits import ROW, Fit, renumbered

ROWS = np.array([10, 30, 20, 50])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("first at row 1: -1", "first at row 30: -1"),
        ("2 rows, the first being row 2, such as", "2 rows, the first being row 20, such as"),
        ("Row 3 has no label", "Row 50 has no label"),
        ("at 'time' = 4 (rows 0 and 3). Give", "at 'time' = 4 (rows 10 and 50). Give"),
        ("No subject has rows 1 steps apart", "No subject has rows 1 steps apart"),
        ("row 4 is none of these", "row 4 is none of these"),
        ("in narrow 1 and in 2 rows", "in narrow 1 and in 2 rows"),
    ],
)
def test_numbers_of_rows(text, expected):
    assert renumbered(text, ROWS) == expected


def test_all_messages_with_the_number_of_a_row_are_renumbered():
    """Texts as they stand in the code: each names a row in one of the two ways that are known."""
    found = 0
    for path in Path(skmixed.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            text = "".join(
                own.value if isinstance(own, ast.Constant) else "0" for own in node.values
            )
            for word in re.finditer(r"\b[Rr]ows? 0\b(?! steps of)", text):
                found += 1
                assert ROW.search(text, max(word.start() - 1, 0)), f"{path.name}: {text}"
    assert found > 15


def test_errors_are_renumbered():
    def fails():
        raise ValueError("odd at row 2", 7)

    fit = Fit.of(fails, ROWS)
    assert fit.error.args == ("odd at row 20", 7)
    with pytest.raises(KeyError):
        Fit.of(lambda: {}["a"], ROWS)
    assert isinstance(Fit.of(lambda: {}["row 1"], ROWS, (Exception,)).error, KeyError)


def counts():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(6), 5)
    X = pd.DataFrame({"x": rng.normal(size=30), "group": group})
    return X, rng.poisson(2.0, 30).astype(float)


def test_the_row_of_a_failed_fit_is_that_of_the_user():
    X, y = counts()
    y[22] = -1.0
    splits = [(np.arange(10, 30), np.arange(10)), (np.arange(20), np.arange(20, 30))]
    with pytest.warns(match=r"without split 0 \(row 0 and others\): y has 1 values .* at row 22:"):
        cross_validate(MixedPoissonRegressor("group"), X, y, cv=splits, scoring="r2")


class SaysRows(RegressorMixin, BaseEstimator):
    """Warns of the row with the largest x in `fit`, and fails in `predict` at the smallest."""

    def fit(self, X, y):
        import warnings

        at = int(np.argmax(X["x"].to_numpy()))
        warnings.warn(f"Large at row {at} of {X['group'].iloc[at]}", UserWarning, stacklevel=2)
        self.is_fitted_ = True
        return self

    def predict(self, X):
        if (X["x"] < -100.0).any():
            raise ValueError(f"Small at row {int(np.argmin(X['x'].to_numpy()))}")
        return np.zeros(len(X))


@pytest.mark.parametrize("is_partition", [True, False])
def test_rows_of_training_and_of_test(is_partition):
    X, y = counts()
    X.loc[17, "x"], X.loc[3, "x"] = 1000.0, -1000.0
    splits = [(np.r_[10:30], np.arange(10)[::-1]), (np.r_[0:10, 20:30], np.r_[10:20])]
    splits += [(np.r_[0:20], np.r_[20:30])] * is_partition
    with pytest.warns() as caught:
        cross_validate(SaysRows(), X, y, cv=splits, groups=X["group"], scoring="neg_max_error")
    texts = [str(own.message) for own in caught]
    n = len(splits)
    warned = f"In {n} of {n} fits, such as that without split 0 (row "
    assert texts[0].startswith(warned)
    assert texts[0].endswith("others): Large at row 17 of 3")
    assert texts[1].startswith(
        f"The predictions of 1 of {n} fits failed, and their scores are NaN."
    )
    assert texts[1].endswith("Small at row 3")


def cells():
    """Each block has some cells of two factors; the last alone has all of them."""
    X = pd.DataFrame(
        {
            "block": np.repeat([*"abcdef"], 6),
            "v": [0, 0, 1, 1, 0, 0] * 6,
            "d": [0, 1, 0, 0, 0, 1] * 6,
        }
    )
    X.loc[30:, "d"] = [0, 1, 1, 1, 0, 1]
    return X.assign(both=X["v"] * X["d"]), np.random.default_rng(0).normal(size=36)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.InfiniteIntervalsWarning")
@pytest.mark.parametrize("function", [cross_validate, fit_conformalize])
def test_rows_whose_prediction_depends_on_dropped_columns(function):
    X, y = cells()
    model = MixedLinearRegressor("block", fixed=["v", "d", "both"])
    text = "In 1 of 6 fits.*: The data of fit do not determine the mean of 2 rows, the first being "
    with pytest.warns(NotEstimableWarning, match=f"{text}row 32,"):
        function(model, X, y, cv=6)
    # A row of weight 0 keeps its number
    weights = np.where(np.arange(36) == 1, 0.0, 1.0)
    with pytest.warns(NotEstimableWarning, match=f"{text}row 32,"):
        function(model, X, y, cv=6, sample_weight=weights)
