"""Printed Triton kernels give what the definition gives, and compile for a GPU.

They run in Triton's interpreter, on the CPU; two other processes do it, because Triton is either
interpreting or compiling from its import on.
"""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from backends import triton_worker
from backends.samples import ALL, FORMULAS, WINDOWS, arrays, gradient, special
from flexpool.backends import interpret, triton_gpu
from flexpool.backends.task import Task, geometry
from flexpool.declare import find, operator
from flexpool.ir import Graph, Grid, Output
from flexpool.ir.nodes import constant
from flexpool.math import maximum, minimum, sign
from flexpool.window import adaptive_window, window

pytest.importorskip("triton", reason="Triton is not installed: pip install triton")

# Every formula on these; on the other windows, formulas that use all that depends on the window.
SHAPES = ["1d-k3s2p1d2-ceil", "2d-k3s2p1"]
PLACES = ["max", "soft", "counted", "placed", "running"]


def worker(cache, interpreting: bool) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        1, context, initializer=triton_worker.ready, initargs=(str(cache), interpreting)
    )


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    with worker(tmp_path_factory.mktemp("interpreter"), True) as pool:
        yield pool


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    with worker(tmp_path_factory.mktemp("compiler"), False) as pool:
        yield pool


def compare(pool, graph: Graph, case, leaves: dict, dtype: str = "float64") -> None:
    where = geometry(*case)
    leaves = {
        n: a.astype(dtype).astype("float64") if isinstance(a, np.ndarray) else a
        for n, a in leaves.items()
    }
    wanted = interpret.run(Task(graph, where, leaves["x"].shape[:2], dtype), leaves)
    got = pool.submit(triton_worker.interpreted, graph, *case, dtype, leaves).result()
    assert got.keys() == wanted.keys()
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for name, array in got.items():
        assert array.dtype == dtype
        scale = np.nanmax(np.abs(wanted[name]), where=np.isfinite(wanted[name]), initial=1)
        np.testing.assert_allclose(
            array, wanted[name], rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


def both(pool, op, case, batch=(2, 2), dtype="float64", change=lambda x: x) -> None:
    leaves = arrays(op, geometry(*case), batch)
    leaves["x"] = change(leaves["x"])
    compare(pool, op.graph(), case, leaves, dtype)
    compare(pool, gradient(op), case, leaves, dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALL)
def test_equals_the_definition(interpreter, name, shape):
    both(interpreter, ALL[name], WINDOWS[shape])


@pytest.mark.parametrize("shape", [shape for shape in WINDOWS if shape not in SHAPES])
@pytest.mark.parametrize("name", PLACES)
def test_equals_the_definition_for_all_windows(interpreter, name, shape):
    both(interpreter, ALL[name], WINDOWS[shape], dtype="float32")


@pytest.mark.parametrize(
    "name",
    ["max", "min", "avg", "soft", "median", "chosen", "ranked", "ordered", "held", "limited"],
)
@pytest.mark.parametrize("shape", ["1d-without-elements", "2d-k3s2p1"])
def test_ties_infinities_and_nan(interpreter, name, shape):
    both(interpreter, ALL[name], WINDOWS[shape], change=special)


@pytest.mark.parametrize("function", [sign, lambda a: minimum(a, 0.5), lambda a: maximum(a, 0.5)])
def test_functions_of_zero_and_nan(interpreter, function):
    op = operator(lambda x: function(x.max()))
    both(interpreter, op, WINDOWS["2d-k3s2p1"], change=np.zeros_like)
    both(interpreter, op, WINDOWS["2d-k3s2p1"], change=special)


def test_all_equal_and_all_nan(interpreter):
    for value in (0.5, math.nan, -math.inf):
        both(
            interpreter,
            find("max"),
            WINDOWS["2d-k3s2p1"],
            change=lambda x, value=value: np.full_like(x, value),
        )


@pytest.mark.parametrize("name", ["max", "running"])
def test_a_kernel_too_large_to_unroll(interpreter, name):
    case = (window(2, 7, 3, 2), (9, 10))
    assert "tl.static_range(7)" not in triton_gpu.source(task_of(ALL[name].graph(), case))
    both(interpreter, ALL[name], case)


def test_more_windows_than_one_program_holds(interpreter):
    both(interpreter, find("max"), (window(2, 2, 1), (12, 11)), (2, 3), "float32")


@pytest.mark.parametrize("batch", [(0, 2), (2, 0)])
def test_empty_batch(interpreter, batch):
    both(interpreter, find("lp"), WINDOWS["2d-k2"], batch)


def test_no_windows(interpreter):
    both(interpreter, find("max"), (adaptive_window(2, (0, 2)), (4, 4)))


def test_one_parameter_for_all_channels(interpreter):
    case = WINDOWS["2d-k3s2p1"]
    leaves = arrays(FORMULAS["placed"], geometry(*case), (2, 3))
    leaves |= {"w": leaves["w"][:1]}
    compare(interpreter, gradient(FORMULAS["placed"]), case, leaves)
    leaves = arrays(find("boltzmann"), geometry(*case), (2, 3))
    compare(interpreter, gradient(find("boltzmann")), case, leaves | {"beta": np.array([0.3])})


def test_constant_results(interpreter):
    places = {"a": Grid.WINDOW, "b": Grid.ELEMENT, "c": Grid.CHANNEL, "d": Grid.POSITION}
    graph = Graph(tuple(Output(name, constant(0.1), grid) for name, grid in places.items()))
    case = WINDOWS["2d-k3s2p1"]
    compare(interpreter, graph, case, {"x": np.ones((2, 3, *case[1]))})


def task_of(graph: Graph, case, dtype: str = "float32") -> Task:
    return Task(graph, geometry(*case), (1, 1), dtype)


def test_source_does_not_depend_on_the_size_of_the_input():
    graph, like = find("max").graph(), window(2, 3, 2, 1)
    assert triton_gpu.source(task_of(graph, (like, (5, 6)))) == triton_gpu.source(
        task_of(graph, (like, (50, 60)))
    )


def test_nothing_is_added_atomically():
    for op in ALL.values():
        assert "atomic" not in triton_gpu.source(task_of(gradient(op), WINDOWS["2d-k3s2p1"]))


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["max", "soft", "boltzmann"])
def test_half_floats_are_converted_inside(interpreter, name, half):
    case = WINDOWS["2d-k3s2p1"]
    leaves = {n: a.astype("float32") for n, a in arrays(ALL[name], geometry(*case), (2, 2)).items()}
    for graph in (ALL[name].graph(), gradient(ALL[name])):
        job = interpreter.submit(triton_worker.interpreted_halves, graph, *case, half, leaves)
        for is_kept_so, got, wanted in job.result().values():
            assert is_kept_so
            # Triton's interpreter cuts bfloat16 off where its compiler rounds.
            np.testing.assert_allclose(got, wanted, rtol=0 if half == "float16" else 2**-7)


@pytest.mark.parametrize("half", ["fp16", "bf16"])
def test_half_floats_compile_for_a_gpu(compiler, half):
    case = WINDOWS["2d-k3s2p1"]
    for graph in (find("soft").graph(), gradient(find("soft"))):
        texts = compiler.submit(triton_worker.compiled, graph, *case, "float32", half).result()
        for text in texts:
            assert ".visible .entry" in text
            assert "ld.global.b16" in text
        assert "cvt.rn." in texts[-1]  # the result is rounded to the nearest
        assert "st.global.b32" not in texts[-1]


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("soft", "2d-k3s2p1", "float32"),
        ("soft", "1d-k3s2p1d2-ceil", "float64"),
        ("stochastic", "2d-k2", "float32"),
        ("smooth", "adaptive-uneven", "float32"),
        ("chosen", "1d-k2", "float32"),
        ("counted", "1d-k3s2p1d2-ceil", "float64"),
        ("placed", "2d-k2", "float32"),
        ("ranked", "1d-k2", "float32"),
        ("ordered", "2d-k2", "float32"),
        ("power", "1d-k2", "float64"),
        ("limited", "1d-k2", "float64"),
    ],
)
def test_compiles_for_a_gpu(compiler, name, shape, dtype):
    for graph in (ALL[name].graph(), gradient(ALL[name])):
        job = compiler.submit(triton_worker.compiled, graph, *WINDOWS[shape], dtype)
        assert all(".visible .entry" in text for text in job.result())


@pytest.mark.parametrize("name", ["max", "running"])
def test_large_kernel_compiles_for_a_gpu(compiler, name):
    graph, case = gradient(ALL[name]), (window(1, 40, 20), (100,))
    assert compiler.submit(triton_worker.compiled, graph, *case, "float32").result()
