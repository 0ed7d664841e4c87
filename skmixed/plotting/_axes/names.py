"""What is shown, and what its axes are called: factors, coefficients, responses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from skmixed._data.encoder import Encoder
from skmixed._data.metadata import own_name_of
from skmixed._data.parameters import items_of
from skmixed._fitted.fitted_model import FittedModel, formula_of, last_step, regressor_of
from skmixed._fitted.results import factor_names
from skmixed.plotting._axes.labels import LABEL_LENGTH, shortened

# A column's mean and variance over the rows are 0 and 1 up to so much if it was standardized.
STANDARD = 1e-8


def response_of(model: Any, y: Any = None) -> str:
    """Name the response: as the formula does, as `y` itself does, or as that of the fit did."""
    by_formula = formula_of(model)
    known = (
        None if by_formula is None else by_formula._frame.response_name,
        own_name_of(y),
        getattr(regressor_of(model), "_response_name", None),
    )
    return next((name for name in known if name and isinstance(name, str)), "y")


def scale_name(model: Any, view: FittedModel) -> str:
    """Name what the linear predictor of a model is: its response, or the link of that."""
    name = response_of(model)
    return f"{view.family.link_name} of {name}" if view.is_generalized else name


def mean_name(model: Any, response: str) -> str:
    """Name the mean of a response: of classes it is a probability, of trials a proportion."""
    by_formula = formula_of(model)
    if by_formula is not None and by_formula._frame.failures is not None:
        return f"proportion of {by_formula._frame.response.text}"
    classes = getattr(last_step(model), "classes_", None)
    if classes is None:
        return response
    last = classes[-1]
    return f"P({response} = {f'{last:g}' if isinstance(last, float) else last})"


def fitted_name(y_name: str) -> str:
    """Name the axis of fitted values."""
    return f"fitted value of {shortened(y_name, LABEL_LENGTH)}"


def units(model: Any, view: FittedModel, k: int) -> dict[str, str]:
    """Say of each coefficient of factor k what it is the change of the response by.

    Such as "per unit of Days"; "" of an intercept and of the indicator of a level. Columns that
    the steps of a Pipeline have standardized are in standard deviations.
    """
    by_formula, has_steps = formula_of(model), isinstance(model, Pipeline) and len(model.steps) > 1
    numeric = None if by_formula is None else by_formula._frame.numeric_sources
    out = {}
    for term in (own for own in view.encoder.terms if own.factor == k):
        for column, name in zip(term.columns, view.encoder.coefficient_names(term), strict=True):
            is_slope = column > 0 and (numeric is None or bool(numeric.get(name)))
            of = "standard deviation" if has_steps and _is_standard(view, column) else "unit"
            plain = shortened(_plain(name, has_steps), LABEL_LENGTH)
            out[name] = f"per {of} of {plain}" if is_slope else ""
    return out


def _plain(name: str, has_steps: bool) -> str:
    """Take away what steps of a Pipeline put before the name of a column."""
    return name.rpartition("__")[2] or name if has_steps else name


def _is_standard(view: FittedModel, column: int) -> bool:
    """Whether a column has mean 0 and variance 1 over the rows, with n or n − 1 in it."""
    stats = view.stats
    n, sums, center = stats.n_rows, stats.sum_of_rows, stats.center[column]
    own = stats.frame.coefficients(np.eye(len(sums))[column])
    mean, square = float(sums[0] @ own) / n, float(own @ sums @ own) / n
    variance = square - mean**2
    return abs(center + mean) < STANDARD and (
        min(abs(variance - 1.0), abs(variance * n / max(n - 1, 1) - 1.0)) < STANDARD
    )


def in_units(response: str, name: str, own: Mapping[str, str]) -> str:
    """Name an axis of a coefficient: "Reaction per unit of Days", "(Intercept) of Reaction"."""
    by = own.get(name)
    response, name = (shortened(text, LABEL_LENGTH) for text in (response, name))
    return f"{response} {by}" if by else f"{name} of {response}"


def choose_group(encoder: Encoder, group: str | None) -> int:
    """Return the position of a factor by its name, the first for None.

    Raises
    ------
    ValueError
        If there is none of that name, or none at all.
    """
    names = factor_names(encoder)
    if not names:
        raise ValueError(
            "The model has no grouping factor, so that there are no random effects to show. Name "
            "grouping columns in `groups`, or write (1 | g) in the formula."
            + " ResidualCorrelationDisplay shows what rows of one subject have in common."
            * (encoder.subjects is not None)
        )
    if group is None:
        return 0
    if group not in names:
        raise ValueError(
            f"group={group!r} is not a grouping factor of the model. It has "
            f"{', '.join(map(repr, names))}."
        )
    return names.index(group)


def coefficients(encoder: Encoder, k: int) -> list[str]:
    """Name the coefficients of a factor's levels, in the order of its terms."""
    own = [term for term in encoder.terms if term.factor == k]
    return [name for term in own for name in encoder.coefficient_names(term)]


def choose_names(encoder: Encoder, k: int, name: str | Sequence[str] | None) -> list[str]:
    """Return the coefficients named, all for None.

    Raises
    ------
    ValueError
        If the factor does not have one.
    """
    known = coefficients(encoder, k)
    if name is None:
        return known
    wanted = (name,) if isinstance(name, str) else items_of(name, "name")
    if not wanted:
        raise ValueError(f"name={name!r} names no coefficient. Use None for all.")
    for one in wanted:
        if not (isinstance(one, str) and one in known):
            raise ValueError(
                f"name={one!r} is not a coefficient of {encoder.factors[k].name!r}. It has "
                f"{', '.join(map(repr, known))}."
            )
    return list(dict.fromkeys(wanted))
