r"""Average each window with weights that grow with a value's deviation from a guide that is given.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \quad
   w_i = \Bigl( \frac{d_i}{\frac{1}{n} \sum_j d_j} \Bigr)^{e^\lambda / 2} + e^\alpha, \quad
   d_i = h_i^2 + \varepsilon, \quad h_i = x_i - g $$

with $x_i$ the $n$ values of the window and $g$ its guide.

Args:
    guide: $g$, an array of the output's shape, in units of x; usually a small filter's result for
        the same input. Required.
    lambda_: $\lambda$, a finite number, without unit. Default 0. Large values leave only the
        largest deviations, large negative ones give all values the same weight. A module may train
        it, per channel too.
    alpha: $\alpha$, a finite number, without unit. Default 0. A large one averages; a large
        negative one takes from values without deviation what weight they have. A module may train
        it, per channel too.
    symmetric: whether a deviation downwards counts as one upwards, True or False. Default True;
        with False, $\max(0, h_i)$ takes the place of $h_i$.
    epsilon: $\varepsilon$, a number > 0, in units of x squared. Default 1e-3.

Note:
    The paper's "full" form learns the guide as a filter with the stride of the pooling; make it
    with a convolution and give it here. With the window's mean as the guide this is ``dpp``. The
    parameters are those of the authors' module: exponent $e^\lambda / 2$, constant $e^\alpha$. An
    $\alpha'$ of their other program, which divides by the sum of d in the place of its mean, is
    $\alpha = \alpha' + \frac{1}{2} e^\lambda \ln n$ here. Weights are computed up to a factor that
    the window shares, so that none overflows. A NaN or an infinity gives NaN, and so does a window
    without any element.

Use:
    As ``dpp``, where values should be compared with something smoother than the mean of their own
    window; ``DPPPool2d`` learns the guide.

Disagreement:
    As for ``dpp``, what deviations are divided by. The authors' guide is a convolution with random
    first weights and a bias.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x, guide = np.array([[[0.0, 4.0]]]), np.array([[[4.0]]])
    >>> flexpool.dpp_guided_pool(x, 2, guide=guide, alpha=-99.0, lambda_=3.0).round(9) + 0.0
    array([[[0.]]])

Reference:
    Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR,
    arXiv:1804.04076.
"""

from flexpool.declare import OnOutput, Option, Param, operator, positive
from flexpool.ops.dpp import detail_weights


@operator(
    paper="Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR, "
    "arXiv:1804.04076",
    family="deviation-weighted",
    laws=("permutation", "between", "monotone", "constant"),
    limits={"lambda_=-1e9": "avg", "alpha=1e9": "avg"},
)
def dpp_guided(
    x,
    guide=OnOutput(),
    lambda_=Param(0.0),
    alpha=Param(0.0),
    symmetric=Option(True),
    epsilon=positive(1e-3),
):
    w = detail_weights(x - guide, lambda_, alpha, symmetric, epsilon)
    m = x.mean().detach()
    return m + (w * (x - m)).sum() / w.sum()
