"""Data and fitted line of each group, in panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._data.encoder import Encoder
from skmixed._data.parameters import items_of
from skmixed._data.table import open_table
from skmixed._fitted.checks import check_number
from skmixed._fitted.fitted_model import regressor_of, served
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._generalized_estimators.reading import log_exposure
from skmixed._typing import ColumnName, FloatArray, IntArray
from skmixed.diagnostics._family_rows import check_exposure, check_linear_exposure
from skmixed.plotting._axes.labels import LABEL_LENGTH, are_whole, labels_of, literal, shortened
from skmixed.plotting._axes.names import choose_group, mean_name, response_of
from skmixed.plotting._axes.places import finish, panels, require_matplotlib
from skmixed.plotting._axes.style import BLUE, GRAY, dots, ink
from skmixed.plotting._curves import Rows, choose_column, curves

TITLE_LENGTH = 18
# Rows of a group from which on marks are small.
MANY_ROWS = 100


class FittedLinesDisplay:
    """Data and fitted line of each group, a panel a group.

    Parameters
    ----------
    data : DataFrame
        Columns ``level``, ``x``, ``y``: rows of the groups shown.
    lines : DataFrame
        Columns ``level``, ``x``, ``fitted``, ``population``: expected responses with
        and without random effects.
    x_name, y_name, group : str
        Names of the axes and of the grouping factor.
    n_levels : int, default=None
        How many groups there are, shown or not; None: those shown.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_groups,)
        One for each group, in the order of `lines`.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    ResidualsDisplay : What the lines leave.
    ShrinkageDisplay : The lines' coefficients, and those of each group's own fit.

    Notes
    -----
    A line holds predictions with the column at hand set to each value, averaged over
    the group's rows (200 of them at most, evenly spaced): other columns stay as they
    are. Behind a Pipeline the column is that of X before its steps, so that splines
    and polynomials are curves on the scale of the data.

    Of generalized models the lines are means of the response at the modes of the group's
    effects, and at effects of 0; the second class counts as 1.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import FittedLinesDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = FittedLinesDisplay.from_estimator(model, X, y, levels=["308", "309"])
    >>> display.lines.groupby("level").last().round(1)
             x  fitted  population
    level
    308    9.0   430.7       345.6
    309    9.0   227.6       345.6
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        data: pd.DataFrame,
        lines: pd.DataFrame,
        x_name: str,
        y_name: str,
        group: str,
        n_levels: int | None = None,
    ) -> None:
        self.data = data
        self.lines = lines
        self.x_name = x_name
        self.y_name = y_name
        self.group = group
        self.n_levels = n_levels

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        groups: Any = None,
        exposure: ArrayLike | None = None,
        group: str | None = None,
        x: ColumnName | None = None,
        levels: Sequence[Any] | None = None,
        max_levels: int = 20,
        ax: Any = None,
    ) -> FittedLinesDisplay:
        """Compute the lines of a fitted model and plot them over the data.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
            The fitted model.
        X : frame or array-like of shape (n_samples, n_features)
            Rows of the fit, or others with its columns.
        y : array-like of shape (n_samples,), default=None
            Responses. None: what the formula of the model names, in X.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        exposure : array-like of shape (n_samples,), default=None
            What counts are proportional to, as in `fit` of their models: they are shown per
            unit of it.
        group : str, default=None
            Grouping factor; None: the first one.
        x : str or int, default=None
            Column of X to plot against; None: the first random slope of the factor,
            else the first fixed one.
        levels : list, default=None
            Groups to show; None: all, or `max_levels` of them.
        max_levels : int, default=20
            Where there are more, groups are evenly spaced in the order of their
            mean fitted value, the lowest and the highest among them.
        ax : Axes or array of Axes, default=None
            Where to plot: one a group, or one to divide; None: a new figure.

        Returns
        -------
        FittedLinesDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the rows do not match the model, or there is no such factor, level or
            column.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        Three of the subjects, from the lowest to the highest mean:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import FittedLinesDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = FittedLinesDisplay.from_estimator(model, X, y, max_levels=3)
        >>> display.x_name, display.y_name, display.lines["level"].unique().tolist()
        ('Days', 'Reaction', ['309', '330', '337'])
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_number("max_levels", max_levels, integral=True)
        encoder, rows = served(model, has_family=True).encoder, Rows.of(model, X, groups)
        k = choose_group(encoder, group)
        given = open_rows(model, rows.X, rows.groups, has_family=True)
        response = _shown_response(model, given, y, exposure)
        position = choose_column(model, encoder, k, rows, x)
        codes = encoder.factors[k].codes(given.table, given.metadata)
        if levels is None:
            shown = _some_levels(codes, given.expected(), max_levels)
        else:
            shown = _named_levels(encoder, k, codes, levels)
        values, conditional, fixed = curves(model, rows, codes, shown, position)
        index = encoder.factors[k].index.to_flat_index()
        inside = np.flatnonzero(np.isin(codes, shown))
        data = {"x": rows.column(position, inside), "y": response[inside]}
        lines = {
            "level": index[shown].repeat(len(values)),
            "x": np.tile(values, len(shown)),
            "fitted": conditional.ravel(),
            "population": fixed.ravel(),
        }
        return cls(
            data=pd.DataFrame({"level": index[codes[inside]], **data}),
            lines=pd.DataFrame(lines),
            x_name=open_table(rows.X).label(position),
            y_name=_scale(model, y, exposure),
            group=encoder.factors[k].name,
            n_levels=len(np.unique(codes[codes >= 0])),
        ).plot(ax)

    def plot(self, ax: Any = None) -> FittedLinesDisplay:
        """Plot data and lines.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each group, or one to divide among them; None makes a new figure.

        Returns
        -------
        FittedLinesDisplay
            This display, now drawn.

        Examples
        --------
        Into axes of one's own, one a group:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import FittedLinesDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = FittedLinesDisplay.from_estimator(model, X, y, levels=["308", "335"])
        >>> plt.close(display.figure_)
        >>> figure, axes = plt.subplots(1, 2, sharey=True)
        >>> [ax.get_title() for ax in display.plot(axes).axes_]
        ['308', '335']
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        levels = list(dict.fromkeys(self.lines["level"]))
        n, n_columns = len(levels), _n_columns(len(levels))
        n_rows = -(-n // n_columns)
        size = (max(4.8, 0.8 + 1.3 * n_columns), max(3.6, 0.9 + 1.4 * n_rows))
        self.axes_ = panels(ax, n, n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        data, lines = (
            self.data.groupby("level", sort=False),
            self.lines.groupby("level", sort=False),
        )
        limits = _limits(self.data["y"], self.lines[["fitted", "population"]])
        titles = labels_of(levels, TITLE_LENGTH)
        is_whole = [are_whole(self.data[name]) for name in ("x", "y")]
        many = int(data.size().max()) > MANY_ROWS
        for j, (panel, level) in enumerate(zip(self.axes_, levels, strict=True)):
            _draw(panel, data.get_group(level), lines.get_group(level), many=many)
            panel.set_ylim(*limits)
            finish(panel)
            panel.set_title(titles[j], fontsize="small", pad=3)
            panel.tick_params(labelsize="x-small")
            for axis, whole in zip((panel.xaxis, panel.yaxis), is_whole, strict=True):
                steps = [1, 2, 3, 5, 10] if whole else [1, 2, 5, 10]
                axis.get_major_locator().set_params(nbins=4, steps=steps, integer=whole)
            panel.tick_params(labelleft=j % n_columns == 0, labelbottom=j + n_columns >= n)
        self._name(ax, n_columns)
        return self

    def _name(self, ax: Any, n_columns: int) -> None:
        """Name the axes once, and the lines."""
        if ax is None:
            self.figure_.supxlabel(literal(self.x_name), fontsize="medium")
            self.figure_.supylabel(literal(self.y_name), fontsize="medium")
            handles, labels = self.axes_[0].get_legend_handles_labels()
            style = {"ncols": 2, "frameon": False, "fontsize": "small"}
            group = literal(shortened(self.group, LABEL_LENGTH))
            names = [label.replace("group", group, 1) for label in labels]
            legend = self.figure_.legend(handles, names, loc="outside upper right", **style)
            legend.set_title(self._said(len(self.axes_)), {"size": "small"})
            return
        for j, panel in enumerate(self.axes_):
            if j + n_columns >= len(self.axes_):
                panel.set_xlabel(literal(self.x_name))
            if j % n_columns == 0:
                panel.set_ylabel(literal(self.y_name))

    def _said(self, n: int) -> str | None:
        """Say how many of the groups are shown, where not all of them are."""
        if self.n_levels is None or n >= self.n_levels:
            return None
        return literal(f"{n} of {self.n_levels:,} levels of {self.group}")


def _scale(model: Any, y: Any, exposure: Any) -> str:
    """Name what lines and dots are of: counts are per unit of exposure, if there is one."""
    name = mean_name(model, response_of(model, y))
    return name if exposure is None else f"{name} per unit of exposure"


def _shown_response(model: Any, given: GivenRows, y: Any, exposure: Any) -> FloatArray:
    """Return the responses on the scale of the lines: classes as 0 and 1, counts per exposure."""
    if not given.fitted.is_generalized:
        check_linear_exposure(exposure)
        return given.response(y)
    estimator = regressor_of(model)
    if given.frame is not None or y is None:
        y = given.response(y)
    check_exposure(estimator, given, exposure)
    response = estimator._response(y, given.n_rows)
    return np.asarray(response / np.exp(log_exposure(exposure, given.n_rows)))


def _draw(ax: Any, data: pd.DataFrame, line: pd.DataFrame, *, many: bool) -> None:
    """Draw one group; `many`: whether some group has many rows, so that all have small marks."""
    size, alpha = (3.0, 0.4) if many else (9.0, 0.6)
    dots(ax, data["x"], data["y"], color=ink(ax), s=size, alpha=alpha)
    style = {"color": GRAY, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    ax.plot(line["x"], line["population"], label="population", **style)
    ax.plot(line["x"], line["fitted"], label="group", color=BLUE, linewidth=1.5)


def _n_columns(n: int) -> int:
    """Take the number near 1.5 columns a row that leaves the fewest places empty."""
    about = int(np.ceil(np.sqrt(1.5 * n)))
    return min((about, max(about - 1, 1)), key=lambda k: -n % k)


def _limits(y: pd.Series, lines: pd.DataFrame) -> tuple[float, float]:
    low = float(min(y.min(), lines.min(axis=None)))
    high = float(max(y.max(), lines.max(axis=None)))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _some_levels(codes: IntArray, expected: Any, most: int) -> IntArray:
    """Take levels that occur, evenly spaced in the order of their mean fitted value."""
    known = codes >= 0
    means = pd.Series(expected[known]).groupby(codes[known]).mean().sort_values(kind="stable")
    if means.empty:
        raise ValueError("No row of X has a level of the grouping factor that was seen in fit.")
    n = min(most, len(means))
    places = np.linspace(0, len(means) - 1, n).round().astype(np.intp)
    return np.sort(means.index.to_numpy()[places])


def _named_levels(encoder: Encoder, k: int, codes: IntArray, levels: Sequence[Any]) -> IntArray:
    known = {level: code for code, level in enumerate(encoder.factors[k].index.to_flat_index())}
    occurring = set(np.unique(codes).tolist())
    wanted = items_of(levels, "levels")
    for level in wanted:
        if known.get(level) not in occurring:
            raise ValueError(
                f"levels={list(wanted)!r} names {level!r}, which is not a level of "
                f"{encoder.factors[k].name!r} with rows in X."
            )
    if not wanted:
        raise ValueError("levels=[] names no level. Use None for all.")
    return np.array([known[level] for level in dict.fromkeys(wanted)], dtype=np.intp)
