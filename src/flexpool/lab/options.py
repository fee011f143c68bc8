"""What a recipe can choose from, by name, and how its numbers are checked."""

from __future__ import annotations

import math

from flexpool.errors import ArgumentError, expected

__all__ = [
    "FRAMEWORKS",
    "INITIALISATIONS",
    "OPTIMISERS",
    "PRECISIONS",
    "SCALINGS",
    "SCHEDULES",
    "check_int",
    "check_number",
]

SCALINGS = {
    "standard": "minus the mean of all training pixels, divided by their standard deviation",
    "unit": "divided by 255, so that pixels lie in [0, 1]",
    "raw": "pixel values 0 to 255 as they are",
}

FRAMEWORKS = {
    "torch": "PyTorch",
    "numpy": "flexpool.numpy: every layer from zero, no deep-learning framework",
}

OPTIMISERS = {"adam": "Adam", "sgd": "SGD"}

SCHEDULES = {
    "constant": "one learning rate throughout",
    "steps": "multiplied by a factor after each of some epochs",
    "cosine": "half a cosine from the learning rate down to 0",
}

PRECISIONS = {
    "float32": "every number in single precision",
    "bfloat16": "autocast: what gains by it computes in bfloat16, weights stay float32",
    "float16": "autocast in float16 with a scaled loss; on CUDA devices only",
}

INITIALISATIONS = {
    "own": "the net's own rule, standard for most",
    "standard": "as PyTorch: uniform within 1 / sqrt(inputs)",
    "xavier-uniform": "uniform within sqrt(6 / (inputs + outputs)); biases as standard",
    "kaiming-uniform": "uniform within sqrt(6 / inputs); biases as standard",
}


def check_int(name: str, value: object, least: int = 1) -> None:
    """Refuse what is not an int, or too small.

    Raises:
        ArgumentError: if it is that.

    Example:
        >>> check_int("epochs", 0)
        Traceback (most recent call last):
        ...
        flexpool.errors.ArgumentError: expected epochs to be an int > 0, got 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        domain = f"> {least - 1}" if least > 0 else f">= {least}"
        raise ArgumentError(expected(name, f"to be an int {domain}", value))


def check_number(name: str, value: object, domain: str, low: float, high: float) -> None:
    """Refuse what is no finite number, or outside of low <= value < high.

    Args:
        name: of the argument.
        value: what was given.
        domain: the limits in words, as "> 0".
        low, high: the limits.

    Raises:
        ArgumentError: if it is that.

    Example:
        >>> check_number("momentum", 1.0, "in [0, 1)", 0.0, 1.0)
        Traceback (most recent call last):
        ...
        flexpool.errors.ArgumentError: expected momentum to be a finite number in [0, 1), got 1.0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentError(expected(name, f"to be a number {domain}", value))
    if not (math.isfinite(value) and low <= value < high):
        raise ArgumentError(expected(name, f"to be a finite number {domain}", value))
