"""Adaptive and global windows against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flexpool.window import adaptive_window, element_counts, global_window, window
from window.reference import covered

UP_TO_12 = range(1, 13)


@pytest.mark.parametrize("size", UP_TO_12)
def test_every_window_covers_the_same_elements_as_in_torch(size):
    x = torch.eye(size, dtype=torch.float64)[None]
    for outputs in UP_TO_12:
        adaptive = adaptive_window(1, outputs)
        (placement,) = adaptive.place((size,))
        table = covered(placement, size)
        assert adaptive.output_shape((size,)) == (outputs,)
        assert np.array_equal(F.adaptive_max_pool1d(x, outputs)[0].numpy().T == 1, table)
        averages = F.adaptive_avg_pool1d(x, outputs)[0].numpy().T
        assert np.array_equal(averages, table / placement.count[:, None])
        assert placement.interior == (0, outputs)
        assert not placement.empty.any()


@pytest.mark.parametrize(("size", "outputs"), [(1000, 999), (12345, 677), (2**20 + 1, 1023)])
def test_starts_and_ends_of_large_inputs(size, outputs):
    x = torch.arange(size, dtype=torch.float64)[None]
    (placement,) = adaptive_window(1, outputs).place((size,))
    assert np.array_equal(-F.adaptive_max_pool1d(-x, outputs)[0].numpy(), placement.start)
    assert np.array_equal(F.adaptive_max_pool1d(x, outputs)[0].numpy() + 1, placement.end)


@pytest.mark.parametrize("output_size", [2, (2, 3), (None, 3), (2, None), [7, 1], (0, 2)])
def test_two_dimensions(output_size):
    adaptive = adaptive_window(2, output_size)
    pooled = F.adaptive_avg_pool2d(torch.ones(1, 1, 5, 4), output_size)
    assert adaptive.output_shape((5, 4)) == tuple(pooled.shape[2:])
    assert element_counts(adaptive.place((5, 4))).shape == tuple(pooled.shape[2:])


def test_none_keeps_the_size_of_all_dimensions():
    assert adaptive_window(3, None).output_shape((5, 4, 3)) == (5, 4, 3)
    assert (element_counts(adaptive_window(3, None).place((5, 4, 3))) == 1).all()


def test_elements_are_counted_over_all_dimensions():
    assert element_counts(adaptive_window(2, (3, 2)).place((5, 3))).tolist() == [
        [4, 4],
        [6, 6],
        [4, 4],
    ]


def test_the_global_window_is_a_kernel_as_large_as_the_input():
    sizes = (3, 4, 5)
    everywhere = global_window(3)
    assert everywhere.output_shape(sizes) == (1, 1, 1)
    for placement, same in zip(everywhere.place(sizes), window(3, sizes).place(sizes), strict=True):
        assert placement.elements(0).tolist() == same.elements(0).tolist()
        assert placement.interior == same.interior == (0, 1)
    assert element_counts(everywhere.place(sizes)).tolist() == [[[60]]]
