r"""Take the range of each window if above the average, else the mean of average and maximum.

$$ y = \begin{cases} M - L & \text{if } M - L > m \\ (M + m) / 2 & \text{else} \end{cases} $$

with $M$ the largest, $L$ the smallest value of the window and $m$ the average.

Note:
    Maximum-average-minimum pooling. The result jumps where range and average are equal; the
    gradient is that of the branch taken. Ties go to the first maximum and the first minimum. NaN
    propagates; a window without any element gives NaN.

Use:
    To stress windows whose contrast exceeds their brightness, after a ReLU. The jump between the
    two cases can turn small changes into large ones.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.mam_pool(np.array([[[1.0, 5.0, 4.0, 6.0]]]), 2)  # 5 - 1 > 3, but 6 - 4 < 5
    array([[[4. , 5.5]]])

Reference:
    Akgül (2024), A pooling method developed for use in convolutional neural networks, Computer
    Modeling in Engineering and Sciences 141(1).
"""

from flexpool.declare import operator
from flexpool.math import where


@operator(
    paper="Akgül (2024), A pooling method developed for use in convolutional neural networks, "
    "Computer Modeling in Engineering and Sciences 141(1)",
    family="elementary",
    laws=("permutation", "scale"),
)
def mam(x):
    spread, mean = x.max() - x.min(), x.mean()
    return where(spread > mean, spread, (x.max() + mean) / 2)
