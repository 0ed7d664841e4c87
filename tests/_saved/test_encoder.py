"""Columns and labels that are none are refused where they are read."""

import numpy as np
import pytest
from hostile import put, reloaded
from saved_models import MODELS

SUBJECTS = ("model", "encoder", "subjects")


def test_a_grouping_factor_without_effects():
    # Both factors have 10 levels, so that all else fits.
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(MODELS["crossed"](), ("model", "encoder", "terms", 0, "factor"), lambda _: 1)


@pytest.mark.parametrize("role", ["subject", "time"])
def test_subjects_that_are_no_columns(role):
    path = (*SUBJECTS, role, "sources", 0, "position")
    with pytest.raises(ValueError, match="The saved model is damaged"):
        reloaded(MODELS["ar1"](), path, lambda _: None)


@pytest.mark.parametrize("classes", [None, True, ["no", "yes"], np.array(["no"]), np.zeros((2, 1))])
def test_classes_that_are_not_two(classes):
    model = MODELS["logistic"]()
    other = type(model).__new__(type(model))
    with pytest.raises(ValueError, match="The saved model is damaged"):
        other.__setstate__(put(model.__getstate__(), ("classes_",), classes))
