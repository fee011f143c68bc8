r"""Take the distance from the smallest to the largest value of each window.

$$ y = \max_i x_i - \min_i x_i $$

with $x_i$ the values of the window.

Note:
    The morphological gradient of an image, with the window as flat structuring element: large at
    edges, 0 where all is equal. Ties go to the first maximum and the first minimum. NaN propagates;
    a window without any element gives -inf.

Use:
    For contrast instead of brightness: edges and texture give large results, even areas 0.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.range_pool(np.array([[[1.0, 4.0, 3.0, 3.0]]]), 2)
    array([[[3., 0.]]])

Reference:
    Rivest, Soille, Beucher (1993), Morphological gradients, Journal of Electronic Imaging 2(4).
"""

from flexpool.declare import operator


@operator(
    paper="Rivest, Soille, Beucher (1993), Morphological gradients, Journal of Electronic Imaging "
    "2(4)",
    family="elementary",
    laws=("permutation", "scale", "even"),
)
def range_(x):
    return x.max() - x.min()
