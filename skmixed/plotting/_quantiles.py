"""Random effects against normal quantiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import fitted
from skmixed._results import covariances
from skmixed.inference import random_effects_table
from skmixed.plotting._axes import finish, panels, require_matplotlib
from skmixed.plotting._choice import choose_group, choose_names
from skmixed.plotting._normal import quantile_plot

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
        One a coefficient.
    figure_ : Figure
        Their figure.

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
            Fitted.
        group : str, default=None
            Grouping factor; None: the first one.
        name : str or list of str, default=None
            Its coefficients to show; None: all.
        ax : Axes or array of Axes, default=None
            Where to plot: one a coefficient, or one to divide; None: a new figure.

        Returns
        -------
        RandomEffectsQQDisplay
            With what it shows.

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
        opened = fitted(model)
        k = choose_group(opened.encoder, group)
        names, of_group = choose_names(opened.encoder, k, name), opened.encoder.factors[k].name
        table = random_effects_table(model)
        table = table[(table["group"] == of_group) & table["name"].isin(names)]
        matrix = covariances(opened.encoder, opened.solution)[of_group]
        prior = table["name"].map(dict(zip(matrix.index, np.diagonal(matrix), strict=True)))
        variance = prior - table["std_error"] ** 2
        sd = np.sqrt(variance.where(variance > INFORMED * prior))
        effects = table[["group", "level", "name"]].assign(standardized=table["estimate"] / sd)
        return cls(effects=effects.reset_index(drop=True)).plot(ax)

    def plot(self, ax: Any = None) -> "RandomEffectsQQDisplay":
        """Plot the quantiles.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            One a coefficient, or one to divide; None: a new figure.

        Returns
        -------
        RandomEffectsQQDisplay
            The display itself.

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
        self.axes_ = panels(ax, len(names), size=(max(4.8, 3.4 * len(names)), 3.8))
        self.figure_ = self.axes_[0].figure
        group = self.effects["group"].iloc[0]
        for j, (panel, name) in enumerate(zip(self.axes_, names, strict=True)):
            own = self.effects.loc[self.effects["name"] == name, "standardized"].dropna()
            quantile_plot(panel, own.to_numpy(), center=0.0, scale=1.0)
            title = f"{name} | {group}"
            finish(panel, x="normal quantile", y="" if j else "standardized BLUP", title=title)
        return self
