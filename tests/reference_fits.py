"""The reference fits of lme4 (tests/reference), as models of this package."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, RandomEffect

ROOT = Path(__file__).parent / "reference"
INTERCEPT = "(Intercept)"
POLYNOMIALS = {".L": 1, ".Q": 2, ".C": 3, "^4": 4, "^5": 5}


@cache
def load(dataset):
    return json.loads((ROOT / "fits" / f"{dataset}.json").read_text())


@cache
def read_frame(dataset):
    factors = {c["name"]: str for c in load(dataset)["columns"] if "factor" in c["type"]}
    return pd.read_csv(ROOT / load(dataset)["data_file"], dtype=factors)


@dataclass(frozen=True)
class Reference:
    """One model, fitted by one method."""

    dataset: str
    model: str
    method: str

    def __str__(self):
        return f"{self.dataset}-{self.model}-{self.method}"

    @property
    def record(self):
        return next(m for m in load(self.dataset)["models"] if m["id"] == self.model)

    @property
    def fit(self):
        return self.record["fits"][self.method.upper()]

    @property
    def frame(self):
        return read_frame(self.dataset)

    @property
    def terms(self):
        return self.record["design"]["random_terms"]

    @property
    def n_factors(self):
        return len({t["group"] for t in self.terms})

    @property
    def best_criterion(self):
        """The lowest criterion that any program found."""
        found = [o["criterion"] for o in self.fit.get("optimizers", []) if o["criterion"]]
        return min([self.fit["criterion"], *found])

    @property
    def fixed_columns(self):
        """Names of X's columns, with those that lme4 drops."""
        full = self.fit.get("fixef_with_dropped")
        names = full["names"] if full else self.record["design"]["fixed_columns"]
        return [c for c in names if c != INTERCEPT]

    @property
    def slopes(self):
        return list(dict.fromkeys(c for t in self.terms for c in t["columns"] if c != INTERCEPT))

    def X(self, frame=None):  # noqa: N802
        """Fixed columns, slopes and grouping columns, as R's model matrix codes them."""
        frame = self.frame if frame is None else frame
        names = list(dict.fromkeys([*self.fixed_columns, *self.slopes]))
        columns = {name: self._column(name, frame) for name in names}
        for group in dict.fromkeys(g for t in self.terms for g in t["group"].split(":")):
            columns[group] = frame[group]
        return pd.DataFrame(columns)

    @property
    def y(self):
        return self.frame[self.record["formula"].split("~")[0].strip()]

    @property
    def weights(self):
        return self.frame[self.record["weights"]] if self.record.get("weights") else None

    def estimator(self, **parameters):
        effects = [
            RandomEffect(
                tuple(t["group"].split(":")),
                slopes=[c for c in t["columns"] if c != INTERCEPT],
                intercept=INTERCEPT in t["columns"],
            )
            for t in self.terms
        ]
        return MixedLinearRegressor(
            effects, fixed=self.fixed_columns, method=self.method, **parameters
        )

    def fitted(self, **parameters):
        return self.estimator(**parameters).fit(self.X(), self.y, sample_weight=self.weights)

    def _column(self, name, frame):
        parts = [self._main_effect(part, frame) for part in name.split(":")]
        return np.prod(parts, axis=0)

    def _main_effect(self, name, frame):
        if name in frame.columns and pd.api.types.is_numeric_dtype(frame[name]):
            return frame[name].to_numpy(float)
        column = next(
            c
            for c in load(self.dataset)["columns"]
            if c.get("levels") and name.startswith(c["name"])
        )
        rest = name.removeprefix(column["name"])
        if rest in column["levels"]:
            return (frame[column["name"]] == rest).to_numpy(float)
        codes = pd.Categorical(frame[column["name"]], categories=column["levels"]).codes
        return orthogonal_polynomials(len(column["levels"]))[codes, POLYNOMIALS[rest]]


def orthogonal_polynomials(n):
    """R's contr.poly, with the constant as column 0."""
    points = np.arange(n) - (n - 1) / 2
    q, r = np.linalg.qr(np.vander(points, increasing=True))
    return q * np.sign(np.diagonal(r))


def references(*, single_factor):
    """All models with one grouping factor, or all with several, by both methods."""
    return [
        reference
        for path in sorted((ROOT / "fits").glob("*.json"))
        for model in load(path.stem)["models"]
        for method in ("reml", "ml")
        if ((reference := Reference(path.stem, model["id"], method)).n_factors == 1)
        == single_factor
    ]
