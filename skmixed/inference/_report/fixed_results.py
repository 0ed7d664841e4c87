"""What is said of the results of the fixed effects: estimates, intervals, statistics, p values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel, formula_terms, last_step
from skmixed.inference._report.wording import SPACE, equal, name_of, percent, shown, symbol
from skmixed.inference._tables.number_formats import INFINITE, NONE, Precision
from skmixed.inference._terms.anova import anova

# With more terms their results stand in one sentence.
MOST_TERMS = 4
RATIOS = {"binomial": "odds ratio", "gamma": "ratio of means"}
RATE_RATIO = "rate ratio"


@dataclass(frozen=True)
class FixedResult:
    """The result of a term, or of one coefficient.

    Attributes
    ----------
    name : str
    what : str
        What the numbers are.
    said : str
        The numbers.
    """

    name: str
    what: str
    said: str


def fixed_results(
    model: Any,
    view: FittedModel,
    table: pd.DataFrame,
    level: float,
    tested: Mapping[str, Any],
    precision: Precision,
) -> tuple[list[str], bool]:
    """Return a sentence for the intercept and for each term, and whether terms are tested.

    `table`: the tests of the coefficients. `tested`: the options of tests of terms. Of many
    terms there is one sentence.
    """
    interval, units = f"{percent(level)} CI", _units(model, view)
    sentences = []
    if view.model.has_intercept:
        scale = f", on the scale of the {view.family.link_name}" if view.is_generalized else ""
        sentences = [f"The intercept was {_estimate(shown(table, precision)[0], interval)}{scale}."]
    joint = [name for name, position in units if position is None]
    tests = {}
    if joint:
        rows = shown(anova(model, **tested).loc[joint], precision)
        tests = dict(zip(joint, rows, strict=True))
    ratio = _ratio(view)
    numbers = shown(_exponentials(table) if ratio else table, precision)
    found = []
    for name, position in units:
        if position is None:
            where = name_of(name) + _at_zero(model, name)
            own = FixedResult(where, "test of the term", _statistic(tests[name]))
        else:
            said = _estimate(numbers[position], interval), _statistic(numbers[position])
            own = FixedResult(
                name_of(name), f"{ratio or 'coefficient'} of", ", ".join(filter(None, said))
            )
        found += [own] if own.said else []
    return sentences + _sentences(found), bool(joint)


def _sentences(found: Sequence[FixedResult]) -> list[str]:
    """Return a sentence for each result, or of many one for all."""
    parts = [f"the {own.what} {own.name} was {own.said}" for own in found]
    sentences = parts if len(parts) <= MOST_TERMS else ["; ".join(parts)]
    return [f"T{sentence.removeprefix('t')}." for sentence in sentences]


def _units(model: Any, view: FittedModel) -> list[tuple[str, int | None]]:
    """Return what is spoken of: coefficients with their positions, and terms without.

    A term of a formula that is one column, and part of no interaction, is its coefficient.
    """
    names, kept = view.encoder.fixed_names, set(view.solution.kept)
    coded = formula_terms(model)
    if coded is None:
        return [(names[k], k) for k in sorted(kept) if view.encoder.fixed[k]]
    columns, out = last_step(model).terms_, list[tuple[str, int | None]]()
    of_term = [{axis.name for axis in term.axes} for term in coded]
    for term, axes in zip(coded, of_term, strict=True):
        own = [names.index(name) for name in columns.get(term.name, ())]
        is_alone = len(own) == 1 and not any(other > axes for other in of_term)
        if is_alone and own[0] in kept:
            out.append((names[own[0]], own[0]))
        elif not is_alone and kept & set(own):
            out.append((term.name, None))
    return out


def _at_zero(model: Any, name: str) -> str:
    """Say where a term is tested that interacts with numeric columns: where these are 0."""
    coded = formula_terms(model) or ()
    own = next(({axis.name for axis in term.axes} for term in coded if term.name == name), set())
    numbers = dict[str, None]()
    for term in coded:
        parts = term.name.split(":")
        if len(parts) == len(term.axes) and {axis.name for axis in term.axes} > own:
            pairs = zip(parts, term.axes, strict=True)
            numbers |= {p: None for p, axis in pairs if axis.name in term.numeric - own}
    return f" at {' and '.join(f'{name_of(number)} = 0' for number in numbers)}" if numbers else ""


def _ratio(view: FittedModel) -> str:
    """Return what the exponential of a coefficient is, where that has a name."""
    if not view.is_generalized or view.family.link_name not in ("logit", "log"):
        return ""
    return RATIOS.get(view.family.name, RATE_RATIO)


def _exponentials(table: pd.DataFrame) -> pd.DataFrame:
    """Return exp(β) with its error by the derivative, and the exponentials of its limits."""
    with np.errstate(over="ignore", invalid="ignore"):
        own = {name: np.exp(table[name]) for name in ("estimate", "lower", "upper")}
        return table.assign(**own, std_error=own["estimate"] * table["std_error"])


def _estimate(row: Mapping[str, str], interval: str) -> str:
    """Return an estimate with its interval, where it has one."""
    if NONE in (row["lower"], row["upper"]):
        return row["estimate"]
    return f"{row['estimate']} ({interval} {row['lower']} to {row['upper']})"


def _statistic(row: Mapping[str, str]) -> str:
    """Return a statistic with its degrees of freedom and its p value, where there is one."""
    if row["p_value"] == NONE:
        return ""
    if "F" in row:
        left, right = f"{symbol('F')}({row['df_num']},{SPACE}{row['df_den']})", row["F"]
    elif "chi2" in row:
        left, right = f"{symbol('χ²')}({row['df']})", row["chi2"]
    elif "z" in row:
        left, right = symbol("z"), row["z"]
    else:
        is_normal = row["df"] == INFINITE
        left, right = symbol("z") if is_normal else f"{symbol('t')}({row['df']})", row["t"]
    return f"{equal(left, right)}, {equal(symbol('p'), row['p_value'])}"
