"""Comparisons of the cells of one family, by name: their weights, labels and usual adjustment.

A further one is an entry of `METHODS`, for which the tests of this file then run too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb, gcd

import numpy as np

from skmixed._typing import FloatArray

# Names of polynomials by degree; emmeans makes them up to the sixth.
DEGREES = ("linear", "quadratic", "cubic", "quartic", "degree 5", "degree 6")


@dataclass(frozen=True)
class Weights:
    """Weights of comparisons, one a row, over the cells of a family.

    Attributes
    ----------
    labels : tuple of str
    rows : (n_comparisons, n_cells) array
    """

    labels: tuple[str, ...]
    rows: FloatArray

    @property
    def are_contrasts(self) -> bool:
        """Whether each has the sum 0."""
        sizes = np.abs(self.rows).max(axis=1, initial=0.0)
        return bool((np.abs(self.rows.sum(axis=1)) <= 1e-6 * sizes).all())


@dataclass(frozen=True)
class LabeledCells:
    """What a method sees of a family.

    Attributes
    ----------
    labels : sequence of str
        One for each cell.
    sign : str
        What stands between the two of a comparison: "-", or "/" of a ratio.
    reference : int
        The place of the control.
    """

    labels: Sequence[str]
    sign: str = "-"
    reference: int = 0

    def difference(self, first: int, second: int) -> tuple[str, FloatArray]:
        """Return the label and weights of the first less the second."""
        weights = np.zeros(len(self.labels))
        weights[first], weights[second] = 1.0, -1.0
        return f"{self.labels[first]} {self.sign} {self.labels[second]}", weights


@dataclass(frozen=True)
class ContrastMethod:
    """A method that compares the cells of a family.

    Attributes
    ----------
    name : str
        What users call it.
    weights : callable
        From the cells, and whether to reverse the differences, to the comparisons.
    adjust : str or None
        The adjustment that emmeans makes for it.
    description : str
        What it is of some variables, for the title.
    has_reference, has_reverse : bool
        Whether there is a control, and whether differences can be reversed.
    """

    name: str
    weights: Callable[[LabeledCells, bool], list[tuple[str, FloatArray]]]
    adjust: str | None
    description: str
    has_reference: bool = False
    has_reverse: bool = True

    def of(self, cells: LabeledCells, reverse: bool = False) -> Weights:
        """Return the comparisons of some cells."""
        labels, rows = zip(*self.weights(cells, reverse), strict=True)
        return Weights(labels, np.array(rows))


def _pairwise(cells: LabeledCells, reverse: bool) -> list[tuple[str, FloatArray]]:
    n = len(cells.labels)
    if reverse:  # B - A, C - A, C - B
        return [cells.difference(j, i) for j in range(n) for i in range(j)]
    return [cells.difference(i, j) for i, j in combinations(range(n), 2)]


def _from_control(cells: LabeledCells, reverse: bool) -> list[tuple[str, FloatArray]]:
    control = cells.reference
    others = [k for k in range(len(cells.labels)) if k != control]
    return [cells.difference(*((control, k) if reverse else (k, control))) for k in others]


def _consecutive(cells: LabeledCells, reverse: bool) -> list[tuple[str, FloatArray]]:
    places = range(1, len(cells.labels))
    return [cells.difference(*((k - 1, k) if reverse else (k, k - 1))) for k in places]


def _from_mean(cells: LabeledCells, _: bool) -> list[tuple[str, FloatArray]]:
    n = len(cells.labels)
    rows = np.eye(n) - 1.0 / n
    return [(f"{label} effect", row) for label, row in zip(cells.labels, rows, strict=True)]


def _from_others(cells: LabeledCells, _: bool) -> list[tuple[str, FloatArray]]:
    n = len(cells.labels)
    return [(label, n / (n - 1.0) * row) for label, row in _from_mean(cells, False)]


def _before_and_after(cells: LabeledCells, reverse: bool) -> list[tuple[str, FloatArray]]:
    """Return the mean after each place less that before it."""
    n, labels = len(cells.labels), cells.labels
    before = np.tri(n)[:-1]
    counts = np.arange(1.0, n)[:, None]
    rows = (1.0 - before) / (n - counts) - before / counts
    names = [f"{first}|{second}" for first, second in pairwise(labels)]
    return list(zip(names, -rows if reverse else rows, strict=True))


def _from_earlier(cells: LabeledCells, _: bool) -> list[tuple[str, FloatArray]]:
    """Return each by the number before it, less the sum of these: R's contr.helmert."""
    n = len(cells.labels)
    rows = np.diag(np.arange(n)) - np.tri(n, k=-1)
    return [(f"{cells.labels[k]} vs earlier", rows[k]) for k in range(1, n)]


def _polynomial(cells: LabeledCells, _: bool) -> list[tuple[str, FloatArray]]:
    n = len(cells.labels)
    rows = [_chebyshev(n, k + 1) for k in range(min(n - 1, len(DEGREES)))]
    return list(zip(DEGREES, rows, strict=False))


def _chebyshev(n: int, degree: int) -> FloatArray:
    """Return the orthogonal polynomial on n equidistant points, in the least integers.

    Chebyshev's discrete polynomials are integers there (Szegő, 1939, Orthogonal
    Polynomials, section 2.8): Σ_k (−1)^(d−k) C(n − 1 − k, d − k) C(d + k, d) C(x, k).
    """
    powers = range(degree + 1)
    own = [
        (-1) ** (degree - k) * comb(n - 1 - k, degree - k) * comb(degree + k, degree)
        for k in powers
    ]
    values = [sum(own[k] * comb(x, k) for k in powers) for x in range(n)]
    return np.array(values, dtype=float) / gcd(*values)


METHODS = {
    method.name: method
    for method in (
        ContrastMethod("pairwise", _pairwise, "tukey", "Pairwise comparisons of {}"),
        ContrastMethod(
            "trt.vs.ctrl", _from_control, "dunnettx", "Comparisons of {} with a control",
            has_reference=True,
        ),
        ContrastMethod("consecutive", _consecutive, "mvt", "Consecutive differences of {}"),
        ContrastMethod(
            "eff", _from_mean, "fdr_bh", "Comparisons of {} with the mean", has_reverse=False
        ),
        ContrastMethod(
            "del.eff", _from_others, "fdr_bh", "Comparisons of {} with the mean of the others",
            has_reverse=False,
        ),
        ContrastMethod("mean_chg", _before_and_after, "mvt", "Means of {} after less those before"),
        ContrastMethod(
            "helmert", _from_earlier, None, "Comparisons of {} with those before", has_reverse=False
        ),
        ContrastMethod("poly", _polynomial, None, "Polynomial contrasts of {}", has_reverse=False),
    )
}  # fmt: skip
# What emmeans calls them beside, and what to do in the place of words that are two options
METHODS_OF_R = {
    "consec": "consecutive",
    "tukey": "pairwise",
    "dunnett": "trt.vs.ctrl",
    "trt.vs.ctrl1": "trt.vs.ctrl",
}
METHOD_HINTS = {
    "revpairwise": "Take method='pairwise' with reverse=True.",
    "trt.vs.ctrlk": "Take method='trt.vs.ctrl' with the last cell as its reference.",
}
