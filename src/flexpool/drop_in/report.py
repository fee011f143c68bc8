"""Say which poolings of a model flexpool computes, which it does not, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn

from flexpool import sooner
from flexpool.drop_in.functions import FUNCTIONS
from flexpool.drop_in.modules import FASTER, NAMES, PLAIN
from flexpool.errors import ArgumentError, called, expected

__all__ = ["Acceleration", "Pool", "acceleration", "checked_model", "why_left"]

_POOLINGS = {
    "MaxPool": "max",
    "AvgPool": "avg",
    "LPPool": "avg",
    "AdaptiveMaxPool": "adaptive max",
    "AdaptiveAvgPool": "adaptive avg",
}
_OTHERS = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


@dataclass(frozen=True)
class Pool:
    """One pooling of a model.

    Attributes:
        name: of the module, as ``model.named_modules()`` gives it first; of a call in a graph, that
            of its node.
        what: the class of the module, or the function that is called.
        why: why it is left to PyTorch; empty if it is flexpool's.
    """

    name: str
    what: str
    why: str = ""


@dataclass(frozen=True, repr=False)
class Acceleration:
    """The poolings of a model; its repr is a table of them.

    Attributes:
        pools: all that were found, in the order of ``model.named_modules()``.
    """

    pools: tuple[Pool, ...]

    @property
    def replaced(self) -> tuple[Pool, ...]:
        """Those that flexpool computes."""
        return tuple(pool for pool in self.pools if not pool.why)

    @property
    def left(self) -> tuple[Pool, ...]:
        """Those that are left to PyTorch."""
        return tuple(pool for pool in self.pools if pool.why)

    def __repr__(self) -> str:
        by = [f"left: {pool.why}" if pool.why else "flexpool" for pool in self.pools]
        rows = [(p.name or "(itself)", p.what, who) for p, who in zip(self.pools, by, strict=True)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        head = f"{len(self.replaced)} of {len(self.pools)} poolings accelerated"
        table = [f"{name:{widths[0]}}  {what:{widths[1]}}  {by}" for name, what, by in rows]
        return "\n".join([head, *table])


def acceleration(model: nn.Module) -> Acceleration:
    """List the poolings of a model, who computes them, and why some are left to PyTorch.

    It looks at the model as it is now, so it may be asked before :func:`accelerate` too. What a
    model calls as a function is known for ``torch.fx`` graphs only.

    Args:
        model: any module.

    Raises:
        ArgumentError: if model is no module.

    Example:
        >>> import torch
        >>> acceleration(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.FractionalMaxPool2d(2, 3)))
        0 of 1 poolings accelerated
        1  FractionalMaxPool2d  left: flexpool has no such pooling
    """
    with called("acceleration"):
        checked_model(model)
    return Acceleration(tuple(_pools(model)))


def checked_model(model: object) -> None:
    """Raise an ArgumentError unless this is a module."""
    if not isinstance(model, nn.Module):
        instead = "For functions, write `with flexpool.accelerated():`."
        raise ArgumentError(expected("model", "to be a torch.nn.Module", model, instead))


def _pools(model: nn.Module) -> Iterator[Pool]:
    for name, module in model.named_modules():
        if _is_pooling(module):
            what = getattr(module, "original_name", type(module).__name__)
            why = why_left(module)
            yield Pool(name, what, (why or "") if type(module) in PLAIN or why else _NOT_YET)
        if isinstance(module, fx.GraphModule):
            for node in module.graph.nodes:
                if node.op == "call_function" and node.target in FUNCTIONS:
                    yield Pool(f"{name}.{node.name}".lstrip("."), node.target.__name__, _A_CALL)


_NOT_YET = "not accelerated yet, call flexpool.accelerate(model)"
_A_CALL = "a call of a function, not a module; use flexpool.accelerated()"


def _is_pooling(module: nn.Module) -> bool:
    if isinstance(module, torch.jit.ScriptModule):
        return getattr(module, "original_name", "") in NAMES
    return isinstance(module, (*FASTER, *_OTHERS))


def why_left(module: nn.Module) -> str | None:
    """Say why a pooling module cannot be replaced, or None if it can, or is already."""
    if isinstance(module, torch.jit.ScriptModule):
        return "compiled by TorchScript; accelerate the model before, or instead"
    if isinstance(module, _OTHERS):
        return "flexpool has no such pooling"
    if type(module) not in FASTER and type(module) not in PLAIN:
        base = next(theirs for theirs in FASTER if isinstance(module, theirs))
        return f"a subclass of torch.nn.{base.__name__} may do something else"
    if "forward" in vars(module):
        return "its forward was replaced on the object itself"
    name = type(module).__name__
    pooling = {
        "MaxPool": "max",
        "AdaptiveMaxPool": "adaptive max",
        "AdaptiveAvgPool": "adaptive avg",
    }
    if not sooner.is_ever_worth(pooling.get(name[:-2], "avg"), int(name[-2])):
        return "PyTorch's was the faster one in all measurements"
    return None
