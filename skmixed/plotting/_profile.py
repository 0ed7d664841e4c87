"""Likelihood profiles, with the intervals that they give."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

from skmixed._typing import FloatArray
from skmixed.inference._parameters import FAMILY_KINDS, KINDS
from skmixed.inference._profile import profile_with_intervals
from skmixed.plotting._axes.labels import LABEL_SIZE
from skmixed.plotting._axes.places import columns_of, finish, panels, require_matplotlib
from skmixed.plotting._axes.style import BLUE, GRAY
from skmixed.typing import ParameterKind

LEVELS = (0.5, 0.8, 0.95, 0.99)
PARAMETER = ["component", "group", "name"]
# Points of a drawn curve.
DRAWN = 400


class ProfileDisplay:
    """Profile ζ of each parameter, with intervals of 50, 80, 95 and 99 %.

    Straight lines are those of quadratic deviances, of which Wald intervals are
    right. Verticals are at the ends of the intervals.

    Parameters
    ----------
    profile : DataFrame
        The table of `skmixed.inference.profile`.
    intervals : DataFrame
        Columns ``component``, ``group``, ``name``, ``level``, ``lower``, ``upper``: those
        of `skmixed.inference.confidence_intervals` by ``method="profile"``.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_parameters,)
        One for each parameter, in the order of `profile`.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    skmixed.inference.profile : The numbers.
    skmixed.inference.confidence_intervals : The intervals.

    Notes
    -----
    As lme4's ``xyplot`` of a profile ([1]_, section 5.1). Curves are monotone cubic
    interpolations.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import ProfileDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = ProfileDisplay.from_estimator(model, components="sigma")
    >>> display.intervals[["level", "lower", "upper"]].round(2)
       level  lower  upper
    0   0.50  24.61  26.64
    1   0.80  23.77  27.65
    2   0.95  22.90  28.86
    3   0.99  22.15  30.03
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(self, *, profile: pd.DataFrame, intervals: pd.DataFrame) -> None:
        self.profile, self.intervals = profile, intervals

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        components: ParameterKind | Sequence[ParameterKind] | None = None,
        n_points: int = 6,
        verbose: int = 0,
        ax: Any = None,
    ) -> "ProfileDisplay":
        """Profile a fitted model and plot it.

        Parameters
        ----------
        model : MixedLinearRegressor or Pipeline
            The fitted model.
        components : list of {"sd", "corr", "sigma", "fixed"}, default=None
            The kinds of parameters to show; None shows all.
        n_points : int, default=6
            Values on each side of an estimate.
        verbose : int, default=0
            1 shows a progress bar of the parameters (needs tqdm).
        ax : Axes or array of Axes, default=None
            Where to plot: one a parameter, or one to divide; None: a new figure.

        Returns
        -------
        ProfileDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If a component is not known or the model has none, or it reproduces y
            exactly.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        The standard deviation between six batches: the profile is far from straight, and
        at 99 % ends at 0.

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_dyestuff
        >>> from skmixed.plotting import ProfileDisplay
        >>> X, y = load_dyestuff(return_X_y=True)
        >>> model = MixedLinearRegressor("Batch").fit(X, y)
        >>> display = ProfileDisplay.from_estimator(model, components="sd", n_points=4)
        >>> display.intervals[["level", "lower", "upper"]].round({"lower": 0, "upper": 0})
           level  lower  upper
        0   0.50   28.0   49.0
        1   0.80   21.0   62.0
        2   0.95   12.0   84.0
        3   0.99    0.0  114.0
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        found, intervals = profile_with_intervals(
            model, LEVELS[-1], LEVELS, components, n_points, verbose
        )
        if found.empty:
            raise ValueError(
                f"components={components!r}, of which the model has none. Use None for all."
            )
        return cls(profile=found, intervals=intervals).plot(ax)

    def plot(self, ax: Any = None) -> "ProfileDisplay":
        """Plot the profiles.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each parameter, or one to divide among them; None makes a new figure.

        Returns
        -------
        ProfileDisplay
            This display, now drawn.

        Examples
        --------
        Below each other instead of side by side:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_dyestuff
        >>> from skmixed.plotting import ProfileDisplay
        >>> X, y = load_dyestuff(return_X_y=True)
        >>> model = MixedLinearRegressor("Batch").fit(X, y)
        >>> wanted = ["sd", "sigma"]
        >>> display = ProfileDisplay.from_estimator(model, components=wanted, n_points=3)
        >>> plt.close(display.figure_)
        >>> figure, axes = plt.subplots(2, 1, layout="constrained")
        >>> [ax.get_xlabel() for ax in display.plot(axes).axes_]
        ['sd of (Intercept) | Batch', 'σ (residual)']
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        parts = list(self.profile.groupby(PARAMETER, sort=False))
        n = len(parts)
        n_columns = columns_of(n)
        size = (max(4.8, 0.8 + 2.3 * n_columns), 0.4 + 2.5 * -(-n // n_columns))
        self.axes_ = panels(ax, n, n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        for j, (panel, (key, part)) in enumerate(zip(self.axes_, parts, strict=True)):
            values, zeta = _curve(part)
            is_own = (self.intervals[PARAMETER] == list(key)).all(axis=1)
            _draw(panel, values, zeta, self.intervals.loc[is_own, ["lower", "upper"]].to_numpy())
            component, *labels = map(str, key)
            title = (KINDS | FAMILY_KINDS)[component].title(*labels)
            finish(panel, x=title, y="" if j % n_columns else "ζ")
            panel.yaxis.label.set_rotation(0)
            panel.tick_params(labelleft=j % n_columns == 0)
            if (j + 1) % n_columns == 0 or j + 1 == n:
                _mark_levels(panel)
        return self


def _curve(part: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    part = part[np.isfinite(part["value"])]  # a shape without an end has an infinite value
    value, zeta = part["value"].to_numpy(), part["zeta"].to_numpy()
    fine = np.linspace(value[0], value[-1], DRAWN)
    fine[-1] = value[-1]
    return fine, np.maximum.accumulate(PchipInterpolator(value, zeta)(fine))


def _draw(ax: Any, values: FloatArray, zeta: FloatArray, limits: FloatArray) -> None:
    """Draw the curve, and verticals at limits (n, 2), where there are any."""
    ax.axhline(0.0, color=GRAY, linewidth=0.8, zorder=1)
    ends = limits[np.isfinite(limits)]
    heights = np.interp(ends, values, zeta)
    ax.vlines(ends, 0.0, heights, color=GRAY, linewidth=0.8, zorder=2)
    ax.plot(values, zeta, color=BLUE, linewidth=1.5, zorder=3)
    ax.set_ylim(-2.9, 2.9)
    ax.set_yticks([-2, -1, 0, 1, 2])
    ax.locator_params(axis="x", nbins=4, steps=[1, 2, 5, 10])


def _mark_levels(ax: Any) -> None:
    """Name the intervals at the right, at the heights of their ends."""
    z = norm.ppf(0.5 + np.array(LEVELS) / 2)
    right = ax.secondary_yaxis("right")
    names = [f"{100 * level:g} %" for level in LEVELS]
    right.set_yticks([*-z[::-1], *z], [*names[::-1], *names])
    right.tick_params(labelsize=LABEL_SIZE - 1.0, color=GRAY, labelcolor=GRAY, pad=2)
    right.spines["right"].set_visible(False)
