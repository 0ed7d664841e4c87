"""A design, the data sets drawn from it, and what they have shown on average."""

import platform
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
from threadpoolctl import threadpool_limits

import skmixed

# What numbers measure, and what they should be: a bias, a slope, or a share in percent.
TARGETS = {
    "bias": 0.0,
    "held": 95.0,
    "held at 80 %": 80.0,
    "held at 99 %": 99.0,
    "rejected": 5.0,
    "slope": 1.0,
    "width": None,
}


@dataclass
class Shown:
    """What one data set has shown: a number for (measure, of what, by which method)."""

    numbers: dict = field(default_factory=dict)
    truths: dict = field(default_factory=dict)
    endings: set = field(default_factory=set)

    def add(self, measure, of, number, by="", truth=None):
        self.numbers[measure, of, by] = float(number)
        if truth is not None:
            self.truths[measure, of, by] = float(truth)

    def estimate(self, of, value, truth, by=""):
        """Note an estimate, and how far it is off."""
        self.add("bias", of, value - truth, by, truth)

    def interval(self, of, lower, upper, truth, by="", measure="held"):
        """Note the share of intervals, of one or many, that hold the truth; NaN without a limit."""
        lower, upper = np.asarray(lower, float), np.asarray(upper, float)
        is_held = np.where(np.isnan(lower + upper), np.nan, (lower <= truth) & (truth <= upper))
        self.add(measure, of, 100.0 * np.mean(is_held), by)

    def test(self, of, p_value, by=""):
        """Note whether a test of what is true rejects it at 5 %."""
        self.add("rejected", of, np.nan if np.isnan(p_value) else 100.0 * (p_value < 0.05), by)

    def fitted(self, model):
        """Note how a fit has ended, and return the model."""
        if getattr(model, "singular_", False):
            self.endings.add("singular")
        if not getattr(model, "converged_", True):
            self.endings.add("not converged")
        return model


@dataclass(frozen=True)
class Design:
    """What is drawn, fitted and noted, and how often."""

    name: str
    section: str
    observe: Callable[[np.random.Generator, Shown], None]
    samples: int = 1000


def observed(design, random_state, i):
    """Return what data set number i shows, or the name of the error that ended it."""
    key = (zlib.crc32(design.name.encode()), i)
    rng = np.random.default_rng(np.random.SeedSequence(random_state, spawn_key=key))
    shown = Shown()
    try:
        design.observe(rng, shown)
    except (ValueError, ArithmeticError, MemoryError, np.linalg.LinAlgError) as error:
        return type(error).__name__
    return shown


def run(design, random_state, samples=None):
    """Return the averages over data sets with their Monte Carlo errors, in plain values.

    A data set has a generator of its own, made of the name of the design and the number of
    the data set: designs may run in any order, or alone.
    """
    n = samples or design.samples
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore")  # singular fits are counted
        all_of = [observed(design, random_state, i) for i in range(n)]
    shown = [own for own in all_of if isinstance(own, Shown)]
    endings = Counter(name for own in shown for name in sorted(own.endings))
    return {
        "samples": n,
        "failed": dict(sorted(Counter(own for own in all_of if isinstance(own, str)).items())),
        "singular": endings["singular"],
        "not_converged": endings["not converged"],
        "numbers": [
            averaged(key, shown) for key in dict.fromkeys(k for s in shown for k in s.numbers)
        ],
    }


def averaged(key, shown):
    """Return the mean of one number over data sets, with its Monte Carlo error."""
    measure, of, by = key
    own = [s for s in shown if key in s.numbers]
    values = np.array([s.numbers[key] for s in own])
    values = values[~np.isnan(values)]
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return {
        "measure": measure,
        "of": of,
        "by": by,
        "truth": own[0].truths.get(key),
        "n": len(values),
        "mean": float(np.mean(values)) if len(values) else None,
        "error": None if np.isnan(error) else float(error),
    }


def versions():
    """Return what the numbers were made with."""
    names = "numpy", "scipy", "pandas", "scikit-learn"
    return {
        "skmixed": skmixed.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "machine": platform.machine(),
    }
