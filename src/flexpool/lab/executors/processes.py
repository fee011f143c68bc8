"""Several runs at once, one process each: the best throughput for small nets.

loky starts the processes: the caller's script needs no ``if __name__ == "__main__"``, notebooks
work, and a process that dies is reported instead of waited for.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from loky import ProcessPoolExecutor
from loky.backend import get_context
from loky.process_executor import BrokenProcessPool

from flexpool.errors import FlexpoolError
from flexpool.lab.executors.job import Job
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Record
from flexpool.lab.training import OnProgress, Progress

__all__ = ["run_in_processes"]

_POLL_SECONDS = 0.1


def run_in_processes(
    job: Job, configs: Sequence[RunConfig], workers: int, on_progress: OnProgress
) -> Iterator[Record]:
    """Yield the record of each configuration as it finishes in one of several processes.

    When a process dies, most often because memory ran out, the runs that were in work are tried
    again, each alone: the one whose process dies again is kept as an error, and the others go on.
    """
    waiting = list(configs)
    while waiting:
        suspects, waiting = yield from _run_until_one_dies(job, waiting, workers, on_progress)
        for config in suspects:
            died, _ = yield from _run_until_one_dies(job, [config], 1, on_progress)
            if died:
                yield job.fail(config, "its process died, most often because memory ran out")


def _run_until_one_dies(
    job: Job, configs: Sequence[RunConfig], workers: int, on_progress: OnProgress
) -> Generator[Record, None, tuple[list[RunConfig], list[RunConfig]]]:
    """Yield records; return the configurations lost in work and those never begun, if any."""
    events = get_context("loky").Queue()
    pool = ProcessPoolExecutor(
        workers,
        context=get_context("loky"),
        initializer=_start_worker,
        initargs=(events, os.getpid()),
        # Before the libraries load: later is too late for some of their thread pools.
        env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    started: set[str] = set()
    unfinished: set[Future[Record]] = set()
    try:
        with _ignoring_interrupts():
            futures = {pool.submit(_work, job, config): config for config in configs}
        unfinished = set(futures)
        while unfinished and not any(_died(future) for future in unfinished):
            done, _ = wait(unfinished, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for event in _arrived(events):
                if isinstance(event, Progress):
                    on_progress(event)
                else:
                    started.add(event.id)
            for future in done:
                if not _died(future):
                    unfinished.remove(future)
                    yield future.result()
    finally:
        # A process that sits in a kernel does not hear a polite request.
        pool.shutdown(kill_workers=bool(unfinished))
        events.close()
    left = [config for future, config in futures.items() if future in unfinished]
    lost = [config for config in left if config.id in started]
    if left and not lost:
        raise FlexpoolError(
            "the worker processes died before they began to work. "
            "Use one worker to train in this process."
        )
    return lost, [config for config in left if config.id not in started]


def _arrived(events: Any) -> Iterator[RunConfig | Progress]:
    with contextlib.suppress(queue.Empty):
        while True:
            yield events.get_nowait()


def _died(future: Future[Record]) -> bool:
    return future.done() and isinstance(future.exception(), BrokenProcessPool)


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: stopping them is the parent's business."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_events: Any = None


def _start_worker(events: Any, parent: int) -> None:
    """Prepare a worker: remember where to report, and never outlive the parent."""
    global _events
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


def _work(job: Job, config: RunConfig) -> Record:
    _events.put(config)
    return job.run(config, _events.put)
