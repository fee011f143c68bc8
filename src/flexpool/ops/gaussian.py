r"""Take the mean of each window plus a multiple of its standard deviation.

$$ y = m + \eta s, \qquad m = \frac{1}{n} \sum_i x_i, \qquad
   s^2 = \max \Bigl( \frac{1}{n} \sum_i (x_i - m)^2,\ \varepsilon \Bigr) $$

with $x_i$ the $n$ values of the window.

Args:
    eta: $\eta$, how many deviations, a finite number, without unit. Default 1; 0 averages. A module
        may train it, per channel too.
    eps: $\varepsilon$, the smallest variance, a number > 0, in the unit of x squared. Default 1e-6.

Note:
    The variance is that of distances to the mean, themselves from distances to the maximum, so a
    large offset costs no digits, and it is scaled so that no square overflows. Below eps its
    gradient is 0. The paper lets a small network compute eta from the whole map, as the softplus of
    a number that is random in training; here eta is a number. A result may exceed the maximum. A
    NaN or an infinity gives NaN, and so does a window without any element.

Use:
    Where neither average nor maximum says enough: the result may lie above the maximum or, with a
    negative eta, below the average.

Disagreement:
    Whether padding counts: the defaults of the authors' two programs differ; here it does not. The
    variance is computed there as the mean square less the squared mean, which loses its digits
    where values are large.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.gaussian_pool(np.array([[[1.0, 5.0]]]), 2)  # 3 + 2
    array([[[5.]]])

Reference:
    Kobayashi (2019), Gaussian-based pooling for convolutional neural networks, NeurIPS 32.
"""

from math import inf

from flexpool.declare import Param, operator, positive
from flexpool.math import sqrt, where


@operator(
    paper="Kobayashi (2019), Gaussian-based pooling for convolutional neural networks, NeurIPS 32",
    family="moment",
    laws=("permutation", "shift"),
    limits={"eta=0": "avg"},
)
def gaussian(x, eta=Param(1.0), eps=positive(1e-6)):
    top = x.max().detach()
    m = (x - top).mean()
    d = x - top - m
    s = abs(d).max().detach()
    s = where((s > 0) & (s < inf), s, 1)
    deviation = s * sqrt(((d / s) ** 2).mean())
    return top + m + eta * where(deviation < eps**0.5, eps**0.5, deviation)
