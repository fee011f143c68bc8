r"""Take the largest of each window's values after adding its position's number: a dilation.

$$ y = \max_i\, (x_i + b_i) $$

with $x_i$ the values of the window and $b_i$ the numbers of their positions.

Args:
    b: an array of the kernel's shape or of (channels, *kernel), in units of x. Required by
        functions; a module starts with zeros, which is ``max``, and trains it.

Note:
    Grey-scale dilation with the structuring function b; ``erode`` is the erosion. Ties go to the
    first of the sums, whose value and number get the whole gradient. NaN propagates; a window
    without any element gives -inf.

Use:
    Where the shape of the neighbourhood should be learned: which neighbours may hand their value
    on, and with what handicap.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.morph_pool(np.array([[[5.0, 4.0]]]), 2, b=np.array([0.0, 2.0]))
    array([[[6.]]])

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
def morph(x, b=Weight(first=np.zeros)):
    return (x + b).max()
