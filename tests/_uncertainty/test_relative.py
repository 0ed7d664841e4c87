"""Small-sample inference at any scale, against definitions in decimal arithmetic.

Tolerances: 1e-5, where double precision without the right units has no digit left;
cross-products lose some of eight where a standard deviation is 3,000 times the
residual one.
"""

import warnings
from decimal import localcontext

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from oracle_decimal import PRECISION, PreciseModel, doubles, exact, solve, trace

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._estimators.intervals import errors_of
from skmixed._fitted.fitted_model import fitted
from skmixed._fitted.prediction_rows import open_rows
from skmixed._uncertainty import relative
from skmixed._uncertainty.components import components
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed._uncertainty.relative import Relative, Units
from skmixed._uncertainty.small_sample import kenward_roger_f
from skmixed.exceptions import SingularFitWarning
from skmixed.inference._fixed_tests import open_tests

RTOL = 1e-5


def data(seed, sd, n=30, q=8):
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n)})
    X["g"], X["h"] = np.arange(n) % q, rng.integers(0, 4, n)
    slope = sd * rng.normal(size=q)[X["g"]]
    y = slope * (1 + 0.2 * X["z"]) + X["x"] + rng.normal(size=n)
    return X, y, rng


def models():
    """Terms, the sd between groups, and the seed."""
    line = RandomEffect("g", slopes=["z"])
    apart = RandomEffect("g", slopes=["x", "z"], covariance="diag")
    crossed = [RandomEffect("g", slopes=["z"], covariance="spherical"), RandomEffect("h")]
    yield from ((line, sd, "reml") for sd in (1.0, 300.0, 3000.0))
    yield from ((apart, sd, "reml") for sd in (1.0, 3000.0))
    yield from ((crossed, sd, "reml") for sd in (1.0, 3000.0))
    yield [RandomEffect("h", slopes=["z"]), RandomEffect("g")], 1000.0, "ml"
    yield RandomEffect("g", slopes=["x", "z"], intercept=False), 0.001, "reml"


class Both:
    """A fit, and the same by definition."""

    def __init__(self, terms, sd, method):
        self.X, y, self.rng = data(4, sd)
        self.X["x"] += 50.0  # far from zero, for a shift of the coordinates
        self.model = MixedLinearRegressor(terms, fixed=["x", "z"], method=method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SingularFitWarning)
            self.model.fit(self.X, y)
        view = fitted(self.model)
        self.factorization = view.factorization
        self.likelihood, self.sigma2 = view.likelihood, view.sigma_squared
        self.full = np.column_stack([np.ones(len(y)), self.X["x"], self.X["z"]])
        rows = open_rows(self.model, self.X)
        parts = []
        for factor, term in self.factorization.system.terms:
            structure = term.term.structure
            lam, basis = structure.chart(self.factorization.lam[term.index])
            own = self.full[:, list(term.term.columns)]
            lam, basis = term.to_user @ lam, term.to_user @ basis
            directions = structure.directions(term.size)
            codes = rows.codes(term.term.factor)
            parts.append((codes, factor.n_levels, own, lam, basis, directions))
        one = np.ones(len(y))
        reml = method == "reml"
        self.dense = PreciseModel(self.full, y, parts, one, self.sigma2, reml=reml)


@pytest.fixture(scope="module", params=list(models()), ids=str)
def both(request):
    return Both(*request.param)


def dfs(phi, slopes, a, rows):
    """2φ²/g'Ag in the oracle's arithmetic, since A's entries may differ by 1e14."""
    out = []
    for row in exact(rows):
        variance = row @ phi @ row
        g = np.array([row @ s @ row for s in slopes], dtype=object)
        out.append(float(2 * variance**2 / (g @ a @ g)))
    return out


def contrasts(both, covariance):
    """The coefficients, and two combinations of them in units of their errors."""
    p = len(covariance)
    random = both.rng.normal(size=(2, p)) / np.sqrt(np.diagonal(covariance))
    return np.concatenate([np.eye(p), random])


def test_satterthwaite_and_the_errors_of_components(both):
    tests = open_tests(both.model, "satterthwaite")
    phi, slopes, a = both.dense.satterthwaite()
    covariance = doubles(phi) * both.sigma2
    rows = contrasts(both, covariance)
    assert_allclose(np.diagonal(tests.covariance), np.diagonal(covariance), rtol=RTOL)
    assert_allclose(tests.df(rows), dfs(phi, slopes, a, rows), rtol=RTOL)
    found = components(Relative.of(both.factorization, both.likelihood)).terms
    for own, (log_sd, z) in zip(found, both.dense.components(a), strict=True):
        assert_allclose(own.log_sd_error, log_sd, rtol=RTOL)
        known = ~np.isnan(z) & ~np.isnan(own.z_error)
        assert_allclose(own.z_error[known], z[known], rtol=RTOL)


def test_kenward_roger(both):
    if not both.dense.reml:
        return
    tests = open_tests(both.model, "kenward-roger")
    phi, adjusted, slopes, a = both.dense.kenward_roger()
    covariance = doubles(adjusted) * both.sigma2
    rows = contrasts(both, covariance)
    found, expected = (np.sqrt(np.diagonal(m)) for m in (tests.covariance, covariance))
    assert_allclose(found, expected, rtol=RTOL)
    assert_allclose(tests.df(rows), dfs(phi, slopes, a, rows), rtol=RTOL)
    joint = dense_f(phi, slopes, a, exact(rows[-2:]))
    assert_allclose(kenward_roger_f(tests.sample, rows[-2:] @ tests.basis), joint, rtol=RTOL)


def dense_f(phi, slopes, a, rows):
    """Kenward and Roger (1997), section 3, from their A₁ and A₂."""
    q, n = len(rows), len(a)
    with localcontext(PRECISION):
        theta = rows.T @ solve(rows @ phi @ rows.T, rows)
        parts = [theta @ s for s in slopes]
        pairs = [(i, j) for i in range(n) for j in range(n)]
        a1 = sum(a[i, j] * trace(parts[i]) * trace(parts[j]) for i, j in pairs)
        a2 = sum(a[i, j] * trace(parts[i] @ parts[j]) for i, j in pairs)
        b = (a1 + 6 * a2) / (2 * q)
        g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
        c1, c2, c3 = (part / (3 * q + 2 * (1 - g)) for part in (g, q - g, q + 2 - g))
        mean = 1 / (1 - a2 / q)
        ratio = (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b)) / mean**2
        df = 4 + (q + 2) / (ratio - 1)
        return float(df), float(df / (mean * (df - 2)))


def test_predictions(both):
    rows = both.X.iloc[[0, 1, 0, 1]].assign(g=[0, 1, -7, -7]).reset_index(drop=True)
    given = open_rows(both.model, rows)
    errors = errors_of(given, None)
    *_, a = both.dense.satterthwaite()
    full = np.column_stack([np.ones(4), rows["x"], rows["z"]])
    terms = [term.term for _, term in both.factorization.system.terms]
    codes = np.column_stack([given.codes(t.factor) for t in terms])
    expected = [
        both.dense.prediction(a, levels, [values[list(t.columns)] for t in terms], values)
        for levels, values in zip(codes, full, strict=True)
    ]
    variance, df = np.transpose(expected)
    assert_allclose(errors.relative, variance, rtol=RTOL)
    assert_allclose(errors.df(DDF["satterthwaite"]), np.maximum(df, 1.0), rtol=RTOL)


def test_units(both):
    fac = both.factorization
    units = Units.of(fac)
    done = units.factorize(fac.system)
    # An exact change of coordinates: the same criterion, in the units of X.
    size = np.linalg.slogdet(units.fixed)[1]
    assert_allclose(done.logdet_z, fac.logdet_z, rtol=1e-9)
    assert_allclose(done.logdet_x, fac.logdet_x + 2 * size, atol=1e-6)
    for k, lam in enumerate(fac.lam):
        covariance = lam @ lam.T
        found = units.bases[k] @ units.lam[k]
        assert_allclose(found @ found.T, covariance, atol=1e-10 * np.abs(covariance).max())


def test_what_slopes_of_rows_need_is_kept_where_it_has_room(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(0, 9, 200), "b": rng.integers(0, 7, 200)})
    effects = rng.normal(size=9)[X["a"]] + rng.normal(size=7)[X["b"]]
    model = MixedLinearRegressor(["a", "b"], fixed=[]).fit(X, effects + rng.normal(size=200))
    first = model.predict_interval(X.iloc[:3])
    kept = fitted(model).relative.row_slopes()
    assert fitted(model).relative.row_slopes() is kept
    assert kept.n_numbers == 3 * (7 + 1) ** 2
    # The same digits from what is kept, and from what is made anew
    np.testing.assert_array_equal(model.predict_interval(X.iloc[:3]), first)
    monkeypatch.setattr(relative, "MOST_NUMBERS", kept.n_numbers - 1)
    again = Relative.of(fitted(model).factorization, fitted(model).likelihood)
    assert again.row_slopes() is not again.row_slopes()
