"""What is said of a model before its results: formula, rows, effects, fit and tests."""

from typing import Any

from skmixed._data.encoder import Encoder
from skmixed._fitted.fitted_model import FittedModel, last_step
from skmixed._fitted.subject_checks import residual_structure
from skmixed._model.terms import Term
from skmixed.inference._fixed_tests import FixedTests
from skmixed.inference._report.wording import code, counted, listed, name_of, percent

# More names than that are counted.
MOST_NAMES = 6
# What is said of the covariance of several coefficients of one level.
COVARIANCES = {
    "full": "correlated",
    "diag": "independent of each other",
    "spherical": "independent of each other with one variance",
}
DISTRIBUTIONS = {
    "binomial": "a binomial distribution",
    "poisson": "a Poisson distribution",
    "negative_binomial": "a negative binomial distribution",
    "gamma": "a gamma distribution",
}


def methods_of(
    model: Any, view: FittedModel, tests: FixedTests, level: float, *, has_joint: bool
) -> list[str]:
    """Return the sentences of the methods.

    `has_joint`: whether there are tests of terms.
    """
    parts = [_model(model, view), _rows(model, view)]
    parts += [_random(view.encoder)] if view.encoder.terms else []
    parts += [_residual(view)] if view.is_repeated else []
    return [*parts, *_tests(tests, level, has_joint=has_joint)]


def _model(model: Any, view: FittedModel) -> str:
    """Return the kind of the model, what it is given by, how it was fitted, and with what."""
    from skmixed import __version__

    last = last_step(model)
    formula = getattr(last, "formula", None)
    given = f", {code(formula)}" if formula else f"{',' * view.is_generalized} with {_fixed(view)}"
    response = "The response"
    if hasattr(last, "classes_"):
        name = f"{name_of(formula.partition('~')[0])} = " if formula else "class "
        response = f"The probability of {name}{name_of(last.classes_[-1])}"
    fit = f"fitted by {_method(view)} with skmixed {__version__}"
    return f"{response} was modeled by {_kind(view)}{given}, {fit}."


def _kind(view: FittedModel) -> str:
    has_effects = bool(view.encoder.terms)
    if view.is_generalized:
        own, rows = view.family, view.family_rows
        kind = f"a generalized linear {'mixed ' * has_effects}model"
        parts = [DISTRIBUTIONS[own.name], f"a {own.link_name} link"]
        parts += ["an offset"] if rows is not None and rows.offset.any() else []
        return f"{kind} with {listed(parts)}"
    if view.is_repeated:
        return f"a linear {'mixed ' * has_effects}model for repeated measures"
    return f"a linear {'mixed ' * has_effects}model"


def _fixed(view: FittedModel) -> str:
    """Return the fixed effects by name, or how many there are."""
    names = [name_of(name) for name in view.encoder.fixed_names]
    has_intercept = view.model.has_intercept
    slopes = names[1:] if has_intercept else names
    parts = ["an intercept"] if has_intercept else []
    if len(slopes) > MOST_NAMES:
        parts.append(counted(len(slopes), "fixed effect"))
    elif slopes:
        parts.append(
            f"{'fixed effects' if len(slopes) > 1 else 'a fixed effect'} of {listed(slopes)}"
        )
    return listed(parts) or "no fixed effects"


def _method(view: FittedModel) -> str:
    own = view.solution.family
    if own is not None:
        n = own.n_nodes
        how = "Laplace's approximation" if n == 1 else f"adaptive quadrature at {n} nodes"
        return f"maximum likelihood{f' ({how})' if view.encoder.terms else ''}"
    if not view.encoder.terms and not view.is_repeated:
        return "ordinary least squares"
    return "restricted maximum likelihood (REML)" if view.solution.reml else "maximum likelihood"


def _rows(model: Any, view: FittedModel) -> str:
    """Return the numbers of rows and of levels."""
    stats = view.stats
    is_weighted = not view.is_generalized and (
        stats.sum_log_weights or stats.sum_weights != view.n_rows
    )
    counts = [counted(view.n_rows, "weighted row" if is_weighted else "row")]
    counts += [f"{counted(f.n_levels, 'level')} of {name_of(f.name)}" for f in view.encoder.factors]
    subject = view.encoder.subjects.subject if view.encoder.subjects else None
    if subject is not None and subject.name not in [f.name for f in view.encoder.factors]:
        counts.append(f"{counted(subject.n_levels, 'level')} of {name_of(subject.name)}")
    n = getattr(last_step(model), "n_dropped_", 0)
    without = f", without {counted(n, 'row')} of missing values" if n else ""
    return f"There were {listed(counts)}{without}."


def _random(encoder: Encoder) -> str:
    return f"Random effects were {listed([_term(encoder, term) for term in encoder.terms])}."


def _term(encoder: Encoder, term: Term) -> str:
    """Return the coefficients of a term, their groups and their covariance."""
    n, group = len(term.columns), name_of(encoder.factors[term.factor].name)
    slopes = [name_of(encoder.column_name(k)) for k in term.columns if k]
    parts = ["intercepts"] if 0 in term.columns else []
    if len(slopes) > MOST_NAMES:
        parts.append(f"{len(slopes)} slopes")
    elif slopes:
        parts.append(f"slopes of {listed(slopes)}")
    name = term.structure.name
    covariance = COVARIANCES.get(name, f"with covariance {name}")
    return f"{listed(parts)} by {group}{f' ({covariance})' if n > 1 else ''}"


def _residual(view: FittedModel) -> str:
    said = residual_structure(view.encoder.subjects, view.solution.residual)
    return f"The covariance of the residuals was {name_of(said)}."


def _tests(tests: FixedTests, level: float, *, has_joint: bool) -> list[str]:
    intervals = f"confidence intervals (CI) of level {percent(level)}"
    own = f"Coefficients have {tests.words(is_joint=False)}, and {intervals}."
    return [own, f"Terms have {tests.words(is_joint=True)}, type III."] if has_joint else [own]
