"""The machine: its processor, what it reads and multiplies in a second, and what that allows.

The bound of a fit is that of one pass: the bytes of X, of the labels and of y at the measured
rate of reading, or the multiplications of [1 X y]'[1 X y] at the measured rate of matrix products,
whichever takes longer. No program that reads the rows can be faster.
"""

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.programs import PROGRAMS
from benchmarks.programs.in_r import OPENBLAS, what_r_has


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def best(call, repeats=4):
    """Least seconds of the processor of several calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def rates(megabytes=400, order=1_000):
    """Bytes that one core reads in a second, and floating-point operations of matrix products."""
    numbers = np.ones(megabytes * 2**17)
    square = np.random.default_rng(0).normal(size=(order, order))
    return {
        "bytes_per_second": numbers.nbytes / best(lambda: numbers.dot(numbers)),
        "flops_per_second": 2 * order**3 / best(lambda: square @ square),
    }


def bound(rows, features, factors, found):
    """Seconds that one pass takes at least: see above."""
    columns = features + 2
    read = 8 * rows * (features + factors + 1) / found["bytes_per_second"]
    return max(read, rows * columns * (columns + 1) / found["flops_per_second"])


def installed():
    """Versions of the programs that are there, by name."""
    found = {name: program.version() for name, program in PROGRAMS.items()}
    return {name: version for name, version in found.items() if version}


def described(versions):
    """What a table of times has to say of where they were taken."""
    numbers = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas_of_numpy": f"{numbers['name']} {numbers['version']}",
        "r": what_r_has().get("R"),
        "r_with_openblas": what_r_has(OPENBLAS).get("R"),
        "programs": {name: versions.get(name) for name in PROGRAMS},
        "rates": rates(),
    }
