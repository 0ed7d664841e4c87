"""Cross-validation from statistics gives what scikit-learn's loop of fits gives."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import model_selection as sk
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import DataConversionWarning, FitFailedWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeavePGroupsOut,
    RepeatedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
)
from skmixed.datasets import (
    load_orthodont,
    load_pastes,
    load_penicillin,
    load_sleepstudy,
    load_toenail,
)
from skmixed.exceptions import SingularFitWarning
from skmixed.model_selection import Validation, both_questions, cross_validate

# Of one Λ to another, by the rounding of sums in another order; scores are of order 1 to 1000.
CLOSE = {"rtol": 1e-8, "atol": 1e-8}
SCORES = ["r2", "neg_mean_squared_error", "neg_median_absolute_error"]


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True)
    return MixedLinearRegressor("Subject", random_slopes="Days"), X, y, X["Subject"]


def orthodont():
    X, y = load_orthodont(return_X_y=True)
    X = X.assign(Sex=(X["Sex"] == "Female").astype(float))
    return MixedLinearRegressor("Subject", random_slopes="age"), X, y, X["Subject"]


def pastes():
    X, y = load_pastes(return_X_y=True)
    return MixedLinearRegressor(["batch", ("batch", "cask")], fixed=[]), X, y, X["batch"]


def penicillin():
    X, y = load_penicillin(return_X_y=True)
    return MixedLinearRegressor(["plate", "sample"], fixed=[]), X, y, X["plate"]


DATA = [sleepstudy, orthodont, pastes, penicillin]
SPLITTERS = [
    GroupKFold(5),
    LeaveOneGroupOut(),
    KFold(7, shuffle=True, random_state=0),
    RepeatedKFold(n_splits=3, n_repeats=2, random_state=1),
    GroupShuffleSplit(3, random_state=0),
]


@pytest.mark.filterwarnings("ignore")  # singular folds, which another test looks at
@pytest.mark.parametrize("cv", SPLITTERS, ids=lambda own: type(own).__name__)
@pytest.mark.parametrize("data", DATA, ids=lambda own: own.__name__)
def test_equals_scikit_learns_loop(data, cv):
    model, X, y, groups = data()
    # Each data set and each splitter by both methods
    model.set_params(method=["reml", "ml"][(DATA.index(data) + SPLITTERS.index(cv)) % 2])
    found = cross_validate(model, X, y, cv=cv, groups=groups, scoring=SCORES)
    expected = sk.cross_validate(model, X, y, cv=cv, groups=groups, scoring=SCORES)
    assert set(found) == set(expected)
    for name in SCORES:
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], **CLOSE)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("cv", [GroupKFold(5), KFold(5)], ids=["new", "known"])
def test_equals_the_loop_of_many_rows(cv, method):
    rng = np.random.default_rng(0)
    n, q = 50_000, 2_000
    group, values = rng.integers(0, q, n), rng.normal(size=(n, 4))
    X = pd.DataFrame(values, columns=list("abcd")).assign(group=group)
    effects = rng.normal(size=(q, 2))
    y = values.sum(axis=1) + effects[group, 0] + effects[group, 1] * values[:, 0]
    y += rng.normal(size=n)
    model = MixedLinearRegressor("group", random_slopes="a", method=method)
    found = cross_validate(model, X, y, cv=cv, scoring=SCORES[:2])
    own = group if isinstance(cv, GroupKFold) else None
    expected = sk.cross_validate(model, X, y, cv=cv, groups=own, scoring=SCORES[:2])
    for name in SCORES[:2]:
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], **CLOSE)


@pytest.mark.parametrize("question", ["new_groups", "known_groups"])
def test_a_grid_is_that_of_grid_search(question):
    model, X, y, groups = orthodont()
    grid = {
        "method": ["reml", "ml"],
        "groups": [
            RandomEffect("Subject"),
            RandomEffect("Subject", slopes="age"),
            RandomEffect("Subject", slopes="age", covariance="diag"),
        ],
        "fixed": [["age"], ["age", "Sex"]],
    }
    model = MixedLinearRegressor()
    cv = GroupKFold(4) if question == "new_groups" else KFold(4, shuffle=True, random_state=1)
    scoring = ["r2", "neg_mean_squared_error"]
    search = sk.GridSearchCV(model, grid, cv=cv, scoring=scoring, refit=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        expected = search.fit(X, y, groups=groups if question == "new_groups" else None).cv_results_
        found = cross_validate(
            model, X, y, cv=cv, groups=groups, param_grid=grid, scoring=scoring, question=question
        )
    assert set(found) == set(expected)
    assert found["params"] == expected["params"]
    for key, own in expected.items():
        if key.startswith(("split", "mean_test", "std_test")):
            assert_allclose(found[key], own, **CLOSE)
    assert_array_equal(found["param_method"], expected["param_method"])
    # Ranks of scores that agree to the last digits may be exchanged
    best = found["rank_test_r2"] == 1
    assert_allclose(expected["mean_test_r2"][best], expected["mean_test_r2"].max(), **CLOSE)
    assert len(found.summary()) == 12


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_grid_over_crossed_factors_and_none():
    _, X, y, _ = penicillin()
    grid = [{"groups": [None, "plate", "sample", ["sample", "plate"], ["plate", "sample"]]}]
    model = MixedLinearRegressor(fixed=[])
    cv = KFold(4, shuffle=True, random_state=3)
    found = cross_validate(model, X, y, cv=cv, param_grid=grid, scoring="r2")
    for k, params in enumerate(found["params"]):
        own = clone(model).set_params(**params)
        expected = sk.cross_validate(own, X, y, cv=cv)["test_score"]
        assert_allclose([found[f"split{i}_test_score"][k] for i in range(4)], expected, **CLOSE)


def test_columns_that_nearly_depend_on_others():
    model, X, y, groups = sleepstudy()
    rng = np.random.default_rng(0)
    X = X.assign(near=X["Days"] + 1e-7 * rng.normal(size=len(X)))
    grid = {"fixed": [["Days"], ["Days", "near"]]}
    found = cross_validate(model, X, y, cv=GroupKFold(3), param_grid=grid, scoring="r2")
    for k, params in enumerate(found["params"]):
        own = clone(model).set_params(**params)
        expected = sk.cross_validate(own, X, y, cv=GroupKFold(3), groups=groups)["test_score"]
        # Of sixteen digits seven are between the columns; R² is 1 less a ratio of order 1
        scores = [found[f"split{i}_test_score"][k] for i in range(3)]
        assert_allclose(scores, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("zeros", [False, True])
def test_weights(zeros):
    model, X, y, groups = sleepstudy()
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    if zeros:
        weights[::7] = 0.0
    cv = LeaveOneGroupOut()
    found = cross_validate(model, X, y, cv=cv, sample_weight=weights, scoring=["r2"])
    expected = sk.cross_validate(
        model, X, y, cv=cv, groups=groups, params={"sample_weight": weights}, scoring=["r2"]
    )
    assert_allclose(found["test_r2"], expected["test_r2"], **CLOSE)


def test_predictions_and_density_are_those_of_the_fits():
    model, X, y, _ = sleepstudy()
    cv = KFold(4, shuffle=True, random_state=0)
    found = cross_validate(model, X, y, cv=cv, return_predictions=True)
    assert_allclose(found["predictions"], sk.cross_val_predict(model, X, y, cv=cv), rtol=1e-9)
    for k, (train, test) in enumerate(cv.split(X)):
        own = clone(model).fit(X.iloc[train], y.iloc[train])
        mean, sd = own.predict(X.iloc[test], return_std=True)
        z = (y.iloc[test] - mean) / sd
        density = np.mean(-0.5 * z**2 - np.log(sd * np.sqrt(2 * np.pi)))
        assert_allclose(found["test_neg_log_predictive_density"][k], density, rtol=1e-9)


def test_rows_that_no_split_predicts_have_no_prediction():
    model, X, y, _ = sleepstudy()
    cv = TimeSeriesSplit(3, test_size=20)
    found = cross_validate(model, X, y, cv=cv, scoring="r2", return_predictions=True)
    assert np.isnan(found["predictions"][:120]).all()
    assert np.isfinite(found["predictions"][120:]).all()


def test_fixed_theta():
    model, X, y, groups = sleepstudy()
    found = cross_validate(
        model, X, y, cv=LeaveOneGroupOut(), theta="fixed", return_predictions=True, scoring="r2"
    )
    theta = model.fit(X, y).theta_
    lam = np.array([[theta[0], 0.0], theta[1:]])
    rows = np.column_stack([np.ones(len(y)), X["Days"]])
    v = np.eye(len(y)) + rows @ lam @ lam.T @ rows.T * (
        groups.to_numpy()[:, None] == groups.to_numpy()
    )
    for subject in groups.unique():
        known, out = groups != subject, groups == subject
        solved = np.linalg.solve(v[np.ix_(known, known)], np.column_stack([rows, y])[known])
        beta = np.linalg.solve(rows[known].T @ solved[:, :2], rows[known].T @ solved[:, 2])
        # Rounding of a solve with a condition number of 1e4
        assert_allclose(found["predictions"][out], rows[out] @ beta, rtol=1e-10)


@pytest.mark.parametrize(
    ("cv", "groups", "words"),
    [
        (GroupKFold(4), "Subject", "new groups of 'Subject'"),
        (KFold(4, shuffle=True, random_state=0), None, "new rows of known groups of 'Subject'"),
        (KFold(4), None, "new rows of known groups of 'Subject' (11%) and new groups (89%)"),
    ],
)
def test_the_question_is_said(cv, groups, words):
    model, X, y, _ = sleepstudy()
    found = cross_validate(model, X, y, cv=cv, scoring="r2")
    assert isinstance(found, Validation)
    assert found.question == words
    assert words in repr(found)
    assert found.summary().attrs["question"] == words


def test_the_question_of_each_crossed_factor():
    model, X, y, groups = penicillin()
    found = cross_validate(model, X, y, cv=GroupKFold(3), groups=groups, scoring="r2")
    assert found.question == "new groups of 'plate'; new rows of known groups of 'sample'"


def test_a_question_that_is_not_known_before_a_fit():
    _, X, y, groups = sleepstudy()
    renamed = ColumnTransformer([("own", "passthrough", ["Days", "Subject"])])
    renamed = make_pipeline(
        renamed.set_output(transform="pandas"), MixedLinearRegressor("own__Subject")
    )
    cv = KFold(3, shuffle=True, random_state=0)
    found = cross_validate(renamed, X, y, cv=cv, scoring="r2")
    assert found.question.startswith("rows whose groups are not known before a fit")
    found = cross_validate(renamed, X, y, cv=cv, groups=groups, scoring="r2")
    assert found.question == "new rows of known groups of 'Subject'"
    with pytest.raises(ValueError, match="not known before it is fitted"):
        cross_validate(renamed, X, y)


def test_a_frame_of_groups_leaves_out_the_outermost():
    _, X, y, _ = pastes()
    both = pd.DataFrame(
        {"inner": X["batch"].astype(str) + X["cask"].astype(str), "own": X["batch"]}
    )
    model, rows = MixedLinearRegressor(), X[[]].assign(one=np.arange(len(y)) % 3.0)
    for order in (["inner", "own"], ["own", "inner"]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            found = cross_validate(
                model, rows, y, cv=LeaveOneGroupOut(), groups=both[order], scoring="r2"
            )
        assert len(found["test_score"]) == X["batch"].nunique()
    crossed = both.assign(inner=np.arange(len(y)) % 7)
    with pytest.raises(ValueError, match="columns 'inner' and 'own' of groups are crossed"):
        cross_validate(model, rows, y, groups=crossed)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_the_outermost_of_nested_factors_is_left_out():
    model, X, y, _ = pastes()
    model.set_params(groups=[("batch", "cask"), "batch"])
    found = cross_validate(model, X, y, cv=LeaveOneGroupOut(), scoring="r2")
    assert len(found["test_score"]) == X["batch"].nunique()


def test_groups_beside_the_columns():
    _, X, y, groups = sleepstudy()
    beside = MixedLinearRegressor()
    cv = KFold(4, shuffle=True, random_state=0)
    found = cross_validate(beside, X[["Days"]], y, cv=cv, groups=groups)
    expected = cross_validate(MixedLinearRegressor("Subject"), X, y, cv=cv)
    for name in ("r2", "neg_log_predictive_density"):
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], rtol=1e-12)
    assert found.question == expected.question


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler().set_output(transform="pandas"), LinearRegression()),
        MixedLinearRegressor(residual=ResidualCovariance("ar1", subject="Subject", time="Days")),
    ],
    ids=["pipeline", "correlated residuals"],
)
def test_other_estimators_are_fitted_to_the_rows(model):
    _, X, y, groups = sleepstudy()
    if not hasattr(model, "residual"):
        X = X[["Days"]]
    else:
        groups = groups.to_numpy()
        model = model.set_params(groups="Subject")
    found = cross_validate(model, X, y, cv=GroupKFold(3), groups=groups, scoring=SCORES)
    expected = sk.cross_validate(model, X, y, cv=GroupKFold(3), groups=groups, scoring=SCORES)
    for name in SCORES:
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], rtol=1e-12)


def test_classes():
    X, y = load_toenail(return_X_y=True)
    some = X["patient"].astype(int) <= 60
    X, y = X[some], y[some]
    model = MixedLogisticClassifier("patient")
    found = cross_validate(model, X, y, cv=GroupKFold(2))
    scoring = ["accuracy", "neg_log_loss", "neg_brier_score"]
    groups = X["patient"]
    expected = sk.cross_validate(model, X, y, cv=GroupKFold(2), groups=groups, scoring=scoring)
    for name in scoring:
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], rtol=1e-12)
    assert found.question == "new groups of 'patient'"


def test_counts():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 8)
    X = pd.DataFrame({"x": rng.normal(size=160), "group": group})
    y = rng.poisson(np.exp(0.5 + 0.3 * X["x"] + 0.5 * rng.normal(size=20)[group]))
    model = MixedPoissonRegressor("group")
    found = cross_validate(model, X, y, scoring=["neg_mean_poisson_deviance"])
    assert np.isfinite(found["test_neg_mean_poisson_deviance"]).all()


def test_a_function_is_given_the_fitted_estimator():
    model, X, y, _ = sleepstudy()
    seen = []

    def of_sigma(estimator, X, y):
        seen.append(estimator)
        return estimator.sigma_

    found = cross_validate(model, X, y, cv=3, scoring={"sigma": of_sigma, "r2": "r2"})
    assert_allclose(found["test_sigma"], [own.sigma_ for own in seen])
    assert list(seen[0].feature_names_in_) == list(X.columns)


def test_the_model_is_not_changed():
    model, X, y, _ = sleepstudy()
    before = dict(vars(model))
    cross_validate(model, X, y, cv=3, scoring="r2")
    assert vars(model) == before


def test_warnings_are_said_once():
    model, X, y, _ = pastes()
    with pytest.warns(SingularFitWarning, match="In 1 of 5 fits: ") as caught:
        cross_validate(model, X, y, cv=5, scoring="r2")
    assert len(caught) == 1


def test_folds_that_cannot_be_fitted():
    _, X, y, _ = sleepstudy()
    two = X["Subject"].isin(["308", "309", "310"])
    group = np.where(X["Subject"][two] == "308", "a", "b")
    X, y = X[two].assign(half=group), y[two]
    model = MixedLinearRegressor("half")
    with pytest.raises(ValueError, match="half"):
        cross_validate(model, X.drop(columns="Subject"), y, cv=LeaveOneGroupOut(), scoring="r2")
    X["half"] = np.where(X["Subject"] == "310", "c", X["half"])
    splits = [(np.arange(20), np.arange(20, 30)), (np.arange(10), np.arange(10, 20))]
    with pytest.warns(FitFailedWarning, match=r"1 of 2 fits failed.*without split 1 \(row 10"):
        found = cross_validate(model, X.drop(columns="Subject"), y, cv=splits, scoring="r2")
    assert_array_equal(np.isnan(found["test_score"]), [False, True])


def test_messages():
    model, X, y, groups = sleepstudy()
    crossed, P, z, _ = penicillin()

    def refused(match, *args, error=ValueError, **kwargs):
        with pytest.raises(error, match=match):
            cross_validate(*args, **kwargs)

    refused("splits? 0 trains on rows of the group of 'Subject'", model, X, y,
            cv=KFold(3, shuffle=True, random_state=0), question="new_groups")  # fmt: skip
    refused("question='known_groups', but test row 20 of split 0", model, X, y,
            cv=GroupKFold(3), question="known_groups")  # fmt: skip
    refused("factors 'plate' and 'sample' of the model are crossed", crossed, P, z)
    refused("the model names no grouping column", MixedLinearRegressor(), X[["Days"]], y,
            question="new_groups")  # fmt: skip
    refused("30 folds are more than there are groups", model, X, y, cv=30)
    refused("scoring='neg_log_predictive_density' needs predict", LinearRegression(), X[["Days"]],
            y, cv=KFold(3), scoring="neg_log_predictive_density")  # fmt: skip
    refused("theta='fixed' is there for", LinearRegression(), X[["Days"]], y, cv=KFold(3),
            theta="fixed")  # fmt: skip
    refused("theta", model, X, y, theta="none")
    refused("question", model, X, y, question="both")
    refused("scoring=3", model, X, y, scoring=3, error=TypeError)
    refused("missing label at row 3", MixedLinearRegressor(), X[["Days"]], y,
            groups=[None if i == 3 else g for i, g in enumerate(groups)])  # fmt: skip
    refused("All rows are of one group", model, X.assign(Subject="a"), y, cv=LeaveOneGroupOut())
    refused("cv has no splits", model, X, y, cv=[])
    refused("Split 0 of cv has no test rows", model, X, y, cv=[(np.arange(9), np.array([], int))])
    refused("'nobody' is not a column", model.set_params(groups="nobody"), X, y)


def test_folds_within_groups():
    """Each group is known in each fold; one of a single row is never predicted."""
    model, X, y, _ = sleepstudy()
    X, y = X[10:].reset_index(drop=True), y[10:].reset_index(drop=True)
    alone = X["Subject"].eq("309") & (X.groupby("Subject").cumcount() > 0)
    X, y = X[~alone].reset_index(drop=True), y[~alone].reset_index(drop=True)
    found = cross_validate(
        model, X, y, question="known_groups", scoring="r2", return_predictions=True
    )
    assert found.question == "new rows of known groups of 'Subject'"
    assert_array_equal(np.isnan(found["predictions"]), X["Subject"] == "309")
    one = X.drop_duplicates("Subject")
    with pytest.raises(ValueError, match="Each group has one row"):
        cross_validate(model, one, y[one.index], question="known_groups")


@pytest.mark.parametrize("theta", ["refit", "fixed"])
def test_a_candidate_that_cannot_be_fitted_leaves_the_others(theta):
    model, X, y, _ = sleepstudy()
    X = X.assign(row=np.arange(len(y)))
    grid = {"groups": ["Subject", "row"], "random_slopes": [None], "fixed": [["Days"]]}
    with pytest.warns(FitFailedWarning, match="3 of 6 fits failed"):
        found = cross_validate(model, X, y, cv=3, groups=X["Subject"], param_grid=grid,
                               scoring="r2", theta=theta)  # fmt: skip
    assert_array_equal(np.isnan(found["mean_test_score"]), [False, True])


def test_both_questions():
    model, X, y, groups = sleepstudy()
    found = both_questions(model, X, y, scoring=["r2"])
    known = cross_validate(model, X, y, question="known_groups", scoring=["r2"])["test_r2"]
    new = cross_validate(model, X, y, question="new_groups", scoring=["r2"])["test_r2"]
    assert list(found.index) == [
        "new rows of known groups of 'Subject'",
        "new groups of 'Subject'",
    ]
    assert_allclose(found["r2"], [known.mean(), new.mean()])
    assert_allclose(LeavePGroupsOut(1).get_n_splits(X, y, groups), 18)


@pytest.mark.parametrize("cv", [GroupKFold(6), LeaveOneGroupOut()], ids=["six", "each"])
def test_a_fold_of_weight_0(cv):
    """It takes nothing away from the others, and is predicted like any other."""
    model, X, y, groups = sleepstudy()
    weights = np.ones(len(y))
    weights[next(cv.split(X, y, groups))[1]] = 0.0
    found = cross_validate(model, X, y, cv=cv, sample_weight=weights, scoring=SCORES)
    params = {"sample_weight": weights}
    expected = sk.cross_validate(model, X, y, cv=cv, groups=groups, scoring=SCORES, params=params)
    for name in SCORES:
        assert_allclose(found[f"test_{name}"], expected[f"test_{name}"], **CLOSE)


@pytest.mark.parametrize("is_partition", [True, False])
def test_training_rows_of_weight_0(is_partition):
    model, X, y, groups = sleepstudy()
    splits = list(GroupKFold(3).split(X, y, groups))
    weights = np.zeros(len(y))
    weights[splits[0][1]] = 1.0
    cv = splits if is_partition else [*splits, splits[0]]
    with pytest.warns(FitFailedWarning, match="split 0 .*sample_weight is 0 in all training rows"):
        found = cross_validate(model, X, y, cv=cv, sample_weight=weights, scoring=SCORES)
    n = len(cv)
    assert_array_equal(np.isnan(found["test_r2"]), np.arange(n) % 3 == 0)


def masks(splits, n):
    numbers = np.arange(n)
    return [(np.isin(numbers, train), np.isin(numbers, test)) for train, test in splits]


@pytest.mark.parametrize(
    "given",
    [
        lambda own, n: iter(own),
        lambda own, n: [(train.tolist(), test.tolist()) for train, test in own],
        lambda own, n: [(train - n, test - n) for train, test in own],
        masks,
    ],
    ids=["iterator", "lists", "from the end", "masks"],
)
def test_splits_as_scikit_learn_takes_them(given):
    model, X, y, groups = sleepstudy()
    splits = list(GroupKFold(3).split(X, y, groups))
    found = cross_validate(model, X, y, cv=given(splits, len(y)), scoring=["r2"])
    expected = sk.cross_validate(model, X, y, cv=splits, scoring=["r2"])
    assert_allclose(found["test_r2"], expected["test_r2"], **CLOSE)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ([1, 2], "Split 0 of cv is 1. Give a pair"),
        ([([0], [1], [2])], "Split 0 of cv is .* Give a pair"),
        ([([0.0], [1])], "training rows of split 0 of cv are .* numbers from 0 to 179"),
        ([([0], [180])], "test rows of split 0 of cv are .* numbers from 0 to 179"),
        ([([0], [True, False])], "test rows of split 0 of cv are .* a mask of 180 rows"),
        ([([[0]], [1])], r"training rows of split 0 of cv are of shape \(1, 1\)"),
        ([(np.zeros(180, dtype=bool), [1])], "Split 0 of cv has no training rows"),
        (2.0, "cv=2.0 is no way to split rows"),
        (True, "cv=True is no way to split rows"),
        ("loo", "cv='loo' is no way to split rows"),
        (GroupKFold, r"cv is the class GroupKFold. Give an instance of it, such as GroupKFold\(\)"),
    ],
)
def test_what_is_no_split_is_refused(cv, message):
    model, X, y, _ = sleepstudy()
    with pytest.raises((TypeError, ValueError), match=message):
        cross_validate(model, X, y, cv=cv)


def test_one_group_cannot_be_split():
    model, X, y, _ = sleepstudy()
    with pytest.raises(ValueError, match="All rows are of one group"):
        cross_validate(model, X[:10], y[:10])


@pytest.mark.parametrize("model", [LinearRegression(), MixedLinearRegressor()])
def test_a_column_of_responses(model):
    _, X, y, groups = sleepstudy()
    expected = cross_validate(model, X[["Days"]], y, groups=groups, scoring=["r2"])
    with pytest.warns(DataConversionWarning):
        found = cross_validate(
            model, X[["Days"]], pd.DataFrame({"y": y}), groups=groups, scoring=["r2"]
        )
    assert_array_equal(found["test_r2"], expected["test_r2"])
    with pytest.raises(ValueError, match=r"y is of shape \(180, 2\). Give one response"):
        cross_validate(model, X[["Days"]], np.column_stack([y, y]), groups=groups)


def test_one_weight_is_that_of_each_row():
    model, X, y, _ = sleepstudy()
    found, expected = (
        cross_validate(model, X, y, sample_weight=own) for own in (2.0, np.full(len(y), 2.0))
    )
    assert_array_equal(found["test_r2"], expected["test_r2"])


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ([], "has no score"),
        ({}, "has no score"),
        ([None], "scoring has None, which is no name"),
        ({"own": 3}, "scoring has 3, of type int"),
        ({"own": lambda *_: {"a": 1.0}}, "function of 'own' .* Let it return one number"),
        ("neg_log_loss", "MixedLinearRegressor"),
    ],
)
def test_what_is_no_score_is_refused(scoring, message):
    model, X, y, _ = sleepstudy()
    with pytest.raises((TypeError, ValueError, AttributeError), match=message):
        cross_validate(model, X, y, scoring=scoring)


@pytest.mark.parametrize("n_splits", [1, None, 5.0, "5", GroupKFold(3)])
def test_numbers_of_splits_of_both_questions(n_splits):
    model, X, y, _ = sleepstudy()
    with pytest.raises((TypeError, ValueError), match=r"^n_splits="):
        both_questions(model, X, y, n_splits=n_splits)


def classes_of_groups(labels):
    """Rows of two or three classes, of which the groups in the test rows may have one."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 6)
    x = rng.normal(size=len(group))
    y = np.digitize(x + rng.normal(size=30)[group] + rng.logistic(size=len(x)), [0.0, 2.0])
    y = np.where(group == 4, 0, np.minimum(y, len(labels) - 1))
    return pd.DataFrame({"x": x, "group": group}), np.array(labels)[y]


@pytest.mark.parametrize(
    ("model", "labels"),
    [
        (MixedLogisticClassifier("group"), ["no", "yes"]),
        (LogisticRegression(), ["no", "yes"]),
        (LogisticRegression(), ["a", "b", "c"]),
    ],
)
def test_scores_of_classes_by_any_labels_and_of_one_class(model, labels):
    X, y = classes_of_groups(labels)
    cv = LeaveOneGroupOut()
    found = cross_validate(model, X, y, cv=cv, groups=X["group"])
    for number in (4, 5):
        train, test = list(cv.split(X, y, X["group"]))[number]
        own = clone(model).fit(X.iloc[train], y[train])
        shares = own.predict_proba(X.iloc[test])
        is_own = own.classes_ == y[test][:, None]
        brier = np.square(shares - is_own).sum(axis=1).mean() / (2 if len(labels) == 2 else 1)
        assert_allclose(found["test_neg_brier_score"][number], -brier, rtol=1e-12)
        loss = -np.log(shares[is_own]).mean()
        assert_allclose(found["test_neg_log_loss"][number], -loss, rtol=1e-12)


def test_no_responses():
    _, X, _, groups = sleepstudy()
    for model in (LinearRegression(), MixedLinearRegressor()):
        with pytest.raises(ValueError, match="y is None"):
            cross_validate(model, X[["Days"]], None, groups=groups)
