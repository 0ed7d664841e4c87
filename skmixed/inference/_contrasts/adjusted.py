"""Tests and intervals of comparisons that are adjusted within their families, and in words."""

import numpy as np
import pandas as pd

from skmixed.inference._contrasts.adjustment import NONE, Adjustment, FamilyOfTests
from skmixed.inference._contrasts.request import Compared


def adjusted_statistics(
    found: Compared, adjustment: Adjustment | None, seed: np.random.SeedSequence
) -> pd.DataFrame:
    """Return the statistics of comparisons, with p values and intervals adjusted in families."""
    table = found.estimates.statistics
    t = table["t"].where(table["std_error"] > 0).to_numpy()
    df = table["df"].to_numpy()
    ends = np.cumsum(found.sizes)
    parts = []
    for end, size, n_cells in zip(ends, found.sizes, found.n_cells, strict=True):
        own = slice(end - size, end)
        family = FamilyOfTests(t[own], df[own], found.estimates.correlation(own), n_cells, seed)
        parts.append((adjustment or NONE).of(family, found.estimates.level))
    p, half = (np.concatenate(part) for part in zip(*parts, strict=True))
    half = half * table["std_error"].to_numpy()
    lower, upper = table["estimate"] - half, table["estimate"] + half
    return table.assign(t=t, p_value=p, lower=lower, upper=upper)


def adjustment_remark(found: Compared, adjustment: Adjustment | None) -> str:
    """Return what is said of an adjustment; nothing where there is nothing to adjust."""
    n = max(found.sizes)
    if n == 1 and (adjustment is None or not adjustment.of_one):
        return ""
    several = "1 comparison" if n == 1 else f"{n} comparisons"
    within = f" in each {' and '.join(found.estimates.by)}" if len(found.sizes) > 1 else ""
    if adjustment is None:
        return f"P values and intervals are not adjusted for {several}{within}."
    of = f"comparing {max(found.n_cells)} {found.noun}" if adjustment.counts_cells else several
    how = f"by {adjustment.method} for {of}{within}"
    if adjustment.steps is None:
        return f"P values and intervals are adjusted {how}."
    return f"P values are adjusted {how}, intervals by Bonferroni's method."
