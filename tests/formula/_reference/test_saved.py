import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hostile import ANYTHING, others

from skmixed import lmer
from skmixed._saved.requirements import DamagedModelError
from skmixed.formula._reference.saved import packed_observed, unpacked_observed

RNG = np.random.default_rng(5)
N = 90
DATA = pd.DataFrame(
    {
        "f": RNG.choice(["a", "b", "c"], N),
        "flag": RNG.integers(2, size=N) == 1,
        "day": pd.Categorical(pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N) % 3, "D")),
        "k": RNG.choice([1, 2, 5], N),
        "z": RNG.normal(size=N),
        "e": RNG.uniform(1, 2, N),
        "g": np.arange(N) % 10,
    }
).assign(y=lambda d: d["g"] + RNG.normal(size=N))
MODEL = lmer("y ~ f * flag + day + factor(k) + z + offset(np.log(e)) + (1 | g)", DATA)
FRAME = MODEL._frame


def read(state):
    return unpacked_observed(state, FRAME.kinds, FRAME.variables, len(FRAME.offsets))


def test_what_was_seen_in_fit_is_saved():
    own, again = FRAME.observed, pickle.loads(pickle.dumps(MODEL))._frame.observed
    assert again.names == own.names
    assert again.levels.keys() == own.levels.keys()
    for name, levels in own.levels.items():
        np.testing.assert_array_equal(again.levels[name].labels, levels.labels)
    for name in ("ranges", "codes", "weights", "offsets"):
        np.testing.assert_array_equal(getattr(again, name), getattr(own, name))


def test_models_were_saved_without():
    assert read(None) is None
    assert packed_observed(None) is None


@pytest.mark.parametrize("key", packed_observed(FRAME.observed))
def test_other_values_are_refused_or_are_of_the_same_form(key):
    packed, rng = packed_observed(FRAME.observed), np.random.default_rng(0)
    for value in others(packed[key], rng):
        state = copy.deepcopy(packed) | {key: value}
        try:
            found = read(state)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # any other error becomes a ValueError of the estimator
            continue
        assert found.codes.shape == (len(found.weights), len(found.levels))
        assert len(found.ranges) == len(found.names)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("names", lambda v: v[1:]),
        ("levels_of", lambda v: [*v[1:], "other"]),
        ("ranges", lambda v: v[:, ::-1]),
        ("ranges", lambda v: np.full_like(v, np.nan)),
        ("codes", lambda v: v + 10),
        ("codes", lambda v: v[:, 1:]),
        ("weights", lambda v: -v),
        ("weights", lambda v: v[1:]),
        ("offsets", lambda v: v[:0]),
        ("levels", lambda v: v[::-1]),
    ],
)
def test_values_that_do_not_fit_are_refused(key, change):
    packed = packed_observed(FRAME.observed)
    with pytest.raises(DamagedModelError, match="values of columns"):
        read(packed | {key: change(packed[key])})


def test_no_state_of_another_kind_is_read():
    for value in ANYTHING:
        if value is not None:
            with pytest.raises(Exception):  # noqa: B017, PT011  # of any kind
                read(value)
