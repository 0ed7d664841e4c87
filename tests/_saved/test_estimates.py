"""Estimates that are none of the model are refused where they are read."""

from functools import cache

import numpy as np
import pytest
from hostile import reloaded
from saved_models import MODELS

pytestmark = pytest.mark.filterwarnings("ignore")  # of fits with a variance of 0

SOLUTION = ("model", "estimate", "solution")
FINDINGS = ("model", "estimate", "findings")


@cache
def fitted(name):
    return MODELS[name]()


@pytest.mark.parametrize(
    ("name", "path", "change"),
    [
        ("logistic", (*FINDINGS, "separated"), lambda _: [7]),
        ("logistic", (*FINDINGS, "separated"), lambda _: ["a"]),
        ("logistic", (*FINDINGS, "pure"), lambda _: [1]),
        ("logistic", (*FINDINGS, "pure"), lambda _: None),
        ("logistic", (*SOLUTION, "family", "unstable"), lambda _: "much"),
        ("no effects", (*SOLUTION, "dependence", "kept"), lambda v: [float(k) for k in v]),
        ("crossed", (*SOLUTION, "sigma"), lambda _: 1e200),
        ("crossed", (*SOLUTION, "fixed"), lambda v: v + 1e200),
        ("crossed", (*SOLUTION, "terms", 0, "effects"), lambda v: v.astype(np.float32)),
        ("strata", (*SOLUTION, "residual", "phi"), lambda v: v + 1e6),
        ("ar1", (*SOLUTION, "residual", "phi"), lambda v: v - [[1e4, 0.0]]),
        ("ar1", (*SOLUTION, "residual", "log_sizes"), lambda _: np.zeros(3)),
        ("fitted", (*SOLUTION, "residual", "log_sizes"), lambda v: v[:-1]),
        ("fitted", (*SOLUTION, "residual", "log_sizes"), lambda v: v * np.nan),
        ("fitted", (*SOLUTION, "residual", "log_sizes"), lambda _: None),
    ],
    ids=lambda own: None if callable(own) else str(own),
)
def test_estimates_of_no_model(name, path, change):
    assert reloaded(fitted(name), path, lambda value: value)
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(fitted(name), path, change)
