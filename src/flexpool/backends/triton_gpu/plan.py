"""What each of the two kernels of a graph has to do: which reductions first, what to keep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from flexpool.ir import Grid, Node
from flexpool.ir.nodes import REDUCTIONS, SCANS

__all__ = ["below", "kept", "stages"]


def stages(roots: Iterable[Node]) -> list[list[Node]]:
    """Group the reductions below the roots: those of one group need only those of groups before.

    The reductions of a group share one loop over the window.
    """
    level: dict[Node, int] = {}
    for node in below(roots):
        inner = max((level[arg] for arg in node.args), default=0)
        level[node] = inner + (node.op in REDUCTIONS)
    found = [node for node in level if node.op in REDUCTIONS]
    found.sort(key=level.__getitem__)
    return [list(group) for _, group in itertools.groupby(found, key=level.__getitem__)]


def below(
    roots: Iterable[Node], descend: Callable[[Node], bool] = lambda node: True
) -> Iterator[Node]:
    """Go through the nodes below the roots, arguments first, only into those told to descend."""
    seen: set[Node] = set()

    def visit(node: Node) -> Iterator[Node]:
        if node in seen:
            return
        seen.add(node)
        if descend(node):
            for arg in node.args:
                yield from visit(arg)
        yield node

    for root in roots:
        yield from visit(root)


def kept(node: Node) -> bool:
    """Tell whether the kernel over elements reads a value that the one over windows has kept.

    That is what one element cannot know: results of its windows and its rank among the others.
    """
    if node.op in SCANS:
        return True
    of_window = bool(node.grid & Grid.WINDOW) and not node.grid.inside
    return of_window and node.op != "leaf" and not node.mask
