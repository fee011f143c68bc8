"""What a run writes down while it is trained: settings that leave its numbers as they are."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from flexpool.errors import ArgumentError, BackendUnavailable, expected
from flexpool.lab.options import check_int

__all__ = ["Recording"]


@dataclass(frozen=True)
class Recording:
    """What a run writes down while it is trained.

    Args:
        checkpoint_every: batches between two checkpoints, an int > 0; None: some seconds.
        keep: how many of its last checkpoints stay with a finished run, an int >= 0, and the one
            of the best epoch; 0: none. Where some stay, there is one after each epoch.
        log_every: batches between two lines of ``log.csv``, an int > 0; None: no such file.
        tensorboard: whether to write curves for TensorBoard.
        resume: the checkpoint to go back to; None: the newest one of the run, if there is one.

    Raises:
        ArgumentError: if a number lies outside its domain.
        BackendUnavailable: if TensorBoard is wanted and not there.

    Example:
        >>> Recording(checkpoint_every=100).keep
        3
    """

    checkpoint_every: int | None = None
    keep: int = 3
    log_every: int | None = None
    tensorboard: bool = False
    resume: Path | None = None

    def __post_init__(self) -> None:
        for name in ("checkpoint_every", "log_every"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name))
        check_int("keep", self.keep, least=0)
        if not isinstance(self.tensorboard, bool):
            raise ArgumentError(expected("tensorboard", "to be True or False", self.tensorboard))
        if self.tensorboard and not all(map(importlib.util.find_spec, ("tensorboard", "torch"))):
            raise BackendUnavailable(
                "tensorboard needs the packages tensorboard and torch: pip install 'flexpool[lab]'"
            )
