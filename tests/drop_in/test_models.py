"""accelerate(): the model stays itself, what is replaced and what is left, and the ways back."""

import contextlib
import copy
import io
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexpool
from drop_in.heard import Heard
from flexpool import sooner
from flexpool.drop_in import functions, modules, rules
from flexpool.errors import ArgumentError

OURS = modules.__name__


class OwnMax(nn.MaxPool2d):
    def forward(self, input):
        return super().forward(-input)


class Labelled(nn.AvgPool2d):
    label = "a"


def model():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(2))


def large(*shape):
    """An input that the rules give to flexpool."""
    return torch.randn(*(shape or (8, 3, 258, 258)), generator=torch.Generator().manual_seed(0))


def is_ours(module):
    return type(module).__module__ == OURS


def test_it_returns_the_model_itself_or_a_copy():
    net = model()
    copied = flexpool.accelerate(net, inplace=False)
    assert not is_ours(net[1])
    assert is_ours(copied[1])
    assert copied[0].weight is not net[0].weight
    assert flexpool.accelerate(net) is net
    assert flexpool.accelerate(net) is net  # again
    assert [is_ours(layer) for layer in net] == [False, True, False, True]


def test_the_root_may_be_a_pool():
    pool = nn.MaxPool2d(3, 2, 1)
    assert flexpool.accelerate(pool) is pool
    assert is_ours(pool)
    assert isinstance(pool, nn.MaxPool2d)


def test_it_is_the_same_module_with_the_same_repr_order_keys_and_mode():
    net, theirs = model().eval(), model()
    pool = net[1]
    pool.note = "kept"
    flexpool.accelerate(net)
    assert net[1] is pool
    assert pool.note == "kept"
    assert repr(net) == repr(theirs)
    assert list(net.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in net.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert not any(module.training for module in net.modules())
    net.load_state_dict(theirs.state_dict())


def test_shared_modules_stay_shared():
    pool = nn.MaxPool2d(2)
    net = flexpool.accelerate(nn.ModuleDict({"a": pool, "b": nn.Sequential(pool)}))
    assert net["a"] is net["b"][0]
    assert is_ours(net["a"])
    assert len(flexpool.acceleration(net).pools) == 1


def test_hooks_go_on_to_be_called(taken):
    net, calls = model(), []
    net[1].register_forward_pre_hook(lambda module, args: calls.append("before"))
    net[1].register_forward_hook(lambda module, args, y: calls.append("after"))
    net[1].register_full_backward_hook(lambda module, into, out: calls.append("backward"))
    flexpool.accelerate(net)(large()).sum().backward()
    assert calls == ["before", "after", "backward"]
    assert taken == ["max", "avg"]


def test_attributes_that_are_set_later_count(taken):
    net = flexpool.accelerate(nn.MaxPool2d(2))
    net.stride, net.return_indices = 1, True
    x = large()
    y, index = net(x)
    theirs = F.max_pool2d(x, 2, 1, return_indices=True)
    assert torch.equal(y, theirs[0])
    assert torch.equal(index, theirs[1])
    assert taken == ["max"]


def test_indices_lead_back_through_max_unpool(taken):
    pool = flexpool.accelerate(nn.MaxPool2d(2, return_indices=True))
    x = large()
    back = nn.MaxUnpool2d(2)(*pool(x))
    theirs = nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x))
    assert torch.equal(back, theirs)
    assert taken == ["max"]


def test_what_is_left_and_why():
    net = nn.Sequential(
        OwnMax(2),
        Labelled(2),
        nn.FractionalMaxPool2d(2, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.MaxPool2d(2),
    )
    net[4].forward = lambda input: input
    report = flexpool.acceleration(flexpool.accelerate(net))
    assert not report.replaced
    assert [(pool.name, pool.what, pool.why) for pool in report.left] == [
        ("0", "OwnMax", "a subclass of torch.nn.MaxPool2d may do something else"),
        ("1", "Labelled", "a subclass of torch.nn.AvgPool2d may do something else"),
        ("2", "FractionalMaxPool2d", "flexpool has no such pooling"),
        ("3", "AdaptiveAvgPool2d", "PyTorch's was the faster one in all measurements"),
        ("4", "MaxPool2d", "its forward was replaced on the object itself"),
    ]
    assert not any(map(is_ours, net))


def test_the_report_before_and_after():
    net = model()
    assert repr(flexpool.acceleration(net)) == (
        "0 of 2 poolings accelerated\n"
        "1  MaxPool2d  left: not accelerated yet, call flexpool.accelerate(model)\n"
        "3  AvgPool2d  left: not accelerated yet, call flexpool.accelerate(model)"
    )
    assert repr(flexpool.acceleration(flexpool.accelerate(net))) == (
        "2 of 2 poolings accelerated\n1  MaxPool2d  flexpool\n3  AvgPool2d  flexpool"
    )
    assert repr(flexpool.acceleration(nn.ReLU())) == "0 of 0 poolings accelerated"
    assert repr(flexpool.acceleration(flexpool.accelerate(nn.MaxPool1d(2)))) == (
        "1 of 1 poolings accelerated\n(itself)  MaxPool1d  flexpool"
    )


def test_what_was_done_is_logged(caplog):
    caplog.set_level("DEBUG", logger="flexpool")
    flexpool.accelerate(model())
    assert caplog.messages[:2] == [
        "accelerate: 1 MaxPool2d: flexpool",
        "accelerate: 3 AvgPool2d: flexpool",
    ]


def test_decelerate_is_the_way_back():
    net = flexpool.accelerate(model())
    assert flexpool.decelerate(net) is net
    assert [type(layer) for layer in net] == [type(layer) for layer in model()]


@pytest.mark.parametrize("function", ["accelerate", "decelerate", "acceleration"])
def test_what_is_no_module_is_refused(function):
    with pytest.raises(ArgumentError) as raised:
        getattr(flexpool, function)(3)
    assert str(raised.value) == (
        f"{function}: expected model to be a torch.nn.Module, got 3. "
        "For functions, write `with flexpool.accelerated():`."
    )


def test_inplace_is_true_or_false():
    with pytest.raises(ArgumentError, match="accelerate: expected inplace to be True or False"):
        flexpool.accelerate(model(), inplace="no")


def saved(net):
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), saved],  # noqa: S301
)
def test_a_copy_is_accelerated_too(copied, taken):
    net = flexpool.accelerate(model())
    again = copied(net)
    assert is_ours(again[1])
    assert again[1] is not net[1]
    assert torch.equal(again(large()), net(large()))
    assert taken == ["max", "avg"] * 2


def test_a_dtype_that_flexpool_does_not_take_is_torchs(taken):
    net = flexpool.accelerate(model())
    net.to("meta")
    assert net(torch.empty(8, 3, 258, 258, device="meta")).is_meta
    pool = flexpool.accelerate(torch.nn.MaxPool2d(2))
    assert pool(torch.zeros(8, 3, 258, 258, dtype=torch.uint8)).dtype == torch.uint8
    assert not taken


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_floats_are_pooled_by_flexpool_where_results_are_equal(half, taken):
    x = large().to(half)
    cases = [
        (torch.nn.MaxPool2d(2), True, "max"),
        (torch.nn.MaxPool2d(3, 2, 1), True, "max"),
        (torch.nn.AvgPool2d(2), True, "avg"),
        (torch.nn.AvgPool2d(3, 2, 1), False, "avg"),
        (torch.nn.AvgPool2d(3, 2, 1), True, None),  # its gradients are rounded otherwise
    ]
    for plain, trained, who in cases:
        theirs, ours = x.clone().requires_grad_(trained), x.clone().requires_grad_(trained)
        wanted, y = plain(theirs), flexpool.accelerate(plain, inplace=False)(ours)
        assert torch.equal(y, wanted)
        if trained:
            wanted.backward(wanted.detach())
            y.backward(y.detach())
            assert torch.equal(ours.grad, theirs.grad)
        assert taken == ([who] if who else [])
        taken.clear()
    last = x.contiguous(memory_format=torch.channels_last)
    assert flexpool.accelerate(torch.nn.MaxPool2d(2))(last).dtype == half
    assert not taken


def test_autocast_changes_the_type_as_in_torch(taken):
    net, x = model(), large()
    with torch.autocast("cpu", torch.bfloat16):
        theirs = net(x)
        ours = flexpool.accelerate(net)(x)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert torch.equal(ours, theirs)
    assert taken == ["max", "avg"]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_before_and_after(taken):
    net, x = model(), large()
    theirs = net(x)
    scripted = torch.jit.script(net)
    report = flexpool.acceleration(flexpool.accelerate(scripted))
    assert [pool.why for pool in report.left] == [
        "compiled by TorchScript; accelerate the model before, or instead"
    ] * 2
    assert torch.equal(scripted(x), theirs)
    ours = flexpool.accelerate(net)
    assert torch.equal(torch.jit.script(ours)(x), theirs)
    assert is_ours(ours[1])
    traced = torch.jit.trace(ours, x)  # it runs the model too, to compare
    taken.clear()
    assert torch.equal(traced(x), theirs)
    assert not taken


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return F.max_pool2d(self.pool(x), 2)


def test_fx_graphs(taken):
    graph, x = torch.fx.symbolic_trace(Functional()), large()
    theirs = graph(x)
    report = flexpool.acceleration(flexpool.accelerate(graph))
    assert report.replaced == (flexpool.drop_in.Pool("pool", "MaxPool2d"),)
    assert report.left == (
        flexpool.drop_in.Pool(
            "max_pool2d",
            "max_pool2d",
            "a call of a function, not a module; use flexpool.accelerated()",
        ),
    )
    assert torch.equal(graph(x), theirs)
    assert taken == ["max"]
    again = torch.fx.symbolic_trace(flexpool.accelerate(Functional()))
    assert torch.equal(again(x), theirs)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantized_inputs_are_torchs(taken):
    x = torch.quantize_per_tensor(large(8, 4, 64, 64), 0.1, 0, torch.quint8)
    pool = torch.ao.nn.quantized.MaxPool2d(2)
    expected = pool(x)
    assert torch.equal(flexpool.accelerate(pool)(x), expected)
    with flexpool.accelerated():
        assert torch.equal(F.max_pool2d(x, 2), expected)
    assert expected.is_quantized
    assert not taken


def test_compiled_and_exported_programs(taken):
    net, x = model(), large()
    theirs = net(x)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), theirs)
    ours = flexpool.accelerate(net)  # under the program that is there already
    torch.testing.assert_close(compiled(x), theirs)
    torch.testing.assert_close(torch.compile(ours, backend="aot_eager", fullgraph=True)(x), theirs)
    for strict in (False, True):
        program = torch.export.export(ours, (x,), strict=strict)
        assert "aten.max_pool2d" in str(program.graph)
        assert "flexpool" not in str(program.graph)
        torch.testing.assert_close(program.module()(x), theirs)
    assert not taken


@pytest.mark.parametrize("inside", [False, True], ids=["module", "block"])
def test_one_program_is_compiled_for_large_and_small_inputs(inside):
    programs = []

    def noted(program, _):
        programs.append(program)
        return program.forward

    pool = nn.AvgPool2d(2) if inside else flexpool.accelerate(nn.AvgPool2d(2))
    compiled = torch.compile(pool, backend=noted, dynamic=True)
    with flexpool.accelerated() if inside else contextlib.nullcontext():
        for size in (256, 8):
            compiled(torch.randn(2, 3, size, size))
    assert len(programs) == 1
    assert "flexpool" not in str(programs[0].graph)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_transforms(taken):
    net, x = model(), large(2, 3, 258, 258)
    ours = flexpool.accelerate(net, inplace=False)

    def loss(net):
        return lambda x: net(x).square().sum()

    expected = torch.func.grad(loss(net))(x)
    torch.testing.assert_close(torch.func.grad(loss(ours))(x), expected)
    batch = torch.stack([x, 2 * x])
    torch.testing.assert_close(torch.vmap(ours)(batch), torch.vmap(net)(batch))
    ones = torch.ones_like(x)
    tangents = torch.func.jvp(ours, (x,), (ones,))
    torch.testing.assert_close(tangents, torch.func.jvp(net, (x,), (ones,)))
    assert not taken


@pytest.mark.parametrize("window", [(2,), (3, 2, 1)])
@pytest.mark.parametrize("n", [1, 2, pytest.param(3, marks=pytest.mark.heavy)])
def test_second_derivatives(n, window, taken, monkeypatch):
    monkeypatch.setattr(rules, "LEAST_ELEMENTS", 0)
    monkeypatch.setattr(sooner, "is_worth", lambda *_: True)
    shape = (2, 3, *[9] * n)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found = []
    for pool in (getattr(nn, f"MaxPool{n}d")(*window), getattr(nn, f"MaxPool{n}d")(*window)):
        if found:
            flexpool.accelerate(pool)
        (first,) = torch.autograd.grad(pool(x).pow(3).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), x)[0])
    assert taken == ["max"]
    torch.testing.assert_close(*found)


def test_many_threads_at_once():
    net, x = flexpool.accelerate(model()), large()
    expected, found = net(x), []
    threads = [threading.Thread(target=lambda: found.append(net(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(y, expected) for y in found)
    assert len(found) == 4


def test_small_calls_are_torchs(taken):
    flexpool.accelerate(model())(large(1, 3, 20, 20))
    assert not taken


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.parametrize("size", [8, 64])
def test_other_layouts_are_torchs(size, taken):
    x, pool = large(2, 3, size, size), flexpool.accelerate(nn.AvgPool2d(2))
    torch.testing.assert_close(pool(x.to_mkldnn()).to_dense(), F.avg_pool2d(x, 2))
    for sparse in (x.to_sparse(), x.to_sparse_csr()):
        errors = []
        for module in (nn.AvgPool2d(2), pool):
            with pytest.raises(RuntimeError) as raised:
                module(sparse)
            errors.append((raised.type, str(raised.value)))
        assert errors[0] == errors[1]
    assert not taken


SMALL = (2, 3, 9, 9)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_what_calls_found_is_not_kept_with_a_module():
    pool = flexpool.accelerate(nn.AvgPool2d(2))
    before = pickle.dumps(pool)
    pool(large(*SMALL))
    pool(large(1, 3, 80, 80).contiguous(memory_format=torch.channels_last))  # left by the rules
    assert {"_five", "_left"} <= set(vars(pool))
    assert pickle.dumps(pool) == before
    assert not {"_five", "_left"} & set(vars(copy.deepcopy(pool)))
    assert torch.equal(torch.jit.script(pool)(large(*SMALL)), pool(large(*SMALL)))
    assert not {"_five", "_left"} & set(vars(flexpool.decelerate(pool)))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize(
    ("family", "given"),
    [
        ("Max", {"kernel_size": 2}),
        ("Max", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
        ("Max", {"kernel_size": 2, "return_indices": True}),
        ("Avg", {"kernel_size": 2}),
        ("Avg", {"kernel_size": 4, "stride": 3, "padding": 1, "ceil_mode": True}),
        ("Avg", {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
        ("Avg", {"kernel_size": 2, "divisor_override": 3}),
    ],
)
def test_small_calls_say_all_that_the_module_says(dimensions, family, given):
    if dimensions == 1:
        given = {name: value for name, value in given.items() if name != "divisor_override"}
    theirs = getattr(nn, f"{family}Pool{dimensions}d")(**given)
    ours = flexpool.accelerate(theirs, inplace=False)
    x = large(*SMALL[:2], *[9] * dimensions)
    for _ in range(2):
        for a, b in zip(
            *[m(x) if "return_indices" in given else [m(x)] for m in (ours, theirs)], strict=True
        ):
            assert torch.equal(a, b)


def test_what_is_set_after_a_small_call_counts():
    pool, x = flexpool.accelerate(nn.MaxPool2d(2)), large(*SMALL)
    for name, value in (("stride", 1), ("padding", 1), ("stride", None), ("return_indices", True)):
        pool(x)
        setattr(pool, name, value)
        theirs = nn.MaxPool2d(2)
        vars(theirs).update({n: getattr(pool, n) for n in vars(theirs) if hasattr(pool, n)})
        found, wanted = pool(x), theirs(x)
        pairs = zip(found, wanted, strict=True) if value is True else [(found, wanted)]
        assert all(torch.equal(a, b) for a, b in pairs)
    pool.return_indices = False
    pool(x)
    plain = flexpool.decelerate(pool)
    plain.stride = 3
    again = flexpool.accelerate(plain)
    assert torch.equal(again(x), F.max_pool2d(x, 2, 3, 1))
    copied = copy.deepcopy(again)
    copied.stride = 2
    assert torch.equal(again(x), F.max_pool2d(x, 2, 3, 1))
    assert torch.equal(copied(x), F.max_pool2d(x, 2, 2, 1))


@pytest.mark.parametrize(
    ("module", "wrong"),
    [
        (nn.MaxPool2d, {"padding": False}),
        (nn.AvgPool2d, {"padding": 5}),
        (nn.AvgPool2d, {"kernel_size": "2"}),
        (nn.MaxPool2d, {"kernel_size": 20}),
    ],
)
def test_errors_of_small_calls_are_torchs(module, wrong):
    texts = []
    for pool in (module(**{"kernel_size": 2, **wrong}), module(**{"kernel_size": 2, **wrong})):
        ours = flexpool.accelerate(pool) if texts else pool
        try:
            ours(large(*SMALL))
            texts.append("")
        except (TypeError, RuntimeError) as error:
            texts.append(str(error).splitlines()[0])
    assert texts[0] == texts[1]


@pytest.mark.parametrize("module", [nn.MaxPool2d, nn.AvgPool2d, nn.MaxPool1d])
def test_modes_of_functions_are_told_of_small_calls_as_outside(module):
    x = large(*SMALL) if module is not nn.MaxPool1d else large(*SMALL[:3])
    heard = []
    for pool in (module(2), flexpool.accelerate(module(2))):
        pool(x)
        with Heard() as mode:
            pool(x)
        heard.append([f for f in mode.functions if "pool" in getattr(f, "__name__", "")])
    assert heard[0] == heard[1] != []


def test_rules_are_asked_again_where_a_call_differs_from_the_one_they_left(taken):
    asked, x = [], large(2, 3, 64, 64)
    pool = flexpool.accelerate(nn.MaxPool2d(2))

    def asks(call):
        before = len(asked)
        for _ in range(2):
            functions._settled.cache_clear()
            assert torch.equal(call(), F.max_pool2d(x, pool.kernel_size))
        return len(asked) - before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sooner, "is_worth", lambda *about: asked.append(about))
        assert asks(lambda: pool(x)) == 1
        assert asks(lambda: pool(x)) == 0
        assert asks(lambda: pool(x.clone().requires_grad_())) == 1
        assert asks(lambda: pool(x)) == 1
        assert asks(lambda: pool(x.contiguous(memory_format=torch.channels_last))) == 1
        with torch.no_grad():
            assert asks(lambda: pool(x.clone().requires_grad_())) == 1
            assert asks(lambda: pool(x)) == 0
        assert asks(lambda: pool(x.double()).float()) == 1
        assert asks(lambda: pool(x)) == 1
        torch.set_num_threads(2)
        try:
            assert asks(lambda: pool(x)) == 1
        finally:
            torch.set_num_threads(1)
        pool.kernel_size = pool.stride = 3
        assert asks(lambda: pool(x)) == 1
    functions._settled.cache_clear()
    assert not taken
    assert torch.equal(pool(large()), F.max_pool2d(large(), 3))
    assert taken == ["max"]


def test_rules_ask_for_more_work_where_there_are_more_threads(taken, monkeypatch):
    monkeypatch.setattr(rules, "LEAST_ELEMENTS", 0)
    least = int(sooner.LEAST_WORK[sooner.Kind("max", 2, "planes")].forward)
    pool, x = flexpool.accelerate(nn.MaxPool2d(2)), torch.randn(1, 1, 2, least)
    pool(x)
    assert taken == ["max"]
    torch.set_num_threads(4)
    try:
        pool(x)
    finally:
        torch.set_num_threads(1)
    assert taken == ["max"]


def test_rules_name_only_what_there_is():
    poolings = {"max", "max with indices", "avg", "adaptive max", "adaptive avg"}
    for kind, least in sooner.LEAST_WORK.items():
        assert kind.pooling in poolings
        assert kind.dimensions in (1, 2, 3)
        assert kind.layout in ("planes", "channels last")
        assert min(least) > 0
