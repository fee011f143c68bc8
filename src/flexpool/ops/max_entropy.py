r"""Average each window with the weights e^(beta x), from halfway between ``avg`` and ``soft`` on.

$$ y = \frac{\sum_i e^{\beta x_i}\, x_i}{\sum_i e^{\beta x_i}} $$

with $x_i$ the values of the window.

Args:
    beta: $\beta$, a finite number, in units of 1/x. Default 0.5, the sigmoid of 0. A module may
        train it, per channel too.

Note:
    Maximum-entropy pooling: of all weights with a given mean these have the largest entropy. The
    paper also lets a small network compute beta for each image and channel, from the averages of
    the map through normalisation and a sigmoid, which starts around 0.5; here beta is a number.
    ``boltzmann``, the same formula, starts from 1.

Use:
    As ``boltzmann``, where training should begin near the average. ``GFGPPool2d`` lets the map
    decide beta, as the paper does.

Disagreement:
    Whether beta is one number, one per channel, or computed from the map: the authors' program has
    all three.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = 2 * np.log(np.array([[[1.0, 3.0]]]))  # weights 1/4 and 3/4
    >>> flexpool.max_entropy_pool(x, 2) / np.log(3.0)
    array([[[1.5]]])

Reference:
    Kobayashi (2019), Global feature guided local pooling, ICCV.
"""

from flexpool.declare import Param, operator
from flexpool.ops.boltzmann import boltzmann


@operator(
    paper="Kobayashi (2019), Global feature guided local pooling, ICCV",
    family="softmax-weighted",
    laws=("permutation", "between", "shift", "constant"),
    limits={"beta=0": "avg", "beta=1": "soft", "beta=1e9": "max", "beta=-1e9": "min"},
)
def max_entropy(x, beta=Param(0.5)):
    return boltzmann.formula(x, beta)
