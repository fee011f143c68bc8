r"""Take the smallest of each window's values after subtracting its position's number: a erosion.

$$ y = \min_i\, (x_i - b_i) $$

with $x_i$ the values of the window and $b_i$ the numbers of their positions.

Args:
    b: an array of the kernel's shape or of (channels, *kernel), in units of x. Required by
        functions; a module starts with zeros, which is ``min``, and trains it.

Note:
    Grey-scale erosion with the structuring function b; ``morph`` is the dilation. Ties go to the
    first of the differences, whose value and number get the whole gradient. NaN propagates; a
    window without any element gives inf.

Use:
    Where dark details should survive and their shape be learned; with ``morph``, for openings and
    closings.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.erode_pool(np.array([[[5.0, 4.0]]]), 2, b=np.array([0.0, 2.0]))
    array([[[2.]]])

Reference:
    Groenendijk, Dorst, Gevers (2022), MorphPool: Efficient non-linear pooling and unpooling in
    CNNs, BMVC, arXiv:2211.14037.
"""

import numpy as np

from flexpool.declare import Weight, operator


@operator(
    paper="Groenendijk, Dorst, Gevers (2022), MorphPool: Efficient non-linear pooling and "
    "unpooling in CNNs, BMVC, arXiv:2211.14037",
    family="position-weighted",
    laws=("shift", "monotone"),
)
def erode(x, b=Weight(first=np.zeros)):
    return (x - b).min()
