"""ResidualCovariance, the columns that it names, and what they must be."""

import pickle

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from repeated_models import dense_of, fitted_model, simulated
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance
from skmixed.exceptions import SingularFitWarning


def fit(frame, residual, groups=None, fixed=("x",)):
    model = MixedLinearRegressor(groups, fixed=list(fixed), residual=residual)
    return model.fit(frame.drop(columns="y"), frame["y"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("arma",), {}), "structure='arma' is not known"),
        ((("ar1",), {"time": "t"}), "has no subject"),
        ((("ar1",), {"subject": "s"}), "structure in time, but time=None"),
        ((("independent",), {"heterogeneous": True}), "variance per time, but time=None"),
        ((("power",), {"time": "t"}), "structure='power' is not known"),
        ((("ar1",), {"subject": "s", "time": "t", "shared_correlation": True}), "no strata"),
        ((("independent",), {"by": "a", "shared_correlation": True}), "no correlation to share"),
        (
            (("independent",), {"time": "t", "power": "v", "heterogeneous": True}),
            "power='v' and heterogeneous=True are two models of the variances",
        ),
        (
            (("unstructured",), {"subject": "s", "time": "t", "power": "v"}),
            "has a variance for each time, and power='v' is another model",
        ),
    ],
)
def test_a_structure_lacks_what_it_needs(arguments, message):
    positional, named = arguments
    with pytest.raises(ValueError, match=message):
        ResidualCovariance(*positional, **named)


def test_it_is_a_parameter_with_parameters():
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    assert repr(residual) == "ResidualCovariance('ar1', subject='subject', time='time')"
    model = clone(MixedLinearRegressor(residual=residual))
    assert model.set_params(residual__structure="toeplitz").residual.structure == "toeplitz"
    assert residual.structure == "ar1"


def test_structures_are_searched_over_by_subjects():
    frame = simulated(0)
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=["x", "time"], residual=residual)
    grid = {"residual__structure": ["ar1", "compound_symmetry"]}
    search = GridSearchCV(model, grid, cv=GroupKFold(3), error_score="raise")
    search.fit(frame.drop(columns="y"), frame["y"], groups=frame["subject"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_labels_are_no_fixed_effects_unless_they_are_numbers_in_time():
    frame = simulated(0).assign(subject=lambda f: "s" + f["subject"].astype(str))
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(residual=residual).fit(frame.drop(columns="y"), frame["y"])
    assert "subject" not in model.fixed_effects_
    assert "time" in model.fixed_effects_


AR1 = ResidualCovariance("ar1", subject="subject", time="time")
US = ResidualCovariance("unstructured", subject="subject", time="time")


def of_no_numbers():
    """Four labels of times that are no numbers, what they are called, and the cure."""
    days = pd.date_range("2020-01-01", periods=4)
    aware = pd.Index(days.tz_localize("Europe/Paris"))
    yield "dates with a time zone", aware, r"dates without one, such as `column.dt.tz_convert"
    yield "objects that are dates", pd.Index(days.date), r"dates of pandas, such as `pd.to_datetime"
    yield "periods", days.to_period("D"), r"their first days, such as `column.dt.to_timestamp"
    yield "intervals", pd.IntervalIndex.from_breaks(range(5)), ""
    yield "objects", pd.Index([1 + 1j, 2 + 1j, 3 + 1j, 4 + 1j], dtype=object), ""


def messages():
    frame = simulated(0).astype({"time": float})
    twice = pd.concat([frame, frame[:1]], ignore_index=True)
    yield "two rows", twice, AR1, r"Subject \d+ of 'subject' has two rows at 'time' = .* \(rows 0"
    missing = frame.assign(time=frame["time"].where(frame.index != 3))
    yield "missing", missing, AR1, r"'time' has 1 missing value \(first at row 3\)"
    text = frame.assign(time=("VIS" + (9 + frame["time"]).astype(int).astype(str)))
    yield "text", text, AR1, "holds text, whose order is VIS10, VIS11, VIS12, VIS9, and"
    yield (
        "text in a distance",
        text,
        AR1.set_params(structure="exponential"),
        "'exponential' is a function of numbers",
    )
    for kind, labels, cure in of_no_numbers():
        labeled = frame.assign(time=labels.take(frame["time"].astype(int)))
        for structure, says in (("ar1", "whose order is"), ("gaussian", "such as .* function of")):
            message = f"'time' holds {kind}, {says} .* Give {cure}"
            yield f"{kind} of {structure}", labeled, AR1.set_params(structure=structure), message
    odd = frame.assign(time=frame["time"] ** 1.5)
    yield "odd steps", odd, AR1, "no multiples of its smallest step"
    at_first = frame["subject"].isin(frame["subject"][frame["time"] == 0])
    never = frame[~((frame["time"] == 3) & at_first)]
    yield "never together", never, US, "No subject has rows at both 0 and 3 of 'time'"
    few = frame[frame["subject"] < 4]
    yield "few rows", few, US, r"has 10 parameters for 4 times, and there are \d+ rows"
    alone = simulated(0, missing=0.0)
    alone = alone.assign(few=np.where(alone["subject"] < 4, "a", "b"))
    by = US.set_params(by="few")
    yield "few subjects of a stratum", alone, by, "4 times, and there are 4 subjects in stratum 'a'"
    words = {0.0: "Baseline", 1.0: "Week 2", 2.0: "Week 10", 3.0: "End"}
    yield "words", frame.assign(time=frame["time"].map(words)), AR1, "holds text, whose order is"
    tiny = AR1.set_params(structure="exponential")
    yield "tiny steps", frame.assign(time=frame["time"] * 1e-12), tiny, "1e-12 apart on average"
    yield "many times", frame.assign(time=np.arange(len(frame))), US, "parameters for"
    yield "no residuals", frame.assign(y=2.0), AR1, "The fixed effects reproduce 'y'"
    single = frame.drop_duplicates("subject")
    yield "single rows", single, AR1, "Each subject of 'subject' has one row"
    yield (
        "three rows",
        frame[:3].assign(subject=0, time=[0, 1, 2]),
        AR1,
        r"'ar1' has 2 .* 3 rows. Fit to more rows",
    )
    by_arm = AR1.set_params(by="arm")
    yield "few rows by arm", frame[:7], by_arm, "4 parameters for .* in 2 strata, .* without by="
    one = single.assign(subject=0)
    common = ResidualCovariance("compound_symmetry", subject="subject")
    yield "one subject", one, common, "All rows are of one subject of 'subject'"
    strata = AR1.set_params(by="rater")
    yield "two strata", frame, strata, "has rows in two strata of 'rater'"
    zero = AR1.set_params(power="time")
    yield "power of 0", frame, zero, "has a 0, of which no power is a variance"
    alike = AR1.set_params(power="size", by="arm")
    near = frame.assign(size=np.where(frame["arm"] == 1, 2.0, 1.0 + frame["x"] ** 2))
    yield "one size", near, alike, "'size' has one size in all rows in stratum 1 of 'arm'"
    mean = AR1.set_params(structure="independent", subject=None, time=None, power="fitted(.)")
    yield "one fitted value", frame.assign(x=7.0), mean, "fitted values are all alike"
    worded = frame.assign(size="a")
    yield "power of text", worded, AR1.set_params(power="size"), "has labels such as 'a'"


CASES = list(messages())


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_rows_that_do_not_fit_the_structure(case):
    _, frame, residual, message = case
    model = MixedLinearRegressor(fixed=["x"], residual=residual)
    with pytest.raises(ValueError, match=message):
        model.fit(frame.drop(columns="y"), frame["y"])
    assert not hasattr(model, "n_features_in_")


def test_a_random_intercept_within_compound_symmetry():
    frame = simulated(0)
    residual = ResidualCovariance("compound_symmetry", subject="subject")
    with pytest.raises(ValueError, match="are a part of 'compound_symmetry'"):
        fit(frame, residual, groups="subject")
    line = RandomEffect("subject", "time")
    with pytest.raises(ValueError, match="are a part of 'unstructured'"):
        fit(frame, US, groups=line)


def test_a_parameter_of_another_kind():
    frame = simulated(0)
    with pytest.raises(TypeError, match="Give a ResidualCovariance"):
        fit(frame, "ar1")


def test_a_time_that_fit_never_saw():
    frame = simulated(0)
    new = frame.assign(time=7)[:2].drop(columns=["y", "weight"])
    model = fitted_model(frame, "unstructured")
    with pytest.raises(ValueError, match=r"Time 7 of 'time' \(row 0\) was not seen in fit"):
        model.predict(new)
    assert np.isfinite(model.predict(new, include="fixed")).all()
    ahead = fitted_model(frame, "ar1").predict(new)
    assert np.isfinite(ahead).all()


def test_the_time_between_steps_is_named():
    frame = simulated(0)
    model = fitted_model(frame, "ar1")
    new = frame[:2].assign(time=[7.0, 2.5]).drop(columns=["y", "weight"])
    with pytest.raises(ValueError, match=r"Time 2.5 of 'time' \(row 1\) lies between"):
        model.predict(new)
    with pytest.raises(ValueError, match=r"Time 2.5 of 'time' lies between"):
        model.update_groups(new, [0.0, 0.0])


def test_a_stratum_that_fit_never_saw():
    frame = simulated(0, n_subjects=60)
    model = fitted_model(frame, "ar1", by="arm")
    new = frame[:3].assign(arm=[0, 1, 2]).drop(columns=["y", "weight"])
    with pytest.raises(ValueError, match="Row 2 has a stratum of 'arm'"):
        model.predict(new)
    assert np.isfinite(model.predict_interval(new, of="mean", include="fixed")).all()


@pytest.mark.parametrize("structure", ["ar1", "unstructured", "exponential"])
def test_chunks_and_batches_and_sums_are_all_rows(structure):
    frame = simulated(5, n_subjects=60)
    whole = fitted_model(frame, structure)
    model = clone(whole)
    parts = [frame[k::3] for k in range(3)]
    chunks = [(own.drop(columns=["y", "weight"]), own["y"]) for own in parts]
    found = model.fit_chunks(chunks)
    assert found.criterion_ == pytest.approx(whole.criterion_, abs=1e-7)
    batches = clone(model)
    for own in (frame[:120], frame[120:]):
        batches.partial_fit(own.drop(columns=["y", "weight"]), own["y"])
    assert batches.criterion_ == pytest.approx(whole.criterion_, abs=1e-7)
    stats = sum(model.statistics(*own) for own in chunks)
    stats = pickle.loads(pickle.dumps(stats))
    assert clone(model).fit_statistics(stats).criterion_ == pytest.approx(
        whole.criterion_, abs=1e-7
    )


VISITS = ["screening", "baseline", "week 6", "end"]


@pytest.fixture(scope="module")
def visits():
    """Rows at visits that are categories."""
    frame = simulated(5, n_subjects=60)
    return frame.assign(visit=pd.Categorical.from_codes(frame["time"], VISITS))


def of_visits(structure="ar1"):
    residual = ResidualCovariance(structure, subject="subject", time="visit")
    return MixedLinearRegressor(fixed=["x"], residual=residual)


def in_two_parts(frame, second=None):
    """Return rows of subjects that all missed the second visit, and those of others, of a frame."""
    has_second = frame["subject"].isin(frame["subject"][frame["time"] == 1])
    parts = frame[~has_second], (frame if second is None else second)[has_second]
    return [(own[["x", "subject", "visit"]], own["y"]) for own in parts]


WAYS = {
    "chunks": lambda model, parts: model.fit_chunks(parts),
    "sums": lambda model, parts: model.fit_statistics(sum(model.statistics(*p) for p in parts)),
    "batches": lambda model, parts: model.partial_fit(*parts[0]).partial_fit(*parts[1]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("structure", ["ar1", "ante_dependence", "toeplitz"])
def test_categories_keep_their_order_over_parts(visits, structure, way):
    whole = of_visits(structure).fit(visits[["x", "subject", "visit"]], visits["y"])
    found = WAYS[way](of_visits(structure), in_two_parts(visits))
    # The search ends within its tolerance of the optimum.
    assert found.criterion_ == pytest.approx(whole.criterion_, abs=1e-7)
    assert list(found.residual_covariance_.columns) == VISITS


def test_parts_have_lists_of_categories_of_their_own(visits):
    whole = of_visits().fit(visits[["x", "subject", "visit"]], visits["y"]).criterion_
    few = visits.assign(visit=visits["visit"].cat.set_categories(VISITS[:1] + VISITS[2:]))
    text = visits.assign(visit=visits["visit"].astype(str))
    other = visits.assign(visit=visits["visit"].cat.reorder_categories(VISITS[::-1]))
    for parts in (in_two_parts(few, visits), in_two_parts(visits, text)):
        assert of_visits().fit_chunks(parts).criterion_ == pytest.approx(whole, abs=1e-7)
    with pytest.raises(ValueError, match=r"\(screening, .*; end, .*\) do not give all times one"):
        of_visits().fit_chunks(in_two_parts(visits, other))
    with pytest.raises(ValueError, match="do not give all times one order, and 'ar1' depends on"):
        of_visits().fit_chunks(in_two_parts(few, text))
    # Where the order is of no matter there need be none.
    found = of_visits("unstructured").fit_chunks(in_two_parts(visits, other))
    assert sorted(found.residual_covariance_.columns) == sorted(VISITS)


def test_further_rows_leave_the_order_as_it_was(visits):
    X, early = visits[["x", "subject", "visit"]], visits["subject"] < 40
    models = [of_visits().fit(X[early], visits["y"][early]) for _ in range(2)]
    other = X.assign(visit=X["visit"].cat.reorder_categories(VISITS[::-1]))
    for model, own in zip(models, (X, other), strict=True):
        model.update_groups(own[~early], visits["y"][~early])
    np.testing.assert_array_equal(*(own.predict(X) for own in models))


def test_a_saved_model_predicts_the_same():
    frame = simulated(5, n_subjects=80)
    model = fitted_model(frame, "toeplitz", groups="rater", by="arm")
    copy = pickle.loads(pickle.dumps(model))
    X = frame.drop(columns=["y", "weight"])
    fixed = model.predict(X, include="fixed")
    np.testing.assert_array_equal(copy.predict(X, include="fixed"), fixed)
    np.testing.assert_allclose(copy.predict(X), model.predict(X), rtol=1e-12)


def test_a_power_is_a_variance():
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 10, 2000)
    frame = pd.DataFrame({"x": rng.normal(size=2000), "size": size})
    y = frame["x"] + 0.5 * size**0.7 * rng.normal(size=2000)
    residual = ResidualCovariance("independent", power="size")
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(frame, y)
    log_sd, power = model._model.solution.residual.phi[0]
    # Four standard errors, 1/√(2n) over the standard deviation of log size
    assert power == pytest.approx(0.7, abs=0.1)
    assert np.exp(log_sd) == pytest.approx(0.5, abs=0.1)
    row = model.variance_components_.iloc[0]
    assert (row["sd"], row["power"]) == (pytest.approx(np.exp(log_sd)), power)
    assert f"with σ·|size|^δ, δ = {power:.3f}, 2 parameters" in str(model.summary())
    assert model.residual_covariance_.to_numpy() == pytest.approx(np.exp(2 * log_sd))


def test_a_power_of_a_size_stands_beside_correlations_and_strata():
    frame = simulated(3, n_subjects=60).assign(size=lambda f: np.exp(0.5 * f["x"]))
    model = fitted_model(frame, "ar1", groups="rater", by="arm", power="size")
    residual, own = model._model.repeated.design.residual, model._model.repeated.factor
    assert residual.n_own == 3
    dense = dense_of(model)
    assert model.criterion_ == pytest.approx(dense.criterion + own.system.constant, abs=1e-9)
    # Units of the search: the gradient of −2 log L is 0 to the search's tolerance
    np.testing.assert_allclose(dense.gradient[-6:], 0.0, atol=1e-3)
    table = model.variance_components_
    np.testing.assert_array_equal(table["power"][1:], model._model.solution.residual.phi[:, 1])
    assert table["power"].isna()[0]
    # A larger row is less certain, also where its size was never seen
    rows = frame.drop(columns=["y", "weight"])[:1].loc[[0, 0]]
    rows = rows.assign(subject=999, size=[1.0, 3.7])
    sd = model.predict(rows, return_std=True)[1]
    variance, power = table.loc[1 + rows["arm"].iloc[0], ["variance", "power"]]
    assert sd[1] ** 2 - sd[0] ** 2 == pytest.approx(variance * (3.7 ** (2 * power) - 1.0), rel=1e-9)


def test_a_numeric_categorical_counts_places():
    frame = simulated(0)
    frame["day"] = frame["time"].map({0: 0, 1: 7, 2: 21, 3: 28})
    frame["place"] = pd.Categorical(frame["day"])
    found = [fitted_model(frame, "ar1", time=name).criterion_ for name in ("time", "place", "day")]
    assert found[1] == pytest.approx(found[0], abs=1e-8)
    assert abs(found[2] - found[0]) > 1e-3


def test_dates_are_days_ahead_too():
    frame = simulated(0)
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["time"] * 7, "D")
    residual = ResidualCovariance("exponential", subject="subject", time="date")
    X = frame.assign(date=dates).drop(columns=["y", "weight"])
    model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(X, frame["y"])
    numbers = ResidualCovariance("exponential", subject="subject", time="day")
    Y = frame.assign(day=7.0 * frame["time"]).drop(columns=["y", "weight"])
    other = MixedLinearRegressor(fixed=["x"], residual=numbers).fit(Y, frame["y"])
    ahead = X[:3].assign(date=pd.Timestamp("2024-02-02"))
    np.testing.assert_allclose(model.predict(ahead), other.predict(Y[:3].assign(day=32.0)))


def test_many_near_times_start_from_weaker_correlations():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"subject": np.repeat(np.arange(8), 25), "x": rng.normal(size=200)})
    frame["time"] = np.tile(np.arange(25) * 0.05, 8)
    y = frame["x"] + rng.normal(size=200)
    residual = ResidualCovariance("gaussian", subject="subject", time="time")
    with pytest.warns(SingularFitWarning, match="the least that 'gaussian' allows"):
        model = MixedLinearRegressor(fixed=["x"], residual=residual).fit(frame, y)
    assert model.converged_


def test_booleans_are_no_text():
    frame = simulated(0, n_times=2).astype({"time": bool})
    with pytest.raises(ValueError, match="'time' holds booleans, whose order is False, True, and"):
        MixedLinearRegressor(fixed=["x"], residual=AR1).fit(frame, frame["y"])


def test_distances_of_dates_and_durations_are_days():
    frame = simulated(0)
    exponential = AR1.set_params(structure="exponential")
    number = MixedLinearRegressor(fixed=["x"], residual=exponential).fit(frame, frame["y"])
    hours = pd.to_timedelta(24.0 * frame["time"], unit="h")
    for times in (hours, pd.Timestamp("2020-01-01") + hours):
        same = MixedLinearRegressor(fixed=["x"], residual=exponential)
        same.fit(frame.assign(time=times), frame["y"])
        assert_frame_equal(same.variance_components_, number.variance_components_)
