import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmixed._generalized.system import working
from skmixed._model.family import FAMILIES


@pytest.mark.parametrize("family", FAMILIES.values(), ids=map(str, FAMILIES))
@pytest.mark.parametrize("eta", [-800.0, -40.0, 0.3, 40.0, 800.0])
def test_working_residuals_and_weights_are_finite_and_give_the_slope(family, eta):
    y = np.array([0.0, 0.4, 1.0] if family.of_trials else [1e-3, 1.0, 7.0])
    residual, weight = working(family, y, np.full(3, eta), 0.5)
    slope = family.derivatives(y, np.full(3, eta), 0.5, 1)[1]
    assert np.isfinite(residual).all()
    assert (weight > 0.0).all()
    assert np.isfinite(weight * residual**2).all()
    # The product is what the equations take; of slopes that are 0 it is 0
    near = np.abs(slope) < 1e200
    assert_allclose((weight * residual)[near], -slope[near], rtol=1e-8, atol=1e-280)
