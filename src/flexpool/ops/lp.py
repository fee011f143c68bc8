r"""Take the p-norm of each window: the p-th root of the sum of |x| to the power p.

$$ y = \Bigl( \sum_i |x_i|^p \Bigr)^{1/p} $$

with $x_i$ the values of the window.

Args:
    p: exponent, a number > 0, without unit. Default 2, the Euclidean norm; 1 adds up |x|, a large p
        comes near the largest |x|. A module may train it, per channel too.

Note:
    Computed as $s \, (\sum_i (|x_i| / s)^p)^{1/p}$ with $s = \max_i |x_i|$, so no power overflows,
    whatever p. A window of zeros, or without any element, gives 0. The gradient is 0 at zeros, also
    for p < 1, where it has no finite limit. An infinity gives inf, NaN propagates. Unlike
    torch's ``lp_pool`` it takes the absolute value, pads, and counts what overhangs in ceil mode as
    absent.

Use:
    Where the strength of a response counts and not its sign: p = 2 keeps its energy, a larger p
    comes nearer to the maximum.

Disagreement:
    Whether to take the absolute value. torch's ``lp_pool`` does not: for p = 1 it gives the signed
    sum, for p = 3 NaN where the sum of the cubes is negative, for p = 1.5 NaN where any value is
    negative. In ceil mode it also counts what overhangs as if it were there. And whether to divide
    by the number of values: ``gem`` does.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.lp_pool(np.array([[[3.0, -4.0, 0.0, 2.0]]]), 2)
    array([[[5., 2.]]])

Reference:
    Sermanet, Chintala, LeCun (2012), Convolutional neural networks applied to house numbers digit
    classification, ICPR, arXiv:1204.3968.
"""

from math import inf

from flexpool.declare import Param, operator
from flexpool.math import where


@operator(
    paper="Sermanet, Chintala, LeCun (2012), Convolutional neural networks applied to house "
    "numbers digit classification, ICPR, arXiv:1204.3968",
    family="power",
    laws=("permutation", "scale", "even"),
)
def lp(x, p=Param(2.0, above=0)):
    s = abs(x).max().detach()
    s = where((s > 0) & (s < inf), s, 1)
    return s * ((abs(x) / s) ** p).sum() ** (1 / p)
