r"""Take the low-pass band of a Haar transform: the sum of each window over the root of its size.

$$ y = \frac{1}{\sqrt{n}} \sum_i x_i $$

with $x_i$ the $n$ values of the window.

Note:
    With a kernel of 2 and stride 2 in each of d dimensions this is the LL band of the orthonormal
    Haar transform: $2^{d/2}$ times the average, twice the average of a 2 by 2 window. Equal values
    grow by that gain, which ``avg`` does not have. Any other window is taken by the same rule, the
    scalar product with a constant of norm 1. Where elements are absent, n counts those that are
    there. An infinity gives inf, NaN propagates; a window without any element gives NaN. The paper
    drops the finest details of a transform of two levels and inverts the rest, which leaves this.

Use:
    As the low band of a wavelet transform, where the energy of a map should be kept rather than its
    brightness; ``WaveletPool2d`` has other wavelets and all four bands.

Disagreement:
    The gain. The orthonormal transform doubles a constant in two dimensions, which programs that
    offer it in the place of a pooling do not always say; ``avg`` is the same without the gain.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.haar_pool(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    array([[[[5.]]]])

Reference:
    Williams, Li (2018), Wavelet pooling for convolutional neural networks, ICLR.
"""

from flexpool.declare import operator
from flexpool.math import sqrt


@operator(
    paper="Williams, Li (2018), Wavelet pooling for convolutional neural networks, ICLR",
    family="position-weighted",
    laws=("permutation", "scale", "monotone"),
)
def haar(x):
    return x.sum() / sqrt(x.count())
