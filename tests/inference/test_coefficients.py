import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import Reference, references
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import leverage
from skmixed.exceptions import NormalIntervalsWarning, NotEstimableWarning
from skmixed.inference import (
    anova,
    coefficient_table,
    confidence_intervals,
    contrast,
    vcov,
)

ALL = [*references(single_factor=True), *references(single_factor=False)]
REML = [r for r in ALL if r.method == "reml"]


def fit(reference, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # singular and rank-deficient ones: asserted elsewhere
        return reference.fitted(**parameters)


@pytest.fixture(scope="module")
def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


@pytest.fixture(scope="module")
def iterative():
    rng = np.random.default_rng(3)
    user, item = rng.integers(0, 120, 900), rng.integers(0, 40, 900)
    X = pd.DataFrame({"x": rng.normal(size=900), "user": user, "item": item})
    y = rng.normal(size=120)[user] + rng.normal(size=40)[item] + rng.normal(size=900)
    return MixedLinearRegressor(["user", "item"], solver="iterative").fit(X, y)


@pytest.mark.parametrize("reference", REML, ids=str)
@pytest.mark.parametrize("method", ["satterthwaite", "kenward_roger"])
def test_tables_are_those_of_lmertest_and_pbkrtest(reference, method):
    record = reference.fit.get(method)
    if record is None:
        pytest.skip("pbkrtest does not take weights into account")
    model = fit(reference)
    table = coefficient_table(model, method.replace("_", "-")).dropna()
    assert list(table.index) == record["names"]
    # The optimum of lme4 is good to some 1e-7 of a standard error, lmerTest's numerical
    # derivatives to 1e-6.
    assert_allclose(table["estimate"], record["estimate"], rtol=1e-6, atol=1e-6)
    assert_allclose(table["std_error"], record["se"], rtol=1e-6)
    assert_allclose(table["df"], record["df"], rtol=2e-6)
    assert_allclose(table["t"], record["t"], rtol=1e-6, atol=1e-6)
    # A p value far out multiplies the errors of t and df.
    assert_allclose(table["p_value"], record["p"], rtol=1e-4)


@pytest.mark.parametrize("reference", REML, ids=str)
def test_adjusted_covariances_are_pbkrtest_s(reference):
    record = reference.fit.get("vcov_kenward_roger")
    if record is None:
        pytest.skip("pbkrtest does not take weights into account")
    adjusted = vcov(fit(reference), adjusted=True).dropna(how="all").dropna(axis=1)
    assert_allclose(adjusted, record, rtol=1e-6, atol=1e-6 * np.abs(record).max())


UNBALANCED = {
    "random_intercept": {
        "satterthwaite": [20.28229, 90.82100, 15.59762, 91.09865],
        "kenward-roger": [20.52524, 91.01177, 15.79480, 91.28649],
        "adjusted": [12.6225053, 0.9282879, 20.4363264, 2.3582947],
        "unadjusted": [12.6188063, 0.9275365, 20.4350086, 2.3558363],
    },
    "random_slope": {
        "satterthwaite": [16.57583, 17.26559, 14.76075, 82.34837],
        "kenward-roger": [17.22685, 16.81014, 15.18881, 82.26160],
        "adjusted": [10.157882, 1.665243, 17.377428, 1.865117],
    },
}


@pytest.mark.parametrize("name", UNBALANCED)
def test_unbalanced_data_tell_the_methods_apart(name):
    expected = UNBALANCED[name]
    model = Reference("sleepstudy_kr", name, "reml").fitted()
    adjusted = coefficient_table(model, "kenward-roger")
    # The numbers are those where lme4's own search stopped, about 2e-7 in standard errors from
    # the optimum of the reference fits; the degrees of freedom differ by some 5e-6 there.
    assert_allclose(coefficient_table(model)["df"], expected["satterthwaite"], rtol=1e-5)
    assert_allclose(adjusted["df"], expected["kenward-roger"], rtol=1e-5)
    assert_allclose(adjusted["std_error"], expected["adjusted"], rtol=1e-5)
    if "unadjusted" in expected:
        assert_allclose(np.sqrt(np.diagonal(vcov(model))), expected["unadjusted"], rtol=1e-6)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_at_a_variance_of_zero_the_methods_differ():
    model = Reference("dyestuff2", "one_way", "reml").fitted()
    assert coefficient_table(model).loc["(Intercept)", "df"] == pytest.approx(29, rel=1e-9)
    adjusted = coefficient_table(model, "kenward-roger")
    assert adjusted.loc["(Intercept)", "df"] == pytest.approx(5, rel=1e-9)


def test_other_degrees_of_freedom(sleepstudy):
    table = coefficient_table(sleepstudy, "residual")
    assert (table["df"] == 178).all()
    normal = coefficient_table(sleepstudy, "normal")
    reference = Reference("sleepstudy", "random_slope", "reml")
    wald = reference.fit["confint_wald"]
    # confint(method = "Wald") of lme4, at its optimum.
    assert_allclose(normal["lower"], wald["lower"], rtol=1e-7)
    assert_allclose(normal["upper"], wald["upper"], rtol=1e-7)
    assert np.isinf(normal["df"]).all()


def test_least_squares_is_the_classical_table():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    model = MixedLinearRegressor().fit(X, y)
    for ddf in ("satterthwaite", "kenward-roger", "residual"):
        assert_allclose(coefficient_table(model, ddf)["df"], 40 - 4, rtol=1e-12)
    design = np.column_stack([np.ones(40), X])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    covariance = residual @ residual / 36 * np.linalg.inv(design.T @ design)
    assert_allclose(vcov(model), covariance, rtol=1e-9)
    assert_allclose(vcov(model, adjusted=True), covariance, rtol=1e-9)


def test_dropped_columns_are_nan():
    reference = Reference("sleepstudy_rank_deficient", "duplicate_column", "reml")
    model = fit(reference)
    table = coefficient_table(model)
    assert table.loc["Days_dup"].isna().all()
    assert table.drop(index="Days_dup").notna().all(axis=None)
    assert vcov(model)["Days_dup"].isna().all()
    result = anova(model, {"both": ["Days", "Days_dup"], "dropped": "Days_dup"})
    assert result.loc["both", "df_num"] == 1
    assert np.isnan(result.loc["dropped", "F"])
    with pytest.warns(NotEstimableWarning, match=r"determine row 0 of L.*here 'Days_dup'"):
        assert contrast(model, {"Days_dup": 1}).isna().all(axis=None)
    # Two columns that are the same: only the sum of their effects is determined.
    both = contrast(model, {"Days": 1, "Days_dup": 1})
    assert_allclose(both, table.loc[["Days"]], rtol=1e-10)


RECORDED = ["df_num", "df_den", "F", "p_value"]
ANOVA = [
    ("machines", "random_machine", {"Machine": ["MachineB", "MachineC"]}),
    ("machines", "worker_machine", {"Machine": ["MachineB", "MachineC"]}),
    ("cake", "numeric_additive", {"recipe": ["recipeB", "recipeC"], "temp": ["temp"]}),
    ("sleepstudy_kr", "random_slope", {"Days": "Days", "trt": "trt", "z": "z"}),
    ("sleepstudy_weighted", "random_slope", {"Days": "Days"}),
]


@pytest.mark.parametrize(("dataset", "model", "terms"), ANOVA)
@pytest.mark.parametrize("method", ["satterthwaite", "kenward_roger"])
def test_f_tests_are_those_of_lmertest(dataset, model, terms, method):
    reference = Reference(dataset, model, "reml")
    record = reference.fit.get(f"anova_type3_{method}")
    if record is None:
        pytest.skip("pbkrtest does not take weights into account")
    result = anova(fit(reference), terms, ddf=method.replace("_", "-"))
    values = np.array(record["values"], dtype=float)[:, 2:]
    order = [list(terms).index(row) for row in record["rows"]]
    # As for the tables.
    assert_allclose(result.iloc[order][RECORDED], values, rtol=1e-5)


@pytest.mark.parametrize("dataset", ["cake", "orthodont", "oats"])
def test_type_three_with_interactions_takes_contrasts_that_sum_to_zero(dataset):
    model, factor, covariate = {
        "cake": ("numeric", "recipe", "temp"),
        "orthodont": ("sex_random_slope", "Sex", "age"),
        "oats": ("variety", "Variety", "nitro"),
    }[dataset]
    reference = Reference(dataset, model, "reml")
    frame = reference.frame
    levels = sorted(frame[factor].unique())
    X = reference.X().drop(columns=[c for c in reference.fixed_columns if c != covariate])
    for level in levels[:-1]:
        own = (frame[factor] == level).astype(float) - (frame[factor] == levels[-1])
        X[f"{factor}{level}"], X[f"{level}:{covariate}"] = own, own * frame[covariate]
    names = {
        factor: [f"{factor}{v}" for v in levels[:-1]],
        covariate: [covariate],
        "interaction": [f"{v}:{covariate}" for v in levels[:-1]],
    }
    fixed = [c for own in names.values() for c in own]
    estimator = reference.estimator().set_params(fixed=fixed).fit(X, reference.y)
    record = reference.fit["anova_type3_satterthwaite"]
    rows = [row if row in names else "interaction" for row in record["rows"]]
    result = anova(estimator, names).loc[rows, RECORDED]
    assert_allclose(result, np.array(record["values"], dtype=float)[:, 2:], rtol=1e-5)


def test_contrasts_by_name_and_by_position_agree(sleepstudy):
    by_name = contrast(sleepstudy, {"(Intercept)": 1, "Days": 5})
    assert_allclose(by_name, contrast(sleepstudy, [1, 5]))
    frame = pd.DataFrame({"Days": [5.0], "(Intercept)": [1.0]}, index=["day 5"])
    named = contrast(sleepstudy, frame)
    assert list(named.index) == ["day 5"]
    assert_allclose(named, by_name)
    assert_allclose(
        contrast(sleepstudy, [{"Days": 1}, {"(Intercept)": 1}], joint=False),
        coefficient_table(sleepstudy).iloc[::-1],
    )


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "residual", "normal"])
def test_a_joint_test_depends_on_the_span_of_the_rows_alone(sleepstudy, ddf):
    plain = contrast(sleepstudy, np.eye(2), ddf)
    mixed = contrast(sleepstudy, [[1, 1], [3, -2], [4, -1]], ddf)
    # A third row that depends on the others does not count.
    assert plain["df_num"].item() == mixed["df_num"].item() == 2
    if ddf != "satterthwaite":  # Fai and Cornelius' components depend on the scale of the rows
        assert_allclose(plain, mixed, rtol=1e-9)
    one = contrast(sleepstudy, [[0, 1]], ddf, joint=True)
    t = contrast(sleepstudy, [0, 1], ddf)
    assert one["F"].item() == pytest.approx(t["t"].item() ** 2)
    assert one["p_value"].item() == pytest.approx(t["p_value"].item(), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_of_columns_do_not_matter(scale):
    X, y = load_sleepstudy(return_X_y=True)
    fits = [
        MixedLinearRegressor("Subject", random_slopes="Days").fit(X.assign(Days=X["Days"] * s), y)
        for s in (1.0, scale)
    ]
    for ddf in ("satterthwaite", "kenward-roger"):
        a, b = (coefficient_table(m, ddf) for m in fits)
        # Powers of ten round the column; the optimum is then the same to some 1e-7.
        assert_allclose(a[["df", "t"]], b[["df", "t"]], rtol=1e-6)
        joint = [contrast(m, np.eye(2), ddf) for m in fits]
        if ddf == "kenward-roger":
            assert_allclose(joint[0], joint[1], rtol=1e-5)


def test_a_pipeline_is_opened(sleepstudy):
    X, y = load_sleepstudy(return_X_y=True)
    pipeline = make_pipeline(
        FunctionTransformer(), MixedLinearRegressor("Subject", random_slopes="Days")
    ).fit(X, y)
    pd.testing.assert_frame_equal(coefficient_table(pipeline), coefficient_table(sleepstudy))


def test_a_shifted_response_and_no_intercept():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(48, 2)), columns=["a", "b"]).assign(g=np.arange(48) % 8)
    y = rng.normal(size=48) + rng.normal(size=8)[frame["g"]]
    model = MixedLinearRegressor("g", fit_intercept=False).fit(frame, y)
    table = coefficient_table(model)
    assert list(table.index) == ["a", "b"]
    assert list(anova(model).index) == ["a", "b"]
    shifted = [MixedLinearRegressor("g").fit(frame, v) for v in (y, y + 1e6)]
    first, second = (coefficient_table(m) for m in shifted)
    assert_allclose(first[["std_error", "df"]], second[["std_error", "df"]], rtol=1e-6)


def test_names_of_r_are_heard(sleepstudy):
    for name in ("Kenward-Roger", "kr", "KENWARD_ROGER"):
        pd.testing.assert_frame_equal(
            coefficient_table(sleepstudy, name), coefficient_table(sleepstudy, "kenward-roger")
        )


def test_messages(sleepstudy):
    with pytest.raises(ValueError, match=r"ddf='krr' is not known\. Choose one of 'satterthwaite'"):
        coefficient_table(sleepstudy, "krr")
    with pytest.raises(ValueError, match="level=95 is not between 0 and 1"):
        coefficient_table(sleepstudy, level=95)
    with pytest.raises(ValueError, match=r"L has shape \(3,\), but the model has 2 fixed effects"):
        contrast(sleepstudy, [1, 0, 0])
    with pytest.raises(ValueError, match="L names 'Dyas', which is not a fixed effect"):
        contrast(sleepstudy, {"Dyas": 1})
    with pytest.raises(ValueError, match="NaN or infinite"):
        contrast(sleepstudy, [1, np.nan])
    with pytest.raises(ValueError, match="a row of zeros"):
        contrast(sleepstudy, [0, 0])
    with pytest.raises(ValueError, match=r"terms\['t'\] names 'Dyas', which has no fixed effect"):
        anova(sleepstudy, {"t": ["Dyas"]})
    with pytest.raises(TypeError, match=r"terms=\['Days'\] is of type list"):
        anova(sleepstudy, ["Days"])
    with pytest.raises(ValueError, match="type=2 needs the terms of a formula"):
        anova(sleepstudy, type=2)
    with pytest.raises(TypeError, match="model is of type LinearRegression"):
        coefficient_table(LinearRegression())
    with pytest.raises(NotFittedError):
        coefficient_table(MixedLinearRegressor("g"))
    X, y = load_sleepstudy(return_X_y=True)
    ml = MixedLinearRegressor("Subject", method="ml").fit(X, y)
    with pytest.raises(ValueError, match=r"needs a REML fit.*Fit it with method='reml'"):
        coefficient_table(ml, "kenward-roger")
    with pytest.raises(ValueError, match="needs a REML fit"):
        vcov(ml, adjusted=True)


@pytest.mark.parametrize(
    ("rows", "df", "f"),
    [
        ([[1, 5, 0, 0], [1, 9, 1, 0], [0, 0, 0, 1]], 24.4241115, 269.924194),
        ([[1, 9, 1, 0], [0, 0, 0, 1], [1, 9, 1, 2]], 37.8557637, 167.18854),
    ],
)
def test_satterthwaite_of_rows_that_are_not_orthogonal(rows, df, f):
    """lmerTest 3.1-3, contestMD; the last row of the second depends on the others."""
    model = Reference("sleepstudy_kr", "random_slope", "reml").fitted()
    found = contrast(model, rows)
    # lme4's optimum is good to some 1e-7 in θ.
    assert found["df_den"].item() == pytest.approx(df, rel=1e-6)
    assert found["F"].item() == pytest.approx(f, rel=1e-6)


def test_the_rank_of_a_hypothesis_does_not_depend_on_units():
    """The means at two dates, and weights of any size."""
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    plain = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    dates = X.assign(Days=1.6e9 + 86400 * X["Days"])
    unix = MixedLinearRegressor("Subject", random_slopes="Days").fit(dates, y)
    first, second = 1.6e9, 1.6e9 + 5 * 86400
    expected = contrast(plain, [[1, 0], [1, 5]])
    # The covariance at the dates is a difference of numbers 4e8 times as large.
    assert_allclose(contrast(unix, [[1, first], [1, second]]), expected, rtol=1e-6)
    assert_allclose(
        contrast(plain, [[1, 0], [0, 1e-12]])[["F", "df_num"]], expected[["F", "df_num"]]
    )


def test_a_series_is_taken_by_its_names(sleepstudy):
    swapped = pd.Series({"Days": 5.0, "(Intercept)": 1.0})
    assert_allclose(contrast(sleepstudy, swapped), contrast(sleepstudy, [1, 5]))
    assert_allclose(
        contrast(sleepstudy, [swapped, swapped], joint=False).iloc[[1]],
        contrast(sleepstudy, [1, 5]),
    )


@pytest.mark.parametrize("L", [["a", "b"], [[1, 0], [1]], "Days"])
def test_a_contrast_that_is_no_matrix(sleepstudy, L):
    with pytest.raises(ValueError, match="is no matrix of numbers"):
        contrast(sleepstudy, L)


@pytest.mark.parametrize("weight", ["x", None, pd.NA, [1, 2]], ids=repr)
def test_a_contrast_whose_weight_is_no_number(sleepstudy, weight):
    for L in ({"Days": weight}, [{"Days": 1}, {"Days": weight}], pd.Series({"Days": weight})):
        with pytest.raises(ValueError, match=r"L gives 'Days' the weight .* which is no number"):
            contrast(sleepstudy, L)


@pytest.mark.parametrize("columns", [None, 5, [None], [["Days"]]], ids=repr)
def test_a_term_that_names_no_columns(sleepstudy, columns):
    with pytest.raises(TypeError, match=r"terms\['a'\]=.* does not name columns"):
        anova(sleepstudy, {"a": columns})


@pytest.mark.parametrize(
    "table",
    [
        coefficient_table,
        lambda model, **ddf: contrast(model, [[0, 1]], **ddf),
        lambda model, **ddf: contrast(model, np.eye(2), **ddf),
        lambda model, **ddf: anova(model, {"time": "x"}, **ddf),
        lambda model, **ddf: confidence_intervals(model, components="fixed", **ddf),
        lambda model, **ddf: model.summary(**ddf).fixed,
    ],
    ids=["coefficient_table", "contrast", "joint", "anova", "confidence_intervals", "summary"],
)
def test_after_an_iterative_fit_tests_are_normal_unless_asked_otherwise(
    iterative, table, monkeypatch
):
    expected = table(iterative, ddf="normal")
    with monkeypatch.context() as patch:
        patch.setattr("skmixed._fitted.checks._physical_memory", lambda: 0.0)  # for no factor
        with pytest.warns(NormalIntervalsWarning, match="without the factorization") as record:
            usual = table(iterative)
        assert [r.filename for r in record] == [__file__]
        pd.testing.assert_frame_equal(usual, expected)
        with pytest.raises(MemoryError):
            table(pickle.loads(pickle.dumps(iterative)), ddf="satterthwaite")
    assert not table(iterative, ddf="satterthwaite").equals(expected)


def test_without_groups_the_usual_tests_are_exact():
    X, y = load_sleepstudy(return_X_y=True)
    for method in ("reml", "ml"):
        model = MixedLinearRegressor(None, method=method).fit(X[["Days"]], y)
        assert_array_equal(coefficient_table(model)["df"], 178)


def test_ddf_has_one_place(sleepstudy):
    """It may go by position in each table of tests, behind what is tested."""
    for table, given in [
        (coefficient_table, ()),
        (contrast, ([0, 1],)),
        (anova, (None,)),
        (anova, ({"time": "Days"},)),
    ]:
        expected = table(sleepstudy, *given, ddf="kenward-roger")
        pd.testing.assert_frame_equal(table(sleepstudy, *given, "kenward-roger"), expected)
    with pytest.raises(TypeError, match="degrees of freedom are chosen by `ddf`"):
        anova(sleepstudy, "kenward-roger")


def test_a_contrast_that_names_an_effect_twice(sleepstudy):
    frame = pd.DataFrame([[1.0, 2.0]], columns=["Days", "Days"])
    with pytest.raises(ValueError, match="L names 'Days' twice"):
        contrast(sleepstudy, frame)


def test_a_pipeline_in_a_pipeline_ends_in_its_regressor():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    scaled = FunctionTransformer(lambda frame: frame.assign(Days=2 * frame["Days"]))
    model = MixedLinearRegressor("Subject", random_slopes="Days")
    nested = make_pipeline("passthrough", make_pipeline(scaled, model)).fit(X, y)
    assert_allclose(coefficient_table(nested), coefficient_table(model))
    own = X.assign(Days=2 * X["Days"])
    assert_allclose(leverage(nested, X), leverage(model, own), rtol=1e-12)


def test_contrasts_of_a_column_with_the_name_of_the_intercept():
    X, y = load_sleepstudy(return_X_y=True)
    renamed = X.rename(columns={"Days": "(Intercept)"})
    model = MixedLinearRegressor("Subject").fit(renamed, y)
    with pytest.raises(ValueError, match=r"L names '\(Intercept\)', which is a column and the int"):
        contrast(model, {"(Intercept)": 1})
    assert contrast(model, [0, 1])["estimate"].iloc[0] == model.fixed_effects_.iloc[1]
    alone = MixedLinearRegressor("Subject", fit_intercept=False).fit(renamed, y)
    assert contrast(alone, {"(Intercept)": 1})["estimate"].iloc[0] == alone.fixed_effects_.iloc[0]
