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
