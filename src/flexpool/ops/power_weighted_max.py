r"""Take the largest of each window's values raised to powers, one power per position.

$$ y = \max_i\, (\max(x_i, 0) + \varepsilon)^{e_i} $$

with $x_i$ the values of the window and $e_i$ the exponents of their positions.

Args:
    exponent: $e$, an array of the kernel's shape or of (channels, *kernel), without unit. Required
        by functions; a module starts with 0.5 everywhere and trains it.
    epsilon: $\varepsilon$, a number > 0, in units of x. Default 1e-4. It keeps the slope of a power
        finite at 0.

Note:
    Values below 0 count as 0. Ties go to the first, which gets the whole gradient. NaN propagates;
    a window without any element gives -inf.

Use:
    For values in [0, 1], where each position gets a curve of its own: exponents below 1 lift small
    values, those above 1 lower them.

Disagreement:
    Several operators are called weighted max pooling; ``position_weighted_max`` is another. The
    authors' epsilon is 1e-4 for images, 1e-8 for series.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x, exponent = np.array([[[9.0, 4.0]]]), np.array([0.5, 1.0])
    >>> flexpool.power_weighted_max_pool(x, 2, exponent=exponent, epsilon=1e-9).round(6)
    array([[[4.]]])

Reference:
    Carollo, Ferrero-Jaurrieta, Paiva, Bardozzo, Tagliaferri (2026), Enhancing feature compression
    and reconstruction in time-series and image domains with pseudo-overlap and pseudo-grouping
    pooling functions, Knowledge-Based Systems.
"""

import numpy as np
from numpy.typing import NDArray

from flexpool.declare import Weight, operator, positive
from flexpool.math import where


def halves(kernel_size: tuple[int, ...]) -> NDArray[np.float64]:
    """Give square roots' exponents, one per position."""
    return np.full(kernel_size, 0.5)


@operator(
    paper="Carollo, Ferrero-Jaurrieta, Paiva, Bardozzo, Tagliaferri (2026), Enhancing feature "
    "compression and reconstruction in time-series and image domains with pseudo-overlap and "
    "pseudo-grouping pooling functions, Knowledge-Based Systems",
    family="position-weighted",
)
def power_weighted_max(
    x,
    exponent=Weight(first=halves),
    epsilon=positive(1e-4),
):
    return ((where(x < 0, 0, x) + epsilon) ** exponent).max()
