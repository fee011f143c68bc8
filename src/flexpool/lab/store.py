"""The store: one folder a run, there in full or not at all.

A run is prepared under ``runs/.partial/`` and moved into place by one rename, so whoever reads
``runs/`` never sees half a run. While a run is being trained it is locked: a second process that
wants the same run waits and then finds it finished.

    runs/lenet5-max-digits-seed0-1f3a.../
        config.json  inputs.json  environment.json  curve.csv  result.json  weights.safetensors
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError, safe_open

from flexpool.errors import StorageError
from flexpool.lab.files import storing, write_atomically
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import RunConfig

__all__ = ["Checkpoint", "Epoch", "Record", "Status", "Store", "facts"]

Status = Literal["done", "diverged", "error"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training came to: a row of the curve. Losses are means per image."""

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    test_top2: float
    train_seconds: float


@dataclass(frozen=True)
class Record:
    """A run that came to an end, well or badly.

    Attributes:
        config: what was run.
        status: ``done``; ``diverged`` if the loss left the finite numbers; ``error`` if it broke.
        message: what went wrong, empty if nothing did.
        params: trainable numbers of the net.
        macs: multiply-adds of one image's forward pass.
        curve: one row per epoch.
        environment: machine and versions.
        inputs: what the net takes and gives; None of a run that broke, or that is of before
            this was kept.
    """

    config: RunConfig
    status: Status
    message: str = ""
    params: int = 0
    macs: int = 0
    curve: tuple[Epoch, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    inputs: Inputs | None = None


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after some epochs: enough to go on to the same numbers."""

    curve: tuple[Epoch, ...]
    tensors: dict[str, Any]
    inputs: Inputs | None = None


class Store:
    """The runs under one folder. Looking into it writes nothing.

    Args:
        root: the folder given as ``--out``.
    """

    def __init__(self, root: Path) -> None:
        self.runs = root / "runs"
        self._partial = self.runs / ".partial"
        self._locks = self.runs / ".locks"

    def prepare(self) -> None:
        """Make the folder ready for runs, and sure that it takes files: before hours of training.

        Raises:
            StorageError: if the folder cannot be made or written.
        """
        with storing(self.runs):
            self._partial.mkdir(parents=True, exist_ok=True)
            self._locks.mkdir(exist_ok=True)
        write_atomically(self._partial / ".writable", b"")

    def find(self, config: RunConfig) -> Record | None:
        """Return the run of this configuration if it came to an end, else None."""
        folder = self.runs / config.folder
        return _read(folder) if folder.exists() else None

    def records(self) -> list[Record]:
        """Return every run that came to an end, by name of its folder."""
        return [_read(folder) for folder in sorted(self.runs.glob("[!.]*")) if folder.is_dir()]

    def unfinished(self) -> dict[str, int]:
        """Return the folders of runs that were cut short, with the epochs each has kept."""
        found = {}
        for path in sorted(self._partial.glob("*/checkpoint.safetensors")):
            checkpoint = _read_checkpoint(path, "numpy")
            found[path.parent.name] = len(checkpoint.curve) if checkpoint else 0
        return found

    @contextmanager
    def claim(self, config: RunConfig) -> Iterator[None]:
        """Hold a run for this process; wait while another holds it.

        Raises:
            StorageError: if the store cannot be written.
        """
        self.prepare()
        folder = self._partial / config.folder
        # Not inside the run's own folder: that one goes away while others may still wait.
        lock = FileLock(self._locks / f"{config.folder}.lock")
        with storing(folder):
            lock.acquire()
        try:
            with storing(folder):
                folder.mkdir(exist_ok=True)
            yield
        finally:
            with suppress(OSError):
                folder.rmdir()  # unless it holds a checkpoint
            lock.release()

    def publish(self, record: Record, weights: dict[str, Any]) -> None:
        """Put a finished run in its place; the caller holds the claim."""
        partial = self._partial / record.config.folder
        fresh, final = partial / "run", self.runs / record.config.folder
        result = {
            "status": record.status,
            "message": record.message,
            "params": record.params,
            "macs": record.macs,
        }
        with storing(final):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            write_atomically(fresh / "config.json", _json(dataclasses.asdict(record.config)))
            write_atomically(fresh / "environment.json", _json(record.environment))
            write_atomically(fresh / "curve.csv", _curve_to_csv(record.curve))
            write_atomically(fresh / "result.json", _json(result))
            if record.inputs is not None:
                write_atomically(fresh / "inputs.json", f"{record.inputs.to_json()}\n".encode())
            if weights:
                metadata = facts(record.config, record.inputs)
                write_atomically(fresh / "weights.safetensors", _tensors(weights, metadata))
            if final.exists():  # only a run that broke is ever trained again
                final.rename(partial / "replaced")
            fresh.rename(final)
            shutil.rmtree(partial, ignore_errors=True)

    def save_checkpoint(self, config: RunConfig, checkpoint: Checkpoint) -> None:
        """Keep the state of a run, in place of the one kept before."""
        metadata = facts(config, checkpoint.inputs)
        metadata["curve"] = _curve_to_csv(checkpoint.curve).decode()
        write_atomically(self._checkpoint(config), _tensors(checkpoint.tensors, metadata))

    def load_checkpoint(self, config: RunConfig) -> Checkpoint | None:
        """Return the kept state of a run, or None if there is none to go on from."""
        return _read_checkpoint(self._checkpoint(config), config.framework)

    def _checkpoint(self, config: RunConfig) -> Path:
        return self._partial / config.folder / "checkpoint.safetensors"


def facts(config: RunConfig, inputs: Inputs | None) -> dict[str, str]:
    """Give the metadata by which a file of weights alone can be made a net again."""
    found = {"config": json.dumps(dataclasses.asdict(config))}
    if inputs is not None:
        found["inputs"] = inputs.to_json()
    return found


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _tensors(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    if all(isinstance(tensor, np.ndarray) for tensor in tensors.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({n: np.asarray(a, order="C") for n, a in tensors.items()}, metadata)
    from safetensors.torch import save

    return save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)


def _curve_to_csv(curve: tuple[Epoch, ...]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(f.name for f in dataclasses.fields(Epoch))
    writer.writerows(dataclasses.astuple(row) for row in curve)
    return text.getvalue().encode()


def _curve_from_csv(text: str) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
        for row in csv.DictReader(io.StringIO(text))
    )


def _read(folder: Path) -> Record:
    try:
        result = json.loads((folder / "result.json").read_text())
        return Record(
            config=RunConfig(**json.loads((folder / "config.json").read_text())),
            curve=_curve_from_csv((folder / "curve.csv").read_text()),
            environment=json.loads((folder / "environment.json").read_text()),
            inputs=_inputs(folder / "inputs.json"),
            **result,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"the run {folder} is damaged ({error}). "
            "Remove that folder and start again: only this run is trained anew."
        ) from None


def _inputs(path: Path) -> Inputs | None:
    return Inputs.from_json(path.read_text()) if path.exists() else None


def _read_checkpoint(path: Path, framework: str) -> Checkpoint | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="np" if framework == "numpy" else "pt") as file:
            metadata = file.metadata() or {}
            curve = _curve_from_csv(metadata["curve"])
            inputs = Inputs.from_json(metadata["inputs"]) if "inputs" in metadata else None
            names = file.keys()
            return Checkpoint(curve, {name: file.get_tensor(name) for name in names}, inputs)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None  # from a damaged checkpoint there is nothing to go on: start the run over
