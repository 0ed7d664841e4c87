"""The data sets are the reference's to the bit; the generator keeps its word."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from skmixed import datasets
from skmixed.datasets import make_mixed_regression

REFERENCE = Path(__file__).parents[1] / "reference" / "data"
GENERALIZED = REFERENCE.parent / "generalized" / "data"

# name: rows, columns of X in order, target, factors, unit of the target, author of the source
LOADERS = {
    "sleepstudy": (180, "Days Subject", "Reaction", "Subject", "ms", "Belenky"),
    "dyestuff": (30, "Batch", "Yield", "Batch", "grams of standard color", "Davies"),
    "dyestuff2": (30, "Batch", "Yield", "Batch", "no unit", "Tiao"),
    "penicillin": (144, "plate sample", "diameter", "plate sample", "mm", "Davies"),
    "pastes": (60, "batch cask sample", "strength", "batch cask sample", "unit not", "Davies"),
    "orthodont": (108, "age Subject Sex", "distance", "Subject Sex", "mm", "Potthoff"),
    "oats": (72, "Block Variety nitro", "yield", "Block Variety", "bushels per acre", "Yates"),
    "machines": (54, "Worker Machine", "score", "Worker Machine", "no unit", "Milliken"),
    "rail": (18, "Rail", "travel", "Rail", "ns", "Devore"),
    "cake": (
        270,
        "replicate recipe temperature temp",
        "angle",
        "replicate recipe temperature",
        "degrees",
        "Cook",
    ),
    "cbpp": (
        56,
        "herd size period healthy",
        "incidence",
        "herd period",
        "animals",
        "Lesnoff",
    ),
    "toenail": (1908, "patient treated visit", "severe", "patient", "visits", "De Backer"),
    "grouseticks": (
        403,
        "INDEX BROOD HEIGHT YEAR LOCATION cHEIGHT",
        "TICKS",
        "INDEX BROOD YEAR LOCATION",
        "ticks",
        "Elston",
    ),
    "schools": (12, "school", "score", "school", "no unit", "set.seed(123)"),
}
every_loader = pytest.mark.parametrize("name", LOADERS)


def load(name, **options):
    return getattr(datasets, f"load_{name}")(**options)


def reference_columns(name):
    folder = GENERALIZED if (GENERALIZED / f"{name}.csv").exists() else REFERENCE
    filename = "toy_schools" if name == "schools" else name
    with (folder / f"{filename}.csv").open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def test_every_public_name_is_tested():
    assert set(datasets.__all__) == {f"load_{name}" for name in LOADERS} | {"make_mixed_regression"}


@every_loader
def test_shape_and_names(name):
    n_rows, features, target, *_ = LOADERS[name]
    bunch = load(name)
    assert isinstance(bunch, Bunch)
    assert bunch.feature_names == list(bunch.data.columns) == features.split()
    assert bunch.target_name == bunch.target.name == target
    assert bunch.data.shape == (n_rows, len(features.split()))
    assert bunch.target.shape == (n_rows,)
    assert bunch.filename == f"{name}.csv"
    pd.testing.assert_frame_equal(bunch.frame[bunch.feature_names], bunch.data)
    pd.testing.assert_series_equal(bunch.frame[target], bunch.target)


@every_loader
def test_factors_are_strings_and_the_rest_floats(name):
    frame, factors = load(name).frame, LOADERS[name][3].split()
    for column in frame:
        if column in factors:
            assert all(isinstance(label, str) for label in frame[column])
            assert not isinstance(frame[column].dtype, pd.CategoricalDtype)
        else:
            assert frame[column].dtype == np.float64


@every_loader
def test_values_are_those_of_the_reference_to_the_bit(name):
    frame, factors = load(name).frame, LOADERS[name][3].split()
    reference = reference_columns(name)
    assert list(frame.columns) == list(reference)
    for column, texts in reference.items():
        expected = list(texts) if column in factors else [float(text) for text in texts]
        assert frame[column].to_list() == expected


@every_loader
def test_data_and_target_alone(name):
    bunch = load(name)
    X, y = load(name, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.data)
    pd.testing.assert_series_equal(y, bunch.target)


@every_loader
def test_arrays_hold_the_same_values(name):
    framed, bunch = load(name), load(name, as_frame=False)
    X, y = load(name, return_X_y=True, as_frame=False)
    assert bunch.frame is None
    assert type(X) is type(y) is np.ndarray
    assert X.dtype == object
    assert y.dtype == np.float64
    assert y.flags.writeable
    assert X.tolist() == bunch.data.tolist() == framed.data.to_numpy(dtype=object).tolist()
    assert y.tolist() == bunch.target.tolist() == framed.target.to_list()
    assert bunch.feature_names == framed.feature_names


@every_loader
def test_description_has_rows_columns_unit_source_and_license(name):
    n_rows, _, target, _, unit, author = LOADERS[name]
    bunch = load(name)
    lines = bunch.DESCR.splitlines()
    text = " ".join(bunch.DESCR.split())
    assert f"Rows: {n_rows}" in lines
    assert f"Target: {target}" in lines
    assert f"(number, {unit}" in text
    assert author in text.partition("Source: ")[2]
    for column in bunch.frame:
        assert any(line.startswith(f"- {column}: ") for line in lines)
    license_note = text.partition("License: ")[2]
    assert "no restriction" in license_note if name == "schools" else "GPL" in license_note


def test_loaders_return_independent_copies():
    first = datasets.load_rail()
    first.frame.loc[0, "travel"] = np.nan
    first.data.loc[0, "Rail"] = "changed"
    second = datasets.load_rail()
    assert first.target[0] == second.target[0] == 55.0
    assert first.frame.loc[0, "Rail"] == second.data.loc[0, "Rail"] == "1"


def sizes(column):
    return np.bincount(np.asarray(column, dtype=int)).tolist()


def test_generator_defaults():
    X, y = make_mixed_regression(random_state=0)
    assert list(X.columns) == ["x0", "x1", "group"]
    assert X.shape == (100, 3)
    assert X["group"].dtype == np.int64
    assert sizes(X["group"]) == [10] * 10
    assert y.name == "y"
    assert y.shape == (100,)
    assert np.isfinite(y).all()


def test_generator_reproduces_itself():
    options = {"n_groups": [5, 4], "n_random_slopes": 1, "unbalanced": 0.3, "coef": True}
    X, y, truth = make_mixed_regression(random_state=7, **options)
    X_again, y_again, truth_again = make_mixed_regression(
        random_state=np.random.RandomState(7), **options
    )
    pd.testing.assert_frame_equal(X, X_again)
    pd.testing.assert_series_equal(y, y_again)
    np.testing.assert_array_equal(truth.coef, truth_again.coef)
    assert not np.array_equal(y, make_mixed_regression(random_state=8, **options)[1])


def test_generator_arrays_have_the_group_columns_last():
    options = {"n_groups": (5, 4), "random_state": 0}
    X, y = make_mixed_regression(**options)
    X_array, y_array = make_mixed_regression(as_frame=False, **options)
    assert type(X_array) is type(y_array) is np.ndarray
    assert X_array.dtype == np.float64
    np.testing.assert_array_equal(X_array, X.to_numpy(dtype=float))
    np.testing.assert_array_equal(y_array, y)


def test_without_noise_the_response_is_the_model():
    X, y, truth = make_mixed_regression(
        n_features=3,
        n_groups=[6, 5, 4],
        n_random_slopes=2,
        noise=0.0,
        bias=10.0,
        coef=True,
        random_state=1,
    )
    slopes = truth.random_effects["group0"]
    assert slopes.shape == (6, 3)
    expected = 10.0 + X[["x0", "x1", "x2"]].to_numpy() @ truth.coef
    for name in ("group0", "group1", "group2"):
        expected += truth.random_effects[name][X[name], 0]
    for k in (0, 1):
        expected += slopes[X["group0"], k + 1] * X[f"x{k}"].to_numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    assert truth.random_effects["group2"].shape == (4, 1)
    assert (truth.bias, truth.intercept_sd, truth.slope_sd, truth.noise) == (10.0, 1.0, 0.5, 0.0)
    assert (np.abs(truth.coef) < 2).all()


def test_moments():
    n_samples, n_levels, correlation = 20_000, 5_000, -0.4
    X, y, truth = make_mixed_regression(
        n_samples,
        n_groups=n_levels,
        n_random_slopes=2,
        intercept_sd=2.0,
        slope_sd=0.5,
        noise=3.0,
        correlation=correlation,
        coef=True,
        random_state=0,
    )
    b = truth.random_effects["group"]
    features = X[["x0", "x1"]].to_numpy()
    codes = X["group"].to_numpy()
    fixed = features @ truth.coef
    residuals = y - fixed - b[codes, 0] - (b[codes, 1:] * features).sum(axis=1)
    # Standard errors for m normal draws: sd / √(2m) of a standard deviation, at
    # most 1 / √m of a correlation. Four of them: a chance of 6e-5 each.
    np.testing.assert_allclose(b.std(axis=0), [2.0, 0.5, 0.5], rtol=4 / np.sqrt(2 * n_levels))
    np.testing.assert_allclose(residuals.std(), 3.0, rtol=4 / np.sqrt(2 * n_samples))
    np.testing.assert_allclose(features.std(axis=0), 1.0, rtol=4 / np.sqrt(2 * n_samples))
    expected = [[1.0, correlation, correlation], [correlation, 1.0, 0.0], [correlation, 0.0, 1.0]]
    np.testing.assert_allclose(np.corrcoef(b.T), expected, atol=4 / np.sqrt(n_levels))


def test_covariance_of_the_truth():
    truth = make_mixed_regression(
        n_groups=[10, 5],
        n_random_slopes=2,
        intercept_sd=2.0,
        slope_sd=0.5,
        correlation=0.6,
        coef=True,
        random_state=0,
    )[2]
    expected = [[4.0, 0.6, 0.6], [0.6, 0.25, 0.0], [0.6, 0.0, 0.25]]
    np.testing.assert_allclose(truth.covariances["group0"], expected, rtol=1e-14)
    np.testing.assert_allclose(truth.covariances["group1"], [[4.0]], rtol=1e-14)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("n_slopes", [1, 2, 3, 7])
def test_largest_correlation_gives_a_singular_covariance(n_slopes, sign):
    truth = make_mixed_regression(
        n_features=n_slopes,
        n_random_slopes=n_slopes,
        correlation=sign / np.sqrt(n_slopes),
        coef=True,
        random_state=0,
    )[2]
    b = truth.random_effects["group"]
    # The intercept is then a function of the slopes, up to the root of the
    # rounding error (2e-16) that √(1 - qρ²) can have.
    np.testing.assert_allclose(
        b[:, 0], sign / np.sqrt(n_slopes) / 0.5 * b[:, 1:].sum(axis=1), atol=1e-7
    )


@pytest.mark.parametrize(
    ("n_samples", "n_levels", "unbalanced", "expected"),
    [
        (103, 10, 0.0, [11, 11, 11, 10, 10, 10, 10, 10, 10, 10]),
        (4, 4, 0.9, [1, 1, 1, 1]),
        (2, 4, 0.0, [1, 1]),
        (25, 3, 0.5, [13, 7, 5]),  # one each, and 22 split as 12 : 6 : 4 (Zipf: 1 : 1/2 : 1/3)
        (50, 3, 0.99, [48, 1, 1]),
        (5, 1, 0.5, [5]),
    ],
)
def test_group_sizes(n_samples, n_levels, unbalanced, expected):
    X, _ = make_mixed_regression(
        n_samples, n_groups=n_levels, unbalanced=unbalanced, random_state=0
    )
    assert sizes(X["group"]) == expected


def test_groups_become_more_unequal_and_none_is_empty():
    largest = []
    for unbalanced in (0.0, 0.2, 0.5, 0.8, 0.999):
        X, _ = make_mixed_regression(997, n_groups=[30, 7], unbalanced=unbalanced, random_state=0)
        for name, n_levels in {"group0": 30, "group1": 7}.items():
            rows = sizes(X[name])
            assert len(rows) == n_levels
            assert min(rows) >= 1
            assert rows == sorted(rows, reverse=True)
        largest.append(sizes(X["group0"])[0])
    assert largest == sorted(set(largest))


def test_several_factors_are_crossed_and_rows_unordered():
    X, _ = make_mixed_regression(2_000, n_groups=np.array([5, 4]), random_state=0)
    assert list(X.columns) == ["x0", "x1", "group0", "group1"]
    # 100 rows are expected in each of the 20 cells.
    assert len(X.groupby(["group0", "group1"])) == 20
    assert not X["group0"].is_monotonic_increasing


def test_one_factor_in_a_sequence_is_numbered():
    X, _ = make_mixed_regression(n_groups=[3], random_state=0)
    assert list(X.columns) == ["x0", "x1", "group0"]


def test_no_features_leaves_the_groups():
    X, _ = make_mixed_regression(n_features=0, random_state=0)
    assert list(X.columns) == ["group"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_samples": 0}, ValueError, r"n_samples=0 is too small"),
        ({"n_samples": 10.5}, TypeError, r"n_samples=10\.5 is not an integer"),
        ({"n_features": -1}, ValueError, r"n_features=-1 is too small"),
        ({"n_features": True}, TypeError, r"n_features=True is not an integer"),
        ({"n_random_slopes": -1}, ValueError, r"n_random_slopes=-1 is too small"),
        ({"n_random_slopes": 3}, ValueError, r"n_random_slopes=3 is more than n_features=2"),
        ({"n_groups": 0}, ValueError, r"n_groups=0 is too small"),
        ({"n_groups": [4, 0]}, ValueError, r"n_groups\[1\]=0 is too small"),
        ({"n_groups": [4, 2.5]}, TypeError, r"n_groups\[1\]=2\.5 is not an integer"),
        ({"n_groups": []}, ValueError, r"n_groups=\[\] has no factor"),
        ({"n_groups": 2.5}, TypeError, r"n_groups=2\.5 must be an int or a sequence"),
        ({"intercept_sd": -1.0}, ValueError, r"intercept_sd=-1\.0 is negative"),
        ({"slope_sd": -0.5}, ValueError, r"slope_sd=-0\.5 is negative"),
        ({"noise": np.inf}, ValueError, r"noise=inf is not finite"),
        ({"noise": "1"}, TypeError, r"noise='1' is not a number"),
        ({"bias": np.nan}, ValueError, r"bias=nan is not finite"),
        ({"unbalanced": 1.0}, ValueError, r"unbalanced=1\.0 is outside \[0, 1\)"),
        ({"unbalanced": -0.1}, ValueError, r"unbalanced=-0\.1 is outside \[0, 1\)"),
        ({"correlation": 0.5}, ValueError, r"correlation=0\.5 .* no slopes"),
        (
            {"correlation": 0.8, "n_random_slopes": 2},
            ValueError,
            r"correlation=0\.8 leaves .* at most 0\.707107",
        ),
        (
            {"correlation": -1.1, "n_random_slopes": 1},
            ValueError,
            r"correlation=-1\.1 leaves .* at most 1 ",
        ),
    ],
)
def test_bad_parameters_are_named_with_their_value(options, error, message):
    with pytest.raises(error, match=message):
        make_mixed_regression(**options)
