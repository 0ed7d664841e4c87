"""Displays: what they hold is what the statistics say, and what they draw is what they hold."""

import sys
import warnings
from functools import cache

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skmixed import (
    MixedLinearRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
    plotting,
)
from skmixed.datasets import load_dyestuff2, load_penicillin, load_sleepstudy
from skmixed.diagnostics import group_influence, influence, residual_correlation, residuals
from skmixed.exceptions import SingularFitWarning
from skmixed.inference import (
    confidence_intervals,
    profile,
    random_effects_table,
    variance_decomposition,
)
from skmixed.plotting._quantiles import envelope, normal_quantiles

OF_MODEL = [
    plotting.RandomEffectsDisplay,
    plotting.ShrinkageDisplay,
    plotting.RandomEffectsQQDisplay,
    plotting.RandomEffectsPairsDisplay,
    plotting.ProfileDisplay,
    plotting.VarianceDecompositionDisplay,
]
OF_ROWS = [plotting.FittedLinesDisplay, plotting.ResidualsDisplay, plotting.InfluenceDisplay]
SINGLE = [
    plotting.ShrinkageDisplay,
    plotting.VarianceDecompositionDisplay,
    plotting.InfluenceDisplay,
]


@pytest.fixture(autouse=True)
def _figures():
    matplotlib.use("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def sleepstudy():
    return load_sleepstudy(return_X_y=True)


@pytest.fixture(scope="module")
def model(sleepstudy):
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(*sleepstudy)


@pytest.fixture(scope="module")
def penicillin():
    X, y = load_penicillin(return_X_y=True)
    return MixedLinearRegressor(["plate", "sample"]).fit(X, y), X, y


def shown(display, model, X, y, **options):
    return display.from_estimator(model, *(() if display in OF_MODEL else (X, y)), **options)


def legend_of(display):
    (legend,) = display.figure_.legends
    return legend


def axes_of(display):
    return list(getattr(display, "axes_", [])) or [display.ax_]


@pytest.fixture(scope="module")
def display_of(model, sleepstudy):
    return cache(lambda kind: shown(kind, model, *sleepstudy))


def axis_names(display):
    return [
        [text.replace("\n", " ") for text in (ax.get_xlabel(), ax.get_ylabel())]
        for ax in axes_of(display)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_MODEL + OF_ROWS)
def test_attributes_and_axes(kind, display_of):
    display = display_of(kind)
    axes = axes_of(display)
    assert isinstance(display.figure_, matplotlib.figure.Figure)
    assert hasattr(display, "ax_") == (kind in SINGLE)
    if kind not in SINGLE:
        assert display.axes_.shape == (len(axes),)
    assert all(ax.figure is display.figure_ for ax in axes)
    # On axes given, the same number of them or one to divide.
    _, given = plt.subplots(1, len(axes), squeeze=False)
    assert display.plot(given.ravel() if kind not in SINGLE else given[0, 0]) is display
    assert axes_of(display) == list(given.ravel())
    figure, (one, other) = plt.subplots(1, 2)
    display.plot(one)
    assert display.figure_ is figure
    assert not other.has_data()
    if len(axes) > 1:
        assert one not in axes_of(display)
        assert not one.axison
        with pytest.raises(ValueError, match=f"ax has 1 axes, but the plot has {len(axes)} panel"):
            display.plot([other])
        with pytest.raises(ValueError, match="ax is not part of a grid"):
            display.plot(figure.add_axes((0, 0, 1, 1)))
    # Whatever it holds is drawn without a warning (they are errors here).
    figure.canvas.draw()


@pytest.mark.parametrize("kind", OF_MODEL + OF_ROWS)
def test_without_matplotlib(kind, model, sleepstudy, display_of, monkeypatch):
    display = display_of(kind)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = rf"{kind.__name__}\.from_estimator needs matplotlib.*pip install matplotlib"
    with pytest.raises(ImportError, match=message):
        shown(kind, model, *sleepstudy)
    with pytest.raises(ImportError, match=rf"{kind.__name__}\.plot needs matplotlib"):
        display.plot()


def test_random_effects(model):
    display = plotting.RandomEffectsDisplay.from_estimator(model, level=0.9)
    table = random_effects_table(model, level=0.9)
    columns = ["estimate", "lower", "upper"]
    for name, ax in zip(["(Intercept)", "Days"], display.axes_, strict=True):
        order = display.order_[name]
        own = table[table["name"] == name].set_index("level").loc[order, columns]
        assert own["estimate"].is_monotonic_increasing
        points = ax.collections[-1].get_offsets()
        assert_array_equal(points[:, 0], own["estimate"])
        segments = np.array(ax.collections[0].get_segments())
        assert_array_equal(segments[:, :, 0], own[["lower", "upper"]])
        assert [t.get_text() for t in ax.get_yticklabels()] == order
    assert "90 % interval" in display.axes_[1].get_xlabel()
    by_days = plotting.RandomEffectsDisplay.from_estimator(model, name=["Days", "(Intercept)"])
    assert by_days.order_["Days"][-1] == "308"
    assert [ax.get_title() for ax in by_days.axes_] == ["Days", "(Intercept)"]


def test_factors_are_chosen(penicillin):
    model, X, y = penicillin
    for group, n in (("plate", 24), ("sample", 6)):
        display = plotting.RandomEffectsDisplay.from_estimator(model, group=group)
        assert len(display.order_["(Intercept)"]) == n
        assert display.axes_[0].get_ylabel() == group
        display = plotting.ShrinkageDisplay.from_estimator(model, group=group)
        assert len(display.no_pooling) == n
        assert plotting.ResidualsDisplay.from_estimator(model, X, y, group=group).group == group
        display = plotting.FittedLinesDisplay.from_estimator
        with pytest.raises(ValueError, match="x=None, but there is no numeric column to choose"):
            display(model, X, y, group=group)


@pytest.mark.parametrize("seed", range(6))
def test_own_fits_are_least_squares(seed):
    """Against np.linalg.lstsq on the rows, and against the BLUP as their weighted mean."""
    rng = np.random.default_rng(seed)
    n, weighted = 120, bool(seed % 2)
    X = pd.DataFrame({"x": rng.normal(3, 1, n), "z": rng.normal(-2, 2, n)})
    X["g"], X["h"] = rng.integers(0, 12, n), rng.integers(0, 5, n)
    y = X["x"] * (1 + rng.normal(size=12)[X["g"]]) + rng.normal(size=5)[X["h"]] + rng.normal(size=n)
    terms = [
        RandomEffect("g", "x", covariance="full"),
        RandomEffect("h", "z", intercept=seed > 1),
    ]
    weights = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        options = {"fixed": ["x"] if seed == 3 else ["x", "z"], "fit_intercept": seed != 4}
        model = MixedLinearRegressor(terms, **options).fit(X, y, sample_weight=weights)
    for group, names in (("g", ["(Intercept)", "x"]), ("h", list(model.random_effects_["h"]))):
        display = plotting.ShrinkageDisplay.from_estimator(model, group=group)
        effects = model.random_effects_[group]
        z = X.assign(**{"(Intercept)": 1.0})[names].to_numpy()
        fixed = model.fixed_effects_.reindex(names, fill_value=0.0)
        assert_allclose(display.complete_pooling, fixed)
        own_part = (z * (fixed.to_numpy() + effects.loc[X[group], names].to_numpy())).sum(axis=1)
        rest = y - (model.predict(X) - own_part)
        prior = np.linalg.pinv(model.covariances_[group].to_numpy())
        for level in effects.index:
            rows = (X[group] == level).to_numpy()
            root = np.sqrt(weights[rows])[:, None]
            if rows.sum() < 4:
                continue
            found = np.linalg.lstsq(root * z[rows], root[:, 0] * rest[rows], rcond=None)[0]
            # Products square the condition of a level's few rows.
            assert_allclose(display.no_pooling.loc[level], found, rtol=1e-6, atol=1e-6)
            if np.linalg.matrix_rank(prior) == len(names):
                a = (root * z[rows]).T @ (root * z[rows]) / model.sigma_**2
                mean = np.linalg.solve(a + prior, a @ found + prior @ fixed)
                # The equations of the BLUPs, at the optimum that the search has found.
                assert_allclose(display.partial_pooling.loc[level], mean, rtol=1e-5, atol=1e-5)


def test_own_fits_that_rows_do_not_determine():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=60), "g": np.arange(60) % 8})
    X.loc[60] = [0.3, 8]  # one row
    X.loc[61] = X.loc[62] = [0.7, 9]  # two, at the same x
    y = X["x"] + rng.normal(size=10)[X["g"].astype(int)] + rng.normal(size=63)
    y += X["x"] * 2 * rng.normal(size=10)[X["g"].astype(int)]
    model = MixedLinearRegressor("g", random_slopes="x").fit(X, y)
    display = plotting.ShrinkageDisplay.from_estimator(model)
    assert_array_equal(display.no_pooling.isna().all(axis=1), np.arange(10) > 7)
    assert display.partial_pooling.notna().all(axis=None)
    assert [t.get_text() for t in display.ax_.texts] == ["2 levels that have no fit of their own"]
    display.figure_.canvas.draw()
    one = plotting.ShrinkageDisplay.from_estimator(model, name="x")
    assert_array_equal(one.no_pooling["x"], display.no_pooling["x"])
    one.figure_.canvas.draw()


def test_arrows_lead_from_own_fits_to_blups(model):
    display = plotting.ShrinkageDisplay.from_estimator(model, name=["Days", "(Intercept)"])
    arrows = display.ax_.collections[0]
    assert_allclose(arrows.get_offsets(), display.no_pooling)
    ends = arrows.get_offsets() + np.column_stack([arrows.U, arrows.V])
    assert_allclose(ends, display.partial_pooling)
    assert list(display.no_pooling) == ["Days", "(Intercept)"]
    texts = [t.get_text() for t in display.ax_.get_legend().get_texts()]
    assert texts == ["no pooling", "partial pooling", "complete pooling"]


@pytest.mark.slow
def test_lines_are_predictions(model, sleepstudy):
    X, y = sleepstudy
    display = plotting.FittedLinesDisplay.from_estimator(model, X, y)
    lines = display.lines
    new = pd.DataFrame({"Days": lines["x"], "Subject": lines["level"]})
    assert_allclose(lines["fitted"], model.predict(new))
    assert_allclose(lines["population"], model.predict(new, include="fixed"))
    assert len(display.axes_) == 18
    assert display.n_levels == 18
    assert legend_of(display).get_title().get_text() == ""
    assert len(display.data) == 180
    assert display.figure_.get_supylabel() == "Reaction"
    few = plotting.FittedLinesDisplay.from_estimator(model, X, y, max_levels=3)
    assert len(few.axes_) == 3
    assert legend_of(few).get_title().get_text() == "3 of 18 levels of Subject"
    means = pd.Series(model.predict(X)).groupby(X["Subject"].to_numpy()).mean()
    assert {means.idxmin(), means.idxmax()} < set(few.lines["level"])


def test_lines_average_over_the_other_columns():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=90), "z": rng.normal(size=90)})
    X["a"], X["b"] = rng.integers(0, 3, 90), rng.integers(0, 4, 90)
    y = X["x"] + X["z"] + rng.normal(size=4)[X["b"]] + 2 * rng.normal(size=3)[X["a"]]
    y += rng.normal(size=90)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = MixedLinearRegressor(["a", ("a", "b")], fixed=["x", "z"]).fit(X, y)
    assert plotting.ResidualsDisplay.from_estimator(model, X, y, group="a:b").axes_.shape == (3,)
    display = plotting.FittedLinesDisplay.from_estimator(model, X, y, group="a:b", x="z")
    own = X[(X["a"] == 1) & (X["b"] == 2)]
    line = display.lines[[level == (1, 2) for level in display.lines["level"]]]
    for z, value in zip(line["x"], line["fitted"], strict=True):
        assert value == pytest.approx(model.predict(own.assign(z=z)).mean())
    assert len(plotting.RandomEffectsDisplay.from_estimator(model, group="a:b").effects) == 12


def test_pipelines_are_shown_on_the_scale_of_the_data(sleepstudy):
    X, y = sleepstudy
    expand = make_pipeline(PolynomialFeatures(2, include_bias=False), StandardScaler())
    columns = make_column_transformer((expand, ["Days"]), remainder="passthrough")
    columns = columns.set_output(transform="pandas")
    model = make_pipeline(columns, MixedLinearRegressor("remainder__Subject")).fit(X, y)
    display = plotting.FittedLinesDisplay.from_estimator(model, X, y)
    assert display.x_name == "Days"
    new = pd.DataFrame({"Days": display.lines["x"], "Subject": display.lines["level"]})
    assert_allclose(display.lines["fitted"], model.predict(new))
    for kind in OF_MODEL + OF_ROWS:
        if kind is not plotting.RandomEffectsPairsDisplay:
            shown(kind, model, X, y)
    display = plotting.InfluenceDisplay.from_estimator(model, X, y)
    assert_array_equal(display.influence, influence(model, X, y))


@pytest.mark.parametrize("as_list", [True, False])
def test_arrays_and_groups_beside_them(as_list, sleepstudy):
    X, y = sleepstudy
    labels = X["Subject"].to_list() if as_list else X[["Subject"]]
    model = MixedLinearRegressor().fit(X[["Days"]].to_numpy(int), y, groups=labels)
    given = {"X": X[["Days"]].to_numpy(int), "y": y.to_numpy(), "groups": labels}
    display = plotting.FittedLinesDisplay.from_estimator(model, **given, x=0, max_levels=2)
    assert (display.x_name, display.y_name) == ("x0", "Reaction")
    assert_allclose(display.lines.groupby("level")["x"].last(), 9.0)
    step = display.lines.groupby("level")["fitted"].agg(lambda line: line.iloc[-1] - line.iloc[0])
    assert_allclose(step, 9.0 * model.coef_[0])
    plotting.ResidualsDisplay.from_estimator(model, **given)
    plotting.InfluenceDisplay.from_estimator(model, **given)


@pytest.mark.slow
def test_foreign_frames(model, sleepstudy):
    X, y = sleepstudy
    foreign = pl.DataFrame({name: X[name].to_list() for name in X})
    plain = plotting.FittedLinesDisplay.from_estimator(model, X, y)
    display = plotting.FittedLinesDisplay.from_estimator(model, foreign, y)
    assert_array_equal(display.lines["fitted"], plain.lines["fitted"])


@pytest.mark.parametrize("kind", ["standardized", "pearson", "conditional", "marginal"])
def test_residuals(kind, model, sleepstudy):
    X, y = sleepstudy
    display = plotting.ResidualsDisplay.from_estimator(model, X, y, kind=kind)
    assert_array_equal(display.rows["residual"], residuals(model, X, y, kind))
    include = "fixed" if kind == "marginal" else "all"
    assert_allclose(display.rows["fitted"], model.predict(X, include=include))
    assert_array_equal(display.rows["level"], X["Subject"])
    of_fitted, quantiles, by_group = display.axes_
    assert_array_equal(of_fitted.collections[0].get_offsets(), display.rows.iloc[:, :2])
    points = quantiles.collections[-1].get_offsets()
    assert_array_equal(points[:, 1], np.sort(display.rows["residual"]))
    line = quantiles.lines[0].get_xydata()
    assert_allclose(line[:, 1], display.scale * line[:, 0])
    medians = display.rows.groupby("level", observed=True)["residual"].median().sort_values()
    assert_allclose(by_group.collections[-1].get_offsets()[:, 0], medians)
    two = plotting.ResidualsDisplay.from_estimator(model, X, y, panels=["qq", "fitted"])
    assert len(two.axes_) == 2


def test_weights_are_used(sleepstudy):
    X, y = sleepstudy
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    model = MixedLinearRegressor("Subject").fit(X, y, sample_weight=weights)
    display = plotting.ResidualsDisplay.from_estimator(model, X, y, sample_weight=weights)
    expected = residuals(model, X, y, "standardized", sample_weight=weights)
    assert_array_equal(display.rows["residual"], expected)
    display = plotting.InfluenceDisplay.from_estimator(model, X, y, sample_weight=weights)
    assert_array_equal(display.influence, influence(model, X, y, sample_weight=weights))


def test_envelopes_hold_their_share():
    low, high = envelope(20)
    z = np.sort(np.random.default_rng(0).normal(size=(4000, 20)), axis=1)
    share = ((z > low) & (z < high)).mean(axis=0)
    # Monte Carlo sd of a share of 0.95 of 4,000: 0.0035; 4 of them for 20 of them.
    assert (np.abs(share - 0.95) < 0.014).all()
    # Blom's positions: errors of his approximation to expected order statistics.
    assert_allclose(normal_quantiles(20), z.mean(axis=0), atol=0.04)


def test_standardized_effects_are_standard_normal():
    """Groups of 1 to 12 rows, whose BLUPs have very different variances."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3000), rng.integers(1, 13, 3000))
    y = 2 * rng.normal(size=3000)[group] + 3 * rng.normal(size=len(group))
    X = pd.DataFrame({"g": group})
    display = plotting.RandomEffectsQQDisplay.from_estimator(MixedLinearRegressor("g").fit(X, y))
    values = display.effects["standardized"].to_numpy()
    sizes = np.bincount(group)
    for own in (values, values[sizes < 4], values[sizes > 9]):
        # Standard errors of an sd of at least 700 normal values: 0.027.
        assert np.std(own) == pytest.approx(1.0, abs=0.08)
    low, high = envelope(3000)
    assert np.mean((np.sort(values) < low) | (np.sort(values) > high)) < 0.2


def test_zero_variances_are_drawn():
    X, y = load_dyestuff2(return_X_y=True)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("Batch").fit(X, y)
    assert (
        plotting.RandomEffectsQQDisplay.from_estimator(model).effects["standardized"].isna().all()
    )
    for kind in [*OF_MODEL, *OF_ROWS[1:]]:
        if kind is not plotting.RandomEffectsPairsDisplay:
            shown(kind, model, X, y).figure_.canvas.draw()


def test_pairs(model):
    display = plotting.RandomEffectsPairsDisplay.from_estimator(model)
    ax = display.axes_[0]
    assert_array_equal(ax.collections[-1].get_offsets(), model.random_effects_["Subject"])
    covariance = model.covariances_["Subject"].to_numpy()
    for line, squares in zip(ax.lines[-2:], (2 * np.log(2), 2 * np.log(20)), strict=True):
        points = line.get_xydata()
        # χ²(2) has the quantile −2 log(1 − share).
        distance = np.einsum("ia,ab,ib->i", points, np.linalg.inv(covariance), points)
        assert_allclose(distance, squares)
    assert [text.get_text() for text in ax.texts] == ["50 %", "95 %"]
    for text, line in zip(ax.texts, ax.lines[-2:], strict=True):
        points = line.get_xydata()
        assert_array_equal(text.get_position(), points[points[:, 1].argmax()])
    texts = [text.get_text() for text in legend_of(display).get_texts()]
    assert texts == ["a level of Subject", "share of the estimated distribution"]


def test_pairs_of_three():
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"]).assign(g=np.arange(400) % 20)
    b = rng.normal(size=(3, 20))[:, X["g"]]
    y = b[0] + b[1] * X["a"] + b[2] * X["b"] + rng.normal(size=400)
    model = MixedLinearRegressor("g", random_slopes=["a", "b"]).fit(X, y)
    display = plotting.RandomEffectsPairsDisplay.from_estimator(model)
    assert display.pairs_ == [("(Intercept)", "a"), ("(Intercept)", "b"), ("a", "b")]
    # A triangle, whose panels are named at its sides
    cells = [(0, 0), (1, 0), (1, 1)]
    for ax, (line, column) in zip(display.axes_, cells, strict=True):
        own = ax.get_subplotspec()
        assert (own.rowspan.start, own.colspan.start) == (line, column)
    names = [
        ["", "y per unit of a"],
        ["(Intercept) of y", "y per unit of b"],
        ["y per unit of a", ""],
    ]
    assert axis_names(display) == names
    # A coefficient has the same limits wherever it is.
    assert display.axes_[0].get_xlim() == display.axes_[1].get_xlim()
    assert display.axes_[0].get_ylim() == display.axes_[2].get_xlim()
    assert display.axes_[1].get_ylim() == display.axes_[2].get_ylim()
    display = plotting.RandomEffectsPairsDisplay.from_estimator(model, name=["b", "a"])
    assert display.pairs_ == [("b", "a")]


@pytest.mark.slow
def test_profiles_give_the_intervals(model, display_of):
    display = display_of(plotting.ProfileDisplay)
    pd.testing.assert_frame_equal(display.profile, profile(model))
    assert len(display.profile[["component", "group", "name"]].drop_duplicates()) == 6
    keys = ["component", "group", "name"]
    for level in (0.5, 0.99):
        own = display.intervals[display.intervals["level"] == level].set_index(keys)
        expected = confidence_intervals(model, "profile", level=level).set_index(keys)
        ends = ["lower", "upper"]
        pd.testing.assert_frame_equal(own.loc[expected.index, ends], expected[ends])


def test_variance(model):
    for kind in ("bars", "stacked"):
        display = plotting.VarianceDecompositionDisplay.from_estimator(model, kind=kind)
        table = variance_decomposition(model)
        pd.testing.assert_frame_equal(display.decomposition, table)
        assert_allclose([bar.get_width() for bar in display.bars_], 100 * table["share"])
    assert_allclose(
        [b.get_x() for b in display.bars_], 100 * table["share"].cumsum().shift(fill_value=0)
    )


@pytest.mark.parametrize("quantity", ["cooks_distance", "covratio", "dfbetas_(Intercept)"])
def test_influence_of_groups_names_the_extreme_ones(quantity, penicillin):
    model, X, y = penicillin
    display = plotting.InfluenceDisplay.from_groups(
        model, X, y, factor="sample", theta="fixed", quantity=quantity, n_labels=2
    )
    table = group_influence(model, X, y, factor="sample", theta="fixed")
    assert_array_equal(display.influence, table)
    size = (table[quantity] - (quantity == "covratio")).abs()
    assert list(display.largest_) == list(size.nlargest(2).index)
    bounds = {"cooks_distance": {"4/J"}, "covratio": set()}.get(quantity, {"2/√J", "−2/√J"})
    texts = {text.get_text() for text in display.ax_.texts}
    assert texts == set(display.largest_) | bounds
    assert display.ax_.get_xlabel() == "sample"
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == list(table.index)
    titles = {"cooks_distance": "Cook's distance", "covratio": "COVRATIO"}
    assert display.ax_.get_ylabel() == titles.get(quantity, "DFBETAS of (Intercept)")
    assert_array_equal(display.ax_.collections[-1].get_offsets()[:, 1], table[quantity])


@pytest.mark.parametrize(
    ("quantity", "bound", "lines"),
    [
        ("cooks_distance", 4 / 6, [4 / 6]),
        ("mdffits", 4 / 6, [4 / 6]),
        ("dfbetas_(Intercept)", 2 / np.sqrt(6), [2 / np.sqrt(6), -2 / np.sqrt(6)]),
        ("covratio", None, []),
        ("change_(Intercept)", None, []),
    ],
)
def test_the_usual_bounds_are_drawn_of_groups(quantity, bound, lines, penicillin):
    model, X, y = penicillin
    display = plotting.InfluenceDisplay.from_groups(
        model, X, y, factor="sample", theta="fixed", sigma="fixed", quantity=quantity
    )
    assert display.bound_ == bound
    dashed = [line for line in display.ax_.lines if line.get_linestyle() == "--"]
    assert_allclose([line.get_ydata()[0] for line in dashed], lines)
    low, high = display.ax_.get_ylim()
    assert all(low < own < high for own in lines)
    held = group_influence(model, X, y, factor="sample", theta="fixed", sigma="fixed")
    assert_array_equal(display.influence, held)


def test_rows_have_no_bound(model, sleepstudy):
    display = plotting.InfluenceDisplay.from_estimator(model, *sleepstudy)
    assert display.bound_ is None
    assert len(display.ax_.lines) == 1


@pytest.mark.parametrize("n", [5, 18, 160, 3000])
def test_groups_are_named_on_the_axis_where_they_have_room(n):
    rng = np.random.default_rng(n)
    levels = pd.Index([f"group {j}" for j in range(n)], name="g")
    table = pd.DataFrame({"cooks_distance": rng.exponential(size=n)}, index=levels)
    shown = plotting.InfluenceDisplay(influence=table, quantity="cooks_distance", unit="g")
    ax = shown.plot().ax_
    ticks = [text.get_text() for text in ax.get_xticklabels()]
    assert ticks == (list(levels) if n < 100 else [])
    assert ax.get_xlabel() == ("g" if n < 100 else f"g ({n:,} levels)")
    assert {0 if n == 5 else 90} == {
        text.get_rotation() for text in ax.get_xticklabels()
    } or not ticks
    named = [text.get_text() for text in ax.texts if text.get_text() != "4/J"]
    assert named == list(shown.largest_)


def test_the_largest_are_named_beside_each_other():
    """Those without room beside their points stand above, with a line that leads there."""
    values = np.zeros(100)
    values[40:45] = [5.0, 4.9, 4.95, 4.85, 4.8]
    table = pd.DataFrame({"change_x": np.concatenate([values, -values])})
    table.index = [f"label {j}" for j in range(200)]
    shown = plotting.InfluenceDisplay(influence=table, quantity="change_x").plot(n_labels=10)
    assert [text.get_text() for text in shown.ax_.texts] == list(shown.largest_)
    assert len(shown.largest_) == 10
    shown.figure_.canvas.draw()
    # Of the texts, without the lines that lead to them
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in shown.ax_.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert any(text.arrow_patch is not None for text in shown.ax_.texts)


def test_influence_of_groups_shows_changes_of_variances(penicillin):
    model, X, y = penicillin
    quantity = "variance_change_(Intercept) | plate"
    display = plotting.InfluenceDisplay.from_groups(
        model, X, y, factor="sample", theta="one_step", quantity=quantity
    )
    expected = "relative change of the variance of (Intercept) | plate, without the sample"
    assert display.ax_.get_ylabel().replace("\n", " ") == expected
    with pytest.raises(ValueError, match="quantity='height' is not a column"):
        plotting.InfluenceDisplay.from_groups(
            model, X, y, factor="sample", theta="fixed", quantity="height"
        )


def test_influence_names_the_largest(model, sleepstudy):
    X, y = sleepstudy
    X = X.set_axis([f"r{i}" for i in range(180)])
    display = plotting.InfluenceDisplay.from_estimator(model, X, y, n_labels=3)
    assert list(display.largest_) == ["r59", "r56", "r7"]
    assert {text.get_text() for text in display.ax_.texts} == {"r59", "r56", "r7"}
    display = plotting.InfluenceDisplay.from_estimator(model, X, y, name="Days")
    change = influence(model, X, y)["change_Days"]
    assert_array_equal(display.ax_.collections[-1].get_offsets()[:, 1], change)
    assert list(display.largest_) == list(change.abs().nlargest(5).index)
    assert "Days" in display.ax_.get_ylabel()


def test_names_of_rows_do_not_overlap(model, sleepstudy):
    X, y = sleepstudy
    X = X.set_axis([f"observation {i}" for i in range(180)])
    display = plotting.InfluenceDisplay.from_estimator(model, X, y, n_labels=60)
    display.figure_.canvas.draw()
    # Of the texts, without the lines that lead to them
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in display.ax_.texts]
    assert 10 < len(boxes) <= 60
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_marks_are_of_one_size_in_all_panels(model, sleepstudy):
    X = sleepstudy[0]
    many = pd.concat([X, *[X[X["Subject"] == "308"]] * 12], ignore_index=True)
    lines = plotting.FittedLinesDisplay.from_estimator
    shown = lines(model, many, model.predict(many), levels=["308", "309"])
    assert len({float(ax.collections[0].get_sizes()[0]) for ax in shown.axes_}) == 1


def test_panels_of_residuals_say_what_they_show(model, sleepstudy):
    display = plotting.ResidualsDisplay.from_estimator(model, *sleepstudy)
    assert [ax.get_title() for ax in display.axes_] == [
        "line: mean in bins",
        "band: 95 % of each ordered value",
        "median, quartiles and range",
    ]


def test_marks_stand_out_on_dark_backgrounds(model, sleepstudy):
    with plt.style.context("dark_background"):
        lines = plotting.FittedLinesDisplay.from_estimator(model, *sleepstudy, max_levels=2)
        shrinkage = plotting.ShrinkageDisplay.from_estimator(model)
    dots = lines.axes_[0].collections[0].get_facecolor()[0]
    assert dots[:3].min() > 0.8
    hollow = shrinkage.ax_.collections[1]
    assert_array_equal(hollow.get_facecolor()[0][:3], 0.0)
    assert hollow.get_edgecolor()[0][:3].min() > 0.8


@pytest.mark.slow
def test_names_are_not_mathematics():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"$a_$": rng.normal(size=60), "$^g$": [f"$_{i % 10}$" for i in range(60)]})
    b = rng.normal(size=10)[np.arange(60) % 10]
    y = pd.Series(frame["$a_$"] * (1 + b) + 2 * b[::-1] + rng.normal(size=60), name="$y_^$")
    model = MixedLinearRegressor("$^g$").fit(frame, y)
    for kind in OF_MODEL + OF_ROWS:
        if kind is not plotting.RandomEffectsPairsDisplay:
            shown(kind, model, frame, y).figure_.canvas.draw()


def test_least_squares_has_no_groups(sleepstudy):
    X, y = sleepstudy
    model = MixedLinearRegressor().fit(X[["Days"]], y)
    display = plotting.ResidualsDisplay.from_estimator(model, X[["Days"]], y)
    assert display.panels == ("fitted", "qq")
    assert len(plotting.ProfileDisplay.from_estimator(model).axes_) == 3
    assert len(plotting.VarianceDecompositionDisplay.from_estimator(model).bars_) == 2
    plotting.InfluenceDisplay.from_estimator(model, X[["Days"]], y)
    for kind in [*OF_MODEL[:4], plotting.FittedLinesDisplay]:
        with pytest.raises(ValueError, match="has no grouping factor"):
            shown(kind, model, X[["Days"]], y)
    with pytest.raises(ValueError, match="has no grouping factor"):
        plotting.ResidualsDisplay.from_estimator(model, X[["Days"]], y, panels="group")


def test_repeated_measures_have_no_groups(sleepstudy):
    X, y = sleepstudy
    fading = ResidualCovariance("ar1", subject="Subject", time="Days")
    model = MixedLinearRegressor(residual=fading).fit(X, y)
    for kind in (plotting.RandomEffectsDisplay, plotting.FittedLinesDisplay):
        with pytest.raises(ValueError, match=r"no random effects to show.* ResidualCorrel"):
            shown(kind, model, X, y)


def test_messages(model, sleepstudy, penicillin):
    X, y = sleepstudy
    for kind in [*OF_MODEL[:4], *OF_ROWS[:2]]:
        with pytest.raises(ValueError, match="group='subject' is not a grouping factor of the mod"):
            shown(kind, model, X, y, group="subject")
    for kind in OF_MODEL[:4]:
        with pytest.raises(ValueError, match="name='days' is not a coefficient of 'Subject'"):
            kind.from_estimator(model, name=["days"])
        with pytest.raises(ValueError, match=r"name=\[\] names no coefficient"):
            kind.from_estimator(model, name=[])
    with pytest.raises(ValueError, match="Pairs need two coefficients"):
        plotting.RandomEffectsPairsDisplay.from_estimator(penicillin[0])
    with pytest.raises(ValueError, match="components='corr', of which the model has none"):
        plotting.ProfileDisplay.from_estimator(penicillin[0], components="corr")
    with pytest.raises(ValueError, match="kind='pie' is not known"):
        plotting.VarianceDecompositionDisplay.from_estimator(model, kind="pie")
    with pytest.raises(ValueError, match="name='days' is not a fixed effect"):
        plotting.InfluenceDisplay.from_estimator(model, X, y, name="days")
    with pytest.raises(ValueError, match="panels='hist' is not known"):
        plotting.ResidualsDisplay.from_estimator(model, X, y, panels=["hist"])
    with pytest.raises(ValueError, match=r"panels=\(\) names no panel"):
        plotting.ResidualsDisplay.from_estimator(model, X, y, panels=())
    lines = plotting.FittedLinesDisplay.from_estimator
    for x in ("days", 2):
        with pytest.raises(ValueError, match=f"x={x!r} is not a column of X"):
            lines(model, X, y, x=x)
    with pytest.raises(ValueError, match="names 308, which is not a level of 'Subject' with rows"):
        lines(model, X, y, levels=[308])
    with pytest.raises(ValueError, match=r"levels=\[\] names no level"):
        lines(model, X, y, levels=[])
    with pytest.raises(ValueError, match="No row of X has a level"):
        lines(model, X.assign(Subject="nobody"), y)
    rich = MixedLinearRegressor("Subject", random_slopes="Days", fixed=["Days"])
    wide = X.assign(Squares=X["Days"] ** 2)
    slopes = RandomEffect("Subject", ["Days", "Squares"], covariance="diag")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        rich = MixedLinearRegressor(slopes).fit(wide, y)
    names = ["(Intercept)", "Days", "Squares"]
    with pytest.raises(ValueError, match=r"has 3 coefficients\. Name up to two"):
        plotting.ShrinkageDisplay.from_estimator(rich, name=names)
    with pytest.raises(TypeError, match="model is of type StandardScaler"):
        plotting.RandomEffectsDisplay.from_estimator(StandardScaler())


def test_nothing_fails_half_way(model, sleepstudy):
    before = plt.get_fignums()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        plotting.ResidualsDisplay.from_estimator(model, sleepstudy[0], sleepstudy[1][:-1])
    assert plt.get_fignums() == before


@pytest.mark.parametrize("ax", ["x", 1.5])
def test_axes_that_are_none(ax):
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject").fit(X, y)
    with pytest.raises(TypeError, match=f"ax={ax!r} is of type"):
        plotting.RandomEffectsDisplay.from_estimator(model, ax=ax)


def test_levels_without_an_order():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 60)
    labels = np.empty(60, dtype=object)
    labels[:] = [[1, "a", int, b"1"][k] for k in codes]
    X = pd.DataFrame({"x": rng.normal(size=60), "g": pd.Series(labels, dtype=object)})
    y = X["x"] + 3 * codes + rng.normal(size=60)
    model = MixedLinearRegressor("g").fit(X, y)
    assert len(plotting.FittedLinesDisplay.from_estimator(model, X, y).axes_) == 4


def test_displays_after_an_update(sleepstudy):
    X, y = sleepstudy
    is_new = (X["Subject"] == "308").to_numpy()
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~is_new], y[~is_new])
    model.update_groups(X[is_new], y[is_new])
    effects = model.random_effects_["Subject"]
    lines = plotting.FittedLinesDisplay.from_estimator(model, X, y, levels=["308"]).lines
    days = pd.DataFrame({"Days": lines["x"], "Subject": "308"})
    assert_allclose(lines["fitted"], model.predict(days), rtol=1e-12)
    rows = plotting.ResidualsDisplay.from_estimator(model, X, y, kind="pearson").rows
    assert_allclose(rows["fitted"], model.predict(X), rtol=1e-12)
    assert rows["level"].notna().all()
    with pytest.raises(ValueError, match="of its fit: choose another kind, or fit the model to"):
        plotting.ResidualsDisplay.from_estimator(model, X, y, kind="standardized")
    with pytest.raises(ValueError, match="The influences say how a fit follows"):
        plotting.InfluenceDisplay.from_estimator(model, X, y)
    shrinkage = plotting.ShrinkageDisplay.from_estimator(model)
    partial = effects + model.fixed_effects_
    assert_allclose(shrinkage.partial_pooling.loc[effects.index], partial, rtol=1e-12)
    # Lines of the days from the products of centered columns.
    own = np.polynomial.Polynomial.fit(X["Days"][is_new], y[is_new], 1).convert().coef
    assert_allclose(shrinkage.no_pooling.loc["308"], own, rtol=1e-10)


@pytest.mark.parametrize("missing", [np.nan, np.inf, None, pd.NA], ids=str)
def test_missing_values_of_a_column_to_plot_against(missing, model, sleepstudy):
    X, y = sleepstudy
    fit = MixedLinearRegressor("Subject", fixed=["Days"], random_slopes="Days")
    fit.fit(X.assign(other=1.0), y)
    values = np.arange(180.0).astype(object)
    values[20 + 3] = missing
    X = X.assign(other=values)
    assert X["Subject"].iloc[23] == "310"
    display = plotting.FittedLinesDisplay.from_estimator
    assert len(display(fit, X, y, x="other", levels=["308", "309"]).data) == 20
    with pytest.raises(ValueError, match=r"Column 'other' contains .*first at row 23\)"):
        display(fit, X, y, x="other", levels=["310"])


def test_masked_values_are_refused(sleepstudy):
    X, y = sleepstudy
    number = X["Subject"].astype(int)
    array = np.column_stack([X["Days"], number, np.arange(180)]).astype(float)
    fit = MixedLinearRegressor(1, fixed=[0], random_slopes=0).fit(array, y)
    masked = np.ma.array(array, mask=np.zeros(array.shape, dtype=bool))
    masked.mask[23, 2] = True
    responses = np.ma.array(np.asarray(y), mask=np.arange(180) == 23)
    for kind in OF_ROWS:
        with pytest.raises(ValueError, match=r"X has 1 masked values \(first at row 23\)"):
            kind.from_estimator(fit, masked, y)
        with pytest.raises(ValueError, match=r"y has 1 masked values \(first at row 23\)"):
            kind.from_estimator(fit, array, responses)


def test_correlations_of_residuals(sleepstudy):
    X, y = sleepstudy
    kind = plotting.ResidualCorrelationDisplay
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    fit = MixedLinearRegressor(residual=residual).fit(X, y)
    display = kind.from_estimator(fit, X, y)
    points, line = display.ax_.collections[-1], display.ax_.lines[0]
    found = residual_correlation(fit, X, y)
    np.testing.assert_allclose(points.get_offsets()[:, 1], found["correlation"])
    np.testing.assert_allclose(line.get_xydata(), found[["lag", "model"]])
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts == ["pairs", *map(str, found["pairs"])]
    assert display.ax_.get_xlabel() == "distance in Days"
    figure, ax = plt.subplots()
    display = kind.from_estimator(fit, X, y, quantity="semivariogram", bins=3, ax=ax)
    assert display.figure_ is figure
    values = display.correlations["semivariance"]
    np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 1], values)
    figure.canvas.draw()
    with pytest.raises(ValueError, match="quantity='variogram' is not known"):
        kind.from_estimator(fit, X, y, quantity="variogram")


@pytest.fixture(scope="module")
def repeated(sleepstudy):
    residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    term = RandomEffect("Subject", "Days", covariance="diag")
    return MixedLinearRegressor(term, residual=residual).fit(*sleepstudy)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [k for k in OF_MODEL + OF_ROWS if k is not plotting.ProfileDisplay]
)
def test_displays_of_models_with_a_residual_covariance(kind, repeated, sleepstudy):
    fit, (X, y) = repeated, sleepstudy
    display = shown(kind, fit, X, y)
    display.figure_.canvas.draw()
    if kind is plotting.ResidualsDisplay:
        means = fit.predict(X, include=["Subject"])
        np.testing.assert_allclose(display.rows["fitted"], means)
        found = residuals(fit, X, y, "standardized")
        np.testing.assert_allclose(display.rows["residual"], found)
        options = {"kind": "normalized", "panels": "qq"}
        assert kind.from_estimator(fit, X, y, **options).scale == 1.0


def test_residuals_of_counts_are_quantiles_and_lines_are_means():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "g": rng.integers(0, 8, 200)})
    days = rng.uniform(1.0, 9.0, 200)
    rate = np.exp(0.4 * frame["x"] + rng.normal(size=8)[frame["g"]])
    y = rng.poisson(days * rate)
    model = MixedPoissonRegressor("g").fit(frame, y, exposure=days)
    display = plotting.ResidualsDisplay.from_estimator(model, frame, y, exposure=days)
    assert (display.kind, display.scale) == ("quantile", 1.0)
    assert_array_equal(
        display.rows["residual"], residuals(model, frame, y, "quantile", exposure=days)
    )
    mean = model.predict(frame, exposure=days)
    assert_allclose(display.rows["fitted"], mean, rtol=1e-12)
    display = plotting.ResidualsDisplay.from_estimator(
        model, frame, y, exposure=days, kind="response"
    )
    assert display.scale == np.std(display.rows["residual"])
    lines = plotting.FittedLinesDisplay.from_estimator(
        model, frame, y, exposure=days, x="x", levels=[3]
    )
    assert_allclose(lines.data["y"], (y / days)[frame["g"] == 3])
    at = pd.DataFrame({"x": lines.lines["x"], "g": 3})
    assert_allclose(lines.lines["fitted"], model.predict(at), rtol=1e-12)
    fixed = model.predict(at, include="fixed")
    assert_allclose(lines.lines["population"], fixed, rtol=1e-12)
    with pytest.raises(ValueError, match="exposure=None, but the model was fitted with"):
        plotting.FittedLinesDisplay.from_estimator(model, frame, y, x="x")


def test_a_linear_model_has_no_exposure(model, sleepstudy):
    for display in (plotting.ResidualsDisplay, plotting.FittedLinesDisplay):
        with pytest.raises(ValueError, match="exposure= is for counts"):
            display.from_estimator(model, *sleepstudy, exposure=np.ones(180))


def test_own_fits_of_groups_of_counts_are_maximum_likelihood():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": 5.0 + rng.normal(size=160), "g": rng.integers(0, 8, 160)})
    effects = rng.normal(size=(2, 8)) * [[0.5], [0.3]]
    eta = effects[0][frame["g"]] + (0.3 + effects[1][frame["g"]]) * (frame["x"] - 5.0)
    y = rng.poisson(np.exp(eta))
    y[frame["g"] == 6] = 0
    model = MixedPoissonRegressor("g", random_slopes="x").fit(frame, y)
    display = plotting.ShrinkageDisplay.from_estimator(model)
    assert display.no_pooling.loc[6].isna().all()  # no count but 0: no maximum
    for level in (0, 3):
        own = frame["g"] == level
        alone = MixedPoissonRegressor().fit(frame.loc[own, ["x"]], y[own])
        # Two searches for the same maximum, of which the package's ends by a tolerance
        assert_allclose(display.no_pooling.loc[level], alone.fixed_effects_, rtol=1e-5)
    partial = model.fixed_effects_.to_numpy() + model.random_effects_["g"].to_numpy()
    assert_allclose(display.partial_pooling, partial, rtol=1e-12)
