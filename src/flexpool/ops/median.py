r"""Take the median of each window; of the two middle values of an even number the lower one.

$$ y = x_{(\lfloor n/2 \rfloor)} $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the values of the window in falling order.

Note:
    As torch's ``median``, so the result is always a value of the window. One element gets the whole
    gradient; elements that tie are ordered by position. NaN propagates. A window without any
    element gives 0.

Use:
    Against noise in single pixels: fewer than half of a window's values, however wrong, have little
    influence, and edges stay sharp.

Disagreement:
    Of an even number of values torch takes the lower middle one, NumPy the mean of the two. torch's
    median of a whole tensor shares the gradient among equal values; here one element has it.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.median_pool(np.array([[[1.0, 2.0, 99.0, 4.0, 3.0, 2.0]]]), 3)
    array([[[2., 3.]]])

Reference:
    Tukey (1977), Exploratory data analysis, Addison-Wesley.
"""

from flexpool.declare import operator
from flexpool.math import isnan, where


@operator(
    paper="Tukey (1977), Exploratory data analysis, Addison-Wesley",
    family="rank",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    selects=True,
)
def median(x):
    middle = where(isnan(x.max()), 0, x.count() // 2)  # NaN have the first ranks
    return where(x.rank() == middle, x, 0).sum()
