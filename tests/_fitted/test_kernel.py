import sys

import pytest

from skmixed import MixedEffectEncoder, MixedLinearRegressor
from skmixed._fitted import runtime
from skmixed.datasets import load_sleepstudy
from skmixed.diagnostics import influence
from skmixed.inference import (
    anova,
    coefficient_table,
    confidence_intervals,
    convergence,
    likelihood_ratio_test,
    profile,
    random_effects_table,
)

# Files of the kernel whose functions multiply and factor.
COMPUTING = ("cholesky", "row_substitution", "selected_inverse", "small_sample", "profile")
# Those of them that only look something up, in a file.
LOOKUPS = {"zero_lam", "total", "_squares"}


@pytest.fixture(scope="module")
def fitted():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    return MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y), X, y


CALLS = {
    "fit": lambda model, X, y: MixedLinearRegressor("Subject").fit(X, y),
    "crossed": lambda model, X, y: MixedLinearRegressor(["Subject", "Days"], fixed=[]).fit(X, y),
    "encoder": lambda model, X, y: MixedEffectEncoder().fit(X[["Subject"]], y),
    "update_groups": lambda model, X, y: (
        MixedLinearRegressor("Subject").fit(X, y).update_groups(X[:3], y[:3]).predict_interval(X)
    ),
    "predict_interval": lambda model, X, y: model.predict_interval(X),
    "sample_y": lambda model, X, y: model.sample_y(X, 2),
    "influence": lambda model, X, y: influence(model, X, y),
    "coefficient_table": lambda model, X, y: coefficient_table(model, ddf="kenward-roger"),
    "anova": lambda model, X, y: anova(model),
    "wald": lambda model, X, y: confidence_intervals(model),
    "profile": lambda model, X, y: confidence_intervals(model, "profile", components="sigma"),
    "bootstrap": lambda model, X, y: confidence_intervals(
        model, "bootstrap", n_samples=2, random_state=0
    ),
    "paths": lambda model, X, y: profile(model, components="fixed", n_points=2),
    "random_effects": lambda model, X, y: random_effects_table(model),
    "convergence": lambda model, X, y: convergence(model),
    "test": lambda model, X, y: likelihood_ratio_test(
        MixedLinearRegressor("Subject", method="ml").fit(X, y),
        MixedLinearRegressor("Subject", random_slopes="Days", method="ml").fit(X, y),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_computes_on_one_thread(fitted, name):
    outside, inside = set(), set()

    def see(frame, event, _):
        code = frame.f_code
        if event == "call" and "skmixed/" in code.co_filename.replace("\\", "/"):
            stem = code.co_filename.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
            if stem in COMPUTING and code.co_name not in LOOKUPS:
                (inside if runtime._limit.users else outside).add(f"{stem}.{code.co_qualname}")

    model, X, y = fitted
    before = sys.getprofile()
    sys.setprofile(see)
    try:
        CALLS[name](model, X, y)
    finally:
        sys.setprofile(before)
    assert not outside
    assert inside
