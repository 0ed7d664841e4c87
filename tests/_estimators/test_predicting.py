"""Tolerances: two exact computations at one θ differ by rounding times the condition
of X, some thousands where the oracle sees it uncentered."""

import pickle
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from _uncertainty.test_row_slopes import dense_slopes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracle import design_of_term
from scipy import stats
from sklearn.pipeline import make_pipeline
from test_diagnostics import MODELS, SLOPE, Case, make, weights_of

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._derivatives.information import information
from skmixed._derivatives.parameters import Parameters
from skmixed._estimators.predicting import OF
from skmixed._fitted.fitted_model import fitted
from skmixed._uncertainty.small_sample import parameter_covariance
from skmixed.datasets import load_dyestuff, load_dyestuff2, load_pastes, load_sleepstudy
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import contrast

T = stats.t.ppf


def half_width(interval):
    return (interval[:, 1] - interval[:, 0]) / 2


def other_rows():
    """Rows that were not in the fit: known, unknown and missing levels in any mixture."""
    X, _ = make(1, 40)
    X["region"] = np.random.default_rng(0).integers(0, 4, 40)  # with schools of other regions
    X.iloc[:8, X.columns.get_loc("school")] = 99
    X.iloc[4:12, X.columns.get_loc("item")] = "new"
    X["school"] = X["school"].astype(float).mask(np.arange(40) == 20)
    return X


class Dense:
    """Variance, slopes and the degrees of freedom of predicted means, by definition."""

    def __init__(self, case, X):
        view = fitted(case.model)
        encoder, fac = view.encoder, view.factorization
        columns = np.column_stack([np.ones(len(X)), *(X[name] for name in encoder.names)])
        parts, new, values = [], np.zeros(len(X)), []
        for term, lam in zip(encoder.terms, case.lams, strict=True):
            factor = encoder.factors[term.factor]
            names = factor.name.split(":")
            labels = pd.MultiIndex.from_frame(X[names]) if len(names) > 1 else X[names[0]]
            codes = factor.index.get_indexer(labels)
            own = columns[:, list(term.columns)]
            known = (codes >= 0)[:, None]
            parts.append(design_of_term(np.maximum(codes, 0), factor.n_levels, own) * known)
            values.append(own * ~known)
            new += ((values[-1] @ lam) ** 2).sum(axis=1)
        kept = [encoder.fixed[k] for k in view.solution.kept]
        dense = np.column_stack([*parts, columns[:, kept]])
        joint = case.dense.joint_covariance(case.lams)
        self.relative = np.einsum("ij,jk,ik->i", dense, joint, dense) + new
        self.slopes = self._slopes(case, fac, dense, values)
        self.fac, self.unit, self.likelihood = fac, fac.system.weight_unit, view.likelihood

    def _slopes(self, case, fac, dense, values):
        if not values:
            return np.empty((len(dense), 0))
        # V/σ² of the oracle is relative to the unit of the user's weights.
        out = dense_slopes(_AsCase(case), fac, case.lams, dense)
        parameters = Parameters.of(fac.system)
        for (_, term), place in zip(parameters.terms, parameters.places, strict=True):
            for i, d in enumerate(term.term.structure.directions(term.size), place.start):
                user = term.to_user @ d @ term.to_user.T
                out[:, i] += np.einsum(
                    "na,ab,nb->n", *(values[term.index], user, values[term.index])
                )
        return out

    def df(self, weights=None):
        """Degrees of freedom of the mean, or of observations with the weights."""
        unit = self.unit
        relative = self.relative + (0.0 if weights is None else 1.0 / weights)
        g = np.column_stack([self.slopes / unit, relative])
        spread = np.einsum(
            "nd,de,ne->n", g, parameter_covariance(information(self.fac, self.likelihood)), g
        )
        return 2 * relative**2 / spread


class _AsCase:
    def __init__(self, case):
        self.oracle = case.dense


@pytest.fixture(scope="module", params=MODELS, ids=str)
def case(request):
    X, y = make()
    if request.param == "rank":
        X = X.assign(twice=2 * X["x"])
    if request.param == "singular":
        y, X = X["x"] + np.random.default_rng(8).normal(size=60), X[["x", "z", "item"]]
    build, weights = MODELS[request.param]
    return Case.of(build(), X, y, weights)


def rows_of(case):
    X = other_rows()
    return X.assign(twice=2 * X["x"])[list(case.X.columns)]


def test_variance_and_degrees_of_freedom_are_the_dense_ones(case):
    X = rows_of(case)
    dense, model = Dense(case, X), case.model
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 40)
    variance = model.sigma_**2 * dense.relative
    mean, std = model.predict(X, return_std=True)
    assert (mean == model.predict(X)).all()
    assert_allclose(std, np.sqrt(variance + model.sigma_**2), rtol=1e-8)
    for of, more, own in (("mean", 0.0, None), ("observation", model.sigma_**2 / weights, weights)):
        sd = np.sqrt(variance + more)
        n_minus_p = len(case.y) - case.dense.X.shape[1]
        for ddf, df, rtol in (
            ("normal", np.inf, 1e-7),
            ("residual", n_minus_p, 1e-7),
            ("satterthwaite", dense.df(own), 1e-5),
        ):
            found = model.predict_interval(X, level=0.9, of=of, ddf=ddf, sample_weight=weights)
            assert found.shape == (40, 2)
            assert_allclose(found.mean(axis=1), mean, rtol=1e-10)
            assert_allclose(half_width(found), T(0.95, df) * sd, rtol=rtol)


@pytest.mark.slow
def test_rows_do_not_depend_on_each_other(case):
    X = rows_of(case)
    spoiled = X.copy()
    for name in case.X.columns:
        if name not in ("x", "z", "twice"):
            spoiled[name] = spoiled[name].astype(object)
            spoiled.iloc[30, spoiled.columns.get_loc(name)] = None
    others = np.arange(40) != 30
    for of in ("mean", "observation"):
        whole = case.model.predict_interval(X, of=of)
        assert (whole[others] == case.model.predict_interval(spoiled, of=of)[others]).all()
        alone = [case.model.predict_interval(X.iloc[[i]], of=of)[0] for i in range(0, 40, 9)]
        assert (whole[::9] == alone).all()


def test_a_known_subject_and_a_new_one():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    rows = pd.DataFrame({"Days": [0, 5], "Subject": ["308", "new"]})
    # lme4's numbers, to the digits they are given in.
    sd = half_width(model.predict_interval(rows, of="mean", ddf="normal")) / T(0.975, np.inf)
    assert_allclose(sd, [12.2548, 40.9478], atol=5e-5)
    assert model.predict(rows, return_std=True)[1][1] == pytest.approx(48.2873, abs=5e-5)


def test_the_mean_of_the_population_has_the_contrast_s_interval():
    X, y = load_pastes(return_X_y=True, as_frame=True)
    X = X[["batch", "cask"]].assign(x=np.random.default_rng(0).normal(size=len(X)))
    model = MixedLinearRegressor(["batch", ("batch", "cask")], fixed=["x"]).fit(X, y)
    rows = X[["x"]].iloc[:3]
    table = pd.concat([contrast(model, [[1, x]]) for x in rows["x"]])
    found = model.predict_interval(rows, of="mean", include="fixed")
    assert_allclose(found.mean(axis=1), table["estimate"], rtol=1e-10)
    expected = T(0.975, table["df"]) * table["std_error"]
    # Two ways to the derivatives of a variance, of which t feels a tenth.
    assert_allclose(half_width(found), expected, rtol=1e-8)
    normal = model.predict_interval(rows, of="mean", include="fixed", ddf="normal")
    assert_allclose(half_width(normal), T(0.975, np.inf) * table["std_error"], rtol=1e-9)


def test_the_mean_of_the_population_is_lmertest_s():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    found = model.predict_interval(X[["Days"]].iloc[[0, 9]], of="mean", include="fixed")
    # contest1D(m, c(1, 0)) and c(1, 9), with finite differences for the degrees of freedom.
    expected = [[237.0064468, 265.8037629], [314.7465593, 376.4747977]]
    assert_allclose(found, expected, rtol=1e-6)


def test_an_observation_of_the_population_is_in_new_groups(case):
    X, model = rows_of(case), case.model
    columns = [c for own in fitted(model).encoder.factors for c in own.name.split(":")]
    unknown = X.assign(**dict.fromkeys(columns, None))
    given = X.drop(columns=columns)
    expected = model.predict(unknown, return_std=True)
    assert_array_equal(model.predict(given, include="fixed", return_std=True), expected)
    expected = model.predict_interval(unknown)
    assert_array_equal(model.predict_interval(given, include="fixed"), expected)


def test_a_mean_has_no_variance_of_factors_that_are_not_included():
    X, y = make()
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x", "z"]).fit(X, y)
    rows = other_rows()

    def variance(rows, **more):
        found = model.predict_interval(rows, ddf="normal", **more)
        return (half_width(found) / T(0.975, np.inf)) ** 2

    alone = rows.drop(columns="item")
    of_schools = variance(alone, of="mean", include=["school"])
    of_new_item = rows.assign(item="new")
    item = model.covariances_["item"].iloc[0, 0]
    assert_allclose(variance(of_new_item, of="mean") - of_schools, item, rtol=1e-9)
    assert_array_equal(variance(alone, include=["school"]), variance(of_new_item))
    # A school of the included factor that is not known varies.
    new = rows.assign(school=99)
    root = np.column_stack([np.ones(40), rows["x"]])
    between = np.einsum("ni,ij,nj->n", root, model.covariances_["school"], root)
    of_new_school = variance(new, of="mean", include=["school"])
    population = variance(new, of="mean", include="fixed")
    assert_allclose(of_new_school - population, between, rtol=1e-9)


def test_further_rows_do_not_change_the_population():
    X, y = make()
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x", "z"]).fit(X, y)
    rows = other_rows()
    of_fit = [model.predict_interval(rows, of=of, include="fixed") for of in OF]
    new, more = make(3)
    model.update_groups(new.assign(school=new["school"] + 5), more)
    of_all = [model.predict_interval(rows, of=of, include="fixed") for of in OF]
    assert_allclose(of_all, of_fit, rtol=1e-8)  # derivatives from two factorizations


def test_the_population_needs_no_known_groups():
    X, y = make()
    model = MixedLinearRegressor("school", fixed=["x"], handle_unknown="error").fit(X, y)
    rows = X.assign(school=99)
    assert np.isfinite(model.predict_interval(rows, include="fixed")).all()
    assert np.isfinite(model.predict(rows, include="fixed", return_std=True)[1]).all()
    beside = MixedLinearRegressor(fixed=["x"]).fit(X[["x"]], y, groups=X["school"])
    assert_allclose(
        beside.predict_interval(X[["x"]], include="fixed"),
        model.predict_interval(rows, include="fixed"),
        rtol=1e-10,
    )


def test_a_new_group_of_a_balanced_one_way_layout_is_a_combination_of_mean_squares():
    X, y = load_dyestuff(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Batch").fit(X, y)
    q, n = 6, 5
    groups = y.groupby(X["Batch"])
    between = n * groups.mean().var()
    within = groups.var().mean()
    new = pd.DataFrame({"Batch": ["new"]})
    for of, rest in (("mean", -1 / n), ("observation", 1 - 1 / n)):
        # σ_b²(1 + 1/q) + σ²/(nq), and σ², of the mean squares (Satterthwaite, 1946).
        parts = np.array([(1 + 1 / q) / n * between, rest * within])
        df = parts.sum() ** 2 / (parts**2 / [q - 1, q * (n - 1)]).sum()
        found = half_width(model.predict_interval(new, of=of))[0]
        # θ̂ is at the optimum to about 1e-7.
        assert found == pytest.approx(T(0.975, df) * np.sqrt(parts.sum()), rel=1e-5)


def test_a_variance_next_to_nothing_has_one_degree_of_freedom():
    q, n = 4, 5
    within = np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], q)  # a mean square of 2.5
    level = np.array([-1.5, -0.5, 0.5, 1.5])
    # The mean square between groups is 1 % larger: the variance between them is 0.005.
    level *= np.sqrt(1.01 * 2.5 / (n * level.var(ddof=1)))
    group = np.repeat(np.arange(q), n)
    model = MixedLinearRegressor(0).fit(group[:, None], within + level[group])
    found = half_width(model.predict_interval([[99]], of="mean"))[0]
    # By the formula of the test above 0.12 degrees of freedom.
    variance = (1 + 1 / q) / n * 1.01 * 2.5 - 2.5 / n
    assert found == pytest.approx(T(0.975, 1) * np.sqrt(variance), rel=1e-5)


def test_without_groups_it_is_the_interval_of_least_squares():
    X, y = make()
    X = X[["x", "z"]]
    model = MixedLinearRegressor().fit(X, y)
    design = np.column_stack([np.ones(60), X])
    beta, squares = np.linalg.lstsq(design, y, rcond=None)[:2]
    new = np.array([[0.5, -1.0], [30.0, 2.0]])
    rows = np.column_stack([np.ones(2), new])
    h = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(design.T @ design), rows)
    s, center = np.sqrt(squares[0] / 57), rows @ beta
    new = pd.DataFrame(new, columns=["x", "z"])
    for of, more in (("mean", 0), ("observation", 1)):
        half = T(0.975, 57) * s * np.sqrt(h + more)
        for ddf in ("satterthwaite", "residual"):
            found = model.predict_interval(new, of=of, ddf=ddf)
            assert_allclose(found, np.column_stack([center - half, center + half]), rtol=1e-10)


def test_a_variance_of_zero_is_least_squares():
    X, y = load_dyestuff2(return_X_y=True, as_frame=True)
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("Batch").fit(X, y)
    rows = pd.DataFrame({"Batch": [X["Batch"].iloc[0], "new"]})
    half = T(0.975, 29) * y.std() * np.sqrt(1 + 1 / 30)
    expected = [[y.mean() - half, y.mean() + half]] * 2
    assert_allclose(model.predict_interval(rows), expected, rtol=1e-10)


@cache
def interval_in_the_first_units():
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x", "z"]).fit(*make())
    return model.predict_interval(other_rows())


@pytest.mark.slow
@given(scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), column=st.floats(1e-6, 1e6))
@settings(max_examples=20, deadline=None)
def test_units_change_nothing(scale, shift, column):
    (X, y), rows, expected = make(), other_rows(), interval_in_the_first_units()
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x", "z"])
    model.fit(X.assign(x=column * X["x"]), scale * (y + shift))
    found = model.predict_interval(rows.assign(x=column * rows["x"]))
    # Each search ends within about 1e-7 of the optimum; y + shift loses some digits.
    assert_allclose(found / scale - shift, expected, rtol=0, atol=1e-4)


def test_a_unit_of_the_weights_changes_nothing():
    X, y = make()
    rows, weights = other_rows(), weights_of(60)
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x"])
    mean = model.fit(X, y, weights).predict_interval(rows, of="mean")
    new = model.predict_interval(rows, sample_weight=weights[:40])
    one = model.predict_interval(rows)
    assert (one == model.predict_interval(rows, sample_weight=np.ones(40))).all()
    model.fit(X, y, 1e5 * weights)
    assert_allclose(model.predict_interval(rows, of="mean"), mean, atol=1e-5)
    assert_allclose(model.predict_interval(rows, sample_weight=1e5 * weights[:40]), new, atol=1e-5)


def test_intervals_are_nested():
    X, y = make()
    model = MixedLinearRegressor([SLOPE, "item"], fixed=["x"], method="ml").fit(X, y)
    rows = other_rows()
    center, std = model.predict(rows, return_std=True)
    narrow, wide = (model.predict_interval(rows, level=level) for level in (0.5, 0.99))
    assert ((wide[:, 0] < narrow[:, 0]) & (narrow[:, 0] < center)).all()
    assert ((center < narrow[:, 1]) & (narrow[:, 1] < wide[:, 1])).all()
    plug_in = model.predict_interval(rows, ddf="normal")
    assert_allclose(half_width(plug_in), T(0.975, np.inf) * std, rtol=1e-12)
    # A known level of all factors leaves less unknown than a new one.
    known = rows.assign(school=X["school"].iloc[0], item="a", x=2.0)
    new = known.assign(school=-1)
    of_mean = [half_width(model.predict_interval(r, of="mean", ddf="normal")) for r in (known, new)]
    assert (of_mean[0] < of_mean[1]).all()


def test_no_fixed_effects_and_exact_fits():
    X, y = make()
    rows = other_rows()
    model = MixedLinearRegressor([SLOPE], fixed=[], fit_intercept=False).fit(X, y)
    assert np.isfinite(model.predict_interval(rows)).all()
    slope = RandomEffect("school", slopes="x", intercept=False)
    model = MixedLinearRegressor([slope], fixed=[], fit_intercept=False).fit(X, y)
    # Nothing varies at x = 0; rows are centered and x is not, to rounding.
    at_zero = model.predict_interval(rows.assign(x=0.0), of="mean")
    assert_allclose(at_zero, np.zeros((40, 2)), atol=1e-13)
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor("school", fixed=["x"]).fit(X, 3 * X["x"])
    assert_allclose(model.predict_interval(X), np.column_stack([3 * X["x"]] * 2), atol=1e-4)


def test_pipelines_positions_and_metadata():
    X, y = make()
    X, rows = X[["x", "school"]], other_rows()[["x", "school"]]
    model = MixedLinearRegressor("school").fit(X, y)
    interval, std = model.predict_interval(rows), model.predict(rows, return_std=True)[1]
    state = pickle.dumps(model)
    model.predict_interval(rows)
    assert pickle.dumps(model) == state
    pipeline = make_pipeline("passthrough", MixedLinearRegressor("school")).fit(X, y)
    assert (pipeline.predict(rows, return_std=True)[1] == std).all()
    array = MixedLinearRegressor(-1).fit(X.to_numpy(), y)
    assert_allclose(array.predict_interval(rows.to_numpy()), interval, rtol=1e-10)
    beside = MixedLinearRegressor().fit(X[["x"]], y, groups=X["school"])
    found = beside.predict_interval(rows[["x"]], groups=rows["school"])
    assert_allclose(found, interval, rtol=1e-10)
    with pytest.raises(ValueError, match="The model was fitted with groups beside X"):
        beside.predict_interval(rows[["x"]])


def test_dropped_columns():
    X, y = make()
    X = X.assign(twice=2 * X["x"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        model = MixedLinearRegressor("school", fixed=["x", "twice"]).fit(X, y)
    plain = MixedLinearRegressor("school", fixed=["x"]).fit(X, y)
    assert_allclose(model.predict_interval(X), plain.predict_interval(X), rtol=1e-9)


def test_messages():
    X, y = make()
    model = MixedLinearRegressor("school", fixed=["x"]).fit(X, y)
    rows = X.assign(school=99)
    with pytest.raises(ValueError, match=r"of='y' is not known\. Choose one of 'observation'"):
        model.predict_interval(X, of="y")
    with pytest.raises(ValueError, match="ddf='kenward-roger' is not known"):
        model.predict_interval(X, ddf="kenward-roger")
    with pytest.raises(ValueError, match=r"level=95 is not between 0 and 1"):
        model.predict_interval(X, level=95)
    with pytest.raises(TypeError, match=r"return_std=1 is of type int\. Give True or False"):
        model.predict(X, return_std=1)
    for call, more in ((model.predict_interval, {}), (model.predict, {"return_std": True})):
        with pytest.raises(ValueError, match=r"include=\['item'\] names 'item', which is not a"):
            call(X, include=["item"], **more)
    weights = np.ones(60)
    weights[7] = 0.0
    with pytest.raises(ValueError, match="sample_weight is 0 at row 7, and an observation of no"):
        model.predict_interval(X, sample_weight=weights)
    assert np.isfinite(model.predict_interval(X, of="mean", sample_weight=weights)).all()
    model.set_params(handle_unknown="error")
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        model.predict_interval(rows)
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        model.predict(rows, return_std=True)


def test_rows_after_the_fit_narrow_the_intervals_of_their_groups():
    X, y = load_sleepstudy(return_X_y=True)
    is_new = (X["Subject"] == "308").to_numpy()
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~is_new], y[~is_new])
    before = model.predict(X, return_std=True)[1]
    narrow = model.predict_interval(X, of="mean")
    model.update_groups(X[is_new], y[is_new])
    _, after = model.predict(X, return_std=True)
    later = model.predict_interval(X, of="mean")
    # Known groups keep theirs, to rounding; those of the new one lose most of Σ.
    assert_allclose(after[~is_new], before[~is_new], rtol=1e-9)
    # The derivatives behind the degrees of freedom are those of a fit to all rows.
    assert_allclose(later[~is_new], narrow[~is_new], rtol=1e-4)
    assert (np.ptp(later[is_new], axis=1) < 0.7 * np.ptp(narrow[is_new], axis=1)).all()
    assert (after[is_new] > model.sigma_).all()
