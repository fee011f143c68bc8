r"""Take the geometric mean of each window: the n-th root of the product.

$$ y = \Bigl( \prod_i \max(x_i, \varepsilon) \Bigr)^{1/n} $$

with $x_i$ the $n$ values of the window.

Args:
    eps: $\varepsilon$, the smallest value, a number > 0, in the unit of x. Default 1e-6.

Note:
    Exponents and mantissas are averaged apart, so no product leaves the range of its type. Values
    below eps count as eps and get no gradient. It is ``power`` with alpha = 1, and what ``gem``
    comes near for small p. An infinity gives inf, NaN propagates. A window without any element
    gives NaN.

Use:
    Where values are factors, such as probabilities or gains, and one small value should pull the
    result down.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.geometric_pool(np.array([[[1.0, 4.0, 16.0]]]), 3)
    array([[[4.]]])

Reference:
    Eom, Choi (2018), Alpha-integration pooling for convolutional neural networks, arXiv:1811.03436.
"""

from flexpool.declare import operator, positive
from flexpool.math import exp, floor, log, where
from flexpool.ops.product import LN2, exponent


@operator(
    paper="Eom, Choi (2018), Alpha-integration pooling for convolutional neural networks, "
    "arXiv:1811.03436",
    family="power",
    laws=("permutation", "monotone"),
)
def geometric(x, eps=positive(1e-6)):
    a = where(x < eps, eps, x)
    e = exponent(a)
    whole = floor(e.mean())
    return exp(log(a / 2**e).mean() + (e.mean() - whole) * LN2) * 2**whole
