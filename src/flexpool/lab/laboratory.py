"""The laboratory's two experiments: train one net, or compare several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexpool.errors import ArgumentError, called, expected
from flexpool.lab.data import Dataset
from flexpool.lab.environment import describe
from flexpool.lab.recipe import DEFAULT_RECIPE, Recipe, load
from flexpool.lab.recording import Recording
from flexpool.lab.store import Record
from flexpool.lab.workbench import Interrupted, Workbench

if TYPE_CHECKING:
    from flexpool.lab.comparison import Comparison

__all__ = ["DEFAULT_OUT", "Interrupted", "compare", "train"]

DEFAULT_OUT = Path("results")


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
    optimiser: str | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: str | None = None,
    milestones: tuple[int, ...] | None = None,
    drop: float | None = None,
    initialisation: str | None = None,
    resize: int | None = None,
    precision: str | None = None,
    validation: float | None = None,
    patience: int | None = None,
    workers: int | None = None,
    threads: int = 1,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    data_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = 0,
    log_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Comparison:
    """Train every variant with every seed and compare them, pair by pair.

    Runs that the folder ``out`` holds already are not trained again; a run that was cut short goes
    on where its last checkpoint left it. The tables, the report and the pictures are written to
    ``out`` at the end.

    Args:
        recipe: a shipped recipe's name, the path of a TOML file, or a :class:`Recipe`. Every
            argument below that is not None takes the place of the recipe's value.
        data: name of the data set, or ``folder:PATH`` for a folder of images by class.
        net: nets, each as ``net`` or ``net/downsampling``; a list, or a string with commas.
        downsampling: downsamplings for each net that names none; a list, or a string with commas.
            Without ``net`` they are those of the recipe's first net.
        epochs: passes over the training images, an int > 0.
        seeds: repetitions of each variant, an int > 0.
        batch_size: images per step, an int > 0.
        lr: the learning rate, a finite number > 0.
        scaling: what is done to pixel values: ``standard``, ``unit`` or ``raw``.
        optimiser, momentum, weight_decay, schedule, milestones, drop, initialisation, resize,
            precision, validation, patience: as those of :class:`Recipe`.
        workers: processes to train in, an int > 0; None takes one per core (one on a GPU).
        threads: CPU threads of each run, an int > 0. They take part in what a run's numbers are.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: folder of the results.
        data_dir: where to look for data files first.
        checkpoint_every: batches between two checkpoints, an int > 0; None: some seconds.
        keep: how many of its last checkpoints stay with a finished run, an int >= 0, and the one
            of the best epoch.
        log_every: batches between two lines of a run's ``log.csv``, an int > 0; None: no such file.
        tensorboard: whether to write curves for TensorBoard into each run's folder.
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
    with called("compare"):
        settings = recipe if isinstance(recipe, Recipe) else load(recipe)
        if net is not None and downsampling is None:
            downsampling = ()  # nets that are asked for come with their own
        elif downsampling is not None and net is None:
            net = settings.variants[0].net
        own = net is not None or downsampling is not None
        settings = settings.changed(
            title="Which is better?" if own else None,  # the recipe's question is of its own nets
            data=data,
            net=net,
            downsampling=downsampling,
            epochs=epochs,
            seeds=seeds,
            batch_size=batch_size,
            lr=lr,
            scaling=scaling,
            optimiser=optimiser,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            milestones=milestones,
            drop=drop,
            initialisation=initialisation,
            resize=resize,
            precision=precision,
            validation=validation,
            patience=patience,
        )
        recording = Recording(checkpoint_every, keep, log_every, tensorboard)
        bench = Workbench(settings, device, threads, workers, out, data_dir, recording)
        records = bench.run(
            [bench.config(v, seed) for seed in range(settings.seeds) for v in settings.variants],
            progress,
        )
        from flexpool.lab import report  # here, as loading plots takes longer than a wrong setting
        from flexpool.lab.comparison import Comparison

        comparison = Comparison(
            settings,
            # By variant, then by seed: the sort keeps the order of seeds.
            tuple(sorted(records, key=lambda r: settings.variants.index(r.config.variant))),
            _described(bench.dataset),
            {**describe(bench.device), "workers": bench.workers, "threads": threads},
        )
        report.write(comparison, bench.out, bench.dataset)
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
    optimiser: str = "adam",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    milestones: tuple[int, ...] = (),
    drop: float = 0.1,
    initialisation: str = "own",
    resize: int | None = None,
    precision: str = "float32",
    validation: float = 0.0,
    patience: int | None = None,
    threads: int = 1,
    device: str = "auto",
    out: str | Path = DEFAULT_OUT,
    data_dir: str | Path | None = None,
    checkpoint_every: int | None = None,
    keep: int = 3,
    log_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Record:
    """Train one net once; the run is the same as a comparison's with the same settings and seed.

    Args:
        net: ``net`` or ``net/downsampling``.
        downsampling: its downsampling, if ``net`` names none; None takes the net's own.
        data: name of the data set, or ``folder:PATH`` for a folder of images by class.
        epochs: passes over the training images, an int > 0.
        seed: the repetition, an int >= 0.
        batch_size: images per step, an int > 0.
        lr: the learning rate, a finite number > 0.
        scaling: what is done to pixel values: ``standard``, ``unit`` or ``raw``.
        framework: what trains: ``torch``, or ``numpy`` for :mod:`flexpool.numpy`, from the same
            initial weights and on the same images in the same order.
        optimiser: ``adam`` or ``sgd``.
        momentum: SGD's momentum, a number in [0, 1).
        weight_decay: times each weight is added to its gradient, a finite number >= 0.
        schedule: how the learning rate changes from epoch to epoch: ``constant``, ``steps`` or
            ``cosine``.
        milestones: with ``steps``, the epochs after which the rate is multiplied by ``drop``.
        drop: that factor, a finite number > 0.
        initialisation: the rule by which weights start: ``own``, the net's, ``standard``,
            ``xavier-uniform`` or ``kaiming-uniform``.
        resize: height and width to which images are brought on the fly; None leaves them.
        precision: ``float32``, ``bfloat16`` or, on CUDA devices, ``float16``.
        validation: the share of training images held out, a number in [0, 1).
        patience: epochs without a better accuracy on these, or on test images if there are none,
            after which training stops, an int > 0; None: it does not.
        threads: CPU threads, an int > 0.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        out: folder of the results.
        data_dir: where to look for data files first.
        checkpoint_every: batches between two checkpoints, an int > 0; None: some seconds.
        keep: how many of its last checkpoints stay with a finished run, an int >= 0, and the one
            of the best epoch.
        log_every: batches between two lines of a run's ``log.csv``, an int > 0; None: no such file.
        tensorboard: whether to write curves for TensorBoard into each run's folder.
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
            optimiser=optimiser,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            milestones=milestones,
            drop=drop,
            initialisation=initialisation,
            resize=resize,
            precision=precision,
            validation=validation,
            patience=patience,
        )
        if len(settings.variants) > 1:
            raise ArgumentError(expected("net and downsampling", "to name one variant", net))
        recording = Recording(checkpoint_every, keep, log_every, tensorboard)
        bench = Workbench(settings, device, threads, 1, out, data_dir, recording)
        (record,) = bench.run([bench.config(settings.variants[0], seed)], progress)
    return record


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
