"""What runs in a process of its own: Triton decides at import whether it interprets or compiles."""

from __future__ import annotations

import os

import numpy as np
import torch

from flexpool.backends import triton_gpu
from flexpool.backends.task import Task, geometry
from flexpool.backends.triton_gpu import launch, program

__all__ = ["compiled", "interpreted", "interpreted_halves", "ready"]


def ready(cache: str, interpret: bool) -> None:
    """Prepare the process, before Triton is imported."""
    os.environ.pop("TRITON_INTERPRET", None)
    if interpret:
        os.environ["TRITON_INTERPRET"] = "1"
    os.environ["TRITON_CACHE_DIR"] = os.environ["XDG_CACHE_HOME"] = cache
    torch.set_num_threads(1)


def interpreted(graph, window, sizes, dtype, leaves) -> dict[str, np.ndarray]:
    """Run a graph on the CPU. New memory holds NaN, so that what is not written shows."""
    assert triton_gpu.available() is None
    where = geometry(window, sizes)
    task = Task(graph, where, leaves["x"].shape[:2], dtype)
    tensors = {
        name: torch.tensor(leaf.astype(dtype)) if isinstance(leaf, np.ndarray) else leaf
        for name, leaf in leaves.items()
    }
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    return {name: result.numpy() for name, result in triton_gpu.run(task, tensors).items()}


def interpreted_halves(graph, window, sizes, half, leaves) -> dict[str, tuple]:
    """Run a graph on half floats, and on the same numbers in float32, rounded after.

    Returns:
        for each result whether it has the type it should have, and both as numbers.
    """
    kind = getattr(torch, half)
    task = Task(graph, geometry(window, sizes), leaves["x"].shape[:2], "float32")
    halves = {name: torch.tensor(leaf).to(kind) for name, leaf in leaves.items()}
    floats = {name: leaf.float() for name, leaf in halves.items()}
    wanted = triton_gpu.run(task, floats)
    got = triton_gpu.run(task, halves, {"x": kind, "y": kind})
    return {
        name: (
            result.dtype == (kind if name in ("x", "y") else torch.float32),
            result.float().numpy(),
            wanted[name].to(result.dtype).float().numpy(),
        )
        for name, result in got.items()
    }


def compiled(graph, window, sizes, dtype, half="") -> list[str]:
    """Compile a graph's kernels for a GPU, which takes none; return their machine code's text.

    With a half type, such as "fp16", what the kernels read and give back is of that type.
    """
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    plan = program.program(graph, geometry(window, sizes), dtype)
    module = launch._loaded(plan.text)
    texts = []
    for name, given in (("windows", plan.windows), ("elements", plan.elements)):
        if given:
            kernel = getattr(module, name)
            number = "*fp32" if dtype == "float32" else "*fp64"
            types = dict.fromkeys(kernel.arg_names, "i32")
            types |= {n: number for n in given if n.endswith(("_ptr", "_out", "_kept"))}
            if half:
                types |= {n: f"*{half}" for n in given if n.endswith(("_ptr", "_out"))}
            types |= dict.fromkeys(("BLOCK", "INDEX"), "constexpr")
            constants = {"BLOCK": launch.BLOCK, "INDEX": tl.int32}
            code = ASTSource(fn=kernel, signature=types, constexprs=constants)
            options = {"enable_fp_fusion": False}
            built = triton.compile(code, target=GPUTarget("cuda", 80, 32), options=options)
            texts.append(built.asm["ptx"])
    return texts
