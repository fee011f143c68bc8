"""Going on with a run from any of its checkpoints, to the numbers it has or would have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flexpool.errors import ArgumentError, StorageError, called, expected
from flexpool.lab.checkpoints import read
from flexpool.lab.laboratory import DEFAULT_OUT
from flexpool.lab.options import check_int
from flexpool.lab.recipe import Recipe, RunConfig
from flexpool.lab.recording import Recording
from flexpool.lab.store import Record
from flexpool.lab.workbench import Workbench

__all__ = ["resume", "store_of"]


def resume(
    checkpoint: str | Path,
    *,
    epochs: int | None = None,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = 3,
    log_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Record:
    """Go on with a run from one of its checkpoints, to the same numbers as it has or would have.

    Settings and seed are the checkpoint's. What the run has kept of later than the checkpoint is
    given up if it is unfinished; if it is finished it stays as it is, and what is trained from here
    comes to the same numbers and is dropped, or to others and is put under ``runs/.again/``.

    Args:
        checkpoint: the file.
        epochs: passes over the training images in all, an int > 0; None: as many as the run was to
            have. With another number it becomes another run, and the old one stays.
        out: folder of the results; None: the one that the checkpoint lies in.
        data_dir, checkpoint_every, keep, log_every, tensorboard, progress: as for :func:`train`.

    Returns:
        The record of the run, with its curve from the first epoch on.

    Raises:
        StorageError: if the file is no checkpoint, is damaged (the message names the newest whole
            one before it), or carries a pickle; or if ``out`` cannot be written.
        ArgumentError: if the run cannot go on here to the same numbers: another version of PyTorch,
            another device, other data.
        DataError: if the data is damaged or cannot be had.
        Interrupted: on Ctrl-C.

    Example:
        >>> import tempfile
        >>> from flexpool.lab import train
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first = train("lenet5/avg", epochs=1, out=folder, progress=False)
        ...     (checkpoint,) = Path(folder).glob("runs/lenet5*/checkpoints/*")
        ...     longer = resume(checkpoint, epochs=2, progress=False)
        >>> longer.curve[:1] == first.curve, len(longer.curve)
        (True, 2)
    """
    with called("resume"):
        path = Path(checkpoint)
        found = read(path)
        config = found.config
        try:
            settings = _recipe_of(config)
        except ArgumentError as error:
            raise StorageError(f"the checkpoint {path} is of no run there is: {error}") from None
        store = store_of(path) if out is None else out
        recording = Recording(checkpoint_every, keep, log_every, tensorboard, path)
        bench = Workbench(settings, config.device, config.threads, 1, store, data_dir, recording)
        here = bench.config(settings.variants[0], config.seed)
        _check_same(config, here)
        if epochs is not None and epochs != config.epochs:
            check_int("epochs", epochs)
            if epochs < found.place.epoch:
                rule = f"to be at least {found.place.epoch}, the checkpoint's"
                raise ArgumentError(expected("epochs", rule, epochs))
            if config.schedule == "cosine":
                rule = "to be left out where the schedule is cosine, which depends on it"
                raise ArgumentError(expected("epochs", rule, epochs))
            here = dataclasses.replace(here, epochs=epochs)
        (record,) = bench.run([here], progress)
    return record


def _recipe_of(config: RunConfig) -> Recipe:
    """Make a recipe of a run's settings: what is none of them is refused there."""
    check_int("seed", config.seed, least=0)
    fields = {field.name for field in dataclasses.fields(Recipe)} - {"net", "downsampling"}
    given = {name: value for name, value in vars(config).items() if name in fields}
    return Recipe(net=(f"{config.net}/{config.downsampling}",), seeds=1, **given)


def store_of(checkpoint: Path) -> Path:
    """Find the folder of results that a checkpoint lies in."""
    for folder in checkpoint.resolve().parents:
        if folder.name == "runs":
            return folder.parent
    return DEFAULT_OUT


def _check_same(config: RunConfig, here: RunConfig) -> None:
    """Refuse to go on where the numbers would be others."""
    for name, value in vars(config).items():
        if value != getattr(here, name):
            raise ArgumentError(
                f"the checkpoint is of a run with {name} {value!r}, and here it is "
                f"{getattr(here, name)!r}: it would not go on to the same numbers."
            )
