"""Half floats and whole numbers: converted inside the CPU backend, a piece at a time."""

import functools
import itertools

import numpy as np
import pytest
import torch

import flexpool
from flexpool.backends import memory, threads
from flexpool.backends.formats import BFLOAT16, bounds, converting, numbers, stored
from flexpool.backends.numba_cpu import launch, staged
from flexpool.backends.task import Task, geometry
from flexpool.declare import find
from flexpool.errors import DtypeError
from flexpool.ir import Grid
from flexpool.window import window
from turns import but_for

FLOAT16, FLOAT32, FLOAT64 = map(np.dtype, ("float16", "float32", "float64"))
ALL = np.arange(1 << 16, dtype=np.uint16)  # the bits of every number of 16 bits
WHOLE = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
RNG = np.random.default_rng(0)


def as_torch(array):
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def converted(array, dtype):
    """Convert with the compiled loops."""
    if array.dtype != FLOAT32 and array.dtype != FLOAT64:
        return staged._widened(array, dtype, last=False)
    made = np.empty(array.shape, dtype)
    staged._narrow(array, made, last=False)
    return made


def edges():
    """Give floats of all sizes, those of 16 bits, what lies halfway between these, and beside."""
    halves = [ALL.view(FLOAT16).astype(FLOAT32), (ALL.astype(np.uint32) << 16).view(FLOAT32)]
    found = [RNG.integers(0, 1 << 32, 200_000, dtype=np.uint32).view(FLOAT32)]
    for numbers_of_16_bits in halves:
        finite = np.sort(numbers_of_16_bits[np.isfinite(numbers_of_16_bits)])
        between = (finite[1:].astype(FLOAT64) / 2 + finite[:-1].astype(FLOAT64) / 2).astype(FLOAT32)
        found += [numbers_of_16_bits, between]
        found += [np.nextafter(between, FLOAT32.type(towards)) for towards in (-np.inf, np.inf)]
    return np.concatenate(found)


@pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_every_half_float_is_what_torch_and_numpy_take_it_for(dtype):
    halves = ALL.view(dtype)
    want = as_torch(halves).float().numpy()
    for got in (converted(halves, FLOAT32), numbers(halves, "float32")):
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16], ids=["float16", "bfloat16"])
def test_floats_are_rounded_to_halves_as_torch_rounds_them(dtype):
    floats = edges()
    half = torch.float16 if dtype == FLOAT16 else torch.bfloat16
    want = torch.from_numpy(floats).to(half)
    for made in (converted(floats, dtype), stored(floats, dtype)):
        got = as_torch(made)
        assert torch.equal(got.isnan(), want.isnan())
        number = ~want.isnan()
        assert torch.equal(got.view(torch.int16)[number], want.view(torch.int16)[number])


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("compute", [FLOAT32, FLOAT64], ids=str)
def test_whole_numbers_stay_and_infinities_become_the_ends(name, compute):
    dtype = np.dtype(name)
    least, most = bounds(dtype)
    exact = 1 << (24 if compute == FLOAT32 else 53)
    some = [n for n in (0, 1, 2, 100, -1, -100, least, most) if least <= n <= most]
    some = np.array([n for n in some if abs(n) <= exact], dtype)
    floats = converted(some, compute)
    np.testing.assert_array_equal(floats, some.astype(compute))
    for convert in (converted, stored):
        np.testing.assert_array_equal(convert(floats, dtype), some)
        ends = convert(np.array([np.inf, -np.inf], compute), dtype)
        assert ends.tolist() == [most, least]
        with pytest.raises(DtypeError, match="to be floating point where a window has no elements"):
            convert(np.array([1, np.nan], compute), dtype)


SIZES, BATCH = (9, 7), (5, 6)


@functools.cache
def task(operator, wanted):
    declared = find(operator)
    graph = declared.gradient(tuple(wanted.split(","))) if wanted else declared.graph()
    where = geometry(window(2, (3, 2), 2, (1, 0)), SIZES)
    assert where.output_shape == (5, 3)
    return Task(graph, where, BATCH, "float32")


def leaves_of(made, dtype, last):
    """Make arrays for a task, those as large as the input or the output of a type."""
    rng, found = np.random.default_rng(1), {}
    shapes = {
        Grid.ELEMENT: (*BATCH, *SIZES),
        Grid.WINDOW: (*BATCH, *made.geometry.output_shape),
        Grid.CHANNEL: BATCH[1:],
    }
    for name, node in made.graph.leaves().items():
        if node.op == "random":
            found[name] = 7
            continue
        shape = shapes.get(node.grid, (BATCH[1], made.geometry.positions))
        found[name] = rng.uniform(0.5, 3, shape).astype(made.dtype)
        if name in launch.spread_leaves(made.graph):
            found[name] = laid_out(stored(np.round(found[name] * 8), dtype), last)
    return found


def laid_out(array, last):
    moved = np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    return moved.transpose(0, 3, 1, 2) if last else array


CASES = [
    ("max", ""),
    ("max", "x"),
    ("gem", "x,p"),  # a sum per channel
    ("blur", "x,weight"),  # and per position
    ("lip", ""),
    ("lip", "logits,x"),  # two arrays as large as the input
    ("dpp_guided", "guide,x"),  # one as large as the output
    ("stochastic", ""),  # draws by the number of the window
]


LAYOUTS = list(itertools.product(CASES, (False, True)))
QUICK = [(case, False) for case in CASES[::2]] + [(case, True) for case in CASES[1:3]]


@pytest.mark.parametrize(("case", "last"), but_for(QUICK, LAYOUTS))
@pytest.mark.parametrize("piece", [1, 4 * 63, 13 * 63, 1 << 18])
def test_pieces_give_what_the_whole_gives(case, last, piece, in_pieces_of, monkeypatch):
    operator, wanted = case
    monkeypatch.setattr(threads, "GRAIN", 1)
    in_pieces_of(piece)
    made = task(operator, wanted)
    types = {"x": FLOAT16, "y": FLOAT16}
    leaves = leaves_of(made, FLOAT16, last)
    want = converting(launch.run)(made, leaves, types)
    got = staged.run(made, leaves, types)
    assert got.keys() == want.keys()
    for name, result in got.items():
        assert result.dtype == want[name].dtype
        if result.ndim == 4:
            assert result.strides == want[name].strides
            np.testing.assert_array_equal(result, want[name])
        else:
            np.testing.assert_allclose(result, want[name], rtol=1e-5)


@pytest.fixture
def in_pieces_of(monkeypatch):
    """Set how many elements a piece has."""

    def change(piece):
        monkeypatch.setattr(staged, "PIECE", piece)
        staged._pieces.cache_clear()

    yield change
    staged._pieces.cache_clear()


@pytest.mark.parametrize("dtype", [FLOAT16, BFLOAT16, np.dtype("uint8")], ids=str)
def test_no_copy_of_a_whole_array_is_made(dtype, in_pieces_of, monkeypatch):
    in_pieces_of(4 * 63)
    sizes = []
    monkeypatch.setattr(
        memory, "array", lambda shape, dtype: sizes.append(made := np.empty(shape, dtype)) or made
    )
    made = task("max", "")
    staged.run(made, leaves_of(made, dtype, last=False), {"y": dtype})
    results = [array for array in sizes if array.dtype == dtype]
    assert [array.shape for array in results] == [(*BATCH, 5, 3)]
    assert max(array.size for array in sizes if array.dtype == FLOAT32) == 4 * 63


def test_arrays_of_any_order_of_bytes_and_in_memory_and_such_as_may_not_be_written():
    plain = RNG.integers(0, 100, (2, 3, 8, 8)).astype("float32")
    want = flexpool.pool(plain, "max", 3, 2, 1)
    locked = plain.astype("float16")
    locked.flags.writeable = False
    others = [
        locked,
        plain.astype(">f4"),
        plain.astype(">f2"),
        plain.astype(">i2"),
        np.repeat(plain, 2, axis=3).astype("float16")[..., ::2],
        np.asfortranarray(plain.astype("uint8")),
        np.broadcast_to(plain[:1].astype("int8"), plain.shape),
    ]
    for x in others:
        y = flexpool.pool(x, "max", 3, 2, 1)
        assert y.dtype == x.dtype.newbyteorder("=")
        np.testing.assert_array_equal(y, want if x is not others[-1] else want[[0, 0]])


@pytest.mark.parametrize("backend", ["interpret", "eager", "numba"])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_gradients_are_those_of_float32_rounded_once(backend, half):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 6, 7, generator=generator).to(half).requires_grad_()
    grad_y = torch.randn(2, 3, 3, 3, generator=generator).to(half)
    y = flexpool.pool(x, "soft", 2, backend=backend)
    y.backward(grad_y)
    floats = x.detach().float().requires_grad_()
    want = flexpool.pool(floats, "soft", 2, backend=backend)
    want.backward(grad_y.float())
    assert torch.equal(y, want.to(half))
    assert torch.equal(x.grad, floats.grad.to(half))


@pytest.mark.parametrize("of_grad", [torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("of_x", [torch.float16, torch.float32, torch.float64], ids=str)
def test_a_gradient_of_another_type_than_the_input(of_grad, of_x):
    """Numbers per channel too are brought into the type that is computed in."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 6, 6, generator=generator).to(of_x)
    grad_y, beta = torch.randn(2, 3, 3, 3, generator=generator).to(of_grad), torch.ones(3)
    asked = {"beta": beta, "wanted": ("x", "beta")}
    got = flexpool.pool_backward(grad_y, x, "boltzmann", 2, **asked)
    want = flexpool.pool_backward(grad_y.double(), x.double(), "boltzmann", 2, **asked)
    assert {name: each.dtype for name, each in got.items()} == {"x": of_x, "beta": beta.dtype}
    tolerance = 1e-2 if torch.float16 in (of_grad, of_x) else 1e-5
    for name, each in got.items():
        torch.testing.assert_close(
            each.double(), want[name].double(), rtol=tolerance, atol=tolerance
        )


def test_a_tensor_of_whole_numbers_has_the_ends_of_its_type_where_windows_are_empty():
    x = torch.ones(1, 1, 1, 1, dtype=torch.uint8)
    where = {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 2}
    assert flexpool.pool(x, "max", **where).item() == 0
    assert flexpool.pool(x, "min", **where).item() == 255


def test_whole_numbers_are_compiled_and_batched():
    x = torch.randint(0, 200, (3, 2, 4, 9, 9), dtype=torch.uint8)
    want = torch.stack([flexpool.pool(each, "max", 3, 2, 1) for each in x])
    assert torch.equal(torch.func.vmap(lambda each: flexpool.pool(each, "max", 3, 2, 1))(x), want)
    compiled = torch.compile(lambda each: flexpool.pool(each, "max", 3, 2, 1), backend="eager")
    assert torch.equal(compiled(x[0]), want[0])
