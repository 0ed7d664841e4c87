"""The examples run as they are, and what they say to be equal is equal."""

import ast
import runpy
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

mpl.use("agg")

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def sources_agree(names):
    slopes = names["slopes"]
    assert {"in memory", "CSV", "Parquet"} <= slopes.keys()
    # Twelve digits are printed.
    np.testing.assert_allclose(list(slopes.values()), slopes["in memory"], rtol=1e-13)


def posterior_is_blup(names):
    slopes = names["slopes"]
    np.testing.assert_allclose(slopes["posterior mean"], slopes["BLUP"], rtol=1e-9)
    np.testing.assert_allclose(slopes["sd given β"], slopes["std_error"], rtol=1e-9)
    np.testing.assert_allclose(names["upper"], names["interval"][:, 1], rtol=1e-9)


def ridge_is_blup(names):
    assert names["difference"](names["model"], names["ridge"]) < 1e-10
    np.testing.assert_allclose(names["slope"], names["model"].fixed_effects_["x"], rtol=1e-9)


def updates_are_weighted_means(names):
    table = names["table"]
    np.testing.assert_allclose(table["predicted"], table["by hand"], rtol=1e-9)


def average_is_the_share_of_all(names):
    expected = names["expected"]
    np.testing.assert_allclose(expected["average of new herds"], expected["observed"], atol=0.005)
    assert (expected["effects of 0"] < 0.85 * expected["observed"]).all()


AGREEMENTS = {
    "larger_than_memory": sources_agree,
    "bayesian_connection": posterior_is_blup,
    "ridge_connection": ridge_is_blup,
    "new_groups": updates_are_weighted_means,
    "contagious_herds": average_is_the_share_of_all,
}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with plt.rc_context():
        names = runpy.run_path(str(example), run_name="__main__")
    assert plt.get_fignums() or example.stem == "quickstart"
    plt.close("all")
    assert capsys.readouterr().out or example.stem == "displays"
    assert not list(tmp_path.iterdir())
    AGREEMENTS.get(example.stem, lambda _: None)(names)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_is_short_and_titled(example):
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) <= 100
    # The docstring is reStructuredText: the title, underlined, and an introduction.
    title, underline, blank, *introduction = ast.get_docstring(ast.parse(text)).splitlines()
    assert title
    assert underline == "=" * len(title)
    assert not blank
    assert introduction
    assert "\n# %%\n" in text
    assert "__main__" not in text
    assert "plt.show" not in text


def test_quickstart_needs_the_core_only():
    """The README runs it right after the installation."""
    tree = ast.parse(next(e for e in EXAMPLES if e.stem == "quickstart").read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert {module.split(".")[0] for module in modules} <= {"sklearn", "skmixed"}
