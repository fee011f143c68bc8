r"""Average each window with weights that grow with a value's deviation from the window's mean.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \quad
   w_i = \Bigl( \frac{d_i}{\frac{1}{n} \sum_j d_j} \Bigr)^{e^\lambda / 2} + e^\alpha, \quad
   d_i = h_i^2 + \varepsilon, \quad h_i = x_i - \frac{1}{n} \sum_j x_j $$

with $x_i$ the $n$ values of the window.

Args:
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
    The paper's "lite" form, whose guide is the window's mean; ``dpp_guided`` takes another one. The
    parameters are those of the authors' module: exponent $e^\lambda / 2$, constant $e^\alpha$. An
    $\alpha'$ of their other program, which divides by the sum of d in the place of its mean, is
    $\alpha = \alpha' + \frac{1}{2} e^\lambda \ln n$ here. Weights are computed up to a factor that
    the window shares, so that none overflows. The gradient is the exact one, through the mean too.
    A NaN or an infinity gives NaN, and so does a window without any element.

Use:
    Where small details must survive: what stands out from its surroundings weighs more, whether it
    is lighter or darker.

Disagreement:
    What deviations are divided by. The authors' module takes their mean, their CUDA program their
    sum, so the same alpha means two things; the note has the conversion. The exponent is $e^\lambda
    / 2$ in the former, $e^\lambda$ in their PyTorch code.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[0.0, 0.0, 0.0, 4.0]]])
    >>> [round(flexpool.dpp_pool(x, 4, lambda_=power).item(), 2) for power in (-9, 0, 4)]
    [1.0, 1.46, 4.0]

Reference:
    Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR,
    arXiv:1804.04076.
"""

from math import inf

from flexpool.declare import Option, Param, operator, positive
from flexpool.ir import Value
from flexpool.math import exp, log, maximum, minimum, where

LARGEST = 80  # lambda beyond which only the largest deviations are left, and e^lambda is finite


def detail_weights(
    h: Value, lambda_: Value, alpha: Value, symmetric: bool, epsilon: float
) -> Value:
    """Give weights that grow with deviations, up to a factor that all of a window share."""
    if not symmetric:
        h = where(h > 0, h, 0)
    largest = abs(h).max().detach()
    unit = where((largest > 1) & (largest < inf), largest, 1)  # so that no square overflows
    d = (h / unit) ** 2 + epsilon / unit / unit
    top = d.max().detach()
    power = exp(minimum(lambda_, LARGEST)) / 2
    rest = alpha + power * log(d.mean() / top)
    scale = maximum(rest, 0).detach()  # of the two terms of the largest weight, one becomes 1
    return (d / top) ** power * exp(-scale) + exp(rest - scale)


@operator(
    paper="Saeedan, Weber, Goesele, Roth (2018), Detail-preserving pooling in deep networks, CVPR, "
    "arXiv:1804.04076",
    family="deviation-weighted",
    laws=("permutation", "between", "shift", "constant"),
    limits={"lambda_=-1e9": "avg", "alpha=1e9": "avg"},
)
def dpp(
    x,
    lambda_=Param(0.0),
    alpha=Param(0.0),
    symmetric=Option(True),
    epsilon=positive(1e-3),
):
    m = x.mean()
    w = detail_weights(x - m, lambda_, alpha, symmetric, epsilon)
    d = x - m.detach()
    return m.detach() + (w * d).sum() / w.sum()
