r"""Average each window with the weights x^q, so that large values count most.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \qquad w_i = \max(x_i, 0)^q $$

with $x_i$ the values of the window.

Args:
    q: exponent, a number >= 0, without unit. Default 1; 0 averages, a large one comes near the
        maximum. A module may train it, per channel too.

Note:
    The Lehmer mean of order q + 1; power pooling, where q is learned. With q = 1 it is linear
    softmax pooling, and what ``stochastic`` does in evaluation. Where no value is positive, all
    have equal weights, so a window of zeros gives 0. Computed with values divided by the largest,
    so no power overflows. The gradient $((q+1) x_i^q - q y x_i^{q-1}) / \sum_j x_j^q$ is negative
    for $x_i < q y / (q+1)$, and taken as 0 at zeros. NaN propagates, an infinity gives NaN, and so
    does a window without any element.

Use:
    For many instances with values >= 0, such as probabilities per frame. With q = 1 it came out
    first of five functions for locating sound events (Wang, Li, Metze 2019, arXiv:1810.09050).

Disagreement:
    What a window of zeros gives, 0 / 0: some programs add a small number below, here it is 0. And
    the name: power pooling, linear softmax pooling for q = 1, in mathematics the contraharmonic
    mean.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.lehmer_pool(np.array([[[1.0, 3.0]]]), 2)  # (1 + 9) / (1 + 3)
    array([[[2.5]]])

Reference:
    Liu, Chen, Wang, Zhang (2020), Power pooling: An adaptive pooling function for weakly labelled
    sound event detection, arXiv:2010.09985.
"""

from flexpool.declare import Param, operator
from flexpool.math import where


@operator(
    paper="Liu, Chen, Wang, Zhang (2020), Power pooling: An adaptive pooling function for weakly "
    "labelled sound event detection, arXiv:2010.09985",
    family="power",
    laws=("permutation", "between", "scale", "constant"),
    limits={"q=0": "avg", "q=1": "stochastic(training=False)"},
)
def lehmer(x, q=Param(1.0, at_least=0)):
    a = where(x > 0, x, 0)
    top = a.max().detach()
    w = where(top > 0, (a / where(top > 0, top, 1)) ** q, 1)
    return (w * x).sum() / w.sum()
