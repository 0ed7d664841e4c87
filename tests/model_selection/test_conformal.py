"""Conformal intervals: jackknife+ by groups and by rows, against loops of fits."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hostile import check_hostile_states
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, KFold, RepeatedKFold
from sklearn.pipeline import make_pipeline

from skmixed import (
    MixedEffectsRegressor,
    MixedLinearRegressor,
    MixedPoissonRegressor,
    ResidualCovariance,
)
from skmixed._folds import whole_groups
from skmixed._folds.calibration import Calibration
from skmixed.datasets import load_orthodont, load_pastes, load_penicillin, load_sleepstudy
from skmixed.exceptions import InfiniteIntervalsWarning, SingularFitWarning
from skmixed.model_selection import MixedLinearRegressorCV, fit_conformalize


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days"), X, y


@pytest.fixture(scope="module")
def calibrated():
    model, X, y = sleepstudy()
    return fit_conformalize(model, X, y)


def quantile(values, weights, level):
    order = np.argsort(values)
    enough = np.cumsum(weights[order]) >= level - 1e-9
    return values[order][np.argmax(enough)] if enough.any() else np.inf


def by_loop(model, X, y, folds, groups, row, level, *, known):
    """Jackknife+ by fits to rows, with s² = σ² + z'Σz of a new group, and s = σ of a known one."""
    lower, upper, weights = [], [], []
    names, counts = np.unique(groups, return_counts=True)
    for fold in np.unique(folds):
        out = folds == fold
        fit = clone(model).fit(X[~out], y[~out])

        def sd(days, fit=fit):
            z = np.stack([np.ones(len(days)), days])
            inside = 0.0 if known else (z * (fit.covariances_["Subject"].to_numpy() @ z)).sum(0)
            return np.sqrt(fit.sigma_**2 + inside)

        score = np.abs(y[out] - fit.predict(X[out])) / sd(X[out]["Days"].to_numpy())
        center, half = fit.predict(row), sd(row["Days"].to_numpy()) * score
        lower.append(-center + half)
        upper.append(center + half)
        if known:
            weights.append(np.full(out.sum(), 1.0 / (len(y) + 1)))
        else:
            own = dict(zip(names, counts, strict=True))
            weights += [[1.0 / ((len(names) + 1) * own[g]) for g in groups[out]]]
    lower, upper, weights = map(np.concatenate, (lower, upper, weights))
    return -quantile(lower, weights, level), quantile(upper, weights, level)


# Of θ that a search has found from other sums: widths of order 100.
CLOSE = {"rtol": 1e-6}


@pytest.mark.parametrize("cv", [None, 6])
def test_new_groups_are_hierarchical_jackknife_plus(cv):
    model, X, y = sleepstudy()
    keep = np.arange(len(X)) % 17 != 3  # groups of unequal sizes
    X, y = X[keep].reset_index(drop=True), np.asarray(y)[keep]
    groups = X["Subject"].to_numpy()
    # Pairs, since a number deals groups of one size in the order of scikit-learn 1.9
    splits = cv and list(GroupKFold(cv).split(X, y, groups))
    found = fit_conformalize(model, X, y, question="new_groups", cv=splits)
    own = found._model.calibrations[0]
    assert_allclose(own.weights.sum(), 18 / 19)
    assert len(own.sigma) == (cv or 18)
    row = pd.DataFrame({"Days": [7.0], "Subject": ["new"]})
    folds = groups
    if splits is not None:
        folds = np.empty(len(y), dtype=int)
        for k, (_, test) in enumerate(splits):
            folds[test] = k
    expected = by_loop(model, X, y, folds, groups, row, 0.8, known=False)
    interval = found.predict_interval(row, method="conformal", level=0.8)
    assert_allclose(interval[0], expected, **CLOSE)


def test_known_groups_are_jackknife_plus_by_folds():
    model, X, y = sleepstudy()
    y = np.asarray(y)
    found = fit_conformalize(model, X, y, question="known_groups", cv=5)
    own = found._model.calibrations[0]
    # Each group has ten rows, two in each fold
    assert_array_equal(np.bincount(own.fold), 36)
    folds = _folds_of(model, X, y, 5)
    row = pd.DataFrame({"Days": [7.0], "Subject": ["335"]})
    expected = by_loop(model, X, y, folds, X["Subject"], row, 0.9, known=True)
    interval = found.predict_interval(row, method="conformal", level=0.9)
    assert_allclose(interval[0], expected, **CLOSE)


def _folds_of(model, X, y, n):
    from skmixed.model_selection._splits.groups import groups_of
    from skmixed.model_selection._splits.splitters import splits_of

    return splits_of(n, "known_groups", X, y, groups_of([model], X, None)).fold


def test_rows_go_by_their_kind(calibrated):
    rows = pd.DataFrame({"Days": [5, 5, 5], "Subject": ["308", "new", None]})
    found = calibrated.predict_interval(rows, method="conformal", level=0.9)
    new = calibrated.predict_interval(rows[1:2], method="conformal", level=0.9)
    assert_array_equal(found[1:], np.repeat(new, 2, axis=0))
    assert found[0, 1] - found[0, 0] < new[0, 1] - new[0, 0]
    # Without effects of groups all are new
    fixed = calibrated.predict_interval(
        rows[["Days"]], method="conformal", include="fixed", confidence_level=0.9
    )
    assert_array_equal(fixed, np.repeat(new, 3, axis=0))


def test_is_kept_by_copies_and_left_by_fits(calibrated):
    _, X, y = sleepstudy()
    asked = {"method": "conformal", "level": 0.9}
    expected = calibrated.predict_interval(X, **asked)
    copies = [copy.deepcopy(calibrated), calibrated.slim(), pickle.loads(pickle.dumps(calibrated))]
    for own in [*copies, pickle.loads(pickle.dumps(calibrated.slim()))]:
        assert_array_equal(own.predict_interval(X, **asked), expected)
    grown = copy.deepcopy(calibrated)
    more = pd.DataFrame({"Days": [0.0, 1.0], "Subject": "new"})
    grown.update_groups(more, [300.0, 310.0])
    assert_array_equal(grown.predict_interval(X, **asked), expected)
    new = calibrated.predict_interval(more, **asked)
    assert_array_equal(grown.predict_interval(more, **asked), new)
    again = [clone(calibrated).fit(X, y), copies[0].fit(X, y)]
    for own in again:
        with pytest.raises(ValueError, match="fit_conformalize"):
            own.predict_interval(X, **asked)
    # The fit itself is that of fit
    assert_array_equal(again[0].predict(X), calibrated.predict(X))


def test_hostile_states(calibrated):
    _, X, _ = sleepstudy()

    def use(other):
        other.predict_interval(X[:5], method="conformal", level=0.9)

    check_hostile_states(calibrated, use, 0.05)


def test_too_few_groups(calibrated):
    row = pd.DataFrame({"Days": [5], "Subject": ["new"]})
    message = (
        "at level=0.95 are infinite: there are too few groups. It takes 19 of them, and the model "
        "was calibrated by 18, with which the level is at most 18/19. Lower the level."
    )
    with pytest.warns(InfiniteIntervalsWarning, match=message):
        found = calibrated.predict_interval(row, method="conformal")
    assert_array_equal(found, [[-np.inf, np.inf]])
    # 18 groups: 1 − 1/19
    found = calibrated.predict_interval(row, method="conformal", level=18 / 19)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("question", ["new_groups", "known_groups"])
@pytest.mark.parametrize("n_groups", [5, 9, 30])
def test_how_many_it_takes(question, n_groups):
    """With n of them intervals are finite at n/(n + 1), and not at the next such level."""
    rng = np.random.default_rng(n_groups)
    group = np.repeat(np.arange(n_groups), 3)
    X = pd.DataFrame({"x": rng.normal(size=len(group)), "group": group})
    y = 3.0 * rng.normal(size=n_groups)[group] + rng.normal(size=len(group))
    found = fit_conformalize(MixedLinearRegressor("group"), X, y, question=question)
    is_new = question == "new_groups"
    n, units = (n_groups, "groups") if is_new else (len(group), "rows")
    row = X[:1].assign(group=-1 if is_new else 0)
    assert found._model.calibrations[0].n_units == n
    assert np.isfinite(found.predict_interval(row, method="conformal", level=n / (n + 1))).all()
    message = (
        f"too few {units}. It takes {n + 1} of them, and the model was calibrated by {n}, with"
    )
    with pytest.warns(InfiniteIntervalsWarning, match=message):
        found = found.predict_interval(row, method="conformal", level=(n + 1) / (n + 2))
    assert np.isinf(found).all()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 2 / 3, 18 / 19, 0.949])
def test_needed_units(level):
    enough = [k for k in range(1, 1100) if k / (k + 1) >= level - 1e-12]
    assert Calibration.n_needed(level) == enough[0]


def test_splitters_answer_one_question():
    model, X, y = sleepstudy()
    own = fit_conformalize(model, X, y, cv=GroupKFold(6))
    number = fit_conformalize(model, X, y, cv=6, question="new_groups")
    row = pd.DataFrame({"Days": [5], "Subject": ["new"]})
    asked = {"method": "conformal", "confidence_level": 0.9}
    # By way of `GroupKFold` in both
    splits = list(GroupKFold(6).split(X, y, X["Subject"]))
    assert_array_equal(own.predict_interval(row, **asked), number.predict_interval(row, **asked))
    # Rows that are given, some of weight 0, by the numbers that the user knows them by
    weights = np.ones(len(y))
    weights[[3, 50, 51]] = 0.0
    found = fit_conformalize(model, X, y, cv=iter(splits), sample_weight=weights)
    kept = np.flatnonzero(weights)
    inside = [tuple(np.searchsorted(kept, np.intersect1d(p, kept)) for p in s) for s in splits]
    expected = fit_conformalize(model, X.iloc[kept], y.iloc[kept], cv=inside)
    ends = [own.predict_interval(row, **asked) for own in (found, expected)]
    # θ of the same rows, whose sums are added in another order
    assert_allclose(*ends, rtol=1e-8)


def test_splitters_that_answer_none():
    model, X, y = sleepstudy()
    shuffled = KFold(5, shuffle=True, random_state=0)
    assert fit_conformalize(model, X, y, cv=shuffled)._model.calibrations[0].new == (False,)
    with pytest.raises(ValueError, match="question='new_groups', but split 0 trains on rows"):
        fit_conformalize(model, X, y, cv=shuffled, question="new_groups")
    with pytest.raises(ValueError, match=r"known groups of 'Subject' \(11%\) and of new ones"):
        fit_conformalize(model, X, y, cv=KFold(4))
    repeated = RepeatedKFold(n_splits=3, n_repeats=2, random_state=0)
    with pytest.raises(ValueError, match="cv has row 0 in the test rows of several splits"):
        fit_conformalize(model, X, y, cv=repeated)


def test_nested_factors():
    X, y = load_pastes(return_X_y=True)
    model = MixedLinearRegressor(["batch", ("batch", "cask")], fixed=[])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some fits without a batch are singular
        found = fit_conformalize(model, X, y)
    new, known = found._model.calibrations
    assert new.new == (True, True)
    assert known.new == (False, False)
    rows = X[:3].copy()
    rows["batch"] = [rows["batch"].iloc[0], "new", rows["batch"].iloc[2]]
    ends = found.predict_interval(rows, method="conformal", level=0.8)
    assert (ends[:, 0] < ends[:, 1]).all()
    rows["cask"] = "new"
    with pytest.raises(ValueError, match="a known group of 'batch' and a new group of"):
        found.predict_interval(rows, method="conformal", level=0.8)


def test_crossed_factors_need_a_word():
    X, y = load_penicillin(return_X_y=True)
    model = MixedLinearRegressor(["plate", "sample"], fixed=[])
    with pytest.raises(ValueError, match="crossed"):
        fit_conformalize(model, X, y)
    found = fit_conformalize(model, X, y, groups=X["plate"], question="new_groups")
    own = found._model.calibrations[0]
    assert own.new == (True, False)
    # A known sample keeps its effect
    rows = X[:2].assign(plate="new", sample=["A", "F"])
    ends = found.predict_interval(rows, method="conformal", level=0.9)
    centers = found.predict(rows)
    # Half a width is several times the spread of the fits without a plate
    assert_allclose(ends.mean(axis=1), centers, atol=0.2)
    assert abs(centers[0] - centers[1]) > 1


def test_weights_and_a_model_without_groups():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    weights = np.r_[rng.uniform(0.2, 5.0, 190), np.zeros(10)]
    y = x + np.r_[rng.normal(size=190) / np.sqrt(weights[:190]), np.full(10, 1e6)]
    found = fit_conformalize(
        MixedLinearRegressor(), x[:, None], y, sample_weight=weights, theta="fixed"
    )
    assert len(found._model.calibrations[0].scores) == 190
    ends = found.predict_interval(
        np.zeros((2, 1)), method="conformal", sample_weight=np.array([1.0, 4.0])
    )
    width = ends[:, 1] - ends[:, 0]
    # Fits without one of ten folds differ by less than a tenth of the residual sd
    assert_allclose(width[0] / width[1], 2.0, rtol=0.1)


def test_labels_beside_x():
    X, y = load_orthodont(return_X_y=True)
    found = fit_conformalize(MixedLinearRegressor(), X[["age"]], y, groups=X["Subject"])
    named = fit_conformalize(MixedLinearRegressor("Subject", fixed=["age"]), X, y)
    assert_array_equal(
        found.predict_interval(X[["age"]], groups=X["Subject"], method="conformal"),
        named.predict_interval(X, method="conformal"),
    )


@pytest.mark.slow
def test_coverage_of_heavy_tails():
    rng = np.random.default_rng(7)
    held = []
    for _ in range(25):
        group = np.r_[np.repeat(np.arange(40), 6), np.arange(40), np.arange(40, 240)]
        x = rng.normal(size=len(group))
        b = rng.standard_t(3, size=(2, 240))[:, group]
        y = x + b[0] + b[1] * x + rng.standard_t(3, size=len(group))
        X = pd.DataFrame({"x": x, "group": group})
        model = MixedLinearRegressor("group", random_slopes="x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some fits are singular
            model = fit_conformalize(model, X[:240], y[:240], theta="fixed", cv=10)
        lower, upper = model.predict_interval(X[240:], method="conformal", level=0.9).T
        inside = (lower <= y[240:]) & (y[240:] <= upper)
        held.append([inside[:40].mean(), inside[40:].mean()])
    # 0.9 to 0.9 · 41/40 of new groups; three Monte Carlo errors of 25 samples
    mean, error = np.mean(held, axis=0), np.std(held, axis=0) / 5
    assert (np.abs(mean - [0.9, 0.911]) < 3 * error + 0.01).all()


class TestBadInput:
    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"of": "mean"}, "means are not observed"),
            ({"ddf": "normal"}, "Leave `ddf` out"),
            ({"level": 0.9, "confidence_level": 0.8}, "two names of one thing"),
            ({"confidence_level": 95}, "confidence_level=95 is not between 0 and 1"),
        ],
    )
    def test_of_predict_interval(self, calibrated, asked, message):
        _, X, _ = sleepstudy()
        with pytest.raises(ValueError, match=message):
            calibrated.predict_interval(X, method="conformal", **asked)

    def test_another_method(self, calibrated):
        _, X, _ = sleepstudy()
        with pytest.raises(ValueError, match="method='bootstrap'"):
            calibrated.predict_interval(X, method="bootstrap")

    @pytest.mark.parametrize("model", [
        MixedPoissonRegressor("Subject"),
        MixedLinearRegressor(residual=ResidualCovariance("ar1", subject="Subject", time="Days")),
    ])  # fmt: skip
    def test_other_models(self, model):
        _, X, y = sleepstudy()
        with pytest.raises(TypeError, match="MixedLinearRegressor with residual=None"):
            fit_conformalize(model, X, y)

    @pytest.mark.parametrize(("model", "hint"), [
        (MixedLinearRegressorCV("Subject"), "After a fit its best_estimator_ is one"),
        (MixedEffectsRegressor(LinearRegression(), "Subject"), "its mixed_model_ is one"),
        (make_pipeline(MixedLinearRegressor("Subject")), "Give the last step of the Pipeline"),
        (LinearRegression(), "from sums over their rows.$"),
    ])  # fmt: skip
    def test_what_to_give_instead(self, model, hint):
        _, X, y = sleepstudy()
        with pytest.raises(TypeError, match=f"model is of type {type(model).__name__}.*{hint}"):
            fit_conformalize(model, X, y)

    def test_choices(self):
        model, X, y = sleepstudy()
        with pytest.raises(ValueError, match="question='groups'"):
            fit_conformalize(model, X, y, question="groups")
        with pytest.raises(ValueError, match="30 folds are more than there are groups"):
            fit_conformalize(model, X, y, cv=30)
        with pytest.raises(ValueError, match="has new levels alone"):
            fit_conformalize(model, X, y, question="new_groups", groups=X["Days"])

    def test_rows_that_are_not_calibrated_for(self):
        model, X, y = sleepstudy()
        found = fit_conformalize(model, X, y, question="new_groups", cv=6)
        with pytest.raises(ValueError, match="Row 0 has a known group of 'Subject'"):
            found.predict_interval(X, method="conformal", level=0.8)


@pytest.mark.parametrize(("slopes", "theta"), [(True, "refit"), (False, "fixed")])
def test_many_groups_are_left_out_as_few_are(slopes, theta, monkeypatch):
    rng = np.random.default_rng(2)
    group = np.sort(rng.integers(0, 80, 500))
    x = 100.0 + rng.normal(size=500)
    y = x + rng.normal(size=(2, 80))[0, group] + rng.normal(size=500)
    y += rng.normal(size=80)[group] * (x - 100.0)
    X = pd.DataFrame({"x": x, "group": group})
    model = MixedLinearRegressor("group", random_slopes="x" if slopes else None)
    weights = rng.uniform(0.5, 2.0, 500)
    asked = {"question": "new_groups", "theta": theta, "sample_weight": weights}
    together = fit_conformalize(model, X, y, **asked)
    monkeypatch.setattr(whole_groups, "FEW_FOLDS", 1000)
    alone = fit_conformalize(model, X, y, **asked)
    rows = pd.DataFrame({"x": [98.0, 103.0], "group": -1})
    found, expected = (
        own.predict_interval(rows, method="conformal", confidence_level=0.9)
        for own in (together, alone)
    )
    # θ to eight digits by the single fits, to ten by the search of all
    assert_allclose(found, expected, rtol=1e-6)
    for one, other in zip(
        together._model.calibrations[0].roots, alone._model.calibrations[0].roots, strict=True
    ):
        covariances = [root @ root.transpose(0, 2, 1) for root in (one, other)]
        assert_allclose(*covariances, rtol=1e-4, atol=1e-6 * np.abs(covariances[1]).max())


def test_folds_that_are_searched_together_are_heard():
    """Singular fits without some of few folds of whole groups, which the fit of all rows is not."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(100), 5)
    x, effects = rng.normal(size=500), rng.normal(size=100)[codes]
    y = rng.normal(size=500) + effects + 0.05 * rng.normal(size=100)[codes] * x
    X = pd.DataFrame({"x": x, "g": codes})
    model = MixedLinearRegressor("g", random_slopes="x", fixed=["x"])
    with pytest.warns(SingularFitWarning, match="of 5 fits without a fold") as said:
        fit_conformalize(model, X, y, cv=5, question="new_groups")
    (count,) = {int(str(w.message).split()[1]) for w in said if "fits" in str(w.message)}
    singular = 0
    for train, _ in GroupKFold(5).split(X, y, codes):
        with warnings.catch_warnings(record=True) as own:
            warnings.simplefilter("always")
            clone(model).fit(X.iloc[train], y[train])
        singular += len(own)
    assert count == singular > 0
