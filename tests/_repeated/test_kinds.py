"""Whatever way blocks are laid out in, all that is made of them is the same."""

import numpy as np
import pytest
from repeated_models import (
    GROUPS,
    KINDS,
    OF_MARKOV,
    blocks_of,
    dense_of,
    fitted_model,
    simulated,
)

from skmixed._model.time_points import TimePoints
from skmixed._repeated.coordinates import RowsInFrame, residual_moments
from skmixed._repeated.fit import mean_residual_variance, whitened_residuals
from skmixed._repeated.prediction import NewRows, RepeatedPredictor
from skmixed._repeated.small_sample import POWERS, REPEATED_SAMPLES, robust_sample

# Sums of a few hundred products in another order.
ROUNDING = 1e-9

CASES = [
    ("ar1", "none", {"by": "arm"}, False),
    ("ar1", "slopes", {"heterogeneous": True}, True),
    ("exponential", "both", {}, True),
    ("ante_dependence", "rater", {"heterogeneous": True}, False),
    ("ante_dependence", "subject", {"by": "arm"}, False),
    ("independent", "both", {"by": "arm", "time": None}, True),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda c: "-".join(map(str, c[:2])))
def model(request):
    structure, groups, columns, weighted = request.param
    frame = simulated(5, n_subjects=50, n_times=5, missing=0.3)
    # Effects of subjects that no correlation explains, and slopes that differ
    rng = np.random.default_rng(0)
    subject = frame["subject"].to_numpy()
    frame["y"] += (3 + frame["x"]) * rng.normal(size=50)[subject] + rng.normal(size=len(frame))
    return fitted_model(frame, structure, groups=GROUPS[groups], weighted=weighted, **columns)


@pytest.fixture(scope="module")
def dense(model):
    return dense_of(model)


@pytest.mark.parametrize("kind", OF_MARKOV)
@pytest.mark.parametrize("method", REPEATED_SAMPLES)
def test_small_samples(model, dense, kind, method):
    fitted = blocks_of(model, kind)
    found, basis = REPEATED_SAMPLES[method](fitted), fitted.layout.scale * fitted.layout.basis
    expected = dense.covariance
    if method != "satterthwaite":
        expected = dense.kenward_roger(is_linear=method.endswith("linear"))
    np.testing.assert_allclose(found.adjusted, expected, atol=ROUNDING * np.abs(expected).max())
    rows = np.eye(len(basis))
    variance = np.diagonal(found.covariance)
    slopes = np.einsum("dkk->kd", found.slopes)
    df = 2 * variance**2 / np.einsum("kd,de,ke->k", slopes, found.of_parameters, slopes)
    # The inverse of the information loses digits.
    np.testing.assert_allclose(df, dense.satterthwaite(rows), rtol=1e-6)


@pytest.mark.parametrize("kind", OF_MARKOV)
def test_weights_and_variances_of_rows(model, dense, kind):
    fitted, other = blocks_of(model, kind), blocks_of(model, "rows")
    found = whitened_residuals(fitted.layout, fitted.factor)
    np.testing.assert_allclose(found, dense.P @ dense.y, atol=ROUNDING)
    predictor = RepeatedPredictor(fitted)
    np.testing.assert_allclose(predictor._diagonal, np.diagonal(dense.P), rtol=ROUNDING)
    variances = mean_residual_variance(fitted.factor), mean_residual_variance(other.factor)
    assert variances[0] == pytest.approx(variances[1], rel=1e-12)
    for at, of_rows in ((fitted, other), (other, fitted)):
        shares = [min(own.least_share for own in m.factor.blocks) for m in (at, of_rows)]
        assert shares[0] == pytest.approx(shares[1], rel=ROUNDING)


@pytest.mark.parametrize("kind", OF_MARKOV)
@pytest.mark.parametrize("power", POWERS)
def test_sandwiches(model, kind, power):
    if model._model.repeated.layout.system.outer:
        pytest.skip("subjects that share effects have no sandwich")
    found, other = (robust_sample(blocks_of(model, own), power) for own in (kind, "rows"))
    scale = np.abs(other.covariance).max()
    np.testing.assert_allclose(found.covariance, other.covariance, atol=ROUNDING * scale)
    rows = np.eye(len(scale * other.basis))
    np.testing.assert_allclose(found.df(rows), other.df(rows), rtol=1e-8)


def further_rows(fitted, seed):
    """Rows of known and unknown subjects, at times of the fit and behind them."""
    rng, laid = np.random.default_rng(seed), fitted.layout.laid
    n, system = 40, fitted.layout.system
    like = rng.integers(0, system.n_rows, n)
    subject = np.where(rng.random(n) < 0.8, laid.subject[like], -1)
    visit = rng.integers(0, 5, n)
    ahead = (rng.random(n) < 0.3) & (system.residual.variance.name == "constant")
    ahead &= system.residual.correlation.time != "order"
    position = visit + np.where(ahead, 5.0, 0.0)
    levels = fitted.design.rows.levels[like]
    levels = np.where(rng.random(levels.shape) < 0.8, levels, -1)
    terms = tuple(rng.normal(size=(n, size)) for size in system.sizes)
    frame = RowsInFrame(rng.normal(size=(n, system.n_fixed)), np.zeros(n), terms)
    has_times = fitted.design.timeline.has_times
    places = TimePoints(visit[:, None], position[:, None], np.zeros((n, 1)))
    label = np.where(ahead, -1, visit) if has_times else np.full(n, -1)
    return NewRows(subject, laid.stratum[like], places, label, levels, frame)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rows"])
@pytest.mark.parametrize("seed", range(3))
def test_predictions(model, kind, seed):
    residual = model._model.repeated.layout.system.residual
    if kind in OF_MARKOV and not residual.correlation.is_markov:
        pytest.skip("not of Markov type")
    fitted, other = blocks_of(model, kind), blocks_of(model, "rows")
    rows = further_rows(fitted, seed)
    found, expected = RepeatedPredictor(fitted), RepeatedPredictor(other)
    np.testing.assert_allclose(found.correction(rows), expected.correction(rows), atol=ROUNDING)
    for of_observation in (True, False):
        np.testing.assert_allclose(
            found.variance(rows, of_observation=of_observation),
            expected.variance(rows, of_observation=of_observation),
            rtol=ROUNDING,
        )


@pytest.mark.parametrize("kind", OF_MARKOV)
def test_moments(model, kind):
    found = residual_moments(blocks_of(model, kind).layout.system)
    expected = residual_moments(blocks_of(model, "rows").layout.system)
    residual = model._model.repeated.layout.system.residual
    for own, other in zip(found, expected, strict=True):
        if residual.is_correlated:
            assert own.gap == pytest.approx(other.gap)
            assert own.neighbor == pytest.approx(other.neighbor)
        np.testing.assert_allclose(
            np.diagonal(own.counts).sum(), np.diagonal(other.counts).sum(), rtol=1e-12
        )
        # Where a structure asks for visits, those of neighbors are there.
        if residual.correlation.time == "order":
            np.testing.assert_allclose(
                np.diagonal(own.correlation, 1), np.diagonal(other.correlation, 1)
            )
