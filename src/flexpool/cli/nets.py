"""The command ``net``: the nets of the laboratory, and one of them layer by layer."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from flexpool.cli.terminal import page, reported
from flexpool.errors import ArgumentError, called, expected

if TYPE_CHECKING:
    from flexpool.lab.nets import Row

__all__ = ["net"]

NARROW = 100  # columns; below, the classes of the layers are left out
HEADINGS = ("layer", "kind", "output", "parameters", "multiply-adds", "receptive field")


@reported
def net(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NET]", help="As net or net/downsampling; without: all nets."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="C,H,W", help="An image's shape. Default: the net's own."),
    ] = None,
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    depth: Annotated[
        int, typer.Option(help="How far blocks are opened: 1 a row for each, 0 all the way.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a net's layers: output shape, parameters, multiply-adds, receptive field.

    Multiply-adds are those of one image, in convolutions and products of matrices. The receptive
    field is the part of the image that one number of the output depends on, padding included.
    """
    with called("net"):
        if name is None:
            _list(as_json)
            return
        _show(name, size, classes, depth, as_json)


def _list(as_json: bool) -> None:
    from flexpool.lab import nets

    found = [
        {
            "name": net.name,
            "downsampling": net.downsampling,
            "input": net.image,
            "parameters": nets.parameters(nets.build(net.name)),
            "summary": net.summary,
        }
        for net in nets.NETS.values()
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("net", no_wrap=True)
    table.add_column("downsampling")
    table.add_column("input", no_wrap=True)
    table.add_column("parameters", justify="right")
    table.add_column("")
    for row in found:
        table.add_row(
            str(row["name"]),
            str(row["downsampling"]),
            _product(row["input"]),
            f"{row['parameters']:,}",
            str(row["summary"]),
        )
    page().print(table)


def _show(name: str, size: str | None, classes: int, depth: int, as_json: bool) -> None:
    from flexpool.lab import nets
    from flexpool.lab.recipe import Variant

    for option, value, least in (("--classes", classes, 1), ("--depth", depth, 0)):
        if value < least:
            raise ArgumentError(expected(option, f"to be an int >= {least}", value))
    variant = Variant.parse(name)
    known = nets.find(variant.net)
    image = known.image if size is None else _image(size)
    model = nets.build(variant.net, variant.downsampling, image=image, classes=classes)
    rows = nets.layers(model, image, depth or None)
    whole = {
        "net": variant.net,
        "downsampling": variant.downsampling,
        "input": image,
        "parameters": nets.parameters(model),
        "multiply_adds": nets.multiply_adds(model, image),
    }
    if as_json:
        print(json.dumps({**whole, "layers": [dataclasses.asdict(row) for row in rows]}, indent=2))
        return
    console = page()
    console.print(Text(f"{variant.name}, input {_product(image)}", style="bold"))
    console.print(Text(f"{known.summary}\n", style="dim"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_footer=True)
    footers = ("in all", "", "", f"{whole['parameters']:,}", f"{whole['multiply_adds']:,}", "")
    shown = [n for n in range(len(HEADINGS)) if n != 1 or console.width >= NARROW]
    for number in shown:
        justify: Literal["left", "right"] = "left" if number < 2 else "right"
        table.add_column(HEADINGS[number], footers[number], justify=justify, no_wrap=True)
    for row in rows:
        cells = _cells(row)
        table.add_row(*(cells[number] for number in shown))
    console.print(table)


def _cells(row: Row) -> tuple[str, ...]:
    field = "unknown" if row.receptive_field is None else _product(row.receptive_field)
    return (
        row.name,
        row.kind,
        _product(row.shape),
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.multiply_adds:,}" if row.multiply_adds else "",
        field,
    )


def _product(sizes: object) -> str:
    """Write sizes as people do.

    Example:
        >>> _product((96, 55, 55))
        '96 × 55 × 55'
    """
    assert isinstance(sizes, tuple)
    return " × ".join(map(str, sizes))


def _image(text: str) -> tuple[int, int, int]:
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        rule = "to be three ints > 0, channels, height and width"
        raise ArgumentError(expected("--input", rule, text, "Write --input 1,28,28."))
    channels, height, width = map(int, parts)
    return channels, height, width
