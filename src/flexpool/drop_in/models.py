"""Replace the pooling modules of a model, and go back."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import TypeVar

from torch import nn

from flexpool.drop_in.modules import FASTER, PLAIN
from flexpool.drop_in.report import acceleration, checked_model, why_left
from flexpool.errors import called
from flexpool.window.arguments import checked_flag

__all__ = ["accelerate", "decelerate"]

_log = logging.getLogger("flexpool")

Model = TypeVar("Model", bound=nn.Module)


def accelerate(model: Model, *, inplace: bool = True) -> Model:
    """Let flexpool compute the pooling modules of a model, with equal results.

    PyTorch's ``MaxPool``, ``AvgPool``, ``LPPool``, ``AdaptiveMaxPool`` and ``AdaptiveAvgPool``, in
    one to three dimensions, become subclasses of themselves: the same objects, with their
    attributes, hooks, names and places. They call flexpool where it computes the same sooner, else
    PyTorch, as before. Modules that may do something else are left; :func:`acceleration` says which
    and why. Pooling by functions is not seen here; that is what :func:`accelerated` is for.

    Args:
        model: any module; a pooling module itself, too.
        inplace: whether the model itself is changed; False changes a deep copy. Default True.

    Returns:
        the model, or its copy.

    Raises:
        ArgumentError: if model is no module, or inplace no bool.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.MaxPool2d(2))
        >>> acceleration(accelerate(model))
        1 of 1 poolings accelerated
        1  MaxPool2d  flexpool
    """
    with called("accelerate"):
        checked_model(model)
        whole = model if checked_flag("inplace", inplace) else copy.deepcopy(model)
    for module in whole.modules():
        if type(module) in FASTER and why_left(module) is None:
            _become(module, FASTER)
    for pool in acceleration(whole).pools:
        _log.debug("accelerate: %s %s: %s", pool.name, pool.what, pool.why or "flexpool")
    return whole


def decelerate(model: Model) -> Model:
    """Give a model's pooling modules back to PyTorch: undo :func:`accelerate`, in place.

    Args:
        model: any module.

    Returns:
        the model.

    Raises:
        ArgumentError: if model is no module.

    Example:
        >>> import torch
        >>> type(decelerate(accelerate(torch.nn.MaxPool2d(2)))) is torch.nn.MaxPool2d
        True
    """
    with called("decelerate"):
        checked_model(model)
    for module in model.modules():
        if type(module) in PLAIN:
            _become(module, PLAIN)
    return model


def _become(module: nn.Module, classes: Mapping[type[nn.Module], type[nn.Module]]) -> None:
    module.__class__ = classes[type(module)]
