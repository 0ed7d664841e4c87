"""Profiles of models whose likelihood may have several optima."""

from dataclasses import dataclass, field

import numpy as np
from generalized_models import random_generalized
from numpy.testing import assert_allclose

from skmixed._generalized.optimum import GeneralizedModel
from skmixed._generalized.profile import GeneralizedProfiler


@dataclass(frozen=True)
class Counting(GeneralizedModel):
    """A model that keeps the objectives that are made of it."""

    made: list = field(default_factory=list)

    def objective_of(self, system):
        self.made.append(super().objective_of(system))
        return self.made[-1]


def test_searches_from_elsewhere_end_once_they_agree():
    case = random_generalized(2, ("poisson", "log"), shape=(8,), slope=False)
    solution = case.fit().solution
    own = GeneralizedModel.of(case.stats, case.model, case.given, solution)
    own = Counting(**{k: v for k, v in vars(own).items() if k in Counting.__dataclass_fields__})
    profiler = GeneralizedProfiler.of(own)
    assert profiler.is_thorough  # of so few levels
    row = np.array([0.0, 1.0, 0.0])
    best, error = profiler.effect(row)
    costs = []
    for step in (1.0, 1.2, 1.4, 1.6):
        held = profiler.hold_effect(best + step * error, row, [profiler.lam])
        thorough = GeneralizedProfiler.of(own).hold_effect(best + step * error, row, [profiler.lam])
        assert_allclose(held.deviance, thorough.deviance, atol=1e-7)
        costs.append(own.made[-3].n_factorizations)
    # The last two are one search each, and not three
    assert max(costs[2:]) < min(costs[:2])
    # The other side of the estimate has its own
    profiler.hold_effect(best - error, row, [profiler.lam])
    assert own.made[-1].n_factorizations > max(costs[2:])
