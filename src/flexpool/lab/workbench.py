"""What every experiment of the laboratory works at: it makes runs, and trains what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from loky import cpu_count

from flexpool.errors import ArgumentError, expected
from flexpool.lab import data as datasets
from flexpool.lab import display
from flexpool.lab.data import Dataset
from flexpool.lab.executors import Job, execute
from flexpool.lab.loop import image_shape
from flexpool.lab.options import check_int
from flexpool.lab.recipe import Recipe, RunConfig, Variant
from flexpool.lab.recording import Recording
from flexpool.lab.store import Record, Store

__all__ = ["Interrupted", "Workbench"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of an experiment; the message says what is kept and how to go on."""


class Workbench:
    """Device, data and store, checked and ready: what every experiment works at.

    Args:
        recipe: the settings.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of each run, an int > 0.
        workers: processes to train in, an int > 0; None takes one per core (one on a GPU).
        out: folder of the results.
        data_dir: where to look for data files first.
        recording: what runs write down while they are trained.

    Raises:
        ArgumentError, DataError, StorageError: if one of them cannot be worked with.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: str,
        threads: int,
        workers: int | None,
        out: str | Path,
        data_dir: str | Path | None,
        recording: Recording,
    ) -> None:
        check_int("threads", threads)
        check_int("workers", 1 if workers is None else workers)
        self.recipe, self.recording = recipe, recording
        self.device, self.version = _device_and_version(recipe.framework, device)
        if recipe.precision == "float16" and self.device == "cpu":
            rule = "to be float32 or bfloat16 where the device is cpu"
            raise ArgumentError(expected("precision", rule, recipe.precision))
        self.threads = threads
        own = 1 if self.device != "cpu" else max(1, cpu_count() // threads)
        self.workers = own if workers is None else workers
        self.out = Path(out)
        self.store = Store(self.out)
        self.store.prepare()
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.dataset: Dataset = datasets.load(recipe.data, self.data_dir, recipe.resize)

    def config(self, variant: Variant, seed: int) -> RunConfig:
        """Return the configuration of one run."""
        return RunConfig(
            net=variant.net,
            downsampling=variant.downsampling,
            data=self.dataset.name,
            data_fingerprint=self.dataset.fingerprint,
            seed=seed,
            epochs=self.recipe.epochs,
            batch_size=self.recipe.batch_size,
            lr=float(self.recipe.lr),
            scaling=self.recipe.scaling,
            device=self.device,
            threads=self.threads,
            torch=self.version,
            framework=self.recipe.framework,
            optimiser=self.recipe.optimiser,
            momentum=float(self.recipe.momentum),
            weight_decay=float(self.recipe.weight_decay),
            schedule=self.recipe.schedule,
            milestones=self.recipe.milestones,
            drop=float(self.recipe.drop),
            initialisation=self.recipe.initialisation,
            resize=self.recipe.resize,
            precision=self.recipe.precision,
            validation=float(self.recipe.validation),
            patience=self.recipe.patience,
        )

    def _multiply_adds(self, variant: Variant) -> int:
        nets: Any
        if self.recipe.framework == "numpy":
            from flexpool.numpy import nets
        else:
            from flexpool.lab import nets
        image = image_shape(self.recipe.resize, self.dataset)
        model = nets.build(variant.net, variant.downsampling, image=image)
        return int(nets.multiply_adds(model, image))

    def run(self, configs: Sequence[RunConfig], progress: bool) -> list[Record]:
        """Train what is not there yet; return all records in the order of the configurations."""
        records = {
            c.id: r
            for c in configs
            if (r := self.store.find(c)) and r.status != "error" and not self.recording.resume
        }
        missing = [config for config in configs if config.id not in records]
        # The longest first: then no worker is left alone with a long one at the end.
        cost = {variant: self._multiply_adds(variant) for variant in {c.variant for c in missing}}
        missing.sort(key=lambda config: cost[config.variant], reverse=True)
        lines = len(configs) == 1 or self.recording.log_every is not None
        with (
            display.runs(len(configs), len(records), progress, lines) as show,
            _resumable(records, len(configs), self.out),
        ):
            job = Job(self.out, self.data_dir, self.recording)
            for record in execute(job, missing, self.workers, show.progress):
                records[record.config.id] = record
                show.finished(record)
        return [records[config.id] for config in configs]


def _device_and_version(framework: str, device: str) -> tuple[str, str]:
    """Find the device a framework is to use, and the framework's version."""
    if framework == "numpy":
        if device not in ("auto", "cpu"):
            rule = "to be auto or cpu where the framework is numpy"
            raise ArgumentError(expected("device", rule, device))
        return "cpu", np.__version__
    import torch

    from flexpool.lab.devices import resolve_device

    return resolve_device(device), torch.__version__


@contextmanager
def _resumable(records: dict[str, Record], total: int, out: Path) -> Iterator[None]:
    """Say, when interrupted, what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"Interrupted. {len(records)} of {total} runs are finished and kept in {out}. "
            "Type the same command again to go on from there."
        ) from None
