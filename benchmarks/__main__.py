"""All measurements, by one command, written to benchmarks/results.json.

    python -m benchmarks [--rounds 5] [--only sleepstudy insteval] [--no-scaling]
    python -m benchmarks.report                     # tables and figure from the results

Programs that are not installed are left out, and named. Those for Python are
`pip install statsmodels gpboost merf mixedlm mixedlm-rs lme-python glmm`; R needs lme4, glmmTMB and
nlme (Debian: r-cran-lme4 r-cran-glmmtmb r-cran-nlme). Every program runs on one thread. With
`--only` the other jobs in the results stay as they are. The results are written after each job.
"""

import argparse
import json
import os
from pathlib import Path

from benchmarks.programs.program import ONE_THREAD

os.environ |= ONE_THREAD  # before NumPy starts its threads

from benchmarks.jobs import JOBS
from benchmarks.machine import bound, described, installed
from benchmarks.measure import measure_all
from benchmarks.programs import OWN, PROGRAMS
from benchmarks.scaling import scale

RESULTS = Path(__file__).with_name("results.json")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=JOBS, default=list(JOBS), metavar="JOB")
    parser.add_argument("--programs", nargs="*", choices=PROGRAMS, metavar="PROGRAM")
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args(arguments)
    versions = installed()
    print(f"not installed: {', '.join(n for n in PROGRAMS if n not in versions) or 'none'}")
    names = {n for n in versions if not asked.programs or n in (OWN, *asked.programs)}
    results = json.loads(asked.output.read_text()) if asked.output.exists() else {"jobs": {}}
    results |= {"machine": described(versions), "rounds": asked.rounds}
    for name in asked.only:
        measure_all([JOBS[name]], names, asked.rounds, results["jobs"])
        write(results, asked.output)
    if not asked.no_scaling:
        results["scaling"] = scale(min(asked.rounds, 3))
        write(results, asked.output)


def write(results, path):
    """Write what there is so far, so that a run that is ended keeps it."""
    for name, found in results["jobs"].items():
        model = JOBS[name].model
        found["bound"] = bound(
            found["rows"], len(model.fixed), len(model.terms), results["machine"]["rates"]
        )
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
