"""Packages import only from those above them; what each may import, and how large it may be."""

import ast
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from one_test import one_test_of

import skmixed

PACKAGE = Path(skmixed.__file__).parent

# From the bottom to the top: what a package (or a module beside them) imports of others,
# "sklearn" and its kind. A package imports only from rows above its own.
KERNEL = {
    "_fit_status": set(),
    "exceptions": set(),
    "_typing": set(),
    "typing": set(),
    "_model": {"scipy"},
    "_statistics": {"scipy"},
    "_equations": {"scipy"},
    "_derivatives": {"scipy"},
    "_estimation": {"scipy"},
    "_uncertainty": {"scipy"},
    "_repeated": {"scipy"},
    "_generalized": {"scipy"},
    "_folds": {"scipy"},
}
THIRD_PARTIES = {
    **KERNEL,
    "_data": {"scipy", "pandas", "sklearn", "tqdm", "pyarrow"},
    "_callbacks": {"sklearn"},
    "_saved": {"scipy"},
    "_fitted": {"scipy", "pandas", "sklearn", "threadpoolctl"},
    "inference": {"scipy", "pandas", "sklearn", "tqdm", "great_tables"},
    "_estimators": {"scipy", "pandas", "sklearn"},
    "_generalized_estimators": {"scipy", "pandas", "sklearn"},
    "compose": {"scipy", "pandas", "sklearn"},
    "formula": {"scipy", "pandas", "sklearn", "formulaic"},
    "adapters": {"pandas", "polars", "marginaleffects"},
    "diagnostics": {"scipy", "pandas", "sklearn"},
    "datasets": {"pandas", "sklearn"},
    "distributed": {"dask", "sklearn"},
    "model_selection": {"scipy", "pandas", "sklearn"},
    "plotting": {"scipy", "pandas", "sklearn", "matplotlib"},
    "__init__": set(),
}
ORDER = list(THIRD_PARTIES)
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text("utf-8")) for path in FILES}
PACKAGES = sorted(str(p.parent.relative_to(PACKAGE)) for p in PACKAGE.rglob("*/__init__.py"))


each_file = one_test_of(FILES, lambda path: str(path.relative_to(PACKAGE)))


def package_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path):
    """Dotted names: the module, and what is taken from it."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@each_file
def test_imports_point_to_packages_above(path):
    package = package_of(path)
    assert package in ORDER, f"{package} has no place in the order"
    for name in imports_of(path):
        other = name.split(".")[1] if "." in name else ""
        if name.startswith("skmixed.") and other in ORDER and other != package:
            assert ORDER.index(other) < ORDER.index(package), f"{package} imports {other}"


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_of_a_package_import_each_other_in_no_circle(package):
    names = {path.stem for path in (PACKAGE / package).glob("*.py")}
    prefix = f"skmixed.{package}.".replace("/", ".")
    graph = {
        path.stem: {
            name.removeprefix(prefix).split(".")[0]
            for name in imports_of(path)
            if name.startswith(prefix) and name.removeprefix(prefix).split(".")[0] in names
        }
        for path in (PACKAGE / package).glob("*.py")
    }
    TopologicalSorter(graph).prepare()


@each_file
def test_third_parties_only_where_named(path):
    package = package_of(path)
    for name in imports_of(path):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in ("skmixed", "numpy"):
            assert root in THIRD_PARTIES[package], f"{package} imports {name}"


def names_in(path):
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Attribute):
            yield node.attr


@each_file
def test_threads_of_blas_are_limited_in_one_module(path):
    if path.stem not in ("kernel", "runtime"):
        assert "single_threaded_blas" not in set(names_in(path))


# Functions of the kernel that multiply and factor nothing.
WITHOUT_BLAS = {
    "elimination_order",
    "factor_rows",
    "prefers_iterative",
    "weight_unit",
    "log_averages",
    "sums_without_each",
    "working",
}
# Those of its packages that compute.
COMPUTING = (
    "_equations", "_derivatives", "_estimation", "_uncertainty", "_repeated", "_generalized",
    "_folds",
)  # fmt: skip


@each_file
def test_packages_above_call_the_kernel_through_one_module(path):
    if package_of(path) in (*KERNEL, "_data") or path.stem == "kernel":
        return
    for name in imports_of(path):
        _, package, *rest = [*name.split("."), ""]
        function = rest[1] if len(rest) > 2 else ""
        if name.startswith("skmixed.") and package in COMPUTING:
            is_function = function == function.lower()
            assert not is_function or function in WITHOUT_BLAS, name


# The arrays of a system and of its factors, and where they lie.
ARRAYS = {
    *("stages", "stage", "schur", "core", "crossed", "half", "cell_half"),
    *("chol", "chol_core", "chol_levels", "n_chain", "core_factors", "spherical_places"),
}


@each_file
def test_the_layout_of_the_equations_has_one_home(path):
    if package_of(path) == "_equations":
        return
    read = {node.attr for node in ast.walk(TREES[path]) if isinstance(node, ast.Attribute)}
    assert not read & ARRAYS, read & ARRAYS


def test_there_are_at_most_fourteen_private_packages_of_at_most_twelve_modules():
    assert sum(name.startswith("_") for name in PACKAGES) <= 14
    for package in PACKAGES:
        modules = [p.stem for p in (PACKAGE / package).glob("*.py") if p.stem != "__init__"]
        assert len(modules) <= 12, f"{package} has {len(modules)} modules"
        hidden = {name.startswith("_") for name in modules}
        # Private packages have an underscore, the modules inside of them have none.
        assert hidden == {not Path(package).name.startswith("_")}, package


# This one speaks of a class that stands in the same module.
BESIDE_A_CLASS = {"Groups"}


@each_file
def test_aliases_of_types_are_in_one_module(path):
    for node in TREES[path].body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            is_type = isinstance(value, ast.Subscript) or (
                isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
            )
            if is_type and name[0].isupper() and not name.isupper():
                assert path.stem.endswith("typing") or name in BESIDE_A_CLASS, (
                    f"{path.name}: {name}"
                )


def long_functions(path):
    """Functions of the kernel of more than twelve lines, with the lines of their bodies."""
    lines = path.read_text("utf-8").splitlines()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.FunctionDef):
            body = lines[_first_statement(node).lineno - 1 : node.end_lineno]
            if len(body) > 12:
                yield node.name, body


@each_file
def test_long_functions_of_the_kernel_say_what_each_part_computes(path):
    if package_of(path) in KERNEL:
        silent = [name for name, body in long_functions(path) if not any("#" in x for x in body)]
        assert not silent


def test_one_name_is_one_thing():
    classes, functions = Counter(), Counter()
    for path, tree in TREES.items():
        classes += Counter(n.name.lstrip("_") for n in tree.body if isinstance(n, ast.ClassDef))
        if package_of(path) in KERNEL:
            functions += Counter(n.name for n in tree.body if isinstance(n, ast.FunctionDef))
    assert not [name for name, count in (classes + functions).items() if count > 1]


def test_budgets():
    functions = []
    for path in FILES:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 400, path.name
        functions += [
            (node.end_lineno - _first_statement(node).lineno + 1, path.name, node.name)
            for node in ast.walk(TREES[path])
            if isinstance(node, ast.FunctionDef)
        ]
    assert max(functions)[0] <= 40, max(functions)
    assert sorted(size for size, _, _ in functions)[len(functions) // 2] < 10
    assert len(skmixed.__all__) <= 25


def _first_statement(function):
    """The first statement after the docstring."""
    body = function.body
    return body[1] if ast.get_docstring(function) and len(body) > 1 else body[0]


def test_the_tree_for_contributors_lists_each_module_with_its_first_line():
    contributing = PACKAGE.parent / "CONTRIBUTING.md"
    if not contributing.exists():  # an installed package stands without it
        pytest.skip("the checkout is not here")
    tree, folder, listed = contributing.read_text("utf-8").split("```")[1], "", {}
    for line in tree.strip().splitlines():
        name, _, doc = line.strip().partition(" ")
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
        path = name if name == folder else folder * line.startswith(" ") + name
        listed[path] = doc.strip()
    expected = {}
    for path, module in TREES.items():
        name = str(path.relative_to(PACKAGE))
        if name != "__init__.py":
            first = (ast.get_docstring(module) or "").partition("\n")[0].rstrip(".")
            expected[name.removesuffix("__init__.py")] = first
    assert listed == expected
