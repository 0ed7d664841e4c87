"""One BLAS thread, the marker of the quick tests, an option for the slow ones, and the package.

pytest imports a file that is given alone before its package, which imports it again: the
classes of a module would exist twice. So the package is imported here, first.
"""

import gc
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits

import skmixed  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """Small matrices gain nothing from more, which workers would contend for."""
    with threadpool_limits(1, user_api="blas"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without the search for cycles: some million objects are made, and all are kept.

    Searches during the tests leave these objects out.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(5_000, 20, 20)
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-once",
        action="store_true",
        help="of each slow test with several parameters run the first alone",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as quick what is not marked as slow, and is no doctest of a page or a module."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("slow") is None:
            item.add_marker("quick")
    if config.getoption("slow_once"):
        first: dict[str, pytest.Item] = {}
        for item in items:
            name = item.nodeid if item.get_closest_marker("quick") else item.nodeid.split("[")[0]
            first.setdefault(name, item)
        chosen = set(first.values())
        config.hook.pytest_deselected(items=[own for own in items if own not in chosen])
        items[:] = list(first.values())
