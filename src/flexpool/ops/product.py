r"""Multiply the values of each window.

$$ y = \prod_i x_i $$

with $x_i$ the values of the window.

Note:
    Exponents and mantissas are collected apart, so no intermediate result leaves the range of its
    type: 1e30, 1e30, 1e-30 and 1e-30 give 1 in float32 too. The gradient is the product of the
    other values, exact at zeros and for negative values; it is 0 where y itself is too small for
    its type, and at a lone zero at most 2^127. Infinities multiply as they do in arithmetic,
    without a gradient of use; NaN propagates. A window without any element gives 1.

Use:
    For factors that must all hold, such as probabilities. Many values below 1 give tiny results:
    ``geometric`` keeps their size.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[2.0, -3.0, 0.0, 5.0]]])
    >>> flexpool.product_pool(x, 2)
    array([[[-6.,  0.]]])

Reference:
    Carollo, Ferrero-Jaurrieta, Paiva, Bardozzo, Tagliaferri (2026), Enhancing feature compression
    and reconstruction in time-series and image domains with pseudo-overlap and pseudo-grouping
    pooling functions, Knowledge-Based Systems.
"""

from math import inf
from math import log as number_log
from typing import Any

from flexpool.declare import operator
from flexpool.math import clip, exp, floor, log, minimum, where

LN2 = number_log(2)


def exponent(a: Any) -> Any:
    """Give e with a / 2**e near 1, for numbers > 0; within 100, so that 2**e is in every type."""
    return clip(floor(log(a) / LN2 + 0.5), -100, 100)


@operator(
    paper="Carollo, Ferrero-Jaurrieta, Paiva, Bardozzo, Tagliaferri (2026), Enhancing feature "
    "compression and reconstruction in time-series and image domains with pseudo-overlap and "
    "pseudo-grouping pooling functions, Knowledge-Based Systems",
    family="elementary",
    laws=("permutation",),
)
def product(x):
    size, zeros = abs(x), where(x == 0, 1, 0).sum()
    a = where((size > 0) & (size < inf) & (zeros < 2), size, 1)
    e = exponent(a)
    logs = log(a / 2**e).sum()
    carry = floor(logs / LN2)
    power = e.sum() + carry
    power = where(zeros == 0, power, minimum(power, 126))  # finite, to be multiplied by 0
    minus = where(x < 0, 1, 0).sum()
    sign = 1 - 2 * (minus - 2 * floor(minus / 2))
    others = sign * exp(logs - carry * LN2) * 2**power  # of the values that are not 0
    zero = where(x == 0, x, 0).sum()  # its value is 0; its gradient is what matters
    y = where(zeros == 0, others, where(zeros == 1, others, 0) * zero)
    return y + where(size < inf, 0, size).sum() * where(zeros > 0, 0, sign)
