"""What is measured: models of data, of three kinds.

A further job is an entry in `JOBS`. `limit` is the time in seconds after which a fit is given up,
and `patience` the time of all fits after which a program has no further rounds;
a program that gave up, or failed, at the smaller job `after`, or would take longer than the limit
if its time grew with the rows alone, is not asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from benchmarks import data
from benchmarks.model import Model, Term


@dataclass(frozen=True)
class Job:
    """Data and a model of them.

    `criterion` is "computed" or "reported" (see `estimates.py`), or "none", where it is random.
    """

    name: str
    kind: str
    title: str
    model: Model
    rows: Callable[[], pd.DataFrame]
    criterion: str = "computed"
    limit: float = 25.0
    patience: float = 6.0
    after: str = ""
    only: tuple[str, ...] = ()


def named(count):
    return tuple(f"x{j}" for j in range(count))


SLOPE = Term("g", ("x0",))
INDEPENDENT = Term("g", ("x0",), independent=True)
LINEAR = (
    Job(
        "sleepstudy",
        "linear",
        "sleepstudy: 180 rows, 18 subjects with slopes",
        Model(("Days",), (Term("Subject", ("Days",)),)),
        data.sleepstudy,
    ),
    Job(
        "sleepstudy-independent",
        "linear",
        "sleepstudy, slopes independent of intercepts",
        Model(("Days",), (Term("Subject", ("Days",), independent=True),)),
        data.sleepstudy,
    ),
    Job(
        "slopes-10000",
        "linear",
        "10,000 rows, 500 groups with slopes",
        Model(named(3), (SLOPE,)),
        lambda: data.grouped(10_000, 500, 3, slopes=1),
    ),
    Job(
        "slopes-100000",
        "linear",
        "100,000 rows, 5,000 groups with slopes",
        Model(named(3), (SLOPE,)),
        lambda: data.grouped(100_000, 5_000, 3, slopes=1),
        after="slopes-10000",
    ),
    Job(
        "independent-100000",
        "linear",
        "the same rows, slopes independent of intercepts",
        Model(named(3), (INDEPENDENT,)),
        lambda: data.grouped(100_000, 5_000, 3, slopes=1),
        after="slopes-100000",
    ),
    Job(
        "million",
        "linear",
        "1,000,000 rows of 10 features, 100,000 groups",
        Model(named(10), (Term("g"),)),
        lambda: data.grouped(1_000_000, 100_000, 10),
        after="slopes-100000",
    ),
    Job(
        "insteval",
        "linear",
        "InstEval: 73,421 rows, 2,972 × 1,128 × 14 crossed levels",
        Model(("service",), (Term("s"), Term("d"), Term("dept"))),
        data.insteval,
        limit=60.0,
        patience=30.0,
    ),
    Job(
        "schools",
        "linear",
        "300,000 rows, 20,000 schools in 500 districts",
        Model(named(5), (Term("school"), Term("district"))),
        lambda: data.schools(300_000, 20_000, 500),
    ),
    Job(
        "movies",
        "linear",
        "1,000,000 rows, 6,040 × 3,706 crossed levels",
        Model((), (Term("user"), Term("item"))),
        lambda: data.ratings(1_000_000, 6_040, 3_706),
        criterion="none",
        limit=60.0,
        only=("skmixed", "GPBoost"),
    ),
    Job(
        "ratings",
        "linear",
        "1,000,000 rows, 100,000 × 20,000 crossed levels",
        Model((), (Term("user"), Term("item"))),
        lambda: data.ratings(1_000_000, 100_000, 20_000),
        criterion="none",
        limit=60.0,
        only=("skmixed", "GPBoost"),
    ),
)
GENERALIZED = (
    Job(
        "toenail",
        "generalized",
        "toenail: 1,908 classes of 294 patients",
        Model(("treated", "visit"), (Term("patient"),), "binomial"),
        data.toenail,
        criterion="reported",
    ),
    Job(
        "verbagg",
        "generalized",
        "VerbAgg: 7,584 classes, 316 persons × 24 items",
        Model(
            ("Anger", "Gender_M", "btype_scold", "btype_shout", "situ_self"),
            (Term("id"), Term("item")),
            "binomial",
        ),
        data.verbagg,
        criterion="reported",
    ),
    Job(
        "classes",
        "generalized",
        "100,000 classes in 5,000 groups",
        Model(named(3), (Term("g"),), "binomial"),
        lambda: data.events(100_000, 5_000),
        criterion="reported",
    ),
    Job(
        "counts",
        "generalized",
        "100,000 counts in 5,000 groups with slopes",
        Model(named(3), (SLOPE,), "poisson"),
        lambda: data.events(100_000, 5_000, slope=True, counts=True),
        criterion="reported",
        after="classes",
    ),
    Job(
        "counts-independent",
        "generalized",
        "the same counts, slopes independent of intercepts",
        Model(named(3), (INDEPENDENT,), "poisson"),
        lambda: data.events(100_000, 5_000, slope=True, counts=True),
        criterion="reported",
        only=("skmixed", "GPBoost"),
    ),
)
TRIAL = tuple(name for name in data.trial().columns if name not in ("patient", "visit", "y"))
REPEATED = (
    Job(
        "trial",
        "repeated",
        "8,605 rows, ten visits of 1,000 patients, unstructured",
        Model(TRIAL, reml=True, residual="unstructured", subject="patient", time="visit"),
        data.trial,
        criterion="reported",
        limit=120.0,
    ),
    Job(
        "ar1",
        "repeated",
        "100,000 rows of 5,000 subjects, AR(1) beside a random intercept",
        Model(
            named(2), (Term("subject"),), reml=True, residual="ar1", subject="subject", time="time"
        ),
        lambda: data.autoregression(5_000, 20, intercepts=True),
        criterion="reported",
    ),
    Job(
        "series",
        "repeated",
        "one series of 100,000 rows, AR(1), by maximum likelihood",
        Model(named(2), residual="ar1", subject="subject", time="time"),
        lambda: data.autoregression(1, 100_000, intercepts=False),
        criterion="reported",
        only=("skmixed", "without groups", "arima"),
    ),
)
JOBS = {job.name: job for job in (*LINEAR, *GENERALIZED, *REPEATED)}
