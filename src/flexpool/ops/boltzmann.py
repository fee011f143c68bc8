r"""Average each window with the weights e^(beta x): from min over avg to max as beta grows.

$$ y = \frac{\sum_i e^{\beta x_i}\, x_i}{\sum_i e^{\beta x_i}} $$

with $x_i$ the values of the window.

Args:
    beta: $\beta$, a finite number, in units of 1/x. Default 1, which is ``soft``; 0 averages, a
        large one comes near the maximum, a large negative one near the minimum. A module may train
        it, per channel too.

Note:
    Computed from the distances to the value of the largest weight (the minimum where beta < 0), so
    nothing overflows and no digits are lost where all values are large. The gradient with respect
    to beta is the variance of x under the weights. A NaN or an infinity gives NaN, and so does a
    window without any element.

Use:
    Where it is not known beforehand whether average or maximum is right: beta is learned between
    them.

Disagreement:
    One formula has many names: ``auto`` starts beta at 0, ``max_entropy`` at 0.5, ``soft`` leaves
    it at 1. Some programs do not subtract the value of the largest weight, and underflow where beta
    x is far below 0 everywhere.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[1.0, 2.0, 6.0]]])
    >>> [flexpool.boltzmann_pool(x, 3, beta=beta).item() for beta in (-99.0, 0.0, 99.0)]
    [1.0, 3.0, 6.0]

Reference:
    McFee, Salamon, Bello (2018), Adaptive pooling operators for weakly labeled sound event
    detection, IEEE/ACM TASLP 26(11), arXiv:1804.10070.
"""

from flexpool.declare import Param, operator
from flexpool.math import exp, where


@operator(
    paper="McFee, Salamon, Bello (2018), Adaptive pooling operators for weakly labeled sound "
    "event detection, IEEE/ACM TASLP 26(11), arXiv:1804.10070",
    family="softmax-weighted",
    laws=("permutation", "between", "shift", "constant"),
    limits={"beta=1": "soft", "beta=0": "avg", "beta=1e9": "max", "beta=-1e9": "min"},
)
def boltzmann(x, beta=Param(1.0)):
    top = where(beta < 0, x.min(), x.max()).detach()
    d = x - top
    w = exp(beta * d)
    return top + (w * d).sum() / w.sum()
