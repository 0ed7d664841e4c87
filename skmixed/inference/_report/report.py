"""A report: what a paper says of a model and of its results, in sentences."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from skmixed._fitted import checks as validation
from skmixed._fitted.fitted_model import fitted
from skmixed.inference._fixed_tests import open_tests
from skmixed.inference._report.fixed_results import fixed_results
from skmixed.inference._report.methods import methods_of
from skmixed.inference._report.variance_results import variance_results
from skmixed.inference._report.wording import SPACE, as_html, as_markdown, as_text, in_lines
from skmixed.inference._tables.number_formats import Precision
from skmixed.inference._tables.options import check_digits, written
from skmixed.typing import Ddf, Robust


@dataclass(frozen=True)
class ModelReport:
    """Sentences of methods and of results, as `report` makes them.

    ``print`` shows them on lines of 80 characters, and notebooks as HTML.

    Attributes
    ----------
    methods, results : tuple of str
        The sentences.

    See Also
    --------
    report : Makes one.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import report
    >>> model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    >>> report(model).results[0]
    'The intercept was 251.41 (95 % CI 237.01 to 265.80).'
    """

    _methods: tuple[str, ...]
    _results: tuple[str, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The sentences of the methods."""
        return tuple(as_text(own).replace(SPACE, " ") for own in self._methods)

    @property
    def results(self) -> tuple[str, ...]:
        """The sentences of the results."""
        return tuple(as_text(own).replace(SPACE, " ") for own in self._results)

    def __str__(self) -> str:
        return "\n\n".join(map(in_lines, self._paragraphs(as_text)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(f"<p>{part}</p>" for part in self._paragraphs(as_html))

    @overload
    def to_markdown(self, buf: None = ...) -> str: ...
    @overload
    def to_markdown(self, buf: object) -> None: ...
    def to_markdown(self, buf: Any = None) -> str | None:
        """Write the report in Markdown.

        Parameters
        ----------
        buf : str, path or file, default=None
            Where to write; None returns the text.

        Returns
        -------
        str or None
            The text, if `buf` is None: two paragraphs.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_rail
        >>> from skmixed.inference import report
        >>> model = lmer("travel ~ 1 + (1 | Rail)", load_rail().frame)
        >>> print(report(model).to_markdown().partition(", fitted")[0])
        The response was modeled by a linear mixed model, `travel ~ 1 + (1 | Rail)`
        """
        text = "\n\n".join(self._paragraphs(as_markdown))
        return written(text.replace(SPACE, " "), buf)

    def _paragraphs(self, form: Callable[[str], str]) -> Iterable[str]:
        return (" ".join(map(form, part)) for part in (self._methods, self._results))


def report(
    model: Any,
    ddf: Ddf | None = None,
    *,
    level: float = 0.95,
    robust: Robust | None = None,
    digits: int | None = None,
) -> ModelReport:
    """Say in sentences what a paper says of a model and of its results.

    The methods: the model and its formula, how and with what it was fitted, the numbers of
    rows and groups, the random effects, and the tests. The results: each term's estimate,
    interval, statistic and p value, standard deviations, ICC and R², and whether the fit is
    singular or has not converged. The sentences state numbers and judge none of them.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor, generalized model or Pipeline
        The fitted model.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`.
    level : float, default=0.95
        The confidence level of the intervals.
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust standard errors, as in `coefficient_table`.
    digits : int, default=None
        Decimals of all numbers but p values, degrees of freedom and counts, as in
        `ResultTable.to_markdown`. None: those that the standard errors support.

    Returns
    -------
    ModelReport
        With a text form, shown by ``print``, one for notebooks, and `ModelReport.to_markdown`.

    Raises
    ------
    ValueError
        If an option is not among its choices, or not one of such a model.
    TypeError
        If `model` is no regressor of this package.

    Warns
    -----
    skmixed.exceptions.NormalIntervalsWarning
        If `ddf` is None and the iterative solver fitted the model.

    See Also
    --------
    coefficient_table, anova : The numbers, as tables.
    confidence_intervals : Intervals of the standard deviations too.

    Notes
    -----
    A term of a formula that is one column, and part of no interaction, is reported by its
    coefficient; any other by its test of type III, as in `anova`. Of the logit and log links the
    coefficients are odds ratios and ratios of rates or means, exp(β), with the exponentials of
    the limits of β. ICC and R² are those of `icc` and `r2`.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import report
    >>> model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    >>> report(model)
    The response was modeled by a linear mixed model, Reaction ~ Days + (Days |
    Subject), fitted by restricted maximum likelihood (REML) with skmixed ...
    There were 180 rows and 18 levels of Subject. Random effects were intercepts and
    slopes of Days by Subject (correlated). Coefficients have t tests with
    Satterthwaite's degrees of freedom, and confidence intervals (CI) of level 95 %.
    <BLANKLINE>
    The intercept was 251.41 (95 % CI 237.01 to 265.80). The coefficient of Days was
    10.47 (95 % CI 7.21 to 13.73), t(17) = 6.77, p < 0.001. The standard deviations
    were 24.74 for intercepts and 5.92 for slopes of Days by Subject (correlation
    0.066); 25.59 for the residuals. The intraclass correlation was 0.722 for
    Subject, and Nakagawa and Schielzeth's R² was 0.279 for the fixed effects
    (marginal) and 0.799 with the random ones (conditional).
    """
    level = validation.check_level(level)
    if digits is not None:
        check_digits("digits", digits, 0)
    precision = Precision(digits)
    view, tests = fitted(model, has_family=True), open_tests(model, ddf, robust)
    table = tests.t_table(np.eye(len(tests.names)), list(tests.names), level)
    tested = {"ddf": ddf, "robust": robust}
    fixed, has_joint = fixed_results(model, view, table, level, tested, precision)
    methods = methods_of(model, view, tests, level, has_joint=has_joint)
    return ModelReport(tuple(methods), (*fixed, *variance_results(view, precision)))
