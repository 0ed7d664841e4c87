"""Models whose marginal means R's emmeans has found: their rows, their fits, and the tables."""

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from skmixed import ResidualCovariance, glmer, lmer
from skmixed.exceptions import RankDeficiencyWarning

FOLDER = Path(__file__).parent / "reference"
MODELS = {
    own["id"]: own for own in json.loads((FOLDER / "emmeans/emmeans.json").read_text())["models"]
}


def rows_of(own):
    """The rows of a model, as its script has them."""
    data = pd.read_csv(FOLDER / own["data"], dtype=dict.fromkeys(own["factors"], str))
    number = np.arange(1, len(data) + 1)
    if own["drop"]:
        data = data[number % own["drop"] != 0]
    for cell in own["empty"] or []:
        data = data[~np.all([data[name] == level for name, level in cell.items()], axis=0)]
    if own.get("within"):
        name, factor, of, size = (own["within"][key] for key in ("name", "factor", "of", "size"))
        number = ((data[of].astype(int) - 1) // size).astype(str)
        data = data.assign(**{name: data[factor] + number})
    for name, values in (own["cycle"] or {}).items():
        data = data.assign(**{name: np.resize(values, len(data))})
    used = [name for name in data.columns if name in own["formula"]]
    return data.dropna(subset=used).reset_index(drop=True)


@cache
def fitted(name):
    """A model, fitted."""
    own = MODELS[name]
    data, residual = rows_of(own), own["correlation"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)  # of empty cells
        if own["family"]:
            return glmer(own["formula"], data, own["family"])
        if residual:
            residual = ResidualCovariance(
                residual["structure"], subject=residual["subject"], time=residual["time"]
            )
        return lmer(own["formula"], data, weights=own["weights"], residual=residual or None)


def columns_of(table):
    """The columns of a table of R; NaN of what is missing, and of infinite degrees of freedom."""
    return {name: pd.Series(values).to_numpy() for name, values in table.items()}
