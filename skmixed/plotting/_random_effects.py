"""Random effects with their intervals, sorted, and in pairs."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from skmixed._fitted.fitted_model import fitted, regressor_of
from skmixed._fitted.results import covariances
from skmixed._typing import FloatArray
from skmixed.inference import random_effects_table
from skmixed.plotting._axes import (
    BLUE,
    GRAY,
    LINE,
    choose_group,
    choose_names,
    dots,
    finish,
    level_axis,
    panels,
    per,
    require_matplotlib,
    scale_name,
    thin,
)

# Shares of the estimated distribution that ellipses hold.
SHARES = (0.5, 0.95)


class RandomEffectsDisplay:
    """Random effects of a grouping factor with intervals, sorted.

    One panel a coefficient; all are in the order of the first one.

    Parameters
    ----------
    effects : DataFrame
        Rows of `skmixed.inference.random_effects_table` of one factor.
    level : float
        Coverage of the intervals.
    y_name : str, default="y"
        What the linear predictor is called: the response, or the link of that.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_coefficients,)
        The axes, one for each coefficient.
    figure_ : Figure
        The figure that holds the axes.
    order_ : list
        Levels from the bottom to the top.

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
    >>> display.order_[-1]
    '308'
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, effects: pd.DataFrame, level: float, y_name: str = "y") -> None:
        self.effects = effects
        self.level = level
        self.y_name = y_name

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
            Its coefficients to show, the one to sort by first; None: all.
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
        >>> display.order_
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
        own, y_name = table.reset_index(drop=True), scale_name(model, opened)
        return cls(effects=own, level=level, y_name=y_name).plot(ax)

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
        names = list(dict.fromkeys(self.effects["name"]))
        parts = [self.effects[self.effects["name"] == name] for name in names]
        order = np.argsort(parts[0]["estimate"].to_numpy(), kind="stable")
        self.order_ = parts[0]["level"].iloc[order].to_list()
        self.axes_ = panels(ax, len(names), size=(max(4.8, 1.6 + 2.8 * len(names)), 4.8))
        self.figure_ = self.axes_[0].figure
        for j, (panel, name, part) in enumerate(zip(self.axes_, names, parts, strict=True)):
            _draw(panel, part.iloc[order])
            level_axis(panel, self.order_, self.effects["group"].iloc[0], named=j == 0)
            interval = f"{100 * self.level:g} % interval"
            finish(panel, x=f"{per(name, self.y_name)}\n({interval})", title=name)
        return self


def _draw(ax: Any, part: pd.DataFrame) -> None:
    place = np.arange(len(part))
    ax.axvline(0.0, **LINE)
    ax.hlines(place, part["lower"], part["upper"], color=BLUE, linewidth=thin(len(part)), alpha=0.6)
    dots(ax, part["estimate"], place, alpha=1.0, zorder=3)


class RandomEffectsPairsDisplay:
    """Random effects of each level, one coefficient against another.

    The ellipses hold 50 % and 95 % of the estimated distribution of the effects;
    BLUPs are shrunken, and lie closer together.

    Parameters
    ----------
    effects : DataFrame of shape (n_levels, n_coefficients)
        One of the frames of BLUPs in `random_effects_`.
    covariance : DataFrame of shape (n_coefficients, n_coefficients)
        Estimated covariance of one level's effects.
    group : str
        The name of the grouping factor.
    y_name : str, default="y"
        What the linear predictor is called: the response, or the link of that.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_pairs,)
        One for each pair, in the order of `pairs_`.
    pairs_ : list of tuple of str
        The coefficients on the horizontal and on the vertical axis.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    RandomEffectsQQDisplay : Each coefficient against normal quantiles.
    ShrinkageDisplay : How far the groups were shrunken.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import RandomEffectsPairsDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = RandomEffectsPairsDisplay.from_estimator(model)
    >>> display.pairs_
    [('(Intercept)', 'Days')]
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        effects: pd.DataFrame,
        covariance: pd.DataFrame,
        group: str,
        y_name: str = "y",
    ) -> None:
        self.effects = effects
        self.covariance = covariance
        self.group = group
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        group: str | None = None,
        name: Sequence[str] | None = None,
        ax: Any = None,
    ) -> "RandomEffectsPairsDisplay":
        """Plot the random effects of a fitted model in pairs.

        Parameters
        ----------
        model : MixedLinearRegressor or Pipeline
            The fitted model.
        group : str, default=None
            Grouping factor; None: the first one.
        name : list of str, default=None
            Two or more of its coefficients; None: all.
        ax : Axes or array of Axes, default=None
            Where to plot: one a pair, or one to divide; None: a new figure.

        Returns
        -------
        RandomEffectsPairsDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the model has no such factor, or fewer than two such coefficients.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> import pandas as pd
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_machines
        >>> from skmixed.plotting import RandomEffectsPairsDisplay
        >>> X, y = load_machines(return_X_y=True)
        >>> X = pd.get_dummies(X, columns=["Machine"], drop_first=True, dtype=float)
        >>> slopes = ["Machine_B", "Machine_C"]
        >>> model = MixedLinearRegressor("Worker", random_slopes=slopes).fit(X, y)
        >>> display = RandomEffectsPairsDisplay.from_estimator(model)
        >>> display.pairs_
        [('(Intercept)', 'Machine_B'), ('(Intercept)', 'Machine_C'), ('Machine_B', 'Machine_C')]
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        opened = fitted(model, has_family=True)
        k = choose_group(opened.encoder, group)
        names, of_group = choose_names(opened.encoder, k, name), opened.encoder.factors[k].name
        if len(names) < 2:
            raise ValueError(
                f"Pairs need two coefficients, but of {of_group!r} there is {names!r} alone. Use "
                "RandomEffectsQQDisplay."
            )
        matrix = covariances(opened.encoder, opened.solution)[of_group].loc[names, names]
        effects = regressor_of(model).random_effects_[of_group][names]
        y_name = scale_name(model, opened)
        return cls(effects=effects, covariance=matrix, group=of_group, y_name=y_name).plot(ax)

    def plot(self, ax: Any = None) -> "RandomEffectsPairsDisplay":
        """Plot the pairs.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each pair, or one to divide among them; None makes a new figure.

        Returns
        -------
        RandomEffectsPairsDisplay
            This display, now drawn.

        Examples
        --------
        With a point for the largest slope:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import RandomEffectsPairsDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = RandomEffectsPairsDisplay.from_estimator(model)
        >>> plt.close(display.figure_)
        >>> steepest = display.effects["Days"].idxmax()
        >>> (ax,) = display.plot().axes_
        >>> points = ax.scatter(*display.effects.loc[steepest], color="black")
        >>> print(steepest)
        308
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        self.pairs_ = list(combinations(self.effects.columns, 2))
        n = len(self.pairs_)
        n_columns = min(n, 3)
        size = (max(4.8, 3.2 * n_columns), max(3.8, 3.0 * -(-n // n_columns)))
        self.axes_ = panels(ax, n, n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        for panel, (first, second) in zip(self.axes_, self.pairs_, strict=True):
            own = [first, second]
            panel.axhline(0.0, **LINE)
            panel.axvline(0.0, **LINE)
            for share in SHARES:
                line = ellipse(self.covariance.loc[own, own].to_numpy(), share)
                panel.plot(*line, color=GRAY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
            dots(panel, self.effects[first], self.effects[second], zorder=3)
            x, y = (f"{name} ({per(name, self.y_name)})" for name in own)
            finish(panel, x=x, y=y, title=self.group if n == 1 else "")
        return self


def ellipse(covariance: FloatArray, share: float) -> FloatArray:
    """Return points around the share of a normal distribution, (2, n)."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0) * chi2.ppf(share, 2))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    return np.asarray(root @ np.stack([np.cos(angle), np.sin(angle)]))
