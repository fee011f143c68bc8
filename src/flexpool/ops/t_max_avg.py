r"""Take the maximum of each window where its k largest reach a threshold, else their average.

$$ y = \begin{cases} x_{(0)} & \text{if } x_{(j)} \ge t \\
   \frac{1}{K} \sum_{r < K} x_{(r)} & \text{else} \end{cases}
   \qquad K = \min(k, n) $$

with $x_{(0)} \ge x_{(1)} \ge \dots \ge x_{(n-1)}$ the $n$ values of the window in falling order and
$j = K - 1$ or 0, see ``reached_by``.

Args:
    k: how many, an int >= 1. Default 2.
    threshold: $t$, a finite number, in the unit of x. Default 0.5, which is flexpool's choice.
    reached_by: "all" of the k largest values must reach the threshold ($j = K - 1$), or only the
        "largest" ($j = 0$). Default "all".

Note:
    T-Max-Avg pooling. The result jumps at the threshold, whose gradient is 0. Values that tie are
    ordered by position. NaN propagates; a window without any element gives NaN.

Use:
    After an activation of known range, so that the threshold has a meaning: strong responses pass
    as they are, weak ones are averaged.

Disagreement:
    Programs read the rule in the two ways of ``reached_by``, and give different results.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[9.0, 5.0, 1.0]]])
    >>> [flexpool.t_max_avg_pool(x, 3, threshold=t).item() for t in (5.0, 6.0)]
    [9.0, 7.0]

Reference:
    Zhao, Zhang (2024), A improved pooling method for convolutional neural networks, Scientific
    Reports 14, 1589.
"""

from math import inf

from flexpool.declare import Option, Param, operator
from flexpool.math import minimum, where
from flexpool.ops.topk import is_count


@operator(
    paper="Zhao, Zhang (2024), A improved pooling method for convolutional neural networks, "
    "Scientific Reports 14, 1589",
    family="rank",
    laws=("permutation", "between", "monotone", "constant"),
    limits={"threshold=1e9": "topk", "threshold=-1e9": "max", "k=1": "max"},
)
def t_max_avg(
    x,
    k=Option(2, choices=is_count, rule="an int >= 1"),
    threshold=Param(0.5, learnable=False),
    reached_by=Option("all", choices=("all", "largest")),
):
    chosen = x.rank() < k
    mean = where(chosen, x, 0).sum() / minimum(x.count(), k)
    judged = where(chosen, x, inf).min() if reached_by == "all" else x.max()
    return where((judged >= threshold) & (x.count() > 0), x.max(), mean)
