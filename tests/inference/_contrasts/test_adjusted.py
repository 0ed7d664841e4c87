import numpy as np
import pytest
from random_families import means_of

from skmixed.inference._contrasts.adjusted import adjusted_statistics, adjustment_remark
from skmixed.inference._contrasts.adjustment import ADJUSTMENTS
from skmixed.inference._contrasts.request import Request

SEED = np.random.SeedSequence(0)


def compared(n_a, n_b, method="pairwise"):
    n = n_a * n_b
    rng = np.random.default_rng(3)
    half = rng.normal(size=(n, n))
    means = means_of(np.eye(n), 3.0 * rng.normal(size=n), half @ half.T, n_a, n_b, first=11.0)
    return Request.of(method, None, reverse=False).compared(means, None, 0.95)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_each_family_is_adjusted_by_itself(name):
    method = ADJUSTMENTS[name].needs or "pairwise"
    found = compared(3, 2, method)
    whole = adjusted_statistics(found, ADJUSTMENTS[name], SEED)
    size = found.sizes[1]
    own = found.estimates.combined(
        np.eye(2 * size)[size:], found.estimates.cells.iloc[size:].reset_index(drop=True), (), 0.95
    )
    second = type(found)(own, (size,), (3,), found.scale, "", "")
    alone = adjusted_statistics(second, ADJUSTMENTS[name], SEED)
    np.testing.assert_allclose(whole.iloc[size:], alone)


def test_without_adjustment_they_are_the_statistics():
    found = compared(4, 1)
    expected = found.estimates.statistics
    np.testing.assert_allclose(adjusted_statistics(found, None, SEED)[expected.columns], expected)


@pytest.mark.parametrize(
    ("size", "name", "words"),
    [
        ((2, 1), None, ""),
        ((2, 2), "tukey", ""),
        (
            (2, 1),
            "scheffe",
            "P values and intervals are adjusted by Scheffé's method for 1",
        ),
        ((3, 1), None, "P values and intervals are not adjusted for 3 comparisons."),
        ((3, 2), None, "P values and intervals are not adjusted for 3 comparisons in each b."),
        ((4, 2), "tukey", "P values and intervals are adjusted by Tukey's method for comparing 4 "),
        ((4, 2), "fdr_bh", "P values are adjusted by Benjamini and Hochberg's method for 6 compar"),
    ],
)
def test_the_remark_names_the_method_and_the_number(size, name, words):
    adjustment = None if name is None else ADJUSTMENTS[name]
    said = adjustment_remark(compared(*size), adjustment)
    assert said.startswith(words)
    assert bool(said) == bool(words)
