import warnings

import numpy as np
import pandas as pd
import pytest
from reference_fits import Reference
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor
from skmixed.exceptions import IdentifiabilityWarning, SingularFitWarning
from skmixed.inference import convergence


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
