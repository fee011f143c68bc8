r"""Mix the maximum and the average of each window in a proportion that the window decides.

$$ y = p \max_i x_i + (1 - p)\, \frac{1}{n} \sum_i x_i, \qquad
   p = \sigma\Bigl( \sum_i \omega_i x_i \Bigr) $$

with $x_i$ the $n$ values of the window, $\omega_i$ the weights of their positions and
$\sigma(a) = 1 / (1 + e^{-a})$.

Args:
    gate: $\omega$, an array of the kernel's shape or of (channels, *kernel), in units of 1/x.
        Required by functions; a module starts from normal random numbers with deviation 0.1, drawn
        by torch's generator, and trains it. Zeros give half of each.

Note:
    Absent elements add nothing to the gate's sum. Ties go to the first maximum, which gets the
    share of one maximum. A NaN or an infinity gives NaN, and so does a window without any element.
    The paper's entry on arXiv names UCSD patent dockets (SD2015-184, SD2016-053); what became of
    them is not known here.

Use:
    Where the right mixture of maximum and average depends on what is in the window: one layer can
    treat edges and even areas differently.

Disagreement:
    Where maxima tie, the authors' program gives each of them the whole gradient of one; here the
    first has it.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> gate = np.log([3.0, 1.0])  # the window (1, 0) has p = 3/4
    >>> flexpool.gated_pool(np.array([[[1.0, 0.0]]]), 2, gate=gate).round(9)  # 3/4 + 1/4 * 1/2
    array([[[0.875]]])

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
    laws=("between", "constant"),
)
def gated(x, gate=Weight(first=0.1)):
    p = sigmoid((gate * x).sum())
    return x.mean() + p * (x.max() - x.mean())
