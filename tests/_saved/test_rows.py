"""Rows that are none of the model are refused where they are read."""

from functools import cache

import numpy as np
import pytest
from hostile import reloaded
from saved_models import MODELS


@cache
def fitted(name):
    return MODELS[name]()


@pytest.mark.parametrize(
    ("name", "own", "change"),
    [
        ("ar1", "weights", lambda _: None),
        ("ar1", "visit", np.zeros_like),
        ("ar1", "levels", np.zeros_like),
        ("compound symmetry", "subject", np.zeros_like),
        ("ar1", "stratum", lambda v: v + 1),
        ("compound symmetry", "visit", lambda v: v + 1),
        ("strata", "stratum", lambda v: np.arange(len(v)) % 2),
        ("power", "size", lambda v: v + 10**4),
    ],
)
def test_rows_of_no_model(name, own, change):
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(fitted(name), ("model", "rows", own), change)
