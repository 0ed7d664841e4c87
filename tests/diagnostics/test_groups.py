"""Influence of groups: against refits by lme4, with the measures of HLMdiag and influence.ME."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import ROOT, read_frame
from sklearn.base import clone
from sklearn.model_selection import LeaveOneGroupOut

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance, lmer
from skmixed._folds import whole_groups
from skmixed.datasets import load_pastes, load_penicillin, load_sleepstudy
from skmixed.diagnostics import group_influence
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.model_selection import cross_validate

BY_REML = {("pastes", "sample"), ("penicillin", "plate")}
MEASURES = ("cooks_distance", "mdffits", "covratio")
SPECS = {
    "Reaction ~ Days + (Days | Subject)": {"groups": "Subject", "random_slopes": "Days"},
    "Reaction ~ Days + (1 | Subject)": {"groups": "Subject"},
    "distance ~ age * Sex + (1 | Subject)": {"groups": "Subject"},
    "strength ~ 1 + (1 | batch) + (1 | sample)": {"groups": ["batch", "sample"]},
    "diameter ~ 1 + (1 | plate) + (1 | sample)": {"groups": ["plate", "sample"]},
}
# Of two crossed factors the one with many levels is left out by REML alone: what maximum likelihood
# changes is the same for the other data.
REFERENCES = [
    own
    for own in json.loads((Path(ROOT) / "influence" / "groups.json").read_text())
    if own["reml"] or (own["dataset"], own["factor"]) not in BY_REML
]


def name_of(reference):
    method = "reml" if reference["reml"] else "ml"
    return f"{reference['dataset']}-{reference['factor']}-{method}"


each_reference = pytest.mark.parametrize("reference", REFERENCES, ids=name_of)


@cache
def of_dataset(name, formula):
    """X, y and weights of a data set."""
    frame = read_frame(name).copy()
    response = formula.split()[0]
    fixed = [c for c in ("Days", "age") if c in frame]
    if name == "orthodont":
        frame["Female"] = 1.0 * (frame["Sex"] == "Female")
        frame["age:Female"] = frame["age"] * frame["Female"]
        fixed += ["Female", "age:Female"]
    X = frame[[*fixed, *(c for c in ("Subject", "batch", "plate", "sample") if c in frame)]]
    return X, frame[response], frame.get("w"), fixed


@cache
def fitted(name, formula, reml):
    X, y, weights, fixed = of_dataset(name, formula)
    method = "reml" if reml else "ml"
    model = MixedLinearRegressor(fixed=fixed, method=method, tol=1e-11, **SPECS[formula])
    return model.fit(X, y, sample_weight=weights), X, y, weights


@cache
def table_of(number, theta, sigma):
    """The table of a reference, by its number."""
    reference = REFERENCES[number]
    own = (reference[key] for key in ("dataset", "formula", "reml"))
    model, X, y, weights = fitted(*own)
    table = group_influence(
        model, X, y, factor=reference["factor"], sample_weight=weights, theta=theta, sigma=sigma
    )
    return table.loc[reference["levels"]]


def found(reference, theta, sigma="refit"):
    return table_of(REFERENCES.index(reference), theta, sigma)


@pytest.mark.slow
@each_reference
@pytest.mark.filterwarnings("ignore:Without:skmixed.exceptions.SingularFitWarning")
def test_refits_are_those_of_lme4(reference):
    table = found(reference, "refit")
    n = len(table)
    p = np.size(reference["change"]) // n
    # lme4's optimum is that of a search without derivatives: seven digits of θ
    for name in MEASURES:
        assert_allclose(table[name], reference["refit"][name], rtol=2e-5)
    assert_allclose(table["covtrace"], reference["refit"]["covtrace"], rtol=1e-5, atol=1e-5)
    assert_allclose(table["mdffits"], reference["influence_me_cooks"], rtol=2e-5)
    changes = [c for c in table if c.startswith("change_")]
    expected = np.reshape(reference["change"], (n, p))
    assert_allclose(table[changes], expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    dfbetas = [c for c in table if c.startswith("dfbetas_")]
    assert_allclose(table[dfbetas], np.reshape(reference["dfbetas"], (n, p)), rtol=1e-5, atol=1e-6)
    assert_allclose(
        table["variance_change_residual"], np.reshape(reference["rvc"], (n, -1))[:, -1], atol=1e-6
    )


@pytest.mark.parametrize("reml", [True, False])
def test_relative_variance_changes_are_those_of_lme4(reml):
    (reference,) = (
        r for r in REFERENCES if r["reml"] is reml and r["formula"].endswith("(Days | Subject)")
    )
    table = found(reference, "refit")
    names = ["(Intercept) | Subject", "Days | Subject", "residual"]
    own = table[[f"variance_change_{name}" for name in names]]
    rvc = np.array(reference["rvc"])
    # The rounding of lme4's search; as.data.frame(VarCorr()) has the covariance third
    assert_allclose(own, rvc[:, [0, 1, 3]], atol=1e-5)
    model, *_ = fitted("sleepstudy", reference["formula"], reml)
    corr = model.variance_components_["corr"][1]
    of_refit = (1 + rvc[:, 2]) / np.sqrt((1 + rvc[:, 0]) * (1 + rvc[:, 1]))
    own = table["correlation_change_(Intercept), Days | Subject"]
    assert_allclose(own, corr * of_refit - corr, atol=1e-5)


@pytest.mark.parametrize("reference", [r for r in REFERENCES if r["fixed"]], ids=name_of)
def test_held_variances_give_the_numbers_of_hlmdiag(reference):
    table = found(reference, "fixed", "fixed")
    # Both at one's own θ, of which lme4's has seven digits
    for name in MEASURES:
        assert_allclose(table[name], reference["fixed"][name], rtol=1e-5)
    assert_allclose(table["covtrace"], reference["fixed"]["covtrace"], rtol=1e-5, atol=1e-9)


@pytest.mark.slow
@each_reference
@pytest.mark.filterwarnings("ignore:Without:skmixed.exceptions.SingularFitWarning")
def test_one_step_is_nearer_to_the_refits_than_none(reference):
    tables = {theta: found(reference, theta) for theta in ("refit", "one_step", "fixed")}
    names = ["cooks_distance", "mdffits", "covratio"]
    error = {
        theta: np.abs(tables[theta][names] - tables["refit"][names]).to_numpy()
        for theta in ("one_step", "fixed")
    }
    assert error["one_step"].mean() < 0.5 * error["fixed"].mean()


def test_one_step_has_an_error_of_second_order():
    """Groups that change θ by half as much have a fourth of the error."""
    rng = np.random.default_rng(0)
    errors = []
    for n_groups in (20, 40):
        label = np.repeat(np.arange(n_groups), 5)
        y = rng.normal(size=n_groups)[label] + rng.normal(size=len(label))
        # The group of the first label stands out by as much
        y[:5] += 5.0
        X = pd.DataFrame({"g": label})
        model = MixedLinearRegressor("g", tol=1e-12).fit(X, y)
        name = "variance_change_(Intercept) | g"
        tables = [group_influence(model, X, y, theta=theta) for theta in ("refit", "one_step")]
        refit, step = (table.loc[0, name] for table in tables)
        errors.append(abs(step - refit) / refit**2)
    # In units of the change squared it is a constant, up to third order
    assert max(errors) < 0.5


def test_rows_of_groups_their_order_and_labels_beside_x():
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    table = group_influence(model, X, y, theta="fixed")
    assert table.index.name == "Subject"
    assert_array_equal(table.index, model.random_effects_["Subject"].index)
    assert_array_equal(table["n_rows"], 10)
    turned = np.random.default_rng(0).permutation(180)
    own = group_influence(model, X.iloc[turned], y.iloc[turned], theta="fixed")
    # Sums in another order
    assert_allclose(own, table, rtol=1e-8, atol=1e-10)
    beside = MixedLinearRegressor(RandomEffect("Subject", ["Days"]), fixed=["Days"])
    beside.fit(X[["Days"]], y, groups=X[["Subject"]])
    own = group_influence(beside, X[["Days"]], y, groups=X[["Subject"]], theta="fixed")
    assert_allclose(own, table, rtol=1e-8, atol=1e-10)


def test_a_formula_has_its_response_and_offset_in_the_frame():
    X, y = load_sleepstudy(return_X_y=True)
    frame = X.assign(Reaction=y, known=np.sin(np.arange(180.0)))
    model = lmer("Reaction ~ Days + offset(known) + (1 | Subject)", frame)
    plain = MixedLinearRegressor("Subject").fit(X, y - frame["known"])
    own = group_influence(model, frame)
    expected = group_influence(plain, X, y - frame["known"])
    # Two searches with the tolerance 1e-8 of the criterion
    assert_allclose(own, expected, rtol=1e-4, atol=1e-6)


def test_rows_of_weight_zero_are_not_there():
    X, y = load_sleepstudy(return_X_y=True)
    weights = np.ones(180)
    weights[:12] = 0.0
    model = MixedLinearRegressor("Subject").fit(X, y, sample_weight=weights)
    table = group_influence(model, X, y, sample_weight=weights)
    part = MixedLinearRegressor("Subject").fit(X[12:], y[12:])
    expected = group_influence(part, X[12:], y[12:])
    assert_array_equal(table.index, expected.index)
    assert_allclose(table, expected, rtol=1e-6, atol=1e-8)


def test_a_group_that_alone_determines_an_effect_has_no_measures():
    X, y = load_sleepstudy(return_X_y=True)
    X = X.assign(only=np.where(X["Subject"] == "309", X["Days"] % 2.0, 0.0))
    model = MixedLinearRegressor("Subject").fit(X, y)
    with pytest.warns(UserWarning, match=r"Without 1 of 18 levels of 'Subject'.*'only'"):
        table = group_influence(model, X, y)
    own = table.loc["309"]
    assert np.isnan(own[["cooks_distance", "mdffits", "covratio", "change_Days"]]).all()
    assert np.isfinite(own["variance_change_residual"])
    assert np.isfinite(table.drop("309")).all(axis=None)


def test_dropped_columns_have_changes_of_zero():
    X, y = load_sleepstudy(return_X_y=True)
    with pytest.warns(UserWarning, match="depend"):
        model = MixedLinearRegressor("Subject").fit(X.assign(twice=2.0 * X["Days"]), y)
    table = group_influence(model, X.assign(twice=2.0 * X["Days"]), y, theta="one_step")
    plain = MixedLinearRegressor("Subject").fit(X, y)
    expected = group_influence(plain, X, y, theta="one_step")
    assert_array_equal(table["change_twice"], 0.0)
    assert "dfbetas_twice" not in table
    assert_allclose(table[expected.columns], expected, rtol=1e-6, atol=1e-8)


def test_where_some_groups_cannot_be_left_out_they_are_nan():
    X = pd.DataFrame({"g": [*"aabb", *"cccccc"], "x": 1.0 * np.arange(10)})
    X["h"] = [*"pppp", *"ppqqrr"]
    y = np.random.default_rng(0).normal(size=10) + np.repeat([0.0, 4.0], [4, 6])
    model = MixedLinearRegressor(["g", "h"], fixed=[]).fit(X, y)
    with pytest.warns(UserWarning, match="there is no fit, and their results are NaN"):
        table = group_influence(model, X, y, factor="g")
    assert np.isnan(table.loc["c"].drop("n_rows")).all()
    assert np.isfinite(table.loc["a", "cooks_distance"])


def test_a_singular_refit_is_said_once():
    X, y = load_pastes(return_X_y=True)
    model = MixedLinearRegressor(["batch", "sample"], fixed=[]).fit(X, y)
    with pytest.warns(SingularFitWarning) as told:
        table = group_influence(model, X, y, factor="batch")
    (message,) = (str(w.message) for w in told)
    assert message.startswith("Without 1 of 10 levels of 'batch': ")
    assert (table["variance_change_(Intercept) | batch"] == -1.0).sum() == 1


def test_a_variance_of_zero_has_no_relative_change():
    rng = np.random.default_rng(1)
    X = pd.DataFrame({"g": np.arange(60) % 6})
    y = rng.normal(size=60) - np.repeat(0.0, 60)
    y -= pd.Series(y).groupby(X["g"]).transform("mean")
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("g").fit(X, y)
    for theta in ("one_step", "fixed"):
        table = group_influence(model, X, y, theta=theta)
        assert np.isfinite(table["cooks_distance"]).all()
        assert np.isnan(table["variance_change_(Intercept) | g"]).all()
        assert np.isfinite(table["variance_change_residual"]).all()


def test_a_held_theta_is_that_of_cross_validation():
    """The relative variances are those of all rows, and σ is new; it may be held as well."""
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    table = group_influence(model, X, y, theta="fixed")
    own = X["Subject"] == "309"
    found = cross_validate(
        model, X, y, cv=LeaveOneGroupOut(), theta="fixed", return_predictions=True
    )
    changes = [table.loc["309", f"change_{name}"] for name in ("(Intercept)", "Days")]
    fixed = model.fixed_effects_ + changes
    assert_allclose(found["predictions"][own], fixed.iloc[0] + fixed.iloc[1] * X["Days"][own])
    # All variances change as σ² does, and nothing that is relative to them
    variances = [c for c in table if c.startswith("variance_change")]
    assert len(variances) == 3
    residual = table["variance_change_residual"]
    assert_allclose(table[variances], np.stack([residual] * 3, axis=1), atol=1e-12)
    correlation = table["correlation_change_(Intercept), Days | Subject"]
    assert_allclose(correlation, 0.0, atol=1e-12)
    held = group_influence(model, X, y, theta="fixed", sigma="fixed")
    assert_allclose(held["cooks_distance"], table["cooks_distance"], rtol=1e-12)
    assert_allclose(held["mdffits"], table["mdffits"] * (1 + residual), rtol=1e-10)
    assert not [c for c in held if c.startswith(("variance_", "correlation_"))]


MANY = {
    "intercept": MixedLinearRegressor("g"),
    "ml": MixedLinearRegressor("g", method="ml"),
    "slope": MixedLinearRegressor("g", random_slopes="a"),
    "diag": MixedLinearRegressor(RandomEffect("g", "a", covariance="diag")),
    "spherical": MixedLinearRegressor(RandomEffect("g", "a", covariance="spherical")),
    "two terms": MixedLinearRegressor([RandomEffect("g"), RandomEffect("g", "b", intercept=False)]),
    "weights": MixedLinearRegressor("g", random_slopes="a"),
    "no intercept": MixedLinearRegressor("g", fit_intercept=False),
    "collinear": MixedLinearRegressor("g"),
    "dropped": MixedLinearRegressor("g"),
    "one group": MixedLinearRegressor("g"),
    "apart by one": MixedLinearRegressor("g"),
    "far group": MixedLinearRegressor("g"),
}


def many_groups(kind, q=80, per=6):
    """Rows of many groups; `kind` names what is special about them."""
    rng = np.random.default_rng(3)
    g = rng.permutation(np.repeat(np.arange(q), rng.integers(per - 2, per + 3, q)))
    values = rng.normal(size=(len(g), 3)) + 2.0
    alone = np.where(g == 5, rng.normal(size=len(g)), 0.0)
    if kind == "collinear":
        values[:, 2] = values[:, 0] + 1e-3 * values[:, 2]
    if kind == "dropped":
        values[:, 2] = 1.0 - values[:, 0]
    if kind in ("one group", "apart by one"):
        values[:, 2] = alone + values[:, 0] * (kind == "apart by one")
    effects = rng.normal(size=(q, 3)) * [1.0, 0.7, 0.5]
    y = values @ [1.0, -1.0, 0.5] + rng.normal(size=len(g)) + effects[g, 0]
    y += effects[g, 1] * values[:, 0] + effects[g, 2] * values[:, 1]
    y += np.where((g == 5) & (kind == "far group"), 15.0, 0.0)
    weights = 1e4 * rng.uniform(0.5, 2.0, len(g)) if kind == "weights" else None
    return pd.DataFrame(values, columns=list("abc")).assign(g=g), y, weights


@pytest.fixture
def alone(monkeypatch):
    """Count the groups that are left out one by one."""
    own, counts = group_influence.__globals__["left_out"].__globals__, []
    beyond = own["_beyond_one_search"]

    def counted(*args):
        found = beyond(*args)
        if found is None:
            return None
        found = list(found)
        counts.append(len(found))
        return iter(found)

    monkeypatch.setitem(own, "_beyond_one_search", counted)
    return counts


def assert_is_refit(row, model, part):
    """Compare a row of the table with a fit to the other rows."""
    kept = model._model.solution.kept
    names = [model._model.encoder.fixed_names[j] for j in kept]
    change = (part.fixed_effects_ - model.fixed_effects_)[names]
    root, own_root = model._model.solution.fixed_root, part._model.solution.fixed_root
    se = np.linalg.norm(own_root, axis=1)
    # A search ends within 1e-6 of a standard error; those of variances are broad
    assert_allclose(row[[f"change_{name}" for name in names]] / se, change / se, atol=2e-6)
    assert_allclose(row[[f"dfbetas_{name}" for name in names]], -change / se, atol=2e-6)
    for name, by in (("cooks_distance", root), ("mdffits", own_root)):
        squares = np.square(np.linalg.solve(by, change)).sum() / len(kept)
        assert_allclose(row[name], squares, rtol=1e-5, atol=1e-9)
    ratio = np.linalg.det(np.linalg.solve(root, own_root)) ** 2
    assert_allclose(row["covratio"], ratio, rtol=1e-5)
    variances = part.variance_components_["variance"] / model.variance_components_["variance"]
    own = row[[c for c in row.index if c.startswith("variance_change_")]]
    assert_allclose(own, variances - 1.0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
@pytest.mark.filterwarnings(
    "ignore::skmixed.exceptions.RankDeficiencyWarning",
)
def test_many_groups_are_left_out_as_by_fits(kind, alone):
    X, y, weights = many_groups(kind)
    model = clone(MANY[kind]).set_params(tol=1e-12).fit(X, y, sample_weight=weights)
    table = group_influence(model, X, y, sample_weight=weights)
    # Of the rest the search of all is sure
    assert alone[0] <= 8
    for j in (0, 5, 79):
        rest = X["g"] != j
        own = None if weights is None else weights[rest]
        part = clone(model).fit(X[rest], y[rest], sample_weight=own)
        if part._model.solution.kept != model._model.solution.kept:
            assert kind in ("one group", "apart by one")
            assert j == 5
            assert np.isnan(table.loc[j, "cooks_distance"])
        else:
            assert_is_refit(table.loc[j], model, part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "theta"),
    # What a held θ needs, and one step, is the same for all kinds
    list(
        zip(
            ["slope", "weights", "diag", "two terms", "dropped", "one group"],
            ["fixed", "one_step"] * 3,
            strict=True,
        )
    ),
)
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
def test_many_groups_are_left_out_as_few_are(theta, kind, alone, monkeypatch):
    X, y, weights = many_groups(kind)
    model = clone(MANY[kind]).fit(X, y, sample_weight=weights)
    given = {"sample_weight": weights, "theta": theta}
    together = group_influence(model, X, y, **given)
    assert alone[0] <= 8
    monkeypatch.setattr(whole_groups, "FEW_FOLDS", 1000)
    # The twelve digits of a polynomial
    assert_allclose(together, group_influence(model, X, y, **given), rtol=1e-7, atol=1e-8)


def test_a_singular_fit_of_many_groups_leaves_them_out_one_by_one(alone):
    X, y, _ = many_groups("intercept", q=62, per=4)
    y = np.random.default_rng(1).normal(size=len(y))
    y -= pd.Series(y).groupby(X["g"]).transform("mean").to_numpy()
    with pytest.warns(SingularFitWarning):
        model = MixedLinearRegressor("g", fixed=["a"]).fit(X, y)
    with pytest.warns(SingularFitWarning, match="Without .* of 62 levels of 'g'"):
        table = group_influence(model, X, y)
    assert alone == [62]
    assert np.isfinite(table["cooks_distance"]).all()


class TestMessages:
    def test_a_held_sigma_needs_a_held_theta(self):
        X, y = load_sleepstudy(return_X_y=True)
        model = MixedLinearRegressor("Subject").fit(X, y)
        with pytest.raises(ValueError, match=r"sigma='fixed', but theta='refit'.*theta='fixed'"):
            group_influence(model, X, y, sigma="fixed")
        with pytest.raises(ValueError, match=r"sigma='none'"):
            group_influence(model, X, y, sigma="none")

    def test_factors(self):
        X, y = load_penicillin(return_X_y=True)
        model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        with pytest.raises(ValueError, match=r"factor=None.*It has 'plate', 'sample'"):
            group_influence(model, X, y)
        with pytest.raises(ValueError, match="factor='lab' is not a grouping factor"):
            group_influence(model, X, y, factor="lab")
        with pytest.raises(ValueError, match=r"theta='none'"):
            group_influence(model, X, y, factor="plate", theta="none")
        without = MixedLinearRegressor(fixed=[]).fit(X[[]].assign(x=1.0), y)
        with pytest.raises(ValueError, match="It has none"):
            group_influence(without, X[[]].assign(x=1.0), y)

    def test_rows_of_another_fit(self):
        X, y = load_sleepstudy(return_X_y=True)
        model = MixedLinearRegressor("Subject").fit(X, y)
        with pytest.raises(ValueError, match=r"X has 170 rows .* the fit had 180"):
            group_influence(model, X[10:], y[10:])
        renamed = X.assign(Subject=X["Subject"].replace("308", "309"))
        with pytest.raises(ValueError, match="levels of 'Subject' in X are not those of the fit"):
            group_influence(model, renamed, y)
        moved = X.assign(Subject=X["Subject"].where(np.arange(180) != 0, "309"))
        with pytest.raises(ValueError, match="other numbers of rows by 'Subject'"):
            group_influence(model, moved, y)
        for rows, response in ((X, -(y**2)), (X.assign(Days=X["Days"].to_numpy()[::-1] * 7), y)):
            with pytest.raises(ValueError, match="other sums of products than those of the fit"):
                group_influence(model, rows, response)

    def test_further_rows_and_residual_covariances(self):
        X, y = load_sleepstudy(return_X_y=True)
        model = MixedLinearRegressor("Subject").fit(X, y)
        model.update_groups(X[:3].assign(Subject="new"), y[:3])
        with pytest.raises(ValueError, match="update_groups"):
            group_influence(model, X, y)
        residual = ResidualCovariance("ar1", subject="Subject", time="Days")
        repeated = MixedLinearRegressor(residual=residual).fit(X, y)
        with pytest.raises(ValueError, match="Use subject_influence"):
            group_influence(repeated, X, y)


def test_warnings_that_differ_in_names_are_one():
    X, y = load_sleepstudy(return_X_y=True)
    own = {name: (X["Subject"] == name) * X["Days"] * 1.0 for name in ("308", "309")}
    X = X.assign(u=own["308"], v=own["309"])
    model = MixedLinearRegressor("Subject").fit(X, y)
    message = (
        r"^Without 2 of 18 levels of 'Subject', such as '308': Fixed-effects column 'u' depends"
    )
    with pytest.warns(RankDeficiencyWarning, match=message) as caught:
        group_influence(model, X, y)
    assert len(caught) == 1
