"""The correlation of residuals by their distance in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from skmixed._estimation.solution import ResidualSolution
from skmixed._fitted.checks import check_choice
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._model.time_points import RowPairs, TimePoints
from skmixed._typing import FloatArray, IntArray
from skmixed.diagnostics._residuals import residuals
from skmixed.inference._tables.table import ResultTable
from skmixed.typing import CorrelatedResiduals

KINDS = ("pearson", "normalized")
# Distances up to which each is a lag, lags of a long series, and bins of irregular times.
MOST_DISTANCES, MOST_LAGS, N_BINS = 30, 20, 15
# Times up to which all distances are looked at.
MOST_TIMES = 200
# Share of the smallest distance within which two are the same, and of a step whole ones are.
SAME, WHOLE = 1e-6, 1e-2
# Rows of a long series up to which pairs of them are looked at.
FARTHEST = 200


def residual_correlation(
    model: Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    kind: CorrelatedResiduals = "pearson",
    subject: str | None = None,
    time: str | None = None,
    bins: int | Sequence[float] | None = None,
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
) -> ResultTable:
    """Correlation of the residuals of subjects by their distance in time.

    Parameters
    ----------
    model : MixedLinearRegressor, FormulaRegressor or Pipeline
        Fitted, with a residual covariance or without.
    X : frame or array-like of shape (n_samples, n_features)
        Rows of the fit, or others with its columns.
    y : array-like of shape (n_samples,), default=None
        Responses. None: what the formula of the model names, in X.
    kind : {"pearson", "normalized"}, default="pearson"
        Residuals y − Xβ̂ − Zb̂ over their standard deviations in the residual covariance, or
        made independent by it: then the model's correlation is 0.
    subject, time : str, default=None
        Columns of the frame X whose rows with one label are a subject, and their times as
        numbers; None: those of the residual covariance.
    bins : int or sequence of float, default=None
        Number of bins of equal width up to half of the largest distance, or of long series
        up to that of rows 200 apart; or their edges. None: each distance by itself where
        there are few, or the first 20 steps of a regular series, or else 15 bins.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, needed if the fit had weights.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    ResultTable
        A row for each lag with pairs of rows. Columns ``lag`` (mean distance of the pairs, in
        the unit of the times, or in steps of categories), ``pairs`` (their number),
        ``correlation`` and ``model``, without unit; ``semivariance``, the mean of half the
        squared difference of two residuals, and ``model_semivariance``, in units of the
        mean square of all residuals.

    Raises
    ------
    ValueError
        If subjects or times are neither named nor known, or no subject has two rows.
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    skmixed.plotting.ResidualCorrelationDisplay : A plot of them.
    skmixed.ResidualCovariance : Structures of the correlation.

    Notes
    -----
    The correlation at a lag is the mean product of two residuals, over the mean square of
    all, as nlme's ``ACF`` ([1]_, section 5.3.3), the semivariance that of its ``Variogram``.
    BLUPs take a part of what a subject's residuals have in common, so that beside random
    effects the correlations are somewhat lower than the model's, also if it is right.

    References
    ----------
    .. [1] Pinheiro, J. C. and Bates, D. M. (2000). Mixed-Effects Models in S and S-PLUS.
       Springer.

    Examples
    --------
    Reaction times of one day say something of those of the next one, which a model with
    independent residuals leaves out:

    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.diagnostics import residual_correlation
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject").fit(X, y)
    >>> found = residual_correlation(model, X, y, subject="Subject", time="Days")
    >>> found[["lag", "pairs", "correlation", "model"]].head(3).round(2)
       lag  pairs  correlation  model
    0  1.0    162         0.38    0.0
    1  2.0    144         0.09    0.0
    2  3.0    126        -0.11    0.0
    """
    check_choice("kind", kind, KINDS)
    rows = open_rows(model, X, groups)
    pairs = _Pairs.of(rows, X, subject, time)
    error = residuals(model, X, y, kind, sample_weight=sample_weight, groups=groups)
    if kind == "pearson":
        error = error / pairs.sd
    table = pairs.table(error, bins, is_independent=kind == "normalized")
    title = f"Correlation of {kind.replace('p', 'P')} residuals by lag"
    return ResultTable.of(table, title, kinds={"model": "correlation"})


@dataclass(frozen=True)
class _Pairs:
    """Rows of subjects in order of time; of places, of the first coordinate.

    Attributes
    ----------
    order : (n,) array of int
        The rows of subjects, one after the other.
    subject : (n,) array of int
        Of these.
    time : (n,) array
        Of places x + iy.
    sd : (N,) array
        Standard deviations of the residuals of all rows, of weight 1.
    own : ResidualSolution or None
    places : TimePoints or None
        Of shape (N, 1).
    stratum : (N,) array of int
    """

    order: IntArray
    subject: IntArray
    time: FloatArray
    sd: FloatArray
    own: ResidualSolution | None
    places: TimePoints | None
    stratum: IntArray

    @staticmethod
    def of(rows: GivenRows, X: Any, subject: str | None, time: str | None) -> _Pairs:
        columns, own = rows.fitted.encoder.subjects, rows.fitted.solution.residual
        n, sigma, places = rows.n_rows, rows.fitted.solution.sigma, None
        sd, stratum = np.full(n, sigma), np.zeros(n, dtype=np.intp)
        has_subject = has_time = False
        if own is not None and columns is not None:
            new, timeline = rows.new_rows(), columns.timeline()
            places, stratum = new.places, new.stratum
            for k in np.unique(stratum):
                which = stratum == k
                sd[which] = np.sqrt(own.matrix(int(k), places.taken_rows(which))[:, 0, 0])
            has_subject = columns.subject is not None and subject is None
            has_time = columns.time is not None and time is None
            if has_time:
                columns.check_order("the lag of residuals")
            at = timeline.origin + timeline.unit * places.position[:, 0]
        if rows.frame is not None and rows.frame.keep is not None:
            X = X[rows.frame.keep]
        code = new.subject if has_subject else _labels(X, subject)
        at = at if has_time else _times(X, time)
        kept = np.flatnonzero(code >= 0)
        order = kept[np.lexsort((at[kept], code[kept]))]
        return _Pairs(order, code[order], at[order], sd, own, places, stratum)

    def table(
        self, error: FloatArray, bins: int | Sequence[float] | None, *, is_independent: bool
    ) -> pd.DataFrame:
        """Add up pairs of rows by lag, those that are k rows apart for each k in turn."""
        edges = _edges(self.subject, self.time, bins)
        sums = np.zeros((5, len(edges) - 1))
        own = error[self.order]
        for k in range(1, len(own)):
            distance = np.abs(self.time[k:] - self.time[:-k])
            same = self.subject[k:] == self.subject[:-k]
            at = np.flatnonzero(same & (distance < edges[-1]))
            # Behind rows that are far apart in time all others are too, but not in the plane
            if not (same.any() if np.iscomplexobj(self.time) else len(at)):
                break
            number = np.searchsorted(edges, distance[at], side="right") - 1
            at, number = at[number >= 0], number[number >= 0]
            first, second = own[at], own[at + k]
            rho = np.zeros(len(at)) if is_independent else self._correlation(at, k)
            half = (first - second) ** 2 / 2.0
            parts = (np.ones(len(at)), distance[at], first * second, half, rho)
            for out, part in zip(sums, parts, strict=True):
                out += np.bincount(number, part, len(out))
        return _frame(sums, float(np.mean(own**2)))

    def _correlation(self, at: IntArray, k: int) -> FloatArray:
        """Return the model's correlation of pairs of rows that are k rows apart."""
        out = np.zeros(len(at))
        if self.own is None or self.places is None:
            return out
        first, second, model = self.order[at], self.order[at + k], self.own.model
        for which, phi in model.by_stratum(self.own.phi.ravel(), self.stratum[first]):
            pairs = RowPairs.of(self.places, first[which], second[which])
            out[which] = model.correlation_of(phi, pairs)
        return out


def _frame(sums: FloatArray, square: float) -> pd.DataFrame:
    """Return means over the pairs of each lag that has any."""
    count, distance, product, half, rho = sums[:, sums[0] > 0]
    return pd.DataFrame(
        {
            "lag": distance / count,
            "pairs": count.astype(int),
            "correlation": product / count / square,
            "model": rho / count,
            "semivariance": half / count / square,
            "model_semivariance": 1.0 - rho / count,
        }
    )


def _labels(X: Any, name: str | None) -> IntArray:
    """Return numbers of a column's labels, −1 where missing."""
    return pd.factorize(_column(X, name, "subject"))[0]


def _times(X: Any, name: str | None) -> FloatArray:
    column = _column(X, name, "time")
    if not pd.api.types.is_numeric_dtype(column):
        raise ValueError(f"time={name!r} is no column of numbers, whose distances are the lags.")
    return column.to_numpy(dtype=float)


def _column(X: Any, name: str | None, role: str) -> pd.Series:
    if not name:
        raise ValueError(
            f"{role}=None, but the model has no residual covariance that names one. Name a column "
            f"of X: {role}='...'."
        )
    if not isinstance(X, pd.DataFrame) or name not in X:
        raise ValueError(
            f"{role}={name!r} is not a column of X. Give X as a DataFrame that has it."
        )
    return X[name]


def _edges(subject: IntArray, time: FloatArray, bins: int | Sequence[float] | None) -> FloatArray:
    """Return the edges of lags; a lag holds its lower one."""
    same = subject[1:] == subject[:-1]
    gaps = np.abs(np.diff(time))[same]
    if not (gaps > 0).any():
        raise ValueError("No subject has rows at two times, of which there is a correlation.")
    if bins is not None and not isinstance(bins, int):
        return np.sort(np.asarray(bins, dtype=float))
    is_series = bins is None and not np.iscomplexobj(time)
    lags = _lags(time, float(gaps[gaps > 0].min())) if is_series else None
    if lags is not None:
        # Between the lags; half a step before the first, and behind the last
        return np.concatenate(
            [lags[:1] / 2.0, (lags[1:] + lags[:-1]) / 2.0, lags[-1:] + lags[0] / 2]
        )
    first = np.flatnonzero(np.append(True, ~same))
    widths = [
        np.maximum.reduceat(own, first) - np.minimum.reduceat(own, first)
        for own in (time.real, time.imag)
    ]
    longest = float(np.hypot(*widths).max()) / 2.0
    # In time that of rows so many apart is enough: pairs are as many as the rows times these
    if len(far := np.flatnonzero(subject[FARTHEST:] == subject[:-FARTHEST])) and np.isrealobj(time):
        longest = min(longest, float(np.median(time[far + FARTHEST] - time[far])))
    edges = np.linspace(0.0, longest, (bins or N_BINS) + 1)
    edges[-1] *= 1.0 + SAME
    return edges


def _lags(time: FloatArray, step: float) -> FloatArray | None:
    """Return the distances that are each a lag; None for irregular times."""
    times = np.unique(time)
    steps = (times - times[0]) / step
    if len(times) <= MOST_TIMES:
        found = np.rint((steps[:, None] - steps)[np.tril_indices(len(times), -1)] / SAME)
        if len(found := np.unique(found)) <= MOST_DISTANCES:
            return found * SAME * step
    rounding = min(SAME * max(float(steps[-1]), 1.0), WHOLE)
    if np.abs(steps - np.rint(steps)).max() > rounding:
        return None
    return step * np.arange(1.0, min(MOST_LAGS, int(steps[-1])) + 1.0)
