"""What examples say to be equal is equal, and every example can be run.

The build of the documentation runs them all, and fails where one of them fails or warns. The
tests run those that claim an equality, and the quickstart. Of the others they import what is
imported, and look up what is taken from skmixed.
"""

import ast
import importlib
import inspect
import re
import runpy
import warnings
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

mpl.use("agg")

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


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
RUN = [path for path in EXAMPLES if path.stem in {*AGREEMENTS, "quickstart"}]


@pytest.mark.slow
@pytest.mark.parametrize("example", RUN, ids=lambda path: path.stem)
def test_runs(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with plt.rc_context():
        names = runpy.run_path(str(example), run_name="__main__")
    assert plt.get_fignums() or example.stem == "quickstart"
    plt.close("all")
    assert capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    AGREEMENTS.get(example.stem, lambda _: None)(names)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_imported_is_there(example):
    tree = ast.parse(example.read_text(encoding="utf-8"))
    lines = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {}
    exec(compile(ast.Module(lines, []), str(example), "exec"), found)
    # plotting.ResidualsDisplay.from_estimator, and its arguments by their names
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        names = ast.unparse(call.func).split(".")
        if not all(name.isidentifier() for name in names) or names[0] not in found:
            continue
        called = found[names[0]]
        for name in names[1:]:
            called = getattr(called, name)
        if str(getattr(called, "__module__", "")).startswith("skmixed"):
            arguments = {word.arg: None for word in call.keywords if word.arg}
            inspect.signature(called).bind_partial(*([None] * len(call.args)), **arguments)


def test_the_documentation_runs_them_all_and_fails_with_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "_site")
    settings = runpy.run_path(str(ROOT / "docs" / "conf.py"))["sphinx_gallery_conf"]
    assert (ROOT / "docs" / settings["examples_dirs"]).resolve() == EXAMPLES[0].parent
    assert all(re.search(settings["filename_pattern"], str(example)) for example in EXAMPLES)
    # What would let an example fail, not run, or warn
    tolerant = {"only_warn_on_example_error", "expected_failing_examples", "plot_gallery"}
    assert not (tolerant | {"ignore_pattern"}) & settings.keys()
    assert settings["reset_modules_order"] == "both"
    name = next(name for name in settings["reset_modules"] if name.startswith("strict"))
    reset = importlib.import_module(name.partition(".")[0]).reset
    reset({}, "example.py", "before")
    with pytest.raises(UserWarning):
        warnings.warn("an example warns", stacklevel=1)
    reset({}, "example.py", "after")


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
    # Its picture in the gallery, where it is not the quickstart
    assert re.search(r"plt\.|plotting\.|Display", text) or example.stem == "quickstart"
    assert "plt.show" not in text


def test_quickstart_needs_the_core_only():
    """The README runs it right after the installation."""
    tree = ast.parse(next(e for e in EXAMPLES if e.stem == "quickstart").read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert {module.split(".")[0] for module in modules} <= {"sklearn", "skmixed"}
