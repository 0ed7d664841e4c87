"""Splits of the rows: which test rows are of known groups, by the definition row by row."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skmixed.model_selection._splits.splits import Splits


def known_by_definition(splits, codes, counts):
    """Whether a row that counts and is in training has the level of a test row."""
    found = []
    for k in range(len(splits)):
        levels = {codes[i] for i in splits.train(k) if counts[i]}
        found += [codes[i] in levels for i in splits.test(k)]
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("is_partition", [True, False])
def test_known_levels(seed, is_partition):
    rng = np.random.default_rng(seed)
    n, q, n_folds = 60, 25, 4
    codes, fold = rng.integers(0, q, n), rng.integers(0, n_folds, n)
    counts = rng.random(n) > 0.4
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_folds)]
    pairs = pairs if is_partition else [*pairs, pairs[0]]
    for own in (counts, None):
        splits = Splits.of(pairs, n, own)
        assert (splits.fold is not None) == is_partition
        expected = known_by_definition(splits, codes, np.ones(n, bool) if own is None else own)
        assert_array_equal(splits.are_known(codes), expected)
        assert 0 < np.mean(expected) < 1


def test_splits_of_the_rows_that_count():
    counts = np.array([1, 0, 1, 1, 0, 1], dtype=bool)
    fold = np.array([0, 0, 1, 2, 3, 2])
    found = Splits(6, fold, counts=counts).of_counting()
    # Fold 3 has no row that counts, and is gone
    assert_array_equal(found.fold, [0, 1, 2, 2])
    pairs = [(np.array([0, 1, 2]), np.array([3, 4])), (np.array([0, 2]), np.array([4]))]
    found = Splits.of(pairs, 6, counts).of_counting()
    assert len(found) == 1
    assert_array_equal(found.train(0), [0, 1])
    assert_array_equal(found.test(0), [2])
    every = Splits(6, fold)
    assert every.of_counting() is every


@pytest.mark.parametrize("kind", ["numbers", "masks"])
def test_a_row_in_training_and_in_test_is_refused(kind):
    train, test = np.array([5, 3, 0]), np.array([1, 3, 5])
    if kind == "masks":
        train, test = (np.isin(np.arange(6), own) for own in (train, test))
    first = 5 if kind == "numbers" else 3
    message = f"Split 1 of cv has row {first} in its training rows and in its test rows"
    with pytest.raises(ValueError, match=message):
        Splits.of([([0], [1]), (train, test)], 6)
