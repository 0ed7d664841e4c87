"""Small-sample inference by definition from V in full, with as many digits as it takes.

For models whose variances differ by orders of magnitude, of which double precision
keeps none of the small ones in V⁻¹. Matrices are arrays of `Decimal`.
"""

from decimal import Context, Decimal, localcontext
from itertools import pairwise

import numpy as np
from oracle import design_of_term

PRECISION = Context(prec=80)


def exact(array):
    """Doubles as decimals, exactly."""
    array = np.asarray(array, dtype=float)
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [Decimal(float(v)) for v in array.ravel()]
    return out


def solve(a, b):
    """Gauss and Jordan's elimination, with pivots; b has two dimensions."""
    n = len(a)
    work = np.concatenate([a, b], axis=1)
    for j in range(n):
        pivot = j + max(range(n - j), key=lambda i: abs(work[j + i, j]))
        work[[j, pivot]] = work[[pivot, j]]
        work[j] = work[j] / work[j, j]
        others = np.arange(n) != j
        work[others] = work[others] - work[others, j][:, None] * work[j]
    return work[:, n:]


def inverse(a):
    return solve(a, exact(np.eye(len(a))))


def product(*matrices):
    out = matrices[0]
    for matrix in matrices[1:]:
        out = out @ matrix
    return out


def trace(a):
    return sum(np.diagonal(a), Decimal(0))


def doubles(array):
    return np.asarray(array).astype(float)


class PreciseModel:
    """y = Xβ + Zb + ε at Λ and σ² of each term, all in the user's columns.

    terms : codes, number of levels, columns, Λ, ∂Λ/∂δ and the D_i of each, Λ
    relative to σ²; weights : W with Var(ε) = σ²W⁻¹.
    """

    def __init__(self, X, y, terms, weights, sigma2, *, reml=True):
        with localcontext(PRECISION):
            self.X, self.y = exact(X), exact(y)[:, None]
            self.sigma2, self.reml = Decimal(float(sigma2)), reml
            self.terms = [
                (exact(design_of_term(codes, q, columns)), q, exact(lam), exact(basis), exact(d))
                for codes, q, columns, lam, basis, d in terms
            ]
            stops = np.cumsum([0, *(z.shape[1] for z, *_ in self.terms)])
            self.places = [slice(*pair) for pair in pairwise(stops)]
            n_z, p = stops[-1], self.X.shape[1]
            columns = np.concatenate([*(z for z, *_ in self.terms), self.X, self.y], axis=1)
            v = np.diag(1 / exact(weights)) + Decimal(0)
            for z, q, lam, *_ in self.terms:
                wide = z.reshape(len(z), q, -1) @ lam
                wide = wide.reshape(len(z), -1)
                v = v + product(wide, wide.T)
            self.solved = solve(v, columns)
            s = product(columns.T, self.solved)
            x, last = slice(n_z, n_z + p), slice(n_z + p, None)
            self.phi = inverse(s[x, x])
            self.zvz, self.zvx = s[:n_z, :n_z], s[:n_z, x]
            half = product(self.phi, s[x])
            self.beta = half[:, last]
            p_all = s - product(s[:, x], half)
            self.zpz, self.rho = p_all[:n_z, :n_z], p_all[:n_z, last]
            self.r2 = p_all[last, last][0, 0]
            self.n_z, self.dof = n_z, len(y) - p if reml else len(y)

    def _wide(self, k, matrix, direction):
        """Multiply the columns of term k of a matrix by I ⊗ D."""
        q = self.terms[k][1]
        own = matrix[:, self.places[k]]
        return (own.reshape(len(own), q, -1) @ direction).reshape(len(own), -1)

    def _sum(self, k, matrix):
        """Σ over levels of the diagonal blocks of term k."""
        q, r = self.terms[k][1], len(self.terms[k][2])
        own = matrix[self.places[k], self.places[k]].reshape(q, r, q, r)
        return sum(own[j, :, j] for j in range(q))

    def _pairs(self, directions, left, middle):
        """Return left' V_i·middle·V_j left as blocks, for (k, D) directions."""
        halves = [(k, self._wide(k, left.T, d), self._wide(k, middle, d)) for k, d in directions]
        return [
            [product(a[1], middle[self.places[a[0]], self.places[b[0]]], b[1].T) for b in halves]
            for a in halves
        ]

    def _traces(self, directions, middle):
        """Return tr(M V_i M V_j), M in the place of Z'PZ."""
        wide = [(k, self._wide(k, middle, d)) for k, d in directions]
        n = len(wide)
        out = np.empty((n, n), dtype=object)
        for i, (k, a) in enumerate(wide):
            for j, (h, b) in enumerate(wide):
                out[i, j] = (a[self.places[h]] * b[self.places[k]].T).sum()
        return out

    def kenward_roger(self):
        """Φ, Φ_A, slopes ∂Φ/∂ and A, all relative to σ², in (Σ, log σ²)."""
        with localcontext(PRECISION):
            directions = [(k, d) for k, term in enumerate(self.terms) for d in term[4]]
            n, dof = len(directions), len(self.X) - self.X.shape[1]
            info = np.empty((n + 1, n + 1), dtype=object)
            info[:n, :n] = self._traces(directions, self.zpz)
            single = [trace(product(self._sum(k, self.zpz), d)) for k, d in directions]
            info[n, :n], info[:n, n], info[n, n] = single, single, Decimal(dof)
            a = 2 * inverse(info)
            pairs = self._pairs(directions, self.zvx, self.zpz)
            inner = sum(a[i, j] * pairs[i][j] for i in range(n) for j in range(n))
            adjusted = self.phi + 2 * product(self.phi, inner, self.phi)
            return self.phi, adjusted, self._slopes(directions), a

    def _slopes(self, directions):
        out = []
        for k, d in directions:
            half = product(self.phi, self._wide(k, self.zvx.T, d), self.zvx[self.places[k]])
            out.append(product(half, self.phi))
        return [*out, self.phi]

    def chart(self):
        """Directions ∂Σ/∂δ of the columns of Λ that are not zero."""
        out = []
        for k, (_, _, lam, basis, _) in enumerate(self.terms):
            for b in basis:
                step = product(b, lam.T)
                if any((step != 0).ravel()):
                    out.append((k, b, step + step.T))
        return out

    def hessian(self):
        """Second derivatives of −2 log-likelihood in (δ, log σ²)."""
        chart = self.chart()
        directions = [(k, d) for k, _, d in chart]
        n = len(directions)
        of_trace = self.zpz if self.reml else self.zvz
        rho = [self._wide(k, self.rho.T, d) for k, d in directions]
        out = np.empty((n + 1, n + 1), dtype=object)
        out[:n, :n] = -self._traces(directions, of_trace)
        for i, (k, b, _) in enumerate(chart):
            for j, (h, c, _) in enumerate(chart):
                middle = self.zpz[self.places[k], self.places[h]]
                out[i, j] += 2 * product(rho[i], middle, rho[j].T)[0, 0] / self.sigma2
                if k == h:
                    bend = product(b, c.T)
                    gradient = self._sum(k, of_trace)
                    outer = self.rho[self.places[k]].reshape(self.terms[k][1], -1)
                    gradient = gradient - product(outer.T, outer) / self.sigma2
                    out[i, j] += 2 * trace(product(gradient, bend))
        border = [
            product(r, self.rho[self.places[k]])[0, 0] / self.sigma2
            for r, (k, _) in zip(rho, directions, strict=True)
        ]
        out[n, :n], out[:n, n], out[n, n] = border, border, self.r2 / self.sigma2
        return out

    def satterthwaite(self):
        """Φ, slopes and A in (δ, log σ²)."""
        with localcontext(PRECISION):
            directions = [(k, d) for k, _, d in self.chart()]
            return self.phi, self._slopes(directions), 2 * inverse(self.hessian())

    def components(self, a):
        """Standard errors of log sd and artanh corr of each term, from A."""
        with localcontext(PRECISION):
            out, chart = [], self.chart()
            for k, (_, _, lam, _, _) in enumerate(self.terms):
                own = [i for i, (h, _, _) in enumerate(chart) if h == k]
                sigma = product(lam, lam.T)
                s = len(lam)
                log_sd, z = np.full(s, np.nan), np.full((s, s), np.nan)
                for i in range(s):
                    if sigma[i, i] == 0:
                        continue
                    g = np.zeros(len(a), dtype=object)
                    g[own] = [chart[c][2][i, i] / sigma[i, i] / 2 for c in own]
                    g[-1] = Decimal(1) / 2
                    log_sd[i] = float((g @ a @ g).sqrt())
                    for j in range(i):
                        if sigma[j, j] == 0:
                            continue
                        z[i, j] = z[j, i] = self._z_error(sigma, chart, own, a, i, j)
                out.append((log_sd, z))
            return out

    def _z_error(self, sigma, chart, own, a, i, j):
        root = (sigma[i, i] * sigma[j, j]).sqrt()
        corr = sigma[i, j] / root
        if 1 - corr**2 < Decimal("1e-12"):
            return np.nan
        g = np.zeros(len(a), dtype=object)
        for c in own:
            d = chart[c][2]
            half = corr * (d[i, i] / sigma[i, i] + d[j, j] / sigma[j, j]) / 2
            g[c] = (d[i, j] / root - half) / (1 - corr**2)
        return float((g @ a @ g).sqrt())

    def prediction(self, a, levels, rows, fixed, extra=0.0):
        """Variance over σ² of one row's error, and its df; a level of −1 is a new one.

        levels : level of each term; rows : the term's values; extra : 1/w.
        """
        with localcontext(PRECISION):
            z, new = np.zeros(self.n_z, dtype=object) + Decimal(0), {}
            spread = np.zeros(self.n_z, dtype=object) + Decimal(0)
            variance = Decimal(float(extra))
            for k, (level, values) in enumerate(zip(levels, rows, strict=True)):
                lam, own = self.terms[k][2], exact(values)
                moved = product(lam, lam.T, own)
                if level < 0:
                    new[k] = own
                    variance += product(own, moved)
                    continue
                at = self.places[k].start + level * len(own) + np.arange(len(own))
                z[at], spread[at] = own, moved
            x = exact(fixed) - product(spread, self.zvx)
            weighted = product(self.phi, x)
            t = z - product(self.zvz, spread) - product(self.zvx, weighted)
            variance += product(z, spread) - product(spread, self.zvz, spread)
            variance += product(x, weighted)
            g = np.zeros(len(a), dtype=object) + Decimal(0)
            for i, (k, _, d) in enumerate(self.chart()):
                own = t[self.places[k]].reshape(self.terms[k][1], -1)
                g[i] = (product(own, d) * own).sum()
                if k in new:
                    g[i] += product(new[k], d, new[k])
            g[-1] = variance
            return float(variance), float(2 * variance**2 / product(g, a, g))
