"""Sandwich estimates against their definition, SAS's empirical errors, and the jackknife."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from repeated_models import dense_of, fitted_model, simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.inference import coefficient_table, contrast, vcov

FEV = Path(__file__).parents[1] / "reference" / "residual" / "data" / "fev.csv"
# SAS PROC MIXED's `empirical`, as published with R's mmrm: FEV1 ~ ARMCD.
SAS = {
    "us": (0.16725909903518, -0.16725909903518, 0.40908637028234),
    "ar1": (0.27666930670945, -0.27666930670945, 0.68196697308307),
}


@pytest.mark.parametrize("word", SAS)
def test_sas(word):
    model = mmrm(f"FEV1 ~ ARMCD + {word}(AVISIT | USUBJID)", pd.read_csv(FEV))
    found = vcov(model, robust="CR0").to_numpy()
    # SAS stops 2e-5 above the optimum.
    np.testing.assert_allclose(found[[0, 0, 1], [0, 1, 1]], SAS[word], rtol=1e-4)


@pytest.mark.parametrize("kind", ["CR0", "CR2", "CR3"])
def test_the_definition(kind):
    frame = simulated(4, n_subjects=20)
    model = fitted_model(frame, "ar1", by="arm")
    layout = model._model.repeated.layout
    X, y = layout.laid.wide[:, :-1], layout.laid.wide[:, -1]
    dense = dense_of(model)
    root = np.linalg.cholesky(dense.V_inv).T  # block-diagonal by subject
    design, error = root @ X, root @ (y - X @ dense.beta)
    hat = design @ dense.covariance @ design.T
    clusters = [np.flatnonzero(layout.laid.subject == k) for k in np.unique(layout.laid.subject)]
    power = {"CR0": 0.0, "CR2": -0.5, "CR3": -1.0}[kind]
    meat, weights = np.zeros_like(dense.covariance), []
    for rows in clusters:
        own = np.eye(len(rows)) - hat[np.ix_(rows, rows)]
        corrected = scipy.linalg.fractional_matrix_power(own, power) @ design[rows]
        score = corrected.T @ error[rows]
        meat += np.outer(score, score)
        weights.append(corrected @ dense.covariance)
    covariance = dense.covariance @ meat @ dense.covariance
    basis = layout.scale * layout.basis
    table = coefficient_table(model, robust=kind)
    errors = np.sqrt(np.diag(basis @ covariance @ basis.T))
    np.testing.assert_allclose(table["std_error"], errors, rtol=1e-9)
    # tr(G)²/tr(G²) with G_ij = a_i'(I − H)_ij a_j
    for k, row in enumerate(basis):
        g = np.array(
            [
                [
                    (w @ row) @ (np.eye(len(hat)) - hat)[np.ix_(i, j)] @ (v @ row)
                    for v, j in zip(weights, clusters, strict=True)
                ]
                for w, i in zip(weights, clusters, strict=True)
            ]
        )
        assert table["df"].iloc[k] == pytest.approx(np.trace(g) ** 2 / np.trace(g @ g), rel=1e-8)


def test_contrasts_have_them():
    model = fitted_model(simulated(4), "ar1")
    table = contrast(model, {"arm": 1}, robust="CR2")
    assert table["std_error"].iloc[0] == coefficient_table(model, robust="CR2")["std_error"]["arm"]


def test_between_within_degrees_of_freedom():
    # 197 patients and 537 rows; see mmrm's article on the method.
    formula = "FEV1 ~ RACE + SEX + ARMCD * AVISIT + us(AVISIT | USUBJID)"
    model = mmrm(formula, pd.read_csv(FEV))
    table = coefficient_table(model, "between-within")
    between = {"RACE", "SEX", "ARMCD"}
    for name, df in table["df"].items():
        is_between = ":" not in name and name.partition("[")[0] in between
        assert df == (192.0 if is_between else 334.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"robust": "HC3"}, "robust='HC3' is not known"),
        ({"robust": "CR2", "ddf": "residual"}, "is no method for robust='CR2'"),
    ],
)
def test_what_there_is_not(change, message):
    model = fitted_model(simulated(4), "ar1")
    with pytest.raises(ValueError, match=message):
        coefficient_table(model, **change)


def test_one_subject():
    frame = simulated(4, n_subjects=1, n_times=40)
    model = MixedLinearRegressor(
        fixed=["x"], residual=ResidualCovariance("ar1", subject="subject", time="time")
    ).fit(frame.drop(columns=["y", "weight"]), frame["y"])
    with pytest.raises(ValueError, match="all rows are of one"):
        coefficient_table(model, robust="CR2")


def test_subjects_that_share_effects():
    model = fitted_model(simulated(4), "ar1", groups="rater")
    with pytest.raises(ValueError, match="needs subjects that are independent"):
        coefficient_table(model, robust="CR2")
