"""What runs in a process of its own: Triton decides at import whether it interprets or compiles."""

from __future__ import annotations

import os

import numpy as np
import torch

from flexpool.backends import triton_gpu
from flexpool.backends.task import Task, geometry
from flexpool.backends.triton_gpu import launch, program

__all__ = ["compiled", "interpreted", "ready"]


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


def compiled(graph, window, sizes, dtype) -> list[str]:
    """Compile a graph's kernels for a GPU, which takes none; return their machine code's text."""
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
            types |= dict.fromkeys(("BLOCK", "INDEX"), "constexpr")
            constants = {"BLOCK": launch.BLOCK, "INDEX": tl.int32}
            code = ASTSource(fn=kernel, signature=types, constexprs=constants)
            options = {"enable_fp_fusion": False}
            built = triton.compile(code, target=GPUTarget("cuda", 80, 32), options=options)
            texts.append(built.asm["ptx"])
    return texts
