"""What predictions are made with: a fit, or a fit and rows given to it afterwards."""

from dataclasses import dataclass
from typing import Any

from skmixed._crossprod import CrossProducts
from skmixed._encode import Encoder
from skmixed._slim import Dropped
from skmixed._solution import Solution


@dataclass(frozen=True)
class Serving:
    """A fit with the effects that rows given to `update_groups` have changed.

    Attributes
    ----------
    encoder : Encoder
        Its factors have the fit's levels, and new ones behind them.
    stats : CrossProducts or Dropped
        Of the fit's rows and the further ones, around the fit's center.
    solution : Solution
        The fit's, but for the effects.
    """

    encoder: Encoder
    stats: CrossProducts | Dropped
    solution: Solution


def serving_of(estimator: Any) -> Serving:
    """Return what a fitted estimator predicts with."""
    updated: Serving | None = vars(estimator).get("_updated")
    if updated is not None:
        return updated
    return Serving(estimator._encoder, estimator._stats, estimator._estimate.solution)
