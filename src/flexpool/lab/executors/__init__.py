"""Executors: where the runs of a comparison are trained. One contract, several ways.

An executor takes a :class:`Job` and the configurations to run, and yields their records as they
finish, in any order. It reports progress by a callback. Whatever the executor, a run gives the same
numbers to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flexpool.lab.executors.job import Job
from flexpool.lab.executors.processes import run_in_processes
from flexpool.lab.executors.serial import run_serially
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Record
from flexpool.lab.training import OnProgress

__all__ = ["Job", "execute"]


def execute(
    job: Job, configs: Sequence[RunConfig], workers: int, on_progress: OnProgress
) -> Iterator[Record]:
    """Run all configurations, in this process or, with more than one worker, in several.

    Args:
        job: the data and the store.
        configs: what to train.
        workers: number of processes, an int > 0; 1 trains here, one run after the other.
        on_progress: called in this process, a few times a second.

    Yields:
        The record of each run, as it finishes.
    """
    if min(workers, len(configs)) <= 1:
        yield from run_serially(job, configs, on_progress)
    else:
        yield from run_in_processes(job, configs, min(workers, len(configs)), on_progress)
