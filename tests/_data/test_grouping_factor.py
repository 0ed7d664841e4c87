"""Levels that come in parts keep their numbers."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skmixed import RandomEffect
from skmixed._data.encoder import EncoderUnion, plan
from skmixed._data.grouping_factor import LabelUnion, Metadata
from skmixed._data.table import open_table

LARGEST = np.iinfo(np.int64).max


def test_integers_close_together_have_a_plain_table():
    union = LabelUnion()
    first = np.arange(5_000)[::-1] * 2
    assert_array_equal(union.take(first), np.arange(5_000))
    assert union.runs[0].span == (0, 9_998)
    found = union.take(np.array([LARGEST, 9_998, -LARGEST - 1, 1, 0]))
    assert_array_equal(found, [5_000, 0, 5_001, 5_002, 4_999])
    assert_array_equal(union.take(np.array([1, LARGEST])), [5_002, 5_000])


labels = st.lists(st.integers(-20, 20), min_size=1, max_size=15, unique=True)


@given(parts=st.lists(labels, min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_numbers_are_those_of_the_first_appearance(parts):
    union, known = LabelUnion(), []
    for part in parts:
        known += [label for label in part if label not in known]
        assert list(union.take(np.array(part))) == [known.index(label) for label in part]
        assert len(union) == len(known)
    assert list(union.labels) == known


def test_a_label_is_hashed_a_logarithmic_number_of_times():
    union = LabelUnion()
    hashed = 0
    for start in range(0, 20_000, 10):
        union.take(np.arange(start, start + 10))
        # Runs at least halve from one to the next, so that one look goes through few.
        sizes = [len(run.labels) for run in union.runs]
        assert all(a > 2 * b for a, b in pairwise(sizes))
        hashed += sizes[-1]
    assert hashed < 20_000 * np.log2(2_000)
    assert_array_equal(union.labels, np.arange(20_000))


COLUMNS = st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("ab"))


@pytest.mark.slow
@pytest.mark.parametrize("groups", [("p",), ("p", "q"), ("p", "q", "r")])
@given(parts=st.lists(st.lists(COLUMNS, min_size=1, max_size=9), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_interactions(groups, parts):
    frames = [pd.DataFrame(part, columns=["p", "q", "r"]) for part in parts]
    union, known = None, {}
    for frame in frames:
        table = open_table(frame)
        effect = RandomEffect(groups if len(groups) > 1 else groups[0])
        encoder = plan(table, Metadata({}), [effect], [], fit_intercept=True)
        encoder, _ = encoder.learn(table, Metadata({}), np.zeros(len(frame)), None)
        if union is None:
            union = EncoderUnion.of(encoder)
            places = [np.arange(encoder.factors[0].n_levels)]
        else:
            places = union.take(encoder)
        for label, place in zip(encoder.factors[0].index, places[0], strict=True):
            assert known.setdefault(label, place) == place
    joined = union.joined().factors[0]
    assert joined.n_levels == union.n_levels[0] == len(known)
    assert [known[label] for label in joined.index] == list(range(len(known)))
    # Looked up in any order, and started from anew, numbers stay what they are.
    for frame in frames:
        codes = joined.codes(open_table(frame), Metadata({}))
        assert_array_equal(joined.index[codes], _labels(frame, groups))
    again = EncoderUnion.of(union.joined())
    assert_array_equal(again.take(union.joined())[0], np.arange(len(known)))
    assert_array_equal(again.joined().factors[0].cells, joined.cells)


def _labels(frame, groups):
    if len(groups) == 1:
        return frame[groups[0]]
    return pd.MultiIndex.from_frame(frame[list(groups)])


def test_integers_beyond_floats_stay_apart():
    union = LabelUnion()
    union.take(np.array([-LARGEST - 1, -LARGEST]))
    assert list(union.take(np.array([0.5, -LARGEST - 1.0]))) == [2, 0]
    assert list(union.take(np.array([-LARGEST]))) == [1]


def test_dates_beyond_the_finer_unit():
    union = LabelUnion()
    union.take(np.array(["2020-01-01"], dtype="M8[ns]"))
    with pytest.raises(ValueError, match=r"[Oo]ut of bounds"):
        union.take(np.array(["9999-01-01"], dtype="M8[s]"))
