r"""Average each window with the weights e^logits, which are given beside the input.

$$ y = \frac{\sum_i e^{\ell_i}\, x_i}{\sum_i e^{\ell_i}} $$

with $x_i$ the values of the window and $\ell_i$ their logits.

Args:
    logits: $\ell$, an array of the input's shape, without unit; usually a small network's result
        for the same input. Required.

Note:
    The window's largest logit is subtracted first, so nothing overflows. A logit of -inf leaves its
    element out, one of inf gives NaN; NaN propagates. A window without any element gives NaN.

Use:
    Where a small network should decide what counts: give its results as logits. ``LIPPool2d``
    brings the network. Logits of 0 give the average, so begin there.

Disagreement:
    Padding. In the authors' composed program it has no weight, as here; their CUDA program ignores
    the argument. Their logits go up to 12, whose exponential half precision does not hold unless
    the largest is subtracted.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[8.0, 4.0]]])
    >>> flexpool.lip_pool(x, 2, logits=np.log(np.array([[[1.0, 3.0]]])))  # (1 * 8 + 3 * 4) / 4
    array([[[5.]]])

Reference:
    Gao, Wang, Wu (2019), LIP: Local importance-based pooling, ICCV, arXiv:1908.04156.
"""

from flexpool.declare import OnInput, operator
from flexpool.math import exp


@operator(
    paper="Gao, Wang, Wu (2019), LIP: Local importance-based pooling, ICCV, arXiv:1908.04156",
    family="softmax-weighted",
    laws=("between", "shift", "scale", "monotone", "constant"),
    limits={"logits=0": "avg"},
)
def lip(x, logits=OnInput()):
    w = exp(logits - logits.max().detach())
    return (w * x).sum() / w.sum()
