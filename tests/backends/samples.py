"""What the backends' tests share: formulas that use every kind of node, windows, arrays."""

from __future__ import annotations

import math

import numpy as np

from flexpool.backends.task import Geometry
from flexpool.declare import (
    OnInput,
    OnOutput,
    Operator,
    Param,
    Random,
    RankWeight,
    Weight,
    operator,
    operators,
)
from flexpool.ir import Graph
from flexpool.math import (
    clip,
    exp,
    expm1,
    floor,
    isnan,
    log,
    log1p,
    maximum,
    minimum,
    sigmoid,
    sign,
    sqrt,
    tanh,
    where,
)
from flexpool.window import adaptive_window, global_window, window

__all__ = ["ALL", "FORMULAS", "WINDOWS", "arrays", "gradient", "special"]

SEED = 2**40 + 7


def ranked(x, k=1):
    order = x.rank()
    return where(order <= k, x * (order + 1), 0).sum() + (x.max() + k).rank().sum()


def ordered(x, w=RankWeight(), v=RankWeight(), a=Param(0.7)):
    share = w.by_rank_of(x)
    kept = share / share.sum()
    return (kept * x + w.by_rank_of(x) * a).sum() + (v.by_rank_of(-x) * exp(x)).max()


def unread(x, w=RankWeight(), v=RankWeight()):
    return x.sum() + 0 * w.by_rank_of(x).sum()


def running(x):
    return (x.cumsum() * x).sum() + x.max().cumsum().sum() / 2


def placed(x, w=Weight(), v=Weight()):
    return (w * x * (x.tap() + 1)).sum() / w.sum() + v.max() * x.tap().max() + (v * x).min()


def relative(x, centre=OnOutput(), beside=OnInput()):
    return ((x - centre) ** 2).sum() + (beside * beside).max() * centre


def noisy(x, u=Random()):
    return x.max() * u - u


def smooth(x, a=Param(0.7)):
    curved = sigmoid(a * x) * tanh(x) + sqrt(exp(x)) + log(x * x + a)
    return (curved + expm1(a * x) * log1p(x * x)).sum() / x.count()


def power(x, p=Param(2.5, above=0)):
    return (abs(x) ** p).sum() ** (1 / p)


def limited(x, low=-0.4, high=Param(0.6)):
    ends = minimum(x.max(), high) + (x.min() < low) * 2
    return clip(x, low, high).sum() + maximum(x, low * x).sum() + ends


def counted(x):
    return x.sum() / x.count(padding=True) + x.count() + maximum(x.min(), log(0))


def chosen(x):
    middle = ~(x.first_max() | x.first_min()) & (x != 0.25)
    return where(middle, x, -x).sum() + x.argmax() * 10 + x.argmin()


def signs(x):
    return where(isnan(sign(x)), 5, sign(x)).sum()


def held(x):
    known = ~isnan(x).detach()
    return where(known, x.detach() * x, 0).sum() + floor(x * 3).sum() + (x <= 0.5).max()


def drawn(x, u=Random()):
    return 2 * u


FORMULAS = {
    formula.__name__: operator(formula)
    for formula in (
        *(ranked, running, placed, relative, noisy, smooth, power, limited, counted, chosen),
        *(signs, held, drawn, ordered, unread),
    )
}
ALL: dict[str, Operator] = {**operators(), **FORMULAS}

WINDOWS = {
    "1d-k2": (window(1, 2), (7,)),
    "1d-k3s2p1d2-ceil": (window(1, 3, 2, 1, 2, ceil_mode=True), (8,)),
    "1d-without-elements": (window(1, 2, 1, padding=1, dilation=4), (3,)),
    "2d-k2": (window(2, 2), (5, 4)),
    "2d-k3s1d(1,2)": (window(2, 3, 1, 0, (1, 2)), (4, 5)),
    "2d-k3s2p1": (window(2, 3, 2, 1), (5, 4)),
    "2d-k(3,2)-same": (window(2, (3, 2), (2, 1), "same"), (4, 3)),
    "2d-k2s(3,1)-ceil": (window(2, 2, (3, 1), ((0, 1), (1, 0)), ceil_mode=True), (5, 3)),
    "3d-k2": (window(3, 2), (3, 2, 4)),
    "3d-k(2,1,3)p1": (window(3, (2, 1, 3), 1, ((1, 0), (0, 0), (1, 1))), (2, 3, 3)),
    "adaptive-uneven": (adaptive_window(2, (3, 2)), (5, 4)),
    "adaptive-even": (adaptive_window(2, (2, None)), (4, 3)),
    "adaptive-more": (adaptive_window(1, 5), (3,)),
    "global": (global_window(2), (3, 2)),
    "global-3d": (global_window(3), (2, 2, 2)),
}


def arrays(op: Operator, geometry: Geometry, batch: tuple[int, int], seed: int = 0) -> dict:
    """Make all that the forward and the gradient graph of an operator read."""
    rng = np.random.default_rng(seed)
    found = {
        "x": rng.standard_normal((*batch, *geometry.sizes)),
        "grad_y": rng.standard_normal((*batch, *geometry.output_shape)),
    }
    for name, argument in op.values.items():
        if isinstance(argument, Random):
            found[name] = SEED
        elif isinstance(argument, OnInput):
            found[name] = rng.standard_normal((*batch, *geometry.sizes))
        elif isinstance(argument, OnOutput):
            found[name] = rng.standard_normal((*batch, *geometry.output_shape))
        elif isinstance(argument, Weight):
            found[name] = rng.uniform(0.5, 1.0, (batch[1], geometry.positions))
        else:
            found[name] = rng.uniform(0.5, 1.0, batch[1])
    return found


def special(x: np.ndarray) -> np.ndarray:
    """Put ties, zeros, infinities and NaN among numbers."""
    rng = np.random.default_rng(1)
    kinds = np.array([0.0, -0.0, 1.0, 1.0, -1.0, math.inf, -math.inf, math.nan])
    return np.where(rng.random(x.shape) < 0.6, rng.choice(kinds, x.shape), np.round(x))


def gradient(op: Operator) -> Graph:
    """Differentiate with respect to everything."""
    drawn = [name for name, argument in op.values.items() if isinstance(argument, Random)]
    return op.gradient(("x", *(name for name in op.values if name not in drawn)))
