r"""Average each window with one weight per rank, learned: an ordered weighted average.

$$ y = \sum_r p_r\, x_{(r)}, \qquad p_r = \frac{\max(w_r, 0)}{\sum_s \max(w_s, 0)}
   \quad\text{or}\quad p_r = \frac{e^{w_r}}{\sum_s e^{w_s}} $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order and
$w_r$ the weights of their ranks.

Args:
    weight: $w$, an array of one number per element of the kernel, the first for the largest value,
        or of (channels, elements), without unit. Required by functions; a module starts with equal
        weights, the average, and trains it.
    form: "projection" for the first of the two formulas, "softmax" for the second. Default
        "projection".

Note:
    Either form keeps every $p_r \ge 0$ and their sum 1. Where training has carried a weight below 0
    it counts as 0, and its gradient is the one at 0, so that it can come back; if no weight is
    positive all ranks count the same. At the border, a window of n elements has the first n ranks,
    and both sums go over these. Values that tie are ordered by position. NaN propagates; a window
    without any element gives NaN.

Use:
    Where the order of the values should decide, and the data how: average, maximum, minimum and
    median are special cases.

Disagreement:
    How weights stay >= 0 with sum 1: the authors' program projects after every step, others take a
    softmax, which cannot reach 0; ``form`` has both. The authors start from random weights; here
    the start is the average.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x, weight = np.array([[[4.0, 9.0, 1.0]]]), np.array([1.0, 1.0, 0.0])
    >>> flexpool.ordinal_pool(x, 3, weight=weight)
    array([[[6.5]]])

Reference:
    Deliège, Istasse, Kumar, De Vleeschouwer, Van Droogenbroeck (2019), Ordinal pooling, BMVC,
    arXiv:2109.01561.
"""

import math

import numpy as np
from numpy.typing import NDArray

from flexpool.declare import Option, RankWeight, operator
from flexpool.math import exp, where


def equal(kernel_size: tuple[int, ...]) -> NDArray[np.float64]:
    """Give all ranks the same weight."""
    count = math.prod(kernel_size)
    return np.full(count, 1 / count)


@operator(
    paper="Deliège, Istasse, Kumar, De Vleeschouwer, Van Droogenbroeck (2019), Ordinal pooling, "
    "BMVC, arXiv:2109.01561",
    family="rank",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
)
def ordinal(
    x,
    weight=RankWeight(first=equal),
    form=Option("projection", choices=("projection", "softmax")),
):
    w = weight.by_rank_of(x)
    if form == "softmax":
        p = exp(w - w.max().detach())
    else:
        positive = where(w < 0, 0, w)
        p = w + (where(positive.sum() > 0, positive, 1) - w).detach()
    return (p * x).sum() / p.sum()
