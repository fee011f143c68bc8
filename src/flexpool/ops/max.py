r"""Take the largest value of each window.

$$ y = \max_i x_i $$

with $x_i$ the values of the window.

Note:
    As torch's ``max_pool``: NaN propagates, ties go to the first element, which also gets the whole
    gradient. Padding is never the maximum; a window without any element gives -inf.

Use:
    Where it matters that a feature is there, not how much of it: the usual choice between
    convolutions.

Disagreement:
    Who gets the gradient where maxima tie: the first, as in torch's ``max_pool`` and here, or all
    of them equal parts, as in torch's ``amax``, by which some libraries pool globally.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.max_pool(np.array([[[1.0, 4.0, 3.0, 2.0]]]), 2)
    array([[[4., 3.]]])

Reference:
    Yamaguchi, Sakamoto, Akabane, Fujimoto (1990), A neural network for speaker-independent isolated
    word recognition, ICSLP.
"""

from flexpool.declare import operator


@operator(
    paper="Yamaguchi, Sakamoto, Akabane, Fujimoto (1990), A neural network for "
    "speaker-independent isolated word recognition, ICSLP",
    family="elementary",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    selects=True,
)
def max_(x):
    return x.max()
