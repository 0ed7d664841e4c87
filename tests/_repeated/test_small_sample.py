"""Satterthwaite's and Kenward and Roger's methods against V in full."""

import numpy as np
import pytest
from repeated_models import GROUPS, dense_of, fitted_model, simulated

from skmixed.inference import coefficient_table

CASES = [
    ("unstructured", "none", {}),
    ("ar1", "none", {"by": "arm"}),
    ("toeplitz", "none", {"heterogeneous": True}),
    ("exponential", "rater", {}),
    ("ante_dependence", "rater", {"heterogeneous": True}),
    ("ar1", "subject", {}),
]


def frame_of(groups):
    frame = simulated(11, n_subjects=60)
    if groups == "subject":  # levels of subjects that an autoregression does not explain
        rng = np.random.default_rng(5)
        frame["y"] += 4 * rng.normal(size=60)[frame["subject"]] + 3 * rng.normal(size=len(frame))
    return frame


@pytest.mark.parametrize(
    ("structure", "groups", "columns", "weighted"),
    [*((*case, k % 2 == 0) for k, case in enumerate(CASES)), (*CASES[-1], True)],
)
def test_tests_of_coefficients_are_those_of_v(structure, groups, columns, weighted):
    model = fitted_model(
        frame_of(groups), structure, groups=GROUPS[groups], weighted=weighted, **columns
    )
    dense, layout = dense_of(model), model._model.repeated.layout
    basis = layout.scale * layout.basis
    own = np.sqrt(np.einsum("pq,qr,pr->p", basis, dense.covariance, basis))
    satterthwaite = coefficient_table(model, "satterthwaite")
    # The information is differenced nowhere: both sides round alike.
    np.testing.assert_allclose(satterthwaite["std_error"], own, rtol=1e-8)
    np.testing.assert_allclose(satterthwaite["df"], dense.satterthwaite(basis), rtol=1e-6)
    for name, is_linear in (("kenward-roger", False), ("kenward-roger-linear", True)):
        adjusted = dense.kenward_roger(is_linear=is_linear)
        errors = np.sqrt(np.einsum("pq,qr,pr->p", basis, adjusted, basis))
        np.testing.assert_allclose(coefficient_table(model, name)["std_error"], errors, rtol=1e-6)


def test_kenward_roger_needs_reml():
    model = fitted_model(simulated(1), "ar1", method="ml")
    for name in ("kenward-roger", "kenward-roger-linear"):
        with pytest.raises(ValueError, match="needs a REML fit"):
            coefficient_table(model, name)
