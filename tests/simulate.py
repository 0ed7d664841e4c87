"""Small random models for the tests of the kernel."""

from dataclasses import dataclass

import numpy as np
from oracle import DenseModel

from skmixed._derivatives.criterion import lay_out
from skmixed._equations.cholesky import factorize
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign


@dataclass(frozen=True)
class Case:
    """One random design: the kernel's input and the oracle's."""

    design: Design
    model: Model
    oracle: DenseModel
    columns: np.ndarray

    @property
    def stats(self):
        return accumulate(self.design)

    @property
    def laid_out(self):
        return lay_out(self.stats, self.model)

    @property
    def system(self):
        return self.laid_out[0]

    @property
    def likelihood(self):
        return self.laid_out[1]

    def lams(self, rng):
        """A random factor for each term, in the user's coordinates."""
        return [
            t.structure.lam(rng.normal(size=t.structure.n_theta(len(t.columns))), len(t.columns))
            for t in self.model.terms
        ]

    def factorized(self, lams):
        """The factorization at factors in the user's coordinates."""
        system = self.system
        search = [
            np.linalg.solve(t.to_user, lam) for (_, t), lam in zip(system.terms, lams, strict=True)
        ]
        return factorize(system, tuple(search))


def random_case(seed, *, structure=None, reml=None, weighted=None, intercept=None, n_terms=1):
    """A model with 2 to 8 groups, up to 3 coefficients a group, 2 fixed slopes.

    Up to four terms on up to three factors, crossed, nested, or the same.
    """
    rng = np.random.default_rng(seed)
    q = int(rng.integers(3, 9))
    n = int(q * rng.integers(4, 8) + rng.integers(0, 5)) + 6 * (n_terms - 1)
    codes = [rng.permutation(np.r_[np.arange(q), rng.integers(0, q, n - q)])]
    for kind in rng.choice(["crossed", "outer"], 2):
        coarse = codes[0] % max(2, q // 2) if kind == "outer" else rng.integers(0, 4, n)
        codes.append(np.unique(coarse, return_inverse=True)[1])
    columns = rng.normal(size=(n, 3)) * rng.uniform(0.2, 5, 3) + rng.normal(size=3) * 3
    sd = rng.choice([0.0, 0.3, 1.0, 5.0], 3)
    y = columns[:, 0] + rng.normal(size=n) + sd[0] * rng.normal(size=q)[codes[0]]
    y = (
        y
        + sd[1] * rng.normal(size=q)[codes[0]] * columns[:, 1]
        + sd[2] * rng.normal(size=9)[codes[1]]
    )
    reml = bool(rng.integers(2)) if reml is None else reml
    is_weighted = bool(rng.integers(2)) if weighted is None else weighted
    # Of mean about 1, the unit in which the kernel counts weights.
    weights = rng.uniform(0.5, 1.9, n) if is_weighted else None
    terms = _terms(rng, n_terms, structure)
    has_intercept = bool(rng.integers(4)) if intercept is None else intercept
    fixed = (*((0,) if has_intercept else ()), 1, 2)
    full = np.column_stack([np.ones(n), columns])
    factors = []
    for k, code in enumerate(codes[: 1 if n_terms == 1 else 3]):
        used = {c for t in terms if t.factor == k for c in t.columns} - {0}
        factors.append(FactorDesign(code, int(code.max()) + 1, (0, *sorted(used))))
    dense = [(codes[t.factor], factors[t.factor].n_levels, full[:, list(t.columns)]) for t in terms]
    return Case(
        design=Design(tuple(columns.T), (y,), weights, tuple(factors)),
        model=Model(fixed, terms, reml),
        oracle=DenseModel(full[:, list(fixed)], y, dense, weights, reml=reml),
        columns=full,
    )


def _terms(rng, n_terms, structure):
    terms = []
    for k in range(n_terms):
        name = structure or rng.choice(["full", "diag", "spherical"])
        size = int(rng.integers(1, 4))
        own = (0, *range(1, size)) if rng.integers(4) else tuple(range(1, size + 1))
        factor = 0 if k == 0 else int(rng.integers(0, 3))
        terms.append(Term(factor, own, STRUCTURES[name]))
    return tuple(terms)
