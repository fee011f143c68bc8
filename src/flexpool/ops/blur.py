r"""Average each window with fixed weights per position, a low-pass filter before the stride.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i} $$

with $x_i$ the values of the window and $w_i$ the weights of their positions.

Args:
    weight: $w$, an array of the kernel's shape or of (channels, *kernel), without unit. Default:
        binomial coefficients, (1, 2, 1) for 3, multiplied over the dimensions, with sum 1. A module
        does not train them unless told to.

Note:
    Both sums go over the elements that are there, so a constant stays a constant at the border too;
    the paper pads by reflection instead. Weights whose sum over a window is 0 give inf or NaN; NaN
    propagates. A window without any element gives NaN. The paper's blurs have a stride smaller than
    the kernel.

Use:
    Before a stride, so that fine detail does not turn up as coarse: after a convolution or, as
    ``MaxBlurPool2d``, after a maximum.

Disagreement:
    What lies beyond the border. The paper reflects the map, other programs pad with zeros, which
    darkens the border; here absent elements do not count. With an even kernel, programs also differ
    in the size of the result. ``PaddedBlurPool2d`` pads as the paper does.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.blur_pool(np.array([[[0.0, 0.0, 4.0, 0.0, 0.0]]]), 3, stride=1)
    array([[[1., 2., 1.]]])

Reference:
    Zhang (2019), Making convolutional networks shift-invariant again, ICML, arXiv:1904.11486.
"""

from functools import reduce
from math import comb

import numpy as np
from numpy.typing import NDArray

from flexpool.declare import Weight, operator


def binomial(kernel_size: tuple[int, ...]) -> NDArray[np.float64]:
    """Multiply rows of Pascal's triangle, one per dimension, and divide by their sum.

    Example:
        >>> binomial((3,))
        array([0.25, 0.5 , 0.25])
    """
    rows = [[comb(k - 1, i) / 2 ** (k - 1) for i in range(k)] for k in kernel_size]
    return reduce(np.multiply.outer, map(np.array, rows))


@operator(
    paper="Zhang (2019), Making convolutional networks shift-invariant again, ICML, "
    "arXiv:1904.11486",
    family="position-weighted",
    laws=("between", "shift", "scale", "monotone", "constant"),
)
def blur(x, weight=Weight(binomial, learnable=False)):
    return (weight * x).sum() / weight.sum()
