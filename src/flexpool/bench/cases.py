"""The sizes that are measured, poolings of real nets; which operators run on which by default."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flexpool.declare import find as find_operator
from flexpool.declare import operators as shipped
from flexpool.errors import ArgumentError, expected, unknown

__all__ = ["CASES", "DTYPES", "LAYOUTS", "Case", "Choice", "choose", "find"]

DTYPES = ("float32", "float64", "float16", "bfloat16")
LAYOUTS = ("contiguous", "channels_last")

# One that compares, one that adds, one with exp and one with a power.
REPRESENTATIVES = ("max", "avg", "soft", "lp")

# Of every kind of formula, those that are measured on large maps by default. There the others would
# take too long; `--sizes vgg-4` measures all on maps of middle size.
FIRST = (
    *REPRESENTATIVES,
    *("min", "sum", "boltzmann", "median", "stochastic", "mixed", "lip", "blur"),
)


@dataclass(frozen=True)
class Case:
    """One pooling of a net: the input and the window.

    Attributes:
        name: the value of ``--sizes``.
        about: where it comes from, in a phrase.
        shape: of the input, (N, C, *sizes).
        kernel_size: elements of the window per dimension; None for the whole map.
        stride: distance of windows; None for the kernel's size.
        padding: how far windows reach over the edge.
        ceil_mode: whether a last window may overhang.
        dtype: a name of :data:`DTYPES`, or "uint8".
        arrays: "torch" for tensors, "numpy" for NumPy arrays.
    """

    name: str
    about: str
    shape: tuple[int, ...]
    kernel_size: int | None
    stride: int | None = None
    padding: int = 0
    ceil_mode: bool = False
    dtype: str = "float32"
    arrays: str = "torch"

    @property
    def dimensions(self) -> int:
        """Count the spatial dimensions."""
        return len(self.shape) - 2

    @property
    def kernel(self) -> tuple[int, ...]:
        """Give the window's sizes, one per dimension.

        Example:
            >>> find("global").kernel
            (7, 7)
        """
        if self.kernel_size is None:
            return self.shape[2:]
        return (self.kernel_size,) * self.dimensions

    @property
    def steps(self) -> tuple[int, ...]:
        """Give the stride, one per dimension."""
        return self.kernel if self.stride is None else (self.stride,) * self.dimensions

    @property
    def window(self) -> str:
        """Describe the window briefly.

        Example:
            >>> find("resnet").window
            'k3 s2 p1'
        """
        if self.kernel_size is None:
            return "global"
        padding = f" p{self.padding}" if self.padding else ""
        ceil = " ceil" if self.ceil_mode else ""
        return f"k{self.kernel_size} s{self.steps[0]}{padding}{ceil}"


CASES = {
    case.name: case
    for case in (
        Case("maps-k2", "large maps", (32, 64, 112, 112), 2, 2),
        Case("maps-k3", "large maps, windows overlap", (32, 64, 112, 112), 3, 2),
        Case("lenet-1", "LeNet-5, first pooling", (64, 6, 28, 28), 2, 2),
        Case("lenet-2", "LeNet-5, second pooling", (64, 16, 10, 10), 2, 2),
        Case("vgg", "VGG, first pooling", (8, 64, 224, 224), 2, 2),
        Case("vgg-4", "VGG, fourth pooling", (8, 512, 28, 28), 2, 2),
        Case("resnet", "ResNet, after the first convolution", (8, 64, 112, 112), 3, 2, 1),
        Case("googlenet", "GoogLeNet, second pooling", (8, 192, 56, 56), 3, 2, 0, True),
        Case("inception", "a pooling inside Inception", (8, 192, 35, 35), 3, 1, 1),
        Case("global", "the whole map, before a classifier", (8, 2048, 7, 7), None),
        Case("audio", "one dimension", (16, 64, 16000), 4, 4),
        Case("volume", "three dimensions", (4, 64, 16, 56, 56), 2, 2),
        Case(
            "resnet-half",
            "ResNet's in bfloat16",
            (8, 64, 112, 112),
            3,
            2,
            1,
            False,
            "bfloat16",
        ),
        Case(
            "image",
            "8-bit images as NumPy arrays",
            (32, 3, 256, 256),
            2,
            2,
            0,
            False,
            "uint8",
            "numpy",
        ),
    )
}

_WRITTEN = re.compile(r"(\d+(?:x\d+)+):(?:k(\d+)(?:s(\d+))?(?:p(\d+))?|global)")


def find(name: str) -> Case:
    """Look a case up by name, or read one that is written out, as 8x64x56x56:k3s2p1.

    Raises:
        ArgumentError: if there is none of that name, or what is written is no pooling.

    Example:
        >>> find("2x3x8x8:k3s2").shape
        (2, 3, 8, 8)
    """
    if name in CASES:
        return CASES[name]
    if ":" not in name:
        raise unknown("size", name, CASES)
    match = _WRITTEN.fullmatch(name)
    sizes = tuple(map(int, match[1].split("x"))) if match else ()
    if match is None or not 3 <= len(sizes) <= 5 or 0 in sizes:
        rule = "to be a name or written as 8x64x56x56:k3s2p1 or 8x64x7x7:global, one to three sizes"
        raise ArgumentError(expected("--sizes", rule, name))
    kernel, stride, padding = (
        None if group is None else int(group) for group in match.groups()[1:]
    )
    return Case(name, "given by hand", sizes, kernel, stride, padding or 0)


@dataclass(frozen=True)
class Choice:
    """One operator on one case in one layout."""

    operator: str
    case: Case
    layout: str = "contiguous"


def choose(
    operators: Sequence[str] = (),
    sizes: Sequence[str] = (),
    *,
    layouts: Sequence[str] = (),
    everything: bool = False,
    quick: bool = False,
    dtype: str | None = None,
) -> list[Choice]:
    """Choose what to measure.

    Without arguments: twelve operators on ``maps-k2``, ``max``, ``avg``, ``soft`` and ``lp`` on all
    cases, and these with channels last on ``maps-k2`` and ``resnet``.

    Args:
        operators: names; none for all, on the sizes given.
        sizes: names of cases or cases written out; none for all, with the operators given.
        layouts: values of :data:`LAYOUTS`; none for contiguous, and a few with channels last.
        everything: all operators on all cases in both layouts.
        quick: without arguments, only LeNet's sizes.
        dtype: in place of float32, for those cases that have it.

    Raises:
        ArgumentError: if a name is unknown.

    Example:
        >>> [choice.case.name for choice in choose(["max"], ["vgg", "resnet"])]
        ['vgg', 'resnet']
    """
    for name in operators:
        find_operator(name)
    for layout in layouts:
        if layout not in LAYOUTS:
            raise unknown("layout", layout, LAYOUTS)
    if dtype is not None and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    named = [find(name) for name in sizes]
    if everything or operators or named:
        pairs = [(o, c) for c in named or CASES.values() for o in operators or shipped()]
    elif quick:
        small = [CASES["lenet-1"], CASES["lenet-2"]]
        pairs = [(o, case) for case in small for o in REPRESENTATIVES]
    else:
        first, *rest = CASES.values()
        pairs = [(o, first) for o in FIRST]
        pairs += [(o, case) for case in rest for o in _representatives(case)]
    chosen = [Choice(o, c, layout) for o, c in pairs for layout in layouts or _layouts(everything)]
    if not (layouts or everything or operators or named or quick):
        few = [CASES["maps-k2"], CASES["resnet"]]
        chosen += [Choice(o, c, "channels_last") for c in few for o in REPRESENTATIVES]
    return [_with_dtype(choice, dtype) for choice in chosen if _is_possible(choice)]


def _representatives(case: Case) -> Sequence[str]:
    return list(shipped()) if case.dtype == "uint8" else REPRESENTATIVES


def _layouts(everything: bool) -> Sequence[str]:
    return LAYOUTS if everything else LAYOUTS[:1]


def _is_possible(choice: Choice) -> bool:
    """Tell whether the operator takes the numbers: of integers, only those that select."""
    return choice.case.dtype != "uint8" or shipped()[choice.operator].selects


def _with_dtype(choice: Choice, dtype: str | None) -> Choice:
    if dtype is None or choice.case.dtype != "float32":
        return choice
    return replace(choice, case=replace(choice.case, dtype=dtype))
