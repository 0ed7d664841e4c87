"""Grouping columns through pipelines, and frames of other libraries.

Where a transformer leaves the values as they are, the same numbers reach the
kernel and predictions are equal up to the order of a few additions (`SAME`). Where
it shifts or rescales a slope, the optimum is the same model in other coordinates,
found to the square root of a rounding error of the criterion (`OPTIMUM`, relative
to σ).
"""

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import Reference, read_frame
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skmixed import MixedLinearRegressor, RandomEffect

SAME = 1e-10
OPTIMUM = 1e-5


@pytest.fixture
def sleep():
    frame = read_frame("sleepstudy")
    return frame[["Subject", "Days"]], frame["Reaction"]


@pytest.fixture
def plain(sleep):
    """The model without a pipeline."""
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(*sleep)


def scaled_days(verbose_names=False):
    """Scale Days; Subject passes through and comes out last."""
    return ColumnTransformer(
        [("scale", StandardScaler(), ["Days"])],
        remainder="passthrough",
        verbose_feature_names_out=verbose_names,
    )


def one_hot(columns, *more):
    return ColumnTransformer(
        [("onehot", OneHotEncoder(sparse_output=False, drop="first"), columns), *more],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")


def labels_of(model, key):
    return [str(label) for label in model.random_effects_[key].index]


@pytest.mark.parametrize(
    ("container", "verbose_names", "groups", "slope", "key"),
    [
        ("pandas", False, "Subject", "Days", "Subject"),
        ("pandas", True, "remainder__Subject", "scale__Days", "remainder__Subject"),
        ("pandas", False, -1, 0, "Subject"),
        ("polars", False, "Subject", "Days", "Subject"),
        ("default", False, -1, 0, "x1"),
        ("default", False, 1, -2, "x1"),
    ],
)
def test_behind_a_column_transformer(sleep, plain, container, verbose_names, groups, slope, key):
    X, y = sleep
    transformer = scaled_days(verbose_names).set_output(transform=container)
    pipeline = Pipeline(
        [
            ("columns", transformer),
            ("model", MixedLinearRegressor(groups, random_slopes=slope)),
        ]
    ).fit(X, y)
    if container == "default":
        assert transformer.fit_transform(X).dtype == object
    expected = plain.predict(X)
    assert_allclose(pipeline.predict(X), expected, atol=OPTIMUM * plain.sigma_)
    assert_allclose(pipeline.predict(X[:7]), expected[:7], atol=OPTIMUM * plain.sigma_)
    assert pipeline.score(X, y) == pytest.approx(plain.score(X, y), rel=1e-6)
    assert labels_of(pipeline[-1], key) == labels_of(plain, "Subject")
    fixed = pipeline.predict(X, include="fixed")
    new = pipeline.predict(X.assign(Subject="new"))
    assert_array_equal(new, fixed)
    assert np.abs(fixed - expected).max() > plain.sigma_


def test_object_array_is_the_frame(sleep):
    """The numbers of an object array are cast as they are."""
    X, y = sleep
    objects = X.to_numpy(dtype=object)
    model = MixedLinearRegressor(0, random_slopes=1).fit(objects, y)
    expected = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    assert model.criterion_ == pytest.approx(expected.criterion_, rel=SAME)
    assert_allclose(model.predict(objects), expected.predict(X), rtol=SAME)


def test_name_behind_an_array_says_what_to_do(sleep):
    pipeline = make_pipeline(scaled_days(), MixedLinearRegressor("Subject"))
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\)"):
        pipeline.fit(*sleep)


def test_renamed_column_is_named_in_the_message(sleep):
    transformer = scaled_days(verbose_names=True).set_output(transform="pandas")
    pipeline = make_pipeline(transformer, MixedLinearRegressor("Subject"))
    with pytest.raises(ValueError, match="X has columns 'scale__Days', 'remainder__Subject'"):
        pipeline.fit(*sleep)


@pytest.mark.parametrize(
    ("reference", "factor"),
    [
        (Reference("machines", "worker", "reml"), "Machine"),
        (Reference("machines", "worker", "ml"), "Machine"),
    ],
    ids=str,
)
def test_recipe_for_categories_beside_the_group(reference, factor):
    """One-hot encoding with pandas output, and every column keeps its name."""
    X = reference.frame[[factor, "Worker"]]
    model = MixedLinearRegressor("Worker", method=reference.method)
    pipeline = make_pipeline(one_hot([factor]), model).fit(X, reference.y)
    names = ["(Intercept)", "Machine_B", "Machine_C"]
    assert list(pipeline[-1].fixed_effects_.index) == names
    assert list(pipeline[-1].feature_names_in_) == [*names[1:], "Worker"]
    check_against_lme4(pipeline, X, reference)


def test_grouping_column_that_is_also_a_fixed_factor():
    """recipe + temp + (1 | recipe:replicate): recipe is encoded, and kept to group by."""
    reference = Reference("cake", "numeric_additive", "reml")
    X = reference.frame[["recipe", "replicate", "temp"]]
    keep = ("keep", "passthrough", ["recipe", "replicate"])
    model = MixedLinearRegressor([("recipe", "replicate")])
    pipeline = make_pipeline(one_hot(["recipe"], keep), model).fit(X, reference.y)
    assert list(pipeline[-1].fixed_effects_.index[1:]) == ["recipe_B", "recipe_C", "temp"]
    check_against_lme4(pipeline, X, reference)


def check_against_lme4(pipeline, X, reference):
    model, fit = pipeline[-1], reference.fit
    # Both optima to the square root of a rounding error; standard errors as scale.
    assert model.criterion_ == pytest.approx(fit["criterion"], abs=1e-6)
    estimates = model.fixed_effects_.to_numpy()
    assert_allclose((estimates - fit["fixef"]["values"]) / fit["se"], 0.0, atol=OPTIMUM)
    rows = np.array(fit["predict"]["rows"]) - 1
    tolerance = OPTIMUM * model.sigma_
    assert_allclose(pipeline.predict(X.iloc[rows]), fit["predict"]["conditional"], atol=tolerance)


def test_numeric_column_with_a_trend_and_groups():
    """A dose as a number with a slope, and as the factor of deviations from the line."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"dose": np.repeat(np.arange(8), 6)})
    y = 2.0 * X["dose"] + np.repeat(rng.normal(scale=3.0, size=8), 6) + rng.normal(size=48)
    both = MixedLinearRegressor("dose", fixed=["dose"]).fit(X, y)
    copied = X.assign(batch=X["dose"].astype(str))
    separate = MixedLinearRegressor("batch").fit(copied, y)
    assert_allclose(both.fixed_effects_, separate.fixed_effects_, rtol=SAME)
    assert both.criterion_ == pytest.approx(separate.criterion_, rel=SAME)
    assert_allclose(both.predict(X), separate.predict(copied), rtol=SAME)


def test_group_encoded_among_the_fixed_effects_is_refused(sleep):
    X, y = sleep
    transformer = one_hot(["Subject"], ("keep", "passthrough", ["Subject"]))
    pipeline = make_pipeline(transformer, MixedLinearRegressor("Subject"))
    with pytest.raises(ValueError, match="flat in their variance"):
        pipeline.fit(X, y)


@pytest.mark.parametrize("container", ["pandas", "default"])
def test_scaled_integer_group_still_groups(sleep, container):
    X, y = sleep
    X = X.astype({"Subject": int})
    groups = "Subject" if container == "pandas" else 0
    model = MixedLinearRegressor(groups, random_slopes=1)
    pipeline = make_pipeline(StandardScaler().set_output(transform=container), model)
    with pytest.warns(UserWarning, match="are not whole numbers") as caught:
        pipeline.fit(X, y)
    assert len(caught) == 1
    expected = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    tolerance = OPTIMUM * expected.sigma_
    assert_allclose(pipeline.predict(X), expected.predict(X), atol=tolerance)
    shuffled = X.sample(frac=0.3, random_state=0)
    assert_allclose(pipeline.predict(shuffled), expected.predict(shuffled), atol=tolerance)


def test_parameters_through_make_pipeline(sleep):
    X, y = sleep
    pipeline = make_pipeline(FunctionTransformer(), MixedLinearRegressor("Subject"))
    pipeline.set_params(mixedlinearregressor__method="ml").fit(X, y)
    # lme4: ML log-likelihood of Days + (1 | Subject), to its printed digits.
    assert pipeline[-1].log_likelihood_ == pytest.approx(-897.039322, abs=1e-6)
    assert pipeline.n_features_in_ == 2


def test_transformed_response(sleep):
    X, y = sleep
    model = MixedLinearRegressor("Subject")
    wrapped = TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp).fit(X, y)
    assert_allclose(
        wrapped.predict(X), np.exp(clone(model).fit(X, np.log(y)).predict(X)), rtol=SAME
    )


@pytest.mark.parametrize(
    "model",
    [
        MixedLinearRegressor("Subject", random_slopes=["Days"], covariance="diag", method="ml"),
        MixedLinearRegressor(["Subject"], fixed=["Days"], handle_unknown="error"),
        MixedLinearRegressor([RandomEffect("Subject", "Days", covariance="spherical")]),
        MixedLinearRegressor(fixed="Days", fit_intercept=False),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline], ids=["model", "pipeline"])
class TestCopies:
    def test_clone(self, sleep, model, wrap):
        X, y = sleep
        fitted = wrap(clone(model)).fit(X, y)
        copy = clone(fitted)
        with pytest.raises(NotFittedError):
            copy.predict(X)
        assert str(copy.get_params()) == str(wrap(model).get_params())
        assert_array_equal(copy.fit(X, y).predict(X), fitted.predict(X))

    def test_dump_and_load(self, sleep, model, wrap, tmp_path):
        X, y = sleep
        fitted = wrap(clone(model)).fit(X, y)
        joblib.dump(fitted, tmp_path / "model.joblib")
        loaded = joblib.load(tmp_path / "model.joblib")
        assert_array_equal(loaded.predict(X), fitted.predict(X))
        assert loaded.score(X, y) == fitted.score(X, y)
        assert str(loaded.get_params()) == str(fitted.get_params())


def test_loaded_model_keeps_its_effects(sleep, plain, tmp_path):
    joblib.dump(plain, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    key = "Subject"
    pd.testing.assert_frame_equal(loaded.random_effects_[key], plain.random_effects_[key])
    new = sleep[0].assign(Subject="new")
    assert_array_equal(loaded.predict(new), plain.predict(sleep[0], include="fixed"))


def arrow(frame):
    return pytest.importorskip("pyarrow").Table.from_pandas(frame)


def arrow_dictionary(frame):
    pa = pytest.importorskip("pyarrow")
    subject = pa.array(frame["Subject"].astype(object)).dictionary_encode()
    return pa.table({"Subject": subject, "Days": pa.array(frame["Days"])})


def polars(frame):
    return pl.DataFrame({name: frame[name].to_list() for name in frame})


def polars_categorical(frame):
    return polars(frame).with_columns(pl.col("Subject").cast(pl.Categorical))


FRAMES = [polars, polars_categorical, arrow, arrow_dictionary]


@pytest.mark.parametrize("convert", FRAMES)
class TestFramesOfOtherLibraries:
    def test_fit_and_predict(self, sleep, plain, convert):
        X, y = sleep
        model = MixedLinearRegressor("Subject", random_slopes="Days").fit(convert(X), y)
        assert model.criterion_ == pytest.approx(plain.criterion_, rel=SAME)
        assert_allclose(model.predict(convert(X)), plain.predict(X), rtol=SAME)
        assert list(model.feature_names_in_) == ["Subject", "Days"]
        assert labels_of(model, "Subject") == labels_of(plain, "Subject")
        assert_allclose(model.predict(X), plain.predict(X), rtol=SAME)

    def test_predict_after_a_pandas_fit(self, sleep, plain, convert):
        X = sleep[0][50:90].assign(Subject=["309", "new"] * 20)
        expected = plain.predict(X)
        assert_array_equal(plain.predict(convert(X)), expected)
        assert_array_equal(expected[1::2], plain.predict(X, include="fixed")[1::2])

    def test_by_position(self, sleep, plain, convert):
        X, y = sleep
        model = MixedLinearRegressor(0, random_slopes=-1).fit(convert(X), y)
        assert_allclose(model.predict(convert(X)), plain.predict(X), rtol=SAME)


@pytest.mark.parametrize("series", [pl.Series, np.asarray, list], ids=["polars", "array", "list"])
def test_response_of_other_libraries(sleep, plain, series):
    X, y = sleep
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, series(y.to_numpy()))
    assert_array_equal(model.predict(X), plain.predict(X))
