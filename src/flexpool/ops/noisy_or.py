r"""Give the probability that at least one of a window's independent events happens.

$$ y = 1 - \prod_i (1 - x_i) $$

with $x_i$ the values of the window, probabilities in [0, 1].

Note:
    Values below 0 count as 0 and those above 1 as 1, without gradient. Computed as a sum of
    logarithms, so that small probabilities keep their digits. The gradient is the product of the
    other $1 - x_j$, exact also where values are 1. NaN propagates. A window without any element
    gives 0.

Use:
    For probabilities of independent instances of which one is enough. With many instances the
    result is soon 1; ``lehmer`` and ``lse`` stay below the largest probability.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.noisy_or_pool(np.array([[[0.5, 0.5, 0.0, 1.0]]]), 2)
    array([[[0.75, 1.  ]]])

Reference:
    Maron, Lozano-Pérez (1998), A framework for multiple-instance learning, NIPS 10.
"""

from flexpool.declare import operator
from flexpool.math import clip, exp, expm1, log1p, where


@operator(
    paper="Maron, Lozano-Pérez (1998), A framework for multiple-instance learning, NIPS 10",
    family="elementary",
    laws=("permutation", "monotone"),
)
def noisy_or(x):
    p = clip(x, 0, 1)
    certain = where(p == 1, 1, 0).sum()
    logs = log1p(-where(p == 1, 0, p)).sum()  # of all but the certain ones
    rest = exp(logs) * where(p == 1, 1 - p, 0).sum()  # 0; its gradient is what matters
    return where(certain == 0, -expm1(logs), 1 - where(certain == 1, rest, 0 * logs))
