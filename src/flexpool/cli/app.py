"""The commands. Heavy imports wait until a command runs, so that ``--help`` answers at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

import flexpool
from flexpool.cli.bench import bench
from flexpool.cli.kept import evaluate, export, predict
from flexpool.cli.kernels import show_kernel
from flexpool.cli.nets import net as show_net
from flexpool.cli.operators import list_operators, show
from flexpool.cli.pages import pages
from flexpool.cli.pictures import pictures
from flexpool.cli.reproduce import reproduce
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
from flexpool.cli.terminal import WIDE, page, reported
from flexpool.cli.train import train
from flexpool.cli.warm_up import warm_up
from flexpool.errors import StorageError

if TYPE_CHECKING:
    from flexpool.lab import Comparison, Record

__all__ = ["app"]

OPERATORS = "Operators"
EXPERIMENTS = "Experiments"

app = typer.Typer(
    help="Pooling and downsampling for convolutional networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="The data sets: what there is, and a look at it.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel=EXPERIMENTS)
app.command("list", rich_help_panel=OPERATORS)(list_operators)
app.command("show", rich_help_panel=OPERATORS)(show)
app.command("show-kernel", rich_help_panel=OPERATORS)(show_kernel)
app.command("warm-up", rich_help_panel=OPERATORS)(warm_up)
app.command("pages", rich_help_panel=OPERATORS)(pages)
app.command("bench", rich_help_panel=OPERATORS)(bench)
app.command("net", rich_help_panel=EXPERIMENTS)(show_net)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"flexpool {flexpool.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(rich_help_panel=EXPERIMENTS)
@reported
def compare(
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A shipped recipe, such as lenet5-digits or nin-fashion, or a TOML file."
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help=DATA)] = None,
    net: Annotated[
        str | None, typer.Option(help="Nets, as net or net/downsampling, with commas between.")
    ] = None,
    downsampling: Annotated[
        str | None,
        typer.Option(help="For each net (default: the recipe's first): max,avg,sum,strided,slice."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Repetitions of each variant.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    scaling: Annotated[str | None, typer.Option(help="Pixels: standard, unit or raw.")] = None,
    optimiser: Optimiser = None,
    momentum: Momentum = None,
    weight_decay: WeightDecay = None,
    schedule: Schedule = None,
    milestones: Milestones = None,
    drop: Drop = None,
    initialisation: Initialisation = None,
    resize: Resize = None,
    precision: Precision = None,
    validation: Validation = None,
    patience: Patience = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    threads: Threads = 1,
    device: Device = "auto",
    out: Out = Path("results"),
    data_dir: DataDir = None,
    checkpoint_every: CheckpointEvery = None,
    keep: Keep = 0,
    log_every: LogEvery = None,
    tensorboard: TensorBoard = False,
) -> None:
    """Train nets with each downsampling over several seeds, and say which is better.

    Without options: LeNet-5 with and without pooling on scikit-learn's digits. What a recipe says
    is replaced by the options given. Finished runs in the folder of results are not repeated.
    """
    from flexpool import lab
    from flexpool.lab.recipe import DEFAULT_RECIPE

    comparison = lab.compare(
        recipe or DEFAULT_RECIPE,
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
        milestones=ints("--milestones", milestones),
        drop=drop,
        initialisation=initialisation,
        resize=resize,
        precision=precision,
        validation=validation,
        patience=patience,
        workers=workers,
        threads=threads,
        device=device,
        out=out,
        data_dir=data_dir,
        checkpoint_every=checkpoint_every,
        keep=keep,
        log_every=log_every,
        tensorboard=tensorboard,
    )
    _show_comparison(comparison, out)
    if any(record.status == "error" for record in comparison.failures):
        raise typer.Exit(FAILED_RUNS)


app.command("train", rich_help_panel=EXPERIMENTS)(train)
app.command("reproduce", rich_help_panel=EXPERIMENTS)(reproduce)
app.command("evaluate", rich_help_panel=EXPERIMENTS)(evaluate)
app.command("predict", rich_help_panel=EXPERIMENTS)(predict)
app.command("export", rich_help_panel=EXPERIMENTS)(export)
app.command("pictures", rich_help_panel=EXPERIMENTS)(pictures)


@app.command(rich_help_panel=EXPERIMENTS)
@reported
def runs(
    out: Out = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the runs that a folder of results holds."""
    if not (out / "runs").is_dir():
        raise StorageError(f"there are no runs in {out}. Name another folder with --out.")
    from flexpool.lab import Store

    store = Store(out)
    found = [_listed(record) for record in store.records()]
    found += [
        {"run": folder, "status": f"unfinished, {epochs} epochs kept", "epochs": epochs}
        for folder, epochs in store.unfinished().items()
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None)
    for heading in ("run", "status", "epochs", "accuracy"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "run")
    for row in found:
        accuracy = row.get("accuracy")
        table.add_row(
            str(row["run"]),
            str(row["status"]),
            str(row["epochs"]),
            f"{accuracy:.4f}" if isinstance(accuracy, float) else "",
        )
    Console().print(table)


@data_app.command("list")
@reported
def data_list(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these, such as folder:PATH."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """List the data sets and where they are.

    folder:PATH is a folder of your own images: PATH/train/CLASS/* and PATH/test/CLASS/*, or
    PATH/CLASS/* alone, a fifth of which is then set aside for testing.
    """
    from flexpool.lab import data

    table = Table(box=None)
    for heading in ("name", "training", "test", "image", "classes", "where", "licence"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "image"))
    for row in data.available(data_dir, names or ()):
        table.add_row(
            data.short(row.name),
            f"{row.train:,}",
            f"{row.test:,}",
            " x ".join(map(str, row.shape)),
            str(len(row.classes)),
            row.where,
            row.licence,
        )
    if not names:
        table.add_row("folder:PATH", "", "", "", "", "a folder of your own, by class", "")
    Console().print(table)


@data_app.command("show")
@reported
def data_show(
    name: Annotated[str, typer.Argument(help="As `flexpool data list` has it, or folder:PATH.")],
    out: Annotated[Path | None, typer.Option(help="The PNG file; default: NAME.png.")] = None,
    count: Annotated[int, typer.Option(help="How many images to show.")] = 40,
    seed: Annotated[int, typer.Option(help="Which images are drawn.")] = 0,
    resize: Resize = None,
    data_dir: DataDir = None,
) -> None:
    """Draw a grid of training images with their labels, as a PNG file."""
    from flexpool.lab import data
    from flexpool.lab.files import write_atomically

    target = out or Path(f"{data.short(name)}.png")
    picture = data.show(name, data_dir, count=count, seed=seed, resize=resize)
    write_atomically(target, picture)
    print(f"{target}: {count} training images of {name}")


def _show_comparison(comparison: Comparison, out: Path) -> None:
    from flexpool.lab.report.rows import HEADINGS, NARROW, rows

    console = page()
    table = Table(
        title=comparison.recipe.title, title_justify="left", box=None, padding=(0, 2, 0, 0)
    )
    shown = [n for n, h in enumerate(HEADINGS) if console.width >= WIDE or h in NARROW]
    for number in shown:
        justify: Literal["left", "right"] = "right" if number else "left"
        table.add_column(HEADINGS[number], justify=justify, no_wrap=number == 0)
    for row in rows(comparison):
        table.add_row(*(row[number] for number in shown))
    console.print()
    console.print(table)
    console.print(
        "± and [ ]: 95 % intervals over seeds; differences are to the first row, paired by seed; "
        "* p < 0.05",
        style="dim",
        highlight=False,
    )
    for record in comparison.failures:
        text = f"{record.config.label}: {record.status}: {record.message}"
        console.print(text, style="red", markup=False, highlight=False)
    console.print()
    console.print(comparison.verdict, style="bold", markup=False, highlight=False)
    console.print(f"\nReport: {(out / 'report.html').resolve().as_uri()}", soft_wrap=True)


def _listed(record: Record) -> dict[str, object]:
    return {
        "run": record.config.folder,
        "status": record.status,
        "epochs": len(record.curve),
        "accuracy": record.curve[-1].test_accuracy if record.curve else None,
        "name": record.config.variant.name,
        "data": record.config.data,
        "seed": record.config.seed,
        "message": record.message,
    }
