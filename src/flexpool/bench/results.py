"""The figures of a benchmark and the file they are kept in."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from flexpool.errors import StorageError
from flexpool.lab.files import write_atomically

__all__ = ["OURS", "UNIT", "Cell", "Results", "Row", "load"]

OURS, UNIT = "flexpool", "copy"
FORMAT = 1


@dataclass(frozen=True)
class Cell:
    """What became of one peer in one row.

    Attributes:
        status: "ok"; "wrong", when its result is; "cannot", when it has no way to do this row;
            "failed", when it raised an error.
        how: what was called.
        reason: why it is not ok.
        repeats: calls in a sample.
        seconds: the time of a call, one figure per sample.
    """

    status: str
    how: str = ""
    reason: str = ""
    repeats: int = 0
    seconds: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """Give the median of the samples, in seconds."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Give the first and the third quartile, in seconds.

        Example:
            >>> Cell("ok", seconds=(1.0, 2.0, 3.0, 4.0, 5.0)).quartiles
            (2.0, 4.0)
        """
        if len(self.seconds) < 2:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third


@dataclass(frozen=True)
class Row:
    """One operator on one case, in one layout and direction, with every peer's cell.

    Attributes:
        operator, case, layout, direction: names.
        shape: of the input.
        window: in brief.
        dtype: of the input.
        moved: bytes that must move.
        copied: bytes that the copy moves.
        cells: by peer.
    """

    operator: str
    case: str
    layout: str
    direction: str
    shape: tuple[int, ...]
    window: str
    dtype: str
    moved: int
    copied: int
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def id(self) -> tuple[str, str, str, str]:
        """Name the row."""
        return self.operator, self.case, self.layout, self.direction

    def timed(self, peer: str) -> bool:
        """Tell whether there is a time of a peer."""
        return peer in self.cells and self.cells[peer].status == "ok"

    def ratio(self, peer: str) -> float | None:
        """Say how many times as long as flexpool a peer takes, if there are times of both."""
        if not (self.timed(OURS) and self.timed(peer)):
            return None
        return self.cells[peer].median / self.cells[OURS].median

    def speed(self, peer: str) -> float | None:
        """Give the GB/s at which what must move was moved."""
        return self.moved / self.cells[peer].median / 1e9 if self.timed(peer) else None

    def share(self, peer: str) -> float | None:
        """Give that speed as a share of the copy's."""
        speed = self.speed(peer)
        if speed is None or not self.timed(UNIT):
            return None
        return speed / (self.copied / self.cells[UNIT].median / 1e9)

    @property
    def losses(self) -> list[str]:
        """Name the peers that are faster than flexpool."""
        ratios = {peer: self.ratio(peer) for peer in self.cells if peer not in (OURS, UNIT)}
        return [peer for peer, ratio in ratios.items() if ratio is not None and ratio < 1]


@dataclass(frozen=True)
class Results:
    """Rows, and what they were made with.

    Attributes:
        made_with: machine, versions and settings; rows of other ones are never mixed in.
        about: date and command.
        rows: the rows.
    """

    made_with: dict[str, Any]
    about: dict[str, Any]
    rows: tuple[Row, ...] = ()

    def having(self, row: Row) -> Results:
        """Add a row, in place of one of the same name."""
        return replace(self, rows=(*(r for r in self.rows if r.id != row.id), row))

    def peers(self) -> list[str]:
        """Name the peers of which there is at least one time or mistake, the copy left out."""
        names = dict.fromkeys(n for row in self.rows for n in row.cells if n != UNIT)
        shown = ("ok", "wrong", "failed")
        return [n for n in names if any(_status(row, n) in shown for row in self.rows)]

    def geometric_means(self, direction: str) -> dict[str, tuple[float, int]]:
        """Give for each peer the geometric mean of its ratios, and of how many rows."""
        means = {}
        for peer in self.peers():
            ratios = [r for row in self._of(direction) if (r := row.ratio(peer)) is not None]
            if ratios and peer != OURS:
                means[peer] = (statistics.geometric_mean(ratios), len(ratios))
        return means

    def _of(self, direction: str) -> list[Row]:
        return [row for row in self.rows if row.direction == direction]

    def save(self, path: Path) -> None:
        """Write the file, all of it or nothing.

        Raises:
            StorageError: if it cannot be written.
        """
        content = {"format": FORMAT, **asdict(self)}
        write_atomically(path, json.dumps(content, indent=1).encode())


def _status(row: Row, peer: str) -> str:
    return row.cells[peer].status if peer in row.cells else ""


def load(path: Path) -> Results:
    """Read a file of results.

    Raises:
        StorageError: if it cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise _foreign(path) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _foreign(path)
    try:
        rows = tuple(_row(record) for record in content["rows"])
        return Results(content["made_with"], content["about"], rows)
    except (KeyError, TypeError) as error:
        raise _foreign(path) from error


def _row(record: dict[str, Any]) -> Row:
    cells = {
        name: Cell(**{**cell, "seconds": _tuple(cell["seconds"])})
        for name, cell in record["cells"].items()
    }
    return Row(**{**record, "shape": _tuple(record["shape"]), "cells": cells})


def _tuple(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(values)


def _foreign(path: Path) -> StorageError:
    return StorageError(
        f"{path} holds no results of this version of `flexpool bench`. Name another file or folder."
    )
