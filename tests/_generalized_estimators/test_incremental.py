"""fit_chunks of generalized models: the same as fit on all rows, whatever the source."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skmixed import (
    MixedBinomialRegressor,
    MixedGammaRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
)
from skmixed.inference import confidence_intervals, likelihood_ratio_test, r2

SHARES = MixedBinomialRegressor(["g", "h"], fixed=["x", "z"])
PROBIT = MixedLogisticClassifier(["g", "h"], fixed=["x"], link="probit")
# The estimators, with the columns of their response, weights and exposure.
CASES = {
    "classes": (MixedLogisticClassifier("g", fixed=["x", "z"]), "label", "w", None),
    "probit": (PROBIT, "label", None, None),
    "proportions": (SHARES, "share", "w", None),
    "counts": (MixedPoissonRegressor("g", random_slopes="x", fixed=["x"]), "n", "w", "t"),
    "overdispersed": (
        MixedNegativeBinomialRegressor("g", fixed=["x", "z"]), "overdispersed", None, "t",
    ),
    "measured": (MixedGammaRegressor(["g", ("g", "h")], fixed=["x"]), "size", None, None),
    "few nodes": (MixedPoissonRegressor("g", fixed=["x"], quadrature=7), "n", None, None),
}  # fmt: skip
X = ["x", "z", "g", "h"]
SPECIAL = ["label", "share", "n", "overdispersed", "size", "w", "t"]


def rows(seed=0, n=2_000):
    rng = np.random.default_rng(seed)
    x, z = rng.integers(0, 4, n) / 2, rng.integers(0, 2, n)
    g, h = rng.integers(0, 15, n), rng.integers(0, 6, n)
    eta = 0.4 * x - 0.3 * z + 0.6 * rng.normal(size=15)[g] + 0.5 * rng.normal(size=6)[h]
    eta += 0.4 * rng.normal(size=15)[g] * x
    w, t = rng.integers(1, 5, n), rng.integers(1, 4, n)
    p = 1 / (1 + np.exp(-eta))
    return pd.DataFrame(
        {
            "x": x,
            "label": np.where(rng.random(n) < p, "yes", "no"),
            "z": z,
            "share": rng.binomial(w, p) / w,
            "n": rng.poisson(t * np.exp(eta)),
            "overdispersed": rng.negative_binomial(2, 1 / (1 + t * np.exp(eta) / 2)),
            "size": np.ceil(10 * rng.gamma(3, np.exp(eta) / 3)) / 10,
            "w": w * 1.0,
            "t": t,
            "g": g,
            "h": np.array(list("abcdef"))[h],
        }
    )


def named_columns(case):
    _, target, weight, exposure = CASES[case]
    own = {"target": target, "sample_weight": weight, "exposure": exposure}
    return {parameter: name for parameter, name in own.items() if name is not None}


def whole(case, frame):
    model, target, weight, exposure = CASES[case]
    own = {} if exposure is None else {"exposure": frame[exposure]}
    weights = None if weight is None else frame[weight]
    return clone(model).fit(frame[X], frame[target], weights, **own)


def only(case, frame):
    """The columns of X and those named."""
    return frame[[*X, *named_columns(case).values()]]


def assert_same_fit(expected, found):
    assert found.log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-9)
    errors = np.sqrt(np.diag(expected._model.estimate.solution.fixed_covariance))
    # To a share of the standard error: both searches stop where nothing more is gained
    difference = (found.fixed_effects_ - expected.fixed_effects_) / errors
    assert_allclose(difference, 0.0, atol=1e-6)
    assert_allclose(found.theta_, expected.theta_, rtol=1e-5, atol=1e-7)
    assert found.bic_ == pytest.approx(expected.bic_, rel=1e-9)
    for name, effects in expected.random_effects_.items():
        own = found.random_effects_[name].loc[effects.index]
        assert_allclose(own, effects, atol=1e-5)


def parts(frame, n_parts=5, seed=0):
    order = np.random.default_rng(seed).permutation(len(frame))
    return [frame.iloc[own] for own in np.array_split(order, n_parts)]


@pytest.mark.parametrize("case", CASES)
def test_chunks_of_a_parquet_folder_give_the_fit_to_all_rows(tmp_path, case):
    frame = rows()
    for k, part in enumerate(parts(only(case, frame))):
        part.to_parquet(tmp_path / f"{k}.parquet", index=False, row_group_size=150)
    expected = whole(case, frame)
    found = clone(CASES[case][0]).fit_chunks(tmp_path, **named_columns(case))
    assert_same_fit(expected, found)
    held = len(found._model.family_rows.response)
    assert held < 0.9 * len(frame)
    assert found.n_features_in_ == 4
    assert list(found.feature_names_in_) == X
    some = frame[X].head(20)
    method = "decision_function" if case in ("classes", "probit") else "predict"
    assert_allclose(getattr(found, method)(some), getattr(expected, method)(some), rtol=1e-5)


def sources(frame, folder):
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "rows.parquet")
    path, own = folder / "rows.parquet", parts(frame)
    yield "path as text", str(path)
    yield "data set", pyarrow.dataset.dataset(path)
    yield "data set in memory", pyarrow.dataset.dataset(pa.Table.from_pandas(frame))
    yield "function", lambda: iter(own)
    yield "list", [*own[:2], frame.head(0), *own[2:]]
    yield "polars", [pl.from_pandas(part) for part in own]
    yield "dask", dd.from_pandas(frame, npartitions=4)


def test_any_source_gives_the_same(tmp_path):
    frame = only("counts", rows(1))
    expected, model = whole("counts", frame), CASES["counts"][0]
    for kind, source in sources(frame, tmp_path):
        found = clone(model).fit_chunks(source, **named_columns("counts"))
        assert found.log_likelihood_ == pytest.approx(expected.log_likelihood_, rel=1e-9), kind


def test_pairs_with_weights_and_exposures():
    frame = rows(2)
    expected = whole("counts", frame)
    chunks = [(part[[*X, "t"]], part["n"], part["w"]) for part in parts(frame)]
    assert_same_fit(expected, clone(CASES["counts"][0]).fit_chunks(chunks, exposure="t"))
    pairs = [(part[[*X, "t", "w"]], part["n"].to_numpy()) for part in parts(frame)]
    found = clone(CASES["counts"][0]).fit_chunks(pairs, exposure="t", sample_weight="w")
    assert_same_fit(expected, found)


def test_rows_of_weight_0_are_left_out():
    frame = rows(3)
    frame.loc[::3, "w"] = 0.0
    frame.loc[:400, "w"] = 0.0
    chunks = [frame[:400], frame[400:900], frame[900:]]
    found = CASES["classes"][0].fit_chunks(
        [c[[*X, "label", "w"]] for c in chunks], target="label", sample_weight="w"
    )
    assert_same_fit(whole("classes", frame), found)


@pytest.mark.parametrize("order", [["no", "yes"], ["yes", "no"]])
def test_classes_are_sorted_whichever_comes_first(order):
    frame = rows(4)
    chunks = [frame.loc[frame["label"] == label, [*X, "label"]] for label in order]
    found = CASES["probit"][0].fit_chunks(chunks, target="label")
    assert list(found.classes_) == ["no", "yes"]
    assert_same_fit(whole("probit", frame), found)


def test_labels_as_dictionaries_of_arrow():
    frame = rows(5)
    table = pa.Table.from_pandas(frame[[*X, "label"]].astype({"label": "category"}))
    found = CASES["probit"][0].fit_chunks(table.to_batches(300), target="label")
    assert_same_fit(whole("probit", frame), found)


def test_a_model_without_groups():
    frame = rows(6)
    model = MixedPoissonRegressor(fixed=["x", "z"])
    found = clone(model).fit_chunks(parts(frame[["x", "z", "n"]]), target="n")
    assert found._model.family_rows.response.shape == (8,)
    assert_same_fit(model.fit(frame[["x", "z"]], frame["n"]), found)


def test_slopes_and_a_saved_model_are_those_of_a_fit(tmp_path):
    frame = rows(7)
    model = MixedLogisticClassifier(RandomEffect("g", slopes="x", covariance="diag"), fixed=["x"])
    found = clone(model).fit_chunks(parts(frame[[*X, "label"]]), target="label")
    assert_same_fit(model.fit(frame[X], frame["label"]), found)
    again = MixedLogisticClassifier()
    again.__setstate__(found.__getstate__())
    # Tests of it are by the rows that are held
    assert str(again.summary()) == str(found.summary())
    assert_allclose(again.summary().fixed, model.summary().fixed, rtol=1e-5)


def fails(source, error, match, model=CASES["counts"][0], **named):
    model = clone(model)
    with pytest.raises(error, match=match):
        model.fit_chunks(source, **{"target": "n", **named})
    assert not model.__sklearn_is_fitted__()


def test_a_source_that_is_read_once_is_refused():
    frame = rows()
    fails((part for part in [frame]), TypeError, "generator, which can be read once")
    fails(frame, TypeError, "DataFrame. Give the path .* in memory, use fit")
    fails(3, TypeError, "source is of type int")
    fails(lambda: 3, TypeError, "chunks is of type int")


def test_names_that_are_no_columns():
    frame = rows()
    fails([frame], TypeError, "target=3 is of type int", target=3)
    fails([frame, frame], ValueError, "In chunk 0 .*exposure='s' is not a column", exposure="s")
    fails(dd.from_pandas(frame, npartitions=1), ValueError, "Name the column", target=None)
    fails([np.ones((3, 2))], TypeError, "In chunk 0 .*without names", target="y")
    chunks = [(frame[X], frame["n"], frame["w"])]
    fails(chunks, ValueError, "as its third part too", sample_weight="w", target=None)


def test_errors_name_the_chunk():
    frame = only("counts", rows())
    bad, counts = frame.copy(), MixedPoissonRegressor("g", fixed=["x"])
    bad.loc[bad.index[7], "n"] = -1
    fails([frame, bad], ValueError, "In chunk 1 .*first at row 7: -1", model=counts)
    bad = frame.assign(t=0)
    fails([frame, bad], ValueError, "In chunk 1 .*exposure is not positive", exposure="t")
    fails([frame, frame.drop(columns="x")], ValueError, "In chunk 1 .*lacks 'x'")
    fails([frame[:0]], ValueError, "no rows of positive weight")
    fails([frame.assign(w=0.0)], ValueError, "no rows of positive weight", sample_weight="w")

    def breaks():
        yield frame
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk") as caught:
        CASES["counts"][0].fit_chunks(breaks, target="n")
    assert "chunk 1" in caught.value.__notes__[0]


def test_classes_of_chunks_that_do_not_fit():
    frame, model = rows()[[*X, "label"]], CASES["classes"][0]
    named = {"model": model, "target": "label"}
    other = frame.assign(label="maybe")
    fails(
        [frame, other], ValueError, "In chunk 1 .*labels so far are 'no', 'yes', 'maybe'", **named
    )
    fails([frame, frame.assign(label=1)], ValueError, "In chunk 1 .*one kind", **named)
    fails([frame.assign(label="no")] * 2, ValueError, "one class, 'no'", **named)
    fails([frame.assign(label=frame["x"])], ValueError, "In chunk 0 .*continuous", **named)


def test_numbers_of_rows_to_hold():
    frame = rows()
    fails([frame], ValueError, "max_held_rows=0 is not positive", max_held_rows=0)
    fails([frame], TypeError, "max_held_rows=1.5", max_held_rows=1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "share"),
    # One and several factors, a family with a shape, and an exposure; few rows held and many
    [("classes", 0.05), ("proportions", 0.3), ("counts", 0.3), ("overdispersed", 0.3)],
)
def test_rows_that_are_not_held_are_read_in_each_step(tmp_path, case, share):
    frame = rows(8)
    rng = np.random.default_rng(8)
    frame["x"] = frame["x"] + 0.1 * rng.normal(size=len(frame))  # all rows differ
    for k, part in enumerate(parts(only(case, frame))):
        part.to_parquet(tmp_path / f"{k}.parquet", index=False)
    expected = whole(case, frame)
    most = int(share * len(frame))
    found = clone(CASES[case][0]).fit_chunks(tmp_path, **named_columns(case), max_held_rows=most)
    assert_same_fit(expected, found)
    assert expected.n_passes_ == 1
    assert 10 < found.n_passes_ < 100
    assert found._model.family_rows is None
    assert_allclose(found.summary().fixed, expected.summary().fixed, rtol=1e-5)


def drifting(frame, **named):
    """Chunks of a model that is not held, and what else they are when they are read again."""
    calls = []

    def read():
        calls.append(0)
        return iter([frame] if len(calls) == 1 else [named["then"]])

    return read


def test_sources_that_are_other_rows_when_they_are_read_again():
    frame, model = rows()[[*X, "n"]], MixedPoissonRegressor("g", fixed=["x"])
    named = {"model": model, "max_held_rows": 10}
    source = drifting(frame, then=frame[:500])
    fails(source, ValueError, "gave 2000 rows at first, and now 500. Give a source", **named)
    other = frame.assign(g=frame["g"] + 1)
    fails(drifting(frame, then=other), ValueError, "In chunk 0 .*levels that were not", **named)


def test_quadrature_needs_rows_in_memory():
    frame, model = rows()[[*X, "n"]], MixedPoissonRegressor("g", fixed=["x"], quadrature=7)
    match = "quadrature=7 needs the rows in memory, but of the 2000 rows more than max_held_rows=10"
    fails([frame], ValueError, match, model=model, max_held_rows=10)


def test_a_model_whose_rows_are_not_held_draws_while_it_knows_its_source():
    frame = rows(9)[["x", "g", "n"]]
    model = MixedPoissonRegressor("g", fixed=["x"])
    found = clone(model).fit_chunks(parts(frame), target="n", max_held_rows=10)
    whole = model.fit(frame[["x", "g"]], frame["n"])
    new = frame[["x", "g"]].head(30)
    assert_array_equal(
        found.sample_y(new, n_samples=3, random_state=0),
        # Levels are in another order, in which nothing new is drawn of known ones
        found.sample_y(new, n_samples=3, random_state=0),
    )
    again = clone(model)
    again.__setstate__(found.__getstate__())
    assert str(again.summary()) == str(found.summary())
    assert_allclose(again.predict(new), whole.predict(new), rtol=1e-6)
    with pytest.raises(ValueError, match="needs the rows of the fit"):
        again.sample_y(new)
    with pytest.raises(ValueError, match="needs the rows of the fit"):
        found.update_groups(new, frame["n"].head(30))
    with pytest.raises(ValueError, match="needs the rows of the fit"):
        confidence_intervals(found, method="bootstrap", n_samples=3)
    with pytest.raises(ValueError, match="needs the rows of the fit"):
        r2(found)


def test_intervals_of_rows_that_are_not_held_are_those_of_a_fit():
    frame = rows(12)[["x", "g", "n"]].head(200)
    model = MixedPoissonRegressor("g", fixed=["x"])
    found = clone(model).fit_chunks(parts(frame, 2), target="n", max_held_rows=10)
    whole = model.fit(frame[["x", "g"]], frame["n"])
    for method in ("wald", "profile"):
        expected, own = (confidence_intervals(m, method=method) for m in (whole, found))
        assert_allclose(own.select_dtypes(float), expected.select_dtypes(float), rtol=1e-5)


@pytest.mark.slow
def test_levels_of_one_class_each_are_found_without_rows():
    frame = rows(10)[["x", "g"]].head(150).assign(label=lambda rows: rows["g"] % 2)
    model = MixedLogisticClassifier("g", fixed=["x"])
    frame["x"] = np.random.default_rng(10).normal(size=len(frame))
    with pytest.warns(ConvergenceWarning, match="'g'"):
        model.fit_chunks(parts(frame, 2), target="label", max_held_rows=10)


def test_fits_in_chunks_compare_to_fits_in_memory():
    frame = rows(11)
    larger = MixedPoissonRegressor("g", fixed=["x", "z"])
    smaller = MixedPoissonRegressor("g", fixed=["x"])
    columns = {"target": "n", "exposure": "t"}
    larger.fit_chunks(parts(frame[[*X, "n", "t"]]), **columns, max_held_rows=10)
    pooled = clone(smaller).fit_chunks(parts(frame[[*X, "n", "t"]]), **columns)
    smaller.fit(frame[X], frame["n"], exposure=frame["t"])
    tests = [likelihood_ratio_test(own, larger) for own in (smaller, pooled)]
    values = [own.iloc[-1][["statistic", "p_value"]].to_numpy(float) for own in tests]
    assert_allclose(*values, rtol=1e-6)
    without = clone(smaller).fit(frame[X], frame["n"])
    with pytest.raises(ValueError, match="different exposures"):
        likelihood_ratio_test(without, larger)


def test_fractions_are_told_once_for_all_chunks():
    frame = rows()[[*X, "n"]]
    bad = frame.assign(n=frame["n"] + 0.5)
    with pytest.warns(UserWarning, match=r"2000 rows .*first at row 0 of chunk 1: .*\.5"):
        MixedPoissonRegressor("g", fixed=["x"]).fit_chunks([frame, bad], target="n")
