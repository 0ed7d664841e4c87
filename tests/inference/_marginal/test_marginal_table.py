import pickle

import numpy as np
import pandas as pd
import pytest

from skmixed import lmer
from skmixed.datasets import load_machines
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import MarginalMeans, MarginalSlopes
from skmixed.inference._marginal.scale import Scale


@pytest.fixture(params=[MarginalMeans, MarginalSlopes])
def table(request):
    model = lmer("score ~ Machine + (1 | Worker)", load_machines().frame)
    cells = pd.DataFrame({"Machine": ["A", "B"]})
    rows = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    estimates = LinearEstimates(cells, rows, np.zeros(2), open_tests(model, "normal"))
    frame = cells.assign(mean=[52.0, 60.0])
    return request.param.from_estimates(frame, "Means", ("One.",), estimates, Scale())


def test_a_table_knows_its_estimates_and_its_scale(table):
    assert table.estimates.names == ["Machine"]
    assert table.scale == Scale("link")
    assert (table.title, table.remarks) == ("Means", ("One.",))
    assert type(table[["mean"]]) is pd.DataFrame


def test_a_pickle_keeps_the_estimates(table):
    again = pickle.loads(pickle.dumps(table))
    assert type(again) is type(table)
    np.testing.assert_array_equal(again.estimates.rows, table.estimates.rows)
    assert again.estimates.tests.method == table.estimates.tests.method
