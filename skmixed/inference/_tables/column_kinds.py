"""What the columns of results are, by name: the one list of all tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from pandas.api import types

LABEL = "label"


@dataclass(frozen=True)
class ColumnKind:
    """What a column holds, and what a paper calls it.

    Attributes
    ----------
    kind : str
        A name in `FORMATS`, or "label" of words.
    heading : str
        Of tables that are exported.
    is_symbol : bool
        Whether that is a letter of mathematics, in italics.
    """

    kind: str
    heading: str
    is_symbol: bool = False


COLUMN_KINDS = {
    "group": ColumnKind(LABEL, "Group"),
    "level": ColumnKind(LABEL, "Level"),
    "name": ColumnKind(LABEL, "Name"),
    "term": ColumnKind(LABEL, "Term"),
    "component": ColumnKind(LABEL, "Component"),
    "contrast": ColumnKind(LABEL, "Contrast"),
    "model": ColumnKind(LABEL, "Model"),
    "method": ColumnKind(LABEL, "Method"),
    "reference": ColumnKind(LABEL, "Reference"),
    "estimate": ColumnKind("estimate", "Estimate"),
    "mean": ColumnKind("estimate", "Mean"),
    "slope": ColumnKind("estimate", "Slope"),
    "difference": ColumnKind("estimate", "Difference"),
    "effect_size": ColumnKind("estimate", "Effect size"),
    "ratio": ColumnKind("estimate", "Ratio"),
    "odds_ratio": ColumnKind("estimate", "Odds ratio"),
    "rate_ratio": ColumnKind("estimate", "Rate ratio"),
    "probability": ColumnKind("estimate", "Probability"),
    "rate": ColumnKind("estimate", "Rate"),
    "lower": ColumnKind("estimate", "Lower"),
    "upper": ColumnKind("estimate", "Upper"),
    "std_error": ColumnKind("error", "SE"),
    "df": ColumnKind("df", "df"),
    "df_held": ColumnKind("df", "df, θ held"),
    "df_num": ColumnKind("df", "Num. df"),
    "df_den": ColumnKind("df", "Den. df"),
    "t": ColumnKind("statistic", "t", is_symbol=True),
    "z": ColumnKind("statistic", "z", is_symbol=True),
    "F": ColumnKind("statistic", "F", is_symbol=True),
    "chi2": ColumnKind("statistic", "χ²", is_symbol=True),
    "statistic": ColumnKind("statistic", "Statistic"),
    "zeta": ColumnKind("statistic", "ζ", is_symbol=True),
    "p_value": ColumnKind("p_value", "p", is_symbol=True),
    "n": ColumnKind("count", "n", is_symbol=True),
    "n_rows": ColumnKind("count", "Rows"),
    "n_samples": ColumnKind("count", "Samples"),
    "n_groups": ColumnKind("count", "Groups"),
    "n_parameters": ColumnKind("count", "Parameters"),
    "npar": ColumnKind("count", "Parameters"),
    "log_likelihood": ColumnKind("statistic", "Log-likelihood"),
    "criterion": ColumnKind("statistic", "Criterion"),
    "deviance": ColumnKind("statistic", "Deviance"),
    "aic": ColumnKind("statistic", "AIC"),
    "bic": ColumnKind("statistic", "BIC"),
    "caic": ColumnKind("statistic", "cAIC"),
    "delta_aic": ColumnKind("statistic", "ΔAIC"),
    "delta_bic": ColumnKind("statistic", "ΔBIC"),
    "weight": ColumnKind("share", "Weight"),
    "share": ColumnKind("share", "Share"),
    "cumulative": ColumnKind("share", "Cumulative"),
    "score": ColumnKind("estimate", "Score"),
    "standard_error": ColumnKind("error", "SE"),
    "rank": ColumnKind("count", "Rank"),
    "pairs": ColumnKind("count", "Pairs"),
    "correlation": ColumnKind("correlation", "Correlation"),
    "corr": ColumnKind("correlation", "Correlation"),
    "variance": ColumnKind("number", "Variance"),
    "sd": ColumnKind("number", "SD"),
    "sum_sq": ColumnKind("number", "Sum of squares"),
    "mean_sq": ColumnKind("number", "Mean square"),
}


def kind_of(name: object, values: pd.Series, own: Mapping[object, str]) -> ColumnKind:
    """Return the kind of a column: what a table says itself, by name, or by its values."""
    if name in own:
        kind = ColumnKind(own[name], str(name))
    else:
        kind = COLUMN_KINDS.get(str(name), ColumnKind("number", heading_of(name)))
    is_number = types.is_numeric_dtype(values.dtype) and not types.is_bool_dtype(values.dtype)
    return kind if is_number else ColumnKind(LABEL, kind.heading)


def heading_of(name: object) -> str:
    """Return the heading of a column without an entry."""
    if isinstance(name, tuple):
        return " ".join(str(part) for part in name if part != "")
    return str(name)
