"""Peak memory of a pooling beyond its input and results: each in a process of its own.

``python -m flexpool.bench.memory OPERATOR SIZE DTYPE LAYOUT DIRECTION PEER THREADS`` prints one
figure. It reads Linux's own account of the process, ``/proc/self/status``.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from flexpool.bench.cases import Choice, find
from flexpool.bench.peers.forms import form
from flexpool.bench.problem import Problem, problem
from flexpool.bench.run import Steps
from flexpool.errors import ArgumentError, StorageError, expected
from flexpool.lab.files import storing, write_atomically

__all__ = ["FILE", "PEERS", "Peak", "measure", "peak"]

FILE = "memory.json"
PEERS = ("flexpool", "torch")

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Peak:
    """The memory of one peer in one row.

    Attributes:
        operator, case, dtype, layout, direction: names.
        beyond: bytes beyond input and results at the worst moment, by peer; None where it failed.
        held: bytes of the input and the results.
    """

    operator: str
    case: str
    dtype: str
    layout: str
    direction: str
    beyond: dict[str, int | None]
    held: int


def measure(
    folder: Path,
    choices: Sequence[Choice],
    directions: Sequence[str],
    threads: int,
    steps: Steps,
) -> list[Peak]:
    """Measure peaks, and write them as ``memory.json``.

    The backward row is a step of training: forward, what is kept for later, and backward.

    Raises:
        ArgumentError: if this system has no account of a process's memory.
        StorageError: if the file cannot be written.
    """
    if not _RESET.exists():
        instead = "Leave it out here: Linux keeps the account that it reads."
        raise ArgumentError(expected("--memory", "to be asked for on Linux", sys.platform, instead))
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    for choice in choices:
        for direction in directions:
            case = choice.case
            row = (choice.operator, case.name, case.dtype, choice.layout, direction)
            steps.doing(" ".join(row))
            figures = {peer: _in_a_process(choice, direction, peer, threads) for peer in PEERS}
            held = next((f["held"] for f in figures.values() if f), 0)
            beyond = {peer: f["beyond"] if f else None for peer, f in figures.items()}
            found.append(Peak(*row, beyond, held))
            content = json.dumps([asdict(each) for each in found], indent=1)
            write_atomically(folder / FILE, content.encode())
            steps.done(" ".join(row))
    return found


def _in_a_process(choice: Choice, direction: str, peer: str, threads: int) -> dict[str, int] | None:
    what = (choice.operator, _written(choice), choice.case.dtype, choice.layout)
    command = [sys.executable, "-m", "flexpool.bench.memory", *what, direction, peer, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _written(choice: Choice) -> str:
    """Write a case so that :func:`flexpool.bench.cases.find` reads it."""
    case = choice.case
    if case.about != "given by hand":
        return case.name
    shape = "x".join(map(str, case.shape))
    if case.kernel_size is None:
        return f"{shape}:global"
    return f"{shape}:k{case.kernel_size}s{case.steps[0]}p{case.padding}"


def peak(run: Callable[[], Any]) -> tuple[int, Any]:
    """Run a function; give by how many bytes the process grew at the worst moment, and the result.

    Example:
        >>> import numpy as np
        >>> grown, made = peak(lambda: np.ones(2**22))
        >>> 0.9 < grown / made.nbytes < 1.1
        True
    """
    ctypes.CDLL(None).malloc_trim(0)
    _RESET.write_text("5")  # the highest mark falls to what is in use now
    before = _account("VmRSS")
    result = run()
    return _account("VmHWM") - before, result


def _account(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise StorageError(f"cannot read {name} in {_STATUS}.")


def _step(asked: Problem, function: Callable[..., Any]) -> Callable[[], Any]:
    """Make what is watched: a call, or a step of training."""
    inputs = [asked.x, *asked.others.values()]
    if asked.direction == "forward":

        def forward() -> Any:
            with torch.no_grad():
                return function(*inputs)

        return forward
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]

    def step() -> Any:
        y = function(*leaves)
        return [y.detach(), *torch.autograd.grad(y, leaves, asked.grad_y)]

    return step


def _main(
    operator: str, size: str, dtype: str, layout: str, direction: str, peer: str, threads: str
) -> None:
    torch.set_num_threads(int(threads))
    choice = Choice(operator, replace(find(size), dtype=dtype), layout)
    asked = problem(choice, direction, int(threads))
    run = _step(asked, asked.pool if peer == "flexpool" else form(asked)[0])
    run()  # compiles, and starts threads
    grown, result = peak(run)
    made = sum(array.nbytes for array in (result if isinstance(result, list) else [result]))
    given = asked.x.nbytes + sum(a.nbytes for a in asked.others.values())
    print(json.dumps({"beyond": max(0, grown - made), "held": given + made}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
