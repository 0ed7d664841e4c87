"""Times of one job by all programs, in turn, round after round."""

import tempfile
from pathlib import Path

from benchmarks.data import NoDataError
from benchmarks.estimates import Estimates, agreement
from benchmarks.model import write
from benchmarks.programs import BASE, PROGRAMS
from benchmarks.session import FailedError, Session, TooLongError

# Seconds that a program has for reading the rows, and for a fit to some of them.
START = 60.0


class Runs:
    """The rounds of one program."""

    def __init__(self, program, job, folder):
        self.program, self.job, self.folder = program, job, folder
        self.session, self.seconds, self.memory = None, [], None
        self.found, self.note = None, None

    def go(self):
        """One round more, unless the program has gone wrong or had its share of time."""
        if self.note or sum(self.seconds) > self.job.patience:
            return
        try:
            if self.session is None:
                self.session = Session(self.program, self.job.model, self.folder)
                self.session.start(START)
            found = self.session.fit(self.job.limit)
        except TooLongError:
            self.note = f"more than {self.job.limit:g} s"
        except FailedError as failure:
            self.note = f"failed: {failure}"
        else:
            self.seconds.append(found["seconds"])
            if self.found is None:
                self.memory, self.found = found["memory"], Estimates(**found["estimates"])

    @property
    def record(self):
        return {"seconds": self.seconds, "memory": self.memory, "note": self.note}


def reason_to_leave_out(own, smaller, job, n_rows):
    """Why a program is not asked, from its record at a smaller job; None where it is."""
    if own is None:
        return None
    if own["note"]:
        what = "an error" if own["note"].startswith("failed") else own["note"]
        return what if " at " in what else f"{what} at {smaller['title']}"
    # Every row is read at least once.
    expected = min(own["seconds"]) * n_rows / smaller["rows"]
    if expected > job.limit:
        return f"{min(own['seconds']):.1f} s at {smaller['title']}"
    return None


def programs_of(job, installed, smaller, n_rows):
    """Programs that have the model, and those left out by what a smaller job has shown."""
    asked = [name for name in PROGRAMS if not job.only or name in job.only]
    taken = [name for name in asked if name in installed and PROGRAMS[name].takes(job.model)]
    if smaller is None:
        return taken, {}
    reasons = {
        name: reason_to_leave_out(smaller["programs"].get(name), smaller, job, n_rows)
        for name in taken
    }
    left_out = {name: why for name, why in reasons.items() if why}
    return [name for name in taken if name not in left_out], left_out


def measure(job, names, rounds, rows):
    """Return a record of each program."""
    with tempfile.TemporaryDirectory() as folder:
        write(job.model, rows, folder)
        runs = {name: Runs(PROGRAMS[name], job, Path(folder)) for name in names}
        try:
            for _ in range(rounds):
                for own in runs.values():
                    own.go()
        finally:
            for own in runs.values():
                if own.session is not None:
                    own.session.close()
    records = {name: own.record for name, own in runs.items()}
    found = {n: own.found for n, own in runs.items() if own.found is not None and n != BASE}
    if found:
        computed = job.criterion == "computed"
        if job.criterion == "none":
            found = {n: without_criterion(own) for n, own in found.items()}
        reference, told = agreement(job.model, rows, found, computed=computed)
        for name, own in told.items():
            records[name].update(own, is_reference=name == reference)
    return records


def without_criterion(found):
    return Estimates(found.fixed, found.covariances, found.variance, None, found.std_errors)


def measure_all(jobs, installed, rounds, results, *, tell=print):
    """Measure one job after the other, into `results`."""
    for job in jobs:
        try:
            rows = job.rows()
        except NoDataError as reason:
            tell(f"{job.name} left out: {reason}")
            continue
        names, left_out = programs_of(job, installed, results.get(job.after), len(rows))
        tell(f"{job.name}: {', '.join(names)}")
        records = measure(job, names, rounds, rows)
        for name, why in left_out.items():
            records[name] = {"seconds": [], "memory": None, "note": why}
        found = {"rows": len(rows), "title": job.title, "kind": job.kind, "programs": records}
        results[job.name] = found
        for name, own in records.items():
            tell(f"  {name:17s} {own}")
