"""Load a printed program and launch its kernels on PyTorch's tensors."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from flexpool.backends import philox
from flexpool.backends.cached_files import cache_folder, keep, temporary_folder
from flexpool.backends.task import Task
from flexpool.backends.triton_gpu.program import program
from flexpool.ir import Grid
from flexpool.window import Window

if TYPE_CHECKING:
    import torch

__all__ = ["run", "source"]

BLOCK = 256

_log = logging.getLogger("flexpool")


def source(task: Task) -> str:
    """Give the Triton source for a task, to be read."""
    return program(task.graph, task.geometry, task.dtype).text


def run(
    task: Task, leaves: Mapping[str, Any], types: Mapping[str, torch.dtype] | None = None
) -> dict[str, torch.Tensor]:
    """Compute a graph's results by name, on the device where the leaves are.

    Args:
        task: what to compute.
        leaves: the tensors; of ``task.dtype``, or half floats.
        types: half types of results by name; the kernels convert.
    """
    import torch

    plan = program(task.graph, task.geometry, task.dtype)
    module = _loaded(plan.text)
    tensors = [leaf for leaf in leaves.values() if isinstance(leaf, torch.Tensor)]
    device, dtype = tensors[0].device, getattr(torch, task.dtype)
    planes, geometry = math.prod(task.batch), task.geometry
    windows, positions = planes * math.prod(geometry.output_shape), geometry.positions
    elements = planes * math.prod(geometry.sizes)

    arguments = _given(task, leaves)
    kept = {f"{name}_out": kind for name, kind in (types or {}).items()}
    for name in plan.per_window:
        arguments[name] = torch.empty(windows, dtype=kept.get(name, dtype), device=device)
    for name in plan.per_tap:
        arguments[name] = torch.zeros((windows, positions), dtype=dtype, device=device)
    for name in plan.per_element:
        arguments[name] = torch.empty(elements, dtype=kept.get(name, dtype), device=device)

    index = _index_type(max(windows * positions, elements), task)
    places = _places(task) | {"BLOCK": BLOCK, "INDEX": index}
    # Without fusing a * b + c the GPU rounds like every other backend.
    options = {} if _interpreted() else {"enable_fp_fusion": False}
    with torch.cuda.device(device) if device.type == "cuda" else np.errstate(all="ignore"):
        for kernel, names, total in (
            ("windows", plan.windows, windows),
            ("elements", plan.elements, elements),
        ):
            if names and total:
                launch = getattr(module, kernel)[(-(-total // BLOCK),)]
                launch(**{n: arguments[n] for n in names}, **places, total=total, **options)
    return {o.name: _shaped(arguments[f"{o.name}_out"], o.onto, task) for o in task.graph.outputs}


def _places(task: Task) -> dict[str, Any]:
    """Give the kernels' arguments that say where the windows lie."""
    geometry, window = task.geometry, task.geometry.window
    padding = [(0, 0)] * geometry.dimensions
    if isinstance(window, Window):
        padding = list(window.padding_at(geometry.sizes))
    places = {"channels": task.batch[1]}
    for d, (before, after) in enumerate(padding):
        places[f"size_{d}"], places[f"outputs_{d}"] = geometry.sizes[d], geometry.output_shape[d]
        places[f"before_{d}"], places[f"after_{d}"] = before, after
    return places


def _given(task: Task, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Give the kernels' arguments for the leaves: a pointer and the distance of channels' rows."""
    given: dict[str, Any] = {}
    for name, node in task.graph.leaves().items():
        if node.op == "random":
            given[f"{name}_key"], given[f"{name}_offset"] = philox.split_seed(int(leaves[name]))
        else:
            tensor = leaves[name].contiguous()
            given[f"{name}_ptr"] = tensor
            given[f"{name}_step"] = 0 if len(tensor) == 1 else math.prod(tensor.shape[1:])
    return given


def _index_type(most: int, task: Task) -> Any:
    """Choose 32 bits for places where all of them fit: dividing 64 bits is slow on a GPU."""
    import triton.language as tl

    places = zip(task.geometry.sizes, task.geometry.output_shape, strict=True)
    largest = max(most + BLOCK, *(2 * (size + 1) * (count + 1) for size, count in places))
    return tl.int32 if largest < 2**31 else tl.int64


def _shaped(result: torch.Tensor, onto: Grid, task: Task) -> torch.Tensor:
    """Give a result its shape; sum over the windows where that is asked for."""
    if onto == Grid.ELEMENT:
        return result.view(*task.batch, *task.geometry.sizes)
    if onto == Grid.WINDOW:
        return result.view(*task.batch, *task.geometry.output_shape)
    rows, channels = task.batch
    windows = math.prod(task.geometry.output_shape)
    if onto.in_kernel:
        return result.view(rows, channels, windows, task.geometry.positions).sum((0, 2))
    return result.view(rows, channels, windows).sum((0, 2))


@functools.lru_cache(maxsize=4096)
def _loaded(text: str) -> ModuleType:
    """Import a program from its file: Triton reads the source of a kernel from there."""
    path = _written(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if _interpreted():
        from flexpool.backends.triton_gpu import emulation

        module.libdevice = emulation  # type: ignore[attr-defined]
    return module


def _interpreted() -> bool:
    return os.environ.get("TRITON_INTERPRET") == "1"


def _written(text: str) -> Path:
    """Put a program into the user's cache under a name that follows from its text."""
    name = f"pool_{hashlib.sha256(text.encode()).hexdigest()[:24]}.py"
    path = cache_folder() / "triton" / name
    try:
        keep(path, text)
    except OSError as error:
        _log.debug("%s is kept in a temporary folder: %r", name, error)
        path = temporary_folder(os.getpid()) / name
        keep(path, text)
    return path
