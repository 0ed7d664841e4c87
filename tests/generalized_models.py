"""Generalized models for tests: random ones, and the reference fits of glmer and glmmTMB."""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from oracle_generalized import DenseGeneralized

from skmixed import MixedLogisticClassifier, MixedPoissonRegressor
from skmixed._estimation.fit import examined
from skmixed._generalized.fit import SearchSettings, fit_generalized
from skmixed._generalized.rows import GeneralizedDesign, lay_out_generalized
from skmixed._model.family import FAMILIES
from skmixed._model.structures import STRUCTURES
from skmixed._model.terms import Model, Term
from skmixed._statistics.accumulator import accumulate
from skmixed._statistics.design import Design, FactorDesign

ROOT = Path(__file__).parent / "reference" / "generalized"


@dataclass(frozen=True)
class GeneralizedCase:
    """One design with a model, as the kernel and the oracle take it."""

    given: GeneralizedDesign
    model: Model

    @staticmethod
    def of(columns, factors, terms, y, family, weights=None, offset=None):
        """Terms are (factor, columns, structure); column 0 is the intercept."""
        designs = []
        for k, labels in enumerate(factors):
            codes, levels = pd.factorize(labels)
            used = sorted({0} | {c for f, own, _ in terms if f == k for c in own})
            designs.append(FactorDesign(codes.astype(np.intp), len(levels), tuple(used)))
        design = Design(tuple(columns), (y,), weights, tuple(designs))
        offset = np.zeros(len(y)) if offset is None else offset
        model = Model(
            fixed=tuple(range(len(columns) + 1)),
            terms=tuple(Term(f, own, STRUCTURES[name]) for f, own, name in terms),
            reml=False,
        )
        return GeneralizedCase(GeneralizedDesign(design, offset, FAMILIES[family]), model)

    @cached_property
    def stats(self):
        return accumulate(self.given.design)

    @cached_property
    def examined(self):
        return examined(self.stats, self.model)

    @cached_property
    def layout(self):
        at_zero = self.examined.at_zero
        return lay_out_generalized(at_zero, self.model, self.stats.center, self.given)

    @property
    def oracle(self):
        given = self.given
        return DenseGeneralized.of(given.design, self.model, given.offset, given.family)

    def fit(self, **options):
        search = SearchSettings(tol=1e-12, max_iter=200, report=options.pop("report", None))
        examined, center = self.examined, self.stats.center
        return fit_generalized(examined, center, self.given, search=search, **options)


def random_generalized(
    seed, family, shape=(12, 5), *, nested=False, n=160, slope=True, structure="full"
):
    """Two fixed columns, a slope by the first factor, and intercepts by the others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, n))
    codes = [rng.integers(0, q, n) for q in shape]
    if nested:  # each level of a factor in one of the next
        for k in range(1, len(shape)):
            codes[k] = codes[k - 1] % shape[k]
    terms = [(0, (0, 1) if slope else (0,), structure)] if shape else []
    terms += [(k, (0,), "full") for k in range(1, len(shape))]
    eta = 0.3 + 0.4 * x[0] - 0.2 * x[1]
    for q, own in zip(shape, codes, strict=True):
        eta += 0.7 * rng.normal(size=q)[own]
    if slope:
        eta += 0.4 * rng.normal(size=shape[0])[codes[0]] * x[0]
    weights = rng.integers(1, 5, n).astype(float) if family[0] == "binomial" else None
    own = np.ones(n) if weights is None else weights
    y = FAMILIES[family].draw(rng, eta, 0.8, own)
    offset = 0.1 * rng.normal(size=n)
    return GeneralizedCase.of(list(x), codes, terms, y, family, weights, offset)


@cache
def reference(name):
    return json.loads((ROOT / "fits" / f"{name}.json").read_text())


@cache
def frame_of(name):
    frame = reference(name)
    factors = {c["name"]: str for c in frame["columns"] if c["type"] in ("factor", "character")}
    path = ROOT / frame["data_file"]
    path = path if path.exists() else path.with_suffix(".csv.gz")
    return pd.read_csv(path, dtype=factors)


def coded(name, column):
    """A column as numbers; of a factor the indicators of all levels but the first."""
    values = frame_of(name)[column]
    levels = next(c["levels"] for c in reference(name)["columns"] if c["name"] == column)
    if levels is None:
        return [values.to_numpy(float)]
    return [(values == level).to_numpy(float) for level in levels[1:]]


LOGIT, POISSON = ("binomial", "logit"), ("poisson", "log")
VERBAGG = ["Anger", "Gender", "btype", "situ"]
EPIL = ["lbase", "trt", "lage", "period4", "lbase:trt"]
# Data set and model: family, response, fixed columns, and (factor, columns of slopes).
REFERENCES = {
    ("cbpp", "period"): (LOGIT, "incidence", ["period"], [("herd", [])]),
    ("cbpp", "null"): (LOGIT, "incidence", [], [("herd", [])]),
    ("grouseticks", "nested"): (
        POISSON, "TICKS", ["YEAR", "cHEIGHT"], [("BROOD", []), ("LOCATION", [])],
    ),
    ("grouseticks", "olre"): (
        POISSON, "TICKS", ["YEAR", "cHEIGHT"], [("BROOD", []), ("INDEX", []), ("LOCATION", [])],
    ),
    ("verbagg", "crossed"): (LOGIT, "y", VERBAGG, [("id", []), ("item", [])]),
    ("verbagg", "subject"): (LOGIT, "y", VERBAGG, [("id", [])]),
    ("verbagg", "item_slope"): (LOGIT, "y", VERBAGG, [("id", []), ("item", ["Anger"])]),
    ("epil", "intercept"): (POISSON, "y", EPIL, [("subject", [])]),
    ("epil", "slope"): (
        POISSON, "y", ["lbase", "trt", "lage", "period", "lbase:trt"], [("subject", ["period"])],
    ),
    ("epil", "negbin"): (("negative_binomial", "log"), "y", EPIL, [("subject", [])]),
    ("bacteria", "trt"): (LOGIT, "y01", ["trt", "late"], [("ID", [])]),
    ("bacteria", "probit"): (("binomial", "probit"), "y01", ["trt", "late"], [("ID", [])]),
    ("bacteria", "cloglog"): (("binomial", "cloglog"), "y01", ["trt", "late"], [("ID", [])]),
    ("sleepstudy_gamma", "gamma_log"): (
        ("gamma", "log"), "Reaction", ["Days"], [("Subject", [])],
    ),
}  # fmt: skip


def reference_case(name, model):
    """The kernel's case of a reference fit."""
    family, response, fixed, groups = REFERENCES[name, model]
    frame, weights = frame_of(name), None
    columns, place = [], {}
    for term in fixed:
        place[term] = len(columns) + 1
        if ":" in term:
            left, right = (coded(name, own)[0] for own in term.split(":"))
            columns.append(left * right)
        else:
            columns += coded(name, term)
    terms = [
        (k, (0, *(place[slope] for slope in slopes)), "full")
        for k, (_, slopes) in enumerate(groups)
    ]
    y = frame[response].to_numpy(float)
    if name == "cbpp":
        weights = frame["size"].to_numpy(float)
        y = y / weights
    factors = [frame[group] for group, _ in groups]
    return GeneralizedCase.of(columns, factors, terms, y, family, weights)


def reference_fits(name, model):
    """The fits by Laplace's approximation, of each program that has one."""
    own = next(m for m in reference(name)["models"] if m["id"] == model)
    found = {key: own[key] for key in ("laplace", "glmmTMB") if "logLik" in own.get(key, {})}
    if "Gamma" in own["family"]:  # glmer does not maximize over the dispersion
        found.pop("laplace", None)
    return found


@cache
def epil_model():
    """X, y and the fit of the reference model epil/intercept."""
    frame = frame_of("epil")
    X = frame[["lbase", "lage", "period4", "subject"]].copy()
    X.insert(1, "trt", (frame["trt"] == "progabide").astype(float))
    X.insert(4, "lbase:trt", X["lbase"] * X["trt"])
    return X, frame["y"], MixedPoissonRegressor("subject").fit(X, frame["y"])


@cache
def cbpp_model():
    """X, y, counts and the fit of the reference model cbpp/period, a row for each outcome."""
    frame = frame_of("cbpp")
    X = pd.DataFrame({f"period{k}": (frame["period"] == f"{k}") * 1.0 for k in (2, 3, 4)})
    X["herd"] = frame["herd"]
    rows = pd.concat([X, X], ignore_index=True)
    y = np.repeat([1, 0], len(X))
    counts = np.concatenate([frame["incidence"], frame["size"] - frame["incidence"]])
    model = MixedLogisticClassifier("herd").fit(rows, y, sample_weight=counts)
    return rows, y, counts, model
