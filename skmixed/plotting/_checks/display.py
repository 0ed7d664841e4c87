"""The checks of a model's assumptions, and the figure that shows them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike

from skmixed import diagnostics
from skmixed._fitted.fitted_model import FittedModel, served
from skmixed.diagnostics._collinearity import inflation_of
from skmixed.plotting._axes.labels import literal
from skmixed.plotting._axes.names import mean_name, response_of
from skmixed.plotting._axes.places import panels, require_matplotlib
from skmixed.plotting._checks.panels import (
    draw_effects,
    draw_homogeneity,
    draw_inflation,
    draw_influence,
    draw_linearity,
    draw_residuals,
)
from skmixed.plotting._checks.words import sentences
from skmixed.plotting._influence import InfluenceDisplay
from skmixed.plotting._quantiles import standardized_effects
from skmixed.plotting._residuals import residual_rows
from skmixed.typing import ResidualKind


class ModelChecksDisplay:
    """The checks of a model's assumptions, in one figure.

    Residuals against fitted values, for linearity; the roots of their absolute values, for
    equal variances; residuals and random effects against normal quantiles; Cook's distances;
    variance inflation factors. Below stands in words how the fit ended, and whether it is
    singular.

    Parameters
    ----------
    rows : DataFrame
        Columns ``fitted``, ``residual``, of standard deviation 1 if the model holds, and
        ``cooks_distance``, NaN where it is not there.
    effects : DataFrame or None
        Columns ``group``, ``level``, ``name``, ``standardized``; None without random effects.
    inflation : DataFrame or None
        The table of `skmixed.diagnostics.variance_inflation`; None of fewer than two terms.
    words : tuple of str
        What is said of the fit.
    residual_kind : str, default="standardized"
        The kind of the residuals, as `skmixed.diagnostics.residuals` calls it.
    y_name : str, default="y"
        What the response is called.

    Attributes
    ----------
    axes_ : ndarray of Axes of shape (n_panels,)
        The axes of the panels.
    figure_ : Figure
        The figure that holds the axes.

    See Also
    --------
    check_model : Makes it in one call.
    ResidualsDisplay, RandomEffectsQQDisplay, InfluenceDisplay : Panels of their own.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.plotting import ModelChecksDisplay
    >>> data = load_cake().frame
    >>> model = lmer("angle ~ recipe + temp + (1 | recipe:replicate)", data)
    >>> display = ModelChecksDisplay.from_estimator(model, data)
    >>> display.words[0]
    'The search for the estimates converged.'
    >>> matplotlib.pyplot.close(display.figure_)
    """

    def __init__(
        self,
        *,
        rows: pd.DataFrame,
        effects: pd.DataFrame | None,
        inflation: pd.DataFrame | None,
        words: tuple[str, ...],
        residual_kind: ResidualKind = "standardized",
        y_name: str = "y",
    ) -> None:
        self.rows = rows
        self.effects = effects
        self.inflation = inflation
        self.words = words
        self.residual_kind = residual_kind
        self.y_name = y_name

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
        exposure: ArrayLike | None = None,
        random_state: Any = 0,
        ax: Any = None,
    ) -> ModelChecksDisplay:
        """Compute what the checks need, and plot it.

        Parameters
        ----------
        model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
            The fitted model.
        X : frame or array-like of shape (n_samples, n_features)
            The rows that the model was fitted to.
        y : array-like of shape (n_samples,), default=None
            Their responses. None: what the formula of the model names, in X.
        sample_weight : array-like of shape (n_samples,), default=None
            Their weights; needed if the fit had weights.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.
        exposure : array-like of shape (n_samples,), default=None
            What counts are proportional to, as in `fit` of their models.
        random_state : int, RandomState, Generator or None, default=0
            Of the quantile residuals of classes and counts.
        ax : Axes or array of Axes, default=None
            Where to plot: one a panel, or one to divide; None: a new figure.

        Returns
        -------
        ModelChecksDisplay
            The display, drawn, with the data that it shows.

        Raises
        ------
        ValueError
            If the rows do not match the model.
        ImportError
            If matplotlib is not installed.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from skmixed import MixedLinearRegressor
        >>> from skmixed.datasets import load_penicillin
        >>> from skmixed.plotting import ModelChecksDisplay
        >>> X, y = load_penicillin(return_X_y=True)
        >>> model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
        >>> display = ModelChecksDisplay.from_estimator(model, X, y)
        >>> len(display.axes_), display.inflation is None
        (5, True)
        >>> matplotlib.pyplot.close(display.figure_)
        """
        require_matplotlib(f"{cls.__name__}.from_estimator")
        view = served(model, has_family=True)
        given = {
            "X": X,
            "y": y,
            "sample_weight": sample_weight,
            "groups": groups,
            "exposure": exposure,
        }
        kind = _kind(view)
        rows, _ = residual_rows(model, given, kind, random_state)
        if not view.is_repeated:
            rows["cooks_distance"] = diagnostics.cooks_distance(model, **given)
        effects = standardized_effects(model) if view.encoder.terms else None
        inflation = inflation_of(model, view)
        words = sentences(model, view, inflation, given)
        return cls(
            rows=rows,
            effects=effects,
            inflation=inflation,
            words=words,
            residual_kind=kind,
            y_name=mean_name(model, response_of(model, y)),
        ).plot(ax)

    def plot(self, ax: Any = None) -> ModelChecksDisplay:
        """Plot the panels, and write the words below them.

        Parameters
        ----------
        ax : Axes or array of Axes, default=None
            Axes for each panel, or one to divide among them; None makes a new figure, the
            only one below which the words are written.

        Returns
        -------
        ModelChecksDisplay
            This display, now drawn.

        Examples
        --------
        >>> import matplotlib
        >>> matplotlib.use("agg")
        >>> from matplotlib import pyplot as plt
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> from skmixed.plotting import ModelChecksDisplay
        >>> data = load_sleepstudy().frame
        >>> model = lmer("Reaction ~ Days + (Days | Subject)", data)
        >>> display = ModelChecksDisplay.from_estimator(model, data)
        >>> plt.close(display.figure_)
        >>> figure, axes = plt.subplots(1, 5, layout="constrained")
        >>> display.plot(axes).figure_ is figure
        True
        >>> plt.close(figure)
        """
        require_matplotlib(f"{type(self).__name__}.plot")
        known = self.rows[self.rows["residual"].notna()]
        given: dict[str, Any] = {"rows": known, "kind": self.residual_kind}
        along = (draw_linearity, draw_homogeneity)
        draw: list[Any] = [partial(one, **given, y_name=self.y_name) for one in along]
        draw.append(partial(draw_residuals, **given))
        if self.effects is not None:
            draw.append(lambda panel: draw_effects(panel, self.effects))
        if "cooks_distance" in known:
            shown = InfluenceDisplay(influence=known, quantity="cooks_distance")
            draw.append(lambda panel: draw_influence(panel, shown))
        if self.inflation is not None:
            draw.append(lambda panel: draw_inflation(panel, self.inflation))
        n_columns = min(3, len(draw))
        n_lines = -(-len(draw) // n_columns)
        size = (4.0 * n_columns, 3.4 * n_lines + 0.3 * len(self.words))
        self.axes_ = panels(ax, len(draw), n_columns=n_columns, size=size)
        self.figure_ = self.axes_[0].figure
        for panel, one in zip(self.axes_, draw, strict=True):
            one(panel)
        if ax is None:
            self.figure_.supxlabel(literal("\n".join(self.words)), fontsize="small", ha="center")
        return self


def check_model(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
    exposure: ArrayLike | None = None,
    random_state: Any = 0,
    ax: Any = None,
) -> ModelChecksDisplay:
    """Check the assumptions of a fitted model in one figure.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    exposure : array-like of shape (n_samples,), default=None
        What counts are proportional to, as in `fit` of their models.
    random_state : int, RandomState, Generator or None, default=0
        Of the quantile residuals of classes and counts.
    ax : Axes or array of Axes, default=None
        Where to plot: one a panel, or one to divide; None: a new figure.

    Returns
    -------
    ModelChecksDisplay
        The display, drawn; its `words` say how the fit ended.

    Raises
    ------
    ValueError
        If the rows do not match the model.
    ImportError
        If matplotlib is not installed.

    See Also
    --------
    skmixed.diagnostics.residuals : The residuals.
    skmixed.diagnostics.variance_inflation : The collinearity.

    Notes
    -----
    The residuals are standardized ones; of models with a residual covariance normalized
    ones; of classes and counts quantile residuals, which are normal if the model holds. It
    is the figure of ``check_model`` of R's performance, but for what is drawn from the
    model: `sample_y` gives these draws.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.plotting import check_model
    >>> data = load_sleepstudy().frame
    >>> display = check_model(lmer("Reaction ~ Days + (Days | Subject)", data), data)
    >>> display.words[1]
    'No variance of random effects is 0, and no correlation is 1 or −1.'
    >>> matplotlib.pyplot.close(display.figure_)
    """
    return ModelChecksDisplay.from_estimator(
        model,
        X,
        y,
        sample_weight=sample_weight,
        groups=groups,
        exposure=exposure,
        random_state=random_state,
        ax=ax,
    )


def _kind(view: FittedModel) -> ResidualKind:
    """Return the kind of residuals whose standard deviation is 1 if the model holds."""
    if view.is_generalized:
        return "quantile"
    return "normalized" if view.is_repeated else "standardized"
