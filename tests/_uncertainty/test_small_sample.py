import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracle import kenward_roger as dense_kenward_roger
from simulate import random_case

from skmixed._derivatives.information import information, pseudo_inverse
from skmixed._estimation.solution import centered_to_user
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.small_sample import kenward_roger, kenward_roger_f, satterthwaite

seeds = st.integers(0, 10**6)


def covariance_directions(case):
    """∂V/∂ of every covariance parameter and of σ², in the user's coordinates."""
    out = []
    for (z, q), term in zip(case.oracle.terms, case.model.terms, strict=True):
        own = term.structure.directions(len(term.columns))
        out += [z @ np.kron(np.eye(q), direction) @ z.T for direction in own]
    return [*out, np.diag(1 / case.oracle.weights)]


@given(seed=seeds, n_terms=st.integers(1, 3), weighted=st.booleans())
@settings(max_examples=80, deadline=None)
def test_kenward_roger_is_the_dense_one_with_weights_too(seed, n_terms, weighted):
    case = random_case(seed, n_terms=n_terms, reml=True, weighted=weighted)
    lams = case.lams(np.random.default_rng(seed))
    fac = case.factorized(lams)
    directions = covariance_directions(case)
    v = case.oracle.covariance(lams)
    gram = np.array([[np.vdot(a, b) for a in directions] for b in directions])
    scale = np.sqrt(np.diagonal(gram))
    if np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] < 1e-6:
        return  # two parameters are one: no inverse to compare
    X, s2 = case.oracle.X, case.likelihood.sigma_squared(fac)
    phi, adjusted, slopes, w = dense_kenward_roger(X, v, directions, s2)
    to_user, _ = centered_to_user(fac.system, case.model)
    sample = kenward_roger(Relative.of(fac, case.likelihood)).in_columns(to_user)
    found, found_adjusted = (
        s2 * sample.basis @ part @ sample.basis.T for part in (sample.covariance, sample.adjusted)
    )
    # Both sides are exact; the oracle inverts V and an information matrix of condition
    # up to some 1e6.
    assert_allclose(found, phi, rtol=1e-7, atol=1e-7 * np.abs(phi).max())
    assert_allclose(found_adjusted, adjusted, rtol=1e-5, atol=1e-6 * np.abs(adjusted).max())
    rows = np.random.default_rng(seed).normal(size=(2, len(phi)))
    for row in rows:
        g = np.array([row @ phi @ p @ phi @ row for p in slopes])
        df = 2 * (row @ phi @ row) ** 2 / (g @ w @ g)
        assert sample.df(row[None] @ sample.basis)[0] == pytest.approx(df, rel=1e-5)
    if len(phi) > 1:
        joint = kenward_roger_f(sample, rows @ sample.basis)
        assert_allclose(joint, _dense_f(phi, slopes, w, rows), rtol=1e-4)


def _dense_f(phi, slopes, w, rows):
    """Kenward and Roger (1997), section 3, from their A₁ and A₂."""
    q = len(rows)
    theta = rows.T @ np.linalg.inv(rows @ phi @ rows.T) @ rows
    parts = [theta @ phi @ p @ phi for p in slopes]
    pairs = [(i, j) for i in range(len(w)) for j in range(len(w))]
    a1 = sum(w[i, j] * np.trace(parts[i]) * np.trace(parts[j]) for i, j in pairs)
    a2 = sum(w[i, j] * np.trace(parts[i] @ parts[j]) for i, j in pairs)
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    c = np.array([g, q - g, q + 2 - g]) / (3 * q + 2 * (1 - g))
    mean = 1 / (1 - a2 / q)
    variance = 2 / q * (1 + c[0] * b) / ((1 - c[1] * b) ** 2 * (1 - c[2] * b))
    df = 4 + (q + 2) / (q * variance / (2 * mean**2) - 1)
    return df, df / (mean * (df - 2))


@given(seed=seeds, n_terms=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_observed_information_is_the_change_of_the_gradient(seed, n_terms):
    case = random_case(seed, n_terms=n_terms)
    rng = np.random.default_rng(seed)
    lams = case.lams(rng)
    info = information(case.factorized(lams), case.likelihood)
    directions = covariance_directions(case)[:-1]
    dense, s2 = case.oracle.at(lams), case.likelihood.sigma_squared(info.factorization)
    p, y = dense["P"], case.oracle.y
    trace = p if case.model.reml else dense["V_inv"]
    py = p @ y
    first = [np.trace(trace @ d) - py @ d @ py / s2 for d in directions]
    second = [
        [-np.trace(trace @ a @ trace @ b) + 2 * py @ a @ p @ b @ py / s2 for a in directions]
        for b in directions
    ]
    # The same numbers in the search's coordinates, by the change of the D_i.
    change = _change_of_coordinates(case, info)
    found = change @ info.observed[:-1, :-1] @ change.T
    size = np.abs(second).max()
    assert_allclose(found, second, atol=1e-7 * size)
    assert_allclose(change @ info.gradient[:-1], first, atol=1e-7 * np.abs(first).max())


def _change_of_coordinates(case, info):
    """The user's D_i as combinations of the search's."""
    from scipy.linalg import block_diag

    parts = []
    for _, term in info.parameters.terms:
        structure = term.term.structure
        back = np.linalg.inv(term.to_user)
        parts.append(structure.coordinates(back @ structure.directions(term.size) @ back.T))
    return block_diag(*parts)


def test_a_variance_of_zero_drops_out_of_satterthwaite_and_stays_with_kenward_roger():
    case = random_case(1, structure="full", reml=True, weighted=False, intercept=True)
    zero = [np.zeros_like(lam) for lam in case.lams(np.random.default_rng(0))]
    fac = case.factorized(zero)
    assert not information(fac, case.likelihood).chart.jacobian.any()
    n, p = case.oracle.X.shape
    # What is left is σ²: the residual degrees of freedom, to rounding.
    at = Relative.of(fac, case.likelihood)
    assert_allclose(satterthwaite(at).df(np.eye(p)), n - p, rtol=1e-10)
    assert (kenward_roger(at).df(np.eye(p)) < n - p).all()


def test_what_the_data_do_not_determine_is_left_out_of_the_inverse():
    matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 4e-12]])
    # Units do not decide: the third is small, but determined.
    expected = np.array([[0.25, 0.25, 0.0], [0.25, 0.25, 0.0], [0.0, 0.0, 2.5e11]])
    assert_allclose(pseudo_inverse(matrix), expected, rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.4, 0.9])
def test_a_direction_with_a_part_in_unbounded_parameters_has_no_finite_variance(share):
    # Two parameters at a boundary, and two others
    null = np.array([1.0, 0.5, share, 0.0])
    null /= np.linalg.norm(null)
    rest = np.random.default_rng(0).normal(size=(4, 3))
    rest -= np.outer(null, null @ rest)
    found = np.diagonal(pseudo_inverse(rest @ rest.T, 2))
    assert (found[2] > 1e6) == (share > 0.0)
    if not share:
        assert (found < 1e3).all()


def test_two_directions_without_information_are_told_apart_by_their_parameters():
    # One of parameters at a boundary and one of others, with the same eigenvalue
    found = np.diagonal(pseudo_inverse(np.kron(np.eye(2), np.ones((2, 2))), 2))
    assert_allclose(found[:2], 0.25, rtol=1e-12)
    assert (found[2:] > 1e6).all()
