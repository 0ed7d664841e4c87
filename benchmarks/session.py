"""A process that fits a model when asked, and how much memory it takes."""

import json
import os
import re
import selectors
import subprocess
import time
from pathlib import Path

from benchmarks.programs.program import ONE_THREAD

ROOT = Path(__file__).parents[1]
# Seconds between two looks at the time, and how many times the limit the clock may show where
# other programs have the processor.
CHECKED, STUCK = 0.1, 10.0
# Lines that name an error, in Python, R and Rust.
NAMED = re.compile(r"^[\w.]*(Error|Exception)\b|^Error in|panicked at|^memory allocation")


class TooLongError(Exception):
    """A fit that took longer than the limit."""


class FailedError(Exception):
    """A program that ended without an answer; its message is the last line that it wrote."""


class Session:
    """One program and one model, in a process that stays for all rounds."""

    def __init__(self, program, model, folder):
        command, own = program.command(model, folder)
        self.log = Path(folder) / f"{program.name}.log"
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(_paths()), **own}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=environment, cwd=ROOT,
            )  # fmt: skip
        self.rest = b""

    def start(self, limit):
        """Wait until it has read the rows."""
        self._line(limit)

    def _used(self):
        """Seconds of the processor since its start, or those of the clock without /proc."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return time.monotonic()
        ticks = status.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def fit(self, limit):
        """Return what one fit took and found, with the memory that it took in bytes."""
        before = self._memory("VmRSS", reset=True)
        self.process.stdin.write(b"fit\n")
        self.process.stdin.flush()
        found = json.loads(self._line(limit))
        peak = self._memory("VmHWM")
        found["memory"] = None if before is None or peak is None else max(peak - before, 0)
        return found

    def close(self):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()

    def _line(self, limit):
        end, stuck = self._used() + limit, time.monotonic() + STUCK * limit
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.rest:
                if not selector.select(CHECKED):
                    if self._used() > end or time.monotonic() > stuck:
                        raise TooLongError
                    continue
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    raise FailedError(self._last_words())
                self.rest += part
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def _last_words(self):
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        lines = [line for line in lines if line and not line.startswith(("note:", "Execution"))]
        # R goes on in the lines after the one that names an error.
        named = [k for k, line in enumerate(lines) if NAMED.search(line)]
        first = named[-1] if named else len(lines) - 1
        count = 3 if named and lines[first].startswith("Error in") else 1
        return " ".join(lines[max(first, 0) : first + count]) or "no message"

    def _memory(self, field, *, reset=False):
        """Resident memory in bytes, now or at its peak since the last reset; None without /proc."""
        folder = Path(f"/proc/{self.process.pid}")
        try:
            if reset:
                (folder / "clear_refs").write_text("5")
            lines = (folder / "status").read_text().splitlines()
        except OSError:
            return None
        return next(1024 * int(x.split()[1]) for x in lines if x.startswith(f"{field}:"))


def _paths():
    old = os.environ.get("PYTHONPATH")
    return [str(ROOT), *([old] if old else [])]
