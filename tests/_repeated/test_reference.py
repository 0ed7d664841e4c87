"""Fits of nlme, SAS PROC MIXED and R mmrm (tests/reference/residual)."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmixed import MixedLinearRegressor, RandomEffect, ResidualCovariance, mmrm
from skmixed.inference import coefficient_table

ROOT = Path(__file__).parents[1] / "reference" / "residual"
FEV = "FEV1 ~ RACE + SEX + ARMCD * AVISIT"
LEVELS = {"SEX": ["Male", "Female"]}  # the order of R's data set


@cache
def frame_of(name):
    if name == "bcva":
        return pd.read_csv(ROOT / "data" / "bcva.csv.gz")
    frame = pd.read_csv(ROOT / "data" / f"{name}.csv")
    for column, levels in LEVELS.items():
        if column in frame:
            frame[column] = pd.Categorical(frame[column], levels)
    if name == "orthodont":
        frame["female"] = (frame["Sex"] == "Female").astype(float)
        frame["age_female"] = frame["age"] * frame["female"]
    return frame


def regressor(name, groups, fixed, residual, method):
    frame = frame_of(name)
    response = frame["follicles" if name == "ovary" else "distance"]
    model = MixedLinearRegressor(groups, fixed=fixed, residual=residual, method=method)
    return model.fit(frame, response)


OVARY, GROWTH = ["s", "c"], ["age", "female", "age_female"]
AR1, US = "ar1", "unstructured"
NLME = {
    "ovary_ar1": ("ovary", "Mare", OVARY, ResidualCovariance(AR1, subject="Mare", time="k")),
    "ovary_gls_car1": (
        "ovary",
        None,
        OVARY,
        ResidualCovariance("exponential", subject="Mare", time="Time"),
    ),
    "orthodont_var_sex": (
        "orthodont",
        RandomEffect("Subject", "age"),
        GROWTH,
        ResidualCovariance("independent", by="Sex"),
    ),
    "orthodont_us": (
        "orthodont",
        None,
        GROWTH,
        ResidualCovariance(US, subject="Subject", time="k"),
    ),
    "orthodont_ar1": (
        "orthodont",
        None,
        GROWTH,
        ResidualCovariance(AR1, subject="Subject", time="k"),
    ),
}


@cache
def nlme_fits():
    fits = json.loads((ROOT / "nlme.json").read_text())
    return {(own["id"], fit["method"].lower()): fit for own in fits for fit in own["fits"]}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("name", NLME)
def test_nlme(name, method):
    fit, model = nlme_fits()[name, method], regressor(*NLME[name], method)
    # nlme stops where its own criterion is within 1e-6 of its optimum.
    assert model.log_likelihood_ == pytest.approx(fit["logLik_nlme"], abs=1e-6)
    errors = coefficient_table(model, "normal")["std_error"].to_numpy()
    distance = (model.fixed_effects_.to_numpy() - fit["beta"]["values"]) / errors
    assert np.abs(distance).max() < 2e-5  # nlme's own distance from its optimum


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(("name", "word"), [("fev_us", "us"), ("fev_cs", "cs"), ("fev_ar1", "ar1")])
def test_nlme_on_visits(name, word, method):
    fit = nlme_fits()[name, method]
    model = mmrm(f"{FEV} + {word}(AVISIT | USUBJID)", frame_of("fev"), method == "reml")
    assert model.log_likelihood_ == pytest.approx(fit["logLik_nlme"], abs=1e-6)


# R mmrm 0.3.18: −2 REML, parameters, and of ARMCD and ARMCD:VIS4 the standard error, the
# degrees of freedom, and Kenward and Roger's standard error. It stops some 1e-5 of a
# standard error before the optimum; of "us" its criterion is 5e-6 higher than SAS's and
# nlme's, and its errors are 1.4e-5 off.
MMRM = {
    "us": (3386.449871, 10, (1.074147, 145.5520, 1.077007), (1.850852, 129.7204, 1.833246)),
    "toeph": (3397.131307, 7, (1.077460, 140.6734, 1.078405), (1.830458, 131.2503, 1.832062)),
    "toep": (3520.643996, 4, (1.152789, 506.4416, 1.155382), (1.524858, 268.2618, 1.528641)),
    "ar1": (3525.078763, 2, (1.159570, 505.0405, 1.159738), (1.620735, 525.1207, 1.622976)),
    "cs": (3522.042949, 2, (1.150719, 518.7140, 1.150772), (1.522019, 411.6031, 1.523414)),
    "ad": (3504.642384, 4, (1.156798, 446.5521, 1.156604), (1.648436, 418.0480, 1.648967)),
}


@pytest.mark.parametrize("word", MMRM)
def test_mmrm(word):
    criterion, n_parameters, *tests = MMRM[word]
    model = mmrm(f"{FEV} + {word}(AVISIT | USUBJID)", frame_of("fev"))
    assert model.criterion_ == pytest.approx(criterion, abs=2e-6)
    assert model._frame is not None
    assert model.regressor_._model.solution.residual.phi.size == n_parameters
    own = coefficient_table(model, "satterthwaite")
    adjusted = coefficient_table(model, "kenward-roger")["std_error"]
    rows = "ARMCD[T.TRT]", "ARMCD[T.TRT]:AVISIT[T.VIS4]"
    for row, (error, df, kenward_roger) in zip(rows, tests, strict=True):
        assert own["std_error"][row] == pytest.approx(error, rel=7e-5)
        assert own["df"][row] == pytest.approx(df, rel=1e-4)
        assert adjusted[row] == pytest.approx(kenward_roger, rel=7e-5)


def test_mmrm_without_second_derivatives_is_sas():
    model = mmrm(f"{FEV} + us(AVISIT | USUBJID)", frame_of("fev"))
    errors = coefficient_table(model, "kenward-roger-linear")["std_error"]
    assert errors["ARMCD[T.TRT]"] == pytest.approx(1.081763, rel=2e-5)


def test_mmrm_by_group():
    model = mmrm(f"{FEV} + us(AVISIT | ARMCD / USUBJID)", frame_of("fev"))
    assert model.criterion_ == pytest.approx(3378.688331, abs=2e-6)


def test_ten_visits():
    model = mmrm(
        "BCVA_CHG ~ BCVA_BL + RACE + ARMCD * AVISIT + us(AVISIT | USUBJID)", frame_of("bcva")
    )
    # R mmrm ends 3e-5 higher.
    assert model.criterion_ == pytest.approx(32071.029738, abs=2e-6)
    table = coefficient_table(model, "kenward-roger")
    assert table["std_error"]["ARMCD[T.TRT]"] == pytest.approx(0.062790, rel=3e-5)
    assert table["df"]["ARMCD[T.TRT]"] == pytest.approx(985.9437, rel=1e-4)


# SAS's structures in mmrm's words.
SAS = {
    "Unstructured": "us",
    "Ante-dependence": "adh",
    "Autoregressive": "ar1",
    "Heterogeneous": "ar1h",
    "Compound Symmetry": "cs",
    "Heterogeneous Compound": "csh",
    "Heterogeneous Toeplitz": "toeph",
    "Spatial Exponential": "sp_exp",
}
FIXED = {"sas_coef_ci": "ARMCD + SEX", "sas_log_": "RACE + SEX + ARMCD * AVISIT"}
LISTINGS = [
    own
    for own in json.loads((ROOT / "proc_mixed.json").read_text())
    # "sp_exp2" has distances in two columns.
    if not (own["group"] or own["weight"] or "sp_exp2" in own["listing"])
]


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda own: own["listing"])
def test_sas(listing):
    name = listing["listing"]
    simple = "simple" in name or not name.startswith(tuple(FIXED))
    fixed = "1" if simple else next(v for k, v in FIXED.items() if name.startswith(k))
    time = "VISITN" if "sp_exp" in name else "AVISIT"
    formula = f"FEV1 ~ {fixed} + {SAS[listing['structure']]}({time} | USUBJID)"
    model = mmrm(formula, frame_of("fev"), listing["method"] == "REML")
    # SAS stops up to 2e-5 above the optimum.
    rise = listing["minus_2_log_likelihood"] - model.criterion_
    assert -1e-6 < rise < 2e-5
    first = listing["fixed_effects"][0]
    if simple:  # SAS codes factors by other reference levels
        # At 2e-5 above the optimum estimates may be off by √2e-5 standard errors.
        table = coefficient_table(model)
        assert table["estimate"].iloc[0] == pytest.approx(first["estimate"], abs=5e-3 * first["se"])
        assert table["std_error"].iloc[0] == pytest.approx(first["se"], abs=2e-4)
        assert table["df"].iloc[0] == pytest.approx(first["df"], abs=0.6)
