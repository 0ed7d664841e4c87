"""The variance of y in parts: fixed effects, grouping factors, residual."""

import numpy as np
import pandas as pd

from skmixed._crossprod import sum_of_rows
from skmixed._fitted import Fitted


def variances(parts: Fitted) -> pd.Series:
    """Variances of the fixed effects, of each factor, and of the residual."""
    names = ["fixed", *(factor.name for factor in parts.encoder.factors), "residual"]
    residual = parts.solution.sigma**2
    return pd.Series([_of_fixed(parts), *_of_factors(parts), residual], index=names)


def _of_fixed(parts: Fitted) -> float:
    """Sample variance of Xβ̂ over the rows."""
    n, sums = parts.stats.n_rows, sum_of_rows(parts.stats)
    slopes = [k for k, column in enumerate(parts.model.fixed) if column]
    beta = np.zeros(len(sums))
    beta[[parts.model.fixed[k] for k in slopes]] = parts.solution.fixed[slopes]
    beta = parts.stats.frame.coefficients(beta)
    squares = float(beta @ sums @ beta) - float(sums[0] @ beta) ** 2 / n
    return max(squares, 0.0) / max(n - 1, 1)


def _of_factors(parts: Fitted) -> list[float]:
    """Mean of z'Σz over the rows, by grouping factor."""
    sums, center = sum_of_rows(parts.stats), parts.stats.center
    found = [0.0] * len(parts.encoder.factors)
    for term, estimate in zip(parts.model.terms, parts.solution.terms, strict=True):
        columns = list(term.columns)
        factor = parts.solution.sigma * estimate.lam
        # In the columns (1, x − center): x'b = (x − center)'b + center'b.
        centered = np.zeros((len(center), len(columns)))
        centered[columns] = factor
        centered[0] += center[columns] @ factor
        centered = parts.stats.frame.coefficients(centered)
        squares = float(np.sum(centered * (sums @ centered)))
        found[term.factor] += max(squares, 0.0) / parts.stats.n_rows
    return found


def shares(parts: pd.Series) -> pd.Series:
    """Shares of the sum; of nothing, nothing."""
    total = parts.sum()
    return parts / total if total > 0 else parts * 0.0


def icc_of(parts: pd.Series, *, adjusted: bool) -> pd.Series:
    """Return the grouping factors' shares, of the variance given the fixed effects or of all."""
    own = shares(parts.iloc[int(adjusted) :]).iloc[int(not adjusted) : -1]
    if len(own) > 1:
        own = pd.concat([own, pd.Series({"total": own.sum()})])
    return own.rename("icc")


def r2_of(parts: pd.Series) -> pd.Series:
    """Return the shares of the fixed effects, and of fixed and random effects."""
    own = shares(parts).to_numpy()
    return pd.Series({"marginal": own[0], "conditional": own[:-1].sum()}, name="r2")
