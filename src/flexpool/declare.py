"""An operator: a formula with what is declared about it, and the register of those that ship.

A formula's arguments after ``x`` are declared by their default values::

    @operator
    def boltzmann(x, beta=Param(1.0)):
        weight = exp(beta * x - (beta * x).max().detach())
        return (weight * x).sum() / weight.sum()

A plain number as default is a parameter with that default; no default makes it required.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, overload

from flexpool.errors import ArgumentError, TraceError, expected, unknown
from flexpool.ir import Graph, Grid, Value, differentiate, leaf, random, substitute, trace

__all__ = [
    "Argument",
    "OnInput",
    "OnOutput",
    "Operator",
    "Option",
    "Param",
    "Random",
    "RankWeight",
    "Weight",
    "as_operator",
    "camel_case",
    "find",
    "operator",
    "operators",
    "positive",
]

Formula = Callable[..., object]


class _Required:
    """Mark an argument that has no default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()


@dataclass(frozen=True)
class Argument:
    """What a formula takes besides the values of the window; the base of the kinds below."""

    default: Any = REQUIRED

    @property
    def grid(self) -> Grid:
        """Over what the argument varies."""
        raise NotImplementedError

    @property
    def domain(self) -> str:
        """What values are allowed, in words."""
        raise NotImplementedError

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is REQUIRED


@dataclass(frozen=True)
class Param(Argument):
    """A number, or one number per channel.

    Args:
        default: the initial value; leave it out to make the argument required.
        above, at_least, below, at_most: limits of the domain, None for none.
        learnable: whether a module trains it unless told otherwise. Default True.
    """

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    learnable: bool = True

    @property
    def grid(self) -> Grid:
        """Per channel; a single number is the same for all."""
        return Grid.CHANNEL

    @property
    def domain(self) -> str:
        """Say the limits.

        Example:
            >>> Param(1.0, above=0).domain, Param(0.5).domain
            ('a number > 0', 'a finite number')
        """
        limits = {
            ">": self.above,
            ">=": self.at_least,
            "<": self.below,
            "<=": self.at_most,
        }
        texts = [f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None]
        return f"a number {' and '.join(texts)}" if texts else "a finite number"

    def holds(self, number: float) -> bool:
        """Tell whether a number lies in the domain."""
        return (
            math.isfinite(number)
            and (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )


@dataclass(frozen=True)
class Weight(Argument):
    """One number per position in the window, or per channel and position.

    Args:
        default: a function from the kernel size, a tuple of ints, to an array of :meth:`shape`;
            leave it out to make the argument required.
        learnable: whether a module trains it unless told otherwise. Default True.
        first: with what a module starts, where the argument is required and not given: a function
            as ``default``, or the standard deviation of the normal random numbers that it draws
            from torch's generator. Default None: a module needs it as functions do.
    """

    learnable: bool = True
    first: Callable[[tuple[int, ...]], Any] | float | None = None

    @property
    def grid(self) -> Grid:
        """Per position, and per channel where the array has that axis."""
        return Grid.POSITION | Grid.CHANNEL

    @property
    def domain(self) -> str:
        """Say the shape."""
        return "an array of the kernel's shape, or of (channels, *kernel)"

    def shape(self, kernel_size: tuple[int, ...]) -> tuple[int, ...]:
        """Give the shape for a kernel, without the axis of channels."""
        return kernel_size


@dataclass(frozen=True)
class RankWeight(Weight):
    """One number per rank, the first for the largest value of a window; or per channel and rank.

    A formula reads it as ``w.by_rank_of(x)``. A window that lacks elements has only the first
    ranks.

    Args:
        default, learnable, first: as of :class:`Weight`.
    """

    @property
    def grid(self) -> Grid:
        """Per rank, and per channel where the array has that axis."""
        return Grid.RANK | Grid.CHANNEL

    @property
    def domain(self) -> str:
        """Say the shape."""
        return "an array of one number per element of the kernel, or of (channels, elements)"

    def shape(self, kernel_size: tuple[int, ...]) -> tuple[int, ...]:
        """Give the number of ranks: as many as the kernel has elements."""
        return (math.prod(kernel_size),)


@dataclass(frozen=True)
class OnInput(Argument):
    """A second array of the input's shape."""

    @property
    def grid(self) -> Grid:
        """Per element of the input."""
        return Grid.ELEMENT

    @property
    def domain(self) -> str:
        """Say the shape."""
        return "an array of the input's shape"


@dataclass(frozen=True)
class OnOutput(Argument):
    """An array of the output's shape."""

    @property
    def grid(self) -> Grid:
        """Per window."""
        return Grid.WINDOW

    @property
    def domain(self) -> str:
        """Say the shape."""
        return "an array of the output's shape"


@dataclass(frozen=True)
class Random(Argument):
    """A uniform random number in [0, 1) per window; callers give ``seed`` for it, or leave it."""

    @property
    def grid(self) -> Grid:
        """Per window."""
        return Grid.WINDOW

    @property
    def domain(self) -> str:
        """Say what is drawn."""
        return "drawn: uniform in [0, 1), one per window"


@dataclass(frozen=True)
class Option(Argument):
    """A setting that is known before anything is computed; the formula may branch on it.

    Args:
        default: its default.
        choices: the allowed values; or a function that tells whether a value is allowed.
        rule: the domain in words, where ``choices`` is a function.
    """

    choices: tuple[object, ...] | Callable[[object], bool] = (False, True)
    rule: str = ""

    @property
    def grid(self) -> Grid:
        """No values at all."""
        return Grid.NOTHING

    @property
    def domain(self) -> str:
        """List the choices."""
        if callable(self.choices):
            return self.rule
        return " or ".join(map(repr, self.choices))

    def holds(self, value: object) -> bool:
        """Tell whether a value is one of the choices (1 is not True)."""
        if callable(self.choices):
            return self.choices(value)
        return any(type(value) is type(choice) and value == choice for choice in self.choices)


def positive(default: float) -> Option:
    """Make an option that is a finite number > 0, such as an epsilon."""
    return Option(default, choices=_is_positive, rule="a number > 0")


def _is_positive(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]


@dataclass(frozen=True, eq=False)
class Operator:
    """A pooling operator; make one with :func:`operator`.

    Attributes:
        name: snake_case; the name of its function, command-line value and column.
        formula: the function of the window's values.
        arguments: what it takes besides ``x``, by name.
        bound: arguments that have been given already.
        paper: where it comes from: authors (year), title, identifier.
        family: the heading it is listed under.
        laws: what it obeys, from a fixed list: "permutation", "between", "shift", "scale",
            "monotone", "even", "constant".
        limits: settings at which it becomes another operator, for the reader and the tests.
        selects: whether a result is always one of the window's own values.
    """

    name: str
    formula: Formula
    arguments: Mapping[str, Argument]
    paper: str = ""
    family: str = "own"
    laws: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    selects: bool = False
    bound: Mapping[str, Any] = field(default_factory=dict)

    @property
    def doc(self) -> str:
        """Give the docstring: the formula's own, or that of its file in :mod:`flexpool.ops`."""
        own = inspect.getdoc(self.formula)
        if own is None and self.formula.__module__.startswith("flexpool.ops."):
            own = inspect.getdoc(inspect.getmodule(self.formula))
        return own or ""

    @property
    def summary(self) -> str:
        """Give the first line of the docstring."""
        return self.doc.split("\n")[0]

    @property
    def values(self) -> dict[str, Argument]:
        """Map names to the arguments that are values, not options."""
        return {n: a for n, a in self.arguments.items() if not isinstance(a, Option)}

    @property
    def options(self) -> dict[str, Option]:
        """Map names to the arguments that are known beforehand."""
        return {n: a for n, a in self.arguments.items() if isinstance(a, Option)}

    def __call__(self, **parameters: Any) -> Operator:
        """Give some arguments now.

        Raises:
            ArgumentError: if an argument is unknown or outside its domain.

        Example:
            >>> find("lp")(p=3).bound["p"]
            3
        """
        self.check(parameters)
        return replace(self, bound=MappingProxyType({**self.bound, **parameters}))

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Check names, and numbers and options against their domains."""
        for name, value in parameters.items():
            if name not in self.arguments:
                raise (
                    unknown("argument", name, self.arguments)
                    if self.arguments
                    else _takes_none(self.name, name)
                )
            argument = self.arguments[name]
            if isinstance(argument, Option) and not argument.holds(value):
                raise ArgumentError(expected(name, f"to be {argument.domain}", value))
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if isinstance(argument, Param) and (
                isinstance(value, bool | str | type(None)) or (number and not argument.holds(value))
            ):
                raise ArgumentError(expected(name, f"to be {argument.domain}", value))

    def graph(self, **options: Any) -> Graph:
        """Trace the formula, or return the graph it gave before.

        Args:
            options: values of its options; the rest have their bound values or defaults.

        Raises:
            TraceError: if the formula cannot be traced.
        """
        return self._written(options, {})

    def gradient(
        self, wanted: tuple[str, ...], numbers: Mapping[str, float] | None = None, **options: Any
    ) -> Graph:
        """Give the graph of the gradient with respect to ``x`` and arguments, by name.

        Args:
            wanted: the names.
            numbers: arguments that are these numbers for good.
            options: values of its options.
        """
        grids = {name: argument.grid for name, argument in self.values.items()}
        return _differentiated(
            self._written(options, numbers or {}, along_input=wanted == ("x",)),
            tuple((n, {"x": Grid.ELEMENT, **grids}[n]) for n in wanted),
        )

    def with_numbers(self, numbers: Mapping[str, float], **options: Any) -> Graph:
        """Give the graph in which some arguments are numbers."""
        return self._written(options, numbers)

    def _written(
        self, options: Mapping[str, Any], numbers: Mapping[str, float], along_input: bool = False
    ) -> Graph:
        chosen = {name: option.default for name, option in self.options.items()}
        chosen |= {n: v for n, v in self.bound.items() if n in chosen} | dict(options)
        known = tuple(self.values.items()), tuple(sorted(chosen.items()))
        traced = _traced(self.formula, *known, along_input)
        return _substituted(traced, tuple(sorted(numbers.items())))

    def __deepcopy__(self, memo: object) -> Operator:
        return self  # nothing in it can change

    def __copy__(self) -> Operator:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by name: as for functions, the other side must have the definition."""
        return _refind, (self.formula.__module__, self.formula.__qualname__, dict(self.bound))

    def __repr__(self) -> str:
        bound = ", ".join(f"{name}={value!r}" for name, value in self.bound.items())
        return f"<operator {self.name}({bound})>"


@overload
def operator(formula: Formula, /) -> Operator: ...
@overload
def operator(
    *,
    name: str | None = None,
    paper: str = "",
    family: str = "own",
    laws: tuple[str, ...] = (),
    limits: Mapping[str, str] | None = None,
    selects: bool = False,
) -> Callable[[Formula], Operator]: ...
def operator(
    formula: Formula | None = None,
    /,
    *,
    name: str | None = None,
    paper: str = "",
    family: str = "own",
    laws: tuple[str, ...] = (),
    limits: Mapping[str, str] | None = None,
    selects: bool = False,
) -> Operator | Callable[[Formula], Operator]:
    """Make an operator out of a formula.

    Args:
        formula: a function of ``x``, the values of one window, and of further arguments whose
            defaults declare them: :class:`Param`, :class:`Weight`, :class:`RankWeight`,
            :class:`OnInput`, :class:`OnOutput`, :class:`Random`, :class:`Option`, or a number.
        name: its name; default: the function's, without underscores at the end.
        paper, family, laws, limits, selects: see :class:`Operator`.

    Raises:
        TraceError: if the function's signature declares no ``x`` or something unknown.

    Example:
        >>> @operator
        ... def midrange(x):
        ...     return (x.max() + x.min()) / 2
        >>> midrange.graph().outputs[0].node
        ((max(x) + min(x)) / 2)
    """
    if formula is None:
        return functools.partial(
            _declare,
            name=name,
            paper=paper,
            family=family,
            laws=laws,
            limits=MappingProxyType(dict(limits or {})),
            selects=selects,
        )
    return _declare(formula, name=name)


def _declare(formula: Formula, *, name: str | None, **about: Any) -> Operator:
    if not callable(formula):
        raise TraceError(expected("a formula", "to be a function of x", formula))
    own = name or getattr(formula, "__name__", type(formula).__name__).rstrip("_")
    return Operator(own, formula, MappingProxyType(_declared(formula)), **about)


def _declared(formula: Formula) -> dict[str, Argument]:
    """Read the arguments off a formula's signature."""
    parameters = list(inspect.signature(formula).parameters.values())
    if not parameters or parameters[0].name != "x":
        raise TraceError(expected("a formula", "to take x, the values of a window, first", formula))
    found: dict[str, Argument] = {}
    for parameter in parameters[1:]:
        default = parameter.default
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TraceError(f"a formula names each of its arguments, got {parameter}.")
        if isinstance(default, Argument):
            found[parameter.name] = default
        elif default is parameter.empty:
            found[parameter.name] = Param()
        elif isinstance(default, int | float) and not isinstance(default, bool):
            found[parameter.name] = Param(float(default), learnable=False)
        else:
            rule = (
                "to default to a number, Param, Weight, RankWeight, OnInput, OnOutput, Random "
                "or Option"
            )
            raise TraceError(expected(f"argument {parameter.name}", rule, default))
    return found


@functools.lru_cache(maxsize=1024)
def _traced(
    formula: Formula,
    values: tuple[tuple[str, Argument], ...],
    options: tuple[tuple[str, Any], ...],
    along_input: bool,
) -> Graph:
    stand_ins: dict[str, Any] = {"x": Value(leaf("x", Grid.ELEMENT))}
    for name, argument in values:
        drawn = isinstance(argument, Random)
        stand_ins[name] = Value(random(name) if drawn else leaf(name, argument.grid))
    return trace(formula, "y", {**stand_ins, **dict(options)}, Grid.WINDOW, along_input)


@functools.lru_cache(maxsize=4096)
def _substituted(graph: Graph, numbers: tuple[tuple[str, float], ...]) -> Graph:
    return substitute(graph, dict(numbers)) if numbers else graph


@functools.lru_cache(maxsize=4096)
def _differentiated(graph: Graph, wanted: tuple[tuple[str, Grid], ...]) -> Graph:
    return differentiate(graph, dict(wanted))


@functools.cache
def operators() -> Mapping[str, Operator]:
    """Find the operators that ship, one per file of :mod:`flexpool.ops`, by name."""
    package = importlib.import_module("flexpool.ops")
    found = {}
    for module in pkgutil.iter_modules(package.__path__):
        contents = vars(importlib.import_module(f"flexpool.ops.{module.name}"))
        (made,) = (
            item
            for item in contents.values()
            if isinstance(item, Operator) and item.formula.__module__ == contents["__name__"]
        )
        found[made.name] = made
    return MappingProxyType(found)


def find(name: str) -> Operator:
    """Look an operator up by name.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    known = operators()
    if name not in known:
        raise unknown("operator", name, known)
    return known[name]


def camel_case(name: str) -> str:
    """Turn an operator's name into its part of a class's name.

    Example:
        >>> camel_case("soft")
        'Soft'
    """
    return "".join(part.capitalize() for part in name.split("_"))


def as_operator(item: object) -> Operator:
    """Take a name, an operator, or a user's own function.

    Raises:
        ArgumentError: if it is none of these, or an unknown name.
        TraceError: if the function's signature declares something unknown.
    """
    if isinstance(item, Operator):
        return item
    if isinstance(item, str):
        return find(item)
    if callable(item):
        return _own(item)
    instead = "Write a name such as 'max', an operator such as lp(p=3), or your own function."
    raise ArgumentError(
        expected("operator", "to be a name, an operator or a function", item, instead)
    )


_own = functools.lru_cache(maxsize=1024)(operator)


def _takes_none(operator: str, name: str) -> ArgumentError:
    return ArgumentError(
        f"{operator} takes no argument {name!r}, nor any other besides the window."
    )


def _refind(module: str, qualname: str, bound: dict[str, Any]) -> Operator:
    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    made = as_operator(found)
    return made(**bound) if bound else made
