"""What the data determine: null spaces from cross-products, predictions and contrasts."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import MixedLinearRegressor, lmer
from skmixed._model.terms import Model
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.rank import working_columns
from skmixed.diagnostics import residuals
from skmixed.exceptions import NotEstimableWarning
from skmixed.inference import contrast

pytestmark = [
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.ExactFitWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning"),
    pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning"),
]


def dependence_of(X, *, fit_intercept, weights=None):
    columns = tuple(X.T.copy())
    stats = accumulate(Design(columns, (np.zeros(len(X)),), weights, ()))
    fixed = list(range(int(not fit_intercept), X.shape[1] + 1))
    model = Model(tuple(fixed), (), True)
    return Dependence.of(stats, model, working_columns(stats, model).kept)


def factor_of(X, fit_intercept):
    """R of the rows, from their sums."""
    stats = accumulate(Design(tuple(X.T.copy()), (np.zeros(len(X)),), None, ()))
    return stats.factor_around(np.zeros(X.shape[1] + 1))[:, int(not fit_intercept) :]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    fit_intercept=st.booleans(),
    offset=st.sampled_from([0.0, 50.0, 1e6]),
    scale=st.sampled_from([1e-6, 1.0, 1e5]),
)
def test_rows_in_the_span_of_those_of_the_fit(seed, fit_intercept, offset, scale):
    """Integer rows of low rank, as indicators and their products are."""
    rng = np.random.default_rng(seed)
    rank, p = int(rng.integers(1, 5)), int(rng.integers(5, 8))
    basis = rng.integers(-2, 3, (rank, p)).astype(float)
    X = rng.integers(-3, 4, (40, rank)) @ basis
    new = np.concatenate([rng.integers(-3, 4, (5, rank)) @ basis, rng.integers(-2, 3, (5, p))])
    ones = np.ones((50, int(fit_intercept)))
    rows = np.column_stack([ones, np.concatenate([X, new])])
    known = np.linalg.matrix_rank(rows[:40])
    expected = [np.linalg.matrix_rank([*rows[:40], row]) == known for row in rows[40:]]
    # Offsets are in the span only of models with an intercept.
    moved = np.concatenate([X, new]) * scale + offset * scale * fit_intercept
    weights = rng.uniform(0.5, 2.0, 40) if seed % 2 else None
    found = dependence_of(moved[:40], fit_intercept=fit_intercept, weights=weights)
    if found is None:
        assert known == rows.shape[1]
        return
    deviates = found.deviates(np.column_stack([ones, moved])).any(axis=1)
    assert not deviates[:40].any()
    assert_array_equal(~deviates[40:], expected)
    # Sums over rows say whether one of them deviates
    full = np.column_stack([ones, moved])
    for own in (slice(40), slice(40, 45), slice(45, 50), *(slice(k, k + 1) for k in range(40, 50))):
        assert found.deviate_somewhere(factor_of(moved[own], fit_intercept)).any() == (
            found.deviates(full[own]).any()
        )
    assert_allclose(
        np.column_stack([ones[:40], moved[:40]])[:, found.kept] @ found.rows,
        np.column_stack([ones[:40], moved[:40]]),
        atol=1e-9 * scale * (1 + offset),
    )


def test_constant_columns_of_numbers_that_round():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=999), np.full(999, 0.1), np.full(999, 1e9 + 0.1)])
    found = dependence_of(X, fit_intercept=True)
    rows = np.column_stack([np.ones(999), X])
    assert found.dropped == (2, 3)
    assert not found.deviates(rows).any()
    assert not found.deviate_somewhere(factor_of(rows[:, 1:], True)).any()
    rows[0, 2] += 0.01
    assert found.deviates(rows[:1]).tolist() == [[True, False]]
    assert found.deviate_somewhere(factor_of(rows[:, 1:], True)).tolist() == [True, False]


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_kept_columns_that_nearly_depend_on_each_other(fit_intercept):
    """The third column is a combination of two that agree to 7 digits."""
    rng = np.random.default_rng(3)
    x, rest, other = rng.normal(size=(3, 400))
    near = x + 1e-7 * rest
    X = np.column_stack([x, near, other, near - x, other + x])
    found = dependence_of(X, fit_intercept=fit_intercept)
    first = int(fit_intercept)
    assert found.dropped == (first + 3, first + 4)
    rows = np.column_stack([np.ones((400, first)), X])
    assert not found.deviates(rows).any()
    # To the rounding of the values, whatever the coefficients.
    assert_allclose(rows[:, found.kept] @ found.rows, rows, atol=1e-13)
    rows[0, -1] += 0.01
    rows[1, -2] += 1e-6
    assert found.deviates(rows).nonzero()[0].tolist() == [0, 1]
    expected = [0, 1] if fit_intercept else list(range(400))
    assert found.suspects(rows[:, first:]).tolist() == expected


def cells():
    rng = np.random.default_rng(1)
    frame = pd.MultiIndex.from_product([list("abc"), list("ABC"), range(12)], names=["f", "h", "i"])
    frame = frame.to_frame(index=False).assign(g=rng.integers(1, 11, 108), x=rng.normal(size=108))
    frame["y"] = rng.normal(size=108) + 5 + 2 * (frame["f"] == "c") * (frame["h"] == "C")
    return frame


CELLS = cells()
SEEN = CELLS[~((CELLS["f"] == "a") & (CELLS["h"] == "B"))]
NEW = pd.DataFrame({"f": ["b", "a", "a"], "h": ["B", "B", "A"], "g": [1, 1, 99], "x": 0.5})
CODED = [
    "y ~ f * h + x + (1 | g)",
    "y ~ C(f, contr.treatment('c')) * C(h, contr.treatment('C')) + x + (1 | g)",
    "y ~ C(f, contr.sum) * C(h, contr.helmert) + x + (1 | g)",
    "y ~ 0 + f:h + x + (1 | g)",
]


@pytest.mark.parametrize("formula", CODED)
def test_a_cell_that_was_never_observed(formula):
    model = lmer(formula, SEEN)
    additive = lmer(CODED[0], SEEN)
    words = r"do not determine the mean of row 1, such as .* do not depend on the others there: "
    with pytest.warns(NotEstimableWarning, match=words):
        mean = model.predict(NEW)
    with pytest.warns(NotEstimableWarning, match=words):
        both = model.predict(NEW, return_std=True)
    with pytest.warns(NotEstimableWarning, match=words):
        intervals = model.predict_interval(NEW)
    assert_array_equal(both[0], mean)
    assert_array_equal(np.isnan(both[1]), [False, True, False])
    assert_array_equal(np.isnan(intervals), [[False] * 2, [True] * 2, [False] * 2])
    with pytest.warns(NotEstimableWarning, match=words):
        model.predict(NEW, include="fixed")
    # The others are what they are by any coding, and alone, without a warning.
    rest = NEW.iloc[[0, 2]]
    assert_allclose(model.predict(rest), additive.predict(rest), rtol=1e-6)
    assert_allclose(model.predict_interval(rest), intervals[[0, 2]], rtol=1e-10)
    assert_array_equal(model.predict(rest), mean[[0, 2]])
    model.predict(SEEN)
    model.predict_interval(SEEN)


def test_models_without_a_formula_or_in_parts():
    columns = pd.get_dummies(SEEN[["f", "h"]], dtype=float, drop_first=True)
    for f in "bc":
        for h in "BC":
            columns[f"{f}{h}"] = columns[f"f_{f}"] * columns[f"h_{h}"]
    X, y = columns.assign(g=SEEN["g"]), SEEN["y"]
    new = pd.DataFrame([[0.0, 0, 1, 0, 0, 0, 0, 0, 1]], columns=X.columns)
    whole = MixedLinearRegressor("g").fit(X, y)
    parts = MixedLinearRegressor("g").fit_chunks([(X[:40], y[:40]), (X[40:], y[40:])])
    array = MixedLinearRegressor(8).fit(X.to_numpy(), y)
    sparse = MixedLinearRegressor(8).fit(sp.csr_array(X.to_numpy()), y)
    pipeline = make_pipeline(FunctionTransformer(), whole)
    copies = [pickle.loads(pickle.dumps(whole)), pickle.loads(pickle.dumps(whole.slim()))]
    weighted = MixedLinearRegressor("g").fit(X, y, np.linspace(0.5, 2, len(X)))
    for model in (whole, parts, array, sparse, pipeline, *copies, weighted):
        frame = new
        if model is array:
            frame = new.to_numpy()
        if model is sparse:
            frame = sp.csr_array(new.to_numpy())
        with pytest.warns(NotEstimableWarning, match="the mean of row 0"):
            model.predict(frame)
    with pytest.warns(NotEstimableWarning):
        assert np.isnan(parts.predict_interval(new, of="mean")).all()
    with pytest.warns(NotEstimableWarning):
        residuals(whole, new, [0.0])
    with pytest.warns(NotEstimableWarning):
        whole.sample_y(new)
    updated = pickle.loads(pickle.dumps(whole)).update_groups(X[:9].assign(g=77), y[:9])
    with pytest.warns(NotEstimableWarning):
        assert np.isnan(updated.predict(new.assign(g=77), return_std=True)[1]).all()
    # Observed in another part: partial_fit decides anew.
    everything = whole.partial_fit(new, [3.0])
    assert np.isfinite(everything.predict_interval(new)).all()


def test_models_saved_before_are_read():
    model = lmer(CODED[0], SEEN).regressor_
    state = model.__getstate__()
    del state["_fit"]["model"]["estimate"]["solution"]["dependence"]
    old = MixedLinearRegressor.__new__(MixedLinearRegressor)
    old.__setstate__(state)
    assert old.fixed_effects_.equals(model.fixed_effects_)


def test_combinations_of_effects():
    model = lmer(CODED[0], SEEN)
    cell = {"(Intercept)": 1, "h[T.B]": 1}
    others = {"f[T.b]:h[T.B]": 1, "f[T.c]:h[T.B]": -1, "f[T.b]": 1, "f[T.c]": -1}
    with pytest.warns(
        NotEstimableWarning,
        match=r"row 0 of L, which .*, here 'f\[T.c\]:h\[T.B\]'; their tests are NaN",
    ):
        table = contrast(model, [cell, others, {"x": 1}], joint=False)
    assert_array_equal(table.isna().all(axis=1), [True, False, False])
    assert table.iloc[1:].notna().all(axis=None)
    with pytest.warns(NotEstimableWarning, match="rows 'cell', 'again' of L"):
        joint = contrast(
            model, pd.DataFrame([cell, cell, others], ["cell", "again", "o"]).fillna(0)
        )
    assert joint["F"].isna().all()
    # The difference of two cells, and not with what the columns are coded by.
    other = lmer("y ~ 0 + f:h + x + (1 | g)", SEEN)
    again = contrast(other, {"f[b]:h[B]": 1, "f[c]:h[B]": -1})
    assert_allclose(table.iloc[[1]], again, rtol=1e-6)


def test_of_many_columns_five_are_named():
    X = np.random.default_rng(0).normal(size=(4, 12))
    model = MixedLinearRegressor().fit(X, X[:, 0] ** 2, np.array([1.0, 1.0, 1.0, 0.0]))
    words = "the mean of row 3, .*'x2', 'x3', 'x4', 'x5', 'x6' and 5 others"
    with pytest.warns(NotEstimableWarning, match=words):
        model.predict(X)


def test_nothing_is_said_without_dropped_columns():
    model = lmer("y ~ f + h + x + (1 | g)", SEEN)
    assert model.regressor_._model.estimate.solution.dependence is None
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotEstimableWarning)
        assert np.isfinite(model.predict_interval(NEW)).all()


def test_combinations_that_are_estimable_have_weights():
    """Cell means of two empty cells: of three differences one combination has neither."""
    data = SEEN
    model = lmer("y ~ 0 + f:h + x + (1 | g)", data)
    dependence = model.regressor_._model.estimate.solution.dependence
    assert dependence is not None
    n = len(dependence.center)
    dropped = dependence.dropped[0]
    others = [k for k in range(n) if k not in dependence.dropped][:3]
    rows = np.zeros((3, n))
    rows[range(3), others] = 1.0
    rows[:2, dropped] = [-1.0, -2.0]
    weights = dependence.estimable_weights(rows)
    assert weights.shape == (2, 3)
    assert_allclose(weights @ rows[:, dropped], 0.0, atol=1e-12)
    assert np.linalg.matrix_rank(weights) == 2
    assert_array_equal(dependence.estimable_weights(rows[2:]), np.eye(1))
