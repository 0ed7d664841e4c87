import warnings

import numpy as np
import pandas as pd
import pytest
from generalized_models import epil_model
from reference_fits import Reference
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, MixedLogisticClassifier, MixedPoissonRegressor
from skmixed.exceptions import IdentifiabilityWarning, SingularFitWarning
from skmixed.inference import convergence, singularity


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("dataset", "model"), [("sleepstudy", "random_slope"), ("penicillin", "crossed")]
)
def test_fits_end_at_an_optimum(dataset, model, method):
    found = convergence(Reference(dataset, model, method).fitted())
    assert found.is_optimum
    assert found.is_determined
    # A Newton step from there gains nothing but rounding.
    assert found.expected_gain < 1e-9
    assert found.boundary["slope"].isna().all()
    assert "This is an optimum." in str(found)
    assert repr(found) == str(found)


def test_the_boundary_is_an_optimum_with_a_slope_inwards():
    with pytest.warns(SingularFitWarning):
        found = convergence(Reference("dyestuff2", "one_way", "reml").fitted())
    assert found.is_optimum
    row = found.boundary.iloc[0]
    assert (row["rank"], row["size"]) == (0, 1)
    assert row["slope"] > 0
    assert "has rank 0 of 1" in str(found)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_search_that_stops_early_is_told():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=80), "g": rng.integers(0, 9, 80)})
    effects = rng.normal(size=(2, 9))[:, frame["g"]]
    y = effects[0] + effects[1] * frame["x"] + rng.normal(size=80)
    with pytest.warns(ConvergenceWarning):
        early = MixedLinearRegressor("g", random_slopes="x", max_iter=1).fit(frame, y)
    found = convergence(early)
    assert not found.is_optimum
    assert "This is not an optimum" in str(found)


def test_a_combination_that_is_hardly_determined_is_told():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.arange(60)})
    # One row a group: the two variances are told apart by the weights alone.
    weights = 1.0 + 1e-2 * rng.normal(size=60)
    model = MixedLinearRegressor("g")
    with pytest.warns(IdentifiabilityWarning):
        model.fit(frame, rng.normal(size=60), sample_weight=weights)
    found = convergence(model)
    assert not found.is_determined
    assert "hardly determined" in str(found)


def test_least_squares_has_nothing_to_search():
    rng = np.random.default_rng(0)
    found = convergence(MixedLinearRegressor().fit(rng.normal(size=(20, 2)), rng.normal(size=20)))
    assert found.is_optimum
    assert not len(found.boundary)


@pytest.mark.parametrize("seed", range(12))
def test_a_flat_criterion_ends_the_search(seed):
    """Where rounding leaves no information, steps would go anywhere."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"g": np.arange(60)})
    weights = 1.0 + 1e-2 * rng.normal(size=60)
    with warnings.catch_warnings():
        # Whether the search ends as converged depends on rounding.
        warnings.simplefilter("ignore")
        model = MixedLinearRegressor("g").fit(frame, rng.normal(size=60), sample_weight=weights)
    assert model.n_iter_ < 200
    # From θ = 1e6 on, θ² dwarfs the residual beyond double precision.
    assert np.all(model.theta_ < 1e6)


def counts(*, slope_sd):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=300), "g": rng.integers(0, 15, 300)})
    effects = rng.normal(size=(2, 15))[:, frame["g"]]
    eta = 0.3 + 0.5 * effects[0] + (0.4 + slope_sd * effects[1]) * frame["x"]
    return frame, rng.poisson(np.exp(eta))


@pytest.mark.parametrize("quadrature", [1, 7])
def test_a_generalized_fit_ends_at_an_optimum(quadrature):
    frame, y = counts(slope_sd=0.3)
    model = MixedPoissonRegressor("g", random_slopes="x", quadrature=quadrature).fit(frame, y)
    found = convergence(model)
    assert found.is_optimum
    assert found.is_determined
    assert found.expected_gain < 1e-9  # a Newton step gains nothing but rounding
    assert len(found.eigenvalues) == 3 + 2
    assert found.elsewhere < 1e-7


def test_a_generalized_search_that_stops_early_is_told():
    frame, y = counts(slope_sd=0.3)
    early = MixedPoissonRegressor("g", random_slopes="x", max_iter=1)
    with pytest.warns(ConvergenceWarning):
        early.fit(frame, y)
    assert not convergence(early).is_optimum


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_the_slope_off_the_boundary_by_quadrature_is_about_that_by_laplace():
    frame, y = counts(slope_sd=0.0)
    slopes = []
    for quadrature in (1, 9):
        model = MixedPoissonRegressor("g", random_slopes="x", quadrature=quadrature)
        found = convergence(model.fit(frame, y))
        assert found.is_optimum
        assert found.boundary["rank"].tolist() == [1]
        slopes.append(found.boundary["slope"][0])
        components = singularity(model)
        assert components["is_zero"].tolist() == [False, True]
    # Laplace's error in the second derivatives is some percent here; tests/_generalized has
    # both slopes against differences.
    assert slopes[0] > 0
    assert slopes[1] == pytest.approx(slopes[0], rel=0.05)


def test_components_of_one_random_intercept_are_its_standard_deviation():
    *_, model = epil_model()
    found = singularity(model)
    assert found["sd"].tolist() == pytest.approx([model.theta_[0]], rel=1e-12)
    assert found["share"].tolist() == [1.0]


def test_a_generalized_model_without_groups_has_an_optimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 1))
    model = MixedLogisticClassifier().fit(x, rng.random(80) < 1 / (1 + np.exp(-x[:, 0])))
    found = convergence(model)
    assert found.is_optimum
    assert len(found.eigenvalues) == 2
    assert singularity(model).empty
