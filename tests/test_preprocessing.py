"""Preprocessing beside the grouping column, and of one that is a fixed factor too."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from reference_fits import Reference, read_frame
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from skmixed import MixedLinearRegressor, RandomEffect

# lme4's optimum and ours, each to the square root of a rounding error, relative to σ.
OPTIMUM = 1e-5


def simulated():
    """Numbers with holes, a category, and visits of patients."""
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 30, 400)
    X = pd.DataFrame(
        {
            "age": rng.uniform(20, 80, 400),
            "dose": rng.exponential(5, 400),
            "patient": pd.Series(patient).map("p{:03d}".format),
        }
    )
    y = 0.1 * X["age"] + 0.02 * X["dose"] ** 2 + 2 * rng.normal(size=30)[patient]
    X.loc[::17, "dose"] = np.nan
    return X, y + rng.normal(size=400)


X, Y = simulated()

CHAINS = {
    "scale": StandardScaler,
    "impute": SimpleImputer,
    "impute and scale": lambda: make_pipeline(SimpleImputer(), StandardScaler()),
    "impute, expand and scale": lambda: make_pipeline(
        SimpleImputer(), PolynomialFeatures(2, include_bias=False), StandardScaler()
    ),
}


class TestRemainder:
    """The recipe: the group passes through first, everything else is the remainder."""

    @pytest.mark.parametrize("chain", CHAINS)
    @pytest.mark.parametrize("output", ["default", "pandas", "polars"])
    @pytest.mark.parametrize("labels", ["text", "integers"])
    def test_any_chain_and_output(self, chain, output, labels):
        table = X if labels == "text" else X.assign(patient=X["patient"].str[1:].astype(int))
        table = table.fillna({"dose": 5.0}) if chain == "scale" else table
        columns = make_column_transformer(
            ("passthrough", ["patient"]), remainder=CHAINS[chain]()
        ).set_output(transform=output)
        model = make_pipeline(columns, MixedLinearRegressor(groups=0)).fit(table, Y)
        by_hand = CHAINS[chain]().fit(table[["age", "dose"]])
        numbers = by_hand.transform(table[["age", "dose"]])
        expected = MixedLinearRegressor().fit(numbers, Y, groups=table["patient"])
        found = model.predict(table)
        # The sums of a scaler differ in the last digits between layouts of memory.
        assert_allclose(found, expected.predict(numbers, groups=table["patient"]), rtol=1e-8)
        assert_array_equal(model.predict(table[7:8]), found[7:8])
        new = table.assign(patient="new" if labels == "text" else -1)
        assert_array_equal(model.predict(new), model.predict(table, include="fixed"))

    def test_names(self):
        columns = make_column_transformer(
            ("passthrough", ["patient"]),
            remainder=CHAINS["impute and scale"](),
            verbose_feature_names_out=False,
        ).set_output(transform="pandas")
        effect = RandomEffect("patient", slopes="age", covariance="diag")
        with pytest.warns(UserWarning, match="estimated variance of 'age' within 'patient' is 0"):
            model = make_pipeline(columns, MixedLinearRegressor(effect)).fit(X, Y)
        assert list(model[-1].fixed_effects_.index) == ["(Intercept)", "age", "dose"]
        assert list(model[-1].random_effects_) == ["patient"]

    def test_search_and_cross_validation(self):
        columns = make_column_transformer(
            ("passthrough", ["patient"]), remainder=CHAINS["impute, expand and scale"]()
        )
        model = make_pipeline(columns, MixedLinearRegressor(groups=0))
        grid = {"columntransformer__remainder__polynomialfeatures__degree": [1, 2]}
        search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, Y)
        assert list(search.best_params_.values()) == [2]
        predicted = cross_val_predict(search.best_estimator_, X, Y, cv=3)
        assert np.corrcoef(predicted, Y)[0, 1] > 0.5

    def test_sparse_indicators_beside_numbered_groups(self):
        """A sparse result of the ColumnTransformer is taken as it is."""
        rng = np.random.default_rng(0)
        site = rng.integers(0, 12, 400)
        table = pd.DataFrame({"group": np.arange(400) % 25, "site": site})
        y = site % 3 + rng.normal(size=25)[table["group"]] + rng.normal(size=400)
        columns = make_column_transformer(
            ("passthrough", ["group"]), remainder=OneHotEncoder(drop="first")
        )
        assert sp.issparse(columns.fit_transform(table))
        model = make_pipeline(columns, MixedLinearRegressor(groups=0)).fit(table, y)
        dense = columns.fit_transform(table).toarray()
        assert_array_equal(
            model.predict(table), MixedLinearRegressor(groups=0).fit(dense, y).predict(dense)
        )


def both(factor, *keep, cross=None):
    """Encode a factor, cross it with a number if asked to, and keep columns to group by."""
    encode = OneHotEncoder(drop="first", sparse_output=False)
    if cross is not None:
        inner = make_column_transformer(
            (encode, [factor]), ("passthrough", [cross]), verbose_feature_names_out=False
        )
        encode = make_pipeline(
            inner, PolynomialFeatures(2, interaction_only=True, include_bias=False)
        )
    used = [factor] if cross is None else [factor, cross]
    return make_column_transformer(
        (encode, used), ("passthrough", list(keep)), verbose_feature_names_out=False
    ).set_output(transform="pandas")


MACHINE_SLOPES = RandomEffect("Worker", slopes=["Machine_B", "Machine_C"])


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("dataset", "model", "columns", "groups"),
    [
        (
            "machines",
            "worker_machine",
            both("Machine", "Worker", "Machine"),
            ["Worker", ("Worker", "Machine")],
        ),
        ("machines", "random_machine", both("Machine", "Worker"), MACHINE_SLOPES),
        (
            "oats",
            "variety",
            both("Variety", "Block", "Variety", cross="nitro"),
            ["Block", ("Block", "Variety")],
        ),
        (
            "cake",
            "numeric",
            both("recipe", "recipe", "replicate", cross="temp"),
            [("recipe", "replicate")],
        ),
    ],
    ids=["machines", "machines, slopes", "oats", "cake"],
)
# Products of two indicators of one factor are 0.
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.RankDeficiencyWarning")
def test_a_factor_that_is_fixed_and_groups_too(dataset, model, columns, groups, method):
    reference = Reference(dataset, model, method)
    frame = reference.frame.drop(columns=reference.y.name)
    pipeline = make_pipeline(columns, MixedLinearRegressor(groups, method=method))
    pipeline.fit(frame, reference.y)
    fit = reference.fit
    # Both optima to the square root of a rounding error.
    assert pipeline[-1].criterion_ == pytest.approx(reference.best_criterion, abs=1e-6)
    rows = np.array(fit["predict"]["rows"]) - 1
    expected = fit["predict"]["conditional"]
    tolerance = OPTIMUM * pipeline[-1].sigma_
    assert_allclose(pipeline.predict(frame.iloc[rows]), expected, atol=tolerance)


def test_a_number_that_is_fixed_and_groups_too():
    """Both branches carry it, under names that differ."""
    frame = read_frame("oats").copy()  # which is shared
    frame["nitro"] = (10 * frame["nitro"]).round().astype(int)
    columns = make_column_transformer(
        (StandardScaler(), ["nitro"]), ("passthrough", ["nitro", "Block"])
    ).set_output(transform="pandas")
    model = MixedLinearRegressor(
        ["passthrough__Block", "passthrough__nitro"], fixed=["standardscaler__nitro"], method="ml"
    )
    with pytest.warns(UserWarning, match="within 'passthrough__nitro' is 0"):
        found = make_pipeline(columns, model).fit(frame, frame["yield"])[-1]
    assert list(found.random_effects_["passthrough__nitro"].index) == [0, 2, 4, 6]
