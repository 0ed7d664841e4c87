"""Whether the parts of a saved model fit each other.

A file may have been damaged, or made to do damage: what compiled code reads by
indices is checked to be inside of its arrays, and every array to have the shape that
the encoder asks for, before anything is computed with it.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from skmixed._data.categories import Categories
from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.labels import ColumnLevels
from skmixed._data.subjects import SubjectColumns
from skmixed._estimation.fit import Estimate
from skmixed._estimation.identifiability import Identifiability
from skmixed._estimation.runs import MonteCarlo
from skmixed._estimation.solution import FamilySolution, ResidualSolution, Solution
from skmixed._fitted.fitted_model import FittedModel
from skmixed._generalized.rows import GeneralizedRows
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.family import FAMILIES
from skmixed._model.structures import STRUCTURES
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.estimability import Dependence
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.responses import ResponseProducts, ResponseTotals
from skmixed.exceptions import FitStatus


def check_saved(model: Any, n_features: Any) -> None:
    """Refuse, with a ValueError, a fitted model whose parts are no parts of one."""
    _is("model", model, FittedModel)
    _is("estimate", model.estimate, Estimate)
    _check_encoder(model.encoder, n_features)
    _check_counts("number of rows", model.n_rows)
    _check_estimate(model.encoder, model.estimate)
    if model.products is not None:
        _check_statistics(model.encoder, model.products)
        _check_rows(model.encoder, model.rows, model.products.n_rows)
        _check_family_rows(model)
    require(model.products is not None or model.rows is model.family_rows is None, "rows")
    if model.before is not None:
        check_saved(model.before, n_features)
        require(model.before.before is None, "further rows")


def check_statistics(
    encoder: Any, products: Any, feature_names: Any, n_features: Any, rows: Any = None
) -> None:
    """Refuse sufficient statistics whose parts do not fit each other."""
    _check_encoder(encoder, n_features)
    _check_statistics(encoder, products)
    _check_rows(encoder, rows, products.n_rows)
    if feature_names is not None:
        _check_names(feature_names)
        require(len(feature_names) == n_features, "names of columns")


def check_columns(state: Mapping[str, Any]) -> None:
    """Refuse numbers and names of columns that are none, or that nothing was fitted to."""
    n_features, names = state.get("n_features_in_"), state.get("feature_names_in_")
    _check_counts("numbers of columns", 1 if n_features is None else n_features)
    if names is not None:
        _check_array("names of columns", names, (n_features or -1,), "O")
        _check_names(tuple(names.tolist()))


def check_categories(categories: Any, state: Mapping[str, Any]) -> None:
    """Refuse what are no categories of each column, or no encodings of them in the state."""
    n_features = state["n_features_in_"]
    require(isinstance(categories, tuple) and len(categories) == n_features, "categories")
    for own in categories:
        _is("categories", own, Categories)
        check_levels(own.levels)
        require(isinstance(own.has_missing, bool), "categories")
    encodings = state["encodings_"]
    require(isinstance(encodings, list) and len(encodings) == n_features, "encodings")
    for codes, own in zip(encodings, categories, strict=True):
        _check_array("encodings", codes, (len(own),))
    for name in ("intercept_", "smooth_"):
        _check_array(name, state[name], (n_features,))


class DamagedModelError(ValueError):
    """A saved model that cannot be read."""


def damaged(what: str) -> DamagedModelError:
    """Return the error to raise of a saved model that cannot be read."""
    return DamagedModelError(f"The saved model is damaged: {what}. Save it again, or fit anew.")


def check_labels(labels: Any) -> None:
    """Refuse what are no labels of levels."""
    _check_array("labels", labels, (len(labels),), "iufMmO")
    if labels.dtype == object:
        deque(map(hash, labels.tolist()), maxlen=0)  # raises where one cannot be hashed


def check_levels(levels: Any) -> None:
    """Refuse what are no levels, each of another label."""
    _is("labels", levels, ColumnLevels)
    check_labels(levels.labels)
    require(levels.index.is_unique and not levels.index.hasnans, "labels")


def is_finite_matrix(matrix: Any) -> bool:
    """Whether it is a sparse matrix of finite numbers, as `unpack` returns it."""
    is_matrix = isinstance(matrix, sp.csr_array) and matrix.dtype == np.float64
    return is_matrix and bool(np.isfinite(matrix.data).all())


def require(is_so: Any, what: str) -> None:
    """Refuse a saved model of which something is not so."""
    if not is_so:
        raise damaged(f"its {what} do not fit the rest")


def _is(what: str, value: Any, kind: Any) -> None:
    require(isinstance(value, kind), what)


def _check_array(what: str, array: Any, shape: tuple[int, ...], kinds: str = "f") -> None:
    _is(what, array, np.ndarray)
    require(array.shape == shape and array.dtype.kind in kinds and array.dtype.isnative, what)


def _check_counts(what: str, *counts: Any) -> None:
    require(all(type(count) is int and 0 < count < 2**62 for count in counts), what)


def _check_numbers(what: str, *numbers: Any) -> None:
    """Check finite numbers."""
    require(all(type(number) is float and np.isfinite(number) for number in numbers), what)


def _check_names(names: Any) -> None:
    _is("names of columns", names, tuple)
    require(all(type(name) is str for name in names), "names of columns")


def _check_positions(what: str, positions: Any, end: Any) -> None:
    """Check a tuple of distinct integers from 0 up to `end`."""
    _is(what, positions, tuple)
    require(all(type(k) is int and 0 <= k < end for k in positions), what)
    require(len(set(positions)) == len(positions), what)


def _check_encoder(encoder: Any, n_features: Any) -> None:
    _is("encoder", encoder, Encoder)
    _check_counts("numbers of columns", n_features)
    _check_positions("numeric columns", encoder.numeric, n_features)
    _check_names(encoder.names)
    require(len(encoder.names) == len(encoder.numeric), "names of columns")
    n_columns = 1 + len(encoder.numeric)
    _check_positions("fixed columns", encoder.fixed, n_columns)
    _is("grouping factors", encoder.factors, tuple)
    _is("random-effects terms", encoder.terms, tuple)
    for factor in encoder.factors:
        _check_factor(factor, n_features)
    for term in encoder.terms:
        _check_positions("random-effects terms", (term.factor,), len(encoder.factors))
        _check_positions("columns of random effects", term.columns, n_columns)
        require(term.structure in STRUCTURES.values(), "covariance structures")
    if encoder.subjects is not None:
        _check_subjects(encoder.subjects, n_features)


def _check_subjects(subjects: Any, n_features: int) -> None:
    """Check the columns of a residual covariance."""
    _is("subjects", subjects, SubjectColumns)
    require(subjects.structure in CORRELATIONS, "residual covariance")
    flags = ("heterogeneous", "shared_correlation", "has_fitted_power")
    require(all(type(getattr(subjects, own)) is bool for own in flags), "residual covariance")
    labels = () if subjects.fitted_time is None else (subjects.fitted_time,)
    for factor in (*subjects.factors, *labels):
        _check_factor(factor, n_features)
    deque(map(check_levels, subjects.orders), maxlen=0)
    require(subjects.subject is not None or not subjects.is_correlated, "subjects")
    timed = subjects.correlation.time != "none"
    require(subjects.time is not None or not (timed or subjects.heterogeneous), "times")


def _check_rows(encoder: Encoder, rows: Any, n: int) -> None:
    """Check the rows of a model with a residual covariance."""
    require((rows is None) == (encoder.subjects is None), "rows")
    if rows is None or encoder.subjects is None:
        return
    _is("rows", rows, RepeatedRows)
    _check_each_row(encoder, rows, n)
    codes = {"subject": rows.subject, "time": rows.visit, "by": rows.stratum, "power": rows.size}
    for role, own in codes.items():
        factor = getattr(encoder.subjects, role)
        _check_array("subjects of rows", own, (n,), "i")
        _check_codes([own], [n if factor is None else factor.n_levels])


def _check_family_rows(model: FittedModel) -> None:
    """Check the rows of a generalized model."""
    rows, encoder, n = model.family_rows, model.encoder, model.stats.n_rows
    require((rows is None) == (model.solution.family is None), "rows")
    if rows is None:
        return
    _is("rows", rows, GeneralizedRows)
    n_held = n if rows.constant is None else min(n, len(rows.response))  # equal ones are pooled
    _check_numbers("constant", rows.constant or 0.0)
    _check_each_row(encoder, rows, n_held)
    _check_array("offsets", rows.offset, (n_held,))
    require(model.family.is_valid(rows.response).all(), "responses")


def _check_each_row(encoder: Encoder, rows: Any, n: int) -> None:
    """Check the columns, response, weights and levels of rows."""
    _check_array("rows", rows.columns, (n, len(encoder.numeric)))
    weights = np.ones(n) if rows.weights is None else rows.weights
    for own in (rows.response, weights):
        _check_array("rows", own, (n,))
    require((weights > 0).all(), "weights")
    _check_array("levels of rows", rows.levels, (n, len(encoder.factors)), "i")
    _check_codes(rows.levels.T, [factor.n_levels for factor in encoder.factors])


def _check_codes(codes: Any, counts: list[int]) -> None:
    for own, count in zip(codes, counts, strict=True):
        require(not len(own) or (own.min() >= 0 and own.max() < count), "levels of rows")


def _check_residual(encoder: Encoder, residual: Any) -> None:
    """Check the estimates of a residual covariance."""
    subjects = encoder.subjects
    require((residual is None) == (subjects is None), "residual covariance")
    if residual is None or subjects is None:
        return
    _is("residual covariance", residual, ResidualSolution)
    names = subjects.correlation.name, subjects.variance.name, subjects.shared_correlation
    own = residual.correlation, residual.variance, residual.has_shared_correlation
    require(own == names, "residual covariance")
    _check_array("times", residual.steps, (len(residual.steps),), "i")
    require(len(residual.steps) > 0 and (np.diff(residual.steps) > 0).all(), "times")
    require(residual.steps[0] >= 0 and residual.steps[-1] < 2**31, "times")
    if subjects.time is not None:
        require(np.array_equal(residual.steps, subjects.timeline().steps), "times")
    _check_array("residual covariance", residual.phi, (subjects.n_strata, residual.model.n_own))
    require(np.isfinite(residual.phi).all(), "residual covariance")


def _check_family(encoder: Encoder, own: Any) -> None:
    """Check what a generalized model has in the place of a residual variance."""
    if own is None:
        return
    _is("family", own, FamilySolution)
    require((own.family, own.link) in FAMILIES, "family")
    require(own.has_shape is FAMILIES[own.family, own.link].has_dispersion, "family")
    _check_numbers("family", own.phi)
    require(type(own.phi_error) is float, "family")
    _check_counts("number of nodes", own.n_nodes)
    require(len(own.covariances) == len(encoder.terms), "covariances of effects")
    for covariances, term in zip(own.covariances, encoder.terms, strict=True):
        s, q = len(term.columns), encoder.factors[term.factor].n_levels
        _check_array("covariances of effects", covariances, (q, s, s))


def _check_factor(factor: GroupingFactor, n_features: int) -> None:
    _is("grouping factors", factor, GroupingFactor)
    require(factor.sources and len(factor.sources) == len(factor.levels), "grouping columns")
    _check_names(tuple(s.name for s in factor.sources))
    columns = tuple(s.position for s in factor.sources if s.position is not None)
    _check_positions("grouping columns", columns, n_features)
    for levels in factor.levels:
        check_levels(levels)
    if factor.cells is None:
        require(len(factor.sources) == 1, "labels")
        return
    _check_array("cells of an interaction", factor.cells, (len(factor.cells),), "i")
    end = np.prod([float(len(levels)) for levels in factor.levels])
    require(end < 2.0**62, "cells of an interaction")
    require(((factor.cells >= 0) & (factor.cells < end)).all(), "cells of an interaction")


def _check_statistics(encoder: Encoder, stats: Any) -> None:
    _is("statistics", stats, CrossProducts)
    k = len(encoder.numeric) + 1
    _check_counts("number of rows", stats.n_rows)
    _check_numbers("weights", stats.sum_log_weights)
    _check_array("sums of products", stats.total, (k, k))
    require((np.diagonal(stats.total) >= 0).all() and stats.total[0, 0] > 0, "sums of products")
    _check_array("centers", stats.center, (k,))
    _check_regression(stats.regression, k)
    if stats.unweighted is not None:
        _check_array("unweighted sums", stats.unweighted, (k, k))
    _check_responses(stats.responses, k, is_weighted=stats.unweighted is not None)
    require(len(stats.factors) == len(encoder.factors), "sums of groups")
    for position, (own, factor) in enumerate(zip(stats.factors, encoder.factors, strict=True)):
        _is("sums of groups", own, FactorProducts)
        require(own.columns == encoder.factor_columns(position), "columns of groups")
        q, r = factor.n_levels, len(own.columns)
        _check_array("sums of groups", own.products, (q, r, k + 1))
        _check_regression(own.regression, r)
        require(own.n_responses == 1, "sums of groups")
        _check_array("counts of groups", own.counts, (q,), "iu")
    n_factors = len(stats.factors)
    require(len(stats.pairs) == n_factors * (n_factors - 1) // 2, "pairs of factors")
    for pair in stats.pairs:
        _is("sums of pairs", pair, PairProducts)
        _check_positions("pairs of factors", (pair.first, pair.second), len(stats.factors))
        sides = [stats.factors[k].sums.shape for k in (pair.first, pair.second)]
        require(pair.matrix.shape == tuple(q * r for q, r, _ in sides), "sums of pairs")
        require(pair.matrix.dtype == np.float64 and pair.matrix.nnz > 0, "sums of pairs")


def _check_responses(responses: Any, k: int, *, is_weighted: bool) -> None:
    """Check the products of the one response."""
    _is("responses", responses, ResponseProducts)
    _check_array("centers", responses.center, (1,))
    if responses.regression is not None:
        _check_array("regressions of responses", responses.regression, (k, 1))
    require((responses.unweighted is not None) == is_weighted, "responses")
    for total in (responses.total, responses.unweighted)[: 1 + is_weighted]:
        _is("responses", total, ResponseTotals)
        _check_array("sums of responses", total.with_columns, (k, 1))
        _check_array("sums of responses", total.squares, (1,))


def _check_regression(regression: Any, m: int) -> None:
    """Check a unit upper triangular matrix, which is solved with and never inverted."""
    if regression is None:
        return
    _check_array("regressions of columns", regression, (m, m))
    is_unit = (np.diagonal(regression) == 1.0).all() and not np.tril(regression, -1).any()
    require(is_unit and np.isfinite(regression).all(), "regressions of columns")


def _check_dependence(dependence: Any, kept: tuple[int, ...], p: int) -> None:
    """Check which columns of X were dropped, and what they are combinations of."""
    if dependence is None:
        return
    _is("dropped columns", dependence, Dependence)
    _check_positions("dropped columns", dependence.dropped, p)
    require(dependence.kept == kept, "kept columns")
    require({*kept, *dependence.dropped} == set(range(p)), "dropped columns")
    n_kept, n_dropped = len(kept), p - len(kept)
    require(len(dependence.dropped) == n_dropped, "dropped columns")
    _check_array("combinations of columns", dependence.weights, (n_kept, n_dropped))
    _check_array("centers of columns", dependence.center, (p,))
    _check_array("scales of columns", dependence.scale, (n_kept,))
    _check_array("scales of columns", dependence.floor, (n_dropped,))


def _check_estimate(encoder: Encoder, estimate: Any) -> None:
    _check_solution(encoder, estimate.solution)
    _is("status", estimate.status, FitStatus)
    counts = (estimate.n_iter, estimate.n_factorizations)
    require(all(type(count) is int and count >= 0 for count in counts), "number of steps")
    findings, n_terms = estimate.findings, len(encoder.terms)
    _is("findings", findings, Identifiability)
    _check_positions("findings", findings.undetermined, n_terms)
    for own in (findings.spanned, findings.apart):
        _is("findings", own, tuple)
    for term, *columns in (*findings.spanned, *findings.apart):
        _check_positions("findings", (term,), n_terms)
        _check_positions("findings", tuple(columns), 1 + len(encoder.numeric))
    if estimate.monte_carlo is not None:
        _check_monte_carlo(encoder, estimate.monte_carlo)


def _check_monte_carlo(encoder: Encoder, found: Any) -> None:
    _is("Monte Carlo errors", found, MonteCarlo)
    numbers = (found.criterion_error, found.residual, found.condition)
    require(all(type(number) is float for number in numbers), "Monte Carlo errors")
    require(len(found.sd_errors) == len(encoder.terms), "Monte Carlo errors")
    for errors, term in zip(found.sd_errors, encoder.terms, strict=True):
        _check_array("Monte Carlo errors", errors, (len(term.columns),))


def _check_solution(encoder: Encoder, solution: Any) -> None:
    _is("estimates", solution, Solution)
    p = len(encoder.fixed)
    _check_array("fixed effects", solution.fixed, (p,))
    _check_positions("fixed effects", solution.kept, p)
    _check_array("covariances", solution.fixed_root, (len(solution.kept),) * 2)
    _check_dependence(solution.dependence, solution.kept, p)
    _check_residual(encoder, solution.residual)
    _check_family(encoder, solution.family)
    _check_numbers("estimates", solution.sigma)
    is_criterion = type(solution.criterion) is float and type(solution.reml) is bool
    require(solution.sigma >= 0 and is_criterion, "estimates")
    require(len(solution.terms) == len(encoder.terms), "random effects")
    for own, term in zip(solution.terms, encoder.terms, strict=True):
        s, q = len(term.columns), encoder.factors[term.factor].n_levels
        for lam in (own.lam, own.search_lam):
            _check_array("covariance factors", lam, (s, s))
        _check_array("random effects", own.effects, (s, q))
        _check_array("covariance parameters", own.theta, (term.structure.n_theta(s),))
