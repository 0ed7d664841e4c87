"""One BLAS thread, the marker of the quick tests, and the package itself.

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
    """Collect without the search for cycles: some million objects are made, and all are kept."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as quick what is not marked as slow, and is no doctest of a page or a module."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("slow") is None:
            item.add_marker("quick")
