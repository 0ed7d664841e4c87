import numpy as np
import pytest
from scipy import stats as distributions

from skmixed.inference._contrasts.correlated_t import CorrelatedT
from skmixed.inference._contrasts.largest_t import (
    BonferroniT,
    DunnettXT,
    OneFactorT,
    ScheffeT,
    SidakT,
    StudentizedRange,
    denominators,
    own_tail,
)

EQUAL = 0.5 * np.eye(4) + 0.5
LAWS = [
    BonferroniT(4),
    SidakT(4),
    ScheffeT(3),
    StudentizedRange(4),
    DunnettXT(4),
    OneFactorT.of(EQUAL),
    CorrelatedT.of(EQUAL, np.random.SeedSequence(0)),
]
DF = np.array([1.0, 2.5, 17.3, 4e5, np.inf, np.nan])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("p", [0.5, 0.05, 1e-4])
def test_quantiles_invert_tails(law, p):
    x = law.quantile(p, DF)
    assert np.isnan(x[-1])
    np.testing.assert_allclose(law.tail(x[:-1], DF[:-1]), p, rtol=1e-8)


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: type(law).__name__)
def test_the_largest_exceeds_what_one_does_and_less_than_all_together(law):
    x = np.linspace(0.1, 6.0, 50)
    df = np.full(50, 7.0)
    tail = law.tail(x, df)
    n = 6 if isinstance(law, StudentizedRange) else 4
    assert (np.diff(tail) < 0).all()
    assert (tail > own_tail(x, df)).all()
    assert (tail < n * own_tail(x, df)).all() or isinstance(law, ScheffeT)


@pytest.mark.parametrize("df", [1.0, 1.7, 3.3, 60.0, 1e5, 1e9, np.inf])
def test_of_one_it_is_t_itself(df):
    x, df = np.array([0.0, 0.3, 1.96, 4.0, 12.0]), np.full(5, df)
    own = own_tail(x, df)
    for law in (BonferroniT(1), SidakT(1), ScheffeT(1)):
        # SciPy 1.13 has eight digits of t with 1e9 degrees of freedom
        rtol = 1e-7 if df[0] == 1e9 else 1e-9
        np.testing.assert_allclose(law.tail(x, df), own, rtol=rtol, atol=1e-300)
    # Of probabilities by a sum the error is absolute
    np.testing.assert_allclose(StudentizedRange(2).tail(x, df), own, atol=2e-13)
    np.testing.assert_allclose(DunnettXT(1).tail(x, df), own, atol=2e-13)


@pytest.mark.parametrize(("q", "n", "df"), [(3.3, 4, 17.3), (6.0, 10, 5.0), (2.5, 3, 120.0)])
def test_the_studentized_range_is_scipys(q, n, df):
    tail = StudentizedRange(n).tail(np.array([q / np.sqrt(2.0)]), np.array([df]))
    # SciPy integrates to 1e-11 or so
    np.testing.assert_allclose(tail, distributions.studentized_range.sf(q, n, df), rtol=1e-8)


def test_of_independent_normal_tests_sidak_is_exact():
    x, df = np.array([2.5]), np.array([np.inf])
    one = distributions.norm.cdf(2.5) - distributions.norm.cdf(-2.5)
    np.testing.assert_allclose(SidakT(5).tail(x, df), 1.0 - one**5, rtol=1e-12)


def test_scheffe_is_an_f_test():
    tail = ScheffeT(3).tail(np.array([2.5]), np.array([11.0]))
    np.testing.assert_allclose(tail, distributions.f.sf(2.5**2 / 3, 3, 11), rtol=1e-12)


@pytest.mark.parametrize("df", [0.6, 1.0, 4.4, 300.0, 1e8])
def test_nodes_of_the_denominator_give_its_moments(df):
    nodes, weights = denominators(df)
    np.testing.assert_allclose(weights @ nodes**2, 1.0, rtol=1e-12)
    fourth = 1.0 + 2.0 / df  # E χ⁴/df²
    np.testing.assert_allclose(weights @ nodes**4, fourth, rtol=1e-12)


def one_factor(*loadings):
    matrix = np.outer(loadings, loadings)
    np.fill_diagonal(matrix, 1.0)
    return matrix


@pytest.mark.parametrize("r", [-0.7, 0.2, 0.8])
def test_two_tests_of_one_factor_have_the_bivariate_normal_law(r):
    x = np.array([0.3, 1.7, 4.0])
    tail = OneFactorT.of(one_factor(1.0, r)).tail(x, np.full(3, np.inf))
    # Over the first variable, not over the factor that both share
    given = [lambda u, sign=sign: (sign * x - r * u) / np.sqrt(1.0 - r**2) for sign in (1, -1)]
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u = nodes[:, None] * x
    inside = distributions.norm.cdf(given[0](u)) - distributions.norm.cdf(given[1](u))
    inside = x * (weights @ (distributions.norm.pdf(u) * inside))
    np.testing.assert_allclose(tail, 1.0 - inside, atol=1e-14)


@pytest.mark.parametrize("df", [3.0, np.inf])
def test_tests_of_one_factor_are_those_that_directions_are_drawn_for(df):
    matrix = one_factor(0.3, 0.6, 0.9, -0.5)
    x = np.array([1.5, 2.2, 3.0])
    drawn = CorrelatedT.of(matrix, np.random.SeedSequence(0))
    found = OneFactorT.of(matrix).tail(x, np.full(3, df))
    # Three standard errors of probabilities, which are as of the module
    expected = drawn.tail(x, np.full(3, df))
    np.testing.assert_allclose(found, expected, rtol=1.2e-3, atol=1.2e-4)


def test_independent_tests_are_of_no_factor():
    x, df = np.array([0.5, 2.0, 5.0]), np.full(3, np.inf)
    found = OneFactorT.of(np.eye(3)).tail(x, df)
    np.testing.assert_allclose(found, SidakT(3).tail(x, df), atol=1e-14)


def test_critical_values_are_dunnetts():
    """Dunnett (1964, Biometrics 20, 482–491), table II: two-sided, 5 %, equal sizes."""
    law = OneFactorT.of(EQUAL)
    np.testing.assert_allclose(
        law.quantile(0.05, np.array([20.0, np.inf])), [2.65, 2.44], atol=5e-3
    )


@pytest.mark.parametrize(
    "matrix",
    [
        1.25 * np.eye(5) - 0.25,  # one negative correlation: λ would be imaginary
        one_factor(0.97, 0.5, 0.5),  # steeper than the rule of the integral resolves
        np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.2], [0.5, 0.2, 1.0]]),  # λ² = 1.25 of the first
        np.kron(np.eye(2), np.array([[1.0, 0.5], [0.5, 1.0]])),
    ],
)
def test_other_correlations_are_of_no_factor(matrix):
    assert OneFactorT.of(matrix) is None
