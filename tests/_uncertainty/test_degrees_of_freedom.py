"""What holds for every method for degrees of freedom."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from skmixed import lmer
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.inference import anova, contrast

# "between-within" needs subjects: tests/_repeated/test_robust.py.
each_method = pytest.mark.parametrize(
    "ddf", [own.name for own in DDF.values() if not own.of_subjects]
)


def frame(gap):
    """Two columns that agree to `gap`, and their difference in units of it."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 8)
    x, d = rng.normal(size=(2, 96))
    y = 0.5 * x + 0.3 * d + rng.normal(size=12)[g] + rng.normal(size=96)
    # The difference as it is in the columns, after their rounding.
    other = x + gap * d
    return pd.DataFrame({"y": y, "x": x, "other": other, "d": (other - x) / gap, "g": g})


def test_they_have_names_of_their_own():
    assert all(name == method.name for name, method in DDF.items())
    assert len({method.sentence for method in DDF.values()}) == len(DDF)


@each_method
def test_a_method_has_a_sample_or_one_number_for_all(ddf):
    method = DDF[ddf]
    assert (method.sample is None) == (method.joint is None) == (method.of_residual is not None)


@each_method
@pytest.mark.parametrize("kind", [1, 3])
def test_nearly_dependent_columns_keep_their_digits(ddf, kind):
    """`x`, `other` and `x`, `d` span the same columns: d is tested after x in both."""
    data = frame(5e-9)
    near = lmer("y ~ x + other + (1 | g)", data)
    far = lmer("y ~ x + d + (1 | g)", data)
    found, expected = (anova(model, ddf=ddf, type=kind) for model in (near, far))
    # Eight digits are lost once, to β of 1e8 or to L of them; not twice, to their squares.
    assert_allclose(found.loc["other"], expected.loc["d"], rtol=1e-6)
    if kind == 1:
        assert_allclose(found.loc["x"], expected.loc["x"], rtol=1e-6)


@each_method
def test_a_contrast_of_nearly_dependent_columns(ddf):
    data = frame(5e-9)
    near = contrast(lmer("y ~ x + other + (1 | g)", data), [[0, 1, 1]], ddf=ddf)
    far = contrast(lmer("y ~ x + d + (1 | g)", data), [[0, 1, 0]], ddf=ddf)
    # β_x + β_other of the one is β_x of the other, to cancellation of 1e8.
    assert_allclose(near, far, rtol=1e-6)
