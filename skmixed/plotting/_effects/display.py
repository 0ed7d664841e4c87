"""Marginal means or slopes of a model by a formula, with intervals and the raw data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from skmixed.inference import marginal_means, marginal_slopes
from skmixed.plotting._axes.labels import are_whole, literal, shortened, whole_numbers
from skmixed.plotting._axes.places import finish, panels, require_matplotlib
from skmixed.plotting._effects.drawing import (
    EffectColumns,
    draw_effects_panel,
    rows_at,
    values_of,
    written,
    zero_line,
)
from skmixed.plotting._effects.request import EffectsRequest
from skmixed.typing import AveragingWeights, Ddf, Robust, ScaleName

MEAN, SLOPE = "mean", "slope"
# Panels in a line of them.
MOST_COLUMNS = 3
LONGEST_TITLE = 40


class EffectsDisplay:
    """Marginal means or slopes with intervals, over the raw data.

    A factor on the horizontal axis has points with error bars, a numeric column a line with
    a band. A second variable has colors, a third one panels.

    Parameters
    ----------
    table : DataFrame
        The variables, the estimates in ``mean`` or ``slope``, and ``lower`` and ``upper``: what
        `skmixed.inference.marginal_means` or `skmixed.inference.marginal_slopes` returns.
    data : DataFrame or None
        The rows of the data at their places: the variables, and ``response``. A row whose level
        is not shown has a missing value. None: no dots.
    variables : tuple of str
        Those of the horizontal axis, the colors and the panels, as far as there are any.
    is_line : bool
        Whether the horizontal axis is numeric.
    y_name : str
        What the vertical axis is called.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes, in the order of the values of the third variable.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    skmixed.inference.marginal_means : The means.
    skmixed.inference.marginal_slopes : The slopes.

    Notes
    -----
    The dots are single responses, not adjusted for the variables that are not shown, nor
    for the groups. They vary by more than the means do. Over a factor they are spread in
    width, and classes in height, for the eye; over a numeric column in width too where more than
    half of them would lie on others, as counts do. It is the figure of R's ggeffects.

    Means are at the mean offset, unless a variable of the offset is named. Of linear models and
    of a log link the dots are moved there too: a count over 3 days is shown as that of the mean
    number of days. With other links dots keep their own offsets, as the vertical axis says.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.plotting import EffectsDisplay
    >>> data = load_cake().frame
    >>> model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", data)
    >>> display = EffectsDisplay.from_estimator(model, "recipe", X=data)
    >>> display.table["mean"].round(2).to_list()
    [33.12, 31.64, 31.6]
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        table: pd.DataFrame,
        data: pd.DataFrame | None,
        variables: tuple[str, ...],
        is_line: bool,
        y_name: str,
    ) -> None:
        self.table = table
        self.data = data
        self.variables = variables
        self.is_line = is_line
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        variables: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        X: Any = None,
        y: ArrayLike | None = None,
        scale: ScaleName = "response",
        weights: AveragingWeights = "equal",
        ddf: Ddf | None = None,
        robust: Robust | None = None,
        level: float = 0.95,
        ax: Any = None,
    ) -> EffectsDisplay:
        """Compute marginal means and plot them.

        Parameters
        ----------
        model : FormulaRegressor or Pipeline
            A fitted model by a formula, as of `skmixed.lmer`, `skmixed.glmer` or `skmixed.mmrm`.
        variables : str or list of str
            The column of the data on the horizontal axis; further ones are as those of `by`.
        by : str or list of str, default=None
            The column whose values have colors, and the one whose values have panels.
        at : mapping of str to value or list, default=None
            Values of columns in place of the grid's, as in `marginal_means`. A numeric column on
            the horizontal axis has 50 values over the range of the fit, if none are given.
        X : frame, default=None
            Rows of the data, for a dot each, such as those of the fit. None: no dots.
        y : array-like of shape (n_samples,), default=None
            Their responses, where the formula names none.
        scale : {"response", "link", "population"}, default="response"
            The scale of the means, as in `marginal_means`.
        weights : {"equal", "proportional", "outer", "cells", "flat"}, default="equal"
            How the combinations of the other columns count, as in `marginal_means`.
        ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
            The method for the degrees of freedom, as in `marginal_means`.
        robust : {"CR0", "CR2", "CR3"}, default=None
            The kind of robust standard errors, as in `coefficient_table`.
        level : float, default=0.95
            Confidence level of each interval.
        ax : Axes or array of Axes, default=None
            Where to plot: one a panel, or one to divide; None: a new figure.

        Returns
        -------
        EffectsDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        TypeError
            If the model is by no formula.
        ValueError
            If there is no variable or more than three, if X is given on the scale of a link, or
            for what `marginal_means` raises.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        Lines of boys and girls, with their measurements:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_orthodont
        >>> from skmixed.plotting import EffectsDisplay
        >>> data = load_orthodont().frame
        >>> model = lmer("distance ~ age * Sex + (age | Subject)", data)
        >>> display = EffectsDisplay.from_estimator(model, "age", by="Sex", X=data)
        >>> display.table["age"].agg(["min", "max"]).to_list()
        [8.0, 14.0]
        >>> matplotlib.pyplot.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        asked = EffectsRequest.of(model, variables, by, at)
        own = {"weights": weights, "ddf": ddf, "robust": robust, "level": level}
        table = marginal_means(model, asked.variables, at=asked.grid_values, scale=scale, **own)  # type: ignore[arg-type]
        return cls(
            table=table,
            data=None if X is None else asked.data(X, y, scale, table),
            variables=asked.variables,
            is_line=asked.is_line,
            y_name=asked.label(scale, has_dots=X is not None),
        ).plot(ax)

    @classmethod
    def from_slopes(
        cls,
        model: Any,
        column: str,
        by: str | Sequence[str] | None = None,
        *,
        at: Mapping[str, Any] | None = None,
        weights: AveragingWeights = "equal",
        ddf: Ddf | None = None,
        robust: Robust | None = None,
        level: float = 0.95,
        ax: Any = None,
    ) -> EffectsDisplay:
        """Compute marginal slopes by a numeric column and plot them.

        Parameters
        ----------
        model : FormulaRegressor or Pipeline
            A fitted model by a formula, as of `skmixed.lmer`, `skmixed.glmer` or `skmixed.mmrm`.
        column : str
            The numeric column of the data by which the derivative is taken.
        by : str or list of str, default=None
            The columns on the horizontal axis, of the colors and of the panels. With `column`
            first it is the slope along its range. None: one slope over all.
        at : mapping of str to value or list, default=None
            Values of columns in place of the grid's, as in `from_estimator`.
        weights : {"equal", "proportional", "outer", "cells", "flat"}, default="equal"
            How the combinations of the other columns count, as in `marginal_means`.
        ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
            The method for the degrees of freedom, as in `marginal_means`.
        robust : {"CR0", "CR2", "CR3"}, default=None
            The kind of robust standard errors, as in `coefficient_table`.
        level : float, default=0.95
            Confidence level of each interval.
        ax : Axes or array of Axes, default=None
            Where to plot: one a panel, or one to divide; None: a new figure.

        Returns
        -------
        EffectsDisplay
            The display, drawn, with the slopes in `table`.

        Raises
        ------
        TypeError
            If the model is by no formula.
        ValueError
            If there are more than three variables, or for what `marginal_slopes` raises.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_orthodont
        >>> from skmixed.plotting import EffectsDisplay
        >>> data = load_orthodont().frame
        >>> model = lmer("distance ~ age * Sex + (age | Subject)", data)
        >>> display = EffectsDisplay.from_slopes(model, "age", by="Sex")
        >>> display.table["slope"].round(2).to_list()
        [0.48, 0.78]
        >>> matplotlib.pyplot.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_slopes")
        asked = EffectsRequest.of(model, None, by, at, least=0)
        own = {"weights": weights, "ddf": ddf, "robust": robust, "level": level}
        table = marginal_slopes(model, column, asked.variables, at=asked.grid_values, **own)  # type: ignore[arg-type]
        name = asked.slope_name(column)
        kind = {"variables": asked.variables, "is_line": asked.is_line}
        return cls(table=table, data=None, y_name=name, **kind).plot(ax)  # type: ignore[arg-type]

    def plot(self, ax: Any = None) -> EffectsDisplay:
        """Plot the panels.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each panel, or one to divide among them; None makes a new figure.

        Returns
        -------
        EffectsDisplay
            This display, now drawn.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import EffectsDisplay
        >>> model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
        >>> display = EffectsDisplay.from_estimator(model, "Days")
        >>> plt.close(display.figure_)
        >>> figure, ax = plt.subplots()
        >>> display.plot(ax).axes_[0].get_ylabel()
        'Reaction'
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        x, color, panel = (*self.variables, "", "", "")[:3]
        kind = MEAN if MEAN in self.table else SLOPE
        columns = EffectColumns(x, color, kind, self.is_line)
        values = values_of(self.table, x), values_of(self.table, color)
        at = values_of(self.table, panel)
        n_columns = min(MOST_COLUMNS, len(at))
        n_lines = -(-len(at) // n_columns)
        size = (max(5.2, 0.8 + 3.0 * n_columns + 0.9 * bool(color)), 0.6 + 3.2 * n_lines)
        self.axes_ = panels(ax, len(at), n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        for k, (own, value) in enumerate(zip(self.axes_, at, strict=True)):
            data = None if self.data is None else rows_at(self.data, panel, value)
            if kind == SLOPE:
                zero_line(own)
            draw_effects_panel(own, columns, rows_at(self.table, panel, value), data, values)
            title = f"{panel} = {written([value])[0]}" if panel else ""
            y_name = self.y_name if k % n_columns == 0 else ""
            finish(own, x=x, y=y_name, title=shortened(title, LONGEST_TITLE))
            if self.data is not None:
                _put_whole_ticks(own, self.data, x if self.is_line else None)
        self._share_limits()
        if color:
            self._name_colors(color, is_own=ax is None)
        return self

    def _share_limits(self) -> None:
        """Give all panels the same limits."""
        for which in ("xlim", "ylim"):
            limits = [getattr(own, f"get_{which}")() for own in self.axes_]
            both = min(low for low, _ in limits), max(high for _, high in limits)
            for own in self.axes_:
                own.set(**{which: both})

    def _name_colors(self, color: str, *, is_own: bool) -> None:
        """Say which values the colors are; beside the panels in a figure of its own."""
        last = self.axes_[-1]
        style = {"title": literal(shortened(color, LONGEST_TITLE)), "frameon": False}
        style |= {"fontsize": "small", "title_fontsize": "small"}
        if is_own:
            handles, labels = last.get_legend_handles_labels()
            self.figure_.legend(handles, labels, loc="outside right upper", **style)
        else:
            last.legend(**style)


def _put_whole_ticks(ax: Any, data: pd.DataFrame, x: str | None) -> None:
    """Put ticks of counts, and of other whole numbers, at whole numbers."""
    for axis, name in ((ax.xaxis, x), (ax.yaxis, "response")):
        if name is not None and are_whole(data[name]):
            whole_numbers(axis)
