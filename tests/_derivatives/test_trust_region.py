"""Steps of the search where rounding must not choose the way."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmixed._derivatives.trust_region import Point


@pytest.mark.parametrize("seed", range(5))
def test_of_equal_curvatures_all_coordinates_grow_alike(seed):
    """Two variances are 0 and are to grow: by any rounding the step is the same."""
    rng = np.random.default_rng(seed)
    metric = np.diag([4.0, 0.25, 9.0])
    hessian = metric * np.array([-1.0, -1.0, 1.0])
    rounding = 1e-16 * rng.normal(size=(3, 3))
    point = Point(SimpleNamespace(), 0.0, np.zeros(3), hessian + rounding + rounding.T, metric)
    step, length, is_interior = point.step(1.0)
    assert not is_interior
    assert length == pytest.approx(1.0)
    assert_allclose(np.abs(step), [0.5 / np.sqrt(2.0), 2.0 / np.sqrt(2.0), 0.0], atol=1e-8)
