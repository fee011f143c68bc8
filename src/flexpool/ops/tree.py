r"""Mix two weighted sums of each window in a proportion that the window decides.

$$ y = p \sum_i v_i x_i + (1 - p) \sum_i u_i x_i, \qquad
   p = \sigma\Bigl( \sum_i \omega_i x_i \Bigr) $$

with $x_i$ the values of the window, $v_i$, $u_i$ and $\omega_i$ the weights of their positions and
$\sigma(a) = 1 / (1 + e^{-a})$.

Args:
    leaf_1: $v$, an array of the kernel's shape or of (channels, *kernel), without unit. Required by
        functions; a module starts from normal random numbers with deviation 0.1, drawn by torch's
        generator, and trains it.
    leaf_2: $u$, as leaf_1.
    gate: $\omega$, as leaf_1, in units of 1/x.

Note:
    The paper's tree of two levels; ``tree3`` has three. The leaves are linear filters: nothing
    keeps a result within its window's range. Absent elements add nothing. An infinity gives NaN,
    and NaN propagates; a window without any element gives 0. The paper's entry on arXiv names UCSD
    patent dockets (SD2015-184, SD2016-053); what became of them is not known here.

Use:
    Where the pooling itself should be learned from few weights: three filters of the window's size.

Disagreement:
    The authors share the filters among all channels; here a module may have one set for each
    channel too.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> weights = {"leaf_1": np.ones(2), "leaf_2": np.array([0.0, 1.0]), "gate": np.zeros(2)}
    >>> flexpool.tree_pool(np.array([[[6.0, 2.0]]]), 2, **weights)  # 1/2 * 8 + 1/2 * 2
    array([[[5.]]])

Reference:
    Lee, Gallagher, Tu (2016), Generalizing pooling functions in convolutional neural networks:
    Mixed, gated, and tree, AISTATS, arXiv:1509.08985.
"""

from flexpool.declare import Weight, operator
from flexpool.math import sigmoid


@operator(
    paper="Lee, Gallagher, Tu (2016), Generalizing pooling functions in convolutional neural "
    "networks: Mixed, gated, and tree, AISTATS, arXiv:1509.08985",
    family="mixed",
)
def tree(x, leaf_1=Weight(first=0.1), leaf_2=Weight(first=0.1), gate=Weight(first=0.1)):
    p = sigmoid((gate * x).sum())
    return p * (leaf_1 * x).sum() + (1 - p) * (leaf_2 * x).sum()
