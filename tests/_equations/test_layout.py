"""A layout is the same for all systems of one pattern, and none of their numbers are in it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from simulate import random_case

from skmixed._derivatives.parameters import Parameters
from skmixed._equations import layout, linear_algebra
from skmixed._equations.cholesky import factorize
from skmixed._equations.layout import Cells
from skmixed._equations.linear_algebra import CellPairs, DenseCells, SparseCells
from skmixed._equations.selected_inverse import CoreInverse, spherical_blocks
from skmixed._equations.system import assemble
from skmixed._equations.tangents import expected_information
from skmixed._equations.working_variates import Responses, project
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.framed_rows import FramedRows


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("is_sparse", [False, True])
def test_other_weights_and_another_response_have_the_same_layout(seed, is_sparse):
    """Rows that are reduced again in their frame, as for a reweighting or a draw."""
    case = random_case(seed, n_terms=1 + seed % 4)
    rng = np.random.default_rng(seed)
    n = case.design.n_rows
    first, weights = accumulate(case.design), rng.uniform(0.5, 2.0, n)
    before, _ = assemble(first, case.model, is_sparse=is_sparse)
    rows = FramedRows.of(case.design, first)
    stats = rows.reweighted(weights, rng.normal(size=n))
    afresh, _ = assemble(stats, case.model, is_sparse=is_sparse)
    given, _ = assemble(stats, case.model, is_sparse=is_sparse, layout=before.layout)
    assert given.layout is before.layout
    for own, other in zip(afresh.layout.cells, given.layout.cells, strict=True):
        assert_array_equal(own.columns, other.columns)
        assert_array_equal(own.rows, other.rows)
    for own, other in zip(afresh.stages, given.stages, strict=True):
        assert_array_equal(own.values, other.values)
        assert_array_equal(own.products, other.products)
    assert_array_equal(afresh.core, given.core)
    if not is_sparse:
        # The terms' coordinates are those of the weights before: one covariance in both.
        user = [t.to_user for _, t in before.terms]
        lams = [
            tuple(np.linalg.solve(t.to_user, u) for (_, t), u in zip(s.terms, user, strict=True))
            for s in (given, afresh)
        ]
        found, wanted = factorize(given, lams[0]), factorize(afresh, lams[1])
        # Two factors of the same matrix in other columns.
        assert found.residual_squares == pytest.approx(wanted.residual_squares, rel=1e-9)
        assert found.logdet_z == pytest.approx(wanted.logdet_z, rel=1e-9)


def test_cells_are_found_by_level_and_column():
    cells = Cells.of(np.array([0, 2, 2, 5]), np.array([1, 3, 0, 2, 4]), width=5)
    assert_array_equal(cells.rows, [0, 0, 2, 2, 2])
    assert_array_equal(cells.find(np.array([2, 0, 2]), np.array([4, 1, 0])), [4, 0, 2])
    dense = cells.with_values(np.arange(1.0, 6.0)).toarray()
    assert_array_equal(dense, [[0, 1, 0, 2, 0], [0, 0, 0, 0, 0], [3, 0, 4, 0, 5]])
    assert cells.n_levels == 3
    assert len(cells) == 5
    assert len(Cells.none(4, 7)) == 0


WAYS = {
    "pairs": ({"PAIR_COST": 0, "MOST_PAIRS": 2**24}, CellPairs),
    "sparse": ({"SPARSE_COST": 0, "MOST_PAIRS": 0}, SparseCells),
    "dense": ({"SPARSE_COST": 2**30, "MOST_PAIRS": 0}, DenseCells),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("part", [2**22, 12])
def test_cells_in_the_core_give_products(way, part, monkeypatch):
    monkeypatch.setattr(linear_algebra, "PART_NUMBERS", part)
    for name, value in WAYS[way][0].items():
        monkeypatch.setattr(layout, name, value)
    rng = np.random.default_rng(3)
    pattern = rng.random((9, 7)) < 0.5
    pattern[4] = False
    rows, columns = np.nonzero(pattern)
    starts = np.searchsorted(rows, np.arange(10))
    cells = Cells.of(starts, columns, width=7, n_chain=2)
    core = cells.core
    assert type(core) is WAYS[way][1]
    left, right = rng.normal(size=(2, 2, len(cells)))
    a, b = ([cells.with_values(own).toarray()[:, 2:] for own in values] for values in (left, right))
    assert_allclose(core.products(left), sum(m.T @ m for m in a), atol=1e-14)
    crossed = sum(m.T @ w for m, w in zip(a, b, strict=True))
    assert_allclose(core.products(left, right), crossed + crossed.T, atol=1e-14)
    # Taken from the first columns of a matrix, and those of one row with weights of the levels
    wide = rng.normal(size=(7, 7))
    left_over = wide + wide.T
    core.take(left_over, left)
    taken = np.zeros((7, 7))
    taken[:5, :5] = sum(m.T @ m for m in a)
    assert_allclose(left_over, wide + wide.T - taken, atol=1e-14)
    matrix = rng.normal(size=(5, 5))
    matrix += matrix.T
    squares, weights = core.squares(left[:1]), rng.normal(size=9)
    assert core.squares(left) is None
    assert (squares is not None) == (way == "pairs")
    if squares is not None:
        row, column = squares.pairs.places
        of_weights = (a[0].T * weights) @ a[0]
        assert_allclose(squares.weighted(weights), of_weights[row, column], atol=1e-14)
        form = np.einsum("qa,ab,qb,q->", a[0], matrix, a[0], weights)
        assert squares.form(matrix, weights) == pytest.approx(form, rel=1e-12)
    found = core.times(core.sampled(matrix), left)
    here = rows[core.cells], columns[core.cells] - 2
    assert_allclose(found, [(m @ matrix)[here] for m in a], atol=1e-14)


@pytest.mark.parametrize("seed", range(12))
def test_the_way_of_products_in_the_core_does_not_show(seed, monkeypatch):
    case = random_case(seed, n_terms=2 + seed % 3)
    found = []
    for constants, kind in WAYS.values():
        for name, value in constants.items():
            monkeypatch.setattr(layout, name, value)
        system, _ = assemble(accumulate(case.design), case.model)
        rng = np.random.default_rng(seed)
        lam = tuple(rng.normal(size=(t.size, t.size)) for _, t in system.terms)
        factor = factorize(system, lam)
        inverse = CoreInverse.of(factor, has_fixed=True)
        projected = project(inverse, Responses.residual(factor))
        information = expected_information(inverse, Parameters.of(system).by_factor)
        found.append([factor.schur, projected.trace, projected.products, information.information])
        found[-1] += spherical_blocks(factor)
        if system.n_core:
            assert {type(cells.core) for cells in system.layout.cells} == {kind}
    for own in found[1:]:
        for mine, its in zip(own, found[0], strict=True):
            assert_allclose(mine, its, atol=1e-10 * np.abs(its).max(initial=0.0))
