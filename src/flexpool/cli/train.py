"""The command ``train``: one net, once, or from a checkpoint on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from flexpool.cli.classes import show_classes
from flexpool.cli.settings import (
    DATA,
    FAILED_RUNS,
    CheckpointEvery,
    DataDir,
    Device,
    Drop,
    Initialisation,
    Keep,
    LogEvery,
    Milestones,
    Momentum,
    Optimiser,
    Out,
    Patience,
    Precision,
    Resize,
    Schedule,
    TensorBoard,
    Threads,
    Validation,
    WeightDecay,
    ints,
)
from flexpool.cli.terminal import page, reported
from flexpool.errors import ArgumentError, expected

if TYPE_CHECKING:
    from flexpool.lab import Record

__all__ = ["train"]

BESIDE_A_CHECKPOINT = {
    *("resume", "epochs", "out", "data_dir", "checkpoint_every", "keep", "log_every"),
    "tensorboard",
}


@reported
def train(
    context: typer.Context,
    net: Annotated[str, typer.Option(help="The net, as net or net/downsampling.")] = "lenet5",
    downsampling: Annotated[str | None, typer.Option(help="Default: the net's own.")] = None,
    data: Annotated[str, typer.Option(help=DATA)] = "digits",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 10,
    seed: Annotated[int, typer.Option(help="The repetition: which random numbers it has.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 64,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.001,
    scaling: Annotated[str, typer.Option(help="Pixels: standard, unit or raw.")] = "standard",
    framework: Annotated[
        str, typer.Option(help="torch, or numpy: every layer from zero, no framework.")
    ] = "torch",
    optimiser: Optimiser = "adam",
    momentum: Momentum = 0.0,
    weight_decay: WeightDecay = 0.0,
    schedule: Schedule = "constant",
    milestones: Milestones = None,
    drop: Drop = 0.1,
    initialisation: Initialisation = "own",
    resize: Resize = None,
    precision: Precision = "float32",
    validation: Validation = 0.0,
    patience: Patience = None,
    threads: Threads = 1,
    device: Device = "auto",
    out: Out = Path("results"),
    data_dir: DataDir = None,
    checkpoint_every: CheckpointEvery = None,
    keep: Keep = 3,
    log_every: LogEvery = None,
    tensorboard: TensorBoard = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint to go on from, with the settings of its run; beside it only "
            "--epochs, --out, --data-dir, --checkpoint-every, --keep, --log-every, --tensorboard."
        ),
    ] = None,
) -> None:
    """Train one net once. It is the same run as that of a comparison with the same settings.

    Typed again, a run that was cut short goes on from its newest checkpoint.
    """
    from flexpool import lab

    if resume is not None:
        from flexpool.lab.resumption import store_of

        _check_alone(context)
        record = lab.resume(
            resume,
            epochs=epochs if _typed(context, "epochs") else None,
            out=out if _typed(context, "out") else None,
            data_dir=data_dir,
            checkpoint_every=checkpoint_every,
            keep=keep,
            log_every=log_every,
            tensorboard=tensorboard,
        )
        _finish(record, out if _typed(context, "out") else store_of(resume))
        return
    record = lab.train(
        net,
        downsampling=downsampling,
        data=data,
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        lr=lr,
        scaling=scaling,
        framework=framework,
        optimiser=optimiser or "adam",
        momentum=momentum or 0.0,
        weight_decay=weight_decay or 0.0,
        schedule=schedule or "constant",
        milestones=ints("--milestones", milestones) or (),
        drop=0.1 if drop is None else drop,
        initialisation=initialisation or "own",
        resize=resize,
        precision=precision or "float32",
        validation=validation or 0.0,
        patience=patience,
        threads=threads,
        device=device,
        out=out,
        data_dir=data_dir,
        checkpoint_every=checkpoint_every,
        keep=keep,
        log_every=log_every,
        tensorboard=tensorboard,
    )
    _finish(record, out)


def _finish(record: Record, out: Path) -> None:
    _show_run(record, out)
    if record.status != "done":
        raise typer.Exit(FAILED_RUNS)


def _typed(context: typer.Context, name: str) -> bool:
    """Whether an option was given, as its default perhaps."""
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _check_alone(context: typer.Context) -> None:
    """Refuse settings beside a checkpoint, which has its own."""
    for name in context.params:
        if name not in BESIDE_A_CHECKPOINT and _typed(context, name):
            option = f"--{name.replace('_', '-')}"
            rule = "to be left out with --resume: the checkpoint has the settings of its run"
            raise ArgumentError(f"train: {expected(option, rule, context.params[name])}")


def _show_run(record: Record, out: Path) -> None:
    from flexpool.lab import Store

    console = page()
    console.print(_curve(record))
    if record.message:
        console.print(f"{record.status}: {record.message}", style="red", markup=False)
    if record.curve:
        _say_best(console, record)
    store = Store(out)
    confusion = store.confusion(record.config)
    if confusion is not None and store.find(record.config) == record:
        console.print()
        show_classes(console, confusion)
        console.print()
    console.print(f"{record.params:,} parameters, {record.macs:,} multiply-adds an image")
    console.print(f"Run: {out / 'runs' / record.config.folder}{os.sep}", soft_wrap=True)


def _curve(record: Record) -> Table:
    from flexpool.lab.record import ValidatedEpoch

    held = any(isinstance(row, ValidatedEpoch) for row in record.curve)
    table = Table(title=record.config.label, title_justify="left", box=None)
    for heading in (
        *("epoch", "train loss", "train acc."),
        *(("held out loss", "held out acc.") if held else ()),
        *("test loss", "test acc.", "top 2", "s"),
    ):
        table.add_column(heading, justify="right")
    for row in record.curve:
        validation = []
        if isinstance(row, ValidatedEpoch):
            validation = [f"{row.validation_loss:.4f}", f"{row.validation_accuracy:.4f}"]
        table.add_row(
            str(row.epoch),
            f"{row.train_loss:.4f}",
            f"{row.train_accuracy:.4f}",
            *validation,
            f"{row.test_loss:.4f}",
            f"{row.test_accuracy:.4f}",
            f"{row.test_top2:.4f}",
            f"{row.train_seconds:.2f}",
        )
    return table


def _say_best(console: Console, record: Record) -> None:
    """Say which epoch was best and by which images, and whether training stopped for it."""
    from flexpool.lab.record import best_epoch

    best = best_epoch(record.curve)
    by = "images held out" if record.config.validation else "test images"
    console.print(f"Best on {by}: epoch {best}, whose weights are kept too.")
    if record.status == "done" and len(record.curve) < record.config.epochs:
        text = f"Stopped after {record.config.patience} epochs without a better one."
        if not record.config.validation:
            text += (
                " Test images chose when: their accuracy is flattered. "
                "--validation 0.1 lets training images choose."
            )
        console.print(text)
