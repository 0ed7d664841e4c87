"""Fits to rows on several machines, by Dask (the optional extra ``dask``)."""

from typing import TYPE_CHECKING, Any

from sklearn.base import clone

from skmixed._data.chunks import named
from skmixed._fitted.sufficient_statistics import SufficientStatistics

if TYPE_CHECKING:
    from skmixed._estimators.regressor import MixedLinearRegressor

__all__ = ["dask_statistics", "fit_dask"]

# Statistics that one task adds up.
BRANCHES = 8


def fit_dask(
    model: "MixedLinearRegressor",
    ddf: Any,
    *,
    target: str,
    sample_weight: str | None = None,
) -> "MixedLinearRegressor":
    """Fit a model to a Dask dataframe, one pass over its partitions.

    The workers reduce their partitions to statistics and add these up in a
    tree; the estimates are computed here. They are those of `fit` on all rows.

    Parameters
    ----------
    model : MixedLinearRegressor
        Its grouping columns are columns of `ddf`.
    ddf : dask.dataframe.DataFrame
        The rows. All columns but `target` and `sample_weight` are those of X,
        so select before what the model needs.
    target : str
        The name of the column of the response.
    sample_weight : str, default=None
        The name of the column of precision weights.

    Returns
    -------
    MixedLinearRegressor
        `model`, fitted. A failure leaves it as it was.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, with the number of the partition; the first is 0.

    See Also
    --------
    dask_statistics : The statistics alone, for several fits or for sums.
    skmixed.MixedLinearRegressor.fit_chunks : One pass over chunks on one machine.

    Notes
    -----
    Computed by the scheduler that Dask is set to, such as that of the current
    `distributed.Client`; partitions of workers that are lost are computed again
    by others. Statistics are added in the same order each time, so that the
    same partitions give the same bits. Each task of the tree holds those of a
    few partitions, O(groups) numbers each.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.distributed import fit_dask
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> ddf = dd.from_pandas(X.assign(Reaction=y), npartitions=3)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> round(fit_dask(model, ddf, target="Reaction").criterion_, 4)
    1743.6283
    """
    stats = dask_statistics(model, ddf, target=target, sample_weight=sample_weight)
    return model.fit_statistics(stats)


def dask_statistics(
    model: "MixedLinearRegressor",
    ddf: Any,
    *,
    target: str,
    sample_weight: str | None = None,
) -> SufficientStatistics:
    """Reduce a Dask dataframe to what a fit reads of its rows.

    Parameters
    ----------
    model : MixedLinearRegressor
        Its grouping columns are columns of `ddf`; it does not change.
    ddf : dask.dataframe.DataFrame
        The rows. All columns but `target` and `sample_weight` are those of X.
    target : str
        The name of the column of the response.
    sample_weight : str, default=None
        The name of the column of precision weights.

    Returns
    -------
    SufficientStatistics
        For `skmixed.MixedLinearRegressor.fit_statistics`, or to be added to others.

    Raises
    ------
    ValueError, TypeError
        As in `fit`, with the number of the partition; the first is 0.

    See Also
    --------
    fit_dask : One fit to them.

    Notes
    -----
    Costs one pass over the rows, which is most of the work of a fit: models with
    the same columns and groups but another method or covariance can be fitted to
    the same statistics.

    Examples
    --------
    >>> import dask
    >>> import dask.dataframe as dd
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.distributed import dask_statistics
    >>> ddf = dd.from_pandas(load_sleepstudy().frame, npartitions=3)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days")
    >>> with dask.config.set(scheduler="synchronous"):
    ...     stats = dask_statistics(model, ddf, target="Reaction")
    >>> stats
    SufficientStatistics(180 rows, Subject 18)
    >>> for covariance in ("full", "diag"):
    ...     model = model.set_params(covariance=covariance).fit_statistics(stats)
    ...     print(covariance, round(model.criterion_, 4))
    full 1743.6283
    diag 1743.6693
    """
    if not hasattr(model, "statistics"):
        raise TypeError(
            f"model is of type {type(model).__name__}, whose fit reads rows more than once. Give a "
            f"MixedLinearRegressor; models of classes and counts take a Dask dataframe by "
            f"model.fit_chunks(ddf, target={target!r})."
        )
    _check_columns(ddf, target, sample_weight)
    from dask import compute, delayed

    # The parameters alone travel to the workers, not what was fitted before.
    reduce_part, join = delayed(_statistics, pure=False), delayed(_sum, pure=False)
    bare = delayed(clone(model))
    parts = [
        reduce_part(bare, part, target, sample_weight, number)
        for number, part in enumerate(ddf.to_delayed())
    ]
    while len(parts) > 1:
        parts = [join(parts[k : k + BRANCHES]) for k in range(0, len(parts), BRANCHES)]
    (stats,) = compute(*parts)
    if stats is None:
        raise ValueError("ddf has no rows of positive weight.")
    return stats


def _statistics(
    model: Any, part: Any, target: str, sample_weight: str | None, number: int
) -> SufficientStatistics | None:
    """Reduce one partition; None where it has no rows."""
    weights = None if sample_weight is None else part[sample_weight]
    if len(part) == 0 or (weights is not None and (weights == 0).all()):
        return None
    X = part.drop(columns=[target] if sample_weight is None else [target, sample_weight])
    with named(f"partition {number} (counted from 0)"):
        return model.statistics(X, part[target], weights)


def _sum(parts: list[SufficientStatistics | None]) -> SufficientStatistics | None:
    """Add the statistics of partitions in their order."""
    total = None
    for part in parts:
        total = part if total is None else total if part is None else total + part
    return total


def _check_columns(ddf: Any, target: str, sample_weight: str | None) -> None:
    if not hasattr(ddf, "to_delayed") or not hasattr(ddf, "columns"):
        raise TypeError(
            f"ddf is of type {type(ddf).__name__}. Give a dask.dataframe.DataFrame; to rows in "
            "memory, use `fit`."
        )
    if getattr(ddf, "ndim", 2) != 2:
        raise TypeError(
            f"ddf is of type {type(ddf).__name__}, a single column. Give a "
            "dask.dataframe.DataFrame that holds the target too."
        )
    if not isinstance(target, str):
        raise TypeError(
            f"target={target!r} is of type {type(target).__name__}. Give the name of the column of "
            "ddf that holds the response."
        )
    columns = list(ddf.columns)
    for parameter, name in (("target", target), ("sample_weight", sample_weight)):
        if name is not None and name not in columns:
            raise ValueError(
                f"{parameter}={name!r} is not a column of ddf, which has columns "
                f"{', '.join(map(repr, columns))}."
            )
