"""What holds in every test."""

import numpy as np
import pytest

from flexpool.backends import memory


def empty(shape, dtype):
    """Make an array that shows what nobody wrote."""
    return np.full(shape, np.nan, dtype)


@pytest.fixture(scope="session", autouse=True)
def results_start_as_nan():
    """Kernels get arrays of NaN to write to, so that an element left out is no lucky zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "array", empty)
        yield
