r"""Take the largest of each window's values after each was multiplied by its position's weight.

$$ y = \max_i w_i x_i $$

with $x_i$ the values of the window and $w_i$ the weights of their positions.

Args:
    weight: $w$, an array of the kernel's shape or of (channels, *kernel), without unit. Required by
        functions; a module starts with ones, which is ``max``, and trains it.

Note:
    In the paper's words a fuzzy dilation with the product. Ties go to the first product, whose
    value and weight get the whole gradient. NaN propagates; a window without any element gives
    -inf.

Use:
    For values >= 0, where some positions of a window deserve more trust than others.

Disagreement:
    Several operators are called weighted max pooling: another raises to powers, see
    ``power_weighted_max``, a third is what ``stochastic`` does in evaluation.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x, weight = np.array([[[5.0, 4.0]]]), np.array([0.5, 1.0])
    >>> flexpool.position_weighted_max_pool(x, 2, weight=weight)
    array([[[4.]]])

Reference:
    Bloch, Maître (1995), Fuzzy mathematical morphologies: A comparative study, Pattern Recognition
    28(9).
"""

import numpy as np

from flexpool.declare import Weight, operator


@operator(
    paper="Bloch, Maître (1995), Fuzzy mathematical morphologies: A comparative study, Pattern "
    "Recognition 28(9)",
    family="position-weighted",
    laws=("scale",),
)
def position_weighted_max(x, weight=Weight(first=np.ones)):
    return (weight * x).max()
