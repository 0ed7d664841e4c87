"""Imports point downwards, and the kernel knows neither pandas nor scikit-learn."""

import ast
import sys
from pathlib import Path

import pytest

import skmixed

PACKAGE = Path(skmixed.__file__).parent

# From the bottom to the top; a module imports only from rows above its own.
KERNEL_LAYERS = [
    ["exceptions", "_covariance", "_slabs", "_span", "_interval_ends", "_term_coding"],
    ["_design", "_frame", "_pair_products"],
    ["_crossprod"],
    ["_accumulate"],
    ["_rank"],
    ["_coordinates", "_core", "_estimable"],
    ["_blocks"],
    ["_factorize", "_dense_system"],
    ["_effects", "_inverse", "_moments", "_simulate"],
    ["_project", "_rows", "_row_variance", "_level_covariance", "_krylov"],
    ["_columns", "_stage_sums", "_relative"],
    ["_expected"],
    ["_criterion"],
    ["_information", "_krylov_derivatives", "_lanczos"],
    ["_small_sample", "_components", "_row_slopes", "_term_contrasts"],
    ["_start", "_solution", "_trust_region", "_prediction_variance"],
    ["_given_fixed", "_posterior"],
    ["_updated_slopes"],
    ["_dense_system"],
    ["_dense_factor", "_pinned"],
    ["_local_model"],
    ["_identify", "_objective", "_scale_scan"],
    ["_optimize"],
    ["_runs"],
    ["_small_search", "_large_search"],
    ["_multistart"],
    ["_krylov_search", "_krylov_rows"],
    ["_iterative"],
    ["_estimate"],
    ["_profile", "_one_way"],
]
LAYERS = [
    *KERNEL_LAYERS,
    ["_sequences", "_nested", "_weights", "_warn"],
    [
        *("_threads", "_terms", "_levels", "_cross_fitting", "_source", "_sparse"),
        *("_slim", "_seeds", "_formula_syntax", "_formula_code", "_words"),
    ],
    ["_table", "_formula_factors"],
    ["_encode", "_categories", "_rowwise", "_formula_columns"],
    ["_formula_source"],
    ["_model_frame"],
    ["_union", "_serving"],
    ["_state"],
    ["_saved"],
    ["_persistence"],
    ["_metadata", "_validation", "_predict", "_results", "_fit_warnings", "_layout"],
    ["_statistics", "_target", "_formula_rows"],
    ["_intake", "_search", "_attributes"],
    ["_chunks", "_fitted"],
    ["_given_rows", "_cold_start", "_fixed_tests", "_variance_shares", "_formula_prediction"],
    ["_sample", "_prediction", "_summary"],
    ["_regressor", "_target_encoding"],
    ["formula"],
    ["diagnostics", "inference"],
    ["datasets", "distributed", "plotting", "__init__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
KERNEL = {name for names in KERNEL_LAYERS for name in names}
ALLOWED = {
    "sklearn": {
        "_table",
        "_validation",
        "_regressor",
        "_search",
        "_seeds",
        "_fit_warnings",
        "_fitted",
        "_given_rows",
        "_prediction",
        "_summary",
        "_target_encoding",
        "_cross_fitting",
        "formula",
        "_formula_prediction",
        "diagnostics",
        "inference",
        "plotting",
        "datasets",
        "distributed",
        "_persistence",
    },
    "pandas": {
        "_weights",
        "_sample",
        "_levels",
        "_table",
        "_encode",
        "_union",
        "_categories",
        "_formula_factors",
        "_formula_columns",
        "_formula_source",
        "_formula_rows",
        "_model_frame",
        "_metadata",
        "_results",
        "_fixed_tests",
        "_variance_shares",
        "_layout",
        "_summary",
        "_attributes",
        "_given_rows",
        "_target",
        "_target_encoding",
        "diagnostics",
        "inference",
        "plotting",
        "datasets",
    },
    "threadpoolctl": {"_threads"},
    "tqdm": {"_source", "inference"},
    "dask": {"distributed"},
    "matplotlib": {"plotting"},
    "formulaic": {"_formula_factors", "_formula_source", "formula"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield node.module
            if node.module == "skmixed":
                yield from (f"skmixed.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    module = module_of(path)
    assert module in LEVEL, f"{module} has no place in the layers"
    for name in imports_of(path):
        root, _, rest = name.partition(".")
        below = rest.partition(".")[0]
        if root == "skmixed" and below in LEVEL and below != module:
            assert LEVEL[below] < LEVEL[module], f"{module} imports {below}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_third_parties_only_where_named(path):
    module = module_of(path)
    for name in imports_of(path):
        root = name.partition(".")[0]
        if root in sys.stdlib_module_names or root in ("skmixed", "numpy"):
            continue
        if module in KERNEL:
            assert root == "scipy", f"{module} imports {name}"
        elif root != "scipy":
            assert module in ALLOWED.get(root, set()), f"{module} imports {name}"


def test_budgets():
    functions = []
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path.name
        functions += [
            (node.end_lineno - _first_statement(node).lineno + 1, path.name, node.name)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
        ]
    assert max(functions)[0] <= 40, max(functions)
    assert sorted(size for size, _, _ in functions)[len(functions) // 2] < 10
    assert len(skmixed.__all__) <= 25


def _first_statement(function):
    """The first statement after the docstring."""
    body = function.body
    return body[1] if ast.get_docstring(function) and len(body) > 1 else body[0]
