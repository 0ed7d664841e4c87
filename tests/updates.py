"""Data with groups, fits to it that were updated, and the dense computation of both."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg
from numpy.testing import assert_allclose
from oracle import design_of_term

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.fitted_model import fitted

# Two exact computations of the effects: they differ by rounding times the condition
# of V, of which the dense one sees raw columns. Of the largest effect.
TOLERANCE = 1e-9

STRUCTURES = {
    "intercepts": {"groups": "g"},
    "slopes": {"groups": "g", "random_slopes": ["x1", "x2"]},
    "diag": {"groups": "g", "random_slopes": "x1", "covariance": "diag"},
    "spherical": {"groups": "g", "random_slopes": "x1", "covariance": "spherical"},
    "slopes alone": {"groups": [RandomEffect("g", slopes="x1", intercept=False)]},
    "two terms": {"groups": [RandomEffect("g"), RandomEffect("g", slopes="x2", intercept=False)]},
    "nested": {"groups": ["s", ("s", "c")]},
    "nested slopes": {"groups": [RandomEffect("s", slopes="x1"), ("s", "c")]},
    "crossed": {"groups": ["g", "h"]},
    "crossed slopes": {"groups": [RandomEffect("g", slopes="x1"), RandomEffect("h", slopes="x2")]},
    "three": {"groups": ["s", ("s", "c"), "h"]},
    "three nested": {"groups": ["s", ("s", "c"), ("s", "c", "h")]},
    "interaction": {"groups": [("g", "h")]},
}


def table(seed, n, *, new=False):
    """Rows with groups; `new` rows have levels beyond those of others, and old ones."""
    rng = np.random.default_rng(seed)
    shift, s = (3, 4) if new else (0, 0)
    X = pd.DataFrame(
        {
            "x1": rng.normal(size=n) * 2 + 5,
            "x2": rng.normal(size=n),
            "g": rng.integers(shift, 8 + shift, n),
            "h": np.array(list("uvwxyz"))[rng.integers(0, 5 + new, n)],
            "s": rng.integers(s, 5 + s, n),
            "c": rng.integers(0, 3 + new, n),
        }
    )
    effects = np.random.default_rng(seed // 1000).normal(size=(4, 40))
    y = 3 + X["x1"] - X["x2"] + rng.normal(size=n) + effects[0][X["g"]] * 1.5
    y = y + effects[1][X["g"]] * X["x2"] + effects[2][X["s"]] + effects[3][3 * X["s"] + X["c"]]
    return X, y + 0.5 * (X["h"] == "u")


def regressor(name, **parameters):
    return MixedLinearRegressor(fixed=["x1", "x2"], **STRUCTURES[name], **parameters)


@dataclass
class Dense:
    """All rows' effects with β̂, Λ and σ of a fit, from V and M in full.

    Levels are those of `random_effects_`, in their order.
    """

    model: MixedLinearRegressor
    X: pd.DataFrame
    y: np.ndarray
    weights: np.ndarray

    def fixed(self, X):
        ones = [np.ones(len(X))] if self.model.fit_intercept else []
        return np.column_stack([*ones, X[["x1", "x2"]]])

    def random(self, X):
        """[Z_1 Z_2 …] of the terms; unknown levels have no entries."""
        parts = []
        for term, frame in zip(self.encoder.terms, self.frames, strict=True):
            factor = self.encoder.factors[term.factor]
            labels = X[[s.name for s in factor.sources]]
            keys = labels.iloc[:, 0] if labels.shape[1] == 1 else pd.MultiIndex.from_frame(labels)
            codes = frame.index.get_indexer(keys)
            columns = np.column_stack(
                [
                    np.ones(len(X)) if c == 0 else X[self.encoder.column_name(c)]
                    for c in term.columns
                ]
            )
            z = design_of_term(np.maximum(codes, 0), len(frame), columns)
            parts.append(z * (codes >= 0)[:, None])
        return np.column_stack(parts)

    @property
    def encoder(self):
        return fitted(self.model).encoder

    @property
    def frames(self):
        known = self.model.random_effects_
        return [known[self.encoder.factors[t.factor].name] for t in self.encoder.terms]

    @property
    def lam(self):
        terms = fitted(self.model).solution.terms
        blocks = [np.kron(np.eye(len(f)), t.lam) for t, f in zip(terms, self.frames, strict=True)]
        return scipy.linalg.block_diag(*blocks)

    @property
    def effects(self):
        z, covariance = self.random(self.X), self.lam @ self.lam.T
        v = z @ covariance @ z.T + np.diag(1 / self.weights)
        residual = self.y - self.fixed(self.X) @ self.model.fixed_effects_.to_numpy()
        return covariance @ z.T @ np.linalg.solve(v, residual)

    @property
    def found(self):
        """The estimator's own, in the order of the terms' columns."""
        out = []
        for term, frame in zip(self.encoder.terms, self.frames, strict=True):
            out.append(frame[self.encoder.coefficient_names(term)].to_numpy().ravel())
        return np.concatenate(out)

    def variances(self, X):
        """σ²z'ΛM⁻¹Λ'z and (x − K'z)'Φ(x − K'z) of rows, by the formula."""
        zl = self.random(self.X) @ self.lam
        m = zl.T @ (self.weights[:, None] * zl) + np.eye(zl.shape[1])
        effects = self.lam @ np.linalg.solve(m, self.lam.T)
        k = effects @ self.random(self.X).T @ (self.weights[:, None] * self.fixed(self.X))
        z = self.random(X)
        a = self.fixed(X) - z @ k
        phi = fitted(self.model).solution.fixed_covariance
        return (
            self.model.sigma_**2 * np.einsum("ij,jk,ik->i", z, effects, z),
            np.einsum("ij,jk,ik->i", a, phi, a),
        )

    def check(self):
        effects = self.effects
        scale = np.abs(effects).max()
        assert_allclose(self.found, effects, rtol=0, atol=TOLERANCE * scale)
        expected = self.fixed(self.X) @ self.model.fixed_effects_.to_numpy()
        expected = expected + self.random(self.X) @ effects
        assert_allclose(self.model.predict(self.X), expected, rtol=TOLERANCE)


def weights_of(seed, n, is_weighted):
    return np.random.default_rng(seed).uniform(0.3, 3, n) if is_weighted else np.ones(n)


def updated(name, seed=0, *, is_weighted=False, unit=1.0, **parameters):
    """A fit, updated twice, and the dense computation over all rows."""
    sizes = (90, 7, 30)
    parts = [table(seed + k, n, new=k > 0) for k, n in enumerate(sizes)]
    w = [unit * weights_of(seed + k, n, is_weighted) for k, n in enumerate(sizes)]
    model = regressor(name, **parameters).fit(*parts[0], sample_weight=w[0])
    for part, own in zip(parts[1:], w[1:], strict=True):
        assert model.update_groups(*part, sample_weight=own) is model
    X = pd.concat([X for X, _ in parts], ignore_index=True)
    return model, Dense(model, X, np.concatenate([y for _, y in parts]), np.concatenate(w))
