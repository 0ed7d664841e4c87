"""Tolerances: two exact computations at one θ differ by rounding times the condition
of X, some thousands where the oracle sees it uncentered."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from oracle import DenseModel
from reference_fits import references
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.fitted_model import fitted
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import cooks_distance, influence, leverage, residuals
from skmixed.exceptions import ExactFitWarning, RankDeficiencyWarning, SingularFitWarning

KINDS = ("conditional", "marginal", "pearson", "standardized")


def make(seed=0, n=60):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "x": rng.normal(size=n) + 2,
            "z": rng.normal(size=n) * 3,
            "school": rng.integers(0, 8, n),
            "item": rng.choice(list("abcde"), n),
        },
        index=np.arange(n)[::-1] * 2,
    )
    X["region"] = X["school"] % 3
    effects = rng.normal(size=(2, 8))[:, X["school"]]
    y = X["x"] + 0.5 * rng.normal(size=n) + 2 * effects[0] + effects[1] * X["x"]
    return X, y + rng.normal(size=5)[X["item"].map("abcde".index)]


@dataclass(frozen=True)
class Case:
    """A fitted model with its dense twin at the same θ."""

    model: MixedLinearRegressor
    X: pd.DataFrame
    y: pd.Series
    weights: np.ndarray | None
    dense: DenseModel
    lams: list

    @property
    def rows(self):
        return {"sample_weight": self.weights}

    @staticmethod
    def of(model, X, y, weights=None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            warnings.simplefilter("ignore", RankDeficiencyWarning)
            model.fit(X, y, sample_weight=weights)
        opened = fitted(model)
        encoder, solution = opened.encoder, opened.solution
        columns = np.column_stack([np.ones(len(X)), *(X[name] for name in encoder.names)])
        terms = []
        for term in encoder.terms:
            factor = encoder.factors[term.factor]
            names = factor.name.split(":")
            labels = pd.MultiIndex.from_frame(X[names]) if len(names) > 1 else X[names[0]]
            codes = factor.index.get_indexer(labels)
            terms.append((codes, factor.n_levels, columns[:, list(term.columns)]))
        kept = [encoder.fixed[k] for k in solution.kept]
        dense = DenseModel(columns[:, kept], y, terms, weights, reml=solution.reml)
        return Case(model, X, y, weights, dense, [t.lam for t in solution.terms])

    def without(self, i):
        """β̂ at the same θ without one row, in all columns."""
        keep = np.arange(len(self.y)) != i
        twin = DenseModel(self.dense.X[keep], self.dense.y[keep], [], self.dense.weights[keep])
        twin.terms = [(z[keep], q) for z, q in self.dense.terms]
        return twin.at(self.lams)["beta"]


def weights_of(n, scale=1.0):
    return scale * np.random.default_rng(5).uniform(0.3, 3.0, n)


SLOPE = RandomEffect("school", slopes="x")
MODELS = {
    "intercept": (lambda: MixedLinearRegressor("school", fixed=["x", "z"]), None),
    "slope, ML": (lambda: MixedLinearRegressor([SLOPE], fixed=["x", "z"], method="ml"), None),
    "crossed, weights": (
        lambda: MixedLinearRegressor([SLOPE, "item"], fixed=["x", "z"]),
        weights_of(60),
    ),
    "three, large weights": (
        lambda: MixedLinearRegressor(["item", SLOPE, "region"], fixed=["x"], covariance="diag"),
        weights_of(60, 1e6),
    ),
    "nested": (lambda: MixedLinearRegressor(["region", SLOPE], fixed=["z"]), None),
    "interaction": (lambda: MixedLinearRegressor([("region", "item")], fixed=["x"]), None),
    "spherical, no intercept": (
        lambda: MixedLinearRegressor(
            [SLOPE], fixed=["x", "z"], covariance="spherical", fit_intercept=False
        ),
        None,
    ),
    "least squares": (lambda: MixedLinearRegressor(fixed=["x", "z"]), weights_of(60)),
    "rank": (lambda: MixedLinearRegressor("school", fixed=["x", "z", "twice"]), None),
    "singular": (lambda: MixedLinearRegressor([RandomEffect("item", slopes="z")]), None),
}


@pytest.fixture(scope="module", params=MODELS, ids=str)
def case(request):
    X, y = make()
    if request.param == "rank":
        X = X.assign(twice=2 * X["x"])
    if request.param == "singular":
        y, X = X["x"] + np.random.default_rng(8).normal(size=60), X[["x", "z", "item"]]
    build, weights = MODELS[request.param]
    return Case.of(build(), X, y, weights)


def test_leverage_is_the_derivative_of_the_fitted_values(case):
    dense = case.dense.at(case.lams)
    expected = 1 - np.diagonal(dense["P"]) / case.dense.weights
    found = leverage(case.model, case.X, **case.rows)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-10)
    assert (found > 0).all()
    assert (found < 1).all()


def test_residuals(case):
    dense = case.dense.at(case.lams)
    found = {kind: residuals(case.model, case.X, case.y, kind, **case.rows) for kind in KINDS}
    root = np.sqrt(case.dense.weights)
    e = dense["P"] @ case.dense.y / case.dense.weights
    assert_allclose(found["conditional"], e, rtol=1e-7, atol=1e-9)
    assert_allclose(found["marginal"], case.y - case.dense.X @ dense["beta"], atol=1e-8)
    assert_allclose(found["pearson"], root * e, rtol=1e-7, atol=1e-9 * root.max())
    # Var(P y) = σ² P
    sd = dense["sigma"] * np.sqrt(np.diagonal(dense["P"]))
    assert_allclose(found["standardized"], dense["P"] @ case.dense.y / sd, rtol=1e-6, atol=1e-8)


def test_influence_is_leaving_rows_out(case):
    frame = influence(case.model, case.X, case.y, **case.rows)
    assert frame.index.equals(case.X.index)
    names = case.model.fixed_effects_.index
    assert list(frame.columns) == [
        *("residual", "standardized", "leverage", "cooks_distance"),
        *(f"change_{name}" for name in names),
    ]
    kept = list(fitted(case.model).solution.kept)
    beta = case.dense.at(case.lams)["beta"]
    for i in range(0, 60, 7):
        change = frame.filter(like="change_").iloc[i].to_numpy()
        assert_allclose(change[kept], case.without(i) - beta, rtol=1e-6, atol=1e-9)
        assert (np.delete(change, kept) == 0.0).all()
    arguments = (case.model, case.X, case.y)
    assert_allclose(frame["residual"], residuals(*arguments), rtol=0)
    assert_allclose(frame["standardized"], residuals(*arguments, "standardized", **case.rows))
    assert_allclose(frame["leverage"], leverage(case.model, case.X, **case.rows), rtol=0)
    assert_allclose(frame["cooks_distance"], cooks_distance(*arguments, **case.rows), rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("is_single", [True, False])
def test_lme4_s_numbers(is_single):
    for reference in references(single_factor=is_single):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            warnings.simplefilter("ignore", RankDeficiencyWarning)
            model = reference.fitted()
        rows = {"sample_weight": reference.weights}
        found = {
            "hatvalues": leverage(model, reference.X(), **rows),
            "cooks_distance": cooks_distance(model, reference.X(), reference.y, **rows),
            "residuals": residuals(model, reference.X(), reference.y),
            "residuals_pearson": residuals(model, reference.X(), reference.y, "pearson", **rows),
        }
        for name, values in found.items():
            record = reference.fit.get(name)
            if record is None:
                assert name == "residuals_pearson"
                assert reference.weights is None
                continue
            expected = np.array(record.get("values") or record["first"], dtype=float)
            # Smooth functions of θ, on which the two searches agree to about 1e-7.
            scale = np.abs(expected).max()
            assert_allclose(
                values[: len(expected)], expected, rtol=0, atol=1e-6 * scale, err_msg=str(reference)
            )


def test_rows_of_weight_zero_were_not_there():
    X, y = make()
    weights = weights_of(60)
    weights[::9] = 0.0
    keep = weights > 0
    model = MixedLinearRegressor([SLOPE], fixed=["x"]).fit(X, y, sample_weight=weights)
    whole = influence(model, X, y, sample_weight=weights)
    part = influence(model, X[keep], y[keep], sample_weight=weights[keep])
    pd.testing.assert_frame_equal(whole[keep], part, rtol=1e-12)
    out = whole[~keep]
    assert_allclose(out["residual"], y[~keep] - model.predict(X[~keep]))
    assert (out.drop(columns="residual") == 0.0).all(axis=None)


def test_pipelines_and_positions_and_metadata_give_the_same():
    X, y = make()
    X = X[["x", "z", "school"]]
    frame = influence(MixedLinearRegressor("school").fit(X, y), X, y)
    scale = make_column_transformer(
        (StandardScaler(), ["x", "z"]), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    pipeline = make_pipeline(scale, MixedLinearRegressor("school")).fit(X, y)
    # Scaling X leaves all but the changes of its coefficients as they are.
    same = ["residual", "standardized", "leverage", "cooks_distance"]
    found = influence(pipeline, X, y)
    pd.testing.assert_frame_equal(found[same], frame[same], rtol=1e-8)
    array = MixedLinearRegressor(-1).fit(X.to_numpy(), y)
    found = influence(array, X.to_numpy(), y)
    assert_allclose(found.to_numpy(), frame.to_numpy(), rtol=1e-10)
    assert found.index.equals(pd.RangeIndex(60))
    groups, numeric = X["school"], X[["x", "z"]]
    beside = MixedLinearRegressor().fit(numeric, y, groups=groups)
    found = influence(beside, numeric, y, groups=groups)
    pd.testing.assert_frame_equal(found, frame, rtol=1e-12)
    assert_allclose(
        residuals(beside, numeric, y, "marginal"),
        residuals(beside, X=numeric, y=y, kind="marginal", groups=groups),
    )
    with pytest.raises(ValueError, match="The model was fitted with groups beside X"):
        leverage(beside, numeric)


def test_columns_of_any_scale():
    X, y = make()
    plain = influence(MixedLinearRegressor([SLOPE], fixed=["x"]).fit(X, y), X, y)
    scaled = X.assign(x=1.6e9 + 86400 * X["x"])
    found = influence(MixedLinearRegressor([SLOPE], fixed=["x"]).fit(scaled, y), scaled, y)
    # 1.6e9 + x keeps x to 2e-7 / 86400 of its unit.
    same = ["residual", "standardized", "leverage", "cooks_distance"]
    assert_allclose(found[same], plain[same], rtol=1e-5, atol=1e-7)
    assert_allclose(found["change_x"], plain["change_x"] / 86400, rtol=1e-5, atol=1e-13)


def test_a_row_that_fits_itself():
    X, y = make()
    X = X.assign(alone=(np.arange(60) == 7) * 1.0)
    model = MixedLinearRegressor("school", fixed=["x", "alone"]).fit(X, y)
    frame = influence(model, X, y)
    assert frame["leverage"].iloc[7] == pytest.approx(1.0, abs=1e-12)
    assert frame.drop(columns=["residual", "leverage"]).iloc[7].isna().all()
    assert frame.drop(index=frame.index[7]).notna().all(axis=None)


def test_nothing_left_over():
    X, _ = make()
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor("school", fixed=["x"]).fit(X, 3 * X["x"])
    frame = influence(model, X, 3 * X["x"])
    assert_allclose(frame["residual"], 0.0, atol=1e-6)
    assert frame["leverage"].between(0, 1).all()
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor("school", fixed=["x"]).fit(X, np.zeros(60))
    assert residuals(model, X, np.zeros(60), "standardized").shape == (60,)


def test_only_random_effects():
    X, y = make()
    model = MixedLinearRegressor([SLOPE], fixed=[], fit_intercept=False).fit(X, y)
    frame = influence(model, X, y)
    assert frame["leverage"].between(0, 1).all()
    # p = 0 in the definition
    assert frame["cooks_distance"].isna().all()


def test_rows_that_were_not_in_the_fit():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    new = pd.DataFrame({"Days": [5], "Subject": ["nobody"]})
    # The mean of an average subject: x'Cov(β̂)x alone.
    x = np.array([1.0, 5.0])
    covariance = model._model.estimate.solution.fixed_covariance
    assert leverage(model, new)[0] == pytest.approx(x @ covariance @ x / model.sigma_**2)
    model.set_params(handle_unknown="error")
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        residuals(model, new, [300.0])
    with pytest.raises(ValueError, match="missing or was not seen in fit"):
        leverage(model, new)


def test_messages():
    X, y = make()
    model = MixedLinearRegressor("school", fixed=["x"]).fit(X, y, sample_weight=weights_of(60))
    with pytest.raises(ValueError, match=r"kind='raw' is not known\. Choose one of 'conditional'"):
        residuals(model, X, y, "raw")
    with pytest.raises(ValueError, match="sample_weight=None, but the model was fitted with wei"):
        leverage(model, X)
    with pytest.raises(ValueError, match="60 and 59"):
        cooks_distance(model, X, y[1:], sample_weight=weights_of(60))
    with pytest.raises(TypeError, match="model is of type StandardScaler"):
        influence(StandardScaler(), X, y)
    # Those without weights in them need none.
    assert len(residuals(model, X, y)) == len(residuals(model, X, y, "marginal")) == 60


def test_after_an_update():
    X, y = load_sleepstudy(return_X_y=True)
    is_new = (X["Subject"] == "308").to_numpy()
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~is_new], y[~is_new])
    model.update_groups(X[is_new], y[is_new])
    for kind in ("conditional", "pearson"):
        assert_allclose(residuals(model, X, y, kind), y - model.predict(X), rtol=1e-12)
    found = residuals(model, X, y, "marginal")
    assert_allclose(found, y - model.predict(X, include="fixed"), rtol=1e-12)
    calls = {
        "standardized residuals": lambda: residuals(model, X, y, "standardized"),
        "leverages": lambda: leverage(model, X),
        "Cook's distances": lambda: cooks_distance(model, X, y),
        "influences": lambda: influence(model, X, y),
    }
    for what, call in calls.items():
        with pytest.raises(ValueError, match=f"The {what} say how a fit follows its own rows, and"):
            call()
