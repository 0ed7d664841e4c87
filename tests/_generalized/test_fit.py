from dataclasses import replace

import numpy as np
import pytest
from generalized_models import (
    REFERENCES,
    GeneralizedCase,
    coded,
    frame_of,
    random_generalized,
    reference_case,
    reference_fits,
)
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLogisticClassifier
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.objective import LaplaceObjective
from skmixed._model.family import FAMILIES
from skmixed.exceptions import FitStatus, UndeterminedError
from skmixed.inference import coefficient_table


@pytest.mark.parametrize(("name", "model"), REFERENCES, ids=map("-".join, REFERENCES))
def test_fits_are_those_of_glmer_and_glmmtmb_or_higher(name, model):
    found = reference_case(name, model).fit()
    solution, fits = found.solution, reference_fits(name, model)
    assert found.status is FitStatus.CONVERGED
    log_likelihood = -0.5 * solution.criterion
    best = max(fits.values(), key=lambda fit: fit["logLik"])
    assert log_likelihood >= best["logLik"] - 1e-6
    assert log_likelihood <= best["logLik"] + 1e-4  # what their optimizers leave
    se = np.sqrt(np.diagonal(solution.fixed_covariance))
    # Their estimates are off by the root of what their likelihood lacks, in standard errors
    lack = np.sqrt(2.0 * max(log_likelihood - best["logLik"], 0.0)) + 1e-4
    assert (np.abs(solution.fixed - best["fixef"]["values"]) <= lack * se).all()
    for term, component in zip(ordered(solution, fits, name, model), best["varcorr"], strict=True):
        sd = np.sqrt(np.diagonal(term.lam @ term.lam.T))
        assert_allclose(sd, component["sd"], rtol=2e-4, atol=2e-5)
    if "glmmTMB" in fits:
        assert_allclose(se, fits["glmmTMB"]["se"], rtol=1e-4)


def ordered(solution, fits, name, model):
    """The terms in the order of the program that is compared with."""
    best = max(fits.values(), key=lambda fit: fit["logLik"])
    groups = [group for group, _ in REFERENCES[name, model][3]]
    return [solution.terms[groups.index(c["group"])] for c in best["varcorr"]]


@pytest.mark.parametrize(("name", "model"), [("cbpp", "period"), ("grouseticks", "olre")])
def test_modes_are_those_of_glmer(name, model):
    case = reference_case(name, model)
    solution = case.fit().solution
    groups = [group for group, _ in REFERENCES[name, model][3]]
    for component in reference_fits(name, model)["laplace"]["ranef"]:
        k = groups.index(component["group"])
        labels = list(dict.fromkeys(frame_of(name)[component["group"]].astype(str)))
        own = dict(zip(labels, solution.terms[k].effects[0], strict=True))
        sd = np.sqrt(solution.family.covariances[k][:, 0, 0]).max()
        expected = np.ravel(component["values"])
        assert_allclose([own[label] for label in component["levels"]], expected, atol=1e-4 * sd)


def test_shapes_are_those_of_glmmtmb():
    for name, model, sign in (("epil", "negbin", 1.0), ("sleepstudy_gamma", "gamma_log", -2.0)):
        solution = reference_case(name, model).fit().solution
        expected = np.log(reference_fits(name, model)["glmmTMB"]["dispersion"])
        assert abs(solution.family.phi - sign * expected) < 1e-3 * solution.family.phi_error


@pytest.mark.parametrize("family", FAMILIES, ids=map(str, FAMILIES))
def test_the_gradient_is_zero_at_the_end(family):
    case = random_generalized(11, family, (30, 6), n=600)
    found = case.fit()
    assert found.status is FitStatus.CONVERGED
    objective, system = LaplaceObjective(case.layout.system), case.layout.system
    gamma = np.linalg.solve(case.layout.basis, found.solution.fixed)
    rest = np.append(gamma, found.solution.family.phi) if system.n_shape else gamma
    lam = (*(t.search_lam for t in found.solution.terms), rest)
    assert_allclose(objective.evaluate(lam), found.solution.criterion, rtol=1e-12)
    model = objective.point(objective.value, is_slow=True)
    # What is left to gain is below the search's tolerance
    step, _, is_interior = model.step(np.inf)
    assert is_interior
    assert model.decrease(step) < 1e-9


def test_without_random_effects_it_is_the_generalized_linear_model():
    case = random_generalized(4, ("poisson", "log"), (), slope=False)
    solution = case.fit().solution
    y, x = case.given.design.responses[0], case.oracle.x
    mean = np.exp(case.given.offset + x @ solution.fixed)
    assert_allclose(x.T @ (y - mean), 0.0, atol=1e-8 * np.abs(x).sum())
    expected = np.linalg.inv(x.T @ (mean[:, None] * x))
    assert_allclose(solution.fixed_covariance, expected, rtol=1e-8)


def test_a_variance_that_is_zero_is_found_to_be():
    rng = np.random.default_rng(1)
    x, groups = rng.normal(size=400), np.repeat(np.arange(40), 10)
    # One success and one failure less or more at most: less than chance between groups
    y = (np.arange(400) % 2).astype(float)
    case = GeneralizedCase.of([x], [groups], [(0, (0,), "full")], y, ("binomial", "logit"))
    found = case.fit()
    assert found.status is FitStatus.CONVERGED
    assert found.solution.terms[0].lam == 0.0
    assert found.solution.terms[0].is_singular
    assert (found.solution.terms[0].effects == 0.0).all()
    objective, gamma = LaplaceObjective(case.layout.system), found.solution.fixed
    rest = np.linalg.solve(case.layout.basis, gamma)
    objective.evaluate((np.zeros((1, 1)), rest))
    assert LaplaceDerivatives(objective.mode).gradient[0] > 0.0


def test_units_of_columns_do_not_matter():
    frame, y = frame_of("epil"), frame_of("epil")["y"].to_numpy(float)
    fits = []
    for scale, shift in ((1.0, 0.0), (1e6, 3e7)):
        period = scale * coded("epil", "period")[0] + shift
        columns = [coded("epil", "lbase")[0], period]
        case = GeneralizedCase.of(
            columns, [frame["subject"]], [(0, (0, 2), "full")], y, ("poisson", "log")
        )
        fits.append(case.fit().solution)
    assert_allclose(fits[1].criterion, fits[0].criterion, rtol=1e-10)
    assert_allclose(fits[1].fixed[2] * 1e6, fits[0].fixed[2], rtol=1e-6)


def test_prior_weights_of_counts_repeat_rows():
    case = random_generalized(8, ("poisson", "log"), (12,), slope=False)
    design, n = case.given.design, 160
    twice = np.r_[np.arange(n), np.arange(0, n, 2)]
    weights = np.where(np.arange(n) % 2 == 0, 2.0, 1.0)
    columns = [np.asarray(c) for c in design.columns]
    parts = [(0, (0,), "full")]
    y, codes, offset = design.responses[0], design.factors[0].codes, case.given.offset
    own = GeneralizedCase.of(columns, [codes], parts, y, ("poisson", "log"), weights, offset).fit()
    repeated = GeneralizedCase.of(
        [c[twice] for c in columns], [codes[twice]], parts, y[twice], ("poisson", "log"), None,
        offset[twice],
    ).fit()  # fmt: skip
    assert_allclose(own.solution.criterion, repeated.solution.criterion, rtol=1e-11)
    assert_allclose(own.solution.fixed, repeated.solution.fixed, rtol=1e-6)


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_a_coefficient_without_a_finite_estimate_has_no_small_error(link):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=200), np.arange(200) % 5 == 0, np.arange(200) % 20])
    y = X[:, 0] + rng.normal(size=20)[np.arange(200) % 20] + rng.logistic(size=200) > 0
    y = y | (X[:, 1] == 1)
    with pytest.warns(ConvergenceWarning, match="column 'x1' predict"):
        model = MixedLogisticClassifier(2, link=link).fit(X, y)
    table = coefficient_table(model)
    # The information of the column's coefficient is that of probabilities of 1e-8 and less.
    assert table.loc["x1", "std_error"] > 1000
    assert table.loc["x1", "p_value"] > 0.9
    assert (table.loc[["(Intercept)", "x0"], "std_error"] < 1).all()


def heavy(seed=0):
    """Counts of which few are not 0, and these are large: as h2 of few huge counts."""
    rng = np.random.default_rng(seed)
    n = 120
    x, groups = rng.normal(size=n), rng.integers(0, 12, n)
    y = np.where(rng.random(n) < 0.04, rng.integers(1, 10**7, n), 0).astype(float)
    return GeneralizedCase.of([x], [groups], [(0, (0,), "full")], y, ("negative_binomial", "log"))


@pytest.mark.parametrize("seed", range(4))
def test_effects_that_reproduce_outliers_are_compared_with_none(seed):
    case = heavy(seed)
    alone = GeneralizedCase(case.given, replace(case.model, terms=())).fit()
    found = case.fit()
    assert found.status is FitStatus.CONVERGED
    assert found.solution.criterion <= alone.solution.criterion + 1e-6  # what a stall leaves


@pytest.mark.parametrize("weight", [1.0, 1e-4, 1e-8])
@pytest.mark.parametrize("family", [("binomial", "logit"), ("poisson", "log"), ("gamma", "log")])
def test_small_weights_of_all_rows_scale_the_likelihood(family, weight):
    case = random_generalized(3, family, (), slope=False)
    design = case.given.design
    own = np.ones(160) if design.weights is None else design.weights
    given = replace(case.given, design=replace(design, weights=weight * own))
    found, expected = GeneralizedCase(given, case.model).fit(), case.fit()
    assert found.status is FitStatus.CONVERGED
    assert not found.findings.separated
    assert_allclose(found.solution.fixed, expected.solution.fixed, rtol=1e-4, atol=1e-5)


def test_classes_that_are_told_apart_are_so_with_any_weights():
    x, groups = np.linspace(-1.0, 1.0, 80), np.arange(80) % 8
    for weight in (1.0, 1e-6):
        case = GeneralizedCase.of(
            [x], [groups], [(0, (0,), "full")], (x > 0.1).astype(float), ("binomial", "logit"),
            np.full(80, weight),
        )  # fmt: skip
        assert case.fit().findings.separated == (1,)


def test_counts_that_leave_the_likelihood_no_digits_are_refused():
    rng = np.random.default_rng(0)
    y = 1e15 * rng.poisson(3.0, 120)
    case = GeneralizedCase.of(
        [rng.normal(size=120)], [np.arange(120) % 12], [(0, (0,), "full")], y,
        ("negative_binomial", "log"),
    )  # fmt: skip
    with pytest.raises(UndeterminedError, match="no digits at these responses, which go up to 1e"):
        case.fit()


def test_gamma_s_responses_may_be_next_to_zero():
    rng = np.random.default_rng(2)
    y = np.maximum(rng.gamma(0.02, 50.0, 160), 1e-100)
    case = GeneralizedCase.of(
        [rng.normal(size=160)], [np.arange(160) % 10], [(0, (0,), "full")], y, ("gamma", "log")
    )
    found = case.fit()
    assert found.status is FitStatus.CONVERGED
    # The mean of a model without effects: its score equation Σ(y/μ − 1) = 0
    if found.solution.terms[0].is_singular:
        mean = np.exp(case.oracle.x @ found.solution.fixed)
        assert abs((y / mean - 1.0).sum()) < 1e-3
    assert 0.01 < np.exp(found.solution.family.phi) < 0.05
