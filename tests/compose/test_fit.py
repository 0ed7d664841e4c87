"""What MixedEffectsRegressor refuses, before it fits anything, and which folds it takes."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import RandomForestRegressor, StackingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import GammaRegressor, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, ShuffleSplit
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.tree import DecisionTreeRegressor

from skmixed import MixedEffectsRegressor
from skmixed.exceptions import SingularFitWarning, UndeterminedError
from skmixed.inference import icc


class Counting(Ridge):
    """Counts its fits, and fails in some of them."""

    rows: list = []  # noqa: RUF012
    failing = None

    def fit(self, X, y, sample_weight=None):
        Counting.rows.append(len(X))
        if Counting.failing is not None and len(Counting.rows) == Counting.failing:
            raise RuntimeError("this fold fails")
        return super().fit(X, y, sample_weight)


@pytest.fixture(autouse=True)
def counts():
    Counting.rows, Counting.failing = [], None


def made(n=100, n_groups=10):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    X["g"] = np.arange(n) % n_groups
    return X, X["a"] + rng.normal(size=n_groups)[X["g"]] + rng.normal(size=n)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"regressor": None}, TypeError, "has no method 'fit'"),
        ({"regressor": Ridge}, TypeError, "is a class. Give an instance"),
        ({"regressor": StandardScaler()}, TypeError, "has no method 'predict'"),
        ({"regressor": LogisticRegression()}, ValueError, "classifier.*MixedLogisticClassifier"),
        ({"regressor": OneClassSVM()}, ValueError, "is no regressor"),
        ({"cv": "folds"}, ValueError, "cv='folds' is not known"),
        ({"cv": 1}, ValueError, "cv=1 folds are too few"),
        ({"cv": 2.5}, TypeError, "cv=2.5 is of type float"),
        ({"cv": True}, TypeError, "cv=True is of type bool"),
        ({"cv": iter([])}, TypeError, "the first fit would use up"),
        ({"cv": "oob"}, ValueError, "does not draw samples"),
        ({"cv": "oob", "regressor": RandomForestRegressor(20)}, ValueError, "50 trees"),
        ({"cv": ShuffleSplit(2, random_state=0)}, ValueError, "must contain each row once"),
        ({"cv": [(np.arange(100), np.arange(100))]}, ValueError, "no training rows, or some of"),
        ({"cv": 101}, ValueError, "cv=101 takes 101 folds, more than .*n_samples=100"),
        ({"cv": KFold(101)}, ValueError, r"cv=KFold\(.* does not divide the rows: .*n_splits=101"),
        ({"cv": "in_sample", "linear": "a"}, ValueError, "linear='a' needs folds .*'in_sample'"),
        ({"cv": KFold(3), "linear": "a"}, ValueError, r"needs folds of whole.*cv=KFold\(n_splits"),
        (
            {"random_state": np.random.default_rng(0)},
            TypeError,
            r"an int .*, a RandomState or None",
        ),
        ({"method": "mle"}, ValueError, "method='mle' is not known"),
        ({"max_iter": 0}, ValueError, "max_iter=0 is not positive"),
        ({"max_iter": 2.0}, TypeError, "Give an integer"),
        ({"tol": -1}, ValueError, "tol=-1 is not positive"),
        ({"keep_groups": 1}, TypeError, "Give True or False"),
        ({"handle_unknown": "ignore"}, ValueError, "handle_unknown='ignore'"),
        ({"groups": "h"}, ValueError, "'h' is not a column of X"),
        ({"random_slopes": "c"}, ValueError, "Slope column 'c'"),
        ({"linear": "c"}, ValueError, "Linear column 'c' is not a column of X"),
        ({"linear": ["a", "g"]}, ValueError, "'g' of linear=.* is a grouping column"),
        ({"linear": ["a", "b"]}, ValueError, r"3 feature\(s\), .* are grouping or linear columns"),
    ],
)
def test_bad_parameters_are_refused_before_any_fit(parameters, error, message):
    X, y = made()
    model = MixedEffectsRegressor(**{"regressor": Counting(), "groups": "g", **parameters})
    with pytest.raises(error, match=message):
        model.fit(X, y)
    assert not Counting.rows
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X.assign(g=[None, *X["g"][1:]]), y), "'g' has 1 missing value"),
        (lambda X, y: (X, y.where(y.index > 0)), "'y' contains NaN"),
        (lambda X, y: (X.assign(g=1), y), "'g' has a single level"),
        (lambda X, y: (X.assign(g=np.arange(len(X))), y), "100 levels for 100 samples"),
        (lambda X, y: (X[["g"]], y), r"1 feature\(s\), 'g', and all are grouping"),
        (lambda X, y: (X, None), "This MixedEffectsRegressor estimator requires y"),
        (lambda X, y: (X[:0], y[:0]), "required by MixedEffectsRegressor"),
        (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    ],
)
def test_bad_data_are_refused_before_any_fit(change, message):
    model = MixedEffectsRegressor(Counting(), "g")
    with pytest.raises(ValueError, match=message):
        model.fit(*change(*made()))
    assert not Counting.rows


def test_numbers_that_are_missing_are_named_where_the_regressor_says_that_it_takes_none():
    X, y = made()
    X.loc[3, "a"] = np.nan
    with pytest.raises(ValueError, match=r"'a' contains NaN .*first at row 3.*allow_nan is False"):
        MixedEffectsRegressor(Counting(), "g").fit(X, y)
    assert not Counting.rows

    class Taking(Counting):
        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.input_tags.allow_nan = True
            return tags

        def fit(self, X, y, sample_weight=None):
            return super().fit(X.fillna(0.0), y, sample_weight)

        def predict(self, X):
            return super().predict(X.fillna(0.0))

    assert np.isfinite(MixedEffectsRegressor(Taking(), "g").fit(X, y).predict(X)).all()


def test_a_regressor_of_positive_targets_is_told_what_it_is_trained_on():
    X, y = made()
    logs = TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp)
    for regressor, said in ((GammaRegressor(), "HalfGammaLoss"), (logs, "Input contains NaN")):
        model = MixedEffectsRegressor(regressor, "g")
        effects = 2 * np.random.default_rng(1).normal(size=10)
        with (
            pytest.raises(ValueError, match=f"{said}.*y less the effects .* though y is positive"),
            np.errstate(invalid="ignore"),
        ):
            model.fit(X, np.exp(0.3 * X["a"] + effects[X["g"]]))
        # What it says of a response that is not positive itself stays as it is.
        with pytest.raises(ValueError, match=f"{said}'?.?$"), np.errstate(invalid="ignore"):
            model.fit(X, y)


def test_text_for_a_regressor_of_numbers_is_refused_before_any_fit():
    X, y = made()
    X["g"] = X["g"].map("group {}".format)
    with pytest.raises(ValueError, match=r"'g' .* to `regressor`, and Counting takes numbers"):
        MixedEffectsRegressor(Counting(), "g", keep_groups=True).fit(X, y)
    assert not Counting.rows


def test_weights_for_a_regressor_that_takes_none_are_refused():
    X, y = made()
    for regressor in (
        KNeighborsRegressor(),
        make_pipeline(StandardScaler(), KNeighborsRegressor()),
    ):
        with pytest.raises(ValueError, match=r"KNeighborsRegressor.fit, of `regressor`, takes"):
            MixedEffectsRegressor(regressor, "g").fit(X, y, sample_weight=np.ones(100))


def test_metadata_need_routing():
    X, y = made()
    with pytest.raises(ValueError, match=r"fit was given 'trace' .*without metadata routing"):
        MixedEffectsRegressor(Ridge(), "g").fit(X, y, trace=1)


@pytest.mark.parametrize("failing", [1, 4, 11])
def test_a_failure_in_any_fit_leaves_the_estimator_as_it_was(failing):
    X, y = made()
    model = MixedEffectsRegressor(Counting(), "g", cv=5, max_iter=2, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match="After 2 turns the effects still move"):
        model.fit(X, y)
    assert len(Counting.rows) == 11
    before, state = model.predict(X), dict(vars(model))
    Counting.rows, Counting.failing = [], failing
    with pytest.raises(RuntimeError, match="this fold fails"):
        model.fit(X + 1, y)
    assert vars(model) == state
    np.testing.assert_array_equal(model.predict(X), before)
    fresh, Counting.rows = MixedEffectsRegressor(Counting(), "g", max_iter=2, tol=1e-9), []
    with pytest.raises(RuntimeError, match="this fold fails"):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@pytest.mark.parametrize(
    ("predicts", "message"),
    [
        (lambda n: np.full(n, np.nan), "predicts nan for 20 rows"),
        (lambda n: np.zeros((n, 2)), r"predicts an array of shape \(20, 2\) for 20 rows"),
    ],
)
def test_predictions_that_are_no_numbers_are_refused(predicts, message):
    class Odd(Ridge):
        def predict(self, X):
            return predicts(len(X))

    X, y = made()
    with pytest.raises(ValueError, match=message):
        MixedEffectsRegressor(Odd(), "g").fit(X, y)


def test_predictions_of_one_column_are_taken():
    class Column(Ridge):
        def predict(self, X):
            return super().predict(X)[:, None]

    X, y = made()
    flat = MixedEffectsRegressor(Ridge(), "g").fit(X, y).predict(X)
    np.testing.assert_array_equal(MixedEffectsRegressor(Column(), "g").fit(X, y).predict(X), flat)


def sizes_of_folds(model, X, y):
    """Rows of each fold, by fits that are counted."""
    model.fit(X, y)
    return [len(X) - n for n in Counting.rows[:-1]]


def test_folds_are_of_rows_unless_a_column_tells_groups_apart():
    X, y = made(90, 9)
    model = MixedEffectsRegressor(Counting(), "g", max_iter=1, tol=10.0)
    assert sizes_of_folds(model, X, y) == [18] * 5
    Counting.rows = []
    # Five folds of nine groups of ten rows
    assert sorted(sizes_of_folds(model, X.assign(b=X["g"] ** 2), y)) == [10, 20, 20, 20, 20]
    Counting.rows = []
    # No more folds than groups; a column that is constant tells nothing apart
    few = X.assign(g=X["g"] % 3, b=X["g"] % 3 * 1.5)
    y = y + 5 * few["g"] ** 2
    assert sizes_of_folds(model, few, y) == [30] * 3
    Counting.rows = []
    assert sizes_of_folds(model, X.assign(b=1.0), y) == [18] * 5


def test_groups_are_kept_together_for_a_forest_too_where_a_column_tells_them_apart():
    X, y = made(90, 9)
    forest = RandomForestRegressor(50, random_state=0)
    model = MixedEffectsRegressor(forest, "g", max_iter=1, tol=10.0)
    assert model.fit(X, y).n_regressor_fits_ == 2
    assert model.fit(X.assign(b=X["g"] ** 2), y).n_regressor_fits_ == 6
    assert model.set_params(max_iter=10, tol=1e-9).fit(X, y).n_iter_ > 1
    few = MixedEffectsRegressor(RandomForestRegressor(5), "g", max_iter=1, tol=10.0)
    assert few.fit(X, y).n_regressor_fits_ == 6


def test_steps_that_write_on_their_input_change_no_other_fit():
    X, y = made(90, 9)
    for cv in ("oob", "in_sample", 5):
        found = []
        for copy in (True, False):
            forest = RandomForestRegressor(50, random_state=0)
            pipe = make_pipeline(StandardScaler(copy=copy), forest)
            given = X.to_numpy() * [3.0, 5.0, 1.0]
            model = MixedEffectsRegressor(pipe, 2, cv=cv, max_iter=2, tol=1.0).fit(given.copy(), y)
            found.append(model.predict(given.copy()))
        # The trees split alike. Scaling rounds otherwise in place, and searches that begin so end
        # within their tolerance of each other.
        np.testing.assert_allclose(*found, rtol=1e-9)


def test_regressors_of_regressors_are_taken_and_hand_weights_on():
    X, y = made(90, 9)
    stack = StackingRegressor([("ridge", Ridge())], Ridge())
    assert MixedEffectsRegressor(stack, "g").fit(X, y).score(X, y) > 0  # better than the mean
    logs = TransformedTargetRegressor(Ridge(), transformer=StandardScaler())
    weights = np.linspace(0.1, 3, 90)
    weighted = MixedEffectsRegressor(logs, "g").fit(X, y, sample_weight=weights)
    plain = MixedEffectsRegressor(logs, "g").fit(X, y)
    assert not np.allclose(*(m.predict(X, include="fixed") for m in (weighted, plain)))


def test_folds_of_whole_groups_are_taken_once():
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a = rng.uniform(-2, 2, 80)
        X = pd.DataFrame({"a": a, "g": np.arange(80)}).loc[np.repeat(np.arange(80), 8)]
        y = np.sin(3 * X["a"]) + rng.normal(size=80)[X["g"]] + rng.normal(size=640)
        model = MixedEffectsRegressor(KNeighborsRegressor(24), "g").fit(X, y)
        f = model.predict(X, include="fixed")
        error = np.mean((f - np.sin(3 * X["a"])) ** 2)
        found.append([model.variance_components_["variance"][0], 1 + error])
        assert model.n_iter_ == 1
        assert model.converged_
    of_groups, faced = np.mean(found, axis=0)
    # Ten sets of 80 groups: a standard error of 6 %, and f̂₋, which has seen no row of the group,
    # has a larger error than f̂ by a tenth or two; a second turn leaves half of the variance.
    assert 0.85 < of_groups / faced < 1.3


def test_strong_effects_beside_a_column_of_groups_leave_known_groups_well_predicted():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.uniform(-2, 2, 600), "g": np.repeat(np.arange(40), 15)})
    X["c"] = rng.normal(size=40)[X["g"]]
    effects = 20 * rng.normal(size=40)
    y = X["a"] + effects[X["g"]] + rng.normal(size=600)
    forest = RandomForestRegressor(60, min_samples_leaf=5, random_state=0)
    model = MixedEffectsRegressor(forest, "g").fit(X, y)
    error = model.predict(X) - X["a"] - effects[X["g"]]
    # The effects differ by 20, a forest that is given them is off by more than 5.
    assert np.mean(error**2) ** 0.5 < 1.0


def test_a_splitter_is_given_the_levels_of_the_first_factor():
    X, y = made(90, 9)
    model = MixedEffectsRegressor(Counting(), "g", cv=GroupKFold(3), max_iter=1, tol=10.0)
    assert sizes_of_folds(model, X, y) == [30] * 3
    Counting.rows = []
    own = list(KFold(2).split(X))
    assert sizes_of_folds(model.set_params(cv=own), X, y) == [45] * 2
    Counting.rows = []
    assert sizes_of_folds(model.set_params(cv=LeaveOneOut()), X, y) == [1] * 90


def test_effects_that_do_not_differ_end_the_turns():
    X, y = made(80, 8)
    # Means of groups without a difference, also after any line in a
    X["a"] -= X.groupby("g")["a"].transform("mean")
    y = y - y.groupby(X["g"]).transform("mean")
    with pytest.warns(SingularFitWarning, match="'g' is 0"):
        model = MixedEffectsRegressor(LinearRegression(), "g").fit(X, y)
    assert model.n_iter_ == 1
    assert model.converged_


def test_missing_numbers_reach_a_regressor_that_takes_them():
    X, y = made()
    X.loc[::7, "a"] = np.nan
    model = MixedEffectsRegressor(DecisionTreeRegressor(max_depth=3), "g").fit(X, y)
    assert np.isfinite(model.predict(X)).all()


def test_nullable_numbers_and_labels_are_compared_within_groups():
    X, y = made()
    X["kind"] = pd.array(np.where(X["a"] > 0, "up", "down"), dtype="string")
    X["count"] = pd.array(X["g"] % 3, dtype="Int64")
    X.loc[::9, ["kind", "count"]] = pd.NA
    columns = make_column_transformer((SimpleImputer(), ["a", "b"]))
    model = MixedEffectsRegressor(make_pipeline(columns, Counting()), "g", max_iter=1, tol=10.0)
    assert sizes_of_folds(model, X, y) == [20] * 5
    X["count"] = pd.array(X["g"] % 3, dtype="Int64")
    X.loc[X["g"] == 4, "count"] = pd.NA
    Counting.rows = []
    sizes_of_folds(model, X, y)
    assert model.regressor_ is not None
    assert set(Counting.rows[:-1]) == {80}


def test_undetermined_effects_are_refused_by_their_own_error():
    X, y = made(20, 10)
    X["g"] = np.arange(20)
    with pytest.raises(UndeterminedError, match="20 levels for 20 samples"):
        MixedEffectsRegressor(Counting(), "g").fit(X, y)


def test_functions_of_linear_models_take_the_model_of_the_effects():
    X, y = made()
    model = MixedEffectsRegressor(Ridge(), "g").fit(X, y)
    with pytest.raises(TypeError, match="such as the mixed_model_ of a MixedEffectsRegressor"):
        icc(model)
    assert 0 < icc(model.mixed_model_)["g"] < 1
