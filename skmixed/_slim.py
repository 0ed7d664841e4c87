"""What is left of the statistics in a copy that predicts and no more."""

from dataclasses import dataclass
from typing import Any

from skmixed._crossprod import CrossProducts


@dataclass(frozen=True)
class Dropped:
    """Stands for the statistics of a slim copy.

    Attributes
    ----------
    n_rows : int
    """

    n_rows: int


def check_has_statistics(estimator: Any) -> CrossProducts:
    """Return the statistics of a fitted estimator; refuse a slim copy.

    Raises
    ------
    ValueError
        If it is one.
    """
    if isinstance(estimator._stats, Dropped):
        raise ValueError(
            "The model is a slim copy, which predicts but keeps no statistics for intervals, for "
            "inference or for further rows. Use the estimator that slim() was called on, or fit "
            "again."
        )
    stats: CrossProducts = estimator._stats
    return stats
