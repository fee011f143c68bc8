"""The command ``bench``: flexpool beside its peers, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flexpool.cli.progress import steps
from flexpool.cli.terminal import page, reported
from flexpool.errors import ArgumentError, called, expected, unknown

if TYPE_CHECKING:
    from flexpool.bench.memory import Peak
    from flexpool.bench.results import Results

__all__ = ["bench"]

DIRECTIONS = ("forward", "backward", "both")
ROUNDS, QUICK_ROUNDS = 5, 2
QUICK_PEERS = ["torch", "onednn", "onnxruntime", "jax"]  # those that have little to compile


@reported
def bench(
    operators: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPERATOR]...", help="Operators of `flexpool list`."),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(help="Names with commas between, or written: 8x64x56x56:k3s2p1, ...:global."),
    ] = None,
    peers: Annotated[
        str | None,
        typer.Option(help="With commas between: torch, inductor, onednn, onnxruntime, jax."),
    ] = None,
    direction: Annotated[str, typer.Option(help="forward, backward or both.")] = "both",
    layout: Annotated[
        str | None, typer.Option(help="contiguous or channels_last, or both with a comma between.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, float64, float16 or bfloat16.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of every peer; default: one per core.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help=f"Turns of every peer; default: {ROUNDS}.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look: small maps, two turns, no torch.compile.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All operators on all sizes in both layouts.")
    ] = False,
    memory: Annotated[
        bool, typer.Option("--memory", help="Peak memory instead of time (Linux).")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path(
        "results/benchmark"
    ),
    show: Annotated[
        Path | None, typer.Option(help="Draw a file of results anew; nothing is measured.")
    ] = None,
) -> None:
    """Measure flexpool beside PyTorch, torch.compile, oneDNN, ONNX Runtime and JAX.

    Each is checked before it is timed; all take turns, with the same number of threads. Without
    arguments: twelve operators on large maps, four on the poolings of real nets; with --sizes
    alone, all on these. Stopped, it goes on
    where it was when typed again.
    """
    from loky import cpu_count

    from flexpool.bench import cases, run
    from flexpool.bench import memory as peaks
    from flexpool.bench.peers import choose_peers
    from flexpool.bench.results import load

    with called("bench"):
        if show is not None:
            _show(load(show), show)
            return
        if direction not in DIRECTIONS:
            raise unknown("direction", direction, DIRECTIONS)
        for name, value in (("--threads", threads), ("--rounds", rounds)):
            if value is not None and value < 1:
                raise ArgumentError(expected(name, "to be an int > 0", value))
        directions = DIRECTIONS[:2] if direction == "both" else (direction,)
        chosen = cases.choose(
            operators or (),
            _words(sizes) or (["maps-k2"] if memory and not everything else []),
            layouts=_words(layout),
            everything=everything,
            quick=quick,
            dtype=dtype,
        )
        if not chosen:
            instead = "Take max, min or median, or sizes of floats."
            raise ArgumentError(expected("operators", "that take integers", operators, instead))
        count = threads or cpu_count()
        if memory:
            with steps("row", len(chosen) * len(directions)) as progress:
                found = peaks.measure(out, chosen, directions, count, progress)
            _show_memory(found)
            return
        compared = choose_peers(_words(peers) or (QUICK_PEERS if quick else []))
        turns = rounds or (QUICK_ROUNDS if quick else ROUNDS)
        results = run.results_for(out, compared, count, turns)
        left = run.rows_left(results, chosen, directions)
        with steps("row", len(left)) as progress:
            results = run.run(results, out, left, compared, progress)
        _show(results, out / run.FILE)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()] if text else []


def _show(results: Results, path: Path) -> None:
    """Print the tables; write them and the picture beside the results."""
    from flexpool.bench.picture import draw
    from flexpool.bench.table import markdown, tables
    from flexpool.lab.files import write_atomically

    console = page()
    console.print(tables(results, console))
    write_atomically(path.with_suffix(".md"), markdown(results).encode())
    write_atomically(path.with_suffix(".png"), draw(results))
    console.print(f"\n{path}, and beside it .md and .png", style="dim", soft_wrap=True)


def _show_memory(peaks: list[Peak]) -> None:
    table = Table(
        title="Memory beyond input and results at the worst moment, MiB; backward: a whole step",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    names = list(peaks[0].beyond)
    for heading in ("size", "operator", "direction"):
        table.add_column(heading)
    for heading in ("input and results", *names):
        table.add_column(heading, justify="right")
    for each in peaks:
        figures = [each.held, *each.beyond.values()]
        texts = ["failed" if f is None else f"{f / 2**20:.0f}" for f in figures]
        kind = "" if each.dtype == "float32" else f" {each.dtype}"
        table.add_row(each.case + kind, each.operator, each.direction, *texts)
    page().print(table)
