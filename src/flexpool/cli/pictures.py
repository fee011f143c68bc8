"""The command ``pictures``: what a trained net saw, learned, and is wrong about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexpool.cli.terminal import reported

__all__ = ["pictures"]


@reported
def pictures(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's folder; its name or id, or their beginning; or a file of weights.",
        ),
    ],
    image: Annotated[
        str, typer.Option(help="To look into the net with: a test image's number, or a file.")
    ] = "0",
    to: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; default: pictures in the run's.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results, where runs are.")
    ] = Path("results"),
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where to look for data files first.", envvar="FLEXPOOL_DATA_DIR"),
    ] = None,
) -> None:
    """Draw a trained net: samples, curves, filters, feature and class maps, mistakes.

    The test images are all tried, which takes a while where the net is large.
    """
    from flexpool.lab.pictures import draw

    which = int(image) if image.isdecimal() else image
    for file in draw(run, image=which, to=to, out=out, data_dir=data_dir):
        print(file)
