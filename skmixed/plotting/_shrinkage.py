"""No pooling, partial pooling and complete pooling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import served
from skmixed.plotting._axes.labels import height_of, level_axis, width_of
from skmixed.plotting._axes.names import choose_group, choose_names, in_units, scale_name, units
from skmixed.plotting._axes.places import finish, require_matplotlib, single_axes
from skmixed.plotting._axes.style import GRAY, LINE, MANY, ORANGE, dots, ink, thin
from skmixed.plotting._pooling import pooling

NO, PARTIAL, COMPLETE = "no pooling", "partial pooling", "complete pooling"
# Of many groups, the share of own fits on each side that may lie beyond the axes.
BEYOND = 0.005


class ShrinkageDisplay:
    """Each group's own fit, its BLUP and the fixed effects.

    With one coefficient a line for each group; with two a plane, in which arrows
    lead from the groups' own fits to their BLUPs.

    Parameters
    ----------
    no_pooling, partial_pooling : DataFrame of shape (n_levels, 1 or 2)
        Coefficients of each level: least squares of its own rows (NaN where those
        do not determine them), and fixed plus random effects.
    complete_pooling : Series of shape (1 or 2,)
        The fixed effects; 0 for a column without one.
    group : str
        The name of the grouping factor.
    y_name : str, default="y"
        What the linear predictor is called: the response, or the link of that.
    per : mapping of str to str, default=None
        Of each coefficient what its effect is by, such as "per unit of Days". None: of no
        coefficient.

    Attributes
    ----------
    ax_ : Axes
        The axes that the display was drawn on.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    RandomEffectsDisplay : The random effects with intervals.
    FittedLinesDisplay : Data and fitted line of each group.

    Notes
    -----
    A group's own fit is least squares of y less the fixed effects of other columns
    and the random effects of other factors, read off the cross-products of the fit, and
    of rows given to `update_groups` after it.
    With A = Zⱼ'WⱼZⱼ, the products of its rows, the BLUP is the mean of own fit c
    and fixed effects β, weighted by precisions: (A/σ² + Σ⁻¹)⁻¹(A c/σ² + Σ⁻¹β);
    see [1]_, chapter 12.

    Of generalized models coefficients are on the scale of the link, and a group's own fit is
    maximum likelihood of its rows, at the modes of other factors' effects. It is NaN where the
    likelihood has no maximum, as of a group of one class or of counts that are all 0.

    References
    ----------
    .. [1] Gelman, A. and Hill, J. (2007). Data Analysis Using Regression and
       Multilevel/Hierarchical Models. Cambridge University Press.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import ShrinkageDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = ShrinkageDisplay.from_estimator(model)
    >>> display.no_pooling.loc[["308"]].round(2)
             (Intercept)   Days
    Subject
    308           244.19  21.76
    >>> display.partial_pooling.loc[["308"]].round(2)
             (Intercept)   Days
    Subject
    308           253.66  19.67
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        no_pooling: pd.DataFrame,
        partial_pooling: pd.DataFrame,
        complete_pooling: pd.Series,
        group: str,
        y_name: str = "y",
        per: Mapping[str, str] | None = None,
    ) -> None:
        self.no_pooling = no_pooling
        self.partial_pooling = partial_pooling
        self.complete_pooling = complete_pooling
        self.group = group
        self.y_name = y_name
        self.per = per

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        group: str | None = None,
        name: str | Sequence[str] | None = None,
        ax: Any = None,
    ) -> "ShrinkageDisplay":
        """Compute the three kinds of coefficients and plot them.

        Parameters
        ----------
        model : MixedLinearRegressor, generalized model or Pipeline
            The fitted model.
        group : str, default=None
            Grouping factor; None: the first one.
        name : str or list of two str, default=None
            One of its coefficients, or two; None: the first two.
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        ShrinkageDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the model has no such factor or coefficient, or more than two are
            named.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        Rails whose own means are known well keep them nearly as they are:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_rail
        >>> from skmixed.plotting import ShrinkageDisplay
        >>> X, y = load_rail(return_X_y=True)
        >>> model = MixedLinearRegressor("Rail").fit(X, y)
        >>> display = ShrinkageDisplay.from_estimator(model)
        >>> (display.partial_pooling - display.no_pooling).round(2).head(3)
              (Intercept)
        Rail
        1            0.11
        2            0.30
        3           -0.16
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        opened = served(model, has_family=True)
        k = choose_group(opened.encoder, group)
        names = choose_names(opened.encoder, k, name)
        if name is not None and len(names) > 2:
            raise ValueError(f"name={list(names)!r} has {len(names)} coefficients. Name up to two.")
        names, found = names[:2], pooling(opened, k)
        return cls(
            no_pooling=found.none[names],
            partial_pooling=found.partial[names],
            complete_pooling=found.complete[names],
            group=opened.encoder.factors[k].name,
            y_name=scale_name(model, opened),
            per=units(model, opened, k),
        ).plot(ax)

    def plot(self, ax: Any = None) -> "ShrinkageDisplay":
        """Plot them.

        Parameters
        ----------
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        ShrinkageDisplay
            This display, now drawn.

        Examples
        --------
        The slopes alone, in axes of one's own:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ShrinkageDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = ShrinkageDisplay.from_estimator(model, name="Days")
        >>> plt.close(display.figure_)
        >>> figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
        >>> display.plot(ax).ax_.get_xlabel()
        'Reaction per unit of Days'
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        is_line = self.no_pooling.shape[1] == 1
        levels = self.partial_pooling.index.to_flat_index().to_list()
        self.ax_ = single_axes(ax, (6.4, height_of(levels)) if is_line else None)
        self.figure_ = self.ax_.figure
        if is_line:
            self._plot_lines(self.ax_)
        else:
            self._plot_plane(self.ax_)
        legend = self.ax_.legend(
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=3,
            frameon=False,
            fontsize="small",
            handletextpad=0.4,
            columnspacing=1.4,
        )
        for handle in legend.legend_handles:
            handle.set_alpha(1.0)
            if hasattr(handle, "set_sizes"):
                handle.set_sizes([24.0])
        return self

    def _limit(self, ax: Any) -> None:
        """Leave the wildest of many own fits beyond the axes; say how many, and how many lack."""
        own, partial = self.no_pooling.to_numpy(), self.partial_pooling.to_numpy()
        missing, beyond = int(np.isnan(own).any(axis=1).sum()), 0
        if len(own) > MANY:
            shares = [BEYOND, 1.0 - BEYOND]
            inner = np.concatenate([np.nanquantile(own, shares, axis=0), partial])
            low, high = inner.min(axis=0), inner.max(axis=0)
            margin = 0.05 * (high - low)
            low, high = low - margin, high + margin
            for set_limits, *ends in zip((ax.set_xlim, ax.set_ylim), low, high, strict=False):
                set_limits(*ends)
            beyond = int(((own < low) | (own > high)).any(axis=1).sum())
        said = [f"{beyond} own fits beyond the axes"] * (beyond > 0)
        said += (
            ["1 level that has no fit of its own"]
            if missing == 1
            else [f"{missing} levels that have no fit of their own"] * (missing > 0)
        )
        if said:
            place = {"xycoords": "axes fraction", "ha": "right", "va": "bottom"}
            ax.annotate("\n".join(said), (0.99, 0.01), fontsize="x-small", color=ink(ax), **place)

    def _plot_lines(self, ax: Any) -> None:
        name = self.complete_pooling.index[0]
        order = np.argsort(self.partial_pooling[name].to_numpy(), kind="stable")
        own = self.no_pooling[name].to_numpy()[order]
        partial = self.partial_pooling[name].to_numpy()[order]
        place, n = np.arange(len(order)), len(order)
        ax.axvline(self.complete_pooling.iloc[0], **(LINE | {"color": ORANGE}), label=COMPLETE)
        ax.hlines(place, own, partial, color=GRAY, linewidth=thin(n))
        size = {"s": 24.0} if n <= MANY else {}
        dots(ax, own, place, **_hollow(ax, n), **size, label=NO)
        dots(ax, partial, place, alpha=1.0, zorder=3, label=PARTIAL)
        levels = self.partial_pooling.index.to_flat_index()[order]
        level_axis(ax, levels.to_list(), self.group)
        self._limit(ax)
        finish(ax, x=in_units(self.y_name, name, self.per or {}), beside=width_of(levels.to_list()))

    def _plot_plane(self, ax: Any) -> None:
        first, second = self.complete_pooling.index
        own, partial = self.no_pooling.to_numpy(), self.partial_pooling.to_numpy()
        step, n = partial - own, len(own)
        ax.quiver(
            *own.T,
            *step.T,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            color=GRAY,
            width=0.003 if n <= MANY else 0.0015,
            headwidth=5.0 if n <= MANY else 1.0,
            alpha=0.8 if n <= MANY else float(np.clip(100.0 / n, 0.05, 0.25)),
            minlength=0.0,
        )
        dots(ax, *own.T, **_hollow(ax, n), label=NO)
        dots(ax, *partial.T, zorder=3, label=PARTIAL)
        style = {"color": ORANGE, "marker": "D", "s": 40.0, "edgecolors": "white", "zorder": 4}
        ax.scatter(*self.complete_pooling, **style, label=COMPLETE)
        self._limit(ax)
        x, y = (in_units(self.y_name, name, self.per or {}) for name in (first, second))
        finish(ax, x=x, y=y)


def _hollow(ax: Any, n: int) -> dict[str, Any]:
    """Style circles, or paler dots where there are many."""
    if n > MANY:
        return {"color": ink(ax), "zorder": 2}
    return {
        "facecolors": [ax.get_facecolor()],
        "edgecolors": [ink(ax)],
        "linewidths": 0.9,
        "color": None,
        "zorder": 2,
    }
