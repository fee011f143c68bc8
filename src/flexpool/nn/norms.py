"""torch's normalisations, for inputs of any size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BatchNorm2d", "InstanceNorm2d"]


class BatchNorm2d(nn.BatchNorm2d):
    """Normalise each channel of a batch; a single value, which varies in nothing, as in evaluation.

    torch refuses to train on it, as on the last image of a data set whose size is not a multiple of
    the batch's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


class InstanceNorm2d(nn.GroupNorm):
    """Normalise each map on its own; one of a single pixel becomes 0, where torch refuses it.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
