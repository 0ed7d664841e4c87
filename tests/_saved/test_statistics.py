"""Sums of products that are none of the rows are refused where they are read."""

import numpy as np
import pytest
from hostile import reloaded
from saved_models import MODELS


@pytest.mark.parametrize("value", [1e308, -1e308])
def test_weights_beyond_all_numbers(value):
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(MODELS["weighted"](), ("model", "products", "sum_log_weights"), lambda _: value)


@pytest.mark.parametrize("value", [1e308, -1e200, 1e151, np.nan])
@pytest.mark.parametrize("where", ["total", "unweighted", "center"])
def test_sums_of_no_fit(where, value):
    def changed(own):
        own = own.copy()
        own.flat[-1] = value
        return own

    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(MODELS["weighted"](), ("model", "products", where), changed)
