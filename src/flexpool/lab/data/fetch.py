"""Downloading a file from the first of several mirrors that serves the right one.

pooch knows where a user's cache lies, but starts a broken download from the beginning; therefore
the transfer is our own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flexpool.errors import DataError
from flexpool.lab.data.transfer import BrokenError, RefusedError, size_of, transfer
from flexpool.lab.data.verify import MismatchError
from flexpool.lab.files import storing

__all__ = ["Wanted", "fetch"]

_log = logging.getLogger(__name__)

# How often one mirror may break the connection. Each time counts only if it brought new bytes.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Wanted:
    """A file to download.

    Args:
        title: what it is, in words, e.g. "mnist: train images".
        name: its file name at every mirror.
        mirrors: addresses that end in a slash, tried in this order.
        target: where it is to lie when it is complete and verified.
        limit: more bytes than it can have.
        check: returns the content of a path, or raises MismatchError.
        by_hand: what the user can do without a network, a full sentence.
    """

    title: str
    name: str
    mirrors: tuple[str, ...]
    target: Path
    limit: int
    check: Callable[[Path], bytes]
    by_hand: str


def fetch(wanted: Wanted) -> bytes:
    """Download a file, verify it, give it its final name, and return its content.

    What arrives is kept beside the target as ``.part``, so an interrupted download goes on later.
    If several processes want the same file, one downloads it and the others wait.

    Raises:
        DataError: if no mirror gives the right file; lists each with its reason.
        StorageError: if the folder or the file cannot be written.
    """
    target = wanted.target
    part = target.with_name(f"{target.name}.part")
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(wanted):
        content = _good(target, wanted)
        if content is not None:
            # Another process was faster.
            return content
        content = _good(part, wanted)
        if content is None:
            content = _from_any(wanted, part)
        with storing(target):
            part.replace(target)
    return content


@contextmanager
def _alone(wanted: Wanted) -> Iterator[None]:
    """Let one process at a time download this file."""
    from filelock import FileLock, Timeout

    lock = FileLock(wanted.target.with_name(f".{wanted.target.name}.lock"))
    with storing(wanted.target.parent):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _log.warning("waiting for another process that downloads %s", wanted.title)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _good(path: Path, wanted: Wanted) -> bytes | None:
    try:
        return wanted.check(path) if path.is_file() else None
    except MismatchError:
        return None


def _from_any(wanted: Wanted, part: Path) -> bytes:
    reasons = []
    with _progress(wanted.title) as tell:
        for mirror in wanted.mirrors:
            url = mirror + wanted.name
            try:
                return _from_one(url, wanted, part, tell)
            except RefusedError as error:
                reasons.append(f"{url}: {error}")
                if mirror != wanted.mirrors[-1]:
                    _log.warning("%s; trying the next mirror", reasons[-1])
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise DataError(
        f"cannot download {wanted.name} ({wanted.title}). Tried:{listed}\n{wanted.by_hand}"
    )


def _from_one(
    url: str, wanted: Wanted, part: Path, tell: Callable[[int, int | None], None]
) -> bytes:
    for _ in range(_ATTEMPTS):
        before = size_of(part)
        try:
            resumed = transfer(url, part, wanted.limit, tell)
        except BrokenError as error:
            if size_of(part) > before:
                continue
            raise RefusedError(str(error)) from None
        try:
            return wanted.check(part)
        except MismatchError as error:
            with storing(part):
                part.unlink()
            # The earlier bytes may come from a mirror that compresses otherwise: once more, whole.
            if not resumed:
                raise RefusedError(f"wrong content: {error}") from None
    raise RefusedError(f"the connection broke {_ATTEMPTS} times")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar with bytes and rate on stderr while the block runs."""
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
