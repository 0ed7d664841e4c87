"""Rows of one grouping factor in folds of whole groups, and the dense model without a fold."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from oracle import DenseModel

from skmixed._derivatives.criterion import lay_out
from skmixed._folds.totals import FoldTotals
from skmixed._folds.whole_groups import WholeGroups
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.cross_products import CrossProducts
from skmixed._statistics.design import Design, FactorDesign


@dataclass(frozen=True)
class FoldCase:
    """Rows and a model.

    Attributes
    ----------
    design : Design
        Columns a, b and c, and y.
    model : Model
        A random intercept, and one or two slopes.
    fold_of_level : (q,) array of int
    lam : (s, s) array
        Λ of a user's level.
    stats : CrossProducts
    """

    design: Design
    model: Model
    fold_of_level: np.ndarray
    lam: np.ndarray
    stats: CrossProducts

    @property
    def fold(self):
        """The fold of each row."""
        return self.fold_of_level[self.design.factors[0].codes]

    @property
    def n_folds(self):
        return int(self.fold_of_level.max()) + 1

    @property
    def totals(self):
        return FoldTotals.of(self.design, self.fold, self.n_folds, self.stats)

    @property
    def search_lam(self):
        """Λ in the search's coordinates."""
        system, _ = lay_out(self.stats, self.model)
        ((_, term),) = system.terms
        return (np.linalg.solve(term.to_user, np.sqrt(system.weight_unit) * self.lam),)

    def groups(self):
        system, likelihood = lay_out(self.stats, self.model)
        sums = self.stats, self.model, system, likelihood, self.fold_of_level, self.totals
        return WholeGroups.of(*sums, self.search_lam)

    @cached_property
    def kept(self):
        """Positions of the fixed columns that are independent."""
        return lay_out(self.stats, self.model)[0].kept

    def without(self, number):
        """The dense model of the other rows."""
        rows = self.fold != number
        every = np.column_stack([np.ones(len(rows)), *self.design.columns])
        fixed = every[:, [self.model.fixed[j] for j in self.kept]][rows]
        codes, random = self.design.factors[0].codes[rows], every[:, self.model.terms[0].columns]
        weights = None if self.design.weights is None else self.design.weights[rows]
        terms = [(codes, len(self.fold_of_level), random[rows])]
        y = self.design.responses[0][rows]
        return DenseModel(fixed, y, terms, weights, reml=self.model.reml)


def fold_case(seed, *, q=12, n_folds=12, slopes=1, structure="full", reml=True, kind=""):
    """Make one; `kind` names what is special about it."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(q), rng.integers(3, 7, q))
    rng.shuffle(codes)
    values = rng.normal(size=(len(codes), 3)) + (100.0 if kind == "far" else 0.0)
    if kind == "collinear":
        values[:, 2] = values[:, 0] + 1e-4 * values[:, 2]
    if kind == "dropped":
        values[:, 2] = 1.0 - values[:, 0]
    effects = rng.normal(size=(q, 1 + slopes)) @ np.diag([1.5, 0.7, 0.5][: 1 + slopes])
    y = values @ [1.0, -1.0, 0.5] + rng.normal(size=len(codes)) + effects[codes, 0]
    y += (effects[codes, 1:] * (values[:, :slopes] - values[:, :slopes].mean(axis=0))).sum(axis=1)
    weights = rng.uniform(20.0, 60.0, len(codes)) if kind == "weights" else None
    own = tuple(range(1 + slopes))
    design = Design(tuple(values.T), (y,), weights, (FactorDesign(codes, q, own),))
    fixed = (1, 2, 3) if kind == "no intercept" else (0, 1, 2, 3)
    model = Model(fixed, (Term(0, own, STRUCTURES[structure]),), reml=reml)
    lam = np.tril(rng.normal(size=(1 + slopes,) * 2) * 0.3) + np.diag([1.2, 0.6, 0.4][: 1 + slopes])
    if structure == "diag":
        lam = np.diag(np.diagonal(lam))
    if kind == "weights":  # about as strong beside residuals of variance 1/40
        lam = lam / 6.0
    return FoldCase(design, model, np.arange(q) % n_folds, lam, accumulate(design))
