"""One run after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flexpool.lab.executors.job import Job
from flexpool.lab.recipe import RunConfig
from flexpool.lab.store import Record
from flexpool.lab.training import OnProgress

__all__ = ["run_serially"]


def run_serially(
    job: Job, configs: Sequence[RunConfig], on_progress: OnProgress
) -> Iterator[Record]:
    """Yield the record of each configuration, in the order given."""
    for config in configs:
        yield job.run(config, on_progress)
