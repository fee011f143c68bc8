r"""Average each window by how well its values fit the fuzzy set that fits the window best.

$$ y = \frac{\sum_i w_i x_i}{\sum_i w_i}, \qquad w_i = \mu_v(x_i), \qquad
   v = \operatorname{arg\,max}_u \sum_i \mu_u(x_i) $$

with $x_i$ the values of the window and three memberships: $\mu_1$ (small) is 1 up to $r/6$ and
falls to 0 at $r/2$; $\mu_2$ (medium) rises from 0 at $r/4$ to 1 at $r/2$ and falls to 0 at $3r/4$;
$\mu_3$ (large) rises from 0 at $r/2$ to 1 at $3r/4$ and stays there; all in straight lines.

Args:
    top: $r$, the end of the range of values, a number > 0, in the unit of x. Default 6, for values
        after a ReLU that is cut off at 6. A module does not train it unless told to.

Note:
    The paper's steps are fuzzification, aggregation and defuzzification. Of sets that fit equally
    the smaller is taken. Values below 0 are small and those above r large. The result jumps where
    another set becomes the best; elsewhere the gradient is exact, that of the weights included; at
    a corner it is the slope of the slanted side (at r/2 of $\mu_2$, the rising one). NaN
    propagates, an infinity gives itself or NaN. A window without any element gives NaN.

Use:
    For values of a known range, as after a ReLU that is cut off at 6: it averages values of the
    kind that prevails in the window and leaves out the others.

Disagreement:
    Public programs differ in the corners of the memberships and in the aggregation: the corners
    here are those of most, the aggregation is the plain sum where one has $1 - \prod_i (1 -
    \mu_u(x_i))$.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> flexpool.fuzzy_pool(np.array([[[0.0, 2.0, 6.0]]]), 3)  # small: weights 1, 1/2 and 0
    array([[[0.66666667]]])

Reference:
    Diamantis, Iakovidis (2021), Fuzzy pooling, IEEE Transactions on Fuzzy Systems 29(11),
    arXiv:2202.08372.
"""

from flexpool.declare import Param, operator
from flexpool.math import where


@operator(
    paper="Diamantis, Iakovidis (2021), Fuzzy pooling, IEEE Transactions on Fuzzy Systems 29(11), "
    "arXiv:2202.08372",
    family="fuzzy",
    laws=("permutation", "between", "constant"),
)
def fuzzy(x, top=Param(6.0, above=0, learnable=False)):
    quarter, half, most = top / 4, top / 2, top * 3 / 4
    falling = where(x < most, (most - x) / quarter, 0)
    small = where(x < top / 6, 1, where(x <= half, (half - x) / (top / 3), 0))
    medium = where(x <= half, where(x >= quarter, (x - quarter) / quarter, 0), falling)
    large = where(x < half, 0, where(x <= most, (x - half) / quarter, 1))
    best = (small.sum(), medium.sum(), large.sum())
    other = where(best[1] >= best[2], medium, large)
    w = where((best[0] >= best[1]) & (best[0] >= best[2]), small, other)
    return (w * x).sum() / w.sum()
