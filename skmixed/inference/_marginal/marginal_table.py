"""Tables of means and of slopes, with the linear functions that they are made of."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import pandas as pd

from skmixed._typing import BoolArray, FloatArray
from skmixed.exceptions import NotEstimableWarning, warn
from skmixed.inference._marginal.averaging import WEIGHTS
from skmixed.inference._marginal.grid import ReferenceGrid
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.nesting import nested_factors
from skmixed.inference._marginal.scale import Scale
from skmixed.inference._tables.table import ResultTable


class MarginalTable(ResultTable):
    """A table over the cells of a grid, a row for each, in the order of the estimates.

    Attributes
    ----------
    estimates : LinearEstimates
        The functions of the fixed effects that are in the rows. On the scale "population"
        they are the means over the random effects, each a parameter of its own.
    scale : Scale
        The scale of the table.
    made : DataFrame
        The values as they were made: a table that was changed in place has others.
    """

    estimates: LinearEstimates
    scale: Scale
    made: pd.DataFrame
    # Named by pandas
    _metadata = [*ResultTable._metadata, "estimates", "scale", "made"]  # noqa: RUF012
    # What its rows are.
    noun = "estimates"

    @classmethod
    def from_estimates(
        cls,
        frame: pd.DataFrame,
        title: str,
        remarks: Iterable[str],
        estimates: LinearEstimates,
        scale: Scale,
    ) -> Self:
        """Return a table that knows what it is made of; empty remarks are none."""
        said = [remark for remark in remarks if remark]
        # "contrast" is the name of comparisons, with its own heading.
        labels = [name for name in estimates.cells.columns if name != "contrast"]
        table = cls.of(frame, title, said, dict.fromkeys(labels, "label"))
        table.estimates, table.scale, table.made = estimates, scale, frame.copy()
        return table

    @property
    def is_as_made(self) -> bool:
        """Whether no row, value or name was changed in place; further columns may stand beside."""
        own = [name for name in self.columns if name in self.made.columns]
        return self.made.equals(pd.DataFrame(self)[own])


class MarginalMeans(MarginalTable):
    """Marginal means, as `marginal_means` returns them.

    A DataFrame with a row for each mean: the columns of the variables, ``mean``,
    ``std_error``, ``df``, ``lower`` and ``upper``.
    """

    noun = "means"


class MarginalSlopes(MarginalTable):
    """Marginal slopes, as `marginal_slopes` returns them.

    A DataFrame with a row for each slope: the columns of the variables, ``slope``,
    ``std_error``, ``df``, ``t`` (of a generalized model ``z``), ``p_value``, ``lower`` and
    ``upper``.
    """

    noun = "slopes"


# What rounding leaves of the mean of a centered column.
NO_MEAN = 1e-12
# Cells that a message names.
MOST_CELLS = 10


def check_columns(variables: Iterable[str], columns: Iterable[str]) -> None:
    """Refuse a variable with the name of a column of the table."""
    for name in variables:
        if name in columns:
            raise ValueError(
                f"{name!r} is a variable, and a column of the table too. Rename the column of the "
                "data."
            )


def title_of(what: str, asked: GridRequest) -> str:
    """Return a title, of "Marginal means of" or "Slopes by x for each"."""
    own = asked.variables
    title = f"{what} {' and '.join(own)}" if own else what.removesuffix(" of")
    title = title.removesuffix(" for each")
    return f"{title}, by {' and '.join(asked.by)}" if asked.by else title


def remarks_on(
    grid: ReferenceGrid, weights: str, offset: FloatArray, column: str = ""
) -> tuple[str, ...]:
    """Say what is averaged over and held.

    `column`: that of slopes, which vary with nothing but what interacts with it.
    """
    remarks = _on_average(grid, weights, column), _on_held(grid, has_offset=bool(offset.any()))
    return tuple(remark for remark in remarks if remark)


def _on_average(grid: ReferenceGrid, weights: str, column: str) -> str:
    names = grid.averaged
    if not names:
        return ""
    targets = {column} if column else {own.name for own in grid.targets}
    terms = grid.formula.interactions
    crossing = [n for n in names if any(n in term and term & targets for term in terms)]
    note = f" The model has interactions with {' and '.join(crossing)}." if crossing else ""
    if not WEIGHTS[weights].by_cell:
        nested = {n: own for n, own in nested_factors(grid).items() if n in names}
        note += "".join(f" {n} is nested in {' and '.join(own)}." for n, own in nested.items())
    return f"Averaged over {' and '.join(names)}; {WEIGHTS[weights].description}.{note}"


def _on_held(grid: ReferenceGrid, *, has_offset: bool) -> str:
    held = [own for own in grid.others if len(own.values) == 1]
    parts = [
        f"{own.name} at {'its mean, ' if own.is_mean else ''}{_shown(own.values[0])}"
        for own in held
    ]
    if grid.has_mean_offset and has_offset:
        parts.append("the offset at its mean")
    return f"Held: {'; '.join(parts)}." if parts else ""


def _shown(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) > NO_MEAN else "0"


def warn_not_estimable(
    own: LinearEstimates, undetermined: BoolArray, what: str, weights: str
) -> None:
    """Say which means or slopes the data do not determine, and because of which columns.

    `undetermined`: for each row of L the dropped columns that leave it open, (k, d).
    """
    is_there = np.asarray(np.isfinite(own.rows).all(axis=1))
    if not is_there.all() and not WEIGHTS[weights].by_cell:
        warn(
            f"The columns of the formula are not finite at {_listed(own.cells, ~is_there)}: there "
            f"the {what} are NaN. Give values by `at` for which its functions are defined.",
            NotEstimableWarning,
        )
    elif not is_there.all():
        warn(
            f"No row of the fit is in {_listed(own.cells, ~is_there)}, of which weights="
            f"{weights!r} takes the rows: there the {what} are NaN. Use weights='equal', or ask "
            "for fewer cells by `at`.",
            NotEstimableWarning,
        )
    unknown = np.asarray(is_there & undetermined.any(axis=1))
    if not unknown.any():
        return
    tests = own.tests
    assert tests.dependence is not None
    of_columns = undetermined[unknown].any(axis=0)
    names = [repr(tests.names[k]) for k in np.array(tests.dependence.dropped)[of_columns]]
    more = f" and {len(names) - MOST_CELLS} more" * (len(names) > MOST_CELLS)
    warn(
        f"The data do not determine the {what} at {_listed(own.cells, unknown)}: they are NaN. "
        "They depend on columns that were dropped in fit as linearly dependent, often those of "
        f"combinations without a row: {', '.join(names[:MOST_CELLS])}{more}. Leave such "
        "combinations out by `at`, average over those with rows by weights='flat', or fit without "
        "the interaction.",
        NotEstimableWarning,
    )


def _listed(cells: pd.DataFrame, chosen: BoolArray) -> str:
    """Name some of the cells by their values."""
    cells = cells.iloc[np.flatnonzero(chosen)]
    if not len(cells.columns):
        return "the mean over all"
    rows = cells.head(MOST_CELLS).to_dict("records")
    listed = "; ".join(", ".join(f"{k}={_quoted(v)}" for k, v in row.items()) for row in rows)
    return listed + f" and {len(cells) - MOST_CELLS} more" * (len(cells) > MOST_CELLS)


def _quoted(value: Any) -> str:
    return repr(value) if isinstance(value, str) else _shown(value)
