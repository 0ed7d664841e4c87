"""One BLAS thread around the kernel.

Its matrices are many and small, for which threads cost more than they bring:
SciPy's Cholesky of order 1,144 took 1,600 ms with two threads and 11 ms with
one. The limit holds for the whole process, so that overlapping fits share it:
the first one in sets it, the last one out restores what was there.

A forked child has none of the other threads that were inside: it starts with those
users alone that came along. An interrupt may strike between any two lines: the
limit is kept by those who are alive, and what to restore is noted before it is set.

Seeds of random numbers, from what scikit-learn takes for `random_state`.
"""

import numbers
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakSet

import numpy as np
from sklearn.utils import check_random_state
from threadpoolctl import ThreadpoolController

# The largest block, with its header, from which the C library of GNU learns.
LARGEST_MAPPED = 2**25 - 2**13


@cache
def _blas() -> list[Any]:
    """Find the loaded BLAS libraries, which takes milliseconds, once."""
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return list(found)


class ForkedLock:
    """A lock that no thread holds in a forked child but the one that came along."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self.__enter__,
                after_in_parent=self.__exit__,
                after_in_child=self.__exit__,
            )

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


class _User:
    """A caller that is inside, for as long as it lives."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()


class _Limit:
    """The limit of the process: who is inside, and what to restore."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users: WeakSet[_User] = WeakSet()
        self.before: list[tuple[Any, int]] = []

    def enter(self, user: _User) -> None:
        with self.lock:
            self.users.add(user)
            if len(self.users) == 1:
                self.before = self.before or [(own, own.get_num_threads()) for own in _blas()]
                _set_threads([(own, 1) for own, _ in self.before])

    def leave(self, user: _User) -> None:
        with self.lock:
            self.users.discard(user)
            if not self.users and self.before:
                _set_threads(self.before)
                self.before = []

    def start_anew(self) -> None:
        """Forget, in a forked child, the users in threads that it has not."""
        for user in list(self.users):
            if user.thread != threading.get_ident():
                self.leave(user)
        self.lock.release()


def _set_threads(libraries: list[tuple[Any, int]]) -> None:
    """Set the numbers of threads, whichever thread has set them before.

    From 3.8 on threadpoolctl heeds only the thread that limited OpenBLAS first, until
    it lets go.
    """
    _let_go()
    for library, number in libraries:
        library.set_num_threads(number)
    _let_go()


def _let_go() -> None:
    for library in _blas():
        clear = getattr(library, "clear_controlling_thread", None)
        if clear is not None:
            clear(force=True)


_limit = _Limit()
if hasattr(os, "register_at_fork"):
    # With the lock held, no thread is between two of its steps.
    os.register_at_fork(
        before=_limit.lock.acquire,
        after_in_parent=_limit.lock.release,
        after_in_child=_limit.start_anew,
    )


@cache
def keep_freed_memory() -> None:
    """Let the allocator keep what is freed, up to 64 MB, for the arrays that follow.

    A page that comes back from the system costs about as much as the arithmetic on it. The
    C library of GNU gives back what is free beyond twice the largest block of up to 32 MB
    that it has mapped and freed, be it untouched (mallopt(3), M_MMAP_THRESHOLD).
    """
    np.empty(LARGEST_MAPPED, dtype=np.uint8)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS at one thread while at least one caller is inside."""
    user = _User()
    keep_freed_memory()
    try:
        _limit.enter(user)
        yield
    finally:
        try:
            _limit.leave(user)
        except KeyboardInterrupt:  # amid the steps, all of which can be taken again
            _limit.leave(user)
            raise


def check_seed(random_state: Any) -> None:
    """Refuse what scikit-learn takes for no `random_state`, without a draw.

    A seed is not used up, and no generator is made of it, which takes longer than a fit's checks.
    """
    is_seed = isinstance(random_state, numbers.Integral) and 0 <= int(random_state) < 2**32
    if random_state is not None and not is_seed:
        _state_of(random_state, "a RandomState or None")


def spawned(seeds: np.random.SeedSequence, n: int) -> Iterator[np.random.SeedSequence]:
    """Yield what ``seeds.spawn(n)`` returns, one by one."""
    for _ in range(n):
        yield seeds.spawn(1)[0]


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Turn what scikit-learn takes for `random_state`, or a Generator, to seeds."""
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(2**32, size=4).tolist())
    state = _state_of(random_state, "a RandomState, a Generator or None")
    return np.random.SeedSequence(state.randint(2**32, size=4, dtype=np.uint32).tolist())


def _state_of(random_state: Any, others: str) -> np.random.RandomState:
    """Return the generator; `others` says what is taken beside a seed."""
    try:
        return check_random_state(random_state)
    except ValueError as error:
        kind = ValueError if isinstance(random_state, numbers.Integral) else TypeError
        raise kind(
            f"random_state={random_state!r} is no seed. Give an int from 0 to 2**32 - 1, {others}."
        ) from error
