"""Random effects in pairs, over their estimated distribution."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2

from skmixed._fitted.fitted_model import fitted, regressor_of
from skmixed._fitted.results import covariances
from skmixed._typing import FloatArray
from skmixed.plotting._axes.labels import LABEL_LENGTH, LABEL_SIZE, literal, shortened
from skmixed.plotting._axes.names import choose_group, choose_names, in_units, scale_name, units
from skmixed.plotting._axes.places import finish, panels, require_matplotlib, triangle
from skmixed.plotting._axes.style import GRAY, LINE, dots

# Shares of the estimated distribution that ellipses hold.
SHARES = (0.5, 0.95)
# Inches of a panel of a triangle.
SIDE = 2.3
ELLIPSE: dict[str, Any] = {"color": GRAY, "linewidth": 0.9, "linestyle": (0, (4, 2))}


class RandomEffectsPairsDisplay:
    """Random effects of each level, one coefficient against another.

    Of more than two coefficients a triangle: a column of panels for each but the last, a line
    for each but the first. The ellipses hold 50 % and 95 % of the estimated distribution of the
    effects; BLUPs are shrunken, and lie closer together.

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
    per : mapping of str to str, default=None
        Of each coefficient what its effect is by, such as "per unit of Days". None: of no
        coefficient.

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
        per: Mapping[str, str] | None = None,
    ) -> None:
        self.effects = effects
        self.covariance = covariance
        self.group = group
        self.y_name = y_name
        self.per = per

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
        return cls(
            effects=effects,
            covariance=matrix,
            group=of_group,
            y_name=scale_name(model, opened),
            per=units(model, opened, k),
        ).plot(ax)

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
        names = list(self.effects.columns)
        self.pairs_ = list(combinations(names, 2))
        side = len(names) - 1
        length = SIDE if side > 1 else 4.4
        size = (0.9 + length * side, 0.7 + 0.85 * length * side)
        cells = triangle(side)
        self.axes_ = panels(ax, len(cells), n_columns=side, size=size, cells=cells)
        self.figure_ = self.axes_[0].figure
        is_triangle = ax is None or not isinstance(ax, list | tuple | np.ndarray)
        for panel, (first, second), (line, column) in zip(
            self.axes_, self.pairs_, cells, strict=True
        ):
            self._draw(panel, first, second)
            is_low, is_left = line == side - 1 or not is_triangle, column == 0 or not is_triangle
            x, y = (in_units(self.y_name, name, self.per or {}) for name in (first, second))
            title = self.group if side == 1 and ax is not None else ""
            finish(panel, x=x if is_low else "", y=y if is_left else "", title=title)
            panel.tick_params(labelbottom=is_low, labelleft=is_left)
        self._share_limits()
        for panel, (first, second) in zip(self.axes_, self.pairs_, strict=True):
            self._name_ellipses(panel, first, second)
        if ax is None:
            self._explain(is_alone=side == 1)
        return self

    def _draw(self, ax: Any, first: str, second: str) -> None:
        ax.axhline(0.0, **LINE)
        ax.axvline(0.0, **LINE)
        for share in SHARES:
            line = ellipse(self._covariance_of(first, second), share)
            ax.plot(*line, **ELLIPSE, zorder=2)
        dots(ax, self.effects[first], self.effects[second], zorder=3)
        ax.locator_params(nbins=4)

    def _covariance_of(self, first: str, second: str) -> FloatArray:
        own = [first, second]
        return self.covariance.loc[own, own].to_numpy()

    def _share_limits(self) -> None:
        """Give a coefficient the same limits in all panels."""
        along = {which: [pair[k] for pair in self.pairs_] for k, which in enumerate(("x", "y"))}
        found: dict[str, list[tuple[float, float]]] = {}
        for which, names in along.items():
            for panel, name in zip(self.axes_, names, strict=True):
                found.setdefault(name, []).append(getattr(panel, f"get_{which}lim")())
        for which, names in along.items():
            for panel, name in zip(self.axes_, names, strict=True):
                low, high = zip(*found[name], strict=True)
                getattr(panel, f"set_{which}lim")(min(low), max(high))

    def _name_ellipses(self, ax: Any, first: str, second: str) -> None:
        """Write the share that an ellipse holds at its highest point."""
        style = {"fontsize": LABEL_SIZE - 1.0, "ha": "center", "va": "center", "zorder": 4}
        behind = {"boxstyle": "square,pad=0.1", "linewidth": 0.0, "facecolor": ax.get_facecolor()}
        for share in SHARES:
            line = ellipse(self._covariance_of(first, second), share)
            x, y = line[:, np.argmax(line[1])]
            ax.text(x, y, f"{100 * share:g} %", color=GRAY, bbox=behind, **style)

    def _explain(self, *, is_alone: bool) -> None:
        """Say what dots and ellipses are; where a triangle leaves room, in its corner."""
        from matplotlib.lines import Line2D

        dot = self.axes_[0].collections[-1]
        line = Line2D([], [], **ELLIPSE)
        texts = [
            f"a level of {shortened(self.group, LABEL_LENGTH)}",
            "share of the estimated distribution",
        ]
        place = "outside upper center" if is_alone else "upper right"
        style = {"ncols": 2 if is_alone else 1, "frameon": False, "fontsize": "small"}
        self.figure_.legend([dot, line], [literal(own) for own in texts], loc=place, **style)


def ellipse(covariance: FloatArray, share: float) -> FloatArray:
    """Return points around the share of a normal distribution, (2, n)."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0) * chi2.ppf(share, 2))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    return np.asarray(root @ np.stack([np.cos(angle), np.sin(angle)]))
