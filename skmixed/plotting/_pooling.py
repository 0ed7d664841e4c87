"""Coefficients of each level: from its own rows, and from all."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.frame import Frame
from skmixed._statistics.responses import ResponseFrame
from skmixed._typing import FloatArray, IntArray
from skmixed.plotting._axes.names import coefficients

# Least eigenvalue of a level's scaled products at which its own fit is determined.
DETERMINED = 1e-10
# Rows' worth of information of a level below which its likelihood has no maximum.
SEPARATED = 1e-6
# Squared length of a last Newton step, and steps and halvings of each at most.
CLOSE, MOST_STEPS, MOST_HALVINGS = 1e-16, 100, 40
# A rise of a level's loss below this share of it is rounding.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Pooling:
    """Coefficients of the levels of one factor, (q, s) frames, and of all, (s,)."""

    none: pd.DataFrame
    partial: pd.DataFrame
    complete: pd.Series


def pooling(opened: FittedModel, k: int) -> Pooling:
    """Fit each level of factor k by itself, given all other effects.

    Least squares of y less the other columns' fixed effects and the other factors'
    random effects, from the per-level cross-products. Given these the BLUPs are
    matrix-weighted means of the level's own fit and the fixed effects. Of generalized models
    by maximum likelihood of the level's rows.
    """
    encoder, names = opened.encoder, coefficients(opened.encoder, k)
    fixed = dict(zip(opened.model.fixed, opened.solution.fixed, strict=True))
    terms = [i for i, term in enumerate(encoder.terms) if term.factor == k]
    columns = [c for i in terms for c in encoder.terms[i].columns]
    complete = np.array([fixed.get(c, 0.0) for c in columns])
    effects = np.concatenate([opened.solution.terms[i].effects for i in terms]).T
    index = encoder.factors[k].index
    if opened.is_generalized:
        none = _LevelRows.of(opened, k, columns, complete + effects).fitted()
    else:
        none = _own_fits(opened, k, columns)
    return Pooling(
        none=pd.DataFrame(none, index=index, columns=names),
        partial=pd.DataFrame(complete + effects, index=index, columns=names),
        complete=pd.Series(complete, index=names),
    )


def _own_fits(opened: FittedModel, k: int, columns: list[int]) -> FloatArray:
    """Return the least-squares coefficients of each level, NaN where not determined."""
    # With an intercept of its own a level's columns can be centered.
    stats = _framed(opened.stats, is_centered=0 in columns)
    rows = [stats.factors[k].columns.index(c) for c in columns]
    sums = stats.factors[k].sums[:, rows]
    rhs = stats.factors[k].responses[:, rows, 0]
    rhs -= sums @ _other_fixed_effects(opened, stats, set(columns))
    rhs -= _of_other_factors(opened, stats, k)[:, rows]
    gram = sums[:, :, columns]
    size = np.sqrt(np.einsum("qaa->qa", gram))
    size = np.where(size > 0.0, size, 1.0)
    scaled = gram / (size[:, :, None] * size[:, None, :])
    known = np.linalg.eigvalsh(scaled)[:, 0] > DETERMINED
    out = np.full(rhs.shape, np.nan)
    out[known] = np.linalg.solve(scaled[known], (rhs / size)[known][..., None])[..., 0]
    out /= size
    if 0 in columns:
        center = stats.responses.center[0]
        out[:, columns.index(0)] += center - _offset(opened, stats, columns, out)
    return out


def _framed(stats: CrossProducts, *, is_centered: bool) -> CrossProducts:
    """Return the products of the columns and of y as they are, or around their centers."""
    if not is_centered:
        nowhere = np.zeros_like(stats.center), np.zeros_like(stats.responses.center)
        return stats.reframed(Frame(nowhere[0])).with_responses_in(ResponseFrame(nowhere[1]))
    own = stats.responses.center
    return stats.reframed(Frame(stats.center)).with_responses_in(ResponseFrame(own))


def _other_fixed_effects(opened: FittedModel, stats: CrossProducts, own: set[int]) -> FloatArray:
    """Return the coefficients of the columns with other fixed effects, (k,)."""
    out = np.zeros(len(stats.center))
    for column, beta in zip(opened.model.fixed, opened.solution.fixed, strict=True):
        if column not in own:
            out[column] = beta
    return out


def _offset(
    opened: FittedModel, stats: CrossProducts, columns: list[int], own: FloatArray
) -> FloatArray:
    """Return x̄'b of a level's own slopes and of the other fixed effects, (q,)."""
    others = sum(
        beta * stats.center[c]
        for c, beta in zip(opened.model.fixed, opened.solution.fixed, strict=True)
        if c not in columns
    )
    slopes = [j for j, c in enumerate(columns) if c]
    return others + own[:, slopes] @ stats.center[[columns[j] for j in slopes]]


def _of_other_factors(opened: FittedModel, stats: CrossProducts, k: int) -> FloatArray:
    """Return Z_k'W Σ Z_g b̂_g over the other factors, (q, r)."""
    own = stats.factors[k]
    out = np.zeros(own.sums.shape[:2])
    for pair in stats.pairs:
        if k in (pair.first, pair.second):
            other, matrix = (
                (pair.second, pair.matrix) if pair.first == k else (pair.first, pair.matrix.T)
            )
            out += (matrix @ _centered_effects(opened, stats, other).ravel()).reshape(out.shape)
    return out


def _centered_effects(opened: FittedModel, stats: CrossProducts, g: int) -> FloatArray:
    """Return a factor's BLUPs as coefficients of (1, x − center), (q, r)."""
    columns = stats.factors[g].columns
    out = np.zeros((opened.encoder.factors[g].n_levels, len(columns)))
    for term, solution in zip(opened.encoder.terms, opened.solution.terms, strict=True):
        if term.factor == g:
            for column, effect in zip(term.columns, solution.effects, strict=True):
                out[:, columns.index(column)] += effect
                out[:, 0] += stats.center[column] * effect  # 0 for the ones
    return out


@dataclass(frozen=True)
class _LevelRows:
    """Rows of a generalized model, with what η is beside a level's own coefficients.

    Attributes
    ----------
    opened : FittedModel
    codes : (n,) array of int
    columns : (n, s) array
        Of the factor, scaled and, beside an intercept, centered.
    to_user : (s, s) array
        From coefficients of these to those of the columns as they are.
    others : (n,) array
    start : (q, s) array
    """

    opened: FittedModel
    codes: IntArray
    columns: FloatArray
    to_user: FloatArray
    others: FloatArray
    start: FloatArray

    @staticmethod
    def of(opened: FittedModel, k: int, columns: list[int], partial: FloatArray) -> "_LevelRows":
        rows, encoder = opened.held_rows, opened.encoder
        given = np.column_stack([np.ones(len(rows.response)), rows.columns])
        eta = rows.offset + given[:, list(opened.model.fixed)] @ opened.solution.fixed
        for term, solution in zip(encoder.terms, opened.solution.terms, strict=True):
            effects = solution.effects.T[rows.levels[:, term.factor]]
            eta += (given[:, list(term.columns)] * effects).sum(axis=1)
        codes, own = rows.levels[:, k], given[:, columns]
        to_user = np.eye(len(columns))
        if 0 in columns:
            at = columns.index(0)
            to_user[at] -= np.where(np.arange(len(columns)) == at, 0.0, own.mean(axis=0))
        scaled = own @ to_user
        size = np.sqrt((scaled**2).mean(axis=0))
        to_user /= np.where(size > 0.0, size, 1.0)
        others = eta - (own * partial[codes]).sum(axis=1)
        start = np.asarray(np.linalg.solve(to_user, partial.T).T, dtype=np.float64)
        return _LevelRows(opened, codes, own @ to_user, to_user, others, start)

    def fitted(self) -> FloatArray:
        """Return the maximum likelihood coefficients of each level, NaN where there are none."""
        at, active = self.start.copy(), np.ones(len(self.start), dtype=bool)
        loss, slopes, information = self._expanded(at)
        length = np.full(len(at), np.inf)
        for _ in range(MOST_STEPS):
            values = np.linalg.eigvalsh(information)
            active &= values[:, 0] > np.maximum(SEPARATED, DETERMINED * values[:, -1])
            if (length[active] <= CLOSE).all():
                break
            step = np.zeros_like(at)
            right = -slopes[active][..., None]
            step[active] = np.linalg.solve(information[active], right)[..., 0]
            length = np.einsum("qa,qab,qb->q", step, information, step)
            at = self._descended(at, step, loss)
            loss, slopes, information = self._expanded(at)
        at[~active | (length > CLOSE)] = np.nan
        return np.asarray(at @ self.to_user.T)

    def _descended(self, at: FloatArray, step: FloatArray, loss: FloatArray) -> FloatArray:
        """Go so much of each level's step that its loss does not rise."""
        share = np.ones(len(at))
        for _ in range(MOST_HALVINGS):
            found = self._expanded(at + share[:, None] * step)[0]
            is_worse = ~(found <= loss + ROUNDING * (1.0 + np.abs(loss)))
            if not is_worse.any():
                break
            share[is_worse] /= 2.0
        return np.asarray(at + share[:, None] * step)

    def _expanded(self, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return each level's loss −Σ w log p, (q,), its gradient and its second derivatives."""
        rows, family = self.opened.held_rows, self.opened.solution.family
        assert family is not None
        eta = self.others + (self.columns * at[self.codes]).sum(axis=1)
        found = self.opened.family.derivatives(rows.response, eta, family.phi, 2)
        loss, slope, curvature = found if rows.weights is None else found * rows.weights
        own, (q, s) = self.columns, at.shape
        products = own[:, :, None] * own[:, None, :] * curvature[:, None, None]
        return (
            self._sums(loss[:, None])[:, 0],
            self._sums(own * slope[:, None]),
            self._sums(products.reshape(len(own), -1)).reshape(q, s, s),
        )

    def _sums(self, values: FloatArray) -> FloatArray:
        """Return sums over the rows of each level, (q, m)."""
        q = len(self.start)
        return np.stack([np.bincount(self.codes, v, minlength=q) for v in values.T], axis=1)
