"""What operators and blocks are given for their pictures, and the words for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flexpool.cli.pages.scene import scene
from flexpool.declare import OnInput, OnOutput, Operator, Random, RankWeight, Weight
from flexpool.functional import pool, pool_backward
from flexpool.ops.blur import binomial

if TYPE_CHECKING:
    from torch import Tensor, nn

    from flexpool.nn.block import Block

__all__ = [
    "WINDOW",
    "BlockExample",
    "Response",
    "block_example",
    "gradient",
    "lines",
    "result",
    "words",
]

Array = NDArray[np.float64]

WINDOW = 4  # pixels, and the stride as many
SEED = 0

# Settings that show more than the defaults do. An operator that is not listed has its defaults.
SHOWN: Mapping[str, Mapping[str, Any]] = {
    "auto": {"beta": 4.0},
    "boltzmann": {"beta": 8.0},
    "dpp": {"lambda_": 2.0},
    "dpp_guided": {"lambda_": 2.0},
    "fuzzy": {"top": 1.0},
    "lse": {"r": 10.0},
    "power": {"alpha": 3.0},
    "subsampling": {"coefficient": 1.5, "bias": -0.25, "squash": "tanh"},
    "topk": {"k": 4},
}

# One argument, and the values whose responses are drawn beside each other.
VARIED: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "ada": ("beta", (0.0, 0.5, 1.0)),
    "auto": ("beta", (-4.0, 0.0, 4.0)),
    "boltzmann": ("beta", (-8.0, 1.0, 8.0)),
    "dpp": ("lambda_", (-4.0, 0.0, 2.0)),
    "dpp_guided": ("lambda_", (-4.0, 0.0, 2.0)),
    "fuzzy": ("top", (1.0, 2.0)),
    "gaussian": ("eta", (-1.0, 1.0, 2.0)),
    "gem": ("p", (1.0, 3.0, 10.0)),
    "learned_norm": ("center", (0.0, 0.5, 1.0)),
    "lehmer": ("q", (0.0, 1.0, 4.0)),
    "lp": ("p", (1.0, 2.0, 8.0)),
    "lse": ("r", (-10.0, 1.0, 10.0)),
    "max_entropy": ("beta", (0.0, 0.5, 4.0)),
    "mixed": ("a", (0.0, 0.5, 1.0)),
    "power": ("alpha", (-9.0, -1.0, 3.0)),
    "rank_average": ("t", (1, 2, 3)),
    "rank_weighted": ("a", (0.1, 0.5, 0.9)),
    "subsampling": ("squash", (None, "sigmoid", "tanh")),
    "t_max_avg": ("threshold", (0.5, 1.0)),
    "topk": ("k", (1, 2, 3)),
}


def result(operator: Operator) -> Array:
    """Pool the test picture."""
    x = scene()[None, None]
    pooled: Array = pool(
        x, operator, WINDOW, backend="eager", **_drawn(operator), **_settings(operator, x)
    )
    only: Array = pooled[0, 0]
    return only


def gradient(operator: Operator) -> Array:
    """Give the gradient of the sum of all results with respect to the test picture."""
    x = scene()[None, None]
    side = x.shape[-1] // WINDOW
    given = {**_drawn(operator), **_settings(operator, x)}
    ones = np.ones((1, 1, side, side))
    found: Array = pool_backward(ones, x, operator, WINDOW, backend="eager", **given)["x"][0, 0]
    return found


def words(operator: Operator) -> list[str]:
    """Say what the picture was made with, where that is not a default."""
    said = [f"`{name}` is {_plain(value)}" for name, value in SHOWN.get(operator.name, {}).items()]
    for name, argument in operator.values.items():
        if isinstance(argument, Random):
            said.append(f"the seed is {SEED}, in training")
        elif argument.required:
            said.append(f"`{name}` is {_example(argument)[0]}")
    return said


def _drawn(operator: Operator) -> dict[str, Any]:
    random = any(isinstance(argument, Random) for argument in operator.values.values())
    return {"seed": SEED} if random else {}


def _settings(operator: Operator, x: Array) -> dict[str, Any]:
    kernel = (WINDOW,) * (x.ndim - 2)
    made = {
        name: _example(argument)[1](x, kernel, number)
        for number, (name, argument) in enumerate(operator.values.items())
        if argument.required and not isinstance(argument, Random)
    }
    return {**SHOWN.get(operator.name, {}), **made}


def _example(argument: Any) -> tuple[str, Callable[[Array, tuple[int, ...], int], Any]]:
    """Choose something for an argument that has no default: words, and a function."""
    if isinstance(argument, OnInput):
        return "10 times a pixel's distance from the mean around it", _contrast
    if isinstance(argument, OnOutput):
        return "the mean of the 8 × 8 pixels around each window", _around
    if isinstance(argument, RankWeight):
        return "1, 1/2, 1/4 and so on, from the largest value down", _halved
    if isinstance(argument, Weight) and callable(argument.first):
        first = argument.first
        return (
            "what a module starts with, up to 1/2 less towards the corners of the window",
            lambda x, kernel, number: first(kernel) - 0.5 * (1 - _hill(kernel)),
        )
    if isinstance(argument, Weight) and argument.first is not None:
        deviation: Any = argument.first
        return (
            "drawn as a module draws it",
            lambda x, kernel, number: np.random.default_rng(number).normal(0, deviation, kernel),
        )
    return "1", lambda x, kernel, number: 1.0


def _contrast(x: Array, kernel: tuple[int, ...], number: int) -> Array:
    mean = pool(x, "avg", 3, 1, 1, backend="eager", count_include_pad=False)
    contrast: Array = 10 * abs(x - mean)
    return contrast


def _around(x: Array, kernel: tuple[int, ...], number: int) -> Array:
    if x.ndim < 4:
        return np.full((*x.shape[:-1], 1), 0.5)
    wide, before = 2 * WINDOW, WINDOW // 2
    pooled: Array = pool(x, "avg", wide, WINDOW, before, backend="eager", count_include_pad=False)
    return pooled


def _halved(x: Array, kernel: tuple[int, ...], number: int) -> Array:
    return 0.5 ** np.arange(np.prod(kernel), dtype=float)


def _hill(kernel: tuple[int, ...]) -> Array:
    weights = binomial(kernel)
    hill: Array = weights / weights.max()
    return hill


@dataclass(frozen=True)
class Response:
    """What an operator gives while one of four values changes.

    Attributes:
        label: the setting.
        t: the value that changes.
        y: the results.
        dots: whether to draw single results, which were drawn at random, instead of a line.
    """

    label: str
    t: Array
    y: Array
    dots: bool = False


def lines(operator: Operator) -> list[Response]:
    """Compute the responses that the picture shows; none for an operator with a second input."""
    if any(isinstance(argument, OnInput) for argument in operator.values.values()):
        return []
    if _drawn(operator):
        few, many = _values(61), _values(301)
        found = [Response("drawn", few[:, 0, 0], _response(operator, few), dots=True)]
        if "training" in operator.options:
            y = _response(operator(training=False), many)
            found.append(Response("evaluation", many[:, 0, 0], y))
        return found
    x = _values(301)
    if operator.name not in VARIED:
        return [Response(operator.name, x[:, 0, 0], _response(operator, x))]
    name, values = VARIED[operator.name]
    return [
        Response(f"{name} = {_plain(value)}", x[:, 0, 0], _response(operator, x, {name: value}))
        for value in values
    ]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(count: int) -> Array:
    """Give windows of four values, the first of which goes from -1 to 2."""
    others = np.array([0.2, 0.5, 0.8])
    return np.stack([np.array([t, *others]) for t in np.linspace(-1, 2, count)])[:, None]


def _response(operator: Operator, x: Array, varied: Mapping[str, Any] | None = None) -> Array:
    given = {**_drawn(operator), **_settings(operator, x), **(varied or {})}
    given.update(operator.bound)
    y: Array = pool(x, operator, WINDOW, backend="eager", **given)[:, 0, 0]
    return y


@dataclass(frozen=True)
class BlockExample:
    """A block with what it is called with for its picture.

    Attributes:
        module: the block.
        inputs: the first is the one that is drawn and differentiated.
        how: how it is set, in words.
        what: what the first input is, in words.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    how: str
    what: str = "the test picture"


def block_example(block: Block) -> BlockExample:
    """Make a block's example: as the layer of a net, as listed here, or its own sample."""
    import torch

    torch.manual_seed(SEED)
    if block.name in _APART:
        return _APART[block.name](block)
    if block.layer is None:
        module, inputs = block.sample()
        return BlockExample(module.eval(), inputs, "", "a small map")
    module = block.layer(2, 2, 2).train(block.random)
    random = f", seed {SEED}, in training" if block.random else ""
    how = f"stride 2{random}; the first of two channels"
    x = _pictures(2)
    return BlockExample(module, (torch.cat([x, x.flip(-1)]),), how)  # some normalise over images


def _pictures(channels: int) -> Tensor:
    import torch

    picture = torch.from_numpy(scene().astype(np.float32))
    return torch.stack([picture, picture.flip(0)][:channels])[None]


def _alone(block: Block, *, how: str, given: tuple[Any, ...] = ()) -> BlockExample:
    return BlockExample(block.module(*given), (_pictures(1),), how)


def _ada_unpool(block: Block) -> BlockExample:
    x = _pictures(1)
    pooled = pool(x, "ada", WINDOW, backend="eager")
    return BlockExample(block.module(WINDOW), (pooled, x), "", "what `ada` left of 4 × 4 windows")


def _aps_unpool(block: Block) -> BlockExample:
    from flexpool.nn import APSPool2d

    inputs = APSPool2d(2, return_phase=True)(_pictures(1))
    return BlockExample(block.module(2), inputs, "", "what `aps` kept with stride 2")


def _max_unpool(block: Block) -> BlockExample:
    from torch.nn.functional import max_pool2d

    inputs = max_pool2d(_pictures(1), WINDOW, return_indices=True)
    return BlockExample(block.module(WINDOW), inputs, "", "the maxima of 4 × 4 windows")


_windows = functools.partial(_alone, given=(WINDOW,), how="4 × 4 windows, stride 4")

_APART: Mapping[str, Callable[[Block], BlockExample]] = {
    "ada_unpool": _ada_unpool,
    "aps_unpool": _aps_unpool,
    "catavgmax": _windows,
    "diff_stride": functools.partial(_alone, given=(2.0,), how="stride 2, as training begins"),
    "max_min": _windows,
    "max_unpool": _max_unpool,
    "spp": functools.partial(_alone, how="1, 4 and 16 bins"),
    "sppf": functools.partial(_alone, how="the defaults"),
    "strip": functools.partial(_alone, how="rows, then columns"),
}
