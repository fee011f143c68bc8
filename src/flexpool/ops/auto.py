r"""Average each window with the weights e^(beta x), starting as the plain average; beta is learned.

$$ y = \frac{\sum_i e^{\beta x_i}\, x_i}{\sum_i e^{\beta x_i}} $$

with $x_i$ the values of the window.

Args:
    beta: $\beta$, a finite number, in units of 1/x. Default 0, the average, as in the paper's
        implementation; training makes it larger, towards the maximum, or smaller, towards the
        minimum. A module may train it, per channel too, as the paper does.

Note:
    AutoPool. ``boltzmann``, the same formula, starts from 1. The paper's variants limit beta to
    numbers >= 0, or add its square to the loss: both are up to the training.

Use:
    Where one decision comes from many instances, such as a sound event from the frames of a
    recording: globally, with one beta per class, that is, per channel.

Disagreement:
    Whether beta may become negative, where the result tends to the minimum. One of the paper's
    variants forbids it; here it may.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.auto_pool(np.array([[[1.0, 2.0, 6.0]]]), 3)
    array([[[3.]]])

Reference:
    McFee, Salamon, Bello (2018), Adaptive pooling operators for weakly labeled sound event
    detection, IEEE/ACM TASLP 26(11), arXiv:1804.10070.
"""

from flexpool.declare import Param, operator
from flexpool.ops.boltzmann import boltzmann


@operator(
    paper="McFee, Salamon, Bello (2018), Adaptive pooling operators for weakly labeled sound "
    "event detection, IEEE/ACM TASLP 26(11), arXiv:1804.10070",
    family="softmax-weighted",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"beta=0": "avg", "beta=1": "soft", "beta=1e9": "max", "beta=-1e9": "min"},
)
def auto(x, beta=Param(0.0)):
    return boltzmann.formula(x, beta)
