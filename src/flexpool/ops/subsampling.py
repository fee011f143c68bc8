r"""Average each window, multiply by a coefficient, add a bias, and squash: LeNet-5's subsampling.

$$ y = f\Bigl( c\, \frac{1}{n} \sum_i x_i + b \Bigr) $$

with $x_i$ the $n$ values of the window.

Args:
    coefficient: $c$, a finite number, without unit. Default 1. A module trains it; with channels=C,
        one per channel as in the paper.
    bias: $b$, a finite number, in units of x. Default 0. A module trains it alike.
    squash: $f$. None for none; "sigmoid" for $1 / (1 + e^{-a})$; "tanh" for $1.7159 \tanh(2a/3)$,
        LeNet-5's own. Default None.

Note:
    The paper multiplies the sum and not the average: its coefficient is c / n. The laws are those
    of the defaults, which average. NaN propagates; a window without any element gives NaN.

Use:
    To build LeNet-5 and its time as they were.

Disagreement:
    Most of today's LeNets leave coefficient, bias and squashing out, and have ``max`` or ``avg``
    there.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.subsampling_pool(np.array([[[1.0, 5.0]]]), 2, coefficient=2.0, bias=-1.0)
    array([[[5.]]])

Reference:
    LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition,
    Proceedings of the IEEE 86(11).
"""

from flexpool.declare import Option, Param, operator
from flexpool.math import sigmoid, tanh


@operator(
    paper="LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document "
    "recognition, Proceedings of the IEEE 86(11)",
    family="elementary",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"bias=0": "avg"},
)
def subsampling(
    x,
    coefficient=Param(1.0),
    bias=Param(0.0),
    squash=Option(None, choices=(None, "sigmoid", "tanh")),
):
    a = coefficient * x.mean() + bias
    if squash == "sigmoid":
        return sigmoid(a)
    return 1.7159 * tanh(2 * a / 3) if squash == "tanh" else a
