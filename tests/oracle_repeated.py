"""Models with a covariance of the residuals, computed from V in full.

The structures are written out here once more, from their definitions.
"""

from functools import cached_property

import numpy as np


def correlation_matrix(structure, rho, times):
    """C of one subject at whole times 0, 1, …, by the parameters on their own scale."""
    n = len(times)
    out = np.eye(n)
    for i in range(n):
        for j in range(i):
            a, b = sorted((times[i], times[j]))
            if structure == "compound_symmetry":
                value = rho[0]
            elif structure in ("ar1", "exponential"):
                value = rho[0] ** (b - a)
            elif structure == "gaussian":
                value = rho[0] ** ((b - a) ** 2)
            elif structure == "toeplitz":
                value = rho[int(b - a) - 1]
            elif structure == "ante_dependence":
                value = np.prod([rho[k] for k in range(int(a), int(b))])
            else:
                raise ValueError(structure)
            out[i, j] = out[j, i] = value
    return out


class DenseRepeated:
    """y = Xβ + Zb + ε with a given V, and directions of it.

    Parameters
    ----------
    X, y : arrays
    V : (n, n) array
    first : list of (n, n) arrays
        ∂V/∂θ.
    second : dict of (i, j) to (n, n) arrays
        ∂²V/∂θ_i∂θ_j for i ≤ j; those that are 0 left out.
    """

    def __init__(self, X, y, V, first=(), second=None, *, reml=True):
        self.X, self.y, self.V, self.reml = X, y, V, reml
        self.first, self.second = list(first), second or {}
        self.V_inv = np.linalg.inv(V)
        self.covariance = np.linalg.inv(X.T @ self.V_inv @ X)
        self.beta = self.covariance @ X.T @ self.V_inv @ y
        self.P = self.V_inv - self.V_inv @ X @ self.covariance @ X.T @ self.V_inv

    @property
    def criterion(self):
        n, p = self.X.shape
        dof = n - p if self.reml else n
        value = np.linalg.slogdet(self.V)[1] + self.y @ self.P @ self.y + dof * np.log(2 * np.pi)
        return value - np.linalg.slogdet(self.covariance)[1] if self.reml else value

    def _second(self, i, j):
        return self.second.get((min(i, j), max(i, j)))

    @property
    def gradient(self):
        traces = self.P if self.reml else self.V_inv
        Py = self.P @ self.y
        return np.array([np.sum(traces * d) - Py @ d @ Py for d in self.first])

    @property
    def average(self):
        """y'PV_iPV_jPy."""
        seen = np.array([d @ self.P @ self.y for d in self.first])
        return seen @ self.P @ seen.T

    @cached_property
    def observed(self):
        """Second derivatives of −2 log L."""
        traces = self.P if self.reml else self.V_inv
        Py, d = self.P @ self.y, len(self.first)
        # tr(AB) is the sum of the entries of A∘B'
        products, seen = [traces @ a for a in self.first], [a @ Py for a in self.first]
        out = np.empty((d, d))
        for i in range(d):
            for j in range(d):
                out[i, j] = 2 * seen[i] @ self.P @ seen[j] - np.sum(products[i] * products[j].T)
                both = self._second(i, j)
                if both is not None:
                    out[i, j] += np.sum(traces * both) - Py @ both @ Py
        return out

    def satterthwaite(self, rows):
        """Degrees of freedom of each row of L."""
        errors = 2 * np.linalg.inv(self.observed)
        slopes = [self.covariance @ self._inner(d) @ self.covariance for d in self.first]
        variance = np.einsum("kp,pq,kq->k", rows, self.covariance, rows)
        g = np.einsum("kp,dpq,kq->kd", rows, np.array(slopes), rows)
        return 2 * variance**2 / np.einsum("kd,de,ke->k", g, errors, g)

    def _inner(self, matrix):
        whitened = self.V_inv @ self.X
        return whitened.T @ matrix @ whitened

    def kenward_roger(self, *, is_linear=False):
        """The adjusted covariance matrix of the fixed effects."""
        errors = 2 * np.linalg.inv(self.observed)
        inner, whitened = np.zeros_like(self.covariance), self.V_inv @ self.X
        for i, a in enumerate(self.first):
            for j, b in enumerate(self.first):
                q = (a @ whitened).T @ self.V_inv @ (b @ whitened)
                r = self._second(i, j)
                term = q - self._inner(a) @ self.covariance @ self._inner(b)
                if r is not None and not is_linear:
                    term = term - self._inner(r) / 4
                inner += errors[i, j] * term
        return self.covariance + 2 * self.covariance @ inner @ self.covariance
