"""Run an operator on every backend the same way: draw arguments, build a task, hand arrays over."""

import importlib
from dataclasses import dataclass, field

import numpy as np
import torch

import oracles
from flexpool.backends import philox
from flexpool.backends.task import Task, geometry
from flexpool.declare import OnInput, OnOutput, Option, Param, Random, RankWeight, Weight, find
from flexpool.ir import gradient_name
from flexpool.window import window

BACKENDS = ["interpret", "eager-numpy", "eager-torch", "numba_cpu"]
SEED = 20240607


@dataclass(frozen=True)
class Windows:
    """The arguments of a window; one int stands for all dimensions."""

    dimensions: int
    kernel_size: int | tuple = 2
    stride: int | tuple | None = None
    padding: int | tuple = 0
    dilation: int | tuple = 1
    ceil_mode: bool = False

    @property
    def spelled_out(self):
        """One number, or pair of paddings, per dimension, as the oracles want them."""
        n = self.dimensions
        kernel, stride, dilation = (
            value if isinstance(value, tuple) else (value,) * n
            for value in (self.kernel_size, self.stride or self.kernel_size, self.dilation)
        )
        padding = self.padding if isinstance(self.padding, tuple) else (self.padding,) * n
        return kernel, stride, tuple((p, p) for p in padding), dilation, self.ceil_mode

    @property
    def positions(self):
        """Count the kernel's positions."""
        return int(np.prod(self.spelled_out[0]))


@dataclass(frozen=True)
class Call:
    """One operator on one input; arguments that are not given have defaults or are drawn."""

    operator: str
    x: np.ndarray
    windows: Windows
    settings: dict = field(default_factory=dict)
    seed: int = SEED

    def __post_init__(self):
        declared = find(self.operator)
        declared.check(self.settings)
        kernel = self.windows.spelled_out[0]
        shape = self._geometry.output_shape
        draw = np.random.default_rng(self.seed)
        given, leaves = oracles.Given(), {"x": self.x}
        for name, argument in declared.arguments.items():
            value = self.settings.get(name)
            if isinstance(argument, Option):
                given.options[name] = self.settings.get(name, argument.default)
            elif isinstance(argument, Param):
                given.numbers[name] = argument.default if value is None else value
                leaves[name] = np.atleast_1d(given.numbers[name])
            elif isinstance(argument, Weight):
                if value is None and argument.required:
                    least = 0.25 if isinstance(argument, RankWeight) else -1.0
                    value = _float32(draw.uniform(least, 1, size=kernel))
                weight = np.asarray(argument.default(kernel) if value is None else value)
                leaves[name] = np.reshape(weight, (-1, self.windows.positions))
                if isinstance(argument, RankWeight):
                    given.ranks[name] = leaves[name]
                else:
                    given.positions[name] = np.reshape(weight, (-1, *kernel))
            elif isinstance(argument, OnInput):
                drawn = _float32(draw.normal(size=self.x.shape))
                given.elements[name] = drawn if value is None else np.full(self.x.shape, value)
                leaves[name] = given.elements[name]
            elif isinstance(argument, OnOutput):
                drawn = _float32(draw.normal(size=(*self.x.shape[:2], *shape)))
                given.windows[name] = drawn if value is None else np.full(drawn.shape, value)
                leaves[name] = given.windows[name]
            elif isinstance(argument, Random):
                numbers = np.arange(np.prod((*self.x.shape[:2], *shape)), dtype=np.int64)
                uniform = philox.uniform(self.seed, numbers)
                given.drawn[name] = uniform.reshape(*self.x.shape[:2], *shape)
                leaves[name] = self.seed
        object.__setattr__(self, "given", given)
        object.__setattr__(self, "leaves", leaves)

    @property
    def _geometry(self):
        w = self.windows
        checked = window(w.dimensions, w.kernel_size, w.stride, w.padding, w.dilation, w.ceil_mode)
        return geometry(checked, self.x.shape[2:])

    @property
    def learned(self):
        """Name what has a gradient."""
        arguments = find(self.operator).values.items()
        return ("x", *(name for name, argument in arguments if not isinstance(argument, Random)))

    def gy(self):
        """Draw a gradient of the loss with respect to the result."""
        shape = (*self.x.shape[:2], *self._geometry.output_shape)
        return _float32(np.random.default_rng(self.seed + 1).normal(size=shape))

    def expected(self, gy=None):
        """Ask the oracle for the result and, given gy, the derivatives."""
        arguments = (self.operator, self.x, *self.windows.spelled_out, self.given, gy)
        return oracles.apply(*arguments)

    def value(self, backend, dtype="float64"):
        """Compute the result."""
        graph = find(self.operator).graph(**self.given.options)
        return self._run(backend, graph, dtype, self.leaves)["y"]

    def gradient(self, backend, gy, dtype="float64", wanted=None):
        """Compute the derivatives, by name: of all that has one, or of what is wanted."""
        graph = find(self.operator).gradient(wanted or self.learned, **self.given.options)
        leaves = {**self.leaves, gradient_name("y"): gy}
        return self._run(backend, graph, dtype, leaves)

    def _run(self, backend, graph, dtype, leaves):
        module = importlib.import_module(f"flexpool.backends.{backend.split('-')[0]}")
        if (reason := module.available()) is not None:
            raise RuntimeError(f"{backend} is not available: {reason}")
        convert = torch.from_numpy if backend == "eager-torch" else np.asarray
        arrays = {
            name: leaf if isinstance(leaf, int) else convert(np.array(leaf, dtype=dtype))
            for name, leaf in leaves.items()
            if name in graph.leaves()
        }
        batch = (self.x.shape[0], self.x.shape[1])
        results = module.run(Task(graph, self._geometry, batch, dtype), arrays)
        return {name: np.asarray(result) for name, result in results.items()}


def along_a_line(operator, values, settings=None, seed=SEED):
    """Call an operator on one window that holds the values."""
    x = np.array(values, dtype=np.float64)[None, None]
    # One window whatever the stride; with 2 most tests share their compiled functions.
    return Call(operator, x, Windows(1, len(values), 2), settings or {}, seed)


def _float32(array):
    return array.astype(np.float32).astype(np.float64)
