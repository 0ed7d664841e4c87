"""The cells over which the terms of a model are tested: those of its reference grid."""

from typing import Any

import numpy as np

from skmixed._fitted.fitted_model import fitted
from skmixed._typing import BoolArray
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._marginal.averaging import averaged, averaging_weights
from skmixed.inference._marginal.grid import (
    FormulaColumns,
    ReferenceGrid,
    check_known,
    reference_of,
)
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.nesting import nesting_of, within_by_formula


def grid_of_terms(
    model: Any, by: Any, at: Any, ddf: str | None, robust: str | None
) -> tuple[LinearEstimates, dict[str, dict[str, BoolArray]]]:
    """Return Xβ at all combinations of the values of all variables of the fixed part.

    Numbers are one below and one above their mean, as emmeans has it. With it come the factors
    that are nested in others, by the rows or by the formula, and which of their levels are in
    which, (n_inner, n_outer).
    """
    formula, asked = reference_of(model), GridRequest.of((), by, at)
    check_known(formula, asked.by, "by")
    check_known(formula, asked.at, "at")
    names = list(formula.fixed)
    if not set(names) - set(asked.by):
        if not names:
            raise ValueError(
                "The fixed part has no variable: there is no term to test. The intercept is tested "
                "by coefficient_table."
            )
        raise ValueError(
            "The fixed part has no variable but those of `by`: there is no term to test. Leave "
            "`by` out, or test the means themselves with hypothesis='zero'."
        )
    numbers = [name for name in names if name not in asked.by and _is_at_mean(formula, name, asked)]
    around = {name: formula.observed.range_of(name)[0] for name in numbers}
    values = {name: [mean - 1.0, mean + 1.0] for name, mean in around.items()}
    asked = GridRequest(tuple(names), asked.by, {**asked.at, **values})
    grid = ReferenceGrid.of(formula, asked)
    rows = averaged(averaging_weights(grid, "equal"), grid.rows)
    if not np.isfinite(rows).all():
        raise ValueError(
            f"The columns of the model are not finite one below and one above the mean of "
            f"{', '.join(map(repr, numbers))}. Give values by `at`."
        )
    nesting, alone = nesting_of(grid), within_by_formula(grid)
    said = [f"At the mean ± 1: {', '.join(numbers)}."] if numbers else []
    said += [f"{inner} is nested in {' and '.join(own)}." for inner, own in nesting.items()]
    said += [f"The formula has {n} within {' and '.join(own)} alone." for n, own in alone.items()]
    sizes = {own.name: len(own.values) for own in grid.targets}
    for inner, outers in alone.items():
        every = {outer: np.ones((sizes[inner], sizes[outer]), dtype=bool) for outer in outers}
        nesting[inner] = every | nesting.get(inner, {})
    tests, zero = open_tests(model, ddf, robust), np.zeros(len(rows))
    how = asked.by, 0.95, tuple(said), fitted(model, has_family=True)
    return LinearEstimates(grid.target_cells, rows, zero, tests, *how), nesting


def _is_at_mean(formula: FormulaColumns, name: str, asked: GridRequest) -> bool:
    """Whether a variable is a number without values of its own."""
    is_number = not formula.is_factor(name) and not formula.is_date(name)
    return is_number and name not in asked.at and formula.observed.levels.get(name) is None
