import numpy as np
import pandas as pd
import pytest

from skmixed import lmer
from skmixed.datasets import load_machines
from skmixed.exceptions import RankDeficiencyWarning
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
