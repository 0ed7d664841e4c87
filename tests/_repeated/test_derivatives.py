"""The likelihood of blocks and its derivatives against V in full."""

import contextlib
import warnings

import numpy as np
import pytest
from repeated_models import (
    GROUPS,
    KINDS,
    OF_MARKOV,
    STRUCTURES,
    blocks_of,
    dense_of,
    fitted_model,
    simulated,
)

from skmixed._repeated.blocks import RowProducts, SummedProducts
from skmixed._repeated.derivatives import RepeatedDerivatives
from skmixed._repeated.likelihood import RepeatedFactor
from skmixed.exceptions import SingularFitWarning

# Sums of a few hundred products in another order.
ROUNDING = 1e-9


def elsewhere(model, seed):
    """A Λ and φ off the optimum."""
    rng = np.random.default_rng(seed)
    *terms, phi = model._model.repeated.factor.lam
    terms = [own + 0.3 * np.tril(rng.normal(size=own.shape)) for own in terms]
    return (*terms, phi + 0.2 * rng.normal(size=phi.shape))


CASES = [
    *[(structure, "none", {}, False, "reml") for structure in STRUCTURES],
    *[("ar1", groups, {}, False, "reml") for groups in GROUPS if groups != "none"],
    ("unstructured", "none", {"by": "arm"}, False, "reml"),
    ("unstructured", "rater", {}, True, "ml"),
    ("toeplitz", "rater", {"heterogeneous": True, "by": "arm"}, True, "reml"),
    ("exponential", "both", {}, True, "ml"),
    ("gaussian", "slopes", {"heterogeneous": True}, False, "ml"),
    ("ante_dependence", "rater", {"heterogeneous": True}, False, "reml"),
    ("compound_symmetry", "diag", {"time": None}, False, "reml"),
    ("ar1", "both", {"heterogeneous": True, "by": "arm"}, True, "ml"),
    ("ante_dependence", "slopes", {}, True, "reml"),
    ("independent", "both", {"by": "arm", "time": None}, True, "reml"),
    ("independent", "slopes", {"heterogeneous": True}, False, "reml"),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(map(str, (c[0], c[1], c[4]))))
def model(request):
    structure, groups, columns, weighted, method = request.param
    options = {"groups": GROUPS[groups], "method": method, "weighted": weighted, **columns}
    with warnings.catch_warnings():
        # Where the fit ends does not matter: the derivatives are taken elsewhere.
        warnings.simplefilter("ignore", SingularFitWarning)
        return fitted_model(simulated(3, n_subjects=40), structure, **options)


def factored(system, model):
    """The first point whose correlations are those of a covariance, and the factor there."""
    for seed in range(10):
        lam = elsewhere(model, seed)
        with contextlib.suppress(np.linalg.LinAlgError):
            return lam, RepeatedFactor.of(system, lam)
    raise AssertionError("no point has a covariance")


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_and_its_derivatives_are_those_of_v(model, kind):
    residual = model._model.repeated.layout.system.residual
    if kind in OF_MARKOV and not residual.correlation.is_markov:
        pytest.skip("not of Markov type")
    system = blocks_of(model, kind).layout.system
    lam, factor = factored(system, model)
    found, dense = RepeatedDerivatives.of(factor), dense_of(model, lam)
    value = factor.value - system.constant
    assert value == pytest.approx(dense.criterion, rel=ROUNDING)
    scale = np.abs(dense.observed).max()
    np.testing.assert_allclose(found.gradient, dense.gradient, atol=ROUNDING * scale)
    np.testing.assert_allclose(found.observed, dense.observed, atol=ROUNDING * scale)
    np.testing.assert_allclose(found.average, dense.average, atol=ROUNDING * scale)


def test_rows_and_their_sums_have_the_same_products():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 3, 4))
    # The rows of the blocks, in a table in another order
    order = rng.permutation(18)
    wide = np.empty((18, 4))
    wide[order] = rows.reshape(18, 4)
    summed = SummedProducts.of(wide, order.reshape(6, 3), [0, 2, 5])
    single = RowProducts(rows)
    pattern = np.array([0, 0, 1, 1, 1, 2])
    coefficients = rng.normal(size=(2, 3, 3, 3))
    coefficients += coefficients.transpose(0, 1, 3, 2)
    np.testing.assert_allclose(
        summed.quadratic(coefficients), single.quadratic(coefficients[:, pattern]), atol=1e-12
    )
    matrix = np.eye(4) + 1.0
    of_rows = single.gram(matrix)
    for k in range(3):
        np.testing.assert_allclose(
            summed.gram(matrix)[k], of_rows[pattern == k].sum(axis=0), atol=1e-12
        )
    visit = np.array([[0, 1, 2], [0, 2, 3], [1, 2, 3]])
    np.testing.assert_allclose(
        summed.sandwich(coefficients[0], visit, 4),
        single.sandwich(coefficients[0][pattern], visit[pattern], 4),
        atol=1e-12,
    )
