"""Classical grouped data sets, and a generator of simulated ones."""

from skmixed.datasets._generator import make_mixed_regression
from skmixed.datasets._health import load_cbpp, load_grouseticks, load_toenail
from skmixed.datasets._industry import (
    load_dyestuff,
    load_dyestuff2,
    load_machines,
    load_pastes,
    load_penicillin,
    load_rail,
)
from skmixed.datasets._subjects import (
    load_cake,
    load_oats,
    load_orthodont,
    load_schools,
    load_sleepstudy,
)

__all__ = [
    "load_cake",
    "load_cbpp",
    "load_dyestuff",
    "load_dyestuff2",
    "load_grouseticks",
    "load_machines",
    "load_oats",
    "load_orthodont",
    "load_pastes",
    "load_penicillin",
    "load_rail",
    "load_schools",
    "load_sleepstudy",
    "load_toenail",
    "make_mixed_regression",
]
