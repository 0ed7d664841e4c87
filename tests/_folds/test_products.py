"""Sums without a fold are those of the other rows."""

from dataclasses import replace

import numpy as np
import pytest
from fold_designs import assert_same_sums, make_design

from skmixed._folds.products import FoldPart, FoldParts, sums_without_each
from skmixed._statistics.accumulator import accumulate


def parts_of(design, fold):
    own = tuple(
        FoldPart.of(design.picked(np.flatnonzero(fold == k))) for k in range(fold.max() + 1)
    )
    return FoldParts(own, tuple(f.n_levels for f in design.factors))


@pytest.mark.parametrize("n_folds", [2, 3, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_without_each(n_folds, weighted):
    rng = np.random.default_rng(n_folds)
    design = make_design(rng, 80, weighted=weighted)
    fold = rng.permutation(np.arange(80) % n_folds)
    parts = parts_of(design, fold)
    assert_same_sums(parts.total(), accumulate(design))
    for k, found in enumerate(parts.without_each()):
        expected = accumulate(design.picked(np.flatnonzero(fold != k)))
        assert_same_sums(found, expected)
        # Around the means of its own rows, where the search of a fit to them would be
        np.testing.assert_allclose(found.center, expected.center, rtol=1e-13)


def test_a_fold_far_from_the_others_costs_no_digits():
    """A difference from the sums over all rows would leave none."""
    rng = np.random.default_rng(0)
    design = make_design(rng, 60)
    fold = np.arange(60) // 20
    column = np.where(fold == 1, 1e9 * rng.normal(size=60), design.columns[0])
    design = replace(design, columns=(column, *design.columns[1:]))
    found = list(parts_of(design, fold).without_each())[1]
    assert_same_sums(found, accumulate(design.picked(np.flatnonzero(fold != 1))))


def test_columns_in_a_frame_with_a_regression():
    rng = np.random.default_rng(3)
    design = make_design(rng, 80)
    near = design.columns[0] + 1e-9 * rng.normal(size=80)
    design = replace(design, columns=(near, *design.columns[1:], design.columns[0]))
    fold = np.arange(80) % 4
    parts = parts_of(design, fold)
    assert not parts.total().has_plain_frame
    for k, found in enumerate(parts.without_each()):
        rows = design.picked(np.flatnonzero(fold != k))
        own = accumulate(rows).in_frame_of(found)
        # Nine digits are between the two columns, of sixteen
        np.testing.assert_allclose(found.total, own.total, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 8])
def test_sums_of_anything_without_each(n):
    """Parts that are left out are in no sum; each sum has taken log₂K additions, about."""
    n_added = 0

    def plus(parts, others):
        nonlocal n_added
        n_added += len(parts)
        return sorted([*parts, *(others or [])])

    found = list(sums_without_each(range(n), plus))
    assert found == [[k for k in range(n) if k != left] for left in range(n)]
    assert n_added <= n * np.ceil(np.log2(n))
