r"""Average the k largest values of each window.

$$ y = \frac{1}{K} \sum_{r < K} x_{(r)}, \qquad K = \min(k, n) $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order.

Args:
    k: how many, an int >= 1. Default 2; 1 is ``max``, the size of the window or more is ``avg``.

Note:
    A window with fewer than k elements, as at the border, averages those it has. Values that tie
    are ordered by position; those among the k share the gradient equally. NaN propagates; a window
    without any element gives NaN.

Use:
    Between ``max`` and ``avg``, with a gradient for k values instead of one. For many instances
    take it globally, with a larger k.

Disagreement:
    ``rank_average`` is the same operator from an earlier paper.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.topk_pool(np.array([[[9.0, 1.0, 5.0, 2.0]]]), 4)  # (9 + 5) / 2
    array([[[7.]]])

Reference:
    Özdemir (2023), Avg-topk: A new pooling method for convolutional neural networks, Expert Systems
    with Applications 223.
"""

from flexpool.declare import Option, operator
from flexpool.math import minimum, where


def is_count(value: object) -> bool:
    """Tell whether a value is an int >= 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


@operator(
    paper="Özdemir (2023), Avg-topk: A new pooling method for convolutional neural networks, "
    "Expert Systems with Applications 223",
    family="rank",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"k=1": "max", "k=99": "avg"},
)
def topk(x, k=Option(2, choices=is_count, rule="an int >= 1")):
    return where(x.rank() < k, x, 0).sum() / minimum(x.count(), k)
