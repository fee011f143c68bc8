"""The figures as a picture: how near each peer comes to the speed of a copy, row by row."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from flexpool.bench.peers import PEERS
from flexpool.bench.results import OURS, Results, Row

__all__ = ["draw"]

# Okabe and Ito's colours, which colour-blind people can tell apart; the shapes differ, too.
_MARKS = {
    OURS: ("#0072B2", "o"),
    "torch": ("#E69F00", "s"),
    "inductor": ("#009E73", "^"),
    "onednn": ("#CC79A7", "D"),
    "onnxruntime": ("#56B4E9", "v"),
    "jax": ("#000000", "x"),
}
_LOSES, _PALE, _INK = "#D55E00", "#fbe3d3", "#222222"

_ROW, _HEAD, _FOOT, _WIDTH = 0.19, 1.0, 0.75, 11.5  # inches

Key = tuple[str, str, str, tuple[int, ...], str, str]


def draw(results: Results) -> bytes:
    """Draw the picture; returns the content of a PNG file.

    Each row is an operator on a size, each mark a peer: the bytes that must move by the time taken,
    as a share of the same figure of copying the input. Rows in which a peer is faster than flexpool
    are shaded, and a line leads to the fastest.
    """
    lines = _lines(results)
    height = _HEAD + _FOOT + _ROW * len(lines)
    figure = Figure(figsize=(_WIDTH, height), dpi=130)
    directions = list(dict.fromkeys(row.direction for row in results.rows))
    left, width = 1.45 / _WIDTH, (1 - 1.6 / _WIDTH) / max(1, len(directions))
    bottom, top = _FOOT / height, 1 - _HEAD / height
    rows = {(_key(row), row.direction): row for row in results.rows}
    low = _lowest(results)
    for number, direction in enumerate(directions):
        box = (left + number * width, bottom, width - 0.02, top - bottom)
        axes = figure.add_axes(box)
        _draw_rows(axes, [rows.get((key, direction)) if key else None for key, _ in lines], low)
        _name_rows(axes, lines, named=number == 0)
        axes.set_title(direction, fontsize=11, color=_INK)
    _explain(figure, results, height)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _key(row: Row) -> Key:
    return row.operator, row.case, row.layout, row.shape, row.window, row.dtype


def _lines(results: Results) -> list[tuple[Key | None, str]]:
    """List the lines from the top: a heading for each size, then its operators."""
    keys = list(dict.fromkeys(_key(row) for row in results.rows))
    sizes = list(dict.fromkeys(key[1:] for key in keys))
    lines: list[tuple[Key | None, str]] = []
    for size in sizes:
        case, layout, shape, window, dtype = size
        last = ", channels last" if layout == "channels_last" else ""
        kind = "" if dtype == "float32" else f", {dtype}"
        lines.append((None, f"{case}   {'×'.join(map(str, shape))}, {window}{kind}{last}"))
        lines += [(key, key[0]) for key in keys if key[1:] == size]
    return lines


def _lowest(results: Results) -> float:
    shares = [s for row in results.rows for n in _MARKS if (s := row.share(n)) is not None]
    return min([0.1, *shares]) / 1.4


def _draw_rows(axes: Axes, rows: list[Row | None], low: float) -> None:
    highest = 1.0
    for height, row in enumerate(rows):
        if row is None:
            continue
        shares = {name: share for name in _MARKS if (share := row.share(name)) is not None}
        if row.losses:
            axes.axhspan(height - 0.5, height + 0.5, color=_PALE, linewidth=0)
            best = max(shares[name] for name in row.losses)
            axes.plot([shares[OURS], best], [height] * 2, color=_LOSES, linewidth=2, zorder=2)
        for name, share in shares.items():
            colour, shape = _MARKS[name]
            size = 7.5 if name == OURS else 5.5
            face = colour if name == OURS or shape == "x" else "white"
            axes.plot(
                share,
                height,
                shape,
                markersize=size,
                markerfacecolor=face,
                markeredgecolor=colour,
                markeredgewidth=1.3,
                zorder=4 if name == OURS else 3,
            )
        highest = max([highest, *shares.values()])
    axes.axvline(1, color=_INK, linewidth=1, linestyle=(0, (4, 2)), zorder=1)
    axes.set_xscale("log")
    axes.set_xlim(low, 1.5 * highest)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _name_rows(axes: Axes, lines: list[tuple[Key | None, str]], named: bool) -> None:
    axes.set_yticks([n for n, (key, _) in enumerate(lines) if key])
    axes.set_yticklabels([text for key, text in lines if key] if named else [], fontsize=8)
    for number, (key, text) in enumerate(lines):
        if key is None:
            axes.axhline(number - 0.45, color="0.75", linewidth=0.8)
            if named:
                axes.annotate(
                    text,
                    (0, number + 0.05),
                    xycoords=("axes fraction", "data"),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    fontweight="bold",
                    color=_INK,
                )


def _explain(figure: Figure, results: Results, height: float) -> None:
    """Write what the picture shows, its marks, and the machine."""
    made = results.made_with
    figure.text(
        0.012,
        1 - 0.2 / height,
        "Share of a copy's speed: bytes that must move / time, as a share of Tensor.copy_",
        fontsize=12,
        fontweight="bold",
        color=_INK,
        va="center",
    )
    shown = [name for name in _MARKS if name in results.peers()]
    handles = [_handle(name) for name in shown]
    handles.append(Line2D([], [], color=_LOSES, linewidth=2))
    labels = [PEERS[name].title for name in shown]
    figure.legend(
        handles,
        [*labels, "shaded: another is faster"],
        loc="center",
        bbox_to_anchor=(0.5, 1 - 0.5 / height),
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        handletextpad=0.3,
        columnspacing=1.4,
    )
    versions = made["software"]
    named = [f"{name} {versions[name]}" for name in ("torch", "numba", "onnxruntime")]
    figure.text(
        0.5,
        0.2 / height,
        f"{made['machine']['processor']}, {made['settings']['threads']} threads; "
        f"{', '.join(named)}; {str(results.about['begun'])[:10]}",
        fontsize=8,
        color="0.35",
        ha="center",
        va="center",
    )


def _handle(name: str) -> Line2D:
    colour, shape = _MARKS[name]
    face = colour if name == OURS else "white"
    return Line2D(
        [],
        [],
        linestyle="",
        marker=shape,
        markerfacecolor=face,
        markeredgecolor=colour,
        markersize=7,
    )
