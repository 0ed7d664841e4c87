"""Models in the hands of other packages, where these are installed (the extra ``ecosystem``)."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor, lmer
from skmixed.datasets import load_sleepstudy

X, Y = load_sleepstudy(return_X_y=True)


def model_of(**parameters):
    return MixedLinearRegressor("Subject", random_slopes="Days", **parameters)


def test_skrub_hands_labels_through_and_cleans_the_other_columns():
    skrub = pytest.importorskip("skrub")
    from skrub import selectors

    rows = X.assign(start=pd.date_range("2024-01-01", periods=len(X), freq="10D"))
    others = skrub.ApplyToCols(skrub.DatetimeEncoder(), cols=selectors.cols("start"))
    pipeline = make_pipeline(skrub.Cleaner(), others, model_of()).fit(rows, Y)
    assert list(pipeline[-1].random_effects_["Subject"].index) == sorted(X["Subject"].unique())


# It tries the model on an array of zeros.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.UnknownLevelsWarning")
def test_intervals_of_mapie_hold_what_they_promise():
    regression = pytest.importorskip("mapie.regression")
    is_kept = X["Days"] % 3 == 0
    model = model_of().fit(X[~is_kept], Y[~is_kept])
    conformal = regression.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
    conformal.conformalize(X[is_kept], Y[is_kept])
    predicted, intervals = conformal.predict_interval(X)
    assert_allclose(predicted, model.predict(X))
    scores = np.sort(np.abs(Y - model.predict(X))[is_kept])
    rank = int(np.ceil(0.9 * (len(scores) + 1)))
    assert_allclose(intervals[:, 1, 0] - predicted, scores[rank - 1])


def test_shap_values_of_the_fixed_part_and_the_share_of_each_factor_add_up():
    shap = pytest.importorskip("shap")
    rows = X.assign(double=np.cos(X["Days"]))
    model = model_of().fit(rows, Y)
    numeric = list(model.fixed_effects_.index[1:])
    fixed = model.fixed_effects_[numeric].to_numpy(), model.intercept_
    background = shap.maskers.Independent(rows[numeric], max_samples=len(rows))
    explained = shap.LinearExplainer(fixed, background)(rows[numeric])
    centered = rows[numeric] - rows[numeric].mean()
    assert_allclose(explained.values, centered * model.fixed_effects_[numeric], atol=1e-10)
    share = model.predict(rows, include=["Subject"]) - model.predict(rows, include="fixed")
    total = explained.base_values + explained.values.sum(axis=1) + share
    assert_allclose(total, model.predict(rows), rtol=1e-10)


def test_optuna_finds_the_slopes():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def score(trial):
        slopes = trial.suggest_categorical("random_slopes", [None, "Days"])
        covariance = trial.suggest_categorical("covariance", ["full", "diag"])
        model = MixedLinearRegressor("Subject", random_slopes=slopes, covariance=covariance)
        return model.fit(X, Y).bic_

    space = {"random_slopes": [None, "Days"], "covariance": ["full", "diag"]}
    study = optuna.create_study(sampler=optuna.samplers.GridSampler(space))
    study.optimize(score, n_trials=4)
    assert study.best_params == {"random_slopes": "Days", "covariance": "diag"}
    assert_allclose(study.best_value, model_of(covariance="diag").fit(X, Y).bic_)


@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
@pytest.mark.parametrize("by_formula", [False, True])
def test_mlflow_loads_what_it_has_saved(tmp_path, by_formula):
    pytest.importorskip("mlflow")
    import mlflow.sklearn as saving

    data = X.assign(Reaction=Y)
    model = lmer("Reaction ~ Days + (Days | Subject)", data) if by_formula else model_of().fit(X, Y)
    types = ["MixedLinearRegressor", "RandomEffect", "formula.FormulaRegressor"]
    trusted = [f"skmixed.{name}" for name in types]
    saving.save_model(model, tmp_path / "model", skops_trusted_types=trusted)
    loaded = saving.load_model(str(tmp_path / "model"))
    assert (loaded.predict(X) == model.predict(X)).all()


def test_skore_reports_on_a_model():
    skore = pytest.importorskip("skore")
    report = skore.EstimatorReport(model_of(), X_train=X, y_train=Y, X_test=X, y_test=Y)
    assert_allclose(report.metrics.r2(data_source="train"), model_of().fit(X, Y).score(X, Y))
