"""Shares of the parts of the variance."""

from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import fitted
from skmixed.inference import variance_decomposition
from skmixed.plotting._axes.labels import LABEL_LENGTH, literal, shortened
from skmixed.plotting._axes.names import scale_name
from skmixed.plotting._axes.places import finish, require_matplotlib, single_axes
from skmixed.plotting._axes.style import BLUE, GRAY
from skmixed.typing import VarianceBars

KINDS = ("bars", "stacked")
# After Okabe and Ito, in turn for the grouping factors.
FACTORS = (BLUE, "#56B4E9", "#009E73", "#CC79A7", "#F0E442")
FIXED, RESIDUAL = "#E69F00", "#BFBFBF"


class VarianceDecompositionDisplay:
    """Variance of y by its parts: fixed effects, grouping factors, residual.

    Parameters
    ----------
    decomposition : DataFrame
        The table of `skmixed.inference.variance_decomposition`.
    y_name : str, default="y"
        What the linear predictor is called: the response, or the link of that.

    Attributes
    ----------
    ax_ : Axes
        The axes that the display was drawn on.
    figure_ : Figure
        The figure that holds the axes.
    bars_ : list of Rectangle
        The bars, one for each part of the variance.

    See Also
    --------
    skmixed.inference.variance_decomposition : The numbers and what they mean.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import VarianceDecompositionDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = VarianceDecompositionDisplay.from_estimator(model, kind="stacked")
    >>> [round(float(bar.get_width()), 1) for bar in display.bars_]
    [27.9, 52.1, 20.1]
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, decomposition: pd.DataFrame, y_name: str = "y") -> None:
        self.decomposition = decomposition
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls, model: Any, *, kind: VarianceBars = "bars", ax: Any = None
    ) -> "VarianceDecompositionDisplay":
        """Decompose the variance of a fitted model and plot it.

        Parameters
        ----------
        model : MixedLinearRegressor or Pipeline
            The fitted model.
        kind : {"bars", "stacked"}, default="bars"
            A bar for each part, or one bar of all.
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        VarianceDecompositionDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If `kind` is not known.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        Penicillin differs by the sample, less by the plate:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import VarianceDecompositionDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> display = VarianceDecompositionDisplay.from_estimator(model)
        >>> display.decomposition["share"].round(2).to_dict()
        {'fixed': 0.0, 'plate': 0.15, 'sample': 0.79, 'residual': 0.06}
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_choice("kind", kind, KINDS)
        table, view = variance_decomposition(model), fitted(model, has_family=True)
        return cls(decomposition=table, y_name=scale_name(model, view)).plot(ax, kind=kind)

    def plot(
        self, ax: Any = None, *, kind: VarianceBars = "bars"
    ) -> "VarianceDecompositionDisplay":
        """Plot the shares.

        Parameters
        ----------
        ax : Axes, default=None
            Where to plot; None: a new figure.
        kind : {"bars", "stacked"}, default="bars"
            A bar for each part, or one bar of all.

        Returns
        -------
        VarianceDecompositionDisplay
            This display, now drawn.

        Examples
        --------
        One bar of all parts:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import VarianceDecompositionDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> display = VarianceDecompositionDisplay.from_estimator(model)
        >>> plt.close(display.figure_)
        >>> display = display.plot(kind="stacked")
        >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
        ['fixed 0.0 %', 'plate 15.1 %', 'sample 78.5 %', 'residual 6.4 %']
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        check_choice("kind", kind, KINDS)
        n = len(self.decomposition)
        height = 1.6 if kind == "stacked" else 1.2 + 0.45 * n
        self.ax_ = single_axes(ax, (6.4, height))
        self.figure_ = self.ax_.figure
        (self._plot_stacked if kind == "stacked" else self._plot_bars)(self.ax_)
        finish(self.ax_, x=f"share of the variance of {shortened(self.y_name, LABEL_LENGTH)} (%)")
        self.ax_.tick_params(axis="y", length=0)
        return self

    def _plot_bars(self, ax: Any) -> None:
        table, place = self.decomposition, np.arange(len(self.decomposition))
        share = 100.0 * table["share"].to_numpy()
        bars = ax.barh(place, share, height=0.6, color=_colors(len(table)))
        self.bars_ = list(bars)
        text = [f"{s:.1f} %, sd {sd:.4g}" for s, sd in zip(share, table["sd"], strict=True)]
        ax.bar_label(bars, text, padding=4, fontsize="small")
        ax.set_yticks(place, [literal(part) for part in table.index])
        ax.invert_yaxis()
        # Room for the text behind the longest bar.
        ax.set_xlim(0.0, max(1.35 * float(share.max()), 1.0))
        ax.set_xticks([tick for tick in ax.get_xticks() if tick <= 100.0])

    def _plot_stacked(self, ax: Any) -> None:
        table = self.decomposition
        share = 100.0 * table["share"].to_numpy()
        starts = np.cumsum(share) - share
        colors, self.bars_ = _colors(len(table)), []
        for part, width, start, color in zip(table.index, share, starts, colors, strict=True):
            label = f"{literal(part)} {width:.1f} %"
            bar = ax.barh(0.0, width, left=start, color=color, height=0.6, label=label)
            self.bars_ += list(bar)
        ax.set_yticks([])
        ax.set_xlim(0.0, 100.0)
        ax.spines["left"].set_color(GRAY)
        style = {"ncols": 4, "frameon": False, "fontsize": "small", "handlelength": 1.0}
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), **style)


def _colors(n: int) -> list[str]:
    return [FIXED, *(FACTORS[k % len(FACTORS)] for k in range(n - 2)), RESIDUAL]
