import numpy as np
import pandas as pd
import pytest

from skmixed import glmer, lmer
from skmixed.formula import FormulaRegressor

RNG = np.random.default_rng(7)
N = 120
DATA = pd.DataFrame(
    {
        "f": pd.Categorical(
            RNG.choice(["b", "a"], N), categories=["b", "unused", "a"], ordered=True
        ),
        "h": RNG.choice(["x", "y", "z"], N),
        "flag": RNG.integers(2, size=N) == 1,
        "k": RNG.choice([1, 2, 5], N),
        "two": RNG.choice([0.0, 3.0], N),
        "z": RNG.normal(size=N),
        "exposure": RNG.uniform(1, 3, N),
        "w": RNG.choice([0.0, 1.0, 2.5], N),
        "g": np.arange(N) % 9,
    }
).assign(y=lambda d: d["g"] + RNG.normal(size=N))
FORMULA = "y ~ f * h + flag + factor(k) + two + z + offset(np.log(exposure)) + (1 | g)"


def observed(data, **parameters):
    return lmer(FORMULA, data, **parameters)._frame.observed


def by_hand(data, weights):
    """The weight of the rows of each combination."""
    names = ["f", "flag", "h", "k", "two"]
    sums = weights.groupby([data[name].astype(object) for name in names]).sum()
    return {key: value for key, value in sums.items() if value > 0}


def as_mapping(own):
    names = sorted(own.levels)
    columns = [list(own.levels).index(name) for name in names]
    keys = [
        tuple(own.levels[name].labels[code] for name, code in zip(names, codes, strict=True))
        for codes in own.codes[:, columns]
    ]
    return dict(zip(keys, own.weights, strict=True))


def test_levels_are_those_that_rows_have_in_their_order():
    own = observed(DATA)
    assert own.levels["f"].labels.tolist() == ["b", "a"]
    assert own.levels["h"].labels.tolist() == ["x", "y", "z"]
    assert own.levels["flag"].labels.tolist() == [False, True]
    assert own.levels["k"].labels.tolist() == [1.0, 2.0, 5.0]
    assert own.levels["two"].labels.tolist() == [0.0, 3.0]
    assert own.levels.keys() == {"f", "h", "flag", "k", "two"}


def test_combinations_are_counted():
    counts = by_hand(DATA, pd.Series(1.0, index=DATA.index))
    assert as_mapping(observed(DATA)) == counts


def test_combinations_count_their_weights_and_rows_without_weight_do_not():
    own, there = observed(DATA, weights="w"), DATA["w"] > 0
    found, expected = as_mapping(own), by_hand(DATA[there], DATA["w"][there])
    assert found.keys() == expected.keys()
    np.testing.assert_allclose([found[k] for k in expected], list(expected.values()), rtol=1e-14)
    assert own.range_of("z")[0] == pytest.approx(DATA["z"][there].mean(), rel=1e-14)
    log = np.log(DATA["exposure"][there])
    np.testing.assert_allclose(own.offsets, [log.mean()], rtol=1e-14)


def test_numeric_columns_have_their_mean_and_their_ends():
    own = observed(DATA)
    assert set(own.names) == {"k", "two", "z", "exposure"}
    for name in own.names:
        expected = DATA[name].mean(), DATA[name].min(), DATA[name].max()
        np.testing.assert_allclose(own.range_of(name), expected, rtol=1e-14)


def test_what_rows_are_told_by_does_not_depend_on_their_order():
    own, other = observed(DATA), observed(DATA.sample(frac=1.0, random_state=1))
    np.testing.assert_array_equal(own.codes, other.codes)
    np.testing.assert_array_equal(own.weights, other.weights)


def test_numbers_of_trials_by_cbind_are_no_weights():
    counts = DATA.assign(a=DATA["g"] + RNG.integers(1, 5, N), b=5)
    own = glmer("cbind(a, b) ~ h + (1 | g)", counts, "binomial")._frame.observed
    assert own.weights.sum() == N
    share = counts["a"] / (counts["a"] + 5)
    named = counts.assign(share=share, n=counts["a"] + 5)
    own = glmer("share ~ h + (1 | g)", named, "binomial", weights="n")._frame.observed
    assert own.weights.sum() == named["n"].sum()


def test_rows_that_were_left_out_do_not_count():
    gaps = DATA.assign(z=DATA["z"].where(DATA.index != 3))
    model = FormulaRegressor(FORMULA, na_action="drop").fit(gaps)
    own, other = model._frame.observed, observed(DATA.drop(index=3))
    np.testing.assert_array_equal(own.weights, other.weights)
    np.testing.assert_array_equal(own.ranges, other.ranges)


def test_many_factors_do_not_overflow():
    rng = np.random.default_rng(2)
    names = [f"f{k}" for k in range(12)]  # of 60 levels each, 2e21 combinations
    data = pd.DataFrame({n: rng.integers(60, size=400).astype(str) for n in names})
    data = data.assign(y=rng.normal(size=400), g=np.arange(400) % 20)
    formula = " + ".join(f"I({name} == '1')" for name in names)
    own = lmer(f"y ~ {formula} + (1 | g)", data)._frame.observed
    assert len(own.codes) == len(data[names].drop_duplicates())
    for name in names:
        column = list(own.levels).index(name)
        sums = np.bincount(own.codes[:, column], own.weights)
        expected = data[name].value_counts()[own.levels[name].labels.tolist()]
        np.testing.assert_array_equal(sums, expected)
