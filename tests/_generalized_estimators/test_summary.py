import pickle

import numpy as np
import pytest
from generalized_models import cbpp_model, epil_model
from numpy.testing import assert_allclose, assert_array_equal

from skmixed import MixedLogisticClassifier
from skmixed.inference import coefficient_table


@pytest.mark.parametrize("own", [epil_model, cbpp_model])
def test_the_summary_shows_the_fit(own):
    *_, model = own()
    shown = model.summary()
    table = coefficient_table(model)
    assert list(shown.fixed.columns) == ["Estimate", "Std. Error", "z value", "Pr(>|z|)"]
    assert_allclose(shown.fixed, table[["estimate", "std_error", "z", "p_value"]])
    text = str(shown)
    for part in (f"logLik: {model.log_likelihood_:.4f}", "(Laplace)", "Wald z tests"):
        assert part in text
    assert "residual" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert "Pr(&gt;|z|)" in shown._repr_html_()


def test_models_without_groups_and_separated_classes_have_summaries():
    X = np.array([[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]])
    text = str(MixedLogisticClassifier().fit(X, [0, 1, 0, 1, 0, 1]).summary())
    assert text.startswith("Generalized linear model fitted by maximum likelihood\nSamples: 6")
    with pytest.warns(Warning, match="no finite coefficient"):
        separated = MixedLogisticClassifier().fit(X, [0, 0, 0, 1, 1, 1])
    assert "no finite coefficient" in " ".join(separated.summary().notes)


def test_a_saved_model_has_its_rows_and_a_slim_one_has_none():
    X, _, model = epil_model()
    loaded = pickle.loads(pickle.dumps(model))
    assert_array_equal(coefficient_table(loaded), coefficient_table(model))
    found = loaded._model.generalized.found
    assert_allclose(found.mode.value, model.criterion_, rtol=1e-13)
    # At an optimum beside the curvature, of the order of 1
    assert np.abs(found.gradient).max() < 1e-5
    slim = model.slim()
    assert_array_equal(slim.predict(X), model.predict(X))
    assert len(pickle.dumps(slim)) < len(pickle.dumps(model))
    assert_array_equal(slim.summary().fixed, model.summary().fixed)
    with pytest.raises(ValueError, match="slim copy"):
        coefficient_table(slim)
