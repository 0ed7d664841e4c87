"""What a program is to the measurements, and programs that run in Python."""

import sys
from importlib import metadata
from typing import Any, Protocol

ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "1",
}


class Program(Protocol):
    """A program that fits models, in a process of its own that `command` starts.

    The process reads the model and the rows of a folder, writes a line when it is ready, and for
    each line that it is sent fits the model again and again for `SHORTEST` seconds and answers
    with a line of JSON: the seconds of a fit, and the estimates.
    """

    name: str

    def version(self) -> str | None:
        """Its version, or None where it is not installed."""

    def takes(self, model) -> bool:
        """Whether it has this model."""

    def command(self, model, folder) -> tuple[list[str], dict[str, str]]:
        """The command of its process, and the environment variables of that."""


class InPython:
    """A program that `benchmarks.worker` runs.

    `prepare` puts the rows into the form that the program takes, outside of the time; `fit` is
    what is timed; `estimates` reads the result.
    """

    name: str
    package: str

    def version(self):
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def command(self, model, folder):
        del model
        return [sys.executable, "-m", "benchmarks.worker", self.name, str(folder)], {}

    def prepare(self, model, data) -> Any:
        del model
        return data

    def takes(self, model):
        return model.is_plain

    def fit(self, model, rows):
        raise NotImplementedError

    def estimates(self, model, result):
        raise NotImplementedError
