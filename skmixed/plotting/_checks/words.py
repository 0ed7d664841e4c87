"""What the checks of a model say in words: how its fit ended, and what the panels cannot show."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel, regressor_of
from skmixed.diagnostics._family_rows import open_family_rows
from skmixed.diagnostics._overdispersion import dispersion_of
from skmixed.inference import singularity
from skmixed.plotting._checks.panels import MODERATE

# More terms are counted.
FEW = 5


def sentences(
    model: Any, view: FittedModel, inflation: pd.DataFrame | None, rows: dict[str, Any]
) -> tuple[str, ...]:
    """Return what is to say of a fit, a sentence each.

    `rows`: X, y, sample_weight, groups and exposure, as the user gave them.
    """
    found = [_ending(model), *_singular(model, view)]
    if inflation is not None:
        found += _collinear(inflation)
    if view.is_generalized:
        found += _dispersed(model, rows)
    return tuple(found)


def _ending(model: Any) -> str:
    if regressor_of(model).converged_:
        return "The search for the estimates converged."
    return "The search did not converge: the estimates are not those of an optimum."


def _singular(model: Any, view: FittedModel) -> list[str]:
    """Name the random effects that have no variance in some direction."""
    if not view.encoder.terms:
        return []
    table = singularity(model)
    zero = table[table["is_zero"]]
    if not len(zero):
        return ["No variance of random effects is 0, and no correlation is 1 or −1."]
    groups = ", ".join(f"'{group}'" for group in dict.fromkeys(zero["group"]))
    return [
        f"The fit is singular: some combination of the random effects of {groups} has an "
        "estimated variance of 0. See skmixed.inference.singularity."
    ]


def _collinear(inflation: pd.DataFrame) -> list[str]:
    high = inflation.index[inflation["error_factor"] ** 2 > MODERATE]
    if not len(high):
        return []
    named = ", ".join(f"'{name}'" for name in high[:FEW])
    more = f" and {len(high) - FEW} more" if len(high) > FEW else ""
    return [
        f"Collinear: the standard errors of {named}{more} are more than √5 times what they would "
        "be without the other terms."
    ]


def _dispersed(model: Any, rows: dict[str, Any]) -> list[str]:
    """Say whether counts and proportions vary more than their distribution, where that shows."""
    found = dispersion_of(open_family_rows(model, **rows))
    if found is None:
        return []
    ratio, p = float(found["ratio"]), float(found["p_value"])
    if not np.isfinite(p):  # no degrees of freedom are left
        return []
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}"
    return [
        f"The squares of the Pearson residuals are {ratio:.2f} times what the distribution says "
        f"(test of overdispersion: p {shown})."
    ]
