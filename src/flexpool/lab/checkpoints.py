"""Checkpoints: the state of a run in the middle of it, from which it goes on to the same numbers.

A checkpoint is a safetensors file, and nothing in it is ever run: what looks like a pickle is
refused unopened, and what is not exactly what a run writes is refused too.

    checkpoints/epoch03-batch00938-acc0.9871.safetensors

Epoch, batch and accuracy stand in the name for people; what counts is inside.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from flexpool.errors import FlexpoolError, StorageError
from flexpool.lab.files import storing, write_atomically
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import RunConfig
from flexpool.lab.record import Epoch, best_epoch, curve_from_csv, curve_to_csv, facts
from flexpool.lab.weights import is_pickle

__all__ = ["Checkpoint", "Checkpoints", "Place", "Sums", "read"]

Array = np.ndarray[Any, Any]

_NAME = re.compile(r"epoch(\d+)-batch(\d+)-acc[^/]*\.safetensors")
_METADATA = {"config", "inputs", "curve", "place", "sha256"}


@dataclass(frozen=True)
class Sums:
    """Of an epoch so far: images seen, the sum of their losses, how many were right."""

    images: int = 0
    loss: float = 0.0
    correct: int = 0

    def __post_init__(self) -> None:
        _check_counts(self.images, self.correct)
        if not isinstance(self.loss, float):
            raise ValueError(f"no sum of losses: {self.loss!r}")


@dataclass(frozen=True)
class Place:
    """Where in a run a checkpoint is.

    Attributes:
        epoch: the epoch in work, the first of which is 1.
        batch: how many of its batches are done.
        sums: of the epoch so far.
        logged: of the epoch up to the last line of the log.
        seconds: that the epoch has taken so far.
    """

    epoch: int
    batch: int
    sums: Sums = field(default_factory=Sums)
    logged: Sums = field(default_factory=Sums)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        _check_counts(self.epoch, self.batch)
        if not isinstance(self.seconds, float):
            raise ValueError(f"no seconds: {self.seconds!r}")

    @classmethod
    def from_json(cls, text: str) -> Place:
        """Read what a checkpoint has of it.

        Raises:
            ValueError, TypeError, KeyError: if it is not that.
        """
        given = json.loads(text)
        sums, logged = Sums(**given.pop("sums")), Sums(**given.pop("logged"))
        return cls(**given, sums=sums, logged=logged)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run: enough to go on to the same numbers.

    Attributes:
        config: of which run.
        place: where in it.
        curve: the epochs that are done; in the middle of one, those before it.
        tensors: ``model.*``, ``optimiser.*``, ``rng.*``, and under ``best.*`` the weights of the
            best epoch, unless that is the one just done.
        inputs: what the net takes and gives.
    """

    config: RunConfig
    place: Place
    curve: tuple[Epoch, ...]
    tensors: dict[str, Array]
    inputs: Inputs | None = None

    def __post_init__(self) -> None:
        rows = [row.epoch for row in self.curve]
        if rows != [*range(1, len(rows) + 1)] or self.place.epoch - len(rows) not in (0, 1):
            raise ValueError(f"the epochs {rows} before one in epoch {self.place.epoch}")

    @property
    def amid_epoch(self) -> bool:
        """Whether its epoch is not done, its evaluation included."""
        return len(self.curve) < self.place.epoch

    @property
    def accuracy(self) -> float:
        """What stands in the name: of the epoch's end; in its middle, of training so far."""
        if not self.amid_epoch:
            return self.curve[-1].judged
        return self.place.sums.correct / max(1, self.place.sums.images)

    @property
    def name(self) -> str:
        """Name of the file."""
        place = self.place
        batch = f"epoch{place.epoch:02d}-batch{place.batch:05d}"
        return f"{batch}-acc{self.accuracy:.4f}.safetensors"


class Checkpoints:
    """The checkpoints of one run, in one folder.

    Args:
        folder: where they lie; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def paths(self) -> list[Path]:
        """List the files, the oldest state first."""
        if not self.folder.is_dir():
            return []
        return sorted((p for p in self.folder.iterdir() if _NAME.fullmatch(p.name)), key=_order)

    def save(self, checkpoint: Checkpoint, keep: int) -> Path:
        """Keep the state of a run, and remove what is not to be kept any more.

        Args:
            checkpoint: the state.
            keep: how many of the newest stay, an int > 0; that of the best epoch stays too.
        """
        path = self.folder / checkpoint.name
        with storing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _to_bytes(checkpoint))
        for other in self.paths():
            if _order(other) == _order(path) and other != path:
                other.unlink()  # of the same batches, before they were evaluated
        self.thin(keep, best_epoch(checkpoint.curve))
        return path

    def thin(self, keep: int, best: int) -> None:
        """Remove all but the newest, and the one after the best epoch; with ``keep`` 0, all."""
        paths = self.paths()
        last = {_order(path)[0]: path for path in paths}  # the last of each epoch
        staying = {*paths[-keep:], last.get(best)} if keep else set()
        for path in set(paths) - staying:
            with storing(path):
                path.unlink()

    def newest(
        self, check: Callable[[Checkpoint], None] = lambda checkpoint: None
    ) -> tuple[Checkpoint | None, list[str]]:
        """Give the newest that is whole, or None, and what is wrong with those that are newer.

        Args:
            check: raises StorageError for one that will not do though it is whole.
        """
        complaints = []
        for path in reversed(self.paths()):
            try:
                checkpoint = _from_file(path)
                check(checkpoint)
            except StorageError as error:
                complaints.append(str(error))
            else:
                return checkpoint, complaints
        return None, complaints

    def drop_after(self, place: Place | None) -> None:
        """Remove what is of later than a place; with None, all."""
        for path in self.paths():
            if place is None or _order(path) > (place.epoch, place.batch):
                with storing(path):
                    path.unlink()


def read(path: Path) -> Checkpoint:
    """Read one checkpoint, and be sure that it is one, and whole.

    Raises:
        StorageError: if it is not; where there is an earlier one beside it, the message names that.
    """
    try:
        return _from_file(path)
    except StorageError as error:
        raise StorageError(f"{error} {_instead(path)}") from None


def _instead(path: Path) -> str:
    """Say which checkpoint to use in the place of one that cannot be used."""
    for other in reversed(Checkpoints(path.parent).paths()):
        found = _NAME.fullmatch(path.name)
        if other.name != path.name and (not found or _order(other) <= _order(path)):
            with suppress(StorageError):
                _from_file(other)
                return f"The newest whole one before it is {other}."
    return "There is no whole one before it."


def _check_counts(*counts: object) -> None:
    for count in counts:
        if type(count) is not int or count < 0:
            raise ValueError(f"no count: {count!r}")


def _order(path: Path) -> tuple[int, int]:
    found = _NAME.fullmatch(path.name)
    assert found is not None  # paths() lists no others
    return int(found[1]), int(found[2])


def _from_file(path: Path) -> Checkpoint:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise StorageError(f"cannot read the checkpoint {path}: {error.strerror}.") from None
    if is_pickle(head):
        raise StorageError(
            f"the checkpoint {path} is a pickle, or a zip archive of torch.save with one in it: "
            "opening it would run whatever code is in there, so it is refused unopened. "
            "flexpool's checkpoints are safetensors."
        )
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise StorageError(
            f"the checkpoint {path} is cut short, damaged or none at all ({error})."
        ) from None
    if "place" not in metadata:
        raise StorageError(f"{path} is no checkpoint: it holds weights, not the state of a run.")
    unknown = sorted({*metadata} - _METADATA)
    if unknown:
        raise StorageError(f"the checkpoint {path} holds what no run writes: {unknown}.")
    if metadata.pop("sha256", "") != _digest(tensors, metadata):
        raise StorageError(f"the checkpoint {path} is damaged: its checksum is another one.")
    try:
        return Checkpoint(
            RunConfig(**json.loads(metadata["config"])),
            Place.from_json(metadata["place"]),
            curve_from_csv(metadata["curve"]),
            tensors,
            Inputs.from_json(metadata["inputs"]) if "inputs" in metadata else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, FlexpoolError) as error:
        raise StorageError(
            f"the checkpoint {path} is of another version of flexpool ({error})."
        ) from None


def _to_bytes(checkpoint: Checkpoint) -> bytes:
    tensors = {name: np.asarray(a, order="C") for name, a in checkpoint.tensors.items()}
    metadata = facts(checkpoint.config, checkpoint.inputs)
    metadata["curve"] = curve_to_csv(checkpoint.curve).decode()
    metadata["place"] = json.dumps(dataclasses.asdict(checkpoint.place))
    return save(tensors, metadata | {"sha256": _digest(tensors, metadata)})


def _digest(tensors: dict[str, Array], metadata: dict[str, str]) -> str:
    """Hash content: safetensors notices a file cut short, but no number that has changed."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
