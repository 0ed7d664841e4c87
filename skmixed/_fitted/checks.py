"""Every check of the input, and its message."""

import numbers
import os
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_array, column_or_1d

from skmixed._data import parameters
from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.parameters import items_of
from skmixed._data.random_effect import ResidualCovariance
from skmixed._data.table import Table, check_unmasked, numeric_column
from skmixed._equations.layout import elimination_order
from skmixed._estimation.fit import Examined
from skmixed._estimation.identifiability import Identifiability
from skmixed._fitted.messages import words
from skmixed._fitted.runtime import check_seed
from skmixed._model.covariance import Covariance
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.row_sums import LARGEST_SQUARE
from skmixed._typing import FloatArray
from skmixed.exceptions import UndeterminedError

METHODS = ("reml", "ml")
SOLVERS = ("auto", "exact", "iterative")
# Dense matrices of the core's order that a search holds at its peak.
CORE_COPIES = 6
UNKNOWN = ("population", "error")
# Beside the other checks
check_choice, chosen = parameters.check_choice, parameters.chosen


def check_parameters(estimator: Any) -> None:
    """Check the parameters of a regressor that need no data."""
    check_choice("method", estimator.method, METHODS)
    check_choice("handle_unknown", estimator.handle_unknown, UNKNOWN)
    check_choice("solver", estimator.solver, SOLVERS)
    check_residual(estimator.residual)
    check_flag("fit_intercept", estimator.fit_intercept)
    check_number("tol", estimator.tol)
    if not np.isfinite(estimator.tol):
        raise ValueError(f"tol={estimator.tol!r} is not finite. Give a small number.")
    check_verbose(estimator.verbose)
    check_seed(estimator.random_state)
    check_number("max_iter", estimator.max_iter, integral=True)


def check_residual(residual: Any) -> None:
    if residual is not None and not isinstance(residual, ResidualCovariance):
        raise TypeError(
            f"residual={residual!r} is of type {type(residual).__name__}. Give a Residual"
            "Covariance, such as ResidualCovariance('ar1', subject='patient', time='visit')."
        )


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} is of type {type(value).__name__}. Give True or False.")


def check_number(name: str, value: Any, *, integral: bool = False) -> None:
    kind: Any = numbers.Integral if integral else numbers.Real
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, kind):
        wanted = "an integer" if integral else "a number"
        raise TypeError(f"{name}={value!r} is of type {type(value).__name__}. Give {wanted}.")
    if not value > 0:
        raise ValueError(f"{name}={value!r} is not positive.")


def check_jobs(n_jobs: Any) -> None:
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, numbers.Integral):
        raise TypeError(
            f"n_jobs={n_jobs!r} is of type {type(n_jobs).__name__}. Give an integer, or None."
        )
    if n_jobs == 0:
        raise ValueError("n_jobs=0 runs nothing. Give 1, or -1 for all cores.")


def check_verbose(verbose: Any) -> None:
    if not isinstance(verbose, numbers.Integral | bool | np.bool_):
        raise TypeError(
            f"verbose={verbose!r} is of type {type(verbose).__name__}. Give an integer."
        )


def check_draws(n_samples: Any, n_numbers: int, name: str = "n_samples") -> None:
    """Refuse more draws, of so many numbers each, than the memory holds."""
    check_number(name, n_samples, integral=True)
    needed, available = 8 * int(n_samples) * n_numbers, _physical_memory()
    if needed > available:
        raise MemoryError(
            f"{name}={n_samples} draws of {n_numbers} numbers each take {needed / 2**30:.0f} GiB "
            f"of the machine's {available / 2**30:.0f}. Draw fewer."
        )


def check_response(y: Any, n_rows: int, estimator: object) -> FloatArray:
    """Return y as a float64 vector."""
    vector = numeric_column(_vector(y, estimator), words().response_name, what="The response")
    if len(vector) != n_rows:
        raise ValueError(
            f"{words().rows} and y have inconsistent numbers of samples: {n_rows} and "
            f"{len(vector)}."
        )
    return vector


def _vector(y: Any, estimator: object) -> Any:
    """Return y in one dimension; what is plainly so as it is, the rest by scikit-learn's checks."""
    if isinstance(y, np.ndarray | pd.Series) and y.ndim == 1 and len(y) and _is_plain(y):
        return y
    check_unmasked(y, "y")
    array = check_array(
        y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y", estimator=estimator
    )
    return column_or_1d(array, warn=True)


def _is_plain(y: Any) -> bool:
    """Whether an array or a series holds numbers of NumPy's types, and no masked ones."""
    is_numeric = isinstance(y.dtype, np.dtype) and y.dtype.kind in "fiu"
    return is_numeric and not isinstance(y, np.ma.MaskedArray)


def check_weights(
    sample_weight: Any, n_rows: int, *, may_be_zero: bool = False
) -> FloatArray | None:
    """Return precision weights as a float64 vector, or None for equal ones.

    `may_be_zero`: whether all may be, as in one of several sets of rows.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, numbers.Real):
        sample_weight = np.full(n_rows, float(sample_weight))
    name = words().weights
    check_unmasked(sample_weight, name)
    weights = np.asarray(sample_weight)
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got shape {weights.shape}.")
    weights = numeric_column(weights, name, what="The argument")
    if len(weights) != n_rows:
        raise ValueError(f"{name} has {len(weights)} entries, expected {n_rows}.")
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(
            f"{name} is negative at row {row} ({weights[row]:g}). {words().weight_rule}"
        )
    if not weights.any() and not may_be_zero:
        raise ValueError("Sample weights must contain at least one non-zero number: all are 0.")
    return weights


def check_positive_weights(sample_weight: Any, n_rows: int) -> FloatArray:
    """Return the weights of observations to predict, 1 unless given."""
    weights = check_weights(sample_weight, n_rows)
    if weights is None:
        return np.ones(n_rows)
    if not weights.all():
        raise ValueError(
            f"sample_weight is 0 at row {int(np.argmin(weights))}, and an observation of no "
            "precision has no finite variance. Give positive weights, or of='mean'."
        )
    if not (is_in_range(weights.min()) and is_in_range(weights.max())):
        raise ValueError(
            f"sample_weight is from {weights.min():.1e} to {weights.max():.1e}, beyond the range "
            "in which variances can be divided by it. Rescale the weights, those of `fit` too."
        )
    return weights


def check_unnamed(table: Table, names: tuple[str, ...] | None, n_features: int) -> None:
    """Refuse columns that match those of the rows before neither by name nor by number."""
    if (table.names is None) != (names is None):
        have, had = ("no column names", "had") if names else ("column names", "had none")
        raise ValueError(f"X has {have}, but the rows before {had}. Pass one kind of table.")
    if table.n_columns != n_features:
        raise ValueError(f"X has {table.n_columns} columns, but the rows before had {n_features}.")


def check_same_names(names: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse a set of columns other than that of the rows before."""
    missing = [name for name in known if name not in names]
    new = [name for name in names if name not in known]
    if missing or new or len(names) != len(known):
        parts = [f"lacks {', '.join(map(repr, missing))}"] * bool(missing)
        parts += [f"has {', '.join(map(repr, new))} besides"] * bool(new)
        difference = " and ".join(parts) or "has some of them more than once"
        raise ValueError(
            f"X has other columns than the rows before: it {difference}. Give all rows the "
            "same columns."
        )


def check_terms(encoder: Encoder) -> None:
    """Refuse coefficients that are the same twice."""
    for position, factor in enumerate(encoder.factors):
        columns = [c for t in encoder.terms if t.factor == position for c in t.columns]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(
                    f"{encoder.column_name(column)!r} varies within {factor.name!r} in more than "
                    f"one term, whose variances cannot be told apart. {words().twice}"
                )


def check_covariances(encoder: Encoder, n_rows: int) -> None:
    """Refuse covariances with more parameters than rows or memory."""
    for term in encoder.terms:
        name = encoder.factors[term.factor].name
        check_covariance(name, len(term.columns), term.structure, n_rows)


def check_covariance(group: str, size: int, structure: Covariance, n_rows: int) -> None:
    n_theta = structure.n_theta(size)
    what = f"The covariance of {size:,} coefficients within {group!r} has {n_theta:,} parameters"
    if size > 1 and n_theta >= n_rows:
        raise UndeterminedError(
            f"{what}, but there are {n_rows:,} samples. {words().smaller_covariance}"
        )
    needed = 8.0 * n_theta * size**2  # their directions
    if needed > (available := _physical_memory()):
        raise MemoryError(
            f"{what}, whose search takes {needed / 2**30:,.0f} GiB of the machine's "
            f"{available / 2**30:.0f}. {words().smaller_covariance}"
        )


def check_levels(encoder: Encoder, stats: CrossProducts) -> None:
    """Refuse factors whose levels cannot tell a variance from the residual's."""
    n_rows = stats.n_rows
    for position, factor in enumerate(encoder.factors):
        own = [t for t in encoder.terms if t.factor == position]
        check_several_levels(factor, n_rows)
        if factor.n_levels < n_rows or not any(t.has_intercept for t in own):
            continue
        if np.ptp(stats.factors[position].sums[:, 0, 0]) == 0:  # the rows' weights
            raise UndeterminedError(
                f"Grouping factor {factor.name!r} has {factor.n_levels} levels for {n_rows} "
                "samples; its random intercept cannot be told apart from the residual. Group by a "
                "coarser factor."
            )


def check_several_levels(factor: GroupingFactor, n_rows: int) -> None:
    if factor.n_levels == 1:
        raise UndeterminedError(
            f"Grouping factor {factor.name!r} has a single level in {n_rows} sample"
            f"{'s' * (n_rows > 1)}: its variance cannot be estimated. Leave it "
            f"{words().from_groups}."
        )


def check_factors(encoder: Encoder, stats: CrossProducts) -> None:
    """Refuse factors that are the same twice."""
    for pair in stats.pairs:
        first, second = encoder.factors[pair.first], encoder.factors[pair.second]
        sizes = len(stats.factors[pair.first].columns), len(stats.factors[pair.second].columns)
        # As many cells as levels: each level meets one, since none is empty.
        if first.n_levels == second.n_levels == pair.matrix.nnz // (sizes[0] * sizes[1]):
            raise UndeterminedError(
                f"Grouping factors {first.name!r} and {second.name!r} group the samples in the "
                "same way, by other labels: their variances cannot be told apart. Leave one out."
            )


def check_memory(encoder: Encoder, stats: CrossProducts, model: Model) -> None:
    """Refuse a dense core beyond the machine's memory, before it is allocated."""
    sizes = [
        factor.n_levels * len(encoder.factor_columns(k)) for k, factor in enumerate(encoder.factors)
    ]
    _, dense = elimination_order(stats, model)
    core = sum(sizes[k] for k in dense) + len(encoder.fixed)
    needed = CORE_COPIES * 8 * core**2
    available = _physical_memory()
    if needed > available:
        listed = ", ".join(
            f"{factor.name!r} {size}" for factor, size in zip(encoder.factors, sizes, strict=True)
        )
        raise MemoryError(
            f"The random effects ({listed} coefficients) leave a dense matrix of order {core} "
            "after the largest chain of nested factors is eliminated, which takes "
            f"{needed / 2**30:.0f} GiB of the machine's {available / 2**30:.0f}. "
            f"{words().iterative}"
        )


def _physical_memory() -> float:
    """Bytes of memory of the machine; unlimited where the system does not say."""
    if not hasattr(os, "sysconf"):
        return np.inf
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def check_range(encoder: Encoder, stats: CrossProducts) -> None:
    """Refuse columns whose products leave the range of floating-point numbers."""
    has_weights = stats.unweighted is not None
    if has_weights and not is_in_range(stats.sum_weights):
        raise ValueError(
            f"The sample weights are beyond the range in which they can be multiplied: their sum "
            f"is {stats.sum_weights:.1e}. Rescale them{words().weight_unit}."
        )
    # Without weights too, which shares of the variance are of
    norms, plain = stats.norms[1:], stats.counted_once().norms[1:]
    largest = np.maximum(norms, plain)
    names = (*encoder.names, words().response_name)
    for name, norm, most in zip(names, norms, largest, strict=True):
        is_small = 0 < norm < LARGEST_SQUARE**-0.5
        if most < LARGEST_SQUARE**0.5 and not is_small:
            continue
        size, result = ("small", "vanish") if is_small else ("large", "overflow")
        with np.errstate(over="ignore"):
            square = np.square(norm if is_small else most)
        together = " and the sample weights" * has_weights
        advice = "Rescale the column" + " or the weights" * has_weights
        raise ValueError(
            f"The values of {name!r}{together} are so {size} that products of them {result} "
            f"(their sum of squares is {square:.1e}). {advice}."
        )


def is_in_range(number: float) -> bool:
    return 1 / LARGEST_SQUARE < number < LARGEST_SQUARE


def check_squares(column: FloatArray, name: str) -> None:
    """Refuse values of rows to predict whose squares overflow."""
    size = np.abs(column).max(initial=0.0)
    if size >= LARGEST_SQUARE**0.5:
        raise ValueError(
            f"The values of {name!r} are so large that products of them overflow (the largest is "
            f"{size:.1e}). Variances cannot be computed for such rows."
        )


def check_include(include: Any, encoder: Encoder) -> tuple[int, ...]:
    """Return the positions of the factors whose effects a prediction adds."""
    names = [factor.name for factor in encoder.factors]
    if isinstance(include, str):
        check_choice("include", include, ("all", "fixed"))
        return tuple(range(len(names))) if include == "all" else ()
    if not np.iterable(include):
        raise TypeError(
            f"include={include!r} is of type {type(include).__name__}. Give 'all', 'fixed' or a "
            "list of grouping factors."
        )
    wanted = items_of(include, "include")
    for name in wanted:
        if not (isinstance(name, str) and name in names):
            raise ValueError(
                f"include={list(wanted)!r} names {name!r}, which is not a grouping factor of the "
                f"model. It has {', '.join(map(repr, names)) or 'none'}."
            )
    return tuple(names.index(name) for name in dict.fromkeys(wanted))


def check_findings(findings: Identifiability, encoder: Encoder, n_rows: int) -> None:
    """Refuse a model with more columns than rows, or a criterion that is flat."""
    if encoder.terms and n_rows <= findings.rank:
        raise UndeterminedError(
            f"{n_rows} samples do not suffice for {findings.rank} linearly independent fixed "
            f"effects and variance components. {words().fewer_fixed}"
        )
    for position, column in findings.spanned:
        factor = encoder.factors[encoder.terms[position].factor]
        raise UndeterminedError(
            f"The columns of {encoder.column_name(column)!r} within {factor.name!r} lie in the "
            "span of the fixed effects: REML is flat in their variance. Take the group out of the "
            f"fixed effects or {words().from_random}."
        )


def check_level(level: Any, name: str = "level") -> float:
    """Return a confidence level; refuse one that is not a share."""
    check_number(name, level)
    if not level < 1:
        raise ValueError(f"{name}={level!r} is not between 0 and 1. For 95 % give 0.95.")
    return float(level)


def check_has_residuals(system: Examined) -> None:
    """Refuse a residual covariance where the fixed effects leave no residuals."""
    if system.likelihood.is_exact_fit(system.at_zero):
        raise ValueError(
            f"The fixed effects reproduce {words().response_name!r}, which leaves no residuals to "
            "estimate a covariance from. Check that no column determines it."
        )
