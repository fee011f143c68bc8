"""The command ``reproduce``: published figures beside ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flexpool.cli.settings import (
    FAILED_RUNS,
    CheckpointEvery,
    DataDir,
    Device,
    Keep,
    LogEvery,
    Out,
    TensorBoard,
    Threads,
)
from flexpool.cli.terminal import page, reported

if TYPE_CHECKING:
    from rich.console import Console

    from flexpool.lab.reproduction import Reproduction, Row

__all__ = ["reproduce"]

NOTE = (
    "[ ]: 95 % interval of our mean; one run: where one more run of ours would lie, 95 times out "
    "of 100; a published figure counts as all numbers rounded to it"
)
QUICK = (
    "--quick: one epoch on scikit-learn's digits, to see that everything runs. "
    "These figures say nothing about the published ones."
)


@reported
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Recipes with published figures, by name or as TOML files; without: all shipped.",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Repetitions of each net; default: the recipe's.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only see that everything runs, in a minute or less.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; default: one per core.")] = None,
    threads: Threads = 1,
    device: Device = "auto",
    out: Out = Path("results"),
    data_dir: DataDir = None,
    checkpoint_every: CheckpointEvery = None,
    keep: Keep = 0,
    log_every: LogEvery = None,
    tensorboard: TensorBoard = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run recipes as they were published, and print the published figures beside ours.

    For each figure it says whether one run of ours would be expected to give it. Finished runs in
    the folder of results are not repeated; stopped, it goes on where it was.
    """
    from flexpool.lab import reproduce as run

    found = run(
        names or (),
        seeds=seeds,
        quick=quick,
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
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found)
    if any(record.status == "error" for record in found.failures):
        raise typer.Exit(FAILED_RUNS)


def _print(found: Reproduction) -> None:
    console = page()
    for name, recipe in found.recipes.items():
        seeds = f"{recipe.seeds} seed{'s' if recipe.seeds > 1 else ''}"
        epochs = f"{recipe.epochs} epoch{'s' if recipe.epochs > 1 else ''}"
        console.print(f"\n{name}: {recipe.data}, {epochs}, {seeds}", style="bold", markup=False)
        rows = [row for row in found.rows if row.recipe == name]
        console.print(_table(rows, found.quick))
        _print_sources(console, rows)
    for record in found.failures:
        text = f"{record.config.label}: {record.status}: {record.message}"
        console.print(text, style="red", markup=False)
    console.print(f"\n{NOTE}", style="dim", markup=False)
    if found.quick:
        console.print(QUICK, style="yellow", markup=False)


def _table(rows: list[Row], quick: bool) -> Table:
    from flexpool.lab.published import MEASURES

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("net", no_wrap=True)
    table.add_column("figure")
    for heading in ("published", "ours", "seeds", *(() if quick else ("one run",))):
        table.add_column(heading, justify="right")
    if not quick:
        table.add_column("published is")
    for row in rows:
        ours, one_run = "none", ""
        if row.ours is not None:
            ours = f"{row.ours.mean:.4f}" + _interval(row.ours.ci95)
            one_run = _interval(row.one_run).strip()
        cells = [
            row.variant.name,
            f"{MEASURES[row.figure.measure]}, epoch {row.epoch}",
            row.figure.printed,
            ours,
            str(len(row.ours.values) if row.ours else 0),
        ]
        table.add_row(*cells, *([] if quick else [one_run, _verdict(row)]))
    return table


def _verdict(row: Row) -> str:
    if row.within is None or row.one_run is None:
        return "not to be judged: too few seeds"
    if row.within:
        return "within"
    return "below" if row.figure.high < row.one_run[0] else "above"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{interval[0]:.4f}, {interval[1]:.4f}]"


def _print_sources(console: Console, rows: list[Row]) -> None:
    sources = dict.fromkeys(row.figure.source for row in rows)
    console.print(f"Published: {'; '.join(sources)}", style="dim", markup=False)
    for row in rows:
        if row.figure.note:
            text = f"{row.figure.printed}: {row.figure.note}"
            console.print(text, style="dim", markup=False)
