import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from numpy.testing import assert_allclose
from updates import STRUCTURES, Dense, regressor, table, updated

from skmixed._fitted.fitted_model import served
from skmixed._fitted.prediction_rows import open_rows
from skmixed._uncertainty.prediction_variance import updated_slopes
from skmixed._uncertainty.row_slopes import RowSlopes

pytestmark = pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")


def variance(dense, X, sigmas, n_fit):
    """g + a'Φa by definition, from the covariance matrix of each term."""
    lengths = [len(frame) for frame in dense.frames]
    s = scipy.linalg.block_diag(
        *(np.kron(np.eye(q), own) for q, own in zip(lengths, sigmas, strict=True))
    )
    z_all, x_all, z, x = (
        dense.random(dense.X),
        dense.fixed(dense.X),
        dense.random(X),
        dense.fixed(X),
    )
    v = z_all @ s @ z_all.T + np.diag(1 / dense.weights)
    regression = np.linalg.solve(v, z_all @ s).T
    g = z @ (s - regression @ z_all @ s) @ z.T
    a = x - z @ regression @ x_all
    own = v[:n_fit, :n_fit], x_all[:n_fit]
    phi = np.linalg.inv(own[1].T @ np.linalg.solve(*own))
    return np.diagonal(g) + np.einsum("ij,jk,ik->i", a, phi, a)


def check(dense, X):
    model = dense.model
    opened = served(model)
    fit, all_rows = opened.at_fit.factorization, opened.of_all_rows
    rows = open_rows(model, X).design()
    found = updated_slopes(fit, all_rows, rows)
    terms = opened.solution.terms
    base = [term.lam @ term.lam.T for term in terms]
    step = 1e-5
    for i, (term, direction) in enumerate(_directions(all_rows.system)):
        change = step * term.to_user @ direction @ term.to_user.T
        moved = []
        for sign in (1, -1):
            sigmas = [s + sign * change if k == term.index else s for k, s in enumerate(base)]
            moved.append(variance(dense, X, sigmas, 90))
        slope = (moved[0] - moved[1]) / (2 * step)
        # A central difference: rounding over the step.
        assert_allclose(found[:, i], slope, rtol=1e-4, atol=1e-6 * np.abs(slope).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_slopes_are_derivatives_of_the_variance(name):
    _, dense = updated(name)
    check(dense, pd.concat([dense.X.iloc[::5], table(5, 20, new=True)[0]], ignore_index=True))


def _directions(system):
    return [
        (term, direction)
        for _, term in system.terms
        for direction in term.term.structure.directions(term.size)
    ]


@pytest.mark.parametrize("name", ["slopes", "nested slopes", "crossed slopes", "three"])
def test_without_further_rows_nothing_changes(name):
    X, y = table(0, 90)
    rows = open_rows(regressor(name).fit(X, y), X)
    own, design = rows.fitted.factorization, rows.design()
    expected = RowSlopes.of(own).of_rows(design)
    # Differences of sums of the same size, to rounding.
    assert_allclose(
        updated_slopes(own, own, design), expected, rtol=0, atol=1e-9 * np.abs(expected).max()
    )


def test_an_order_of_elimination_that_the_further_rows_change():
    X, y = table(0, 90)
    model = regressor("crossed").fit(X, y)
    more = pd.concat([table(k, 60)[0] for k in range(3)], ignore_index=True)
    more["h"] = [f"new {i}" for i in range(180)]  # now h has the more levels
    a = np.linspace(0, 9, 180)
    opened = served(model.update_groups(more, a))
    fit, all_rows = opened.at_fit.factorization, opened.of_all_rows
    order = [[f.terms[0].term.factor for f in at.system.factors] for at in (fit, all_rows)]
    assert order[0] == order[1][::-1]
    dense = Dense(model, pd.concat([X, more], ignore_index=True), np.r_[y, a], np.ones(270))
    check(dense, X)
