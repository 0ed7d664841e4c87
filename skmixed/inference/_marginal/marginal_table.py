"""Tables of means and of slopes, with the linear functions that they are made of."""

from typing import Self

import pandas as pd

from skmixed.inference._marginal.linear_estimates import LinearEstimates
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
    """

    estimates: LinearEstimates
    scale: Scale
    _metadata = [*ResultTable._metadata, "estimates", "scale"]  # noqa: RUF012  # pandas' name

    @classmethod
    def from_estimates(
        cls,
        frame: pd.DataFrame,
        title: str,
        remarks: tuple[str, ...],
        estimates: LinearEstimates,
        scale: Scale,
    ) -> Self:
        """Return a table that knows what it is made of."""
        table = cls.of(frame, title, remarks, dict.fromkeys(estimates.cells.columns, "label"))
        table.estimates, table.scale = estimates, scale
        return table


class MarginalMeans(MarginalTable):
    """Marginal means, as `marginal_means` returns them.

    A DataFrame with a row for each mean: the columns of the variables, ``mean``,
    ``std_error``, ``df``, ``lower`` and ``upper``.
    """


class MarginalSlopes(MarginalTable):
    """Marginal slopes, as `marginal_slopes` returns them.

    A DataFrame with a row for each slope: the columns of the variables, ``slope``,
    ``std_error``, ``df``, ``t``, ``p_value``, ``lower`` and ``upper``.
    """
