"""One BLAS thread around the kernel.

Its matrices are many and small, for which threads cost more than they bring:
SciPy's Cholesky of order 1,144 took 1,600 ms with two threads and 11 ms with
one. The limit holds for the whole process, so that overlapping fits share it:
the first one in sets it, the last one out restores what was there.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: AbstractContextManager[object] | None = None


@cache
def _controller() -> ThreadpoolController:
    """Find the loaded BLAS libraries, which takes milliseconds, once."""
    return ThreadpoolController()


def _take_control() -> None:
    """Let this thread restore what another one, still alive, has limited.

    From 3.8 on threadpoolctl heeds only the thread that limited OpenBLAS first.
    """
    for library in _controller().lib_controllers:
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS at one thread while at least one caller is inside."""
    global _users, _limit
    with _lock:
        if _users == 0:
            _limit = _controller().limit(limits=1, user_api="blas")
            _limit.__enter__()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limit is not None:
                _take_control()
                _limit.__exit__(None, None, None)
                _limit = None
