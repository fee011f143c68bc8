r"""Average each window with weights that fall geometrically from rank to rank.

$$ y = \frac{\sum_r (1 - a)^r\, x_{(r)}}{\sum_r (1 - a)^r} $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order.

Args:
    a: a number > 0 and <= 1, without unit. Default 0.5; 1 takes the maximum, small values come near
        the average. A module may train it, per channel too.
    literal: whether to take the weights $a (1 - a)^r$ as the paper has them, True or False. Default
        False. Their sum is $1 - (1 - a)^n$, so that equal values give a smaller one.

Note:
    The paper's RWP. At the border the weights are those of the ranks that are there. Values that
    tie are ordered by position. NaN propagates; a window without any element gives NaN, with
    literal 0.

Use:
    Where larger values should count more, whatever their scale.

Disagreement:
    The paper does not divide by the sum of the weights, so equal values shrink, by 6 % in a window
    of 2 by 2 for a = 0.5; ``literal`` does that too.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[4.0, 1.0]]])
    >>> [flexpool.rank_weighted_pool(x, 2, literal=how) for how in (False, True)]
    [array([[[3.]]]), array([[[2.25]]])]

Reference:
    Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural Networks
    83.
"""

from flexpool.declare import Option, Param, operator


@operator(
    paper="Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural "
    "Networks 83",
    family="rank",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"a=1": "max", "a=1e-12": "avg"},
)
def rank_weighted(x, a=Param(0.5, above=0, at_most=1), literal=Option(False)):
    w = (1 - a) ** x.rank()
    if literal:
        return a * (w * x).sum()
    return (w * x).sum() / w.sum()
