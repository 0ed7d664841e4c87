"""Small random models for the tests of the kernel."""

from dataclasses import dataclass

import numpy as np
from oracle import DenseModel

from skmixed._covariance import STRUCTURES
from skmixed._crossprod import accumulate
from skmixed._design import Design, FactorDesign, Model, Term


@dataclass(frozen=True)
class Case:
    """One random design with one term: the kernel's input and the oracle's."""

    design: Design
    model: Model
    oracle: DenseModel
    columns: np.ndarray

    @property
    def term(self):
        return self.model.terms[0]

    @property
    def stats(self):
        return accumulate(self.design)

    def lam(self, rng):
        """A random factor in the user's coordinates."""
        structure, size = self.term.structure, len(self.term.columns)
        return structure.lam(rng.normal(size=structure.n_theta(size)), size)


def random_case(seed, *, structure=None, reml=None, weighted=None, intercept=None):
    """A model with 2 to 8 groups, up to 3 coefficients a group, 2 fixed slopes."""
    rng = np.random.default_rng(seed)
    q = int(rng.integers(3, 9))
    n = int(q * rng.integers(4, 8) + rng.integers(0, 5))
    codes = rng.permutation(np.r_[np.arange(q), rng.integers(0, q, n - q)])
    columns = rng.normal(size=(n, 3)) * rng.uniform(0.2, 5, 3) + rng.normal(size=3) * 3
    sd = rng.choice([0.0, 0.3, 1.0, 5.0], 2)
    y = columns[:, 0] + rng.normal(size=n) + sd[0] * rng.normal(size=q)[codes]
    y = y + sd[1] * rng.normal(size=q)[codes] * columns[:, 1]
    name = structure or rng.choice(["full", "diag", "spherical"])
    reml = bool(rng.integers(2)) if reml is None else reml
    is_weighted = bool(rng.integers(2)) if weighted is None else weighted
    weights = rng.uniform(0.2, 3, n) if is_weighted else None
    size = int(rng.integers(1, 4))
    own = (0, *range(1, size)) if rng.integers(4) else tuple(range(1, size + 1))
    has_intercept = bool(rng.integers(4)) if intercept is None else intercept
    fixed = (*((0,) if has_intercept else ()), 1, 2)
    factor = FactorDesign(codes, q, (0, *(c for c in own if c)))
    full = np.column_stack([np.ones(n), columns])
    return Case(
        design=Design(tuple(columns.T), y, weights, (factor,)),
        model=Model(fixed, (Term(0, own, STRUCTURES[name]),), reml),
        oracle=DenseModel(
            full[:, list(fixed)], y, [(codes, q, full[:, list(own)])], weights, reml=reml
        ),
        columns=full,
    )
