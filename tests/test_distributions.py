"""The wheel and the sdist hold what belongs to them, and the wheel works by itself."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import skmixed
from skmixed import datasets

pytest.importorskip("hatchling")

ROOT = Path(__file__).parents[1]
VERSION = skmixed.__version__
METADATA = {
    f"skmixed-{VERSION}.dist-info/{name}"
    for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")
}
BUILD = """
import sys
import hatchling.build
for kind in sys.argv[2:]:
    getattr(hatchling.build, "build_" + kind)(sys.argv[1])
"""
LOAD = """
import sys
sys.path.insert(0, sys.argv[1])
import skmixed
from skmixed import datasets
assert skmixed.__file__.startswith(sys.argv[1]), skmixed.__file__
for name in datasets.__all__:
    if name.startswith("load_"):
        print(name, *getattr(datasets, name)().frame.shape)
import skmixed.plotting
assert "matplotlib" not in sys.modules
"""


def python(script, *arguments, cwd):
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    python(BUILD, folder, "wheel", "sdist", cwd=ROOT)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built):
    names = set(contents(built[0]))
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "skmixed").rglob("*.py")}
    tables = {
        f"skmixed/datasets/data/{path.name}" for path in (ROOT / "skmixed/datasets/data").iterdir()
    }
    assert all(name.endswith(".csv") for name in tables)
    assert names == sources | tables | METADATA | {"skmixed/py.typed"}
    assert not any(re.search(r"(^|/)(conftest|test_\w*)\.py$", name) for name in names)


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(built, tmp_path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert not any(
        re.search(r"__pycache__|\.pyc$|/\.(venv|git/|\w+_cache)", name) for name in names
    )
    (root,) = tmp_path.iterdir()
    python(BUILD, tmp_path, "wheel", cwd=root)
    (other,) = tmp_path.glob("*.whl")
    assert other.name == wheel.name
    assert contents(other) == contents(wheel)


@pytest.mark.slow
def test_the_data_sets_are_read_from_the_wheel_and_matplotlib_is_not_imported(built, tmp_path):
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(tmp_path)
    lines = python(LOAD, tmp_path, cwd=tmp_path).splitlines()
    loaders = [name for name in datasets.__all__ if name.startswith("load_")]
    shapes = (getattr(datasets, name)().frame.shape for name in loaders)
    assert lines == [f"{n} {a} {b}" for n, (a, b) in zip(loaders, shapes, strict=True)]
