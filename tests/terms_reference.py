"""Models of nested and incomplete terms whose means and joint tests R's emmeans has found."""

import json
import warnings
from functools import cache
from pathlib import Path

import pandas as pd

from skmixed import lmer
from skmixed.exceptions import RankDeficiencyWarning, SingularFitWarning

RECORDED = json.loads(
    (Path(__file__).parent / "reference/emmeans/terms.json").read_text(encoding="utf-8")
)
CASES = {own["formula"]: own for own in RECORDED["cases"]}


@cache
def fitted(formula):
    """A model, fitted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RankDeficiencyWarning)  # of levels that are nested
        warnings.simplefilter("ignore", SingularFitWarning)
        return lmer(formula, pd.DataFrame(RECORDED["data"][CASES[formula]["data"]]))
