r"""Add up the values of each window.

$$ y = \sum_i x_i $$

with $x_i$ the values of the window.

Note:
    Padding adds nothing, so windows at the border give smaller sums; a window without any element
    gives 0. In a network it equals ``avg`` up to a factor that the next layer can learn.

Use:
    Where counts matter, as for evidence added up over the whole map; elsewhere ``avg`` keeps the
    scale.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.sum_pool(np.array([[[1.0, 4.0, 3.0, 2.0]]]), 2)
    array([[[5., 5.]]])

Reference:
    LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86(11).
"""

from flexpool.declare import operator


@operator(
    paper="LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document "
    "recognition, Proceedings of the IEEE 86(11)",
    family="elementary",
    laws=("permutation", "scale", "monotone"),
)
def sum_(x):
    return x.sum()
