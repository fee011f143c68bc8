r"""Mix two averages of each window: weights by likeness to the mean, and the weights e^x.

$$ y = \beta\, y_{\mathrm{edscw}} + (1 - \beta)\, y_{\mathrm{soft}} $$

with the results of ``edscw`` and ``soft`` for the same window.

Args:
    beta: $\beta$, a number >= 0 and <= 1, without unit. Default 0.5. A module may train it, per
        channel too.

Note:
    Where training has carried beta out of [0, 1], the nearer end takes its place, and the gradient
    is the one at that end, so that beta can come back. The paper has one beta per element of the
    output, which binds a layer to one size; compute $\beta$ ``edscw`` + (1 - $\beta$) ``soft`` with
    an array for that. Both parts subtract the largest value or the mean first, so nothing
    overflows. A NaN or an infinity gives NaN, and so does a window without any element.

Use:
    Where a summary near the average and the strong values are both wanted, in a proportion that is
    learned.

Disagreement:
    In the authors' program beta starts as normal random numbers cut to [0, 1], so half of them are
    0; it is meant to be cut in every call, but is not. Ports have exchanged beta and 1 - beta. The
    authors' gradient takes the weights as constants; here it is the exact one.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    >>> parts = flexpool.edscw_pool(x, 4), flexpool.soft_pool(x, 4)
    >>> np.allclose(flexpool.ada_pool(x, 4, beta=0.25), 0.25 * parts[0] + 0.75 * parts[1])
    True

Reference:
    Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining
    downsampling, IEEE TIP 32, arXiv:2111.00772.
"""

from flexpool.declare import Param, operator
from flexpool.math import clip
from flexpool.ops.edscw import edscw
from flexpool.ops.soft import soft


@operator(
    paper="Stergiou, Poppe (2023), AdaPool: Exponential adaptive pooling for information-retaining "
    "downsampling, IEEE TIP 32, arXiv:2111.00772",
    family="deviation-weighted",
    laws=("permutation", "between", "constant"),
    limits={"beta=0": "soft", "beta=1": "edscw"},
)
def ada(x, beta=Param(0.5, at_least=0, at_most=1)):
    share = beta + (clip(beta, 0, 1) - beta).detach()
    return share * edscw.formula(x) + (1 - share) * soft.formula(x, gradient="exact")
