r"""Take the alpha-mean of each window: maximum, mean, geometric and harmonic mean, minimum in one.

$$ y = \Bigl( \frac{1}{n} \sum_i \max(x_i, \varepsilon)^p \Bigr)^{1/p}, \qquad
   p = \frac{1 - \alpha}{2} $$

with $x_i$ the $n$ values of the window; for $\alpha = 1$ the limit, their geometric mean.

Args:
    alpha: $\alpha$, a finite number, without unit. Default -1, the mean; 1 is the geometric, 3 the
        harmonic mean; a large one comes near the minimum, a large negative one near the maximum. A
        module may train it, per channel too.
    eps: $\varepsilon$, the smallest value, a number > 0, in the unit of x. Default 1e-6.

Note:
    Alpha-integration pooling. Computed from logarithms, as ``lse`` of them with r = p, so nothing
    overflows and result and gradient pass smoothly through alpha = 1. Values below eps count as eps
    and get no gradient. NaN propagates, and an infinity gives NaN or, where its power is 0, the
    result without it. A window without any element gives NaN.

Use:
    As ``gem``, where the exponent may pass through 0 and become negative, and the result so
    approach the minimum.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[1.0, 4.0]]])
    >>> flexpool.power_pool(x, 2, alpha=3)  # 2 / (1/1 + 1/4)
    array([[[1.6]]])

Reference:
    Eom, Choi (2018), Alpha-integration pooling for convolutional neural networks, arXiv:1811.03436.
"""

from flexpool.declare import Param, operator, positive
from flexpool.math import exp, log, where
from flexpool.ops.lse import log_mean_exp
from flexpool.ops.product import LN2, exponent


@operator(
    paper="Eom, Choi (2018), Alpha-integration pooling for convolutional neural networks, "
    "arXiv:1811.03436",
    family="power",
    laws=("permutation", "monotone"),
)
def power(x, alpha=Param(-1.0), eps=positive(1e-6)):
    a = where(x < eps, eps, x)
    e = exponent(a)
    top = e.max()
    logs = (e - top) * LN2 + log(a / 2**e)
    return 2**top * exp(log_mean_exp(logs, (1 - alpha) / 2))
