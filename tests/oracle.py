"""The model computed from V in full: slow, obvious, and right.

Everything here is textbook algebra on dense n × n matrices, for small n.
"""

import numpy as np
import scipy.linalg
import scipy.optimize


def design_of_term(codes, n_levels, columns):
    """Z of one term, (n, q·s): a block of s columns for each level."""
    n, s = columns.shape
    z = np.zeros((n, n_levels * s))
    for i in range(n):
        z[i, codes[i] * s : (codes[i] + 1) * s] = columns[i]
    return z


class DenseModel:
    """y = Xβ + Zb + ε with V = W⁻¹ + Σ_k Z_k (I ⊗ Λ_kΛ_k') Z_k'."""

    def __init__(self, X, y, terms, weights=None, *, reml=True):
        self.X, self.y, self.reml = np.asarray(X, float), np.asarray(y, float), reml
        self.terms = [(design_of_term(*t), t[1]) for t in terms]
        self.weights = np.ones(len(y)) if weights is None else np.asarray(weights, float)

    def covariance(self, lams):
        """V / σ²."""
        v = np.diag(1 / self.weights)
        for (z, q), lam in zip(self.terms, lams, strict=True):
            v += z @ np.kron(np.eye(q), lam @ lam.T) @ z.T
        return v

    def at(self, lams):
        """Everything at one θ, as a dict."""
        X, y = self.X, self.y
        n, p = X.shape
        v_inv = np.linalg.inv(self.covariance(lams))
        xvx = X.T @ v_inv @ X
        beta = np.linalg.solve(xvx, X.T @ v_inv @ y)
        residual = y - X @ beta
        r2 = residual @ v_inv @ residual
        dof = n - p if self.reml else n
        value = -np.linalg.slogdet(v_inv)[1] + dof * (1 + np.log(2 * np.pi * r2 / dof))
        if self.reml:
            value += np.linalg.slogdet(xvx)[1]
        p_matrix = v_inv - v_inv @ X @ np.linalg.solve(xvx, X.T @ v_inv)
        effects = [
            (np.kron(np.eye(q), lam @ lam.T) @ z.T @ v_inv @ residual).reshape(q, -1)
            for (z, q), lam in zip(self.terms, lams, strict=True)
        ]
        return {
            "criterion": value,
            "beta": beta,
            "sigma": np.sqrt(r2 / dof),
            "vcov": r2 / dof * np.linalg.inv(xvx),
            "effects": effects,
            "V_inv": v_inv,
            "P": p_matrix,
        }

    def joint_covariance(self, lams, *, given_fixed=False):
        """TC⁻¹T' / σ² of (b̂ − b, β̂), or of b̂ − b given β, 0 at X."""
        q = sum(z.shape[1] for z, _ in self.terms)
        blocks = [np.kron(np.eye(k), lam) for (_, k), lam in zip(self.terms, lams, strict=True)]
        t = scipy.linalg.block_diag(*blocks, np.eye(self.X.shape[1]))
        columns = np.column_stack([*(z for z, _ in self.terms), self.X]) @ t
        c = columns.T @ (self.weights[:, None] * columns)
        c[:q, :q] += np.eye(q)
        if given_fixed:
            c[:q, q:], c[q:, :q] = 0, 0
            t[q:] = 0
        return t @ np.linalg.inv(c) @ t.T

    def criterion(self, lams):
        return self.at(lams)["criterion"]

    def minimum(self, shapes, structures, starts):
        """Least criterion over θ by L-BFGS-B from several starts."""
        sizes = [s.n_theta(k) for s, k in zip(structures, shapes, strict=True)]
        cuts = np.cumsum(sizes)[:-1]

        def value(theta):
            parts = np.split(theta, cuts)
            lams = [s.lam(t, k) for s, t, k in zip(structures, parts, shapes, strict=True)]
            return self.criterion(lams)

        return min(
            scipy.optimize.minimize(value, start, method="L-BFGS-B", tol=1e-14).fun
            for start in starts
        )


def kenward_roger(X, v, directions, sigma2):
    """Adjusted covariance, and what df needs, from V/σ² and ∂V/∂(parameters), by definition.

    Kenward and Roger (1997), with V absolute and its parameters linear in it.
    """
    v_inv = np.linalg.inv(sigma2 * v)
    phi = np.linalg.inv(X.T @ v_inv @ X)
    p_matrix = v_inv - v_inv @ X @ phi @ X.T @ v_inv
    pv = [p_matrix @ d for d in directions]
    # tr(AB) is the sum of the entries of A∘B'
    w = 2 * np.linalg.inv([[np.sum(a * b.T) for a in pv] for b in pv])
    slopes = [-X.T @ v_inv @ d @ v_inv @ X for d in directions]  # P_i
    inner, whitened = np.zeros_like(phi), v_inv @ X
    for i, a in enumerate(directions):
        for j, b in enumerate(directions):
            q = (a @ whitened).T @ v_inv @ (b @ whitened)
            inner += w[i, j] * (q - slopes[i] @ phi @ slopes[j])
    return phi, phi + 2 * phi @ inner @ phi, slopes, w
