"""Fits one model by one program again and again, when asked: see `programs/program.py`.

Seconds are those of the processor, which other programs on the machine disturb less than the clock.
Run as `python -m benchmarks.worker PROGRAM FOLDER`.
"""

import contextlib
import json
import sys
import time
import warnings
from dataclasses import asdict

from benchmarks.model import read

# Short fits are repeated for so long (seconds), and the first is one to so many rows, untimed.
SHORTEST = 0.2
WARM_ROWS = 500


def serve(program, folder):
    model, data = read(folder)
    with contextlib.suppress(Exception):  # so few rows may not be enough for the model
        few = data.head(WARM_ROWS)
        program.estimates(model, program.fit(model, program.prepare(model, few)))
    rows = program.prepare(model, data)
    answer("ready")
    for _ in sys.stdin:
        count, start = 0, time.process_time()
        while count == 0 or time.process_time() - start < SHORTEST:
            result, count = program.fit(model, rows), count + 1
        seconds = (time.process_time() - start) / count
        found = asdict(program.estimates(model, result))
        answer(json.dumps({"seconds": seconds, "estimates": found}))


def answer(line):
    print(line, file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    from benchmarks.programs import PROGRAMS

    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(sys.stderr):  # what programs print is no answer
        serve(PROGRAMS[sys.argv[1]], sys.argv[2])
