"""Random inputs of odd kinds: the numbers of the clean data, or one clear refusal.

`python tests/test_hostile_inputs.py 20000` tries as many.
"""

import copy
import pickle
import re
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile_inputs import REFUSED, changed, clean_case
from numpy.testing import assert_allclose
from oracle import DenseModel

import skmixed
from skmixed import MixedLinearRegressor
from skmixed.exceptions import ExactFitWarning, IdentifiabilityWarning, SingularFitWarning

IN_CI, A_TEST = 500, 25
# Of the 20,000, what once depended on the order of the rows
FOUND = (12838,)
HOUSE = str(Path(skmixed.__file__).parent)


def fitted(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for allowed in (SingularFitWarning, IdentifiabilityWarning, ExactFitWarning):
            warnings.simplefilter("ignore", allowed)
        model = MixedLinearRegressor(**case.parameters)
        return model.fit(case.X, case.y, sample_weight=case.weights)


def dense(case, model):
    """The criterion, the fixed effects and σ from V in full, at the model's θ."""
    columns = list(case.parameters["random_slopes"] or [])
    n = len(case.X)
    z = np.column_stack([np.ones(n), *(case.X[c] for c in columns)])
    q = case.X["g"].max() + 1
    oracle = DenseModel(
        np.column_stack([np.ones(n), case.X[["x", "z"]]]),
        case.y,
        [(case.X["g"].to_numpy(), q, z)],
        case.weights,
        reml=case.parameters["method"] == "reml",
    )
    covariance = model.covariances_["g"].to_numpy() / model.sigma_**2
    w, v = np.linalg.eigh(covariance)
    factor = v * np.sqrt(np.maximum(w, 0))
    return oracle, factor, oracle.at((factor,))


def check_clean(case, model):
    """The estimates are those of V at θ, and no covariance nearby, or none at all, is better."""
    oracle, factor, at = dense(case, model)
    # V of 60 rows has condition numbers of 1e4 at most: 1e-10 by its inverse.
    assert_allclose(model.criterion_, at["criterion"], rtol=1e-9, atol=1e-8)
    assert_allclose(model.fixed_effects_, at["beta"], rtol=1e-7, atol=1e-7)
    assert_allclose(model.sigma_, at["sigma"], rtol=1e-8)
    for other in (0.0, 0.3, 0.97, 1.03, 3.0):
        assert oracle.criterion((other * factor,)) > model.criterion_ - 1e-7


def check_same(case, clean, model, reference):
    """The fit tells what that of the clean data tells, in the unit of its response.

    Two searches on one function, as in test_invariance.
    """
    kept = case.rows >= 0
    expected = reference.predict(clean.X)[case.rows[kept]] * case.y_scale
    spread = np.std(clean.y) * case.y_scale
    assert_allclose(model.predict(case.X)[kept], expected, atol=1e-5 * spread)
    effects = reference.fixed_effects_ * case.y_scale
    found = model.fixed_effects_[effects.index]
    assert_allclose(found, effects, rtol=1e-5, atol=1e-5 * spread)
    if "weights have another unit" not in case.applied:
        assert_allclose(model.sigma_, reference.sigma_ * case.y_scale, rtol=1e-4)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.predict(case.X), model.predict(case.X))


def check_refused(case, words):
    """One message of the package, or of scikit-learn's validation, that speaks of the fault."""
    before = copy.deepcopy(case.parameters)
    with pytest.raises((ValueError, TypeError)) as caught:
        fitted(case)
    message = str(caught.value)
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-1].startswith(HOUSE) or "sklearn/utils" in files[-1], (files[-1], message)
    assert len(message) > 20
    assert re.search(words, message, re.DOTALL), message
    assert case.parameters == before


def check(seed):
    rng = np.random.default_rng(seed)
    clean = clean_case(rng)
    # Every kind of refusal in turn
    wrong = REFUSED[seed // 3 % len(REFUSED)] if seed % 3 == 0 else None
    case, words = changed(copy.deepcopy(clean), rng, wrong)
    if words is not None:
        check_refused(case, words)
        return case
    try:
        reference = fitted(clean)
    except skmixed.exceptions.UndeterminedError:
        with pytest.raises(skmixed.exceptions.UndeterminedError):
            fitted(case)
        return case
    check_clean(clean, reference)
    check_same(case, clean, fitted(case), reference)
    return case


@pytest.mark.parametrize("first", range(0, IN_CI, A_TEST))
def test_odd_inputs_have_the_numbers_of_clean_ones_or_a_clear_refusal(first):
    for seed in range(first, first + A_TEST):
        try:
            check(seed)
        except Exception as failure:
            failure.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("seed", FOUND)
def test_inputs_that_once_failed(seed):
    check(seed)


if __name__ == "__main__":
    for seed in range(IN_CI, IN_CI + int(sys.argv[1])):
        try:
            check(seed)
        except BaseException as failure:
            sys.stdout.write(f"{seed}: {type(failure).__name__}: {str(failure)[:300]}\n")
