r"""Average each window with weights that grow with the likeness of a value and the window's mean.

$$ y = \frac{\sum_i e^{D_i}\, x_i}{\sum_i e^{D_i}}, \qquad
   D_i = \frac{2\, |x_i\, m|}{x_i^2 + m^2} $$

with $x_i$ the values of the window, $m$ their mean and $D_i$ the coefficient of Dice and Sørensen.

Note:
    $D_i$ lies in [0, 1], so no weight is more than e times another; it is 1 where $x_i$ and $m$ are
    both 0. It is computed from the ratio of $|x_i|$ and $|m|$, so no square overflows. The gradient
    is the exact one, through the mean too; that of an absolute value at 0 is taken as 0. It can be
    negative. A NaN or an infinity gives NaN, and so does a window without any element.

Use:
    For an average in which single deviating values count a little less.

Disagreement:
    Where a value and the mean are both 0 the coefficient is 0 / 0. The authors' program gives 0
    without a gradient there; here the coefficient is 1. Their gradient takes the weights as
    constants.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> y = flexpool.edscw_pool(np.array([[[0.0, 0.0, 0.0, 4.0]]]), 4)  # m = 1, D = (0, 0, 0, 8/17)
    >>> np.allclose(y, 4 * np.exp(8 / 17) / (3 + np.exp(8 / 17)))
    True

Reference:
    Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining
    downsampling, IEEE TIP 32, arXiv:2111.00772.
"""

from flexpool.declare import operator
from flexpool.ir import Value
from flexpool.math import exp, maximum, minimum, where


def likeness(x: Value, m: Value) -> Value:
    """Give the coefficient of Dice and Sørensen of two numbers; 1 for two zeros."""
    large = maximum(abs(x), abs(m))
    ratio = where(large > 0, minimum(abs(x), abs(m)) / where(large > 0, large, 1), 1)
    return 2 * ratio / (1 + ratio * ratio)


@operator(
    paper="Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining "
    "downsampling, IEEE TIP 32, arXiv:2111.00772",
    family="deviation-weighted",
    laws=("permutation", "between", "scale", "constant"),
)
def edscw(x):
    m = x.mean()
    w = exp(likeness(x, m))
    d = x - m.detach()
    return m.detach() + (w * d).sum() / w.sum()
