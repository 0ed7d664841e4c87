"""The traces by probing, as functions of Λ."""

import numpy as np
import pandas as pd
from _derivatives.test_lanczos import operator_of

from skmixed._derivatives.probing import FEW_COLUMNS, Probes, probed_traces
from skmixed._equations.conjugate_gradients import CoreOperator, IterativeFactor, solve_columns


def test_the_traces_are_continuous_where_the_way_to_probe_them_changes():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 100, 900)
    b = np.where(rng.random(900) < 0.1, rng.integers(0, 100, 900), a)
    operator = operator_of(pd.DataFrame({"a": a, "b": b}), 1.0)
    signs, found = Probes.draw(operator.size, 4, 0).signs, []
    assert operator.size > FEW_COLUMNS
    # λ from where Λ says more of a level of b than the data do, to where it says less
    for scale in np.exp(np.arange(-4.0, 4.0, 0.02)):
        at = CoreOperator.of(operator.system, (np.eye(1), scale * np.eye(1)))
        factor = IterativeFactor.of(at, tol=1e-10, max_iter=500, start=None)
        solved = solve_columns(at, signs, tol=1e-10, max_iter=500).columns
        traces = probed_traces(factor, signs, solved, has_fixed=False, tol=1e-10, max_iter=500)
        found.append((traces[0][:, None] + traces[1]).ravel())
    # A step of 2 percent changes what is smooth in log λ by no more than that of its range.
    change = np.abs(np.diff(found, axis=0)).max(axis=0)
    assert (change <= 0.04 * np.ptp(found, axis=0)).all()
