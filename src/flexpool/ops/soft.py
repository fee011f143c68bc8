r"""Average each window with the weights e^x, so that large values count most.

$$ y = \frac{\sum_i e^{x_i}\, x_i}{\sum_i e^{x_i}} $$

with $x_i$ the values of the window.

Args:
    gradient: "exact", or "detached" for that of the paper's own kernels, which take the weights as
        constants. Default "exact".

Note:
    Computed from the distances to the largest value, so nothing overflows and neither result nor
    gradient loses digits where all values are large. The exact gradient is $w_i (1 + x_i - y)$ with
    $w_i$ the weights divided by their sum; it is negative for $x_i < y - 1$. The detached one is
    $w_i$. A NaN or an infinity gives NaN, and so does a window without any element.

Use:
    Where maximum or average stood and no parameter is wanted: large values count more, and all have
    a gradient. What is large depends on the scale of x, as 0.1 x is nearly averaged; ``boltzmann``
    learns the scale.

Disagreement:
    The gradient. The authors' CUDA kernels take the weights as constants, see ``gradient``. Their
    program for CPUs adds up weights over all channels, which is another operator and nearly the
    average.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.log(np.array([[[1.0, 3.0]]]))  # weights 1/4 and 3/4
    >>> flexpool.soft_pool(x, 2) / np.log(3.0)
    array([[[0.75]]])

Reference:
    Stergiou, Poppe, Kalliatakis (2021), Refining activation downsampling with SoftPool, ICCV,
    arXiv:2101.00440.
"""

from flexpool.declare import Option, operator
from flexpool.math import exp


@operator(
    paper="Stergiou, Poppe, Kalliatakis (2021), Refining activation downsampling with SoftPool, "
    "ICCV, arXiv:2101.00440",
    family="softmax-weighted",
    laws=("permutation", "between", "shift", "constant"),
)
def soft(x, gradient=Option("exact", choices=("exact", "detached"))):
    top = x.max().detach()
    d = x - top
    w = exp(d) if gradient == "exact" else exp(d).detach()
    return top + (w * d).sum() / w.sum()
