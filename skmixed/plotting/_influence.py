"""Rows that move the fit."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._fitted.checks import check_number
from skmixed.diagnostics import influence
from skmixed.plotting._axes import (
    BLUE,
    DARK,
    LINE,
    dots,
    finish,
    labels_of,
    require_matplotlib,
    single_axes,
    thin,
)

LABEL_POINTS = 8.0


class InfluenceDisplay:
    """Cook's distance of each row, or what leaving it out changes.

    The rows of the largest values are named.

    Parameters
    ----------
    influence : DataFrame
        The table of `skmixed.diagnostics.influence`.
    quantity : str
        The column that is plotted.

    Attributes
    ----------
    ax_ : Axes
        The axes that the display was drawn on.
    figure_ : Figure
        The figure that holds the axes.
    largest_ : Index
        Labels of the rows that are named, the largest first.

    See Also
    --------
    skmixed.diagnostics.influence : The numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import InfluenceDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = InfluenceDisplay.from_estimator(model, X, y, n_labels=3)
    >>> display.largest_.to_list()
    [59, 56, 7]
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, influence: pd.DataFrame, quantity: str) -> None:
        self.influence = influence
        self.quantity = quantity

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
        exposure: ArrayLike | None = None,
        name: str | None = None,
        n_labels: int = 5,
        ax: Any = None,
    ) -> "InfluenceDisplay":
        """Compute the influence of rows and plot it.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
            The fitted model.
        X : frame or array-like of shape (n_samples, n_features)
            The rows that the model was fitted to.
        y : array-like of shape (n_samples,), default=None
            Their responses. None: what the formula of the model names, in X.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights; needed if the fit had weights.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        exposure : array-like of shape (n_samples,), default=None
            What counts are proportional to, as in `fit` of their models.
        name : str, default=None
            A fixed effect, whose change is plotted; None: Cook's distance.
        n_labels : int, default=5
            How many of the rows to name at most, those of the largest values.
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        InfluenceDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the rows do not match the model, or it has no such fixed effect.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        The rows that move the fixed slope of the days most:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import InfluenceDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = InfluenceDisplay.from_estimator(model, X, y, name="Days", n_labels=2)
        >>> display.influence.loc[display.largest_, "change_Days"].round(2)
        59    0.42
        7     0.20
        Name: change_Days, dtype: float64
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_number("n_labels", n_labels, integral=True)
        found = influence(
            model, X, y, sample_weight=sample_weight, groups=groups, exposure=exposure
        )
        quantity = "cooks_distance" if name is None else f"change_{name}"
        if quantity not in found:
            known = [c.removeprefix("change_") for c in map(str, found) if c.startswith("change_")]
            raise ValueError(
                f"name={name!r} is not a fixed effect of the model. It has "
                f"{', '.join(map(repr, known)) or 'none'}."
            )
        return cls(influence=found, quantity=quantity).plot(ax, n_labels=n_labels)

    def plot(self, ax: Any = None, *, n_labels: int = 5) -> "InfluenceDisplay":
        """Plot the quantity by row.

        Parameters
        ----------
        ax : Axes, default=None
            Where to plot; None: a new figure.
        n_labels : int, default=5
            How many of the rows to name at most.

        Returns
        -------
        InfluenceDisplay
            This display, now drawn.

        Examples
        --------
        Again, with one name for the plot and a line of one's own:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import InfluenceDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = InfluenceDisplay.from_estimator(model, X, y)
        >>> plt.close(display.figure_)
        >>> line = display.plot(n_labels=1).ax_.axhline(1.0, linestyle=":")
        >>> display.largest_.to_list()
        [59]
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_number("n_labels", n_labels, integral=True)
        values = self.influence[self.quantity].to_numpy()
        size = np.where(np.isfinite(values), np.abs(values), -1.0)
        order = np.argsort(-size, kind="stable")[:n_labels]
        order = order[size[order] > 0.0]
        self.largest_ = self.influence.index[order]
        self.ax_ = ax = single_axes(ax)
        self.figure_ = ax.figure
        place = np.arange(len(values))
        ax.axhline(0.0, **LINE)
        ax.vlines(place, 0.0, values, color=BLUE, linewidth=thin(len(values)), alpha=0.5)
        dots(ax, place, values, s=8.0)
        ax.margins(x=0.03, y=0.1)
        if self.quantity == "cooks_distance":
            ax.set_ylim(bottom=0.0)
            finish(ax, x="row", y="Cook's distance")
        else:
            name = self.quantity.removeprefix("change_")
            finish(ax, x="row", y=f"change of {name} without the row")
        _name_rows(ax, order, values[order], self.largest_)
        return self


def _name_rows(ax: Any, place: Any, values: Any, labels: pd.Index) -> None:
    """Write labels beside points, left of one where the right is taken, else nowhere."""
    ax.get_xlim(), ax.get_ylim()  # bring the limits up to date
    at = ax.transData.transform(np.column_stack([place, values]))
    unit, taken = ax.figure.dpi / 72, list[tuple[float, float, float]]()
    right_end = ax.get_window_extent().x1
    for (x, y), point, value, text in zip(at, place, values, labels_of(labels, 16), strict=True):
        width = (0.65 * len(text) * LABEL_POINTS + 8.0) * unit
        for side in (1, -1):
            start = x if side > 0 else x - width
            end = start + width
            near = [t for t in taken if abs(y - t[2]) <= LABEL_POINTS * unit]
            if end <= right_end and all(start > t[1] or end < t[0] for t in near):
                offset, align = (4.0 * side, 0.0), "left" if side > 0 else "right"
                style = {"fontsize": LABEL_POINTS, "color": DARK, "va": "center", "ha": align}
                ax.annotate(text, (point, value), offset, textcoords="offset points", **style)
                taken.append((start, end, y))
                break
