"""The laboratory's two experiments: train one net, or compare several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from loky import cpu_count

from flexpool.errors import ArgumentError, called, expected
from flexpool.lab import data as datasets
from flexpool.lab import display
from flexpool.lab.data import Dataset
from flexpool.lab.environment import describe
from flexpool.lab.executors import Job, execute
from flexpool.lab.recipe import DEFAULT_RECIPE, Recipe, RunConfig, Variant, load
from flexpool.lab.store import Record, Store

if TYPE_CHECKING:
    from flexpool.lab.comparison import Comparison

__all__ = ["DEFAULT_OUT", "Interrupted", "compare", "train"]

DEFAULT_OUT = Path("results")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of an experiment; the message says what is kept and how to go on."""


def compare(
    recipe: str | Path | Recipe = DEFAULT_RECIPE,
    *,
    data: str | None = None,
    net: str | Sequence[str] | None = None,
    downsampling: str | Sequence[str] | None = None,
    epochs: int | None = None,
    seeds: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    scaling: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> Comparison:
    """Train every variant with every seed and compare them, pair by pair.

    Runs that the folder ``out`` holds already are not trained again; a run that was cut short goes
    on where its last checkpoint left it. The tables, the report and the pictures are written to
    ``out`` at the end.

    Args:
        recipe: a shipped recipe's name, the path of a TOML file, or a :class:`Recipe`. Every
            argument below that is not None takes the place of the recipe's value.
        data: name of the data set.
        net: nets, each as ``net`` or ``net/downsampling``; a list, or a string with commas.
        downsampling: downsamplings for each net that names none; a list, or a string with commas.
            Without ``net`` they are those of the recipe's first net.
        epochs: passes over the training images, an int > 0.
        seeds: repetitions of each variant, an int > 0.
        batch_size: images per step, an int > 0.
        lr: Adam's learning rate, a finite number > 0.
        scaling: what is done to pixel values: ``standard``, ``unit`` or ``raw``.
        workers: processes to train in, an int > 0; None takes one per core (one on a GPU).
        threads: CPU threads of each run, an int > 0. They take part in what a run's numbers are.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: folder of the results.
        data_dir: where to look for data files first.
        progress: whether to show progress bars on standard error.

    Returns:
        The comparison; ``.table`` is a pandas DataFrame with a row per variant.

    Raises:
        ArgumentError: if a setting lies outside its domain or a name is unknown.
        DataError: if the data is damaged or cannot be had.
        StorageError: if ``out`` cannot be written.
        Interrupted: on Ctrl-C.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     comparison = compare(
        ...         net="lenet5", downsampling="max,slice", epochs=1, seeds=2,
        ...         workers=1, out=folder, progress=False,
        ...     )
        >>> list(comparison.table.index), list(comparison.table["n"])
        (['lenet5/max', 'lenet5/slice'], [2, 2])
    """
    from flexpool.lab import report  # here, since training alone needs no plots
    from flexpool.lab.comparison import Comparison

    with called("compare"):
        settings = recipe if isinstance(recipe, Recipe) else load(recipe)
        if net is not None and downsampling is None:
            downsampling = ()  # nets that are asked for come with their own
        elif downsampling is not None and net is None:
            net = settings.variants[0].net
        settings = settings.changed(
            data=data,
            net=net,
            downsampling=downsampling,
            epochs=epochs,
            seeds=seeds,
            batch_size=batch_size,
            lr=lr,
            scaling=scaling,
        )
        bench = _Bench(settings, device, threads, workers, out, data_dir)
        records = bench.run(
            [bench.config(v, seed) for seed in range(settings.seeds) for v in settings.variants],
            progress,
        )
        comparison = Comparison(
            settings,
            # By variant, then by seed: the sort keeps the order of seeds.
            tuple(sorted(records, key=lambda r: settings.variants.index(r.config.variant))),
            _described(bench.dataset),
            {**describe(bench.device), "workers": bench.workers, "threads": threads},
        )
        report.write(comparison, bench.out)
    return comparison


def train(
    net: str = "lenet5",
    *,
    downsampling: str | None = None,
    data: str = "digits",
    epochs: int = 10,
    seed: int = 0,
    batch_size: int = 64,
    lr: float = 0.001,
    scaling: str = "standard",
    framework: str = "torch",
    threads: int = 1,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    data_dir: str | Path | None = None,
    progress: bool = True,
) -> Record:
    """Train one net once; the run is the same as a comparison's with the same settings and seed.

    Args:
        net: ``net`` or ``net/downsampling``.
        downsampling: its downsampling, if ``net`` names none; None takes the net's own.
        data: name of the data set.
        epochs: passes over the training images, an int > 0.
        seed: the repetition, an int >= 0.
        batch_size: images per step, an int > 0.
        lr: Adam's learning rate, a finite number > 0.
        scaling: what is done to pixel values: ``standard``, ``unit`` or ``raw``.
        framework: what trains: ``torch``, or ``numpy`` for :mod:`flexpool.numpy`, from the same
            initial weights and on the same images in the same order.
        threads: CPU threads, an int > 0.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: folder of the results.
        data_dir: where to look for data files first.
        progress: whether to show progress bars on standard error.

    Returns:
        The record of the run, with its curve.

    Raises:
        ArgumentError: if a setting lies outside its domain or a name is unknown.
        DataError: if the data is damaged or cannot be had.
        StorageError: if ``out`` cannot be written.
        Interrupted: on Ctrl-C.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = train("lenet5/avg", epochs=2, out=folder, progress=False)
        >>> record.status, len(record.curve)
        ('done', 2)
    """
    with called("train"):
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ArgumentError(expected("seed", "to be an int >= 0", seed))
        settings = Recipe(
            net=(net,),
            downsampling=() if downsampling is None else (downsampling,),
            data=data,
            epochs=epochs,
            seeds=1,
            batch_size=batch_size,
            lr=lr,
            scaling=scaling,
            framework=framework,
        )
        if len(settings.variants) > 1:
            raise ArgumentError(expected("net and downsampling", "to name one variant", net))
        bench = _Bench(settings, device, threads, 1, out, data_dir)
        (record,) = bench.run([bench.config(settings.variants[0], seed)], progress)
    return record


class _Bench:
    """Device, data and store, checked and ready: what both experiments work at."""

    def __init__(
        self,
        recipe: Recipe,
        device: str,
        threads: int,
        workers: int | None,
        out: str | Path,
        data_dir: str | Path | None,
    ) -> None:
        for name, value in (("threads", threads), ("workers", 1 if workers is None else workers)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ArgumentError(expected(name, "to be an int > 0", value))
        self.recipe = recipe
        self.device, self.version = _device_and_version(recipe.framework, device)
        self.threads = threads
        own = 1 if self.device != "cpu" else max(1, cpu_count() // threads)
        self.workers = own if workers is None else workers
        self.out = Path(out)
        self.store = Store(self.out)
        self.store.prepare()
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.dataset: Dataset = datasets.load(recipe.data, self.data_dir)

    def config(self, variant: Variant, seed: int) -> RunConfig:
        """Return the configuration of one run."""
        return RunConfig(
            net=variant.net,
            downsampling=variant.downsampling,
            data=self.recipe.data,
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
        )

    def _multiply_adds(self, variant: Variant) -> int:
        nets: Any
        if self.recipe.framework == "numpy":
            from flexpool.numpy import nets
        else:
            from flexpool.lab import nets
        image = self.dataset.train_images.shape[1:]
        model = nets.build(variant.net, variant.downsampling, image=image)
        return int(nets.multiply_adds(model, image))

    def run(self, configs: Sequence[RunConfig], progress: bool) -> list[Record]:
        """Train what is not there yet; return all records in the order of the configurations."""
        records = {c.id: r for c in configs if (r := self.store.find(c)) and r.status != "error"}
        missing = [config for config in configs if config.id not in records]
        # The longest first: then no worker is left alone with a long one at the end.
        cost = {variant: self._multiply_adds(variant) for variant in {c.variant for c in missing}}
        missing.sort(key=lambda config: cost[config.variant], reverse=True)
        with (
            display.runs(len(configs), len(records), progress) as show,
            _resumable(records, len(configs), self.out),
        ):
            job = Job(self.out, self.data_dir)
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

    from flexpool.lab.train_torch import resolve_device

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


def _described(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "source": dataset.source,
        "train_images": len(dataset.train_images),
        "test_images": len(dataset.test_images),
        "image": list(dataset.train_images.shape[1:]),
        "classes": list(dataset.classes),
    }
