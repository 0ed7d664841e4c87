"""Coefficients of each group: R's coef, and what predictions are made of."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import INTERCEPT, references
from sklearn.pipeline import make_pipeline

from skmixed import MixedLinearRegressor, MixedPoissonRegressor, lmer
from skmixed.datasets import load_machines, load_sleepstudy
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning
from skmixed.inference import coefficients_by_group
from skmixed.inference._tables.table import ResultTable

SLEEP = load_sleepstudy().frame
ALL = [r for single in (True, False) for r in references(single_factor=single)]


@pytest.mark.parametrize("reference", [r for r in ALL if r.method == "reml"], ids=str)
def test_fixed_and_random_effects_of_lme4(reference):
    """As R has it: fixef and ranef, added by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        found = coefficients_by_group(reference.fitted())
    fixed = dict(
        zip(reference.fit["fixef"]["names"], reference.fit["fixef"]["values"], strict=True)
    )
    assert len(found) == len(reference.fit["ranef"])
    for own in reference.fit["ranef"]:
        table = found[own["group"]]
        labels = [tuple(x.split(":")) if ":" in own["group"] else x for x in own["levels"]]
        effects = pd.DataFrame(own["values"], labels, own["columns"])
        for name in table.columns:
            expected = fixed.get(name, 0.0) + effects.get(name, 0.0)
            # Estimates at the ends of two searches, in units of the response
            values = table[name].loc[labels].to_numpy()
            assert_allclose(values, np.broadcast_to(expected, len(table)), rtol=1e-4, atol=1e-4)


def test_predictions_of_one_factor_are_made_of_them():
    model = lmer("Reaction ~ Days + (Days | Subject)", SLEEP)
    table = coefficients_by_group(make_pipeline(model))["Subject"]
    own = table.loc[SLEEP["Subject"]]
    expected = own[INTERCEPT].to_numpy() + own["Days"].to_numpy() * SLEEP["Days"]
    assert_allclose(model.predict(SLEEP), expected, rtol=1e-12)


def test_slopes_without_a_fixed_effect_come_last():
    model = lmer("Reaction ~ 1 + (0 + Days | Subject)", SLEEP)
    table = coefficients_by_group(model)["Subject"]
    assert list(table) == [INTERCEPT, "Days"]
    assert (table[INTERCEPT] == model.fixed_effects_[INTERCEPT]).all()
    assert_allclose(table["Days"], model.random_effects_["Subject"]["Days"])
    machines = load_machines().frame
    cells = lmer("score ~ Machine + (0 + Machine | Worker)", machines)
    names = ["Machine[A]", "Machine[B]", "Machine[C]"]
    assert list(coefficients_by_group(cells)["Worker"]) == [*cells.fixed_effects_.index, *names]


def test_several_factors_and_interactions():
    machines = load_machines().frame
    model = lmer("score ~ 1 + (1 | Worker) + (1 | Worker:Machine)", machines)
    found = coefficients_by_group(model)
    assert list(found) == ["Worker", "Worker:Machine"]
    assert all(isinstance(own, ResultTable) for own in found.values())
    assert found["Worker"].title == "Coefficients by Worker: fixed and random effects"
    index = model.random_effects_["Worker:Machine"].index
    pd.testing.assert_index_equal(found["Worker:Machine"].index, index)


def test_other_kinds_of_models():
    X, y = SLEEP[["Days", "Subject"]], SLEEP["Reaction"]
    with pytest.raises(ValueError, match="has no random effects, so that fixed_effects_ has"):
        coefficients_by_group(MixedLinearRegressor(fixed=["Days"]).fit(X, y))
    model = MixedLinearRegressor("Subject").fit(X, y)
    before = coefficients_by_group(model)["Subject"]
    pd.testing.assert_frame_equal(coefficients_by_group(model.slim())["Subject"], before)
    counts = MixedPoissonRegressor("Subject").fit(X, y.round())
    table = coefficients_by_group(counts)["Subject"]
    eta = table.loc[X["Subject"], INTERCEPT].to_numpy() + counts.coef_[0] * X["Days"]
    assert_allclose(np.exp(eta), counts.predict(X, effects="mode"), rtol=1e-9)
    with pytest.raises(TypeError, match="model is of type list"):
        coefficients_by_group([model])
