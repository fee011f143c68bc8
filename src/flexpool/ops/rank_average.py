r"""Average the t largest values of each window.

$$ y = \frac{1}{\min(t, n)} \sum_{r < t} x_{(r)} $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order.

Args:
    t: how many values, an int > 0. Default 2. A window with fewer elements is averaged.

Note:
    The paper's RAP. Each value that is taken gets the same share of the gradient; values that tie
    are taken by position. NaN propagates; a window without any element gives NaN.

Use:
    Between maximum and average, with a gradient for t values; one outlier cannot decide alone.

Disagreement:
    How many: the authors' program takes 5 unless told otherwise, here it is 2. ``topk`` is the same
    operator from another paper.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.rank_average_pool(np.array([[[1.0, 8.0, 4.0]]]), 3, t=2)
    array([[[6.]]])

Reference:
    Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural Networks
    83.
"""

from flexpool.declare import Option, operator
from flexpool.math import minimum, where


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@operator(
    paper="Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural "
    "Networks 83",
    family="rank",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"t=1": "max", "t=1000": "avg"},
)
def rank_average(x, t=Option(2, choices=_counts, rule="an int > 0")):
    return where(x.rank() < t, x, 0).sum() / minimum(x.count(), t)
