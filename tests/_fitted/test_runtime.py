import contextlib
import faulthandler
import io
import linecache
import os
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (loads SciPy's BLAS before the pools are counted)
from threadpoolctl import threadpool_info, threadpool_limits

from skmixed import MixedLinearRegressor
from skmixed._fitted import runtime
from skmixed._fitted.runtime import single_threaded_blas

# Threads of the pools outside the limit, on a machine with one core too.
OUTSIDE = 3
WAIT = 30  # seconds until a deadlock becomes a failure


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.fixture
def several_threads():
    with threadpool_limits(OUTSIDE, user_api="blas"):
        assert blas_threads() == {OUTSIDE}
        yield


@pytest.mark.usefixtures("several_threads")
class TestOneThread:
    def test_one_inside_and_restored_after(self):
        for _ in range(2):
            with single_threaded_blas():
                assert blas_threads() == {1}
            assert blas_threads() == {OUTSIDE}

    def test_nested(self):
        with single_threaded_blas():
            with single_threaded_blas():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {OUTSIDE}

    def test_an_exception_restores(self):
        with pytest.raises(RuntimeError, match="inside"), single_threaded_blas():
            raise RuntimeError("inside")
        assert blas_threads() == {OUTSIDE}
        with single_threaded_blas():
            assert blas_threads() == {1}

    def test_a_fit_runs_under_the_limit(self):
        output = ThreadsAtWrite()
        with contextlib.redirect_stdout(output):
            random_model(verbose=1)
        assert output.seen == {1}
        assert blas_threads() == {OUTSIDE}

    def test_a_failed_fit_restores(self):
        # The group among the fixed effects is found by the kernel, under the limit.
        with pytest.raises(ValueError, match="span of the fixed effects"):
            random_model(encode=True)
        assert blas_threads() == {OUTSIDE}


class ThreadsAtWrite(io.StringIO):
    """Notes the threads of BLAS whenever a line is printed."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def write(self, text):
        self.seen |= blas_threads()
        return len(text)


def random_model(*, encode=False, **parameters):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6.0), [3, 4, 5, 6, 7, 8])
    x = rng.normal(size=33)
    X = np.column_stack([x, groups, groups[:, None] == np.arange(6)][: 3 if encode else 2])
    y = groups * (1 + x) + rng.normal(size=33)
    return MixedLinearRegressor(1, random_slopes=0, **parameters).fit(X, y)


def overlap(inner):
    """Hold the limit in a thread of its own; call `inner` in another meanwhile."""
    is_in, may_leave = threading.Event(), threading.Event()

    def outer():
        with single_threaded_blas():
            is_in.set()
            may_leave.wait(WAIT)

    threads = [threading.Thread(target=target) for target in (outer, inner)]
    threads[0].start()
    assert is_in.wait(WAIT)
    threads[1].start()
    threads[1].join(WAIT)
    still = blas_threads()
    may_leave.set()
    threads[0].join(WAIT)
    return still


@pytest.mark.skipif(blas_threads() == {1}, reason="one core: there is nothing to restore")
def test_overlapping_threads():
    before, seen = blas_threads(), []

    def inner():
        with single_threaded_blas():
            seen.append(blas_threads())

    # The limit stays when the inner one leaves, and goes with the outer one.
    assert overlap(inner) == {1}
    assert seen == [{1}]
    assert blas_threads() == before


@pytest.mark.skipif(blas_threads() == {1}, reason="one core: there is nothing to restore")
def test_overlapping_fits():
    expected, found = random_model().theta_, []
    before = blas_threads()
    assert overlap(lambda: found.append(random_model().theta_)) == {1}
    np.testing.assert_array_equal(found, [expected])
    assert blas_threads() == before


@pytest.mark.skipif(blas_threads() == {1}, reason="one core: there is nothing to restore")
def test_the_last_one_out_restores_though_the_first_one_in_still_lives():
    before, left, may_end = blas_threads(), threading.Event(), threading.Event()
    is_in, may_leave = threading.Event(), threading.Event()

    def first_in():
        with single_threaded_blas():
            is_in.set()
            may_leave.wait(WAIT)
        left.set()
        may_end.wait(WAIT)

    thread = threading.Thread(target=first_in)
    thread.start()
    assert is_in.wait(WAIT)
    with single_threaded_blas():
        may_leave.set()
        assert left.wait(WAIT)
        assert blas_threads() == {1}
    after = blas_threads()
    may_end.set()
    thread.join(WAIT)
    assert after == before


def interrupt_at(steps):
    """Return a trace that raises KeyboardInterrupt at a line of the module, as SIGINT may.

    Not at the end of a lock, which the interpreter lets no signal come before.
    """
    left = iter(range(steps))

    def trace(frame, event, _arg):
        if frame.f_code.co_filename != runtime.__file__ or event != "line":
            return trace
        line = linecache.getline(runtime.__file__, frame.f_lineno)
        if "with self.lock" not in line and next(left, None) is None:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    return trace


@pytest.mark.slow
@pytest.mark.usefixtures("several_threads")
def test_an_interrupt_anywhere_leaves_the_threads_as_they_were():
    for steps in range(1_000):
        sys.settrace(interrupt_at(steps))
        try:
            with single_threaded_blas():
                inside = blas_threads()
            is_interrupted = False
        except KeyboardInterrupt:
            is_interrupted = True
        sys.settrace(None)
        with single_threaded_blas():
            assert blas_threads() == {1}
        assert blas_threads() == {OUTSIDE}
        if not is_interrupted:
            assert inside == {1}
            break
    assert 10 < steps < 999  # all lines


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("is_locked", [False, True])
def test_a_child_forked_while_another_thread_fits(is_locked):
    before, in_child = blas_threads(), []

    def fork():
        lock = runtime._limit.lock if is_locked else contextlib.nullcontext()
        with lock:
            child = os.fork()
        if child == 0:
            outside = blas_threads()
            faulthandler.dump_traceback_later(WAIT, exit=True)
            with single_threaded_blas():
                inside = blas_threads()
            os._exit(0 if (outside, inside, blas_threads()) == (before, {1}, before) else 1)
        in_child.append(os.waitpid(child, 0)[1])

    overlap(fork)
    assert in_child == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.usefixtures("several_threads")
def test_a_child_forked_inside():
    with single_threaded_blas():
        child = os.fork()
        inside = blas_threads()
    if child == 0:
        os._exit(0 if (inside, blas_threads()) == ({1}, {OUTSIDE}) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (inside, blas_threads()) == ({1}, {OUTSIDE})


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_freed_memory_is_kept_for_the_next_arrays():
    """Three arrays of 3 MB, ten times over: pages that come from the system anew are faults."""
    script = """
import resource
import numpy as np
from skmixed._fitted.runtime import single_threaded_blas
with single_threaded_blas():
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        arrays = [np.ones(3 * 2**17) for _ in range(3)]
        del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    # Of 2304 pages
    assert int(found.stdout) < 100
