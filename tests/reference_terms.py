"""The tables of lmerTest (tests/reference/anova/tables.json), and the models that they are of."""

import json
import warnings
from functools import cache

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from reference_fits import ROOT, load, read_frame

from skmixed import lmer
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning

RECORDED = json.loads((ROOT / "anova" / "tables.json").read_text())["models"]


def frame_of(record):
    """The rows, with the categories in R's order."""
    frame = read_frame(record["data"]).copy()
    for column in load(record["data"])["columns"]:
        if column.get("levels"):
            frame[column["name"]] = pd.Categorical(frame[column["name"]], column["levels"])
    for name in record["factors"]:
        frame[name] = pd.Categorical(frame[name])
    return frame.drop(index=[k - 1 for k in record["left_out"]])


@cache
def fitted(model):
    """The model of a record by its formula; R's polynomials are no other model."""
    record = RECORDED[model]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", RankDeficiencyWarning)
        return lmer(
            record["formula"],
            frame_of(record),
            REML=record["reml"],
            weights=record.get("weights"),
        )


def in_order(table, terms):
    """The rows of the terms, whatever the order of the factors in their names."""
    names = {frozenset(name.split(":")): name for name in table.index}
    return table.loc[[names[frozenset(term.split(":"))] for term in terms]]


def numbers(recorded, name):
    """One column, NaN where R has none."""
    return np.array(recorded[name], dtype=float)


def assert_is_table(found, recorded, sigma):
    """Compare a table of F tests with lmerTest's."""
    assert list(found["df_num"]) == list(recorded["df_num"])
    # A search ends within the rounding of the criterion, some 1e-12, which leaves 1e-6 of a
    # standard error in θ: 1e-7 in a t, and so 1e-8 in an F near 0.
    near = {"rtol": 2e-6, "atol": 1e-8}
    assert_allclose(found["F"], numbers(recorded, "F"), **near)
    for name in ("sum_sq", "mean_sq"):
        assert_allclose(found[name] / sigma**2, numbers(recorded, name) / sigma**2, **near)
    assert_allclose(found["df_den"], numbers(recorded, "df_den"), rtol=2e-6)
    assert_allclose(found["p_value"], numbers(recorded, "p_value"), rtol=0, atol=1e-6)
