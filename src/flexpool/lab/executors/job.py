"""What every executor does for one configuration."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from flexpool.errors import DataError
from flexpool.lab import data
from flexpool.lab.recipe import RunConfig
from flexpool.lab.recording import Recording
from flexpool.lab.store import Record, Store
from flexpool.lab.training import OnProgress, failed

__all__ = ["Job"]

# Loaded when one of its runs comes: NumPy's need no PyTorch.
TRAINERS = {"torch": "flexpool.lab.train_torch", "numpy": "flexpool.lab.train_numpy"}


@dataclass(frozen=True)
class Job:
    """Where the data is and where results go; small enough to send to another process.

    Attributes:
        out: folder of the store.
        data_dir: where to look for data files first, or None.
        recording: what runs write down while they are trained.
    """

    out: Path
    data_dir: Path | None = None
    recording: Recording = field(default_factory=lambda: Recording(keep=0))

    def run(self, config: RunConfig, on_progress: OnProgress) -> Record:
        """Train one configuration, or return its record if it is there already.

        Raises:
            DataError: if the data are not those that the configuration was made for.
        """
        dataset = data.load(config.data, self.data_dir, config.resize)
        if dataset.fingerprint != config.data_fingerprint:
            raise DataError(
                f"{config.data} was changed since this comparison began. Start it again: runs on "
                "the earlier data are kept apart."
            )
        trainer = importlib.import_module(TRAINERS[config.framework])
        store = Store(self.out)
        record: Record = trainer.run(config, dataset, store, on_progress, self.recording)
        return record

    def fail(self, config: RunConfig, message: str) -> Record:
        """Keep the record of a run whose process is gone."""
        store = Store(self.out)
        with store.claim(config):
            return failed(config, store, message)
