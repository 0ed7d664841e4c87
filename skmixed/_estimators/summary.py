"""The text and the table of `summary()`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._data.encoder import INTERCEPT, Encoder
from skmixed._estimation.solution import Solution
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.messages import fit_warnings, words
from skmixed._fitted.results import (
    RESIDUAL,
    residual_components,
    residual_correlations,
)
from skmixed._fitted.subject_checks import residual_structure
from skmixed.exceptions import FitStatus
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._tables.html_layout import STYLE, html_paragraph, html_table
from skmixed.inference._tables.text_layout import (
    aligned,
    degrees_of_freedom,
    filled,
    line_width,
    lines,
    p_values,
    paragraph,
    shortened_apart,
)
from skmixed.inference._variance import icc_of, r2_of, variances
from skmixed.typing import Ddf, Robust

ENDINGS = {status.value for status in FitStatus}
# Variances of the residuals that are shown.
MOST_RESIDUAL = 20
NORMAL = "summary(ddf='normal') has normal ones"


@dataclass(frozen=True)
class Summary:
    """A fitted model in a form to read; `str` and notebooks show it.

    Attributes
    ----------
    title : str
    n_samples : int
    levels : dict of str to int
        Number of levels of each grouping factor.
    facts : dict of str to str
        Criterion, log-likelihood, AIC, BIC.
    random : DataFrame
        The variance components.
    fixed : DataFrame
        Estimate, standard error, degrees of freedom, t value and p value of each
        fixed effect.
    tests : str
        How the degrees of freedom are found.
    icc, r2 : Series
        Shares of the variance, as `inference.icc` and `inference.r2`; empty where
        there are none.
    notes : tuple of str
        Convergence, singularity and what else there is to say.
    formula : str
        Empty without one.
    n_residual : int
        The last rows of `random`, which are variances of the residuals.
    structure : str
        The residuals' covariance in a sentence; empty where they are independent with
        one variance.
    correlations : dict of str to DataFrame
        The residuals' correlations over times, stratum by stratum, or by lag.
    """

    title: str
    n_samples: int
    levels: dict[str, int]
    facts: dict[str, str]
    random: pd.DataFrame
    fixed: pd.DataFrame
    tests: str
    icc: pd.Series
    r2: pd.Series
    notes: tuple[str, ...]
    formula: str = ""
    n_residual: int = 1
    structure: str = ""
    correlations: dict[str, pd.DataFrame] = field(default_factory=dict)

    def __str__(self) -> str:
        formula = [f"Formula: {self.formula}"] if self.formula else []
        parts = [filled(self.title.split(), " ")]
        parts += [filled(part.split(), " ") for part in formula]
        parts += [paragraph(self._counted()), filled(self._facts())]
        parts += ["", *self._random_lines()] if self._has_variances else []
        parts += ["", *self._residual_lines()] if self.structure else []
        parts += ["", f"{self._fixed_title()}:", lines(self._fixed_rows(), names=1)]
        parts += ["", paragraph(shares)] if (shares := self._shares()) else []
        notes = [filled(note.split(), " ") for note in self.notes]
        return "\n".join([*parts, *(["", *notes] if notes else [])])

    __repr__ = __str__

    @property
    def counts(self) -> str:
        """Number of samples and of levels, in a line."""
        parts = [part for unit in self._counted() for part in unit]
        return "   ".join(parts).replace(",   ", ", ")

    def _repr_html_(self) -> str:
        formula = f"<p><code>{escape(self.formula)}</code></p>" if self.formula else ""
        above = html_paragraph(self._counted()) + html_paragraph([self._facts()])
        below = html_paragraph(shares) if (shares := self._shares()) else ""
        random = ""
        if self._has_variances:
            corr, _ = self._correlations(room=False)
            random = html_table(self._random_rows(corr), 2, self._random_title)
        if self.structure:
            random += f"<p>{escape(self.structure)}</p>"
        if self._n_hidden:
            random += f"<p>{escape(self._more)}</p>"
        for title, own in self.correlations.items():
            random += html_table(_correlation_rows(own), 1, title)
        tests = f"({self.tests})" if self.tests else ""
        notes = "".join(
            f'<p class="{"status" if note in ENDINGS else "note"}">{escape(note)}</p>'
            for note in self.notes
        )
        return (
            f'<div class="skmixed-summary">{STYLE}<p><strong>{escape(self.title)}</strong></p>'
            f"{formula}{above}{random}"
            f"{html_table(self._fixed_rows(), 1, 'Fixed effects', tests)}{below}{notes}</div>"
        )

    def _counted(self) -> list[list[str]]:
        names = shortened_apart(self.levels, line_width() - 30)
        levels = [f"{name} {n:,}" for name, n in zip(names, self.levels.values(), strict=True)]
        listed = [*(f"{part}," for part in levels[:-1]), *levels[-1:]]
        first = [f"Levels: {part}" for part in listed[:1]]
        return [[f"Samples: {self.n_samples:,}"], *([[*first, *listed[1:]]] if first else [])]

    def _facts(self) -> list[str]:
        return [f"{name}: {value}" for name, value in self.facts.items()]

    def _fixed_title(self) -> str:
        return f"Fixed effects{f' ({self.tests})' if self.tests else ''}"

    def _shares(self) -> list[list[str]]:
        names = shortened_apart(map(str, self.icc.index), 40)
        shown = [f"{name} {v:.3f}" for name, v in zip(names, self.icc, strict=True)]
        if not self.levels:
            r2 = [f"R²: {self.r2['marginal']:.3f}"] if len(self.r2) else []
            if self.structure or not self.n_residual:
                return [r2] if r2 else []
            return [[f"Residual standard deviation: {aligned(self.random['sd'])[-1]}", *r2]]
        if not len(self.r2):
            return []
        r2 = [f"{name} {self.r2[name]:.3f}" for name in ("marginal", "conditional")]
        return [[f"ICC: {shown[0]}", *shown[1:]], [f"R²: {r2[0]}", r2[1]]]

    def _correlations(self, *, room: bool) -> tuple[list[str], bool]:
        """Return the columns of correlations to show but in tables, and whether some lack room."""
        columns = [c for c in self.random.columns if c.startswith("corr")]
        last = len(self.random) - self.n_residual * bool(self.correlations)
        used = [c for c in columns if self.random[c][:last].notna().any()]
        fits = used[:3] if room else used
        return fits, len(fits) < len(used)

    def _random_rows(self, corr: Sequence[str]) -> list[list[str]]:
        sizes = [aligned(self.random[name]) for name in ("variance", "sd")]
        rows = [["Group", "Name", "Variance", "Std.Dev.", *(["Corr"] if corr else [])]]
        before, last = None, len(self.random) - self.n_residual
        shown = self.random.iloc[: len(self.random) - self._n_hidden]
        for k, record in enumerate(shown.to_dict("records")):
            name = str(record["group"])
            group = _quoted(name, RESIDUAL) if k < last else name
            row = ["" if group == before else group, str(record["name"])]
            before = group
            own = [] if self.correlations and k >= last else corr
            shares = [f"{v:.3f}" if (v := record[c]) == v else "" for c in own]
            rows.append([*row, *(size[k] for size in sizes), *shares])
        return rows

    def _random_lines(self) -> list[str]:
        corr, left_out = self._correlations(room=True)
        head, *rows = self._random_rows(corr)
        # The correlations are a triangle under one heading.
        joined = [[*row[:4], " ".join(f"{cell:>6}" for cell in row[4:])] for row in rows]
        heading = " ".join([f"{'Corr':>6}", *(len(corr) - 1) * [6 * " "]])
        table = [[*head[:4], heading], *joined] if corr else [head, *rows]
        more = [" More correlations: variance_components_."] if left_out else []
        more += [f" {self._more}"] if self._n_hidden else []
        return [f"{self._random_title}:", lines(table, names=2), *more]

    @property
    def _has_variances(self) -> bool:
        return bool(self.levels or self.structure)

    @property
    def _random_title(self) -> str:
        return "Random effects" if self.levels else "Variances"

    @property
    def _n_hidden(self) -> int:
        """Variances of the residuals that are left out."""
        return max(self.n_residual - MOST_RESIDUAL, 0)

    @property
    def _more(self) -> str:
        return f"{self._n_hidden} more variances: variance_components_."

    def _residual_lines(self) -> list[str]:
        out = [filled(self.structure.split(), " ")]
        for title, own in self.correlations.items():
            out += [f"{title}:", lines(_correlation_rows(own), names=1)]
        return out

    def _fixed_rows(self) -> list[list[str]]:
        forms = {"df": degrees_of_freedom, "Pr(>|t|)": p_values, "Pr(>|z|)": p_values}
        columns = [forms.get(str(name), aligned)(self.fixed[name]) for name in self.fixed.columns]
        rows = [["", *map(str, self.fixed.columns)]]
        for k, name in enumerate(self.fixed.index):
            # The intercept is the first; a column may be called alike.
            shown = str(name) if k == 0 else _quoted(str(name), INTERCEPT)
            rows.append([shown, *(column[k] for column in columns)])
        return rows


def _correlation_rows(own: pd.DataFrame) -> list[list[str]]:
    """Return correlations by lag, or the lower triangle of a matrix of them."""
    rows = [["", *map(str, own.columns)]]
    is_matrix = own.index.equals(own.columns)
    for k, (name, values) in enumerate(zip(own.index, own.to_numpy(), strict=True)):
        n = k + 1 if is_matrix else len(values)
        rows.append([str(name), *(f"{v:.3f}" for v in values[:n]), *[""] * (len(values) - n)])
    return rows


def _quoted(name: str, taken: str) -> str:
    """Mark a name of the user's that has a meaning of its own here."""
    return f"`{name}`" if name == taken else name


def summary(self: Any, ddf: Ddf | None = None, *, robust: Robust | None = None) -> Summary:
    """Summarize the fit in a table that an lme4 user recognizes.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        Degrees of freedom of the t tests, as in `inference.coefficient_table`.
        Satterthwaite's cost a few factorizations, about as much as the search;
        None leaves the tests out where those have no room in memory, and a note
        says so.
    robust : {"CR0", "CR2", "CR3"}, default=None
        Standard errors by the residuals of whole subjects, of models with a residual
        covariance, as in `inference.coefficient_table`.

    Returns
    -------
    Summary
        With a text form, shown by ``print``, and one for notebooks. Its frames
        ``fixed`` and ``random`` and its other parts are attributes.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model: the tests are
        normal.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_rail
    >>> X, y = load_rail(return_X_y=True)
    >>> print(MixedLinearRegressor("Rail").fit(X, y).summary())
    Linear mixed model fitted by REML
    Samples: 18   Levels: Rail 6
    REML criterion: 122.1770   logLik: -61.0885   AIC: 128.177   BIC: 130.848
    <BLANKLINE>
    Random effects:
     Group     Name         Variance  Std.Dev.
     Rail      (Intercept)    615.31   24.805
     residual                  16.17     4.021
    <BLANKLINE>
    Fixed effects (t tests with Satterthwaite's degrees of freedom):
                  Estimate  Std. Error   df  t value  Pr(>|t|)
     (Intercept)    66.500      10.171  5.0   6.5382    0.0013
    <BLANKLINE>
    ICC: Rail 0.974   R²: marginal 0.000   conditional 0.974
    <BLANKLINE>
    The search for the variance components converged.
    """
    check_is_fitted(self)
    return summarize(self, ddf, robust)


def summarize(
    model: Any, ddf: str | None, robust: str | None, formula: str = "", remarks: Sequence[str] = ()
) -> Summary:
    """Collect what `summary()` shows of a fitted estimator."""
    fit: FittedModel = model._model.at_fit
    encoder, solution = fit.encoder, fit.solution
    method = "REML" if solution.reml else "maximum likelihood"
    if encoder.factors:
        title = f"Linear mixed model fitted by {method}"
    elif fit.is_repeated:
        title = f"Model for repeated measures fitted by {method}"
    else:
        title = f"Ordinary least squares ({words().least_squares}), {method}"
    said = residual_structure(encoder.subjects, solution.residual)
    fixed, tests, why = _fixed_table(model, ddf, robust)
    parts = None if fit.is_slim else variances(fit)
    empty = pd.Series(dtype=float)
    return Summary(
        title=title,
        n_samples=fit.n_rows,
        levels={factor.name: factor.n_levels for factor in encoder.factors},
        facts=facts_of(model, "REML criterion" if solution.reml else "deviance"),
        random=model.variance_components_,
        fixed=fixed,
        tests=tests,
        icc=empty if parts is None or not encoder.factors else icc_of(parts, adjusted=True),
        r2=empty if parts is None else r2_of(parts),
        notes=(*remarks, *why, *notes_of(model, fit)),
        formula=formula,
        n_residual=len(residual_components(encoder, solution)),
        structure=said and f"Residuals: {said}",
        correlations=residual_correlations(encoder, solution),
    )


def facts_of(model: Any, criterion: str) -> dict[str, str]:
    """Return the criterion, by its name, with what follows of it."""
    return {
        criterion: f"{model.criterion_:.4f}",
        "logLik": f"{model.log_likelihood_:.4f}",
        "AIC": f"{model.aic_:.3f}",
        "BIC": f"{model.bic_:.3f}",
    }


def _fixed_table(
    model: Any, ddf: str | None, robust: str | None
) -> tuple[pd.DataFrame, str, list[str]]:
    """Return the table, how it is tested, and why not where it is not."""
    fit: FittedModel = model._model.at_fit
    is_usual = ddf is robust is None
    why = _untested(fit) if is_usual else ""
    if not why:
        try:
            tests = open_tests(model, ddf, robust)
        except MemoryError:
            if not is_usual:
                raise
            why = f"their factorization has no room in memory; {NORMAL}"
    if why:
        note = f"No degrees of freedom and p values: {why}."
        return _plain_table(fit.encoder, fit.solution), "", [note]
    table = tests.t_table(np.eye(len(tests.names)), list(tests.names), 0.95)
    columns = ["estimate", "std_error", "df", "t", "p_value"]
    out = table[columns].set_axis(["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"], axis=1)
    out["Estimate"] = fit.solution.fixed  # 0 where a column was dropped
    return out, tests.sentence, []


def _untested(fit: FittedModel) -> str:
    """Say why tests are left out unless they are asked for."""
    if fit.is_slim:
        return "a slim copy keeps no statistics"
    if fit.estimate.status is FitStatus.EXACT_FIT:
        return f"the residual variance is 0; {NORMAL}"
    return ""


def _plain_table(encoder: Encoder, solution: Solution) -> pd.DataFrame:
    errors = np.full(len(encoder.fixed_names), np.nan)
    errors[list(solution.kept)] = np.sqrt(np.diagonal(solution.fixed_covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = solution.fixed / errors
    columns = {"Estimate": solution.fixed, "Std. Error": errors, "t value": t}
    return pd.DataFrame(columns, index=list(encoder.fixed_names))


def notes_of(model: Any, fit: FittedModel) -> list[str]:
    """Say what the fit had to say, and how the search ended."""
    status = fit.estimate.status
    if fit.is_slim:
        notes = ["The fit is singular: a variance is 0, or a correlation -1 or 1."]
        notes = notes if model.singular_ else []
    else:
        notes = [
            text for text, _ in fit_warnings(fit.estimate, fit.encoder, fit.stats, model.max_iter)
        ]
        if status in (FitStatus.EXACT_FIT, FitStatus.MAX_ITER):
            return notes  # which say so
    return [*notes, model.status_] if fit.encoder.factors or fit.is_repeated else notes
