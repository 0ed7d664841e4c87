"""What R makes of formulas (tests/reference/formulas), and what this package makes of them."""

import json
from functools import cache

import numpy as np
import pandas as pd
from reference_fits import ROOT, read_frame

from skmixed.formula._columns import NamedRows
from skmixed.formula._model_frame import Reading

FORMULAS = ROOT / "formulas"


@cache
def recorded(name):
    return json.loads((FORMULAS / f"{name}.json").read_text("utf-8"))


def bases(*functions):
    """Return the recorded columns of the functions named."""
    found = [own for own in recorded("bases")["bases"] if own["code"].split("(")[0] in functions]
    assert len(found) >= 20
    return found


def learned(code, x):
    """Return what a function of x has learned, as a function of new values."""
    rows = NamedRows.of(pd.DataFrame({"x": x}))
    frame = Reading.of(f"~ 0 + {code}", rows, None).learn(rows, with_response=False)

    def columns(new):
        return frame.columns(NamedRows.of(pd.DataFrame({"x": new})), [])

    return columns


def columns_of(code, x, new=None):
    """Return the columns that a function makes of x, or after that of new values."""
    return learned(code, x)(x if new is None else new).to_numpy(float)


def data_of(model):
    """Return the data of a recorded model, with its ordered factors."""
    if model["data"] == "words":
        return pd.DataFrame(recorded("models")["words"])
    frame = read_frame(model["data"]).copy()
    if "temperature" in frame:
        frame["temperature"] = pd.Categorical(frame["temperature"], ordered=True)
    return frame


def error_of(found, expected):
    """Return the largest difference, as a share of the largest number, which is at least 1."""
    expected = np.asarray(expected, dtype=float)
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1.0)
