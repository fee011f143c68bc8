"""Measure rows, one after the other, and keep each as soon as it is there."""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from flexpool.bench.cases import Choice
from flexpool.bench.check import Checker
from flexpool.bench.machine import machine, software
from flexpool.bench.measure import take_times
from flexpool.bench.peers import CannotError, Peer, Side
from flexpool.bench.problem import Problem, problem
from flexpool.bench.results import UNIT, Cell, Results, Row, load
from flexpool.errors import ArgumentError, expected
from flexpool.lab.files import storing
from flexpool.torch_small import nothing_handed_over

__all__ = ["FILE", "measure_row", "results_for", "rows_left", "run"]

FILE = "benchmark.json"


class Steps(Protocol):
    """Where progress is reported."""

    def doing(self, label: str) -> None:
        """Say which row is being measured."""

    def done(self, label: str) -> None:
        """Say that a row is there."""


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def results_for(folder: Path, peers: Sequence[Peer], threads: int, rounds: int) -> Results:
    """Find the results in a folder, if they were made with the same, else begin new ones.

    Others that are there are kept under a name with their date.

    Raises:
        ArgumentError: if threads or rounds is not positive.
        StorageError: if the folder cannot be used.
    """
    for name, value in (("--threads", threads), ("--rounds", rounds)):
        if value < 1:
            raise ArgumentError(expected(name, "to be an int > 0", value))
    missing = {peer.name: peer.missing() for peer in peers}
    made_with = {
        "machine": machine(),
        "software": software(),
        "settings": {"threads": threads, "rounds": rounds},
        "peers": {name: reason or "measured" for name, reason in missing.items()},
    }
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    about = {"begun": now, "command": " ".join(["flexpool", *sys.argv[1:]]), "load": _load()}
    fresh = Results(made_with, about)
    path = folder / FILE
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return fresh
    old = load(path)
    # Through JSON, which knows no tuples, as the old ones went.
    if old.made_with == json.loads(json.dumps(made_with)):
        return old
    date = str(old.about["begun"]).replace(":", "")
    with storing(path):
        path.rename(path.with_stem(f"{path.stem}-{date}"))
    return fresh


def rows_left(
    results: Results, choices: Sequence[Choice], directions: Sequence[str]
) -> list[tuple[Choice, str]]:
    """List what is still to be measured, as operator on case, and direction."""
    there = {(row.id, row.shape, row.dtype, row.window) for row in results.rows}
    return [
        (choice, direction)
        for choice in choices
        for direction in directions
        if (_id(choice, direction), choice.case.shape, choice.case.dtype, choice.case.window)
        not in there
        and not (direction == "backward" and choice.case.dtype == "uint8")
    ]


def run(
    results: Results,
    folder: Path,
    left: Sequence[tuple[Choice, str]],
    peers: Sequence[Peer],
    steps: Steps,
) -> Results:
    """Measure what is left; the file holds each row as soon as it is measured.

    Args:
        results: those that are there.
        folder: where the file is.
        left: what to measure.
        peers: what to compare.
        steps: told of each row.
    """
    settings = results.made_with["settings"]
    able = [peer for peer in peers if results.made_with["peers"][peer.name] == "measured"]
    with _threads(settings["threads"]), nothing_handed_over():
        for choice, direction in left:
            label = " ".join(_id(choice, direction))
            steps.doing(label)
            asked = problem(choice, direction, settings["threads"])
            results = results.having(measure_row(asked, able, settings["rounds"]))
            results.save(folder / FILE)
            steps.done(label)
    return results


def measure_row(asked: Problem, peers: Sequence[Peer], rounds: int) -> Row:
    """Check every peer, then time those that are right in turns."""
    checker = Checker(asked)
    sides: dict[str, Side] = {}
    cells: dict[str, Cell] = {}
    for peer in peers:
        try:
            side = peer.make(asked)
            complaint = None if peer.name == UNIT else checker.complaint(side)
        except CannotError as error:
            cells[peer.name] = Cell("cannot", reason=str(error))
        except Exception as error:  # A peer's failure is a result, and the others go on.
            reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            cells[peer.name] = Cell("failed", reason=reason)
        else:
            if complaint is None:
                sides[peer.name] = side
            else:
                cells[peer.name] = Cell("wrong", side.how, complaint)
    with torch.no_grad() if asked.direction == "forward" else torch.enable_grad():
        times = take_times({name: side.run for name, side in sides.items()}, rounds)
    for name, taken in times.items():
        cells[name] = Cell("ok", sides[name].how, "", taken.repeats, tuple(taken.seconds))
    case = asked.case
    return Row(
        operator=asked.operator.name,
        case=case.name,
        layout=asked.layout,
        direction=asked.direction,
        shape=case.shape,
        window=case.window,
        dtype=case.dtype,
        moved=asked.bytes,
        copied=2 * asked.x.nbytes,
        cells={peer.name: cells[peer.name] for peer in peers},
    )


def _load() -> float | None:
    """Give the processes that wanted to run in the last minute: the machine should be idle."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _id(choice: Choice, direction: str) -> tuple[str, str, str, str]:
    return choice.operator, choice.case.name, choice.layout, direction
