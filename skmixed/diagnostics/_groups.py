"""Influence of whole groups of linear models: what leaving one out changes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._data.encoder import Encoder
from skmixed._estimation.solution import Solution
from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import FittedModel, regressor_of
from skmixed._fitted.fitting import CountedMessages
from skmixed._fitted.prediction_rows import open_rows
from skmixed._fitted.results import RESIDUAL, covariance_of
from skmixed._fitted.sufficient_statistics import SufficientStatistics
from skmixed._folds.deletion import Deletion
from skmixed._model.covariance import has_covariances
from skmixed._typing import FloatArray, IntArray
from skmixed.diagnostics._left_out import WAYS, FitRows, Way
from skmixed.diagnostics._leverage import check_has_no_further_rows
from skmixed.exceptions import warn
from skmixed.inference._tables.table import ResultTable

# What a table says of the variances without a group, by `theta`.
REMARKS = {
    "refit": "The model is fitted without each level.",
    "fixed": "The variances are those of all rows.",
    "one_step": "The variances take one step of the search from those of all rows.",
}


def group_influence(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    groups: Any = None,
    factor: str | None = None,
    sample_weight: ArrayLike | None = None,
    theta: str = "refit",
) -> ResultTable:
    """Influence of each group: what leaving out all of its rows changes.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted, with independent residuals; a Pipeline ends in the estimator.
    X : frame or array-like of shape (n_samples, n_features)
        The rows that the model was fitted to.
    y : array-like of shape (n_samples,), default=None
        Their responses. None: what the formula of the model names, in X.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    factor : str, default=None
        The grouping factor of the model whose levels are left out, one at a time. None: the
        only one.
    sample_weight : array-like of shape (n_samples,), default=None
        Their weights; needed if the fit had weights.
    theta : {"refit", "fixed", "one_step"}, default="refit"
        How the variances are estimated without a group: by a fit; not at all, so that they stay
        those of all rows; or by one step of the search from those of all rows.

    Returns
    -------
    ResultTable
        One row for each group, by its label. With β̂ and σ̂ of all rows, β̂₍₋ⱼ₎ and σ̂₍₋ⱼ₎ of those
        of the other groups, p the rank of X and d = β̂ − β̂₍₋ⱼ₎, columns

        n_rows
            Rows of the group in the fit.
        cooks_distance
            d' Cov(β̂)⁻¹ d / p.
        mdffits
            d' Cov(β̂₍₋ⱼ₎)⁻¹ d / p. influence.ME calls this one Cook's distance.
        covratio
            det Cov(β̂₍₋ⱼ₎) / det Cov(β̂): above 1 where the group makes β̂ more precise.
        covtrace
            abs(tr(Cov(β̂)⁻¹ Cov(β̂₍₋ⱼ₎)) − p).
        change_<name>
            For each fixed effect: the estimate without the group less that with it, −d, on the
            scale of the effect; 0 for columns that were dropped.
        dfbetas_<name>
            d over the standard error of β̂₍₋ⱼ₎: of the other sign.
        variance_change_<name> | <factor>, variance_change_residual
            Of each variance, and of σ²: that without the group over that with it, less 1
            (the relative variance change). NaN of a variance of 0. Not with ``theta="fixed"``.
        correlation_change_<name>, <name> | <factor>
            Of each correlation: that without the group less that with it. NaN beside a variance
            of 0. Not with ``theta="fixed"``.

        Where a group alone determines a fixed effect, all but the changes of variances is NaN.

    Raises
    ------
    ValueError
        If the rows are not those of the fit, the factor is not one of the model, no group
        can be left out, or the residuals have a covariance.
    TypeError
        If `model` is no regressor of this package.

    Warns
    -----
    UserWarning
        If some groups cannot be left out, such as where one group is left; their results are
        NaN. What fits without a group warn of is said once, with their number.

    See Also
    --------
    influence : The same of single rows.
    subject_influence : Of subjects whose residuals are correlated.
    skmixed.plotting.InfluenceDisplay.from_groups : A plot of the largest.

    Notes
    -----
    The measures of the fixed effects are those of HLMdiag ([1]_, section 4) by these names, and
    the DFBETAS those of influence.ME ([2]_). HLMdiag's functions of a fitted model, such as
    ``mdffits(model, level="Subject")``, are those of ``theta="fixed"``, and of its
    ``case_delete`` those of "refit". Common bounds are 4/J for Cook's distance and 2/√J for
    DFBETAS, with J groups ([2]_).

    The fits are those to the rows of all other groups, from sums over the rows of each group:
    the rows are read once, and no sum is a difference. Time grows with the square of the
    number of groups. "one_step" takes the step of a fit that is made of the gradient and the
    average information ([3]_); its errors are of second order in what the group changes.

    References
    ----------
    .. [1] Loy, A. and Hofmann, H. (2014). HLMdiag: a suite of diagnostics for hierarchical linear
       models in R. J. Stat. Softw. 56(5), 1–28, doi:10.18637/jss.v056.i05.
    .. [2] Nieuwenhuis, R., te Grotenhuis, M. and Pelzer, B. (2012). influence.ME: tools for
       detecting influential data in mixed effects models. R Journal 4(2), 38–47,
       doi:10.32614/RJ-2012-011.
    .. [3] Gilmour, A. R., Thompson, R. and Cullis, B. R. (1995). Average information REML: an
       efficient algorithm for variance parameter estimation in linear mixed models.
       Biometrics 51, 1440–1450, doi:10.2307/2533274.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import group_influence
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> group_influence(model, X, y).nlargest(2, "cooks_distance").round(3).T
    Subject                                            309     335
    n_rows                                          10.000  10.000
    cooks_distance                                   0.149   0.129
    mdffits                                          0.188   0.155
    covratio                                         0.890   0.938
    covtrace                                         0.084   0.041
    change_(Intercept)                               2.726  -0.684
    change_Days                                      0.483   0.785
    dfbetas_(Intercept)                             -0.411   0.095
    dfbetas_Days                                    -0.310  -0.556
    variance_change_(Intercept) | Subject           -0.166   0.054
    variance_change_Days | Subject                  -0.062  -0.270
    variance_change_residual                         0.052   0.047
    correlation_change_(Intercept), Days | Subject  -0.184   0.090
    """
    validation.check_choice("theta", theta, tuple(WAYS))
    rows = open_rows(model, X, groups)
    fitted = rows.fitted
    check_has_no_further_rows(fitted, "influences of groups")
    if fitted.is_repeated:
        raise ValueError(
            "The residuals of the model have a covariance. Use subject_influence, of subjects, or "
            "influence, of single rows."
        )
    k = _position(fitted.encoder, factor)
    whole = FitRows.of(rows, y, sample_weight)
    regressor = regressor_of(model)
    found = _deletions(whole, k, WAYS[theta](regressor, fitted))
    table = found.table(fitted, has_variances=theta != "fixed")
    title = f"Influence of the levels of {fitted.encoder.factors[k].name}"
    return ResultTable.of(table, title, [REMARKS[theta]])


def _position(encoder: Encoder, factor: str | None) -> int:
    """Return the position of a grouping factor of the model."""
    names = [own.name for own in encoder.factors]
    shown = ", ".join(map(repr, names)) or "none"
    if factor is None and len(names) == 1:
        return 0
    if factor is None:
        raise ValueError(
            f"factor=None, but the model has not one grouping factor alone, whose levels would be "
            f"left out. It has {shown}. Name one of them."
        )
    if factor not in names:
        raise ValueError(f"factor={factor!r} is not a grouping factor of the model: {shown}.")
    return names.index(factor)


@dataclass
class _Deletions:
    """Estimates without each level of a factor, as they come; None where there are none."""

    levels: pd.Index
    n_rows: IntArray
    solutions: list[Solution | None] = field(default_factory=list)
    messages: CountedMessages = field(default_factory=CountedMessages)
    errors: list[ValueError] = field(default_factory=list)

    def take(self, way: Way, given: SufficientStatistics) -> None:
        try:
            estimate, messages = way(given)
        except ValueError as error:
            self.solutions.append(None)
            self.errors.append(error)
            return
        self.solutions.append(estimate.solution)
        self.messages.take(messages, len(self.solutions) - 1)

    def tell(self) -> None:
        """Say what the fits had to say, once; raise what all of them have raised."""
        n, name = len(self.solutions), " and ".join(map(str, self.levels.names))
        if len(self.errors) == n:
            raise self.errors[0]
        self.messages.tell(
            lambda count: f"Without {count} of {n} levels of {name!r}",
            lambda number: repr(self.levels[number]),
        )
        if self.errors:
            first = next(k for k, own in enumerate(self.solutions) if own is None)
            warn(
                f"Without {len(self.errors)} of {n} levels of {name!r} there is no fit, and their "
                f"results are NaN. The first, without {self.levels[first]!r}: {self.errors[0]}",
                UserWarning,
            )

    def table(self, fitted: FittedModel, *, has_variances: bool) -> pd.DataFrame:
        """Return what `group_influence` does."""
        at = self._deletion(fitted.solution)
        own: dict[str, Any] = {
            "n_rows": self.n_rows,
            "cooks_distance": at.cooks_distance,
            "mdffits": at.mdffits,
            "covratio": at.covratio,
            "covtrace": at.covtrace,
        }
        names, kept = fitted.encoder.fixed_names, list(fitted.solution.kept)
        changes = np.zeros((len(self.n_rows), len(names)))
        changes[:, kept] = at.changes
        own |= {f"change_{name}": c for name, c in zip(names, changes.T, strict=True)}
        pairs = zip((names[j] for j in kept), at.dfbetas.T, strict=True)
        own |= {f"dfbetas_{name}": c for name, c in pairs}
        if has_variances:
            own |= self._of_variances(fitted)
        return pd.DataFrame(own, index=self.levels)

    def _deletion(self, whole: Solution) -> Deletion:
        """Return the fixed effects; NaN where not the same columns are kept."""
        n, p, kept = len(self.solutions), len(whole.kept), list(whole.kept)
        betas, roots = np.full((n, p), np.nan), np.full((n, p, p), np.nan)
        for j, own in enumerate(self.solutions):
            if own is not None and own.kept == whole.kept:
                betas[j], roots[j] = own.fixed[kept], own.fixed_root
        return Deletion(whole.fixed[kept], whole.fixed_root, betas, roots)

    def _of_variances(self, fitted: FittedModel) -> dict[str, FloatArray]:
        """Return relative changes of variances, and changes of correlations, by name."""
        variances, correlations = _components(fitted.encoder, fitted.solution)
        none = dict.fromkeys(variances, np.nan), dict.fromkeys(correlations, np.nan)
        pairs = [none if s is None else _components(fitted.encoder, s) for s in self.solutions]
        out = {}
        for name, whole in variances.items():
            own = np.array([v[name] for v, _ in pairs])
            relative = own / whole - 1.0 if whole > 0.0 else np.full(len(own), np.nan)
            out[f"variance_change_{name}"] = relative
        for name, whole in correlations.items():
            out[f"correlation_change_{name}"] = np.array([c[name] for _, c in pairs]) - whole
        return out


def _deletions(whole: FitRows, k: int, way: Way) -> _Deletions:
    """Estimate without each level of factor k."""
    found = _Deletions(whole.encoder.factors[k].index, np.bincount(whole.design.factors[k].codes))
    for given in whole.without_each(k):
        found.take(way, given)
    found.tell()
    return found


def _components(encoder: Encoder, solution: Solution) -> tuple[dict[str, float], dict[str, float]]:
    """Return all variances and all correlations, by name."""
    variances: dict[str, float] = {}
    correlations: dict[str, float] = {}
    for term, own in zip(encoder.terms, solution.terms, strict=True):
        group, names = encoder.factors[term.factor].name, encoder.coefficient_names(term)
        covariance = covariance_of(own.lam, solution.sigma)
        sd = np.sqrt(np.diagonal(covariance))
        variances |= {f"{a} | {group}": s**2 for a, s in zip(names, sd, strict=True)}
        if has_covariances(term.structure):
            for j, i in zip(*np.triu_indices(len(sd), 1), strict=True):
                size = sd[i] * sd[j]
                value = covariance[i, j] / size if size > 0.0 else np.nan
                correlations[f"{names[j]}, {names[i]} | {group}"] = value
    return variances | {RESIDUAL: solution.sigma**2}, correlations
