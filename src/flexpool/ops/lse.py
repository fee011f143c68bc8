r"""Take a smooth maximum of each window: the logarithm of the mean of exponentials, divided by r.

$$ y = \frac{1}{r} \ln \Bigl( \frac{1}{n} \sum_i e^{r x_i} \Bigr) $$

with $x_i$ the $n$ values of the window; for $r = 0$ the limit, their mean.

Args:
    r: sharpness, a finite number, in units of 1/x. Default 1; 0 averages, a large one comes near
    the
        maximum, a large negative one near the minimum. A module may train it, per channel too.

Note:
    Log-sum-exp pooling, in its mean form. Computed from the distances to the value of the largest
    exponential (the minimum where r < 0), so nothing overflows. Where r times the range is below
    0.2 the logarithm would lose its digits; there y comes from series of $(e^{r d} - 1) / r$ and of
    $\ln(1 + u) / r$, which have no division by r. NaN propagates. An infinity gives NaN, or has no
    share where its exponential is 0. A window without any element gives NaN.

Use:
    For a smooth maximum whose gradient reaches all values, as where one patch of many decides an
    image's label.

Disagreement:
    Mean or sum inside the logarithm: with the sum, equal values give more than that value. And
    where r starts: here at 1, in timm at 10. Programs that always subtract the maximum give -inf
    for r far below 0, and lose all digits for r near 0.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.log(np.array([[[1.0, 3.0]]]))
    >>> np.exp(flexpool.lse_pool(x, 2))  # (1 + 3) / 2
    array([[[2.]]])

Reference:
    Pinheiro, Collobert (2015), From image-level to pixel-level labeling with convolutional
    networks, CVPR, arXiv:1411.6228.
"""

import functools
import math
from typing import Any

from flexpool.declare import Param, operator
from flexpool.math import alike, exp, log, where

# Taylor coefficients of (e^z - 1) / z, and of artanh(v) / v by the powers of v^2. Where |z| is
# below 0.2, |v| is below 0.11, and what is left out is below the last digit of a double.
_GROWTH = tuple(1 / math.factorial(k + 1) for k in range(11))
_ARTANH = tuple(1 / (2 * k + 1) for k in range(8))


def _series(coefficients: tuple[float, ...], z: Any) -> Any:
    return functools.reduce(lambda value, c: value * z + c, reversed(coefficients))


def _top(x: Any, r: Any) -> Any:
    return where(r < 0, x.min(), x.max()).detach()


def log_mean_exp(x: Any, r: Any) -> Any:
    """Give the formula for values of a window other than the input's own."""
    top = _top(x, r)
    d = x - top
    near = ~(abs(r) * (x.max() - x.min()) >= 0.2)  # of an empty window too
    sharp = where(near, where(r < 0, -1, 1), r)
    smooth = where(near, d, 0)
    growth = (smooth * _series(_GROWTH, r * smooth)).mean()  # of (e^(r d) - 1) / r
    half = growth / (2 + r * growth)
    v = r * half
    close = 2 * half * _series(_ARTANH, v * v)  # ln(1 + r growth) / r
    return top + where(near, close, log(exp(sharp * d).mean()) / sharp)


@operator(
    paper="Pinheiro, Collobert (2015), From image-level to pixel-level labeling with convolutional "
    "networks, CVPR, arXiv:1411.6228",
    family="power",
    laws=("permutation", "between", "shift", "monotone", "constant"),
    limits={"r=0": "avg", "r=1e-12": "avg", "r=1e9": "max", "r=-1e9": "min"},
)
def lse(x, r=Param(1.0)):
    # The slope along x is a share of exponentials, which has its digits for every r but 0.
    some = where(r == 0, 1, r)
    slope = where(r == 0, x.mean(), log(exp(some * (x - _top(x, r))).mean()) / some)
    return alike(log_mean_exp(x, r), slope)
