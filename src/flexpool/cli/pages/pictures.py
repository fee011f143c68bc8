"""The pictures of the pages, as PNG files with a palette."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from flexpool.cli.pages import examples
from flexpool.cli.pages.scene import SIDE, scene
from flexpool.declare import Operator, operators
from flexpool.nn.block import Block, blocks

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BLOCKS_SHEET", "OPERATORS_SHEET", "pictures"]

OPERATORS_SHEET = "all_operators"
BLOCKS_SHEET = "all_blocks"
ROW_OF_EIGHT = "eight_operators"

EIGHT = ("avg", "max", "lip", "dpp", "median", "range", "soft", "stochastic")

DPI = 100
PANEL, GAP, HEAD, FOOT = 256, 22, 30, 26  # pixels

INK, PALE = "#222222", "#777777"
LINE_COLOURS = ("#0072B2", "#E69F00", "#009E73")  # Okabe and Ito's
GRADIENT_MAP = "RdBu_r"

TILE, COLUMNS, CLOSE, NAME = 96, 8, 18, 20  # of the sheets
CORNER = slice(64, 96), slice(44, 76)  # the part of a gradient that a sheet shows, 3 times as large

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One part of a picture: what stands above it, and how to draw it."""

    title: str
    draw: Callable[[Axes], str]


def pictures() -> dict[str, Callable[[], bytes]]:
    """Map the names of all pictures to functions that draw them."""
    drawn: dict[str, Callable[[], bytes]] = {
        name: functools.partial(_operator_picture, operator)
        for name, operator in operators().items()
    }
    drawn |= {name: functools.partial(_block_picture, block) for name, block in blocks().items()}
    known = sorted(operators().values(), key=lambda o: (o.family, o.name))
    drawn[OPERATORS_SHEET] = functools.partial(_operators_sheet, known)
    eight = sorted((operators()[name] for name in EIGHT), key=lambda o: (o.family, o.name))
    drawn[ROW_OF_EIGHT] = functools.partial(_operators_sheet, eight)
    drawn[BLOCKS_SHEET] = _blocks_sheet
    return drawn


def _operator_picture(operator: Operator) -> bytes:
    panels = [
        _map("input", scene()),
        _map("result", examples.result(operator)),
        _gradient(examples.gradient(operator)),
    ]
    responses = examples.lines(operator)
    if responses:
        panels.append(Panel("one of four values changes", lambda axes: _plot(axes, responses)))
    return _row(panels)


def _block_picture(block: Block) -> bytes:
    given, results, slope = _run(block)
    outer = "input" if len(given) == SIDE else f"input, {given.shape[0]} × {given.shape[1]}"
    titles = ["result"] if len(results) == 1 else [f"result {n + 1}" for n in range(len(results))]
    made = [
        _map(title, y) if y.ndim == 2 else _profile(title, y)
        for title, y in zip(titles, results, strict=True)
    ]
    return _row([_map(outer, given), *made, _gradient(slope)])


def _run(block: Block) -> tuple[Array, list[Array], Array]:
    """Give a block's input, its results of one image, and the gradient of their sum."""
    import torch

    example = examples.block_example(block)
    x, *others = example.inputs
    x = x.detach().clone().requires_grad_()
    torch.manual_seed(0)
    found = example.module(x, *others)
    results = [
        y for y in (found if isinstance(found, tuple) else (found,)) if y.is_floating_point()
    ]
    total = torch.stack([y.sum() for y in results]).sum()
    shown = [part for y in results for part in _parts(y, x.shape[1])]
    (slope,) = torch.autograd.grad(total, x)
    return _array(x[0, 0]), shown, _array(slope[0, 0])


def _parts(y: Tensor, channels: int) -> list[Array]:
    """Take the parts of a result that are drawn: of a map, those made from the first channel."""
    first = y[0].detach()
    if first.ndim < 3:
        return [_array(first)]
    step = channels if len(first) % channels == 0 else 1
    return [
        _array(part) if min(part.shape) > 1 else _array(part).ravel() for part in first[::step][:4]
    ]


def _array(x: Tensor) -> Array:
    found: Array = x.detach().double().numpy()
    return found


def _map(title: str, values: Array) -> Panel:
    return Panel(title, lambda axes: _draw_map(axes, values))


def _gradient(values: Array) -> Panel:
    return Panel("gradient", lambda axes: _draw_gradient(axes, values))


def _profile(title: str, values: Array) -> Panel:
    return Panel(title, lambda axes: _draw_profile(axes, values))


def _grey(values: Array) -> tuple[float, float]:
    """Choose the values that are black and white: 0 and 1 unless that hides something."""
    low, high = float(values.min()), float(values.max())
    return (0, 1) if low >= -0.005 and high <= 1.005 and high > 0.25 else (min(low, 0), high)


def _draw_map(axes: Axes, values: Array) -> str:
    low, high = _grey(values)
    axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    _bare(axes)
    return f"{values.shape[0]} × {values.shape[1]}, black {_short(low)}, white {_short(high)}"


def _draw_gradient(axes: Axes, values: Array) -> str:
    limit = _limit(values)
    axes.imshow(values, cmap=GRADIENT_MAP, vmin=-limit, vmax=limit, interpolation="nearest")
    _bare(axes)
    return f"blue {_short(-limit)}, white 0, red {_short(limit)}"


def _limit(values: Array) -> float:
    """Choose the largest gradient that has a colour of its own: few elements may be beyond it.

    Where all are about the same it is twice as large, so that they are not at the end of the scale.
    """
    size = np.abs(values)
    if not (size > 0).any():
        return 1.0
    return float(max(np.quantile(size[size > 0], 0.99), 2 * np.median(size)))


def _draw_profile(axes: Axes, values: Array) -> str:
    axes.bar(np.arange(len(values.ravel())), values.ravel(), width=1, color=LINE_COLOURS[0])
    axes.margins(x=0)
    _plain(axes)
    return f"{values.size} numbers"


def _plot(axes: Axes, responses: Sequence[examples.Response]) -> str:
    t = responses[-1].t
    others = np.array([0.2, 0.5, 0.8])
    axes.plot(t, np.maximum(t, others.max()), color="0.75", linewidth=1.2, linestyle=(0, (4, 2)))
    axes.plot(t, (t + others.sum()) / 4, color="0.75", linewidth=1.2, linestyle=(0, (1, 1.5)))
    for response, colour in zip(responses, LINE_COLOURS, strict=False):
        look = {"marker": ".", "linestyle": ""} if response.dots else {"linewidth": 2}
        axes.plot(response.t, response.y, color=colour, label=response.label, **look)
    if len(responses) > 1:
        axes.legend(frameon=False, fontsize=9, loc="upper left", handlelength=1.2)
    axes.margins(x=0)
    axes.set_xticks([-1, 0, 1, 2])
    _plain(axes)
    return "the others are 0.2, 0.5, 0.8"


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=9, colors=PALE, length=3, pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.7")


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _short(number: float) -> str:
    return f"{number:.{'2g' if abs(number) < 100 else '0f'}}".replace("-", "−")


def _row(panels: Sequence[Panel]) -> bytes:
    """Put panels beside each other, 256 pixels each, or less where they are many."""
    side = PANEL if len(panels) <= 4 else 4 * PANEL // len(panels)
    width = len(panels) * (side + GAP) + GAP
    height = HEAD + side + FOOT
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    for number, panel in enumerate(panels):
        left = GAP + number * (side + GAP)
        axes = figure.add_axes((left / width, FOOT / height, side / width, side / height))
        below = panel.draw(axes)
        if axes.axison and len(axes.get_xticks()):  # room for the numbers at its axes
            box = ((left + 24) / width, (FOOT + 16) / height)
            axes.set_position((*box, (side - 26) / width, (side - 18) / height))
        middle = (left + side / 2) / width
        size = 11 if side == PANEL else 9
        write = functools.partial(figure.text, middle, ha="center", va="center")
        write(1 - HEAD / 2 / height, panel.title, fontsize=size, color=INK)
        write(FOOT / 2 / height, below, fontsize=size - 2, color=PALE)
    return _png(figure)


def _operators_sheet(known: Sequence[Operator]) -> bytes:
    """Draw results and gradients of operators, family by family."""
    tiles = [(o.name, o.family, examples.result(o), examples.gradient(o)) for o in known]
    return _sheet(tiles)


def _blocks_sheet() -> bytes:
    known = sorted(blocks().values(), key=lambda b: (b.family, b.name))
    tiles = []
    for block in known:
        _, results, slope = _run(block)
        tiles.append((block.name, block.family, results[0], slope))
    return _sheet(tiles)


def _sheet(tiles: Sequence[tuple[str, str, Array, Array]]) -> bytes:
    rows = -(-len(tiles) // COLUMNS)
    step, row = TILE + CLOSE, 2 * TILE + 2 + 2 * NAME + CLOSE
    width, height = COLUMNS * step + CLOSE, rows * row + CLOSE
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    before = ""
    for number, (name, family, result, slope) in enumerate(tiles):
        left = CLOSE + number % COLUMNS * step
        top = height - CLOSE - number // COLUMNS * row
        if family != before or number % COLUMNS == 0:
            place = (left / width, (top - NAME / 2) / height)
            figure.text(*place, family, fontsize=8, color=LINE_COLOURS[0], va="center")
        before = family
        place = (left / width, (top - 1.4 * NAME) / height)
        figure.text(*place, name, fontsize=8 if len(name) < 16 else 6, color=INK, va="center")
        for drawn, values, below in ((_draw_tile, result, 1), (_draw_gradient, slope, 2)):
            bottom = top - 2 * NAME - below * TILE - (below - 1) * 2
            axes = figure.add_axes((left / width, bottom / height, TILE / width, TILE / height))
            drawn(axes, values if drawn is _draw_tile or len(values) < SIDE else values[CORNER])
    return _png(figure)


def _draw_tile(axes: Axes, values: Array) -> str:
    if values.ndim < 2:
        _draw_profile(axes, values)
        _bare(axes)
        return ""
    return _draw_map(axes, values)


def _png(figure: Figure) -> bytes:
    """Write a figure with few colours, the same for all pictures, which makes the file small."""
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", facecolor="white")
    with Image.open(drawn) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.int64)
    found, where = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    palette = _palette()
    nearest = np.abs(found[:, None] - palette).sum(2).argmin(1).astype(np.uint8)
    reduced = Image.fromarray(nearest[where].reshape(pixels.shape[:2]), mode="P")
    reduced.putpalette(palette.ravel().tolist())
    reduced.save(small, format="PNG", optimize=True)
    return small.getvalue()


@functools.cache
def _palette() -> NDArray[np.int64]:
    """Choose 128 colours: greys, those of gradients, and each line's with paler ones."""
    greys = np.linspace(0, 1, 52)[:, None].repeat(3, axis=1)
    slopes = colormaps[GRADIENT_MAP](np.linspace(0, 1, 61))[:, :3]
    shares = np.linspace(0.2, 1, 5)[:, None]
    lines = [1 - shares * (1 - np.array(to_rgb(color))) for color in LINE_COLOURS]
    colours: NDArray[np.float64] = np.concatenate([greys, slopes, *lines])
    return np.rint(255 * colours).astype(np.int64)
