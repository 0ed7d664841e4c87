"""Random effects with their intervals, sorted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import fitted
from skmixed.inference import random_effects_table
from skmixed.plotting._axes.labels import LABEL_LENGTH, height_of, level_axis, shortened, width_of
from skmixed.plotting._axes.names import choose_group, choose_names, scale_name, units
from skmixed.plotting._axes.places import columns_of, finish, panels, require_matplotlib
from skmixed.plotting._axes.style import BLUE, LINE, dots, faint, thin

# Inches of a panel beside the names of its levels.
WIDTH = 2.9


class RandomEffectsDisplay:
    """Random effects of a grouping factor with intervals, sorted.

    One panel a coefficient, each sorted by its own effects. A new figure is as high as the
    names of the levels need; where all cannot be named, the highest and the lowest are.

    Parameters
    ----------
    effects : DataFrame
        Rows of `skmixed.inference.random_effects_table` of one factor.
    level : float
        Coverage of the intervals.
    y_name : str, default="y"
        What the linear predictor is called: the response, or the link of that.
    per : mapping of str to str, default=None
        Of each coefficient what its effect is by, such as "per unit of Days". None: of no
        coefficient.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_coefficients,)
        The axes, one for each coefficient.
    figure_ : Figure
        The figure that holds the axes.
    order_ : dict of str to list
        Of each coefficient its levels, from the bottom to the top.

    See Also
    --------
    skmixed.inference.random_effects_table : The numbers.
    ShrinkageDisplay : How far the groups were shrunken.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import RandomEffectsDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = RandomEffectsDisplay.from_estimator(model, name="Days")
    >>> display.order_["Days"][-1]
    '308'
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        effects: pd.DataFrame,
        level: float,
        y_name: str = "y",
        per: Mapping[str, str] | None = None,
    ) -> None:
        self.effects = effects
        self.level = level
        self.y_name = y_name
        self.per = per

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        group: str | None = None,
        name: str | Sequence[str] | None = None,
        level: float = 0.95,
        ax: Any = None,
    ) -> "RandomEffectsDisplay":
        """Compute the random effects of a fitted model and plot them.

        Parameters
        ----------
        model : MixedLinearRegressor or Pipeline
            The fitted model.
        group : str, default=None
            Grouping factor; None: the first one.
        name : str or list of str, default=None
            Its coefficients to show, in their order; None: all.
        level : float, default=0.95
            Coverage of the intervals, which are given the variances.
        ax : Axes or array of Axes, default=None
            Where to plot: one a coefficient, or one to divide; None: a new figure.

        Returns
        -------
        RandomEffectsDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the model has no such factor or coefficient.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        The second of two crossed factors, with intervals of 90 %:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import RandomEffectsDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> display = RandomEffectsDisplay.from_estimator(model, group="sample", level=0.9)
        >>> display.order_["(Intercept)"]
        ['F', 'B', 'D', 'E', 'C', 'A']
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        opened = fitted(model, has_family=True)
        encoder = opened.encoder
        k = choose_group(encoder, group)
        names = choose_names(encoder, k, name)
        table = random_effects_table(model, level=level)
        table = table[(table["group"] == encoder.factors[k].name) & table["name"].isin(names)]
        table = table.sort_values("name", key=lambda n: n.map(names.index), kind="stable")
        return cls(
            effects=table.reset_index(drop=True),
            level=level,
            y_name=scale_name(model, opened),
            per=units(model, opened, k),
        ).plot(ax)

    def plot(self, ax: Any = None) -> "RandomEffectsDisplay":
        """Plot the intervals.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each coefficient, or one to divide among them; None makes a new figure.

        Returns
        -------
        RandomEffectsDisplay
            This display, now drawn.

        Examples
        --------
        Two factors in one figure:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import RandomEffectsDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> figure, axes = plt.subplots(1, 2, layout="constrained")
        >>> for name, ax in zip(("plate", "sample"), axes, strict=True):
        ...     display = RandomEffectsDisplay.from_estimator(model, group=name)
        ...     plt.close(display.figure_)
        ...     display = display.plot(ax)
        >>> [ax.get_ylabel() for ax in axes]
        ['plate', 'sample']
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        parts = {
            str(name): own.sort_values("estimate", kind="stable")
            for name, own in self.effects.groupby("name", sort=False)
        }
        self.order_ = {name: own["level"].to_list() for name, own in parts.items()}
        levels = next(iter(self.order_.values()))
        n_columns = columns_of(len(parts))
        beside = width_of(levels)
        size = (
            max(4.8, n_columns * (WIDTH + beside)),
            -(-len(parts) // n_columns) * height_of(levels),
        )
        self.axes_ = panels(ax, len(parts), n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        for j, (panel, (name, part)) in enumerate(zip(self.axes_, parts.items(), strict=True)):
            _draw(panel, part)
            level_axis(panel, self.order_[name], self.effects["group"].iloc[0])
            if j % n_columns:
                panel.set_ylabel("")
            by = (self.per or {}).get(name, "")
            unit = f"{shortened(self.y_name, LABEL_LENGTH)} {by}".rstrip()
            label = f"{unit}\n({100 * self.level:g} % interval)"
            finish(panel, x=label, title=shortened(name, LABEL_LENGTH), beside=beside)
        return self


def _draw(ax: Any, part: pd.DataFrame) -> None:
    place = np.arange(len(part))
    ax.axvline(0.0, **LINE)
    ax.hlines(
        place,
        part["lower"],
        part["upper"],
        color=BLUE,
        linewidth=thin(len(part)),
        alpha=faint(len(part)),
    )
    dots(ax, part["estimate"], place, alpha=1.0, zorder=3)
