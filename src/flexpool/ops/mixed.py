r"""Mix the maximum and the average of each window in a proportion that can be learned.

$$ y = a \max_i x_i + (1 - a)\, \frac{1}{n} \sum_i x_i $$

with $x_i$ the $n$ values of the window.

Args:
    a: share of the maximum, a finite number, without unit. Default 0.5. A module may train it, per
        channel too.

Note:
    Nothing keeps a in [0, 1], as in the paper; outside, a result may leave the range of its window.
    The random form of Yu, Wang, Chen and Wei (2014), which draws the maximum or the average for a
    whole feature map at once, is no formula of one window: draw an array of 0 and 1, one per
    channel, and give it as a. Padding counts neither for the maximum nor for the average. Ties go
    to the first maximum. NaN propagates; a window without any element gives NaN. The paper's entry
    on arXiv names UCSD patent dockets (SD2015-184, SD2016-053); what became of them is not known
    here.

Use:
    Where it is not clear whether average or maximum is right, and one learned number per layer or
    channel should decide.

Disagreement:
    Two operators have this name: one learns the share, this one; the other draws one of the two at
    random, which is ``RandomMixedPool2d``.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.mixed_pool(np.array([[[0.0, 8.0]]]), 2, a=0.25)  # 1/4 * 8 + 3/4 * 4
    array([[[5.]]])

Reference:
    Lee, Gallagher, Tu (2016), Generalizing pooling functions in convolutional neural networks:
    Mixed, gated, and tree, AISTATS, arXiv:1509.08985.
"""

from flexpool.declare import Param, operator


@operator(
    paper="Lee, Gallagher, Tu (2016), Generalizing pooling functions in convolutional neural "
    "networks: Mixed, gated, and tree, AISTATS, arXiv:1509.08985",
    family="mixed",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"a=0": "avg", "a=1": "max"},
)
def mixed(x, a=Param(0.5)):
    return a * x.max() + (1 - a) * x.mean()
