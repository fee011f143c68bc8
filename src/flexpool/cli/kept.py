"""The commands ``predict``, ``evaluate`` and ``export``: what to do with nets that are trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from flexpool.cli.classes import show_classes
from flexpool.cli.terminal import page, reported
from flexpool.errors import ArgumentError, called, expected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flexpool.lab import Exported
    from flexpool.lab.exporting import Check
    from flexpool.lab.statistics import Interval

__all__ = ["evaluate", "export", "predict"]

BAR = 24  # columns of a probability of 1

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's folder; its name or id, or their beginning; or a file of weights.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder of the results, where runs are.")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where to look for data files first.", envvar="FLEXPOOL_DATA_DIR"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@reported
def predict(
    run: Run,
    pictures: Annotated[
        list[str], typer.Argument(metavar="PICTURE...", help="PNG, JPEG, GIF, BMP, WebP, TIFF.")
    ],
    top: Annotated[int, typer.Option(help="How many classes to show of each picture.")] = 3,
    invert: Annotated[
        bool,
        typer.Option("--invert", help="Dark becomes light: for black on white, as in a scan."),
    ] = False,
    out: Out = Path("results"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what a trained net takes pictures for.

    A picture is brought to the net's colours and size, whatever its proportions are.
    """
    from flexpool import lab

    with called("predict"):
        if top < 1:
            raise ArgumentError(expected("--top", "to be an int > 0", top))
    net = lab.load(run, out=out, data_dir=data_dir)
    rows = net.predict(pictures, invert=invert)
    found = [_best(row, net.classes, top) for row in rows]
    if as_json:
        print(json.dumps(_plain(pictures, found), indent=2, ensure_ascii=False))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("picture", "class"):
        table.add_column(heading, overflow="fold")
    table.add_column("probability", justify="right")
    table.add_column("", width=BAR, no_wrap=True)
    for picture, best in zip(pictures, found, strict=True):
        for place, (name, probability) in enumerate(best):
            style = "bold" if place == 0 else "dim"
            shown = f"{100 * probability:.1f} %"
            bar = Bar(1, 0, probability, width=BAR, color="cyan")
            table.add_row("" if place else picture, name, shown, bar, style=style)
    page().print(table)


def _best(row: NDArray[np.float64], classes: tuple[str, ...], top: int) -> list[tuple[str, float]]:
    order = (-row).argsort(kind="stable")[:top]
    return [(classes[number], float(row[number])) for number in order]


def _plain(pictures: list[str], found: list[list[tuple[str, float]]]) -> list[dict[str, object]]:
    return [
        {
            "picture": picture,
            "class": best[0][0],
            "probability": best[0][1],
            "top": [{"class": name, "probability": value} for name, value in best],
        }
        for picture, best in zip(pictures, found, strict=True)
    ]


@reported
def evaluate(
    run: Run,
    data: Annotated[
        str | None,
        typer.Option(help="Data set; see `flexpool data list`. Default: that of the run."),
    ] = None,
    out: Out = Path("results"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say how good a trained net is on the test images of a data set, its own or another.

    Another must have the same classes, and images of the same shape.
    """
    from flexpool import lab

    found = lab.evaluate(run, data, out=out, data_dir=data_dir)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    console = page()
    console.print(f"{found.net} on {found.n:,} test images of {found.data}", markup=False)
    console.print(
        f"accuracy {found.accuracy:.4f}{_interval(found.ci95)}, "
        f"top 2 {found.top2:.4f}, loss {found.loss:.4f}\n",
        style="bold",
        markup=False,
    )
    show_classes(console, found.confusion)
    console.print("\n[ ]: Wilson's 95 % interval, for other images of the same kind", style="dim")


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f" [{interval[0]:.4f}, {interval[1]:.4f}]"


@reported
def export(
    run: Run,
    onnx: Annotated[Path | None, typer.Option(help="Write it as ONNX to this file.")] = None,
    safetensors: Annotated[
        Path | None, typer.Option(help="Write its weights as safetensors to this file.")
    ] = None,
    torch_export: Annotated[
        Path | None, typer.Option(help="Write it for torch.export.load to this file (.pt2).")
    ] = None,
    takes: Annotated[
        str,
        typer.Option(
            "--input", help="pixels: bytes, scaled in the graph; scaled: float32, scaled before."
        ),
    ] = "pixels",
    samples: Annotated[
        int, typer.Option(help="Test images to compare it on with PyTorch; 0: none.")
    ] = 1000,
    out: Out = Path("results"),
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained net for other programs, checked against PyTorch on real images first.

    Graphs take any number of images. Nothing is written if one gives other results.
    """
    from flexpool import lab

    found = lab.export(
        run,
        onnx=onnx,
        safetensors=safetensors,
        torch_export=torch_export,
        input=takes,
        samples=samples,
        out=out,
        data_dir=data_dir,
    )
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    _print_exported(page(), found)


def _print_exported(console: Console, found: Exported) -> None:
    console.print(found.net, style="bold", markup=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("file", overflow="fold")
    table.add_column("kind")
    table.add_column("bytes", justify="right")
    table.add_column("compared with PyTorch")
    for file in found.files:
        text = "only weights: nothing to compare" if file.kind == "safetensors" else "not compared"
        if file.check is not None:
            text = _compared(file.check)
        table.add_row(str(file.path), file.kind, f"{file.size:,}", text)
    console.print(table)
    if any(file.kind != "safetensors" for file in found.files):
        kind = "uint8" if found.takes == "pixels" else "float32"
        shape = ", ".join(map(str, found.shape))
        text = f"images: {kind} ({shape}) -> logits: float32 (batch, {len(found.classes)})"
        console.print(f"\n{text}", markup=False)


def _compared(check: Check) -> str:
    return (
        f"same class for {check.same:,} of {check.n:,} test images of {check.data}; outputs up to "
        f"{check.largest:.3g} differ by {check.difference:.1e} at most"
    )
