"""One call per operator and kind of argument, for tests that go over all of them."""

import numpy as np
import torch

import flexpool
from flexpool.declare import OnInput, OnOutput, Option, Param, Random, Weight, operator

SEED = 5


@operator
def opened(x, gate=OnOutput(), share=Param(0.5)):
    return gate * (share * x.max() + (1 - share) * x.mean())


@operator
def weighted(x, weight=Weight(), scale=Param(1.0, above=0)):
    return (weight * x * x).sum() ** 0.5 * scale


OPERATORS = {**flexpool.operators(), "opened": opened, "weighted": weighted}


# Compiling takes seconds: most operators are left to `make test-all`. These have, one each, no
# arguments, a number, weights, an array beside the input, random numbers, and bound arguments.
COMPILED = ("max", "boltzmann", "blur", "lip", "stochastic", "weighted")


def arrays_for(made, x, kernel, outputs, per_channel):
    """Draw a value for each argument that takes one; all positive."""
    rng = np.random.default_rng(1)
    n, channels, *_ = x.shape
    shapes = {Param: (), OnInput: x.shape, OnOutput: (n, channels, *outputs)}
    found = {}
    for name, argument in made.arguments.items():
        if isinstance(argument, Random | Option):
            continue
        weight = isinstance(argument, Weight)
        shape = argument.shape(kernel) if weight else shapes[type(argument)]
        each = (channels,) if per_channel and (weight or isinstance(argument, Param)) else ()
        most = getattr(argument, "at_most", None) or 1.5
        found[name] = rng.uniform(0.5, most, (*each, *shape))
    return found


def seed_for(made):
    random = any(isinstance(a, Random) for a in made.arguments.values())
    return {"seed": SEED} if random else {}


def tensors(arrays, dtype=torch.float64):
    return {name: torch.tensor(a, dtype=dtype, requires_grad=True) for name, a in arrays.items()}


def apart(shape, dtype=np.float64):
    """Positive values, no two near each other and none near a window's mean: no ties, no kinks."""
    count = int(np.prod(shape))
    order = np.random.default_rng(2).permutation(count)
    uneven = order + 0.3 * np.sin(order)  # evenly spaced ones meet their own means
    return (0.1 + uneven.reshape(shape) / count).astype(dtype)
