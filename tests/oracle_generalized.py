"""Generalized mixed models the long way: Z in full, and integrals by brute force."""

from dataclasses import dataclass

import numpy as np
import scipy.optimize


@dataclass(frozen=True)
class DenseGeneralized:
    """Rows of [Z X] in the user's columns, with the family of y."""

    family: object
    y: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    x: np.ndarray
    terms: tuple  # (columns (n, s), codes (n,), n_levels) of each term

    @staticmethod
    def of(design, model, offset, family):
        columns = [np.ones(design.n_rows), *design.columns]
        weights = np.ones(design.n_rows) if design.weights is None else design.weights
        terms = []
        for term in model.terms:
            own = design.factors[term.factor]
            z = np.column_stack([columns[c] for c in term.columns])
            terms.append((z, own.codes, own.n_levels))
        x = np.column_stack([columns[c] for c in model.fixed])
        return DenseGeneralized(family, design.responses[0], weights, offset, x, tuple(terms))

    def root(self, lams):
        """ZΛ, (n, all effects)."""
        parts = []
        for (z, codes, q), lam in zip(self.terms, lams, strict=True):
            own = np.zeros((len(codes), q, lam.shape[1]))
            own[np.arange(len(codes)), codes] = z @ lam
            parts.append(own.reshape(len(codes), -1))
        return np.concatenate(parts, axis=1)

    def minus_log_density(self, eta, phi, order=0):
        return self.weights * self.family.derivatives(self.y, eta, phi, order)

    def criterion(self, lams, beta, phi):
        """−2 log L by Laplace's approximation; SciPy finds the mode."""
        a, base = self.root(lams), self.offset + self.x @ beta

        def joint(u):
            return self.minus_log_density(base + a @ u, phi)[0].sum() + 0.5 * u @ u

        def slope(u):
            return a.T @ self.minus_log_density(base + a @ u, phi, 1)[1] + u

        def curvature(u):
            w = self.minus_log_density(base + a @ u, phi, 2)[2]
            return a.T @ (w[:, None] * a) + np.eye(len(u))

        u = np.zeros(a.shape[1])
        u = scipy.optimize.minimize(joint, u, jac=slope, hess=curvature, method="trust-exact").x
        for _ in range(4):
            u = u - np.linalg.solve(curvature(u), slope(u))
        constant = self.family.constant(self.y, self.weights)
        return 2.0 * (joint(u) + constant) + np.linalg.slogdet(curvature(u))[1]

    def integrated(self, lam, beta, phi, n=601, reach=9.0):
        """−2 log L of one term of one column, by the trapezoidal rule in u."""
        (z, codes, q), base = self.terms[0], self.offset + self.x @ beta
        u = np.linspace(-reach, reach, n)
        out = 2.0 * self.family.constant(self.y, self.weights)
        for j in range(q):
            own = np.flatnonzero(codes == j)
            part = DenseGeneralized(
                self.family, self.y[own], self.weights[own], self.offset[own], self.x[own], ()
            )
            logs = [
                -part.minus_log_density(base[own] + z[own, 0] * lam[0, 0] * v, phi)[0].sum()
                for v in u
            ] - 0.5 * u**2
            top = logs.max()
            integral = np.exp(logs - top).sum() * (u[1] - u[0]) / np.sqrt(2.0 * np.pi)
            out -= 2.0 * (top + np.log(integral))
        return out
