"""Whether the sums of products of a saved model are those of its encoder's columns."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._saved.encoder import check_encoder
from skmixed._saved.requirements import (
    check_array,
    check_counts,
    check_kind,
    check_names,
    check_numbers,
    check_positions,
    require,
)
from skmixed._saved.rows import LARGEST, check_rows
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.grouped_products import FactorProducts, PairProducts
from skmixed._statistics.responses import ResponseProducts, ResponseTotals
from skmixed._statistics.row_sums import LARGEST_SQUARE


def check_statistics(
    encoder: Any, products: Any, feature_names: Any, n_features: Any, rows: Any = None
) -> None:
    """Refuse sufficient statistics whose parts do not fit each other."""
    check_encoder(encoder, n_features)
    check_products(encoder, products)
    check_rows(encoder, rows, products.n_rows)
    if feature_names is not None:
        check_names(feature_names)
        require(len(feature_names) == n_features, "names of columns")


def check_products(encoder: Encoder, stats: Any) -> None:
    check_kind("statistics", stats, CrossProducts)
    k = len(encoder.numeric) + 1
    check_counts("number of rows", stats.n_rows)
    check_numbers("weights", stats.sum_log_weights)
    require(abs(stats.sum_log_weights) < LARGEST * stats.n_rows, "weights")
    _check_products("sums of products", stats.total, (k, k))
    require((np.diagonal(stats.total) >= 0).all() and stats.total[0, 0] > 0, "sums of products")
    _check_products("centers", stats.center, (k,), LARGEST_SQUARE**0.5)
    _check_regression(stats.regression, k)
    if stats.unweighted is not None:
        _check_products("unweighted sums", stats.unweighted, (k, k))
    _check_responses(stats.responses, k, is_weighted=stats.unweighted is not None)
    require(len(stats.factors) == len(encoder.factors), "sums of groups")
    for position, (own, factor) in enumerate(zip(stats.factors, encoder.factors, strict=True)):
        check_kind("sums of groups", own, FactorProducts)
        require(own.columns == encoder.factor_columns(position), "columns of groups")
        q, r = factor.n_levels, len(own.columns)
        _check_products("sums of groups", own.products, (q, r, k + 1))
        _check_regression(own.regression, r)
        require(own.n_responses == 1, "sums of groups")
        check_array("counts of groups", own.counts, (q,), "iu")
    n_factors = len(stats.factors)
    require(len(stats.pairs) == n_factors * (n_factors - 1) // 2, "pairs of factors")
    for pair in stats.pairs:
        check_kind("sums of pairs", pair, PairProducts)
        check_positions("pairs of factors", (pair.first, pair.second), len(stats.factors))
        sides = [stats.factors[k].sums.shape for k in (pair.first, pair.second)]
        require(pair.matrix.shape == tuple(q * r for q, r, _ in sides), "sums of pairs")
        require(pair.matrix.dtype == np.float64 and pair.matrix.nnz > 0, "sums of pairs")


def _check_responses(responses: Any, k: int, *, is_weighted: bool) -> None:
    """Check the products of the one response."""
    check_kind("responses", responses, ResponseProducts)
    _check_products("centers", responses.center, (1,), LARGEST_SQUARE**0.5)
    if responses.regression is not None:
        check_array("regressions of responses", responses.regression, (k, 1))
    require((responses.unweighted is not None) == is_weighted, "responses")
    for total in (responses.total, responses.unweighted)[: 1 + is_weighted]:
        check_kind("responses", total, ResponseTotals)
        _check_products("sums of responses", total.with_columns, (k, 1))
        _check_products("sums of responses", total.squares, (1,))


def _check_products(
    what: str, array: Any, shape: tuple[int, ...], largest: float = LARGEST_SQUARE
) -> None:
    """Check an array of numbers that the sums of a fit may have."""
    check_array(what, array, shape)
    require((np.abs(array) < largest).all(), what)


def _check_regression(regression: Any, m: int) -> None:
    """Check a unit upper triangular matrix, which is solved with and never inverted."""
    if regression is None:
        return
    check_array("regressions of columns", regression, (m, m))
    is_unit = (np.diagonal(regression) == 1.0).all() and not np.tril(regression, -1).any()
    require(is_unit and np.isfinite(regression).all(), "regressions of columns")
