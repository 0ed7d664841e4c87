"""The terms that a formula writes, with their factors, and those that may go."""

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, lmer
from skmixed.inference._comparison.written import droppable, fixed_terms, slope_terms

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(90, 3)), columns=["x", "a:b", "y"])
FRAME["f"], FRAME["k"], FRAME["g"] = RNG.choice(list("pqr"), 90), RNG.choice(list("uv"), 90), 0
FRAME["g"] = np.arange(90) % 9
pytestmark = pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")


@pytest.mark.parametrize(
    ("fixed", "written", "may_go"),
    [
        ("f * k + x", ["f", "k", "x", "f:k"], ["x", "f:k"]),
        ("f + f:x", ["f", "f:x"], ["f:x"]),
        ("`a:b` + x", ["`a:b`", "x"], ["`a:b`", "x"]),
        ("x + I(x ** 2)", ["x", "I(x ** 2)"], ["x", "I(x ** 2)"]),
        ("C(f, [[-1], [0], [1]]) * k", None, ["C(f, [[-1], [0], [1]]):k"]),
        ("0 + f", ["f"], ["f"]),
        ("1", [], []),
    ],
)
def test_terms_of_the_fixed_part(fixed, written, may_go):
    """A coding with fewer columns than categories is tested as it is, and still has factors."""
    found = fixed_terms(lmer(f"y ~ {fixed} + (1 | g)", FRAME))
    assert written is None or [own.coded.name for own in found] == written
    assert [own.coded.name for own in droppable(found)] == may_go


def test_terms_of_the_slopes():
    model = lmer("y ~ x + (1 | g) + (0 + x | k)", FRAME)
    found = slope_terms(model)
    assert [[own.coded.name for own in part] for part in found] == [[], ["x"]]
    assert [own.factors for own in found[1]] == [frozenset(["`x`"])]


def test_models_without_a_formula_write_nothing():
    model = MixedLinearRegressor("g").fit(FRAME[["x", "g"]], FRAME["y"])
    assert fixed_terms(model) is None
    assert slope_terms(model) is None
