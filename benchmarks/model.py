"""A mixed model in words that every program can be given, and its rows on disk.

All programs read the same files: `model.json`, and one file of little-endian doubles for each
column, which Python and R read without a parser, to the last bit.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

RESPONSE = "y"


@dataclass(frozen=True)
class Term:
    """Random effects of one grouping factor: an intercept, and a slope for each of `slopes`."""

    factor: str
    slopes: tuple[str, ...] = ()
    independent: bool = False

    @property
    def size(self):
        return 1 + len(self.slopes)

    @property
    def formula(self):
        bar = "||" if self.independent else "|"
        return f"({' + '.join(('1', *self.slopes))} {bar} {self.factor})"


@dataclass(frozen=True)
class Model:
    """Response `y`, numeric columns with fixed effects, and random effects.

    `residual` is "" (independent), "unstructured" or "ar1", of the rows of `subject` at `time`.
    """

    fixed: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    family: str = "gaussian"
    reml: bool = False
    residual: str = ""
    subject: str = ""
    time: str = ""

    @property
    def is_linear(self):
        return self.family == "gaussian"

    @property
    def is_plain(self):
        """Whether it is linear, with independent residuals and some random effects."""
        return self.is_linear and not self.residual and bool(self.terms)

    @property
    def factors(self):
        return tuple(term.factor for term in self.terms)

    @property
    def fixed_formula(self):
        return " + ".join([f"{RESPONSE} ~ 1", *self.fixed])

    @property
    def formula(self):
        """The formula of lme4."""
        return " + ".join([self.fixed_formula, *(term.formula for term in self.terms)])

    @property
    def labels(self):
        """Columns of whole numbers, which are labels or times."""
        return tuple(dict.fromkeys(c for c in (*self.factors, self.subject, self.time) if c))

    @property
    def columns(self):
        return (*self.fixed, *self.labels, RESPONSE)


def effects(term, data):
    """Columns of the random effects of one term: (n, size)."""
    return np.column_stack([np.ones(len(data)), *(data[x] for x in term.slopes)])


def design(model, data):
    """Columns of the fixed effects, the intercept first: (n, p)."""
    return np.column_stack([np.ones(len(data)), data[list(model.fixed)]])


def write(model, data, folder):
    """Write the model and the rows that it needs."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(asdict(model)))
    for name in model.columns:
        data[name].to_numpy(dtype="<f8").tofile(folder / f"{name}.bin")


def read(folder):
    """Return the model and its rows, labels as integers."""
    folder = Path(folder)
    raw = json.loads((folder / "model.json").read_text())
    terms = tuple(
        Term(t["factor"], tuple(t["slopes"]), independent=t["independent"])
        for t in raw.pop("terms")
    )
    model = Model(**{**raw, "fixed": tuple(raw["fixed"]), "terms": terms})
    columns = {name: np.fromfile(folder / f"{name}.bin", dtype="<f8") for name in model.columns}
    # One block of numbers, as a frame that was made from an array has.
    numeric = [name for name in model.columns if name not in model.labels]
    data = pd.DataFrame(np.column_stack([columns[c] for c in numeric]), columns=numeric)
    return model, data.assign(**{c: columns[c].astype(np.int64) for c in model.labels})
