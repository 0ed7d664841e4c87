"""A regressor on the response less the effects, and effects on the rest, in turns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._estimation.fit import Estimate
from skmixed._typing import FloatArray
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._out_of_fold import OutOfFold


@dataclass(frozen=True)
class Settled:
    """Where the turns have come to.

    Attributes
    ----------
    effects : (n,) array
        Zb̂ of each row.
    predictions : (n,) array
        f̂₋ of each row, by regressors that were not trained on it.
    n_iter : int
    change : float
        The last one of Zb̂, in residual standard deviations.
    has_settled : bool
        Whether it was small, or no smaller than the one before.
    """

    effects: FloatArray
    predictions: FloatArray
    n_iter: int
    change: float
    has_settled: bool


def alternate(
    rows: EffectRows,
    learned: OutOfFold,
    response: FloatArray,
    *,
    tol: float,
    max_iter: int,
    report: Callable[[str], None] | None,
) -> Settled:
    """Fit f to y − Zb̂ and b to y − f̂₋(X), until Zb̂ stays.

    f̂₋ has not seen the row that it predicts, so that y − f̂₋(X) varies by σ² and the
    error of f̂: what a prediction of a new row has to face. By an f̂ that has seen the row
    the rest is too small, and the variances with it.

    By folds of whole groups there is one turn. In a second, the b̂ of other groups would
    bring back what f̂₋ has learned from the group that is left out.

    Of a regressor that small changes of the response make another, such as a deep tree, Zb̂
    keeps on moving. Then its moves cease to become smaller, which ends the turns as well.

    Parameters
    ----------
    rows : EffectRows
    learned : OutOfFold
    response : (n,) array
    tol : float
        The root mean square change of Zb̂ at which to stop, in residual standard deviations.
    max_iter : int
    report : callable or None
        Takes a line for each turn.
    """
    effects, before, change = np.zeros(len(response)), None, np.inf
    for n_iter in range(1, max_iter + 1):
        predictions = learned.predictions(response - effects)
        before = rows.estimate(response - predictions, before)
        moved = rows.effects(before)
        last, change = change, _change(rows, before, moved - effects)
        effects, has_settled = moved, change <= tol or change >= last or learned.keeps_groups_whole
        if report is not None:
            report(f"turn {n_iter}: the effects moved by {change:.3g} residual sd")
        if has_settled:
            break
    return Settled(effects, predictions, n_iter, change, has_settled)


def _change(rows: EffectRows, estimate: Estimate, moved: FloatArray) -> float:
    """Return a change of Zb̂ in residual standard deviations."""
    size = float(np.sqrt(np.mean(moved[rows.counted] ** 2)))
    return size / estimate.solution.sigma if size else 0.0
