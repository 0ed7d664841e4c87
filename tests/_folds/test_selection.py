"""Statistics of some levels and columns are those of the rows that have them."""

import numpy as np
import pytest
from fold_designs import assert_same_sums, make_design

from skmixed._folds.selection import of_columns, of_levels
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("columns", "factors"),
    [
        ((0, 1, 2, 3), ((0, (0, 1)), (1, (0, 2, 3)), (2, (0,)))),
        ((0, 1), ((0, (0, 1)),)),
        ((0, 2, 3), ((1, (0, 2)), (0, (0,)))),
        ((0, 3), ((2, (0,)), (1, (0, 1)), (0, (0,)))),
        ((0,), ()),
    ],
)
def test_of_columns(columns, factors, weighted):
    design = make_design(np.random.default_rng(0), weighted=weighted)
    smaller = Design(
        tuple(design.columns[c - 1] for c in columns[1:]),
        design.responses,
        design.weights,
        tuple(
            FactorDesign(design.factors[k].codes, design.factors[k].n_levels, own)
            for k, own in factors
        ),
    )
    found = of_columns(accumulate(design), columns, factors)
    assert_same_sums(found, accumulate(smaller))


def test_of_levels():
    rng = np.random.default_rng(1)
    design = make_design(rng)
    rows = np.flatnonzero((design.factors[0].codes != 2) & (design.factors[1].codes != 0))
    part = design.picked(rows)
    levels = ([0, 1, 3, 4, 5], [1, 2, 3], [0, 1, 2])
    stats = of_levels(accumulate(part), [np.array(own) for own in levels])
    factors = tuple(
        FactorDesign(np.searchsorted(own, f.codes), len(own), f.columns)
        for f, own in zip(part.factors, levels, strict=True)
    )
    expected = Design(part.columns, part.responses, part.weights, factors)
    assert_same_sums(stats, accumulate(expected))
    for own, its in zip(accumulate(part).levels, levels, strict=True):
        np.testing.assert_array_equal(own, its)
