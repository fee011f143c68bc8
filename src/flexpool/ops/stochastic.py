r"""Draw one value of each window with probability proportional to it; evaluation takes their mean.

$$ P(y = x_i) = p_i = \frac{\max(x_i, 0)}{\sum_j \max(x_j, 0)}, \qquad
   y_{\mathrm{eval}} = \sum_i p_i x_i $$

with $x_i$ the values of the window.

Args:
    training: whether to draw, True or False. Default True; a module passes its own mode.

Note:
    Where no value is positive, all are equally likely. The element that was drawn gets the whole
    gradient; in evaluation the positive ones get $(2 x_i - y) / \sum_j \max(x_j, 0)$. The draw
    depends on the seed and the window's number alone. Computed with weights divided by the largest,
    so nothing overflows. NaN propagates; an infinity gives inf in training, NaN in evaluation. A
    window without any element gives 0 in training, NaN in evaluation.

Use:
    To regularise small networks, on values >= 0 as after a ReLU; evaluation draws nothing.

Disagreement:
    What becomes of negative values, on which the paper is silent. Here they are never drawn, unless
    no value is positive. Programs have left results unwritten, put 0 in the place of a negative
    draw, or drawn all values with equal probability.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[1.0, 3.0, -4.0]]])
    >>> flexpool.stochastic_pool(x, 3, training=False)  # 1/4 * 1 + 3/4 * 3
    array([[[2.5]]])

Reference:
    Zeiler, Fergus (2013), Stochastic pooling for regularization of deep convolutional neural
    networks, ICLR, arXiv:1301.3557.
"""

from flexpool.declare import Option, Random, operator
from flexpool.math import isnan, where


@operator(
    paper="Zeiler, Fergus (2013), Stochastic pooling for regularization of deep convolutional "
    "neural networks, ICLR, arXiv:1301.3557",
    family="random",
    laws=("between", "scale", "constant"),
)
def stochastic(x, u=Random(), training=Option(True)):
    w = where(x > 0, x, 0)
    top = w.max().detach()
    w = where(top > 0, w / top, 1)
    if not training:
        return (w * x).sum() / w.sum()
    total = w.cumsum()
    drawn = (total > u * total.max()).first_max()
    return where(drawn | isnan(w) | isnan(x), x, 0).sum()
