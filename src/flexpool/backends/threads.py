"""Share the windows or planes of one call between threads.

One pool serves the whole process. A caller works too and never waits for a thread to become free:
helpers that have not begun when the work is done are cancelled. So calls from many threads at once,
or from inside a helper, cannot block each other.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["is_little", "limit", "run"]

# Elements for which it pays to wake one more thread: that takes about 100 microseconds all in all,
# in which a kernel of plain sums gets through a few hundred thousand.
GRAIN = 500_000

# More than one chunk per thread, so that a slow core holds up little; few, since each is a call.
CHUNKS_PER_THREAD = 4

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_here = threading.local()  # .helping is set while a thread works on pieces


def limit() -> int:
    """Count the threads that one call may use, the caller's included.

    PyTorch's number where PyTorch is loaded, else NUMBA_NUM_THREADS, else the processors that this
    process may run on.
    """
    torch = sys.modules.get("torch")
    # Another thread may be in the middle of importing torch.
    if (threads := getattr(torch, "get_num_threads", None)) is not None:
        return max(1, int(threads()))
    chosen = os.environ.get("NUMBA_NUM_THREADS", "")
    if chosen.isdecimal() and int(chosen) > 0:
        return int(chosen)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(work: Callable[[int, int], object], items: int, elements: int) -> None:
    """Call ``work(begin, end)`` on contiguous pieces that together cover ``range(items)``.

    Args:
        work: what to do with some of the items; they must not depend on each other.
        items: how many there are.
        elements: how many numbers the whole work touches; little work stays in this thread.

    Raises:
        BaseException: the first that any piece raised; the pieces not yet begun are left out.

    Example:
        >>> squares = [0] * 5
        >>> def square(begin, end):
        ...     squares[begin:end] = [i * i for i in range(begin, end)]
        >>> run(square, 5, elements=10**6)
        >>> squares
        [0, 1, 4, 9, 16]
    """
    if items <= 0:
        return
    threads = 1
    if not is_little(items, elements) and not getattr(_here, "helping", False):
        threads = min(items, elements // GRAIN, limit())
    if threads > 1:
        _run_shared(work, items, threads)
    else:
        work(0, items)


def is_little(items: int, elements: int) -> bool:
    """Tell whether work never pays to be shared; then it may as well be called at once.

    Example:
        >>> is_little(64, elements=1000), is_little(64, elements=10**7)
        (True, False)
    """
    return min(items, elements // GRAIN) <= 1


def _run_shared(work: Callable[[int, int], object], items: int, threads: int) -> None:
    count = min(items, CHUNKS_PER_THREAD * threads)
    edges = [items * i // count for i in range(count + 1)]
    left = deque(itertools.pairwise(edges))
    errors: list[BaseException] = []

    def take() -> None:
        _here.helping = True
        try:
            while left:
                # The last piece may go between the question and the answer.
                try:
                    begin, end = left.popleft()
                except IndexError:
                    return
                work(begin, end)
        except BaseException as error:
            errors.append(error)
            left.clear()
        finally:
            _here.helping = False

    helpers = _started(take, threads - 1)
    take()
    for helper in helpers:
        if not helper.cancel():
            helper.result()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # An error that refers to itself would keep the arrays alive.


def _started(take: Callable[[], None], helpers: int) -> list[Future[None]]:
    """Ask the pool for helpers; there are fewer, or none, where no thread can be started."""
    global _pool, _pool_size
    started: list[Future[None]] = []
    with _lock:
        if _pool is None or _pool_size < helpers:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool = ThreadPoolExecutor(helpers, thread_name_prefix="flexpool")
            _pool_size = helpers
        try:
            for _ in range(helpers):
                started.append(_pool.submit(take))
        except RuntimeError:  # The interpreter is shutting down, or the system has no thread left.
            pass
    return started


def _after_fork_in_child() -> None:
    """Forget the pool: a forked process has none of its threads."""
    global _lock, _pool, _pool_size, _here
    _lock, _here = threading.Lock(), threading.local()
    _pool, _pool_size = None, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
