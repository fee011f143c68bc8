"""What a call asks for, once checked: an operator with its settings, a window, a backend.

A :class:`Call` knows no arrays. It is named by its *spec*, a line of JSON, because a compiled or
exported program can hold a string where it cannot hold an object. A program that was compiled in
another process finds the operators that ship by their names again.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from flexpool.backends.choice import BACKENDS
from flexpool.backends.task import AnyWindow, Geometry, Task, geometry
from flexpool.declare import Operator, Param, Random, Weight, as_operator, operators
from flexpool.errors import ArgumentError, DtypeError, expected, unknown
from flexpool.ir import Graph, Grid, Output
from flexpool.ir.nodes import make
from flexpool.window import AdaptiveWindow, Window, adaptive_window, window

__all__ = [
    "CONSTANT",
    "Call",
    "Facts",
    "Plan",
    "adaptive_spec",
    "argument_shapes",
    "bound_arrays",
    "call_of",
    "checked_wanted",
    "constants",
    "facts",
    "place_table",
    "result_shape",
    "shapes",
    "sliding_spec",
    "spec",
    "task",
    "task_of_any_batch",
]

Plain = tuple[tuple[str, Any], ...]

_SIMPLE = (0.5, 1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph of a call and what it reads.

    Attributes:
        graph: the graph.
        read: the arrays it reads, of ``x`` and those that were given.
        constants: the arguments it reads that were left to numbers and defaults.
        random: the random numbers it reads.
    """

    graph: Graph
    read: tuple[str, ...]
    constants: tuple[str, ...]
    random: tuple[str, ...]

    def seeds(self, seed: Any) -> dict[str, Any]:
        """Give each random number its own seed, the first the caller's."""
        odd = 0x1E3779B97F4A7C15
        return {n: (seed + i * odd) & (2**63 - 1) if i else seed for i, n in enumerate(self.random)}


@dataclass(frozen=True, eq=False)
class Call:
    """A checked call.

    Attributes:
        operator: the operator, without what was bound to it.
        options: the values of all its options.
        numbers: the arguments that are one number each, given or by default.
        given: the names of the arguments that come as arrays.
        window: where the windows lie.
        backend: the name of a backend, or "auto".
    """

    operator: Operator
    options: Mapping[str, Any]
    numbers: Mapping[str, float]
    given: tuple[str, ...]
    window: AnyWindow
    backend: str

    @functools.cached_property
    def forward(self) -> Plan:
        """How to compute the result, ``y``."""
        return self._plan(self.operator.with_numbers(self._fixed(()), **self.options))

    @functools.cached_property
    def with_places(self) -> Plan:
        """How to compute ``y`` and ``tap``: which element of the window was taken."""
        (output,) = self.forward.graph.outputs
        node = output.node
        if node.op not in ("max", "min"):
            instead = "Use max or min, or leave return_indices out."
            rule = "to be max or min where the indices are to be returned"
            raise ArgumentError(expected("operator", rule, self.operator.name, instead))
        tap = make(f"arg{node.op}", *node.args)
        return self._plan(Graph((output, Output("tap", tap, Grid.WINDOW))))

    def gradient(self, wanted: tuple[str, ...]) -> Plan:
        """Say how to compute the gradient with respect to ``x`` and arguments."""
        known = self._gradients.get(wanted)
        if known is None:
            graph = self.operator.gradient(wanted, self._fixed(wanted), **self.options)
            known = self._plan(graph)
            self._gradients[wanted] = known
        return known

    def _fixed(self, wanted: tuple[str, ...]) -> dict[str, float]:
        """Choose the numbers that become part of the kernel: a few that make it much simpler."""
        return {n: v for n, v in self.numbers.items() if v in _SIMPLE and n not in wanted}

    @functools.cached_property
    def _gradients(self) -> dict[tuple[str, ...], Plan]:
        return {}

    def _plan(self, graph: Graph) -> Plan:
        leaves = graph.leaves()
        random = {name for name, node in leaves.items() if node.op == "random"}
        constants = leaves.keys() & self.operator.values.keys() - random - {*self.given}
        return Plan(
            graph=graph,
            read=tuple(name for name in ("x", *self.given) if name in leaves),
            constants=tuple(sorted(constants)),
            random=tuple(name for name in self.operator.arguments if name in random),
        )

    def grid(self, name: str) -> Grid:
        """Tell over what ``x`` or an argument varies."""
        return Grid.ELEMENT if name == "x" else self.operator.arguments[name].grid

    @functools.cached_property
    def grids(self) -> tuple[Grid, ...]:
        """Over what each of the given arrays varies."""
        return tuple(self.grid(name) for name in self.given)

    def extent(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Give the kernel's size; for adaptive windows the largest."""
        if isinstance(self.window, Window):
            return self.window.kernel_size
        return geometry(self.window, sizes).extent


@functools.lru_cache(maxsize=4096)
def task(call: Call, plan: Plan, shape: tuple[int, ...], dtype: str) -> Task:
    """Make the task of running a plan on an input of a shape, or find it again."""
    return task_of_any_batch(call, plan, shape, dtype)


def task_of_any_batch(call: Call, plan: Plan, shape: tuple[int, ...], dtype: str) -> Task:
    """Make a task whose number of images need not be known, while a program is exported."""
    images, channels, *sizes = shape
    return Task(plan.graph, geometry(call.window, tuple(sizes)), (images, channels), dtype)


def constants(call: Call, plan: Plan, sizes: tuple[int, ...], dtype: str) -> dict[str, np.ndarray]:
    """Make the arrays that a plan reads and the caller left to numbers and defaults."""
    return {name: _constant(call, name, sizes, dtype) for name in plan.constants}


@functools.lru_cache(maxsize=4096)
def _constant(call: Call, name: str, sizes: tuple[int, ...], dtype: str) -> np.ndarray:
    if name in call.numbers:
        return np.array([call.numbers[name]], dtype)
    weight = np.asarray(call.operator.arguments[name].default(call.extent(sizes)), dtype)
    return weight.reshape(1, -1)


def result_shape(output: Output, task: Task) -> tuple[int, ...]:
    """Give the shape of one of a task's results."""
    if output.onto == Grid.WINDOW:
        return (*task.batch, *task.geometry.output_shape)
    if output.onto == Grid.ELEMENT:
        return (*task.batch, *task.geometry.sizes)
    positions = (task.geometry.positions,) if output.onto.in_kernel else ()
    return (task.batch[1], *positions)


def argument_shapes(
    call: Call, given: Mapping[str, tuple[int, ...]], sizes: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    """Give the shapes of ``x`` and the arguments, those that were left to defaults too."""
    extent = call.extent(sizes)
    missing = {
        n: a.shape(extent) if isinstance(a, Weight) else () for n, a in call.operator.values.items()
    }
    return {**missing, **{n: tuple(shape) for n, shape in given.items()}}


def sliding_spec(
    operator: object,
    dimensions: int,
    where: tuple[Any, ...],
    plain: Plain,
    given: tuple[str, ...],
    backend: str,
) -> str:
    """Check a call with a sliding window; ``where``: kernel_size, stride, ... in torch's order."""
    made = _known_window(dimensions, *map(_hashable, where))
    return spec(operator, made, plain, given, backend)


def adaptive_spec(
    operator: object,
    dimensions: int,
    output_size: Any,
    plain: Plain,
    given: tuple[str, ...],
    backend: str,
) -> str:
    """Check a call with an adaptive window."""
    return spec(operator, adaptive_window(dimensions, output_size), plain, given, backend)


def spec(
    operator: object, window: AnyWindow, plain: Plain, given: tuple[str, ...], backend: str
) -> str:
    """Check a call and name it.

    Args:
        operator: a name, an operator or a function.
        window: of either kind.
        plain: the options and numbers.
        given: the names of the arguments given as arrays.
        backend: the name of a backend, or "auto".

    Raises:
        ArgumentError: if there is no such operator, argument or backend, or one is outside its
            domain or missing.
    """
    types = tuple(type(value) for _, value in plain)
    try:
        return _spec(operator, window, plain, types, given, backend)
    except TypeError as error:
        if isinstance(error, DtypeError):
            raise
    return _spec.__wrapped__(operator, window, plain, types, given, backend)


@functools.lru_cache(maxsize=4096, typed=True)
def _known_window(*arguments: Any) -> Window:
    return window(*arguments)


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


@functools.lru_cache(maxsize=4096)
def _spec(
    operator: object,
    window: AnyWindow,
    plain: Plain,
    types: tuple[type, ...],
    given: tuple[str, ...],
    backend: str,
) -> str:
    chosen = as_operator(operator)
    if backend not in ("auto", *BACKENDS):
        raise unknown("backend", str(backend), ("auto", *BACKENDS))
    chosen.check(dict(plain) | dict.fromkeys(given, _AN_ARRAY))
    settings = {n: v for n, v in chosen.bound.items() if n not in given} | dict(plain)
    numbers = {}
    for name, argument in chosen.values.items():
        if name not in given and not isinstance(argument, Random):
            value = settings.get(name, argument.default)
            if not (isinstance(argument, Weight) and callable(value)):
                numbers[name] = _number(name, argument, value)
    options = {n: settings.get(n, option.default) for n, option in chosen.options.items()}
    record = {
        "operator": _name(chosen),
        "options": {name: _written(value) for name, value in options.items()},
        "numbers": numbers,
        "given": given,
        "window": asdict(window),
        "backend": backend,
    }
    return json.dumps(record)


class _AnArray:
    """Stand for an array where only the names of the arguments are checked."""


_AN_ARRAY = _AnArray()


def _number(name: str, argument: Any, value: Any) -> float:
    if argument.required and value is argument.default:
        raise ArgumentError(f"argument {name!r} is missing. Give {name}, {argument.domain}.")
    if isinstance(argument, Param) and isinstance(value, int | float | np.integer | np.floating):
        argument_error = expected(name, f"to be {argument.domain}", value)
        if not argument.holds(float(value)):
            raise ArgumentError(argument_error)
        return float(value)
    also = "a number or " if isinstance(argument, Param) else ""
    rule = f"to be {also}an array of the same library as x"
    raise DtypeError(expected(name, rule, value))


@functools.lru_cache(maxsize=4096)
def call_of(spec: str) -> Call:
    """Find a call by its spec.

    Raises:
        ArgumentError: if it names a user's own function that this process does not know.
    """
    record = json.loads(spec)
    name = record["operator"]
    operator = _OWN.get(name) or operators().get(name)
    if operator is None:
        raise ArgumentError(
            f"this program was compiled or saved with the operator {name!r}, which is not known "
            "here. Compile it again, or export it with torch.export, which needs no flexpool."
        )
    where = record["window"]
    made: AnyWindow
    if "output_size" in where:
        made = AdaptiveWindow(tuple(where["output_size"]))
    else:
        made = Window(**{key: _tupled(value) for key, value in where.items()})
    options = {key: _read_back(value) for key, value in record["options"].items()}
    given = tuple(record["given"])
    return Call(operator, options, record["numbers"], given, made, record["backend"])


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


# What JSON cannot hold: users' operators and, rarely, values of their options. They are kept for
# the life of the process, since a compiled program may come back to them at any time.
_OWN: dict[str, Operator] = {}
_OBJECTS: dict[str, Any] = {}


def _name(operator: Operator) -> str:
    shipped = operators().get(operator.name)
    if shipped is not None and shipped.formula is operator.formula:
        return operator.name
    name = _own_name(operator.formula, operator.name)
    _OWN.setdefault(name, operator)
    return name


@functools.cache
def _own_name(formula: object, name: str) -> str:
    return f"{name}@{uuid.uuid4().hex}"


def _written(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    key = uuid.uuid4().hex
    _OBJECTS[key] = value
    return {"object": key}


def _read_back(value: Any) -> Any:
    return _OBJECTS[value["object"]] if isinstance(value, dict) else value


class Facts(NamedTuple):
    """What must be known of a call before its arrays are prepared.

    Attributes:
        operator: the operator's name.
        dimensions: the number of spatial dimensions.
        grids: over what the given arrays vary, as numbers.
        random: whether the operator takes random numbers.
        draws: whether it reads them, with these options.
        selects: whether a result is always one of the window's own values.
    """

    operator: str
    dimensions: int
    grids: tuple[int, ...]
    random: bool
    draws: bool
    selects: bool


@functools.lru_cache(maxsize=4096)
def _facts(spec: str) -> Facts:
    call = call_of(spec)
    return Facts(
        operator=call.operator.name,
        dimensions=call.window.dimensions,
        grids=tuple(grid.value for grid in call.grids),
        random=any(isinstance(a, Random) for a in call.operator.arguments.values()),
        draws=bool(call.forward.random),
        selects=call.operator.selects,
    )


def facts(spec: str) -> Facts:
    """Look up what must be known before the arrays are prepared."""
    return _facts(spec)


def shapes(spec: str, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Give the kernel's and the output's shape for an input of these sizes."""
    call = call_of(spec)
    return call.extent(sizes), call.window.output_shape(sizes)


def bound_arrays(operator: Operator) -> tuple[tuple[str, Any], ...]:
    """Give the arguments bound to an operator that are arrays."""
    if not operator.bound:
        return ()
    plain = (bool, int, float, str, type(None))
    options = operator.options
    return tuple(
        (name, value)
        for name, value in operator.bound.items()
        if name not in options and not isinstance(value, plain) and hasattr(value, "shape")
    )


def checked_wanted(spec: str, wanted: tuple[str, ...], seed: object) -> tuple[str, ...]:
    """Check the names of what is to be differentiated with respect to, and that a seed is given."""
    call = call_of(spec)
    if call.forward.random and seed is None:
        raise ArgumentError(expected("seed", "to be the one given to pool", seed))
    arguments = call.operator.values
    known = ["x", *(n for n, a in arguments.items() if not isinstance(a, Random))]
    for name in wanted:
        if name not in known:
            raise unknown("argument", str(name), known)
    return wanted


# torch.compile runs these once, while it traces, and keeps their results as constants.
CONSTANT = (sliding_spec, adaptive_spec, spec, facts, shapes, bound_arrays)


def place_table(where: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give what turns the number of a tap into the flat index of its element in the input plane.

    Returns:
        the index of each window's tap 0 (negative in the padding); what each tap adds to it; and
        the index torch gives for a window without elements, that of its first tap that is not
        before the input.
    """
    strides = [int(np.prod(where.sizes[d + 1 :], dtype=np.int64)) for d in range(where.dimensions)]
    each = list(zip(where.placements, strides, strict=True))
    base = _outer_sum([p.start * stride for p, stride in each])
    first = _outer_sum([(p.start + p.dilation * p.first) * stride for p, stride in each])
    added = _outer_sum(
        [
            np.arange(extent, dtype=np.int64) * p.dilation * stride
            for extent, (p, stride) in zip(where.extent, each, strict=True)
        ]
    )
    return base, added.reshape(-1), first


def _outer_sum(parts: list[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add.outer, parts)
