"""Random effects against normal quantiles.

Quantiles of a sample against those of the normal distribution.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta, norm

from skmixed._fitted.fitted_model import fitted
from skmixed._fitted.results import covariances
from skmixed._typing import FloatArray
from skmixed.inference import random_effects_table
from skmixed.plotting._axes.names import choose_group, choose_names
from skmixed.plotting._axes.places import columns_of, finish, panels, require_matplotlib
from skmixed.plotting._axes.style import GRAY, dots, ink, shade


def normal_quantiles(n: int) -> FloatArray:
    """Return normal quantiles of n ordered values, (n,).

    At (i − 3/8)/(n + 1/4) (Blom, 1958, Statistical Estimates and Transformed
    Beta-Variables).
    """
    return np.asarray(norm.ppf((np.arange(1, n + 1) - 0.375) / (n + 0.25)))


def envelope(n: int, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return pointwise limits of n ordered independent standard normal values.

    The share below the i-th of n is distributed as Beta(i, n + 1 − i).
    """
    i = np.arange(1, n + 1)
    low, high = (norm.ppf(beta.ppf(p, i, n + 1 - i)) for p in (0.5 - level / 2, 0.5 + level / 2))
    return np.asarray(low), np.asarray(high)


def quantile_plot(ax: Any, values: FloatArray, *, center: float, scale: float) -> None:
    """Plot ordered values, the line center + scale·z and the envelope around it."""
    if not len(values):
        place = {"xycoords": "axes fraction", "ha": "center", "va": "center"}
        ax.annotate("all variances are 0", (0.5, 0.5), color=ink(ax), **place)
        return
    ordered, z = np.sort(values), normal_quantiles(len(values))
    low, high = envelope(len(values))
    band = {"color": shade(ax), "alpha": 0.6, "linewidth": 0.0, "zorder": 0}
    ax.fill_between(z, center + scale * low, center + scale * high, **band)
    ax.plot(z, center + scale * z, color=GRAY, linewidth=0.9, zorder=1)
    dots(ax, z, ordered, zorder=3, alpha=0.85)


# Below this share of the variance of b, the data say nothing about a level's b.
INFORMED = 1e-6


class RandomEffectsQQDisplay:
    """Standardized random effects against normal quantiles.

    Each BLUP is divided by its own standard deviation over samples, so that those
    of small groups, which are shrunken more, are comparable with the others. The
    line is that of a standard normal distribution, the band holds 95 % of each
    ordered value.

    Parameters
    ----------
    effects : DataFrame
        Columns ``group``, ``level``, ``name``, ``standardized``; NaN where the data
        say nothing about an effect, or its variance is estimated as 0.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_coefficients,)
        The axes, one for each coefficient.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    RandomEffectsDisplay : The random effects with intervals.
    ResidualsDisplay : Residuals against normal quantiles.

    Notes
    -----
    Var(b̂) = Var(b) − Var(b | y), given the fixed effects and the variances [1]_.
    The band is that of independent values, which BLUPs are only nearly.

    References
    ----------
    .. [1] Lange, N. and Ryan, L. (1989). Assessing normality in random effects
       models. Ann. Statist. 17, 624–642.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import RandomEffectsQQDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = RandomEffectsQQDisplay.from_estimator(model)
    >>> display.effects.head(2).round(2)
         group  level         name  standardized
    0  Subject    308  (Intercept)          0.10
    1  Subject    308         Days          1.69
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, effects: pd.DataFrame) -> None:
        self.effects = effects

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        group: str | None = None,
        name: str | Sequence[str] | None = None,
        ax: Any = None,
    ) -> "RandomEffectsQQDisplay":
        """Compute the standardized random effects and plot them.

        Parameters
        ----------
        model : MixedLinearRegressor or Pipeline
            The fitted model.
        group : str, default=None
            Grouping factor; None: the first one.
        name : str or list of str, default=None
            Its coefficients to show; None: all.
        ax : Axes or array of Axes, default=None
            Where to plot: one a coefficient, or one to divide; None: a new figure.

        Returns
        -------
        RandomEffectsQQDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the model has no such factor or coefficient.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        The BLUPs of 24 plates, in units of their own standard deviations:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import RandomEffectsQQDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> display = RandomEffectsQQDisplay.from_estimator(model, group="plate")
        >>> round(float(display.effects["standardized"].std()), 2)
        1.02
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        opened = fitted(model, has_family=True)
        k = choose_group(opened.encoder, group)
        names, of_group = choose_names(opened.encoder, k, name), opened.encoder.factors[k].name
        table = standardized_effects(model)
        own = (table["group"] == of_group) & table["name"].isin(names)
        return cls(effects=table[own].reset_index(drop=True)).plot(ax)

    def plot(self, ax: Any = None) -> "RandomEffectsQQDisplay":
        """Plot the quantiles.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each coefficient, or one to divide among them; None makes a new figure.

        Returns
        -------
        RandomEffectsQQDisplay
            This display, now drawn.

        Examples
        --------
        Intercepts and slopes below each other:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import RandomEffectsQQDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = RandomEffectsQQDisplay.from_estimator(model)
        >>> plt.close(display.figure_)
        >>> figure, axes = plt.subplots(2, 1, layout="constrained")
        >>> [ax.get_title() for ax in display.plot(axes).axes_]
        ['(Intercept) | Subject', 'Days | Subject']
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        names = list(dict.fromkeys(self.effects["name"]))
        n_columns = columns_of(len(names))
        size = (max(4.8, 3.2 * n_columns), 3.6 * -(-len(names) // n_columns))
        self.axes_ = panels(ax, len(names), n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        group = self.effects["group"].iloc[0]
        for j, (panel, name) in enumerate(zip(self.axes_, names, strict=True)):
            own = self.effects.loc[self.effects["name"] == name, "standardized"].dropna()
            quantile_plot(panel, own.to_numpy(), center=0.0, scale=1.0)
            title = f"{name} | {group}"
            finish(
                panel,
                x="normal quantile",
                y="" if j % n_columns else "standardized BLUP",
                title=title,
            )
        return self


def standardized_effects(model: Any) -> pd.DataFrame:
    """Return all random effects, by their own standard deviations over samples."""
    opened = fitted(model, has_family=True)
    table = random_effects_table(model)
    variances = {
        (group, name): variance
        for group, matrix in covariances(opened.encoder, opened.solution).items()
        for name, variance in zip(matrix.index, np.diagonal(matrix), strict=True)
    }
    prior = pd.MultiIndex.from_frame(table[["group", "name"]]).map(variances).to_series()
    prior = prior.astype(float).set_axis(table.index)
    # Var(b̂) = Var(b) − Var(b | y)
    variance = prior - table["std_error"] ** 2
    sd = np.sqrt(variance.where(variance > INFORMED * prior))
    return table[["group", "level", "name"]].assign(standardized=table["estimate"] / sd)
