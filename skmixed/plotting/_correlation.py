"""Correlations of residuals by their distance in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import fitted
from skmixed.diagnostics import residual_correlation
from skmixed.plotting._axes.labels import LABEL_SIZE, are_whole, whole_numbers
from skmixed.plotting._axes.places import finish, require_matplotlib, single_axes
from skmixed.plotting._axes.style import BLUE, LINE, ORANGE, dots, ink
from skmixed.typing import CorrelatedResiduals, CorrelationQuantity

# What is drawn of the table, of residuals and by the model, and its scale.
QUANTITIES = {
    "correlation": ("correlation", "model", "correlation of residuals"),
    "semivariogram": ("semivariance", "model_semivariance", "semivariance of residuals"),
}
# Lags of which the numbers of pairs are written.
MOST_COUNTS = 20


class ResidualCorrelationDisplay:
    """Correlations of the residuals of subjects by lag, and those of the model.

    Bars are two standard errors of a correlation of independent residuals, 1/√n from n pairs;
    the numbers are those of the pairs.

    Parameters
    ----------
    correlations : DataFrame
        As `skmixed.diagnostics.residual_correlation` returns it.
    quantity : {"correlation", "semivariogram"}
        What is plotted.
    time : str
        The name of the times.

    Attributes
    ----------
    ax_ : Axes
        The axes.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    skmixed.diagnostics.residual_correlation : The numbers.
    skmixed.ResidualCovariance : Structures of the correlation.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor, ResidualCovariance
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import ResidualCorrelationDisplay
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> residual = ResidualCovariance("ar1", subject="Subject", time="Days")
    >>> model = MixedLinearRegressor(residual=residual).fit(X, y)
    >>> display = ResidualCorrelationDisplay.from_estimator(model, X, y)
    >>> display.correlations[["lag", "correlation", "model"]].head(2).round(2)
       lag  correlation  model
    0  1.0         0.77   0.80
    1  2.0         0.66   0.64
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self, *, correlations: pd.DataFrame, quantity: CorrelationQuantity, time: str
    ) -> None:
        self.correlations = correlations
        self.quantity = quantity
        self.time = time

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        quantity: CorrelationQuantity = "correlation",
        kind: CorrelatedResiduals = "pearson",
        subject: str | None = None,
        time: str | None = None,
        bins: int | Sequence[float] | None = None,
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
        ax: Any = None,
    ) -> ResidualCorrelationDisplay:
        """Compute the correlations of residuals and plot them.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor or Pipeline
            The fitted model.
        X : frame or array-like of shape (n_samples, n_features)
            The rows that the model was fitted to.
        y : array-like of shape (n_samples,), default=None
            Their responses. None: what the formula of the model names, in X.
        quantity : {"correlation", "semivariogram"}, default="correlation"
            What to plot.
        kind : {"pearson", "normalized"}, default="pearson"
            Kind of the residuals, as in `skmixed.diagnostics.residual_correlation`.
        subject, time : str, default=None
            Columns of X; None: those of the residual covariance.
        bins : int or sequence of float, default=None
            Bins of the distances, or their edges; None: as the times are.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, needed if the fit had weights.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        ResidualCorrelationDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If subjects or times are neither named nor known, or a parameter is not known.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        What a model with independent residuals leaves:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ResidualCorrelationDisplay
        >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
        >>> model = MixedLinearRegressor("Subject").fit(X, y)
        >>> display = ResidualCorrelationDisplay.from_estimator(
        ...     model, X, y, subject="Subject", time="Days"
        ... )
        >>> display.correlations["pairs"].head(3).to_list()
        [162, 144, 126]
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        check_choice("quantity", quantity, QUANTITIES)
        found = residual_correlation(
            model,
            X,
            y,
            kind=kind,
            subject=subject,
            time=time,
            bins=bins,
            sample_weight=sample_weight,
            groups=groups,
        )
        columns = fitted(model).encoder.subjects
        own = None if columns is None else columns.time
        name = time or ("time" if own is None else own.name)
        return cls(correlations=found, quantity=quantity, time=name).plot(ax)

    def plot(self, ax: Any = None) -> ResidualCorrelationDisplay:
        """Plot the correlations by lag.

        Parameters
        ----------
        ax : Axes, default=None
            Where to plot; None: a new figure.

        Returns
        -------
        ResidualCorrelationDisplay
            This display, now drawn.

        Examples
        --------
        The same as a semivariogram:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor, ResidualCovariance
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ResidualCorrelationDisplay
        >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
        >>> residual = ResidualCovariance("exponential", subject="Subject", time="Days")
        >>> model = MixedLinearRegressor(residual=residual).fit(X, y)
        >>> display = ResidualCorrelationDisplay.from_estimator(model, X, y)
        >>> plt.close(display.figure_)
        >>> display.quantity = "semivariogram"
        >>> display.plot().ax_.get_ylabel()
        'semivariance of residuals'
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        self.ax_ = ax = single_axes(ax)
        self.figure_ = ax.figure
        own, by_model, scale = QUANTITIES[self.quantity]
        table = self.correlations
        lag, values = table["lag"].to_numpy(), table[own].to_numpy()
        ax.plot(lag, table[by_model], color=ORANGE, linewidth=1.5, label="model", zorder=2)
        if self.quantity == "correlation":
            ax.axhline(0.0, **LINE)
            half = norm.ppf(0.975) / np.sqrt(table["pairs"])
            ax.vlines(lag, values - half, values + half, color=BLUE, linewidth=1.0, alpha=0.5)
        dots(ax, lag, values, s=16.0, alpha=1.0, zorder=3, label="residuals")
        if len(table) <= MOST_COUNTS:
            style = {"fontsize": LABEL_SIZE - 1.0, "color": ink(ax), "ha": "center", "va": "bottom"}
            ax.text(-0.01, 1.0, "pairs", transform=ax.transAxes, **(style | {"ha": "right"}))
            for x, n in zip(lag, table["pairs"], strict=True):
                ax.text(x, 1.0, f"{n}", transform=ax.get_xaxis_transform(), **style)
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.04), "ncols": 2}
        ax.legend(frameon=False, fontsize="small", **place)
        if are_whole(lag):
            whole_numbers(ax.xaxis)
        finish(ax, x=f"distance in {self.time}", y=scale)
        return self
