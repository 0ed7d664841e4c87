"""Sandwich estimates against their definition, SAS's empirical errors, and the jackknife."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from repeated_models import dense_of, fitted_model, simulated

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.exceptions import NotEstimableWarning
from skmixed.inference import anova, coefficient_table, contrast, vcov

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


@pytest.mark.parametrize("kind", ["CR0", "CR2", "CR3"])
def test_terms_and_the_summary_have_them(kind):
    model = mmrm("FEV1 ~ RACE + ARMCD * AVISIT + ar1(AVISIT | USUBJID)", pd.read_csv(FEV))
    table = coefficient_table(model, robust=kind)
    shown = model.summary(robust=kind)
    np.testing.assert_array_equal(shown.fixed["Std. Error"], table["std_error"])
    np.testing.assert_array_equal(shown.fixed["df"], table["df"])
    assert f"{kind} standard errors by subjects" in str(shown)
    found = anova(model, robust=kind)
    names = [name for name in table.index if name.startswith("RACE")]
    rows = [{name: 1.0} for name in names]
    race = contrast(model, rows, robust=kind).iloc[0]
    np.testing.assert_allclose(found.loc["RACE", ["F", "df_num"]], race[["F", "df_num"]], rtol=1e-9)
    covariance = vcov(model, robust=kind).loc[names, names]
    estimate = table.loc[names, "estimate"]
    wald = estimate @ np.linalg.solve(covariance, estimate) / len(names)
    assert found.loc["RACE", "F"] == pytest.approx(wald, rel=1e-9)
    arm = {"ARMCD": [name for name in table.index if name == "ARMCD[T.TRT]"]}
    one = anova(model, arm, robust=kind).loc["ARMCD"]
    assert one["F"] == pytest.approx(table.loc["ARMCD[T.TRT]", "t"] ** 2, rel=1e-9)
    assert one["df_den"] == pytest.approx(table.loc["ARMCD[T.TRT]", "df"], rel=1e-9)


def test_summary_of_columns_has_them():
    model = fitted_model(simulated(4), "ar1")
    shown = model.summary(robust="CR2").fixed
    expected = coefficient_table(model, robust="CR2")
    np.testing.assert_array_equal(shown["Std. Error"], expected["std_error"])
    with pytest.raises(ValueError, match="is no method for robust='CR2'"):
        model.summary("kenward-roger", robust="CR2")
    with pytest.raises(ValueError, match="is no method for robust='CR2'"):
        anova(model, ddf="residual", robust="CR2")


def test_more_effects_at_once_than_subjects_tell_apart():
    frame = simulated(4, n_subjects=3, n_times=8, missing=0.0)
    frame[list("abc")] = np.random.default_rng(0).normal(size=(len(frame), 3))
    residual = ResidualCovariance("ar1", subject="subject", time="time")
    model = MixedLinearRegressor(fixed=list("abc"), residual=residual).fit(frame, frame["y"])
    with pytest.warns(NotEstimableWarning, match="at most 2 effects apart, .* and 3 are"):
        table = anova(model, {"all": list("abc"), "two": ["a", "b"]}, robust="CR0")
    assert table["F"].isna().tolist() == [True, False]
    assert table["df_num"].tolist() == [3, 2]
