"""What rows of subjects must be beside those of a fit."""

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, ResidualCovariance


@pytest.fixture(scope="module")
def opposed():
    """Two rows of each subject, with errors of opposite signs."""
    rng = np.random.default_rng(0)
    subject, first = np.repeat(np.arange(40), 2), rng.normal(size=40)
    X = pd.DataFrame({"x": rng.normal(size=80), "subject": subject, "time": np.arange(80) % 2})
    error = np.stack([first, -first], axis=1).ravel() + 0.3 * rng.normal(size=80)
    return X.assign(group=subject % 8), X["x"] + error + rng.normal(size=8)[subject % 8]


@pytest.mark.parametrize("time", [None, "time"])
def test_a_negative_correlation_is_of_so_many_rows(opposed, time):
    X, y = opposed
    residual = ResidualCovariance("compound_symmetry", subject="subject", time=time)
    model = MixedLinearRegressor("group", fixed=["x"], residual=residual).fit(X, y)
    assert model.variance_components_["corr"].iloc[-1] < -0.5
    third = X[:1].assign(time=7)
    message = "Subject 0 of 'subject' would have 3 rows, .* possible among 2 rows at most"
    for use in (model.predict, model.predict_interval, lambda X: model.update_groups(X, y[:1])):
        with pytest.raises(ValueError, match=message):
            use(third)
    fixed = model.predict(third, include="fixed")
    np.testing.assert_array_equal(model.predict(X[:1], include="fixed"), fixed)
    new = third.assign(subject=999)
    assert np.isfinite(model.predict_interval(new)).all()
    # A subject with one row so far may have another
    part = MixedLinearRegressor("group", fixed=["x"], residual=residual).fit(X[1:], y[1:])
    updated = part.predict(X[:1])
    assert np.isfinite(updated).all()
    assert part.update_groups(X[:1], y[:1])._model.n_rows == 80
