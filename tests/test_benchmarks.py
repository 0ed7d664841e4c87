"""The documentation shows what was measured, and the measurements judge what they time."""

import json
import re
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import data, machine
from benchmarks.estimates import Estimates, agreement, deviance
from benchmarks.jobs import JOBS
from benchmarks.measure import Runs
from benchmarks.model import design, read, write
from benchmarks.programs import PROGRAMS
from benchmarks.programs.program import ONE_THREAD
from benchmarks.report import PAGES, PLACE, RESULTS, digest, filled
from benchmarks.scaling import exponent
from benchmarks.tables import spread

ROOT = Path(__file__).parents[1]
MEASURED = [page for page in PAGES if PLACE.search(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def results():
    return json.loads(RESULTS.read_text())


@pytest.mark.parametrize("page", MEASURED, ids=lambda page: page.stem)
def test_page_shows_what_was_measured(page, results):
    text = page.read_text(encoding="utf-8")
    assert filled(text, results) == text, "run `python -m benchmarks.report`"


def test_pages_with_numbers_are_found(results):
    assert {p.stem for p in MEASURED} >= {"README", "benchmarks", "comparison"}
    # A result that changes must change the page, so that the test above can fail.
    changed = json.loads(json.dumps(results))
    changed["jobs"]["sleepstudy"]["programs"]["skmixed"]["seconds"] = [1.0]
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert filled(text, changed) != text


@pytest.mark.parametrize("name", ["benchmarks.png", "scaling.png"])
def test_figure_is_of_these_results(name):
    with Image.open(ROOT / "docs" / "_static" / name) as figure:
        assert figure.info["Description"] == digest(), "run `python -m benchmarks.report`"


def test_results_name_every_program_and_no_host(results):
    machine = results["machine"]
    assert set(machine["programs"]) == set(PROGRAMS)
    assert not re.search(r"host|/home|/tmp", RESULTS.read_text())
    assert set(results["jobs"]) <= set(JOBS)


def small_fit(job, rows):
    """The estimates of skmixed, as the measurements read them."""
    program = PROGRAMS["skmixed"]
    prepared = program.prepare(job.model, rows)
    return program.estimates(job.model, program.fit(job.model, prepared))


@pytest.mark.parametrize(
    ("job", "rows"),
    [
        (JOBS["sleepstudy"], data.sleepstudy()),
        (JOBS["sleepstudy-independent"], data.sleepstudy()),
        (JOBS["schools"], data.schools(600, 60, 6)),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_criterion_of_the_measurements_is_that_of_the_model(job, rows):
    found = small_fit(job, rows)
    # Both are computed in doubles; their n is some hundreds.
    assert deviance(job.model, rows, found) == pytest.approx(-2 * found.log_likelihood, rel=1e-9)


def test_estimates_of_another_model_do_not_count():
    job, rows = JOBS["sleepstudy"], data.sleepstudy()
    own = small_fit(job, rows)
    scaled = (1.05 * np.array(own.covariances[0])).tolist()
    moved = (np.array(own.fixed) + 0.2 * np.array(own.std_errors)).tolist()
    found = {
        "own": own,
        "same": replace(own),
        "other variances": replace(own, covariances=[scaled]),
        "other effects": replace(own, fixed=moved),
    }
    reference, told = agreement(job.model, rows, found, computed=True)
    assert reference in ("own", "same")
    agrees = {name: record["agrees"] for name, record in told.items()}
    assert agrees == {"own": True, "same": True, "other variances": False, "other effects": False}
    assert told["other effects"]["fixed"] == pytest.approx(0.2)


def test_reported_criterion_is_judged_by_what_most_programs_find():
    job, rows = JOBS["toenail"], data.toenail()
    usual = Estimates([0.0, 0.0, 0.0], [[[1.0]]], None, -100.0, [1.0, 1.0, 1.0])
    found = {"boast": replace(usual, log_likelihood=-50.0), "a": usual, "b": replace(usual)}
    reference, told = agreement(job.model, rows, found, computed=False)
    assert reference == "a"
    assert [told[name]["agrees"] for name in ("boast", "a", "b")] == [False, True, True]


def test_rows_come_back_from_disk_to_the_last_bit(tmp_path):
    model, rows = JOBS["schools"].model, data.schools(50, 10, 2)
    write(model, rows, tmp_path)
    same, found = read(tmp_path)
    assert same == model
    assert all(np.array_equal(found[c], rows[c]) for c in model.columns)


@pytest.mark.parametrize("name", ["sleepstudy", "toenail", "verbagg", "trial"])
def test_rows_of_classical_data_have_the_columns_of_their_model(name):
    job = JOBS[name]
    rows = job.rows()
    assert rows[list(job.model.columns)].notna().all(axis=None)
    assert np.linalg.matrix_rank(design(job.model, rows)) == 1 + len(job.model.fixed)


class Program:
    """A program that runs some lines of Python."""

    name = "some program"

    def __init__(self, code):
        self.code = code

    def command(self, model, folder):
        del model, folder
        return [sys.executable, "-c", self.code], {}


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("print('ready', flush=True); input(); raise ValueError('no such model')", "no such model"),
        ("print('ready', flush=True); input()\nwhile True: pass", "more than 0.1 s"),
        ("raise SystemExit('not today')", "not today"),
    ],
    ids=["fails", "takes too long", "does not start"],
)
def test_program_that_gives_no_answer_is_told(code, note, tmp_path):
    runs = Runs(Program(code), replace(JOBS["sleepstudy"], limit=0.1), tmp_path)
    runs.go()
    runs.go()  # nothing more is asked of it
    runs.session.close()
    assert note in runs.record["note"]
    assert runs.record["seconds"] == []


def test_exponent_and_spread():
    sizes = [10, 100, 1_000, 10_000]
    # The first half, where a constant counts, is left out.
    assert exponent(sizes, [5.0, 5.0, 1e3**1.5, 1e4**1.5]) == pytest.approx(1.5)
    assert exponent(sizes, [None] * 4) is None
    assert spread([3.14, 12.6, 2.0]) == "2.0–13"
    assert spread([1_234.0, 1_180.0]) == "1,200"
    assert spread([0.333, 0.334], " s") == "0.33 s"


@pytest.mark.slow
def test_command_runs_with_the_programs_that_are_there(tmp_path, monkeypatch):
    """`python -m benchmarks` in this process, which has imported what that would import again."""
    output = tmp_path / "results.json"
    command = ["benchmarks", "--only", "sleepstudy", "--rounds", "1", "--no-scaling"]
    programs = ["--programs", "without groups", "statsmodels"]
    monkeypatch.setattr(sys, "argv", [*command, *programs, "--output", str(output)])
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", "")  # without R, whose start takes longer than the rest
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    whole = machine.rates
    monkeypatch.setattr(machine, "rates", lambda: whole(megabytes=20, order=200))
    runpy.run_module("benchmarks", run_name="__main__")
    found = json.loads(output.read_text())["jobs"]["sleepstudy"]
    own, base = found["programs"]["skmixed"], found["programs"]["without groups"]
    assert len(own["seconds"]) == len(base["seconds"]) == 1
    assert own["agrees"]
    assert 0 < found["bound"] < own["seconds"][0]
    assert all(record["agrees"] for n, record in found["programs"].items() if n == "statsmodels")
