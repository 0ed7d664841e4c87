"""What formulaic has learned, in plain values, makes its columns again."""

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from numpy.testing import assert_array_equal

from skmixed._model.coding import terms_of_spec
from skmixed.formula._learned import Learned

FRAME = pd.DataFrame(
    {"x": np.linspace(0, 1, 24), "f": list("abcd") * 6, "k": list("pqr") * 8, "z": np.arange(24.0)}
).astype({"f": "category", "k": "category"})
CODINGS = ["treatment", "treatment('b')", "SAS", "sum", "helmert", "diff", "poly"]
SUMS = [f"C(f, contr.{coding})" for coding in CODINGS]
SUMS += ["0 + f", "f:k", "0 + C(f, contr.sum):x", "poly(x, 3)", "bs(x, df=5)", "center(x) * k", "1"]
SUMS += ["C(f, contr.custom([[1, 0], [0, 1], [-1, 0], [0, -1]]))", "C(f, {'u': [1, 0, 0, -1]})"]


@pytest.mark.parametrize("formula", SUMS)
def test_round_trip(formula):
    expected = model_matrix(formula, FRAME, na_action="ignore", output="pandas")
    spec = expected.model_spec
    again = Learned.of(spec).spec(spec.formula)
    for rows in (FRAME, FRAME.iloc[3:9]):
        found, own = (
            model_matrix(s, rows, na_action="ignore", output="pandas") for s in (again, spec)
        )
        assert_array_equal(found.to_numpy(float), own.to_numpy(float))
        assert list(found) == list(own)
    fresh = Learned.of(spec).spec(spec.formula)
    for found, own in zip(terms_of_spec(fresh), terms_of_spec(spec), strict=True):
        assert (found.name, found.axes) == (own.name, own.axes)
        assert_array_equal(found.coding, own.coding)


def test_evaluation_changes_a_copy():
    spec = model_matrix("poly(x, 2) + f", FRAME, output="pandas").model_spec
    learned = Learned.of(spec)
    mine = learned.spec(spec.formula)
    mine.transform_state.clear()
    mine.encoder_state["f"][1].clear()
    assert learned.spec(spec.formula).transform_state.keys() == spec.transform_state.keys()
    assert learned.factors["f"].state["categories"] == list("abcd")
