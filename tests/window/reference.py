"""What the window tests share: which input elements each window covers, as a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flexpool.window import Placement

__all__ = ["covered"]


def covered(placement: Placement, size: int) -> NDArray[np.bool_]:
    """Table of (outputs, size): does window i cover input element e?"""
    table = np.zeros((len(placement.start), size), dtype=bool)
    for output in range(len(table)):
        table[output, placement.elements(output)] = True
    return table
