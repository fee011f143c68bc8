r"""Average the values of each window.

$$ y = \frac{1}{D} \sum_i x_i $$

with $x_i$ the values of the window and $D$ their number; where the padding counts, it counts as
zeros.

Args:
    count_include_pad: whether $D$ counts the padding too, True or False. Default True, as in torch.
    divisor_override: takes the place of $D$, an int other than 0. Default None.

Note:
    As torch's ``avg_pool``: what overhangs in ceil mode never counts, and NaN propagates. Under
    dilation, which torch lacks here, the elements count, not the extent; a window without any
    element is then 0 divided by $D$, that is 0, or NaN where $D = 0$.

Use:
    Where everything in a window counts the same: over the whole map at the end of a network, or as
    the simplest low-pass before a stride.

Disagreement:
    What to divide by at the border. torch counts padding, unless told not to, and never what
    overhangs in ceil mode; ports of networks to other runtimes have often got the latter wrong.

Example:
    >>> import numpy as np
    >>> import flexpool
    >>> x = np.array([[[2.0, 4.0, 6.0]]])
    >>> [flexpool.avg_pool(x, 2, padding=1, count_include_pad=c) for c in (True, False)]
    [array([[[1., 5.]]]), array([[[2., 5.]]])]

Reference:
    LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel (1990), Handwritten digit recognition
    with a back-propagation network, NIPS 2.
"""

from flexpool.declare import Option, operator


def _is_divisor(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value != 0)


@operator(
    paper="LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel (1990), Handwritten digit "
    "recognition with a back-propagation network, NIPS 2",
    family="elementary",
    laws=("permutation", "between", "shift", "scale", "monotone", "constant"),
    limits={"divisor_override=1": "sum"},
)
def avg(
    x,
    count_include_pad=Option(True),
    divisor_override=Option(None, choices=_is_divisor, rule="None or an int other than 0"),
):
    divisor = divisor_override or x.count(padding=count_include_pad)
    return x.sum() / divisor
