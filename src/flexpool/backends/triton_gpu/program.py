"""A graph as Triton source: one file with the kernels it needs and how to call them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from flexpool.backends.task import Geometry
from flexpool.backends.triton_gpu.elements import Elements
from flexpool.backends.triton_gpu.kernel import HELPERS, Kernel
from flexpool.backends.triton_gpu.plan import below, kept
from flexpool.backends.triton_gpu.windows import Windows
from flexpool.ir import Graph, Grid
from flexpool.ir.nodes import SCANS

__all__ = ["Program", "program"]

_HEAD = """\
import triton
import triton.language as tl
from triton.language.extra import libdevice
"""


@dataclass(frozen=True)
class Program:
    """What to run for a graph.

    Attributes:
        text: the source of the kernels ``windows`` and ``elements``, as far as there are.
        windows: the names of the first kernel's arguments; empty if there is no such kernel.
        elements: those of the second.
        per_window: the pointers of the first for arrays with one number per window.
        per_tap: those for arrays with K numbers per window.
        per_element: the pointers of the second, for arrays with one number per element.
    """

    text: str
    windows: tuple[str, ...]
    elements: tuple[str, ...]
    per_window: tuple[str, ...]
    per_tap: tuple[str, ...]
    per_element: tuple[str, ...]


@functools.lru_cache(maxsize=4096)
def program(graph: Graph, geometry: Geometry, dtype: str) -> Program:
    """Print a graph."""
    per_element = [(f"{o.name}_out", o.node) for o in graph.outputs if o.onto == Grid.ELEMENT]
    others = [o for o in graph.outputs if o.onto != Grid.ELEMENT]
    second = Elements(graph, geometry, dtype)
    per_window = [(f"{o.name}_out", o.node) for o in others if not o.onto.in_kernel]
    per_tap = [(f"{o.name}_out", o.node) for o in others if o.onto.in_kernel]
    for node in below((node for _, node in per_element), lambda node: not kept(node)):
        if kept(node):
            place = per_tap if node.op in SCANS else per_window
            place.append((f"{second.label(node)}_kept", node))
    first = Windows(graph, geometry, dtype)
    if per_window or per_tap:
        first.write(per_window, per_tap)
    if per_element:
        second.write(per_element)
    helpers = [HELPERS[name] for name in sorted(first.helpers)]
    windows, elements = _kernel("windows", first, geometry), _kernel("elements", second, geometry)
    return Program(
        "\n".join([_HEAD, *helpers, windows, elements]).rstrip() + "\n",
        tuple(first.parameters),
        tuple(second.parameters),
        tuple(name for name, _ in per_window),
        tuple(name for name, _ in per_tap),
        tuple(name for name, _ in per_element),
    )


def _kernel(name: str, kernel: Kernel, geometry: Geometry) -> str:
    if not kernel.parameters:
        return ""
    words = ("size", "outputs", "before", "after")
    places = [", ".join(f"{word}_{d}" for word in words) for d in range(geometry.dimensions)]
    rows = [", ".join(kernel.parameters), "total, channels", *places]
    rows.append("BLOCK: tl.constexpr, INDEX: tl.constexpr")
    parameters = "".join(f"    {row},\n" for row in rows)
    return f"\n@triton.jit\ndef {name}(\n{parameters}):\n{kernel.body()}\n"
