r"""Take the smallest value of each window.

$$ y = \min_i x_i $$

with $x_i$ the values of the window.

Note:
    NaN propagates, ties go to the first element, which also gets the whole gradient. Padding is
    never the minimum; a window without any element gives inf. It is the grey-scale erosion of
    mathematical morphology, and after a ReLU mostly 0.

Use:
    Where small values are the features, or beside ``max``, as in ``MaxMinPool2d``.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.min_pool(np.array([[[1.0, 4.0, 3.0, 2.0]]]), 2)
    array([[[1., 2.]]])

Reference:
    Serra (1982), Image analysis and mathematical morphology, Academic Press.
"""

from flexpool.declare import operator


@operator(
    paper="Serra (1982), Image analysis and mathematical morphology, Academic Press",
    family="elementary",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    selects=True,
)
def min_(x):
    return x.min()
