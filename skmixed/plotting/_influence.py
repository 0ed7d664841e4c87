"""Rows and groups that move the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._fitted.checks import check_number
from skmixed.diagnostics import group_influence, influence
from skmixed.plotting._axes.labels import (
    LABEL_SIZE,
    labels_of,
    level_ticks,
    literal,
    name_points,
    whole_numbers,
)
from skmixed.plotting._axes.places import finish, require_matplotlib, single_axes
from skmixed.plotting._axes.style import BLUE, GRAY, LINE, dots, thin
from skmixed.typing import RefitOrFixed, Theta

# What columns are called, and the value of one that changes nothing, where that is not 0.
TITLES = {
    "cooks_distance": "Cook's distance",
    "mdffits": "MDFFITS",
    "covratio": "COVRATIO",
    "covtrace": "COVTRACE",
}
NO_CHANGE = {"covratio": 1.0}


class InfluenceDisplay:
    """Cook's distance of each row or group, or what leaving it out changes.

    Those of the largest values are named.

    Parameters
    ----------
    influence : DataFrame
        The table of `skmixed.diagnostics.influence`, `group_influence` or `subject_influence`.
    quantity : str
        The column that is plotted.
    unit : str, default="row"
        What is left out, for the axes.

    Attributes
    ----------
    ax_ : Axes
        The axes that the display was drawn on.
    figure_ : Figure
        The figure that holds the axes.
    largest_ : Index
        Labels of the rows or groups that are named, the largest first.
    bound_ : float or None
        The usual bound of the quantity, drawn dashed, of J groups: 4/J of Cook's distance and
        MDFFITS, and ±2/√J of DFBETAS ([1]_). None of other quantities, and of rows.

    See Also
    --------
    skmixed.diagnostics.influence : The numbers of rows.
    skmixed.diagnostics.group_influence : The numbers of groups.

    Notes
    -----
    Groups are named on the axis where they have room, and the largest beside their values.
    The bounds are those by which groups are looked at more closely, and no tests.

    References
    ----------
    .. [1] Nieuwenhuis, R., te Grotenhuis, M. and Pelzer, B. (2012). influence.ME: tools for
       detecting influential data in mixed effects models. R Journal 4(2), 38–47,
       doi:10.32614/RJ-2012-011.

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

    def __init__(self, *, influence: pd.DataFrame, quantity: str, unit: str = "row") -> None:
        self.influence = influence
        self.quantity = quantity
        self.unit = unit

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
    ) -> InfluenceDisplay:
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

    @classmethod
    def from_groups(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        groups: Any = None,
        factor: str | None = None,
        sample_weight: ArrayLike | None = None,
        theta: Theta = "refit",
        sigma: RefitOrFixed = "refit",
        quantity: str = "cooks_distance",
        n_labels: int = 5,
        ax: Any = None,
    ) -> InfluenceDisplay:
        """Compute the influence of whole groups and plot it.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor or Pipeline
            The fitted model, with independent residuals.
        X : frame or array-like of shape (n_samples, n_features)
            The rows that the model was fitted to.
        y : array-like of shape (n_samples,), default=None
            Their responses. None: what the formula of the model names, in X.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        factor : str, default=None
            The grouping factor whose levels are left out. None: the only one.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights; needed if the fit had weights.
        theta : {"refit", "fixed", "one_step"}, default="refit"
            How the relative variances are estimated without a group, as in `group_influence`.
        sigma : {"refit", "fixed"}, default="refit"
            Whether σ is held as well, as there.
        quantity : str, default="cooks_distance"
            The column of `skmixed.diagnostics.group_influence` that is plotted.
        n_labels : int, default=5
            How many of the groups to name at most, those of the largest values.
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        InfluenceDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the rows do not match the model, or there is no such factor or quantity.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import InfluenceDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = InfluenceDisplay.from_groups(model, X, y, quantity="dfbetas_Days")
        >>> display.largest_[:2].to_list()
        ['335', '308']
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_groups")
        check_number("n_labels", n_labels, integral=True)
        found = group_influence(
            model,
            X,
            y,
            groups=groups,
            factor=factor,
            sample_weight=sample_weight,
            theta=theta,
            sigma=sigma,
        )
        if quantity not in found:
            known = ", ".join(map(repr, found))
            raise ValueError(
                f"quantity={quantity!r} is not a column of the table, which has {known}."
            )
        unit = ":".join(map(str, found.index.names))
        return cls(influence=found, quantity=quantity, unit=unit).plot(ax, n_labels=n_labels)

    def plot(self, ax: Any = None, *, n_labels: int = 5) -> InfluenceDisplay:
        """Plot the quantity, row by row or group by group.

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
        none = NO_CHANGE.get(self.quantity, 0.0)
        size = np.where(np.isfinite(values), np.abs(values - none), -1.0)
        order = np.argsort(-size, kind="stable")[:n_labels]
        order = order[size[order] > 0.0]
        self.largest_ = self.influence.index[order]
        self.ax_ = ax = single_axes(ax)
        self.figure_ = ax.figure
        place = np.arange(len(values))
        self.bound_ = None if self.unit == "row" else _bound(self.quantity, len(values))
        ax.axhline(none, **LINE)
        ax.vlines(place, none, values, color=BLUE, linewidth=thin(len(values)), alpha=0.5)
        dots(ax, place, values, s=8.0)
        ax.margins(x=0.03, y=0.1)
        if self.bound_ is not None:
            _draw_bound(ax, self.quantity, self.bound_)
        if self.quantity in ("cooks_distance", "mdffits", "covtrace"):
            ax.set_ylim(bottom=0.0)
        finish(ax, x=self.unit, y=_title(self.quantity, self.unit))
        if self.unit == "row":
            whole_numbers(ax.xaxis)
        else:
            ax.set_xlabel(literal(level_ticks(ax, self.influence.index, self.unit)))
        points = np.column_stack([order, values[order]])
        name_points(ax, points, labels_of(self.largest_, 16), up=values[order] >= none)
        return self


def _bound(quantity: str, n: int) -> float | None:
    """Return the usual bound of a quantity of n groups, if there is one."""
    if quantity in ("cooks_distance", "mdffits"):
        return 4.0 / n
    return 2.0 / np.sqrt(n) if quantity.startswith("dfbetas_") else None


def _draw_bound(ax: Any, quantity: str, bound: float) -> None:
    """Draw the bound of a quantity, named at its end; of one with a sign on both sides."""
    name = "2/√J" if quantity.startswith("dfbetas_") else "4/J"
    for own, text in [(bound, name)] + [(-bound, f"−{name}")] * quantity.startswith("dfbetas_"):
        ax.axhline(own, **(LINE | {"linestyle": "--"}))
        style = {"fontsize": LABEL_SIZE, "color": GRAY, "va": "center", "clip_on": False}
        ax.text(1.01, own, text, transform=ax.get_yaxis_transform(), **style)


def _title(quantity: str, unit: str) -> str:
    """Return what a column is called on its axis."""
    if quantity.startswith("change_"):
        of = quantity.removeprefix("change_")
        return f"change of the coefficient of {of}, without the {unit}"
    kind, _, name = quantity.partition("_")
    if kind == "dfbetas":
        return f"DFBETAS of {name}"
    if kind in ("variance", "correlation"):
        relative = "relative " * (kind == "variance")
        of = name.removeprefix("change_")
        return f"{relative}change of the {kind} of {of}, without the {unit}"
    return TITLES.get(quantity, quantity)
