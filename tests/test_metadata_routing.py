"""Groups given beside X: as arguments, and routed by scikit-learn.

The same rows in the same order give the same bits, so comparisons are exact.
"""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import read_frame
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metadata_routing import get_routing_for_object

from skmixed import MixedLinearRegressor

METHODS = ("fit", "predict", "score")
WITHOUT = "The model was fitted with groups beside X .* pass groups=, or include='fixed'"


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def sleep():
    """Days alone, the response, and the subjects."""
    frame = read_frame("sleepstudy_unbalanced")
    return frame[["Days"]], frame["Reaction"], frame["Subject"]


@pytest.fixture
def plain(sleep):
    """The model with its grouping column in X."""
    X, y, subjects = sleep
    return MixedLinearRegressor("Subject").fit(X.assign(Subject=subjects), y)


def requesting(**parameters):
    """Return an estimator that asks for groups wherever it can use them."""
    model = MixedLinearRegressor(**parameters).set_fit_request(groups=True)
    return model.set_predict_request(groups=True).set_score_request(groups=True)


def splitter_groups(cv, groups):
    """What the splitter asks for; KFold warns of groups that it ignores."""
    return None if isinstance(cv, KFold) else groups


def loop(model, X, y, groups, cv):
    """Return the scores of a cross-validation written out."""
    return [
        clone(model)
        .fit(X.iloc[train], y.iloc[train], groups=groups.iloc[train])
        .score(X.iloc[test], y.iloc[test], groups=groups.iloc[test])
        for train, test in cv.split(X, y, groups)
    ]


def array(subjects):
    return subjects.to_numpy()


def unnamed(subjects):
    return subjects.rename(None)


def reindexed(subjects):
    """Rows count, not labels of the index."""
    return subjects.set_axis(range(1000, 1000 + len(subjects))[::-1])


def polars_frame(subjects):
    return pl.DataFrame({"Subject": subjects.to_list()})


CONTAINERS = {
    array: "groups",
    list: "groups",
    unnamed: "groups",
    pd.Series: "Subject",
    reindexed: "Subject",
    pd.DataFrame: "Subject",
    polars_frame: "Subject",
}


class TestArguments:
    """Without routing, by keyword."""

    @pytest.mark.parametrize(("container", "key"), CONTAINERS.items())
    def test_fit_predict_score(self, sleep, plain, container, key):
        X, y, subjects = sleep
        groups = container(subjects)
        model = MixedLinearRegressor().fit(X, y, groups=groups)
        assert model.criterion_ == plain.criterion_
        assert list(model.random_effects_) == [key]
        expected = plain.predict(X.assign(Subject=subjects))
        assert_array_equal(model.predict(X, groups=groups), expected)
        assert model.score(X, y, groups=groups) == r2_score(y, expected)
        assert_array_equal(model.predict(X, groups=groups, include=[key]), expected)
        assert model.n_features_in_ == 1

    def test_predict_takes_another_container(self, sleep):
        X, y, subjects = sleep
        model = MixedLinearRegressor().fit(X, y, groups=subjects)
        expected = model.predict(X, groups=subjects)
        assert_array_equal(model.predict(X, groups=subjects.to_numpy()), expected)
        assert_array_equal(model.predict(X, groups=subjects.to_frame()), expected)

    def test_unseen_groups(self, sleep):
        X, y, subjects = sleep
        model = MixedLinearRegressor().fit(X, y, groups=subjects)
        mixed = subjects.where(subjects != "308", "new")
        known = mixed != "new"
        found, population = model.predict(X, groups=mixed), model.predict(X, include="fixed")
        assert_array_equal(found[~known], population[~known])
        assert_array_equal(found[known], model.predict(X, groups=subjects)[known])

    def test_slopes_and_weights(self, sleep):
        X, y, subjects = sleep
        weights = np.arange(len(y)) % 3
        model = MixedLinearRegressor(random_slopes="Days")
        model.fit(X, y, sample_weight=weights, groups=reindexed(subjects))
        named = MixedLinearRegressor("Subject", random_slopes="Days")
        named.fit(X.assign(Subject=subjects), y, sample_weight=weights)
        assert model.criterion_ == named.criterion_
        assert model.criterion_ != named.fit(X.assign(Subject=subjects), y).criterion_

    def test_frame_beside_names_in_the_constructor(self, sleep, plain):
        X, y, subjects = sleep
        groups = pd.DataFrame({"unused": np.arange(len(y)), "Subject": subjects})
        model = MixedLinearRegressor("Subject").fit(X, y, groups=groups)
        expected = plain.predict(X.assign(Subject=subjects))
        assert_array_equal(model.predict(X, groups=groups), expected)

    @pytest.mark.parametrize("method", ["predict", "score"])
    def test_missing_after_fit(self, sleep, method):
        X, y, subjects = sleep
        model = MixedLinearRegressor().fit(X, y, groups=subjects)
        arguments = (X,) if method == "predict" else (X, y)
        with pytest.raises(ValueError, match=WITHOUT):
            getattr(model, method)(*arguments)

    def test_fixed_effects_need_no_groups(self, sleep, plain):
        X, y, subjects = sleep
        model = MixedLinearRegressor().fit(X, y, groups=subjects)
        expected = plain.predict(X.assign(Subject=subjects), include="fixed")
        assert_array_equal(model.predict(X, include="fixed"), expected)

    @pytest.mark.parametrize("container", [pd.Categorical, pd.CategoricalIndex, pd.Index, pd.array])
    def test_arrays_of_pandas(self, sleep, plain, container):
        """Categories keep their order."""
        X, y, subjects = sleep
        names = sorted(subjects.unique(), reverse=True)
        is_category = container in (pd.Categorical, pd.CategoricalIndex)
        groups = container(subjects, categories=names) if is_category else container(subjects)
        model = MixedLinearRegressor().fit(X, y, groups=groups)
        key = "Subject" if getattr(groups, "name", None) else "groups"
        assert list(model.random_effects_[key].index) == (names if is_category else names[::-1])
        # The same sums in another order of the levels.
        expected = plain.predict(X.assign(Subject=subjects))
        assert_allclose(model.predict(X, groups=groups), expected, rtol=1e-9)

    def test_predict_heeds_the_fit_and_not_parameters_set_since(self, sleep):
        X, y, subjects = sleep
        model = MixedLinearRegressor().fit(X, y, groups=subjects)
        expected = model.predict(X, groups=subjects)
        model.set_params(groups="Subject")
        assert_array_equal(model.predict(X, groups=subjects.to_numpy()), expected)
        named = MixedLinearRegressor("Subject").fit(X.assign(Subject=subjects), y)
        named.set_params(groups=None)
        with pytest.raises(ValueError, match="labels given to `groups` have no place"):
            named.predict(X.assign(Subject=subjects), groups=subjects)

    def test_keyword_only(self, sleep):
        X, y, subjects = sleep
        with pytest.raises(TypeError, match="positional argument"):
            MixedLinearRegressor().fit(X, y, None, subjects)

    @pytest.mark.parametrize(
        ("constructor", "groups", "message"),
        [
            ("Subject", array, "labels given to `groups` have no place"),
            ("Subject", pd.Series, "labels given to `groups` have no place"),
            (None, lambda g: np.column_stack([g, g]), r"groups has shape \(132, 2\)"),
            (None, lambda g: g[:-1], "groups column 'Subject' has 131 rows, but X has 132"),
            ("Days", lambda g: g.to_frame("Days"), "'Days' is both in X and in `groups`"),
            ("Subject", lambda g: g.to_frame("site"), "'Subject' is not a column of X"),
        ],
    )
    def test_messages(self, sleep, constructor, groups, message):
        X, y, subjects = sleep
        with pytest.raises(ValueError, match=message):
            MixedLinearRegressor(constructor).fit(X, y, groups=groups(subjects))

    def test_labels_in_the_constructor(self, sleep):
        X, y, subjects = sleep
        with pytest.raises(TypeError, match=r"Give labels to fit\(X, y, groups=labels\)"):
            MixedLinearRegressor(subjects.to_numpy()).fit(X, y)

    def test_pipeline(self, sleep):
        X, y, subjects = sleep
        pipeline = make_pipeline(StandardScaler(), MixedLinearRegressor())
        pipeline.fit(X, y, mixedlinearregressor__groups=subjects)
        scaled = StandardScaler().fit_transform(X)
        model = MixedLinearRegressor().fit(scaled, y, groups=subjects)
        expected = model.predict(scaled, groups=subjects)
        assert_array_equal(pipeline.predict(X, groups=subjects), expected)
        fixed = pipeline.predict(X, include="fixed")
        assert_array_equal(fixed, model.predict(scaled, include="fixed"))


class TestRequests:
    """What `get_metadata_routing` answers."""

    @pytest.mark.parametrize(("groups", "request_"), [(None, None), ("Subject", False), (0, False)])
    @pytest.mark.parametrize("method", METHODS)
    def test_default(self, groups, request_, method):
        model = MixedLinearRegressor(groups)
        assert requests(model, method)["groups"] is request_

    @pytest.mark.parametrize("groups", [None, "Subject"])
    @pytest.mark.parametrize("explicit", [True, False, "labels"])
    @pytest.mark.parametrize("method", METHODS)
    def test_explicit_wins(self, routing, groups, explicit, method):
        model = MixedLinearRegressor(groups)
        getattr(model, f"set_{method}_request")(groups=explicit)
        default = None if groups is None else False
        for name in METHODS:
            expected = explicit if name == method else default
            assert requests(clone(model), name)["groups"] is expected

    def test_follow_the_parameter(self, routing):
        model = MixedLinearRegressor().set_fit_request(sample_weight=True)
        assert requests(model, "fit") == {"sample_weight": True, "groups": None}
        model.set_params(groups="Subject")
        assert requests(model, "fit") == {"sample_weight": True, "groups": False}
        model.set_params(groups=None)
        assert requests(model, "fit") == {"sample_weight": True, "groups": None}

    def test_survive_fit(self, routing, sleep):
        X, y, subjects = sleep
        model = requesting()
        before = repr(model.get_metadata_routing())
        model.fit(X, y, groups=subjects)
        assert repr(model.get_metadata_routing()) == before
        assert requests(model, "score")["groups"] is True

    def test_names(self):
        model = MixedLinearRegressor()
        assert set(requests(model, "fit")) == {"sample_weight", "groups"}
        # `include` is a keyword of predict, and so a routable name like any other.
        assert set(requests(model, "predict")) >= {"groups", "include"}
        assert set(requests(model, "score")) == {"sample_weight", "groups"}


def requests(model, method):
    return getattr(get_routing_for_object(model), method).requests


@pytest.mark.usefixtures("routing")
class TestGroupsInX:
    """The constructor names the column; groups are for the splitter."""

    @pytest.mark.parametrize("wrap", [lambda m: m, make_pipeline], ids=["model", "pipeline"])
    def test_cross_validate(self, sleep, wrap):
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        model, cv = MixedLinearRegressor("Subject"), GroupKFold(4)
        # Labels that reached fit would raise: the constructor gives them no place.
        found = cross_validate(
            wrap(model), X, y, cv=cv, params={"groups": subjects}, error_score="raise"
        )
        expected = [
            clone(model).fit(X.iloc[a], y.iloc[a]).score(X.iloc[b], y.iloc[b])
            for a, b in cv.split(X, y, subjects)
        ]
        assert_array_equal(found["test_score"], expected)

    def test_named_scorer(self, sleep):
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        model, cv = MixedLinearRegressor("Subject"), GroupKFold(4)
        arguments = {"cv": cv, "params": {"groups": subjects}, "error_score": "raise"}
        found = cross_validate(model, X, y, scoring="r2", **arguments)
        model.set_score_request(groups=False)
        assert_array_equal(
            found["test_score"], cross_validate(model, X, y, **arguments)["test_score"]
        )

    def test_grid_search(self, sleep):
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        grid = {"method": ["reml", "ml"], "random_slopes": [None, "Days"]}
        model = MixedLinearRegressor("Subject")
        search = GridSearchCV(model, grid, cv=GroupKFold(3), error_score="raise")
        search.fit(X, y, groups=subjects)
        refitted = clone(model).set_params(**search.best_params_).fit(X, y)
        assert_array_equal(search.predict(X), refitted.predict(X))
        assert search.score(X, y) == refitted.score(X, y)

    @pytest.mark.slow
    @pytest.mark.parametrize("cv", [GroupKFold(3), KFold(3, shuffle=True, random_state=0)], ids=str)
    def test_grid_search_over_a_pipeline(self, sleep, cv):
        """Preprocessing, its parameters, and groups for the splitter alone."""
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        scale = make_column_transformer((StandardScaler(), ["Days"]), remainder="passthrough")
        pipeline = make_pipeline(scale, MixedLinearRegressor(-1))
        grid = {
            "columntransformer__standardscaler__with_mean": [True, False],
            "mixedlinearregressor__method": ["reml", "ml"],
        }
        # With a splitter that takes none, nothing does, and scikit-learn refuses them.
        params = {"groups": subjects} if isinstance(cv, GroupKFold) else {}
        search = GridSearchCV(pipeline, grid, cv=cv, error_score="raise").fit(X, y, **params)
        best = clone(pipeline).set_params(**search.best_params_)
        expected = [
            clone(best).fit(X.iloc[a], y.iloc[a]).score(X.iloc[b], y.iloc[b])
            for a, b in cv.split(X, y, splitter_groups(cv, subjects))
        ]
        assert search.best_score_ == pytest.approx(np.mean(expected), rel=1e-12)
        assert_array_equal(search.predict(X), best.fit(X, y).predict(X))
        scores = cross_validate(search, X, y, cv=cv, params=params, error_score="raise")
        assert np.isfinite(scores["test_score"]).all()

    def test_explicit_request_delivers(self, sleep):
        X, y, subjects = sleep
        model = MixedLinearRegressor("Subject").set_fit_request(groups=True)
        pipeline = make_pipeline(model)
        with pytest.raises(ValueError, match="labels given to `groups` have no place"):
            pipeline.fit(X.assign(Subject=subjects), y, groups=subjects)

    def test_frame_under_another_name(self, sleep):
        """The splitter takes `groups`, the estimator a frame called `factors`."""
        X, y, subjects = sleep
        model = MixedLinearRegressor("Subject").set_fit_request(groups="factors")
        model.set_score_request(groups="factors")
        cv = GroupKFold(4)
        quarters = np.arange(len(y)) % 4
        params = {"groups": quarters, "factors": subjects.to_frame()}
        found = cross_validate(model, X, y, cv=cv, params=params, error_score="raise")
        splits = _Splits(list(cv.split(X, y, quarters)))
        expected = loop(MixedLinearRegressor(), X, y, subjects, splits)
        assert_array_equal(found["test_score"], expected)


class _Splits:
    """A splitter with folds given in advance."""

    def __init__(self, splits):
        self.splits = splits

    def split(self, X, y=None, groups=None):
        return self.splits


@pytest.mark.usefixtures("routing")
class TestGroupsBesideX:
    """The constructor names nothing; groups are routed, or refused."""

    def test_unset_request(self, sleep):
        X, y, subjects = sleep
        with pytest.raises(UnsetMetadataPassedError, match=r"\[groups\] are passed but are not"):
            cross_validate(
                MixedLinearRegressor(), X, y, cv=GroupKFold(3), params={"groups": subjects}
            )
        with pytest.raises(UnsetMetadataPassedError, match=r"\[groups\] are passed but are not"):
            make_pipeline(StandardScaler(), MixedLinearRegressor()).fit(X, y, groups=subjects)

    def test_pipeline(self, sleep):
        X, y, subjects = sleep
        pipeline = make_pipeline(StandardScaler(), requesting()).fit(X, y, groups=subjects)
        scaled = StandardScaler().fit_transform(X)
        model = MixedLinearRegressor().fit(scaled, y, groups=subjects)
        assert_array_equal(
            pipeline.predict(X, groups=subjects), model.predict(scaled, groups=subjects)
        )
        assert pipeline.score(X, y, groups=subjects) == model.score(scaled, y, groups=subjects)
        with pytest.raises(ValueError, match=WITHOUT):
            pipeline.predict(X)

    @pytest.mark.parametrize("cv", [GroupKFold(4), KFold(4, shuffle=True, random_state=0)], ids=str)
    def test_cross_validate(self, sleep, cv):
        X, y, subjects = sleep
        model = requesting(random_slopes="Days")
        found = cross_validate(model, X, y, cv=cv, params={"groups": subjects}, error_score="raise")
        splits = _Splits(list(cv.split(X, y, splitter_groups(cv, subjects))))
        assert_array_equal(found["test_score"], loop(model, X, y, subjects, splits))

    def test_cross_validate_a_pipeline(self, sleep):
        X, y, subjects = sleep
        cv = KFold(4, shuffle=True, random_state=0)
        arguments = {"cv": cv, "params": {"groups": subjects}, "error_score": "raise"}
        passed_on = make_pipeline("passthrough", requesting())
        found = cross_validate(passed_on, X, y, **arguments)
        expected = cross_validate(requesting(), X, y, **arguments)
        assert_array_equal(found["test_score"], expected["test_score"])

    def test_grid_search(self, sleep):
        X, y, subjects = sleep
        search = grid_search(KFold(3, shuffle=True, random_state=0))
        search.fit(X, y, groups=subjects)
        expected = search_by_hand(search, X, y, subjects)
        assert search.best_params_ == {"random_slopes": "Days"}
        assert_array_equal(search.cv_results_["mean_test_score"], expected)
        refitted = MixedLinearRegressor(**search.best_params_).fit(X, y, groups=subjects)
        score = refitted.score(X, y, groups=subjects)
        assert search.score(X, y, groups=subjects) == score

    # Inner training parts of a few subjects can have a singular covariance.
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
    @pytest.mark.parametrize(
        "outer", [GroupKFold(3), KFold(3, shuffle=True, random_state=0)], ids=["groups", "rows"]
    )
    def test_nested_cross_validation(self, sleep, outer):
        """A group splitter inside: splitters, fit and score all take the groups."""
        X, y, subjects = sleep
        search = grid_search(GroupKFold(4))
        found = cross_validate(
            search, X, y, cv=outer, params={"groups": subjects}, error_score="raise"
        )
        expected = [
            nested_by_hand(search, X, y, subjects, train, test)
            for train, test in outer.split(X, y, splitter_groups(outer, subjects))
        ]
        assert_array_equal(found["test_score"], expected)

    @pytest.mark.parametrize("validate", [cross_validate, cross_val_predict])
    def test_where_predict_gets_no_groups(self, sleep, validate):
        """Named scorers and cross_val_predict call predict(X) (scikit-learn#27977)."""
        X, y, subjects = sleep
        options = {"scoring": "r2", "error_score": "raise"} if validate is cross_validate else {}
        with pytest.raises(ValueError, match=f"{WITHOUT}.*put the grouping columns into X"):
            validate(requesting(), X, y, cv=KFold(3), params={"groups": subjects}, **options)


def grid_search(cv):
    grid = {"random_slopes": [None, "Days"]}
    return GridSearchCV(requesting(), grid, cv=cv, error_score="raise")


def search_by_hand(search, X, y, groups):
    """Return the mean score of every candidate."""
    splits = _Splits(list(search.cv.split(X, y, splitter_groups(search.cv, groups))))
    return [
        np.mean(loop(MixedLinearRegressor(random_slopes=slopes), X, y, groups, splits))
        for slopes in search.param_grid["random_slopes"]
    ]


def nested_by_hand(search, X, y, groups, train, test):
    """Return the score in one outer fold of the candidate that is best inside it."""
    inside = X.iloc[train], y.iloc[train], groups.iloc[train]
    best = int(np.argmax(search_by_hand(search, *inside)))
    model = MixedLinearRegressor(random_slopes=search.param_grid["random_slopes"][best])
    model.fit(*inside[:2], groups=inside[2])
    return model.score(X.iloc[test], y.iloc[test], groups=groups.iloc[test])


@pytest.mark.usefixtures("routing")
class TestOtherMetadata:
    @pytest.mark.parametrize("in_score", [True, False])
    def test_sample_weight(self, sleep, in_score):
        X, y, subjects = sleep
        weights = np.random.default_rng(0).uniform(0.2, 3, size=len(y))
        cv = KFold(3, shuffle=True, random_state=0)
        model = requesting().set_fit_request(groups=True, sample_weight=True)
        model.set_score_request(groups=True, sample_weight=in_score)
        params = {"groups": subjects, "sample_weight": weights}
        found = cross_validate(model, X, y, cv=cv, params=params, error_score="raise")
        expected = []
        for a, b in cv.split(X):
            own = {"sample_weight": weights[a], "groups": subjects.iloc[a]}
            fitted = MixedLinearRegressor().fit(X.iloc[a], y.iloc[a], **own)
            predicted = fitted.predict(X.iloc[b], groups=subjects.iloc[b])
            used = weights[b] if in_score else None
            expected.append(r2_score(y.iloc[b], predicted, sample_weight=used))
        assert_array_equal(found["test_score"], expected)

    def test_sample_weight_unset(self, sleep):
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        pipeline = make_pipeline(MixedLinearRegressor("Subject"))
        with pytest.raises(UnsetMetadataPassedError, match=r"\[sample_weight\]"):
            pipeline.fit(X, y, sample_weight=np.ones(len(y)))

    def test_include_of_predict(self, sleep):
        """Asked for, it is passed on; else scikit-learn says how to ask."""
        X, y, subjects = sleep
        X = X.assign(Subject=subjects)
        pipeline = make_pipeline(MixedLinearRegressor("Subject")).fit(X, y)
        model = pipeline[-1]
        assert_array_equal(pipeline.predict(X), model.predict(X))
        with pytest.raises(UnsetMetadataPassedError, match=r"\[include\].*set_predict_request"):
            pipeline.predict(X, include="fixed")
        model.set_predict_request(include=True)
        assert_array_equal(pipeline.predict(X, include="fixed"), model.predict(X, include="fixed"))
        assert_array_equal(pipeline.predict(X), model.predict(X))
