"""The simulation studies: the pages are what their results say, and a run says what was drawn."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from studies.__main__ import DOCS, RESULTS, main
from studies.page import pages
from studies.registry import DESIGNS
from studies.study import Design, run, versions
from studies.tables import cell

NAMES = [design.name for design in DESIGNS]


def test_the_pages_are_made_of_the_results():
    results = json.loads(RESULTS.read_text("utf-8"))
    kept = {path.name: path.read_text("utf-8") for path in DOCS.glob("simulations*.md")}
    assert kept == pages(results, DESIGNS)


def test_the_overview_has_the_median_and_the_number_farthest_off():
    shares = {"Crossed factors": [96.0, 94.0], "Six unequal groups, sd 0.5": [91.0, 95.5]}
    own = {
        name: {
            "samples": 100,
            "failed": {},
            "singular": 0,
            "not_converged": 0,
            "numbers": [
                {"measure": "held", "of": f"β({of})", "by": "satterthwaite", "truth": None}
                | {"n": 100, "mean": mean, "error": 1.0}
                for of, mean in zip("xz", means, strict=True)
            ],
        }
        for name, means in shares.items()
    }
    designs = [Design(name, "Linear models", of_mean) for name in own]
    found = pages({"designs": own, "random_state": 0, "versions": versions()}, designs)
    assert set(found) == {"simulations.md", "simulations_linear.md"}
    place = "β(x), [Six unequal groups, sd 0.5](simulations_linear.md#six-unequal-groups-sd-05)"
    row = f"| Linear models: coefficients | Satterthwaite | 4 | 94.8 | **91.0** (1.0) | {place} |"
    assert row in found["simulations.md"].splitlines()
    assert "2 models, with 200 data sets" in found["simulations.md"]
    assert "## Six unequal groups, sd 0.5" in found["simulations_linear.md"].splitlines()


def test_the_results_are_of_all_designs_with_their_numbers_of_data_sets():
    found = json.loads(RESULTS.read_text("utf-8"))["designs"]
    assert len(set(NAMES)) == len(NAMES)
    assert {name: own["samples"] for name, own in found.items()} == {
        design.name: design.samples for design in DESIGNS
    }


@pytest.mark.slow
def test_a_run_gives_the_same_bytes_again_and_a_design_alone_the_same_numbers(tmp_path):
    names = "Six unequal groups, sd 1", "Covariance ar1, 20 subjects"

    def of(folder, *only):
        (output := tmp_path / folder).mkdir()
        results = tmp_path / f"{folder}.json"
        given = "--samples", "2", "--results", str(results), "--output", str(output)
        for own in only:
            main(["--only", *own, *given])
        texts = {path.name: path.read_text("utf-8") for path in output.iterdir()}
        return results.read_text("utf-8"), texts

    both = of("both", names)
    assert both == of("reversed", names[1:], names[:1])
    for name, page in zip(names, ("simulations_linear.md", "simulations_repeated.md"), strict=True):
        assert f"## {name}\n" in both[1][page]
    for own in json.loads(both[0])["designs"].values():
        assert own["failed"] == {}
        assert {row["measure"] for row in own["numbers"]} == {"bias", "held", "rejected"}


def of_mean(rng, shown):
    """Note the mean of 20 normal numbers, its interval and its test; one in ten has no limit."""
    mean, error = 3.0 + rng.normal(size=20).mean() * np.array([1.0, 1.0]), 20**-0.5
    shown.estimate("mean", mean[0], 3.0)
    upper = np.nan if rng.random() < 0.1 else mean[0] + norm.ppf(0.975) * error
    shown.interval("mean", mean[0] - norm.ppf(0.975) * error, upper, 3.0)
    shown.test("mean", 2 * norm.sf(abs(mean[0] - 3.0) / error))
    if rng.random() < 0.1:
        raise ValueError


def test_averages_of_a_mean_are_those_of_theory():
    found = run(Design("mean", "", of_mean, 1000), random_state=1)
    (failed,) = found["failed"].items()
    assert failed[0] == "ValueError"
    assert 60 < failed[1] < 140
    bias, held, rejected = found["numbers"]
    n = 1000 - failed[1]
    assert bias["n"] == rejected["n"] == n
    assert 0.85 * n < held["n"] < 0.95 * n
    # Monte Carlo errors by theory, to a tenth: 900 data sets know a deviation to 2.4 %.
    np.testing.assert_allclose(bias["error"], (20 * n) ** -0.5, rtol=0.1)
    for row, target in ((bias, 0.0), (held, 95.0), (rejected, 5.0)):
        assert abs(row["mean"] - target) < 4.0 * row["error"]
        share = 100.0 * (0.95 * 0.05 / row["n"]) ** 0.5
        assert row is bias or abs(row["error"] / share - 1.0) < 0.2


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(95.9, 0.4, "95.9 (0.4)"), (93.7, 0.4, "**93.7** (0.4)"), (99.0, 0.9, "**99.0** (0.9)")],
)
def test_what_is_three_errors_off_is_bold(mean, error, text):
    row = {"measure": "held", "mean": mean, "error": error, "n": 9}
    assert cell(row, 9) == text
    assert cell(row, 12) == text.replace(")", "; 9 data sets)")
    assert cell(row | {"measure": "bias", "mean": -0.0104, "error": 0.01}, 9) == "−0.010 (0.010)"


@pytest.mark.parametrize(("n", "text"), [(20, "100.0 (0.0)"), (200, "**100.0** (0.0)")])
def test_of_a_share_of_data_sets_the_error_is_that_of_the_share_it_should_be(n, text):
    # Of 200 the share 95 has an error of 1.5, of 20 one of 4.9.
    assert cell({"measure": "held", "mean": 100.0, "error": 0.0, "n": n}, n) == text
