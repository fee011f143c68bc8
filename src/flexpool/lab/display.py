"""Progress on standard error: a bar over all runs, and one for each run in work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from flexpool.lab.store import Record
from flexpool.lab.training import Progress

__all__ = ["runs"]


class Show(Protocol):
    """What is told of the progress of an experiment."""

    def progress(self, progress: Progress) -> None:
        """Take note of how far a run is."""

    def finished(self, record: Record) -> None:
        """Take note of a run that came to an end."""


@contextmanager
def runs(total: int, kept: int, wanted: bool, lines: bool) -> Iterator[Show]:
    """Show the progress of an experiment inside the block.

    Args:
        total: number of runs.
        kept: how many of them were there already.
        wanted: whether to show anything.
        lines: whether to show the lines of runs' logs too.

    Yields:
        Bars on a terminal, under the lines of the log; where standard error is a file or a pipe,
        these lines and one per finished run.
    """
    if not wanted:
        yield _Nothing()
    elif not sys.stderr.isatty():
        yield _Lines(total, kept, lines)
    else:
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.3g}/{task.total}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        with bars:
            yield _Bars(bars, total, kept, lines)


def _said(progress: Progress, lines: bool) -> str:
    """Give what is to be printed of what a run says, if anything."""
    if progress.warning:
        return progress.warning
    if not (lines and progress.line):
        return ""
    return f"{progress.config.label}  {progress.line}"


def _outcome(record: Record) -> str:
    if record.status != "done":
        return f"{record.status}: {record.message}"
    return f"accuracy {record.curve[-1].test_accuracy:.4f}"


class _Nothing:
    def progress(self, progress: Progress) -> None:
        pass

    def finished(self, record: Record) -> None:
        pass


class _Lines:
    def __init__(self, total: int, kept: int, lines: bool) -> None:
        self._total, self._done, self._lines = total, kept, lines
        if kept:
            print(f"{kept} of {total} runs are there already", file=sys.stderr, flush=True)

    def progress(self, progress: Progress) -> None:
        text = _said(progress, self._lines)
        if text:
            print(text, file=sys.stderr, flush=True)

    def finished(self, record: Record) -> None:
        self._done += 1
        line = f"run {self._done}/{self._total}  {record.config.label}  {_outcome(record)}"
        print(line, file=sys.stderr, flush=True)


class _Bars:
    def __init__(self, bars: Bars, total: int, kept: int, lines: bool) -> None:
        self._bars, self._lines = bars, lines
        note = f"{kept} were there already" if kept else ""
        self._all = bars.add_task("runs", total=total, completed=kept, note=note)
        self._tasks: dict[str, TaskID] = {}
        self._finished: set[str] = set()

    def progress(self, progress: Progress) -> None:
        config = progress.config
        text = _said(progress, self._lines)
        if text:
            self._bars.console.print(text, markup=False, highlight=False)
        if progress.warning:  # it says nothing of how far the run is
            return
        if config.id in self._finished:  # from another process, overtaken by its own result
            return
        if config.id not in self._tasks:
            label = f"  {config.label}, epochs"
            self._tasks[config.id] = self._bars.add_task(label, total=config.epochs, note="")
        note = f"loss {progress.loss:.4f}  accuracy {progress.accuracy:.4f}"
        self._bars.update(self._tasks[config.id], completed=progress.epochs, note=note)

    def finished(self, record: Record) -> None:
        self._finished.add(record.config.id)
        task = self._tasks.pop(record.config.id, None)
        if task is not None:
            self._bars.remove_task(task)
        note = f"{record.config.label}: {_outcome(record)}"
        self._bars.update(self._all, advance=1, note=note)
