r"""Take the normalised p-norm of each window around a centre, both of which are learned.

$$ y = \Bigl( \frac{1}{n} \sum_i |x_i - c|^p \Bigr)^{1/p}, \qquad p = 1 + \ln(1 + e^\rho) $$

with $x_i$ the $n$ values of the window.

Args:
    rho: $\rho$, decides the order, a finite number, without unit. Default 0.5413, which makes p =
    2.
        A module may train it, per channel too; p stays above 1.
    center: $c$, a finite number, in the unit of x. Default 0. A module may train it, per channel
    too.

Note:
    Computed from distances divided by the largest, so no power overflows, whatever p. A window
    whose values all equal c gives 0 with gradient 0. An infinity gives inf, NaN propagates. A
    window without any element gives NaN. ``lp`` is the same with a sum, without a centre, and with
    p itself as its parameter.

Use:
    Where the order of the norm should be learned, and what counts as no response as well.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.learned_norm_pool(np.array([[[2.0, 8.0]]]), 2, center=1)  # sqrt((1 + 49) / 2)
    array([[[5.]]])

Reference:
    Gulcehre, Cho, Pascanu, Bengio (2014), Learned-norm pooling for deep feedforward and recurrent
    neural networks, ECML PKDD, arXiv:1311.1780.
"""

from math import e, inf
from math import log as number_log

from flexpool.declare import Param, operator
from flexpool.math import exp, log1p, maximum, where

RHO = number_log(e - 1)  # for p = 2


@operator(
    paper="Gulcehre, Cho, Pascanu, Bengio (2014), Learned-norm pooling for deep feedforward and "
    "recurrent neural networks, ECML PKDD, arXiv:1311.1780",
    family="power",
    laws=("permutation", "scale", "even"),
)
def learned_norm(x, rho=Param(RHO), center=Param(0.0)):
    p = 1 + maximum(rho, 0) + log1p(exp(-abs(rho)))
    a = abs(x - center)
    s = a.max().detach()
    s = where((s > 0) & (s < inf), s, 1)
    return s * ((a / s) ** p).mean() ** (1 / p)
