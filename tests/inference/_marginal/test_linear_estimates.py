import numpy as np
import pandas as pd
import pytest

from skmixed import lmer
from skmixed.datasets import load_machines
from skmixed.exceptions import RankDeficiencyWarning
from skmixed.inference import contrast
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._marginal.linear_estimates import LinearEstimates


def test_what_dropped_columns_leave_open_is_not_estimable():
    data = load_machines().frame
    data["same"] = (data["Machine"] == "B").astype(float)
    with pytest.warns(RankDeficiencyWarning, match="same"):
        model = lmer("score ~ Machine + same + (1 | Worker)", data)
    rows = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    cells = pd.DataFrame({"Machine": ["B", "B"]})
    own = LinearEstimates(cells, rows, np.zeros(2), open_tests(model, None))
    assert own.names == ["Machine"]
    np.testing.assert_array_equal(own.is_estimable, [True, False])
    assert own.statistics.loc[1].isna().all()
    assert own.statistics.loc[0].notna().all()


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "normal"])
def test_statistics_are_those_of_contrasts_around_the_offset(ddf):
    model = lmer("score ~ Machine + (1 | Worker)", load_machines().frame)
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    offset = np.array([2.0, 0.0])
    cells = pd.DataFrame({"cell": [0, 1]})
    own = LinearEstimates(cells, rows, offset, open_tests(model, ddf), level=0.9)
    found, expected = own.statistics, contrast(model, rows, ddf, joint=False, level=0.9)
    for name in ("std_error", "df"):
        np.testing.assert_array_equal(found[name], expected[name])
    for name in ("estimate", "lower", "upper"):
        np.testing.assert_allclose(found[name], expected[name] + offset, rtol=1e-14)
    pd.testing.assert_series_equal(found.loc[1], expected.loc[1])
    np.testing.assert_allclose(found["t"], found["estimate"] / found["std_error"], rtol=1e-14)


def test_a_sum_over_nothing_is_0():
    model = lmer("score ~ 0 + Machine + (1 | Worker)", load_machines().frame)
    cells = pd.DataFrame({"cell": [0]})
    own = LinearEstimates(cells, np.zeros((1, 3)), np.ones(1), open_tests(model, "normal"))
    row = own.statistics.loc[0]
    assert (row["estimate"], row["std_error"], row["lower"], row["upper"]) == (1.0, 0.0, 1.0, 1.0)


def combined(weights, rows=((1.0, 0.1), (1.0, 0.4), (1.0, 0.7))):
    data = load_machines().frame
    tests = open_tests(lmer("score ~ 1 + row + (1 | Worker)", data.assign(row=range(54))), None)
    cells = pd.DataFrame({"cell": list("abc")})
    own = LinearEstimates(cells, np.array(rows), np.array([1.0, 2.0, 4.0]), tests)
    return own.combined(np.array(weights), cells.iloc[: len(weights)], (), 0.9)


def test_combinations_of_estimates():
    own = combined([[1.0, -1.0, 0.0], [1.0, -2.0, 1.0]])
    np.testing.assert_allclose(own.rows, [[0.0, -0.3], [0.0, 0.0]])
    # 0.1 - 0.8 + 0.7 is not 0 in floating point
    assert own.rows[1, 1] == 0.0
    np.testing.assert_allclose(own.offset, [-1.0, 1.0])
    assert own.level == 0.9


def test_combinations_of_what_is_not_there_are_not_there():
    rows = ((np.nan, np.nan), (1.0, 0.4), (1.0, 0.7))
    own = combined([[0.0, 1.0, -1.0], [1.0, -1.0, 0.0]], rows)
    np.testing.assert_array_equal(own.is_estimable, [True, False])


def test_correlations_are_those_of_the_covariance():
    own = combined([[1.0, -1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    covariance = own.rows @ own.tests.covariance @ own.rows.T
    error = np.sqrt(np.diagonal(covariance))
    expected = covariance / np.outer(error, error)
    np.testing.assert_allclose(own.correlation(slice(1, 3)), expected[1:, 1:])
