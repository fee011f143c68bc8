"""Taking times: all peers of a row in turns, so that a slow moment meets them all."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Times", "take_times"]

_SHORTEST = 2e-3  # seconds a sample takes at least, so that the clock is no part of it
_TURN = 0.05  # seconds of samples in one turn
_MOST = 5  # samples in one turn
_SLOW = 0.25  # seconds; what takes longer has fewer turns
_SLOW_ROUNDS = 3
_SETTLE = 0.002  # seconds between two peers: threads of the one before still spin for a while


@dataclass
class Times:
    """What was measured of one peer.

    Attributes:
        repeats: calls in a sample, whose time is divided by it.
        seconds: one figure per sample.
    """

    repeats: int
    seconds: list[float] = field(default_factory=list)


def take_times(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, Times]:
    """Time functions in turns. What they return is dropped inside the time that counts.

    Args:
        runs: what to time, by name.
        rounds: turns of each, an int > 0; those that take over 0.25 s have 3 at most.

    Example:
        >>> times = take_times({"nothing": lambda: None}, rounds=2)["nothing"]
        >>> times.repeats > 1 and len(times.seconds) > 1
        True
    """
    with _no_collection():
        times = {name: Times(_repeats(run)) for name, run in runs.items()}
        order = list(runs)
        for number in range(rounds):
            first = number % len(order)
            for name in order[first:] + order[:first]:  # each is first in its turn
                _take_turn(runs[name], times[name], number)
    return times


def _repeats(run: Callable[[], Any]) -> int:
    """Find out how many calls make a sample long enough; this warms up, too."""
    run()
    repeats = 1
    while (taken := _sample(run, repeats)) * repeats < _SHORTEST:
        repeats = max(2 * repeats, math.ceil(_SHORTEST / max(taken, 1e-9)))
    return repeats


def _take_turn(run: Callable[[], Any], times: Times, number: int) -> None:
    before = times.seconds[-1] * times.repeats if times.seconds else 0.0
    if before > _SLOW and number >= _SLOW_ROUNDS:
        return
    time.sleep(_SETTLE)
    if before < _TURN:
        _sample(run, times.repeats)  # its data comes back into the caches
    begin = time.perf_counter()
    for _ in range(_MOST):
        times.seconds.append(_sample(run, times.repeats))
        if time.perf_counter() - begin > _TURN:
            break


def _sample(run: Callable[[], Any], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begin) / repeats


@contextmanager
def _no_collection() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
