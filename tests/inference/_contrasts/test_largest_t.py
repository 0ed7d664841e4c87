import numpy as np
import pytest
from scipy import stats as distributions

from skmixed.inference._contrasts.correlated_t import CorrelatedT
from skmixed.inference._contrasts.largest_t import (
    BonferroniT,
    DunnettXT,
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
        np.testing.assert_allclose(law.tail(x, df), own, rtol=1e-9, atol=1e-300)
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
