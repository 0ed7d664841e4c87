"""A regressor on the response less the effects, and effects on the rest, in turns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._estimation.fit import Estimate
from skmixed._typing import FloatArray
from skmixed.compose._effect_rows import EffectRows
from skmixed.compose._out_of_fold import OutOfFold

# Moves in succession that grow otherwise than by noise, at which the turns have diverged. With
# single deep trees one came by chance in up to 8 % of simulated fits of two to five groups, two in
# up to 2 %; with 60 groups, and of other regressors, none.
GROWTHS = 2


@dataclass(frozen=True)
class Settled:
    """Where the turns have come to.

    Attributes
    ----------
    effects : (n,) array
        Zb̂ of each row, of all factors.
    predictions : (n,) array
        f̂₋ of each row, by regressors that were not trained on it.
    n_iter : int
    change : float
        The last one of what is taken from y, in residual standard deviations.
    has_settled : bool
        Whether it was small, or as small as the regressor lets it become.
    has_diverged : bool
        Whether the turns led away from where they began.
    """

    effects: FloatArray
    predictions: FloatArray
    n_iter: int
    change: float
    has_settled: bool
    has_diverged: bool


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

    (docs/mathematics.md, "A regressor in the place of the fixed part".)

    f̂₋ has not seen the row that it predicts, so that y − f̂₋(X) varies by σ² and the
    error of f̂: what a prediction of a new row has to face. By an f̂ that has seen the row
    the rest is too small, and the variances with it.

    The effects of factors whose levels the folds keep whole are not taken from y: the b̂ of
    other levels would bring back what f̂₋ has learned from the one that is left out. If that
    are all factors, there is one turn.

    Of a regressor that small changes of the response make another, such as a deep tree, Zb̂
    keeps on moving. Then its moves cease to become smaller, which ends the turns as well.
    Moves that grow otherwise than by noise end them without a result that has settled.

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
    before: Estimate | None = None
    change, taken, growths = np.inf, np.zeros(len(response)), 0
    move = taken
    for n_iter in range(1, max_iter + 1):
        predictions = learned.predictions(response - taken)
        estimate = rows.estimate(response - predictions, before)
        last_move, last = move, change
        move = rows.effects(estimate, without=learned.kept_whole) - taken
        taken, change, before = taken + move, _change(rows, estimate, move), estimate
        if report is not None:
            report(f"turn {n_iter}: the effects taken from y moved by {change:.3g} residual sd")
        if n_iter == 1:
            first = float(np.linalg.norm(move))
        growths = growths + 1 if change >= last and _grows(move, last_move, first) else 0
        has_settled = change <= tol or (change >= last and not growths)
        if has_settled or growths == GROWTHS:
            break
    return Settled(
        rows.effects(estimate), predictions, n_iter, change, has_settled, growths == GROWTHS
    )


def _grows(move: FloatArray, last: FloatArray, first: float) -> bool:
    """Whether a move that is no smaller than the one before cannot well be noise.

    Around a fixed point b*, the effects of a noisy regressor are b* + eₙ, eₙ with hardly any
    correlation between turns. So moves eₙ − eₙ₋₁ have one size, and a correlation of −1/2 with
    the last one. Where the turns lead away, the moves become multiples of an eigenvector of
    the turn: in the same direction, or to and fro by more and more.

    So a move in the direction of the last one (a cosine above 1/2, as far from 0 as noise is on
    the other side) is growth, and one that is larger by a quarter than the effects were at first
    (`first`, the norm of the first move, from 0): noise of that size has no effects beside it.
    Of few groups, noise does have that form; hence `GROWTHS`.
    """
    size, last_size = np.linalg.norm(move), np.linalg.norm(last)
    return bool(size > 1.25 * first or move @ last > 0.5 * size * last_size)


def _change(rows: EffectRows, estimate: Estimate, moved: FloatArray) -> float:
    """Return a change of Zb̂ in residual standard deviations."""
    size = float(np.sqrt(np.mean(moved[rows.counted] ** 2)))
    return size / estimate.solution.sigma if size else 0.0
