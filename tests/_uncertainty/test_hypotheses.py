"""What a model without one of its terms is, against dense matrices of indicators.

Hypotheses of types I to III are tested with their tables, in tests/inference/_terms.
"""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import lmer
from skmixed._fitted.fitted_model import formula_terms
from skmixed._uncertainty.hypotheses import deletions, root_of_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
]


def rows(seed, *, has_empty_cell):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(3.0, 1.0, 150), "y": rng.normal(size=150)})
    frame["a"], frame["b"] = rng.choice(list("pqr"), 150), rng.choice(list("uvw"), 150)
    frame["g"] = np.arange(150) % 10
    if has_empty_cell:
        frame = frame[~((frame["a"] == "q") & (frame["b"] == "v"))]
    return frame


def indicators(term, frame):
    """All categories of a term's factors, times its numbers: without a coding."""
    out = np.ones((len(frame), 1))
    for name in term.split(":") if term != "1" else []:
        own = frame[[name]] if name == "x" else pd.get_dummies(frame[name], dtype=float)
        out = (out[:, :, None] * own.to_numpy()[:, None]).reshape(len(frame), -1)
    return out


FORMULAS = ["a * b", "a * x + b", "a * b * x", "0 + a + b", "0 + a:b + x", "a + a:b", "a:b + x:a"]


@pytest.mark.parametrize("has_empty_cell", [False, True])
@pytest.mark.parametrize("terms", FORMULAS)
def test_coefficients_of_the_model_without_a_term(terms, has_empty_cell):
    frame = rows(len(terms), has_empty_cell=has_empty_cell)
    model = lmer(f"y ~ {terms} + (1 | g)", frame)
    view = model.regressor_._model
    coded, kept = formula_terms(model), list(view.solution.kept)
    names = [own.name for own in coded]
    found = deletions(coded, names, root_of_rows(view.stats, view.model, tuple(kept)), kept)
    columns = model.model_matrix(frame).drop(columns="g").to_numpy()
    ones = np.ones((len(frame), int("(Intercept)" in model.fixed_effects_)))
    X = np.column_stack([ones, columns])
    for name in names:
        others = [indicators(own, frame) for own in names if own != name]
        D = np.column_stack([np.empty((len(frame), 0)), *others])
        own = found[name]
        q = len(kept) - np.linalg.matrix_rank(D)
        assert own.rows.shape == (q, X.shape[1])
        L = own.rows[:, kept]
        assert_allclose(L @ L.T, np.eye(q), atol=1e-12)
        assert not np.delete(own.rows, kept, axis=1).any()
        # The kept coefficients of each column of D: all that Lβ = 0 allows
        coefficients = np.linalg.lstsq(X[:, kept], D, rcond=None)[0]
        assert_allclose(X[:, kept] @ coefficients, D, atol=1e-10)
        assert_allclose(L @ coefficients, 0.0, atol=1e-10)
        if own.fixed is not None:
            left = X[:, list(own.fixed)]
            left = np.column_stack([np.ones((len(X), int(own.needs_intercept))), left])
            both = np.column_stack([left, D])
            ranks = [np.linalg.matrix_rank(m) if m.size else 0 for m in (left, D, both)]
            assert len(set(ranks)) == 1


def test_a_term_of_numbers_far_from_zero():
    frame = rows(0, has_empty_cell=False)
    frame["far"] = 1.6e9 + 86400.0 * frame["x"]
    model = lmer("y ~ a * b + far + (1 | g)", frame)
    view = model.regressor_._model
    root = root_of_rows(view.stats, view.model, view.solution.kept)
    found = deletions(formula_terms(model), ["far", "a:b"], root, view.solution.kept)
    assert [len(own.rows) for own in found.values()] == [1, 4]
    assert all(own.fixed is not None for own in found.values())
