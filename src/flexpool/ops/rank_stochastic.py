r"""Draw one value of each window, large ones more often; evaluation takes their weighted mean.

$$ P(y = x_{(r)}) = p_r = \frac{a (1 - a)^r}{1 - (1 - a)^n}, \qquad
   y_{\mathrm{eval}} = \sum_r p_r\, x_{(r)} $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order.

Args:
    a: a number > 0 and <= 1, without unit. Default 0.5; 1 takes the maximum, small values make all
        ranks equally likely. A module does not train it unless told to.
    training: whether to draw, True or False. Default True; a module passes its own mode.

Note:
    The paper's RSP; evaluation is ``rank_weighted``. The probabilities add up to 1 over the ranks
    that a window has, so some rank is always drawn. Its element gets the whole gradient; a gets one
    in evaluation only. The draw depends on the seed and the window's number alone. Values that tie
    are ordered by position. NaN propagates; a window without any element gives 0 in training, NaN
    in evaluation.

Use:
    To regularise by noise where values may be negative or of any scale: only ranks decide.

Disagreement:
    The paper's probabilities $a (1 - a)^r$ add up to less than 1; where no rank is drawn, 6 % of
    all 2 by 2 windows for a = 0.5, the authors' program writes no result. Here they are divided by
    their sum.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[4.0, 1.0]]])
    >>> flexpool.rank_stochastic_pool(x, 2, training=False)  # 2/3 * 4 + 1/3 * 1
    array([[[3.]]])

Reference:
    Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural Networks
    83.
"""

from flexpool.declare import Option, Param, Random, operator
from flexpool.math import isnan, minimum, where


@operator(
    paper="Shi, Ye, Wu (2016), Rank-based pooling for deep convolutional neural networks, Neural "
    "Networks 83",
    family="random",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"a=1": "max"},
)
def rank_stochastic(
    x, u=Random(), a=Param(0.5, above=0, at_most=1, learnable=False), training=Option(True)
):
    rank = x.rank()
    if not training:
        w = (1 - a) ** rank
        return (w * x).sum() / w.sum()
    passed = 1 - (1 - a) ** (rank + 1) <= u * (1 - (1 - a) ** x.count())
    drawn = minimum(where(passed, 1, 0).sum(), x.count() - 1)
    return where((rank == drawn) | isnan(x), x, 0).sum()
