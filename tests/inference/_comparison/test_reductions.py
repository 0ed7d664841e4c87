"""Smaller random parts: their names, and what is left. Fits of them: test_random_terms.py."""

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, RandomEffect, lmer
from skmixed.exceptions import IdentifiabilityWarning, SingularFitWarning
from skmixed.inference._comparison.reductions import reductions

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{SingularFitWarning.__module__}.{SingularFitWarning.__name__}",
    f"ignore::{IdentifiabilityWarning.__module__}.{IdentifiabilityWarning.__name__}",
)
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(300, 3)), columns=["x", "z", "y"])
FRAME["f"], FRAME["k"] = RNG.choice(list("abc"), 300), RNG.choice(list("uv"), 300)
FRAME["g"] = np.arange(300) % 15


def of_formula(random, *, reduce_terms=True):
    """What each smaller random part is, by the names of its columns, and its boundary."""
    model = lmer(f"y ~ x + {random}", FRAME, max_iter=1) if random else None
    return listed(model, model.regressor_._model.encoder, reduce_terms)


def listed(model, encoder, reduce_terms=True):
    return {
        own.label: (
            [encoder.coefficient_names(term) for term in own.terms],
            own.n_boundary,
        )
        for own in reductions(model, encoder, reduce_terms=reduce_terms)
    }


ONE = "(Intercept)"
CASES = {
    "(1 | g)": {"(1 | g)": ([], 1)},
    "(0 + x | g)": {"(0 + x | g)": ([], 1)},
    "(x | g)": {"x in (1 + x | g)": ([[ONE]], 1)},
    "(0 + x + z | g)": {
        "x in (0 + x + z | g)": ([["z"]], 1),
        "z in (0 + x + z | g)": ([["x"]], 1),
    },
    "(f | g)": {"f in (1 + f | g)": ([[ONE]], 2)},
    "(0 + f | g)": {"f in (0 + f | g)": ([[ONE]], 2)},
    "(0 + f + k | g)": {
        "f in (0 + f + k | g)": ([[ONE, "k[T.v]"]], 2),
        "k in (0 + f + k | g)": ([["f[a]", "f[b]", "f[c]"]], 1),
    },
    "(0 + f + x | g)": {
        "f in (0 + f + x | g)": ([["x"]], 3),
        "x in (0 + f + x | g)": ([["f[a]", "f[b]", "f[c]"]], 1),
    },
    "(x * z | g)": {"x:z in (1 + x + z + x:z | g)": ([[ONE, "x", "z"]], 1)},
    "(x:z + x | g)": {"x:z in (1 + x + x:z | g)": ([[ONE, "x"]], 1)},
    "(1 | g) + (0 + x | g)": {"(1 | g)": ([["x"]], 1), "(0 + x | g)": ([[ONE]], 1)},
    "(1 | g) + (0 + f | g)": {
        "(1 | g)": ([["f[a]", "f[b]", "f[c]"]], 1),
        "f in (0 + f | g)": ([[ONE]], 3),
    },
    "diag(1 + x | g)": {
        "(Intercept) in (1 + x || g)": ([["x"]], 1),
        "x in (1 + x || g)": ([[ONE]], 1),
    },
    "diag(0 + f | g)": {"(0 + f || g)": ([], 3)},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("random", CASES)
def test_reductions_of_formulas(random):
    assert of_formula(random) == CASES[random]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("random", "label", "n_boundary"),
    [
        ("(x + z | g)", "(1 + x + z | g)", 3),
        ("(0 + f | g)", "(0 + f | g)", 3),
        ("diag(1 + x | g)", "(1 + x || g)", 2),
        ("cs(0 + f | g, hom=TRUE)", "(0 + f | g), compound_symmetry", 1),
        ("diag(1 + x | g, hom=TRUE)", "(1 + x | g), spherical", 1),
    ],
)
def test_whole_terms(random, label, n_boundary):
    found = of_formula(random, reduce_terms=False)
    assert list(found) == [label]
    assert found[label][0] == []
    if "cs" not in random:  # of two parameters, a variance and a correlation
        assert found[label][1] == n_boundary


def test_columns_without_a_formula():
    effects = [RandomEffect(("g", "k"), ["x", "z"]), RandomEffect("g", ["x"], covariance="diag")]
    model = MixedLinearRegressor(effects, max_iter=50).fit(FRAME[["x", "z", "g", "k"]], FRAME["y"])
    found = listed(model, model._model.encoder)
    assert found == {
        "x in (1 + x + z | g:k)": ([[ONE, "z"], [ONE, "x"]], 1),
        "z in (1 + x + z | g:k)": ([[ONE, "x"], [ONE, "x"]], 1),
        "(Intercept) in (1 + x || g)": ([[ONE, "x", "z"], ["x"]], 1),
        "x in (1 + x || g)": ([[ONE, "x", "z"], [ONE]], 1),
    }
