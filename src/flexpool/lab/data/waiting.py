"""A bar on standard error for work that lasts longer than a moment."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["waiting"]

_PATIENCE = 1.0


@contextmanager
def waiting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress inside the block once it has lasted a second.

    A bar on a terminal; one line where standard error is a file or a pipe. Nothing in a worker
    process: several would draw over each other.

    Args:
        what: what is being done.
        total: number of steps.

    Yields:
        A function to call with the number of steps done.
    """
    if multiprocessing.parent_process() is not None:
        yield lambda done: None
        return
    started, show = time.monotonic(), _Late(what, total)

    def step(done: int) -> None:
        if time.monotonic() - started > _PATIENCE:
            show(done)

    try:
        yield step
    finally:
        show.end()


class _Late:
    """A bar that is drawn when it is first told something."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._what, self._total = what, total
        self._bar = Progress(console=Console(stderr=True))
        self._begun = False

    def __call__(self, done: int) -> None:
        if not self._begun:
            self._begun = True
            if sys.stderr.isatty():
                self._task = self._bar.add_task(self._what, total=self._total)
                self._bar.start()
            else:
                print(f"{self._what} {self._total:,} images ...", file=sys.stderr, flush=True)
        if self._bar.live.is_started:
            self._bar.update(self._task, completed=done)

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._bar.live.is_started:
            self._bar.stop()
