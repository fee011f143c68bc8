"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexpool.errors import ArgumentError, expected

__all__ = [
    "DATA",
    "FAILED_RUNS",
    "CheckpointEvery",
    "DataDir",
    "Device",
    "Drop",
    "Initialisation",
    "Keep",
    "LogEvery",
    "Milestones",
    "Momentum",
    "Optimiser",
    "Out",
    "Patience",
    "Precision",
    "Resize",
    "Schedule",
    "TensorBoard",
    "Threads",
    "Validation",
    "WeightDecay",
    "ints",
]

FAILED_RUNS = 1  # the exit status where a run diverged or broke

DATA = "Data set; see `flexpool data list`. Your own images: folder:PATH."

Out = Annotated[Path, typer.Option("--out", help="Folder of the results.", show_default=True)]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where to look for data files first.", envvar="FLEXPOOL_DATA_DIR"),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Threads = Annotated[int, typer.Option(help="CPU threads of each run; part of what it computes.")]
Optimiser = Annotated[str | None, typer.Option(help="adam or sgd.")]
Momentum = Annotated[float | None, typer.Option(help="SGD's momentum.")]
WeightDecay = Annotated[float | None, typer.Option(help="Part of each weight in its gradient.")]
Schedule = Annotated[
    str | None, typer.Option(help="The rate over the epochs: constant, steps or cosine.")
]
Milestones = Annotated[
    str | None, typer.Option(help="For steps: epochs after which the rate drops, as 100,150.")
]
Drop = Annotated[float | None, typer.Option(help="For steps: the factor.")]
Initialisation = Annotated[
    str | None, typer.Option(help="own, standard, xavier-uniform or kaiming-uniform.")
]
Resize = Annotated[
    int | None, typer.Option(help="Height and width to bring images to, on the fly.")
]
Precision = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or, on CUDA devices, float16.")
]
Validation = Annotated[
    float | None, typer.Option(help="Share of the training images held out to measure on.")
]
Patience = Annotated[
    int | None,
    typer.Option(
        help="Stop after so many epochs without a better accuracy on the images held out; "
        "without --validation on test images, which flatters the result."
    ),
]
CheckpointEvery = Annotated[
    int | None, typer.Option(help="Batches between two checkpoints; default: some seconds.")
]
Keep = Annotated[
    int, typer.Option(help="How many of the last checkpoints stay, and the best epoch's.")
]
LogEvery = Annotated[
    int | None, typer.Option(help="Batches between two lines of the log, shown and in log.csv.")
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Write curves for TensorBoard while training.")
]


def ints(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read ints with commas between."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ArgumentError(expected(option, "to be ints with commas between", text))
    return tuple(map(int, parts))
