import numpy as np
import pytest

from skmixed.inference._contrasts.methods import METHODS, LabeledCells

LABELS = ["a", "b", "c", "d"]


def of(name, reverse=False, **cells):
    return METHODS[name].of(LabeledCells(LABELS, **cells), reverse)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("n", [2, 3, 7, 12])
def test_comparisons_have_labels_and_the_sum_0(name, n):
    found = METHODS[name].of(LabeledCells([f"cell {k}" for k in range(n)]))
    assert len(found.labels) == len(found.rows) == len(set(found.labels))
    assert found.are_contrasts
    np.testing.assert_allclose(found.rows.sum(axis=1), 0.0, atol=1e-12)


# The columns of emmeans' mean_chg.emmc and del.eff.emmc (1.8.4), and of R's contr.helmert
OF_EMMEANS = {
    "mean_chg": [[-1, 1 / 3, 1 / 3, 1 / 3], [-0.5, -0.5, 0.5, 0.5], [-1 / 3, -1 / 3, -1 / 3, 1]],
    "del.eff": (4 * np.eye(4) - 1) / 3,
    "helmert": [[-1, 1, 0, 0], [-1, -1, 2, 0], [-1, -1, -1, 3]],
}


@pytest.mark.parametrize("name", OF_EMMEANS)
def test_weights_are_those_of_emmeans(name):
    np.testing.assert_allclose(of(name).rows, OF_EMMEANS[name], rtol=1e-15)


def test_reversed_means_before_and_after_have_the_other_sign():
    turned = of("mean_chg", reverse=True)
    assert turned.labels == of("mean_chg").labels
    np.testing.assert_array_equal(turned.rows, -of("mean_chg").rows)


DIFFERENCES = ("pairwise", "trt.vs.ctrl", "consecutive")


@pytest.mark.parametrize("name", DIFFERENCES)
def test_reversed_differences_have_the_other_sign(name):
    plain, turned = of(name), of(name, reverse=True)
    own = dict(zip(plain.labels, plain.rows, strict=True))
    for label, row in zip(turned.labels, turned.rows, strict=True):
        np.testing.assert_array_equal(row, -own[" - ".join(label.split(" - ")[::-1])])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("pairwise", ["a - b", "a - c", "a - d", "b - c", "b - d", "c - d"]),
        ("trt.vs.ctrl", ["b - a", "c - a", "d - a"]),
        ("consecutive", ["b - a", "c - b", "d - c"]),
        ("eff", ["a effect", "b effect", "c effect", "d effect"]),
        ("del.eff", ["a effect", "b effect", "c effect", "d effect"]),
        ("mean_chg", ["a|b", "b|c", "c|d"]),
        ("helmert", ["b vs earlier", "c vs earlier", "d vs earlier"]),
        ("poly", ["linear", "quadratic", "cubic"]),
    ],
)
def test_labels_are_those_of_emmeans(name, labels):
    assert list(of(name).labels) == labels


def test_reversed_pairs_come_in_the_order_of_emmeans():
    assert list(of("pairwise", reverse=True).labels) == [
        "b - a", "c - a", "c - b", "d - a", "d - b", "d - c",
    ]  # fmt: skip


def test_the_control_and_the_sign():
    found = of("trt.vs.ctrl", reference=2, sign="/")
    assert found.labels == ("a / c", "b / c", "d / c")
    np.testing.assert_array_equal(found.rows[0], [1, 0, -1, 0])


def test_each_is_compared_with_the_mean_of_all():
    np.testing.assert_allclose(of("eff").rows[1], [-0.25, 0.75, -0.25, -0.25])


@pytest.mark.parametrize(
    ("n", "degree", "expected"),
    [
        (3, 2, [1, -2, 1]),
        (5, 3, [-1, 2, 0, -2, 1]),
        (7, 4, [3, -7, 1, 6, 1, -7, 3]),
        (10, 3, [-42, 14, 35, 31, 12, -12, -31, -35, -14, 42]),
        (8, 6, [1, -5, 9, -5, -5, 9, -5, 1]),
    ],
)
def test_polynomials_are_those_of_the_tables(n, degree, expected):
    """Fisher and Yates (1938), Statistical Tables, which emmeans has too."""
    rows = METHODS["poly"].of(LabeledCells(["x"] * n)).rows
    np.testing.assert_array_equal(rows[degree - 1], expected)


@pytest.mark.parametrize("n", [4, 9, 30])
def test_polynomials_are_orthogonal(n):
    rows = METHODS["poly"].of(LabeledCells(["x"] * n)).rows
    assert len(rows) == min(n - 1, 6)
    products = rows @ rows.T
    np.testing.assert_array_equal(products, np.diag(np.diagonal(products)))
