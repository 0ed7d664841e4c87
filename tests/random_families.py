"""Random families of emmeans (tests/reference/comparisons), as tables of means."""

import json
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.inference._fixed_tests import FixedTests
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import MarginalMeans
from skmixed.inference._marginal.scale import Scale

FILE = Path(__file__).parent / "reference" / "comparisons" / "comparisons.json"


@dataclass(frozen=True)
class GivenTests(FixedTests):
    """Tests whose degrees of freedom are a function of the row of L."""

    first: float = field(default=np.inf, kw_only=True)
    more: float = field(default=0.0, kw_only=True)

    def df(self, rows):
        size = np.abs(rows).sum(axis=1)
        return self.first + self.more * size / (1.0 + size)


def means_of(rows, estimate, covariance, n_a, n_b=1, **df):
    """A table of means over the cells of two factors, from their L, β̂ and its covariance."""
    rows, estimate = np.array(rows), np.array(estimate, dtype=float)
    p = len(estimate)
    tests = GivenTests(
        names=tuple(f"x{k}" for k in range(p)),
        kept=tuple(range(p)),
        estimate=estimate,
        basis=np.linalg.cholesky(np.array(covariance)),
        of_basis=np.eye(p),
        method=DDF["normal"],
        residual_df=np.inf,
        sample=None,
        has_intercept=False,
        **df,
    )
    own = [(a, b.upper()) for b, a in product("abcdefgh"[:n_b], "abcdefgh"[:n_a])]
    cells, by = pd.DataFrame(own, columns=["a", "b"]), ("b",)
    if n_b == 1:
        cells, by = cells[["a"]], ()
    estimates = LinearEstimates(cells, rows, np.zeros(len(rows)), tests, by)
    frame = pd.concat([cells, estimates.statistics], axis=1)
    return MarginalMeans.from_estimates(frame, "Means", (), estimates, Scale())


def means_of_case(case):
    df = {"first": number(case["first"]), "more": case["more"]}
    return means_of(case["rows"], case["bhat"], case["V"], case["n_a"], case["n_b"], **df)


def number(value):
    return float(value) if not isinstance(value, list) else np.array(value, dtype=float)


def recorded():
    """The families and the correlations."""
    return json.loads(FILE.read_text("utf-8"))
