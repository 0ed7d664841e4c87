"""How time and memory grow with rows, groups, features and factors: fitted exponents.

Each series varies one size of simulated data. The exponent of a quantity is the slope of its
logarithm on that of the size, by least squares over the larger half of the sizes, where what a fit
costs at any size has become small.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks import data
from benchmarks.jobs import Job, named
from benchmarks.measure import measure
from benchmarks.model import Model, Term
from benchmarks.programs import BASE, OWN


@dataclass(frozen=True)
class Series:
    """A size that varies, in `unit`, with `fixed` in words; `job` makes the job of one size."""

    name: str
    unit: str
    fixed: str
    sizes: tuple[int, ...]
    job: Callable[[int], tuple[Model, Callable]]


def one_factor(rows, groups, columns):
    model = Model(named(columns), (Term("g"),))
    return model, lambda: data.grouped(rows, groups, columns)


def several_factors(count, rows=100_000, levels=200):
    terms = tuple(Term(f"g{k}") for k in range(count))
    return Model(named(3), terms), lambda: data.crossed(rows, [levels] * count)


def two_factors(levels, per_level=20):
    terms = Term("g0"), Term("g1")
    rows = levels * per_level
    return Model(named(3), terms), lambda: data.crossed(rows, [levels, levels])


SERIES = (
    Series(
        "rows",
        "rows",
        "10 features, 1,000 groups",
        (30_000, 100_000, 300_000, 1_000_000),
        lambda size: one_factor(size, 1_000, 10),
    ),
    Series(
        "groups",
        "groups",
        "500,000 rows, 3 features",
        (1_000, 10_000, 50_000, 100_000, 200_000),
        lambda size: one_factor(500_000, size, 3),
    ),
    Series(
        "features",
        "features",
        "100,000 rows, 2,000 groups",
        (4, 8, 16, 32, 64, 128),
        lambda size: one_factor(100_000, 2_000, size),
    ),
    Series(
        "factors",
        "crossed factors",
        "100,000 rows, 3 features, 200 levels each",
        (1, 2, 3, 4, 6),
        several_factors,
    ),
    Series(
        "crossed",
        "levels of each of two crossed factors",
        "20 rows for each level",
        (250, 500, 1_000, 2_000),
        two_factors,
    ),
)


def exponent(sizes, values):
    """Slope of log(values) on log(sizes) over the larger half; None where it cannot be had."""
    first = len(sizes) // 2
    pairs = [(s, v) for s, v in zip(sizes[first:], values[first:], strict=True) if v]
    if len(pairs) < 2:
        return None
    return float(np.polyfit(*np.log(np.array(pairs, dtype=float)).T, 1)[0])


def points(series, names, rounds, sizes=None):
    """Least time and the memory of each program at each size."""
    found = {name: {"seconds": [], "memory": []} for name in names}
    for size in sizes or series.sizes:
        model, rows = series.job(size)
        job = Job(f"{series.name}-{size}", "scaling", "", model, rows, criterion="none")
        programs = measure(job, names, rounds, rows())
        for name in names:
            own = programs[name]
            found[name]["seconds"].append(min(own["seconds"], default=None))
            found[name]["memory"].append(own["memory"])
    return found


def scale(rounds, *, tell=print):
    """Return each series with its points and exponents."""
    results = {}
    for series in SERIES:
        found = points(series, (OWN, BASE), rounds)
        for own in found.values():
            own["exponents"] = {
                what: exponent(series.sizes, own[what]) for what in ("seconds", "memory")
            }
        results[series.name] = {
            "unit": series.unit,
            "fixed": series.fixed,
            "sizes": list(series.sizes),
            "programs": found,
        }
        tell(f"{series.name}: {found}")
    return results
