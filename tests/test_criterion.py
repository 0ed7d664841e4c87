import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference_fits import Reference
from simulate import random_case

from skmixed._blocks import assemble
from skmixed._covariance import STRUCTURES
from skmixed._criterion import criterion, derivatives, moments
from skmixed._crossprod import accumulate
from skmixed._design import Design, FactorDesign, Model, Term
from skmixed._factorize import factorize

seeds = st.integers(0, 10**6)


def at(case, lam):
    blocks = assemble(case.stats, case.model)
    term = blocks.factor.terms[0]
    return factorize(blocks, (np.linalg.solve(term.to_user, lam),)), term


def to_user(term, matrix):
    """Carry a gradient in the block's coordinates over to the user's."""
    own = term.to_block.T @ matrix @ term.to_block
    inverse = np.linalg.inv(term.to_user)
    return inverse.T @ own @ inverse


def level_blocks(matrix, q, s):
    return [matrix[j * s : (j + 1) * s, j * s : (j + 1) * s] for j in range(q)]


def test_dyestuff_at_a_fixed_theta():
    frame = Reference("dyestuff", "one_way", "ml").frame
    codes = np.unique(frame["Batch"], return_inverse=True)[1]
    design = Design((), frame["Yield"].to_numpy(float), None, (FactorDesign(codes, 6, (0,)),))
    model = Model((0,), (Term(0, (0,), STRUCTURES["full"]),), reml=False)
    blocks = assemble(accumulate(design), model)
    value = criterion(factorize(blocks, (np.array([[0.713]]),)))
    # lme4's deviance at this θ, to all digits; 1e-10 is rounding of 30 rows.
    assert value == pytest.approx(327.34216280954615, abs=1e-10)


@given(seed=seeds)
@settings(max_examples=100, deadline=None)
def test_criterion_is_the_oracle_s(seed):
    case = random_case(seed)
    lam = case.lam(np.random.default_rng(seed))
    found = criterion(at(case, lam)[0])
    # Rounding of determinants and sums of squares over some 50 rows.
    assert found == pytest.approx(case.oracle.criterion([lam]), abs=1e-9)


@given(seed=seeds)
@settings(max_examples=60, deadline=None)
def test_gradient_is_the_oracle_s(seed):
    case = random_case(seed)
    lam = case.lam(np.random.default_rng(seed))
    factorization, term = at(case, lam)
    dense = case.oracle.at([lam])
    z, q = case.oracle.terms[0]
    rho = (z.T @ dense["P"] @ case.oracle.y).reshape(q, -1)
    trace = z.T @ (dense["P"] if case.model.reml else dense["V_inv"]) @ z
    expected = sum(level_blocks(trace, q, rho.shape[1])) - rho.T @ rho / dense["sigma"] ** 2
    found = to_user(term, derivatives(factorization).gradient)
    assert_allclose(found, expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_average_and_expected_information_are_the_oracle_s(seed):
    case = random_case(seed)
    rng = np.random.default_rng(seed)
    lam = case.lam(rng)
    factorization, term = at(case, lam)
    dense = case.oracle.at([lam])
    z, q = case.oracle.terms[0]
    s = z.shape[1] // q
    direction = rng.normal(size=(2, s, s))
    direction += direction.transpose(0, 2, 1)
    p, y, sigma2 = dense["P"], case.oracle.y, dense["sigma"] ** 2
    v = [z @ np.kron(np.eye(q), d) @ z.T for d in direction]
    r2 = y @ p @ y
    average = np.array([[y @ p @ a @ p @ b @ p @ y for a in v] for b in v])
    slope = np.array([-y @ p @ a @ p @ y for a in v])
    average = (average - np.outer(slope, slope) / r2) / sigma2
    expected = np.array([[np.trace(p @ a @ p @ b) for a in v] for b in v])
    # Directions of Σ in the user's coordinates, carried to the block's.
    back = term.to_block @ np.linalg.inv(term.to_user)
    moved = np.einsum("ra,iab,sb->irs", back, direction, back)
    for found, wanted in (
        (derivatives(factorization).information, average),
        (moments(factorization).information, expected),
    ):
        value = np.einsum("iab,abcd,jcd->ij", moved, found, moved)
        assert_allclose(value, wanted, rtol=1e-6, atol=1e-8 * np.abs(wanted).max())


def test_rescaling_a_fixed_column_moves_the_reml_criterion_by_its_log():
    case = random_case(8, reml=True)
    lam = case.lam(np.random.default_rng(0))
    columns = list(case.design.columns)
    columns[1] = 10 * columns[1]
    scaled = Design(tuple(columns), case.design.y, case.design.weights, case.design.factors)
    blocks = [
        assemble(accumulate(d), Model(case.model.fixed, (), reml=True))
        for d in (case.design, scaled)
    ]
    values = [criterion(factorize(b, ())) for b in blocks]
    assert values[1] - values[0] == pytest.approx(2 * np.log(10), abs=1e-11)
    assert lam.shape[0] >= 1
