"""Bugs are planted, one at a time, and the tests of the operators must fail on each.

The tests are those of tests/ops, called as functions. A bug is a change of one piece of text: in a
file of flexpool or in a kernel that it has generated.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
from types import ModuleType

import numpy as np
import pytest

import running
from flexpool import declare
from flexpool.backends import task
from flexpool.backends.numba_cpu import launch
from flexpool.declare import Operator
from ops import test_conformance as conformance
from ops import test_split_work as split_work


@dataclasses.dataclass(frozen=True)
class InFile:
    """A bug in a file; of the changed module one name takes the place of the real one.

    Attributes:
        module: the file's module.
        right, wrong: the text, which occurs once, and what replaces it.
        used: the name, and as "module:name" where it is not looked up in the file's module.
    """

    module: str
    right: str
    wrong: str
    used: str

    def plant(self, patch):
        source = inspect.getsource(importlib.import_module(self.module))
        assert source.count(self.right) == 1
        changed = ModuleType(self.module)
        text = source.replace(self.right, self.wrong)
        exec(compile(text, f"<{self.module} with a bug>", "exec"), vars(changed))
        user, _, name = self.used.rpartition(":")
        patch.setattr(pkgutil.resolve_name(user or self.module), name, vars(changed)[name])
        return lambda: True


@dataclasses.dataclass(frozen=True)
class InFormula:
    """A bug in the file of an operator."""

    operator: str
    right: str
    wrong: str

    def plant(self, patch):
        real = declare.find(self.operator)
        name = real.formula.__name__
        bug = InFile(real.formula.__module__, self.right, self.wrong, name)
        with pytest.MonkeyPatch.context() as briefly:
            bug.plant(briefly)
            changed = getattr(importlib.import_module(bug.module), name)
        assert isinstance(changed, Operator)
        find = running.find
        patch.setattr(running, "find", lambda n: changed if n == self.operator else find(n))
        return lambda: True


@dataclasses.dataclass(frozen=True)
class InKernel:
    """A bug in the text of Numba kernels."""

    right: str
    wrong: str

    def plant(self, patch):
        made, planted = launch.program, []

        def program(graph, shape):
            kernel = made(graph, shape)
            planted.append(self.right in kernel.text)
            text = kernel.text.replace(self.right, self.wrong)
            return dataclasses.replace(kernel, text=text)

        patch.setattr(launch, "program", program)
        return lambda: any(planted)


def windows(name, number, place, backend):
    """Prepare the test of an operator with its settings of a number."""
    return functools.partial(conformance.test_windows, name, number, place, backend, "float64")


def special(name, values, backend):
    """Prepare the test of an operator on one window of special values."""
    return functools.partial(conformance.test_special_values, name, values, backend, "float64")


def threads(name):
    """Prepare the test of an operator on several threads."""

    def check():
        with pytest.MonkeyPatch.context() as patch:
            split_work.test_pieces_of_one_plane_each(name, patch)

    return check


INTERPRET, DIFFERENTIATE = "flexpool.backends.interpret", "flexpool.ir.differentiate"
KERNEL_PARTS = "flexpool.backends.numba_cpu"

BUGS = {
    "wrong exponent": (
        InFormula("lp", "** (1 / p)", "** (1 / 2)"),
        windows("lp", 2, "k2", "interpret"),
    ),
    "softmax that does not subtract the maximum": (
        InFormula("soft", "top = x.max().detach()", "top = 0 * x.max().detach()"),
        special("soft", "large", "interpret"),
    ),
    "gradient that takes the weights for constants": (
        InFormula("soft", "w = exp(d)", "w = exp(d).detach()"),
        windows("soft", 0, "k2", "interpret"),
    ),
    "padding counts where it should not": (
        InFormula("avg", "padding=count_include_pad", "padding=True"),
        windows("avg", 1, "k2-padded", "eager-numpy"),
    ),
    "draw that ignores the probabilities": (
        InFormula("stochastic", "w / top, 1)", "w * 0 + 1, 1)"),
        windows("stochastic", 0, "k2", "eager-torch"),
    ),
    "elements of the padding repeated instead of left out": (
        InFile(
            "flexpool.backends.eager_windows",
            "self.present = None if geometry.inside else self._present()",
            "self.present = None",
            "flexpool.backends.eager:Windows",
        ),
        windows("sum", 0, "line", "eager-torch"),
    ),
    "padding read at the border": (
        InKernel("(first_r0[j] <= F(0)) & ", ""),
        windows("soft", 0, "line", "numba_cpu"),
    ),
    "windows that start one element early": (
        InFile("flexpool.window.sliding", "stride - before\n", "stride - before - 1\n", "_place"),
        windows("max", 0, "k2", "interpret"),
    ),
    "windows of a kernel that start one element early": (
        InKernel("(p, base + ", "(p, base - 1 + "),
        windows("soft", 0, "line", "numba_cpu"),
    ),
    "something added beyond the edge": (
        InKernel(
            "np.full(left + max(width, span), F(0), F)", "np.ones(left + max(width, span), F)"
        ),
        windows("sum", 0, "line", "numba_cpu"),
    ),
    "overlapping windows of a kernel one element apart": (
        InKernel("place = q * plane + ", "place = 1 + q * plane + "),
        windows("avg", 0, "overlap", "numba_cpu"),
    ),
    "dilation left out": (
        InFile(INTERPRET, "placement.dilation * inside", "inside", "run"),
        windows("max", 0, "sparse", "interpret"),
    ),
    "overhang of ceil mode in the divisor": (
        InFile(
            "flexpool.window.counts",
            "size + after, placement",
            "10**6, placement",
            "flexpool.backends.task:padded_counts",
        ),
        windows("avg", 0, "k2-ceil", "interpret"),
    ),
    "NaN lost by max": (
        InFile(
            f"{KERNEL_PARTS}.expressions",
            'f"({new} {sign} {old}) | ({new} != {new})"',
            'f"({new} {sign} {old})"',
            f"{KERNEL_PARTS}.body:better",
        ),
        special("max", "nan", "numba_cpu"),
    ),
    "results at the border not written": (
        InKernel("onto[j] = out_y_r[j]", "pass"),
        windows("soft", 0, "line", "numba_cpu"),
    ),
    "results in the interior not written": (
        InKernel("out_y_r[j] = max_1", "pass"),
        windows("max", 0, "line", "numba_cpu"),
    ),
    "gradient of the last maximum instead of the first": (
        InFile(INTERPRET, "lambda value, best: value > best", "lambda a, b: a >= b", "run"),
        windows("max", 0, "k2", "interpret"),
    ),
    "ranks of equal elements reversed": (
        InFile(INTERPRET, "values[i] and j < i", "values[i] and j > i", "run"),
        windows("median", 0, "k2", "interpret"),
    ),
    "cumulative sum without the element itself": (
        InFile(INTERPRET, "np.cumsum(_spread(window, a))", "np.cumsum(a) - a", "run"),
        windows("stochastic", 0, "k2", "interpret"),
    ),
    "gradient of a parameter without a factor": (
        InFile(
            DIFFERENTIATE,
            'make("mul", node, make("log", safe))',
            'make("log", safe)',
            "flexpool.declare:differentiate",
        ),
        windows("lp", 2, "k2", "interpret"),
    ),
    "gradients of overlapping windows not added": (
        InFile(INTERPRET, "[window.elements] += value", "[window.elements] = value", "run"),
        windows("avg", 0, "overlap", "interpret"),
    ),
    "parameter of another channel": (
        InKernel("c = p % channels", "c = p // channels"),
        windows("mixed", 2, "line", "numba_cpu"),
    ),
    "random numbers that depend on the threads": (
        InKernel("u_offset, (p *", "u_offset, ((p - begin) *"),
        threads("stochastic"),
    ),
}


@pytest.fixture
def planting(monkeypatch, tmp_path):
    """Plant a bug where no cache hides it, and leave none behind in any."""
    caches = [
        task.geometry,
        declare._traced,
        declare._differentiated,
        importlib.import_module(f"{KERNEL_PARTS}.program").program,
        launch._compiled,
        launch._launch,
    ]

    def forget():
        for cache in caches:
            cache.cache_clear()

    def plant(bug):
        forget()
        monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(tmp_path))
        return bug.plant(monkeypatch)

    yield plant
    forget()


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_makes_the_tests_fail(name, planting):
    bug, check = BUGS[name]
    check()
    is_there = planting(bug)
    with pytest.raises(AssertionError) as caught:
        check()
    assert is_there()
    assert any(entry.name == "assert_close" for entry in caught.traceback)


def test_what_a_kernel_leaves_out_is_nan(planting):
    """In every run, not only where the memory happens to hold something else than the result."""
    planting(InKernel("out_y_r[j] = max_1", "pass"))
    line = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    y = running.Call("max", line, running.Windows(1, 2, 2)).value("numba_cpu")
    assert np.isnan(y).all()
