"""Residuals against fitted values, normal quantiles, and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed import diagnostics
from skmixed._data.parameters import items_of
from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import FittedModel, served
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._generalized_estimators.reading import log_exposure
from skmixed._typing import FloatArray
from skmixed.plotting._axes.labels import LABEL_LENGTH, level_axis, shortened, width_of
from skmixed.plotting._axes.names import choose_group, fitted_name, mean_name, response_of
from skmixed.plotting._axes.places import finish, panels, require_matplotlib
from skmixed.plotting._axes.style import BLUE, LINE, ORANGE, dots, ink, thin
from skmixed.plotting._quantiles import quantile_plot
from skmixed.typing import ResidualKind, ResidualPanel

PANELS = ("fitted", "qq", "group")
SCALES = {
    "conditional": "conditional residual of {0}",
    "marginal": "marginal residual of {0}",
    "pearson": "Pearson residual",
    "standardized": "standardized residual",
    "normalized": "normalized residual",
    "quantile": "quantile residual",
    "deviance": "deviance residual",
    "response": "{0} less its mean",
}
# Kinds whose residuals have a variance of 1 if the model holds.
UNIT = ("standardized", "normalized", "quantile")
# Means of residuals are over bins of so many rows and more.
BIN, MOST_BINS, LEAST_ROWS = 40, 20, 120
# Of the titles that say what a panel shows.
EXPLAINED = {"fontsize": "small"}


class ResidualsDisplay:
    """Residuals against fitted values, against normal quantiles, and by group.

    The line over the first panel is the mean of the residuals in bins of equal
    counts. The band of the second holds 95 % of each ordered value of independent
    normal residuals. The third shows each group's range, quartiles and median.

    Parameters
    ----------
    rows : DataFrame
        Columns ``fitted``, ``residual`` and, with a grouping factor, ``level``.
    kind : str
        Kind of the residuals.
    scale : float
        Standard deviation that the residuals should have: the slope of the line
        over normal quantiles.
    group : str or None
        The name of the grouping factor.
    panels : tuple of str
        The kinds of panels, in their order.
    y_name : str, default="y"
        What the response is called.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes, in the order of `panels`.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    skmixed.diagnostics.residuals : The numbers.

    Notes
    -----
    BLUPs are shrunken, so that conditional residuals rise somewhat with the fitted
    values where groups are small, also if the model is right.

    Of generalized models quantile residuals are shown, which are normal if the model holds,
    also of counts and classes: where a response has a probability of its own, a number is
    drawn within it. Fitted values are then means of the response at the modes of the effects.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import ResidualsDisplay
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> display = ResidualsDisplay.from_estimator(model, X, y)
    >>> display.rows.head(2).round(2)
       fitted  residual  level
    0  253.66     -0.18    308
    1  273.33     -0.63    308
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        rows: pd.DataFrame,
        kind: str,
        scale: float,
        group: str | None,
        panels: tuple[str, ...],
        y_name: str = "y",
    ) -> None:
        self.rows = rows
        self.kind = kind
        self.scale = scale
        self.group = group
        self.panels = panels
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        kind: ResidualKind | None = None,
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
        exposure: ArrayLike | None = None,
        random_state: Any = 0,
        group: str | None = None,
        panels: ResidualPanel | Sequence[ResidualPanel] | None = None,
        ax: Any = None,
    ) -> ResidualsDisplay:
        """Compute the residuals of rows and plot them.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
            The fitted model.
        X : frame or array-like of shape (n_samples, n_features)
            The rows that the model was fitted to.
        y : array-like of shape (n_samples,), default=None
            Their responses. None: what the formula of the model names, in X.
        kind : str, default=None
            Kind of the residuals, as in `skmixed.diagnostics.residuals`: "standardized", the
            usual one of linear models, "pearson", "normalized", "conditional" or "marginal"; of
            generalized ones "quantile", the usual one, "deviance", "pearson" or "response".
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights; needed by all kinds but "conditional", "marginal" and "response" if
            the fit had weights.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        exposure : array-like of shape (n_samples,), default=None
            What counts are proportional to, as in `fit` of their models.
        random_state : int, RandomState, Generator or None, default=0
            Of quantile residuals.
        group : str, default=None
            Grouping factor; None: the first one.
        panels : list of {"fitted", "qq", "group"}, default=None
            What to plot; None: all, ``"group"`` if the model has groups.
        ax : Axes or array of Axes, default=None
            Where to plot: one a panel, or one to divide; None: a new figure.

        Returns
        -------
        ResidualsDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the rows do not match the model, or it has no such factor, or a
            parameter is not known.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        Pearson residuals against normal quantiles alone; the line has the slope σ:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ResidualsDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> options = {"kind": "pearson", "panels": "qq"}
        >>> display = ResidualsDisplay.from_estimator(model, X, y, **options)
        >>> round(float(display.scale), 2)
        25.59
        >>> plt.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        opened = served(model, has_family=True)
        encoder = opened.encoder
        shown = _choose_panels(panels, has_groups=bool(encoder.factors))
        usual: ResidualKind = "quantile" if opened.is_generalized else "standardized"
        shown_kind = usual if kind is None else kind
        rows, opened_rows = residual_rows(
            model,
            {
                "X": X,
                "y": y,
                "sample_weight": sample_weight,
                "groups": groups,
                "exposure": exposure,
            },
            shown_kind,
            random_state,
        )
        name = None
        if group is not None or "group" in shown:
            k = choose_group(encoder, group)
            name, factor = encoder.factors[k].name, encoder.factors[k]
            codes = factor.codes(opened_rows.table, opened_rows.metadata)
            rows["level"] = pd.Categorical.from_codes(codes, factor.index.to_flat_index())
        scale = _scale(opened, shown_kind, rows["residual"].to_numpy())
        return cls(
            rows=rows,
            kind=shown_kind,
            scale=scale,
            group=name,
            panels=shown,
            y_name=mean_name(model, response_of(model, y)),
        ).plot(ax)

    def plot(self, ax: Any = None) -> ResidualsDisplay:
        """Plot the panels.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each panel, or one to divide among them; None makes a new figure.

        Returns
        -------
        ResidualsDisplay
            This display, now drawn.

        Examples
        --------
        Panels below each other, and the rows of the largest residuals:

        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ResidualsDisplay
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
        >>> display = ResidualsDisplay.from_estimator(model, X, y, panels=["fitted", "qq"])
        >>> plt.close(display.figure_)
        >>> figure, axes = plt.subplots(2, 1, layout="constrained")
        >>> display = display.plot(axes)
        >>> display.rows["residual"].abs().nlargest(3).index.to_list()
        [56, 59, 7]
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        n = len(self.panels)
        self.axes_ = panels(ax, n, size=(max(4.8, 3.4 * n), 3.8))
        self.figure_ = self.axes_[0].figure
        draw = {"fitted": self._plot_fitted, "qq": self._plot_quantiles, "group": self._plot_groups}
        known = self.rows[self.rows["residual"].notna()]
        for panel, name in zip(self.axes_, self.panels, strict=True):
            draw[name](panel, known)
        return self

    def _plot_fitted(self, ax: Any, rows: pd.DataFrame) -> None:
        ax.axhline(0.0, **LINE)
        dots(ax, rows["fitted"], rows["residual"])
        n_bins = min(len(rows) // BIN, MOST_BINS)
        if len(rows) >= LEAST_ROWS and rows["fitted"].nunique() > n_bins:
            bins = pd.qcut(rows["fitted"], n_bins, duplicates="drop")
            means = rows.groupby(bins, observed=True)[["fitted", "residual"]].mean()
            ax.plot(means["fitted"], means["residual"], color=ORANGE, linewidth=1.5, zorder=4)
            ax.set_title("line: mean in bins", **EXPLAINED)
        finish(ax, x=fitted_name(self.y_name), y=self._scale_name)

    def _plot_quantiles(self, ax: Any, rows: pd.DataFrame) -> None:
        quantile_plot(ax, rows["residual"].to_numpy(), center=0.0, scale=self.scale)
        ax.set_title("band: 95 % of each ordered value", **EXPLAINED)
        finish(ax, x="normal quantile", y=self._scale_name)

    def _plot_groups(self, ax: Any, rows: pd.DataFrame) -> None:
        grouped = rows.groupby("level", observed=True)["residual"]
        shares = (0.0, 0.25, 0.5, 0.75, 1.0)
        table = pd.DataFrame({str(share): grouped.quantile(share) for share in shares})
        table = table.sort_values("0.5", kind="stable")
        low, first, median, third, high = table.to_numpy().T
        place, width = np.arange(len(median)), thin(len(median))
        ax.axvline(0.0, **LINE)
        ax.hlines(place, low, high, color=BLUE, linewidth=width, alpha=0.3)
        ax.hlines(place, first, third, color=BLUE, linewidth=3.0 * width, alpha=0.7)
        dots(ax, median, place, color=ink(ax), alpha=1.0, zorder=3)
        level_axis(ax, list(table.index), str(self.group))
        ax.set_title("median, quartiles and range", **EXPLAINED)
        finish(ax, x=self._scale_name, beside=width_of(list(table.index)))

    @property
    def _scale_name(self) -> str:
        return SCALES[self.kind].format(shortened(self.y_name, LABEL_LENGTH))


def residual_rows(
    model: Any, given: dict[str, Any], kind: ResidualKind, random_state: Any
) -> tuple[pd.DataFrame, GivenRows]:
    """Return fitted values and residuals of rows, given by X, y and what is beside them."""
    found = diagnostics.residuals(model, kind=kind, random_state=random_state, **given)
    include = "fixed" if kind == "marginal" else "all"
    opened = open_rows(model, given["X"], given["groups"], include=include, has_family=True)
    fitted = _fitted_values(opened, given["exposure"])
    return pd.DataFrame({"fitted": fitted, "residual": found}, index=opened.index), opened


def _fitted_values(given: GivenRows, exposure: Any) -> FloatArray:
    """Return the expected responses, without what residuals of the fit say of them, (n,)."""
    found = replace(given, is_all=False).expected()
    if not given.fitted.is_generalized:
        return found
    return given.fitted.family.mean(found + log_exposure(exposure, given.n_rows))


def _scale(opened: FittedModel, kind: str, found: FloatArray) -> float:
    """Return the standard deviation that residuals should have, or of some kinds have."""
    if kind in UNIT:
        return 1.0
    if kind in ("marginal", "response", "deviance"):
        return float(np.std(found))
    return opened.solution.sigma


def _choose_panels(wanted: str | Sequence[str] | None, *, has_groups: bool) -> tuple[str, ...]:
    if wanted is None:
        return PANELS if has_groups else PANELS[:2]
    chosen = (wanted,) if isinstance(wanted, str) else items_of(wanted, "panels")
    if not chosen:
        raise ValueError(f"panels={wanted!r} names no panel. Use None for all.")
    for name in chosen:
        check_choice("panels", name, PANELS)
    return chosen
