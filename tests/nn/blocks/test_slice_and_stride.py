"""The two downsamplings without pooling."""

import pytest
import torch

from flexpool.errors import ArgumentError
from flexpool.nn import Slice2d, StridedConv2d


def test_a_convolution_with_stride_is_a_convolution_and_a_slice():
    torch.manual_seed(0)
    strided = StridedConv2d(3, 5, 3, padding=1, dtype=torch.float64)
    every = torch.nn.Conv2d(3, 5, 3, padding=1, dtype=torch.float64)
    every.load_state_dict(strided.state_dict())
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(Slice2d(1, 2)(every(x)), strided(x))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, 2), "Slice2d: expected kernel_size to be an int > 0, got 0."),
        ((2, True), "Slice2d: expected stride to be an int > 0, got True."),
        ((2, 1.5), "Slice2d: expected stride to be an int > 0, got 1.5."),
    ],
)
def test_slice_refuses_what_is_no_window(given, text):
    with pytest.raises(ArgumentError) as caught:
        Slice2d(*given)
    assert str(caught.value) == text
