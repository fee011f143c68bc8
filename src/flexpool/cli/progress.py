"""Progress of a command on standard error: a bar on a terminal, lines in a file or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["Steps", "steps"]


class Steps:
    """Where a command says how far it is; this one says it in lines."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0

    def doing(self, label: str) -> None:
        """Say what is being done now."""

    def done(self, label: str) -> None:
        """Say that one step is done."""
        self._done += 1
        print(f"{self._what} {self._done}/{self._total}  {label}", file=sys.stderr, flush=True)


class _Bar(Steps):
    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def doing(self, label: str) -> None:
        self._bar.update(self._task, note=label)

    def done(self, label: str) -> None:
        self._bar.update(self._task, advance=1, note=label)


@contextmanager
def steps(what: str, total: int) -> Iterator[Steps]:
    """Show the progress of a number of steps inside the block.

    Args:
        what: what a step is, one word.
        total: number of steps; nothing is shown for 0.
    """
    if not total or not sys.stderr.isatty():
        yield Steps(what, total)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    with bar:
        yield _Bar(bar, bar.add_task(what, total=total, note=""))
