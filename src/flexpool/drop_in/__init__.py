"""Take the place of PyTorch's pooling in models that are there already, with equal results.

* :func:`accelerate` for the pooling modules of a model, :func:`decelerate` to go back,
  :func:`acceleration` to see what was replaced and what was left, and why;
* :func:`accelerated` for the pooling functions called inside a ``with`` block.
"""

from flexpool.drop_in.block import accelerated
from flexpool.drop_in.models import accelerate, decelerate
from flexpool.drop_in.report import Acceleration, Pool, acceleration

__all__ = ["Acceleration", "Pool", "accelerate", "accelerated", "acceleration", "decelerate"]
