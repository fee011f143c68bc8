r"""Mix four weighted sums of each window by three gates, a tree of three levels.

$$ y = p_3 \bigl( p_1 v_1 + (1 - p_1) v_2 \bigr) + (1 - p_3) \bigl( p_2 v_3 + (1 - p_2) v_4 \bigr),
   \quad v_j = \sum_i v_{ji} x_i, \quad p_k = \sigma\Bigl( \sum_i \omega_{ki} x_i \Bigr) $$

with $x_i$ the values of the window, $v_{ji}$ and $\omega_{ki}$ the weights of their positions and
$\sigma(a) = 1 / (1 + e^{-a})$.

Args:
    leaf_1: $v_1$, an array of the kernel's shape or of (channels, *kernel), without unit. Required
        by functions; a module starts from normal random numbers with deviation 0.1, drawn by
        torch's generator, and trains it.
    leaf_2: $v_2$, as leaf_1.
    leaf_3: $v_3$, as leaf_1.
    leaf_4: $v_4$, as leaf_1.
    gate_1: $\omega_1$, between leaf_1 and leaf_2, as leaf_1, in units of 1/x.
    gate_2: $\omega_2$, between leaf_3 and leaf_4, as gate_1.
    gate_3: $\omega_3$, at the root, as gate_1.

Note:
    ``tree`` has two levels. The leaves are linear filters: nothing keeps a result within its
    window's range. Absent elements add nothing. An infinity gives NaN, and NaN propagates; a window
    without any element gives 0. The paper's entry on arXiv names UCSD patent dockets (SD2015-184,
    SD2016-053); what became of them is not known here.

Use:
    As ``tree``, where two levels have been tried and are not enough: it has seven filters.

Disagreement:
    The authors share the filters among all channels; here a module may have one set for each
    channel too.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> weights = {f"gate_{k}": np.zeros(2) for k in (1, 2, 3)}
    >>> weights |= {f"leaf_{j}": np.full(2, float(j)) for j in (1, 2, 3, 4)}
    >>> flexpool.tree3_pool(np.array([[[3.0, 1.0]]]), 2, **weights)  # (1 + 2 + 3 + 4) / 4 * 4
    array([[[10.]]])

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
def tree3(
    x,
    leaf_1=Weight(first=0.1),
    leaf_2=Weight(first=0.1),
    leaf_3=Weight(first=0.1),
    leaf_4=Weight(first=0.1),
    gate_1=Weight(first=0.1),
    gate_2=Weight(first=0.1),
    gate_3=Weight(first=0.1),
):
    p_1, p_2, p_3 = (sigmoid((gate * x).sum()) for gate in (gate_1, gate_2, gate_3))
    left = p_1 * (leaf_1 * x).sum() + (1 - p_1) * (leaf_2 * x).sum()
    right = p_2 * (leaf_3 * x).sum() + (1 - p_2) * (leaf_4 * x).sum()
    return p_3 * left + (1 - p_3) * right
