r"""Take the generalised mean of each window: the p-th root of the mean of the p-th powers.

$$ y = \Bigl( \frac{1}{n} \sum_i \max(x_i, \varepsilon)^p \Bigr)^{1/p} $$

with $x_i$ the $n$ values of the window.

Args:
    p: exponent, a number > 0, without unit. Default 3; 1 averages, a large p comes near the
    maximum.
        A module may train it, per channel too. For p near or below 0 there is ``power``.
    eps: $\varepsilon$, the smallest value, a number > 0, in the unit of x. Default 1e-6.

Note:
    GeM pooling. Computed from values divided by the largest, so no power overflows, whatever p, and
    the gradient with respect to p stays finite at zeros. Values below eps count as eps and get no
    gradient: where all are, as in a map of negative values, nothing is learned. An infinity gives
    inf, NaN propagates. A window without any element gives NaN.

Use:
    To describe a whole image by one vector, as in image retrieval: globally, with p learned, on
    values that are positive.

Disagreement:
    Whether to raise small values to eps. It keeps powers real, and takes the gradient from all
    values below; one library makes it an option and asks for p >= 1. And whether p is one number or
    one per channel: both are possible here.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[1.0, 7.0]]])
    >>> flexpool.gem_pool(x, 2, p=2)  # sqrt((1 + 49) / 2)
    array([[[5.]]])

Reference:
    Radenović, Tolias, Chum (2019), Fine-tuning CNN image retrieval with no human annotation, IEEE
    TPAMI 41(7), arXiv:1711.02512.
"""

from math import inf

from flexpool.declare import Param, operator, positive
from flexpool.math import where


@operator(
    paper="Radenović, Tolias, Chum (2019), Fine-tuning CNN image retrieval with no human "
    "annotation, IEEE TPAMI 41(7), arXiv:1711.02512",
    family="power",
    laws=("permutation", "monotone"),
)
def gem(x, p=Param(3.0, above=0), eps=positive(1e-6)):
    a = where(x < eps, eps, x)
    s = a.max().detach()
    s = where(s < inf, s, 1)
    return s * ((a / s) ** p).mean() ** (1 / p)
