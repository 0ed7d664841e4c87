"""scikit-learn's callbacks see fits of all estimators, alone and within searches."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from skmixed import (
    MixedEffectEncoder,
    MixedEffectsRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedPoissonRegressor,
)
from skmixed.datasets import load_sleepstudy
from skmixed.formula import FormulaRegressor
from skmixed.model_selection import MixedLinearRegressorCV

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)


class Recorder:
    """What a callback is told, in order."""

    max_propagation_depth = None

    def __init__(self):
        self.told, self.models, self.metadata = [], [], []

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.told.append(f"{context.estimator_name} begins")
        self.metadata.append(metadata)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.told.append(f"{context.estimator_name} ends")
        self.models.append(None if fitted_estimator is None else (fitted_estimator, X))


COUNTS = (Y // 10).astype(int)
FITS = {
    "linear": (MixedLinearRegressor("Subject"), Y),
    "classes": (MixedLogisticClassifier("Subject"), Y >= 290.0),
    "means": (MixedPoissonRegressor("Subject"), COUNTS),
    "any regressor": (MixedEffectsRegressor(LinearRegression(), "Subject"), Y),
    "search": (MixedLinearRegressorCV("Subject", candidates={"method": ["ml"]}, cv=KFold(3)), Y),
    "formula": (FormulaRegressor("Reaction ~ Days + (1 | Subject)"), Y),
}


@pytest.mark.parametrize("kind", FITS)
def test_a_fit_tells_its_beginning_and_its_end_with_the_model(kind):
    (model, y), recorder = FITS[kind], Recorder()
    model = clone(model)
    rows = X.assign(Reaction=y) if kind == "formula" else X
    fitted = model.set_callbacks(recorder).fit(rows, y)
    name = type(model).__name__
    assert recorder.told == ["setup", f"{name} begins", f"{name} ends", "teardown"]
    [(seen, given)] = recorder.models
    assert given is rows
    np.testing.assert_array_equal(seen.predict(rows), fitted.predict(rows))
    # What a fit needs of the callbacks is gone after it, and they stay.
    assert [name for name in vars(fitted) if "callback" in name] == ["_skl_callbacks"]


def test_an_encoder_tells_of_its_fit():
    recorder = Recorder()
    encoder = MixedEffectEncoder().set_callbacks(recorder)
    encoder.fit_transform(X[["Subject"]], Y)
    assert recorder.told[1:3] == ["MixedEffectEncoder begins", "MixedEffectEncoder ends"]


def test_a_failure_leaves_the_model_as_it_was_and_ends_the_callbacks():
    model = MixedLinearRegressor("Subject").fit(X, Y)
    before, recorder = dict(vars(model)), Recorder()
    model.set_callbacks(recorder)
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X, Y, sample_weight=-np.ones(len(Y)))
    assert recorder.told == ["setup", "MixedLinearRegressor begins", "teardown"]
    assert [list(given) for given in recorder.metadata] == [["sample_weight"]]
    assert {name for name in vars(model) if "callback" in name} == {"_skl_callbacks"}
    assert all(vars(model)[name] is value for name, value in before.items())


def test_callbacks_of_searches_and_pipelines_continue_into_the_fits():
    recorder, grid = Recorder(), {"mixedlinearregressor__method": ["ml", "reml"]}
    model = make_pipeline(MixedLinearRegressor("Subject"))
    search = GridSearchCV(model, grid, cv=2, n_jobs=1).set_callbacks(recorder)
    search.fit(X, Y)
    # Two candidates in two folds, and the best of them again
    assert recorder.told.count("MixedLinearRegressor ends") == 2 * 2 + 1
    seen = recorder.models[-3][0]
    assert seen.criterion_ == search.best_estimator_[-1].criterion_
    assert not [name for name in vars(search.best_estimator_[-1]) if "callback" in name]


def test_scores_are_monitored():
    monitor = callback.ScoringMonitor(scoring="r2")
    model = MixedLinearRegressor("Subject").set_callbacks(monitor).fit(X, Y)
    [row] = monitor.get_logs().data
    assert row["r2"] == model.score(X, Y)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert not [name for name in vars(loaded) if "callback" in name]


def test_a_model_that_needs_more_than_x_to_predict_is_not_shown():
    weights = np.ones(len(Y))
    for model, y, beside in (
        (MixedPoissonRegressor("Subject"), COUNTS, {"exposure": 2 * weights}),
        (MixedLinearRegressor(), Y, {"groups": X["Subject"]}),
    ):
        recorder, monitor = Recorder(), callback.ScoringMonitor(scoring="r2")
        model.set_callbacks(recorder, monitor)
        model.fit(X[["Days"]] if "groups" in beside else X, y, sample_weight=weights, **beside)
        assert recorder.models == [None]
        assert [list(given) for given in recorder.metadata] == [["sample_weight", *beside]]
        with pytest.raises(ValueError, match="No logs"):
            monitor.get_logs()


class Broken(Recorder):
    """A callback that fails at the end of a fit."""

    def on_fit_task_end(self, estimator, context):
        raise OSError("no room")


@pytest.mark.parametrize("kind", ["linear", "formula", "any regressor"])
def test_a_callback_that_fails_leaves_the_model_as_it_was(kind):
    model = clone(FITS[kind][0]).set_callbacks(Broken())
    before = dict(vars(model))
    with pytest.raises(OSError, match="no room"):
        model.fit(X.assign(Reaction=Y) if kind == "formula" else X, Y)
    assert vars(model) == before
