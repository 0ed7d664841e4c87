"""SufficientStatistics: all that a fit reads of rows, and that adds up."""

from dataclasses import dataclass, fields, replace
from typing import Any

from skmixed._data.encoder import Encoder, EncoderUnion
from skmixed._fitted import kernel
from skmixed._folds.totals import FoldTotals
from skmixed._repeated.rows import RepeatedRows
from skmixed._saved.form import FORMAT, pack, unpack
from skmixed._saved.state import check_format, reading
from skmixed._saved.statistics import check_statistics
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import IntArray


@dataclass(frozen=True)
class SufficientStatistics:
    """What a fit reads of rows: cross-products, and the labels of the groups.

    Made by `MixedLinearRegressor.statistics`, added by ``+``, and fitted by
    `MixedLinearRegressor.fit_statistics`. The statistics of two sets of rows
    add up to those of all rows, so that a model is fitted to rows that never
    come together in one place. They are saved as plain arrays.

    Attributes
    ----------
    encoder : Encoder
        The columns of the model, and the labels of its groups.
    products : CrossProducts
        Weighted sums of products of the columns: over all rows, over the rows
        of each group, and for two grouping factors over each pair of groups
        that occurs.
    feature_names : tuple of str or None
        Names of X's columns.
    n_features : int
        Number of X's columns.
    rows : RepeatedRows or None
        Of a model with a residual covariance the rows, which are not summed up.

    See Also
    --------
    MixedLinearRegressor.statistics : Makes them of rows.
    MixedLinearRegressor.fit_statistics : Fits to them.
    skmixed.distributed.dask_statistics : Makes them of a Dask dataframe.

    Notes
    -----
    They take O(groups·s·(p + s) + distinct pairs of groups of two factors)
    memory for s coefficients per group and p columns, whatever the number of
    rows; and ``a + b`` as much time.

    No rows are in them, but sums over each group: a group of a single row is
    that row, and a group of two with equal weights gives their mean and their
    products. The labels of the groups are in them as they are.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> here = model.statistics(X[:70], y[:70])
    >>> there = model.statistics(X[70:], y[70:])
    >>> here + there
    SufficientStatistics(180 rows, Subject 18)
    >>> round(model.fit_statistics(here + there).criterion_, 4)
    1743.6283
    """

    encoder: Encoder
    products: CrossProducts
    feature_names: tuple[str, ...] | None
    n_features: int
    rows: RepeatedRows | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return plain arrays and lists."""
        return {"format": FORMAT} | {
            own.name: pack(getattr(self, own.name)) for own in fields(self)
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        check_format(state)
        with reading():
            parts = {own.name: unpack(state.get(own.name)) for own in fields(self)}
            check_statistics(**parts)
        self.__dict__.update(parts)

    @property
    def n_rows(self) -> int:
        """Rows of positive weight."""
        return self.products.n_rows

    @property
    def n_levels(self) -> dict[str, int]:
        """Grouping factor → number of its levels."""
        return {factor.name: factor.n_levels for factor in self.encoder.factors}

    def __add__(self, other: object) -> "SufficientStatistics":
        """Return the statistics of the rows of both.

        Raises
        ------
        ValueError
            If they are not of the same columns and grouping factors, or the
            labels of a factor are not of the same kind.
        """
        if not isinstance(other, SufficientStatistics):
            return NotImplemented
        if (self.n_features, self.feature_names) != (other.n_features, other.feature_names):
            raise ValueError(
                "The statistics are of different columns: "
                f"{_columns(self)} and {_columns(other)}. Give X the same columns in one order."
            )
        check_same_columns(self.encoder, other.encoder)
        union = EncoderUnion.of(self.encoder)
        places, n = union.take(other.encoder), len(other.encoder.factors)
        moved = other.products.aligned(places[:n], union.n_levels)
        rows, further, columns = self.rows, other.rows, other.encoder.subjects
        if rows is not None and further is not None and columns is not None:
            own = columns.renumbered(further.subjects, places[n:])
            rows = RepeatedRows.joined([rows, further.renumbered(places[:n], own)])
        products = self.products + moved
        return replace(self, encoder=union.joined(), products=products, rows=rows)

    def __radd__(self, other: object) -> "SufficientStatistics":
        # sum() starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __repr__(self) -> str:
        levels = "".join(f", {name} {q}" for name, q in self.n_levels.items())
        return f"SufficientStatistics({self.n_rows} rows{levels})"


def of_levels_with_rows(
    encoder: Encoder,
    products: CrossProducts,
    feature_names: Any,
    n_features: int,
) -> SufficientStatistics:
    """Return statistics with those levels of an encoder alone that have rows."""
    levels = products.levels
    if all(len(own) == len(f.counts) for own, f in zip(levels, products.factors, strict=True)):
        names = None if feature_names is None else tuple(feature_names)
        return SufficientStatistics(encoder, products, names, n_features)
    factors = [f.picked(own) for f, own in zip(encoder.factors, levels, strict=True)]
    return SufficientStatistics(
        encoder.with_factors(factors),
        kernel.of_levels(products, levels),
        None if feature_names is None else tuple(feature_names),
        n_features,
    )


def without_fold(
    given: SufficientStatistics, totals: FoldTotals, number: int, levels: IntArray
) -> SufficientStatistics:
    """Return the statistics without a small fold of whole groups of the only factor.

    `levels` are those that the other rows have; `totals` the sums over the rows of each fold.
    """
    products = kernel.without_fold(totals, given.products, number, levels)
    encoder = given.encoder.with_factors([given.encoder.factors[0].picked(levels)])
    return replace(given, encoder=encoder, products=products)


def check_same_columns(known: Encoder, other: Encoder) -> None:
    """Refuse encoders whose statistics have different columns or factors."""
    if _layout(known) != _layout(other):
        raise ValueError(
            f"The statistics are of {_described(known)}; here are asked for {_described(other)}. "
            "Use the same `groups`, `random_slopes` and `fixed` for all rows."
        )


def _layout(encoder: Encoder) -> object:
    sources = [factor.sources for factor in encoder.factors]
    own = encoder.subjects
    subjects = None if own is None else [f.sources for f in own.factors]
    columns = [encoder.factor_columns(k) for k in range(len(sources))]
    return encoder.numeric, sources, columns, subjects


def _described(encoder: Encoder) -> str:
    numeric = ", ".join(map(repr, encoder.names)) or "none"
    factors = "; ".join(
        f"{factor.name!r} with "
        + ", ".join(encoder.column_name(c) for c in encoder.factor_columns(k))
        for k, factor in enumerate(encoder.factors)
    )
    return f"numeric columns {numeric} and grouping factors {factors or 'none'}"


def _columns(stats: SufficientStatistics) -> str:
    if stats.feature_names is None:
        return f"{stats.n_features} without names"
    return ", ".join(map(repr, stats.feature_names))
