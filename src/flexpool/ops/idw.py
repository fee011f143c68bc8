r"""Average each window with weights inverse to the distance of a value from the window's mean.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \qquad w_i = \frac{1}{|x_i - m| + \varepsilon} $$

with $x_i$ the values of the window and $m$ their mean.

Args:
    epsilon: $\varepsilon$, a number > 0, in units of x. Default 1e-6. It keeps the weight of a
        value that is the mean finite; such a value gets nearly all of the weight.

Note:
    Equal values give that value. The gradient is the exact one, through the mean too; where $x_i$
    is the mean, that of the distance is taken as 0. It can be negative. A NaN or an infinity gives
    NaN, and so does a window without any element.

Use:
    For an average that single outliers hardly move.

Disagreement:
    The authors' program divides by the distance itself: one value that is the mean, such as in any
    constant window, makes the result +-3.4e38. Their paper also names a variant with exponentials,
    which their program does not have.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.idw_pool(np.array([[[0.0, 0.0, 0.0, 4.0]]]), 4).round(5)  # distances 1, 1, 1, 3
    array([[[0.4]]])

Reference:
    Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining
    downsampling, IEEE TIP 32, arXiv:2111.00772.
"""

from flexpool.declare import operator, positive


@operator(
    paper="Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining "
    "downsampling, IEEE TIP 32, arXiv:2111.00772",
    family="deviation-weighted",
    laws=("permutation", "between", "shift", "constant"),
)
def idw(x, epsilon=positive(1e-6)):
    m = x.mean()
    distance = abs(x - m) + epsilon
    w = distance.min().detach() / distance  # the largest weight is 1, so that none is out of range
    d = x - m.detach()
    return m.detach() + (w * d).sum() / w.sum()
