"""What is said of variances: deviations, correlations, shares, and the end of the search."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.results import variance_components
from skmixed._model.terms import Term
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus
from skmixed.inference._report.wording import listed, name_of, symbol
from skmixed.inference._tables.number_formats import (
    FORMATS,
    Precision,
    exponents,
    with_decimals,
)
from skmixed.inference._variance import icc_of, r2_of, variances

# Digits of the largest standard deviation, and at least of the smallest.
LARGEST_DIGITS, SMALLEST_DIGITS = 4, 2
# More effects of a group are counted.
MOST_EFFECTS = 6
ENDS = {
    FitStatus.EXACT_FIT: "The model reproduces the response exactly.",
    FitStatus.SEPARATED: "Some coefficients have no finite estimates.",
    FitStatus.MAX_ITER: (
        "The search for the estimates was stopped before it converged, so that they are not final."
    ),
}


def variance_results(view: FittedModel, precision: Precision) -> list[str]:
    """Return the sentences on standard deviations, shares of the variance and the fit's end."""
    return [*_deviations(view, precision), *_shares(view, precision), *_end(view)]


def _deviations(view: FittedModel, precision: Precision) -> list[str]:
    """Return the standard deviations and correlations of all effects and of the residuals."""
    frame = variance_components(view.encoder, view.solution)
    shown = _sizes(frame["sd"].to_numpy(dtype=float), precision)
    parts, start = [], 0
    for term in view.encoder.terms:
        rows = slice(start, start + len(term.columns))
        start = rows.stop
        parts.append(_of_term(term, frame[rows], shown[rows], precision))
    parts += _of_residuals(frame[start:], shown[start:], precision)
    what = "The standard deviation was" if len(frame) == 1 else "The standard deviations were"
    sentences = [f"{what} {'; '.join(parts)}."] if parts else []
    own = view.solution.family
    if own is not None and own.has_shape:
        sentences.append(f"The shape was {_sizes(np.exp([own.phi]), precision)[0]}.")
    return sentences


def _sizes(values: FloatArray, precision: Precision) -> list[str]:
    """Write standard deviations with common decimals."""
    if precision.digits is not None:
        return [with_decimals(v, precision.digits) for v in values]
    own = exponents(values[np.isfinite(values) & (values > 0)])
    if not len(own):
        return [with_decimals(v, LARGEST_DIGITS - 1) for v in values]
    decimals = max(LARGEST_DIGITS - 1 - own.max(), SMALLEST_DIGITS - 1 - own.min(), 0)
    return [with_decimals(v, int(decimals)) for v in values]


def _of_term(term: Term, frame: pd.DataFrame, shown: Sequence[str], precision: Precision) -> str:
    """Return what is said of the effects of one term."""
    roles = [_role(k, name) for k, name in zip(term.columns, frame["name"], strict=True)]
    if len(roles) > MOST_EFFECTS:
        said = f"{_range(shown)} for {len(roles)} effects"
    else:
        said = listed([f"{sd} for {role}" for sd, role in zip(shown, roles, strict=True)])
    return f"{said} by {name_of(frame['group'].iloc[0])}{_correlations(frame, precision)}"


def _role(column: int, name: str) -> str:
    """Return what the effects of a column are."""
    return f"slopes of {name_of(name)}" if column else "intercepts"


def _of_residuals(frame: pd.DataFrame, shown: Sequence[str], precision: Precision) -> list[str]:
    """Return what is said of the residuals, of several variances their range."""
    if not len(frame):
        return []
    said = _range(shown) if len(shown) > 1 else shown[0]
    return [f"{said} for the residuals{_correlations(frame, precision)}"]


def _range(shown: Sequence[str]) -> str:
    return f"{min(shown, key=float)} to {max(shown, key=float)}"


def _correlations(frame: pd.DataFrame, precision: Precision) -> str:
    """Return the correlations of several effects or residuals, of more than one their range."""
    columns = [name for name in frame if str(name).startswith("corr")]
    values = frame[columns].to_numpy(dtype=float).ravel()
    shown = FORMATS["correlation"](values[np.isfinite(values)], precision)
    if not shown:
        return ""
    said = f"correlation {shown[0]}" if len(shown) == 1 else f"correlations {_range(shown)}"
    return f" ({said})"


def _shares(view: FittedModel, precision: Precision) -> list[str]:
    """Return ICC and R², where the rows that they need are held."""
    needs_rows = view.is_generalized and view.family.link_name == "log"
    if needs_rows and view.family_rows is None:
        return []
    parts = variances(view)
    form = FORMATS["share"]
    fixed, whole = form(r2_of(parts).to_numpy(), precision)
    if not view.encoder.factors:
        return [f"The fixed effects' share of the variance, {symbol('R²')}, was {fixed}."]
    icc = icc_of(parts, adjusted=True)
    shown = zip(icc.index, form(icc.to_numpy(), precision), strict=True)
    groups = [f"{v} {'in total' if k == 'total' else f'for {name_of(k)}'}" for k, v in shown]
    random = f"{whole} with the random ones (conditional)"
    both = f"{fixed} for the fixed effects (marginal) and {random}"
    r2 = f"Nakagawa and Schielzeth's {symbol('R²')} was {both}."
    return [f"The intraclass correlation was {listed(groups)}, and {r2}" if groups else r2]


def _end(view: FittedModel) -> list[str]:
    """Return what is to be known of the fit: columns dropped, no convergence, singularity."""
    solution, names = view.solution, view.encoder.fixed_names
    dropped = [name_of(n) for k, n in enumerate(names) if k not in solution.kept]
    out = []
    if dropped:
        out.append(f"Without an estimate, as a sum of other columns: {listed(dropped)}.")
    if view.estimate.status in ENDS:
        out.append(ENDS[view.estimate.status])
    return [*out, *_singular(view)]


def _singular(view: FittedModel) -> list[str]:
    """Return which covariances are at the boundary of their range."""
    encoder, out = view.encoder, []
    for term, own in zip(encoder.terms, view.solution.terms, strict=True):
        group = name_of(encoder.factors[term.factor].name)
        names = encoder.coefficient_names(term)
        roles = [_role(k, name) for k, name in zip(term.columns, names, strict=True)]
        lacking = [role for role, row in zip(roles, own.lam, strict=True) if not row.any()]
        if lacking:
            out.append(f"the variance of {listed(lacking)} by {group} is 0")
        elif own.is_singular and len(roles) == 2:
            out.append(f"the effects by {group} have a correlation of -1 or 1")
        elif own.is_singular:
            out.append(f"a combination of the effects by {group} has variance 0")
    if view.solution.residual is not None and view.solution.residual.at_end:
        out.append("a parameter of the residuals' covariance is at its bound")
    return [f"The fit is singular: {listed(out)}."] if out else []
