"""Every peer agrees with the definition, or is found out."""

import numpy as np
import pytest
import torch

from flexpool.bench.cases import FIRST, Case, Choice, find
from flexpool.bench.check import Checker
from flexpool.bench.peers import PEERS, CannotError, Side, choose_peers
from flexpool.bench.peers.forms import _FORMS, form, formula
from flexpool.bench.problem import DIRECTIONS, problem
from flexpool.declare import operators
from flexpool.errors import ArgumentError

TINY = [
    Case("k2", "", (2, 3, 6, 8), 2, 2),
    Case("k3", "", (2, 3, 9, 7), 3, 2),
    Case("padded", "", (2, 3, 7, 8), 3, 2, 1),
    Case("ceil", "", (1, 2, 6, 6), 3, 2, 0, True),
    Case("global", "", (2, 3, 4, 5), None),
    Case("line", "", (2, 3, 12), 4, 4),
    Case("volume", "", (1, 2, 4, 6, 4), 2, 2),
]
QUICK = [peer for peer in PEERS.values() if peer.name not in ("inductor", "copy")]
ABLE = [peer for peer in QUICK if peer.missing() is None]
WRONG = {("onednn", "avg", "ceil")}  # PyTorch's oneDNN path divides by the overhang, too


def made(peer, row):
    try:
        return peer.make(row)
    except CannotError:
        return None


# Where an operator has no form of its own, it is compared with flexpool's formula, exported, which
# takes long: that, and most windows of most operators, is left to `make test-all`.
FEW = {"max": ("k2", "global", "volume"), "avg": ("k2", "padded", "ceil", "line")}


FEW |= dict.fromkeys(("soft", "lp", "lip", "median", "stochastic"), ("k2",))


def is_quick(operator, case):
    return case.name in FEW.get(operator, ())


ROWS = [
    pytest.param(
        *(o, case),
        id=f"{o}-{case.name}",
        marks=[] if is_quick(o, case) else pytest.mark.heavy,
    )
    for o in operators()
    for case in (TINY if o in _FORMS else TINY[:1])
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("operator", "case"), ROWS)
def test_peers_agree_with_the_definition(operator, case, direction):
    row = problem(Choice(operator, case), direction, 1)
    checker = Checker(row)
    complaints = {p.name: checker.complaint(s) for p in ABLE if (s := made(p, row))}
    assert {"flexpool", "torch"} <= complaints.keys()
    for peer, complaint in complaints.items():
        assert (complaint is not None) == ((peer, operator, case.name) in WRONG), (peer, complaint)


# PyTorch warns about deprecated parts of its own.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("operator", ["max", "lip", "median"])
def test_torch_compile_agrees(operator, direction):
    if (reason := PEERS["inductor"].missing()) is not None:
        pytest.fail(f"the tests need a C++ compiler: {reason}")
    row = problem(Choice(operator, TINY[0], "channels_last"), direction, 1)
    assert Checker(row).complaint(PEERS["inductor"].make(row)) is None


@pytest.mark.parametrize("name", ["torch", "onnxruntime", "onednn"])
def test_what_is_compared_is_there(name):
    assert PEERS[name].missing() is None
    row = problem(Choice("max", TINY[0]), "forward", 1)
    assert Checker(row).complaint(PEERS[name].make(row)) is None


@pytest.mark.parametrize("operator", FIRST)
def test_the_formula_exported_agrees_where_nobody_wrote_a_form(operator):
    row = problem(Choice(operator, TINY[0]), "forward", 1)
    side = Side(lambda: formula(row)(row.x, *row.others.values()), "formula")
    assert Checker(row).complaint(side) is None


def test_forms_are_of_operators_that_ship():
    assert _FORMS.keys() <= operators().keys()
    assert form(problem(Choice("soft", TINY[0]), "forward", 1))[1] == (
        "avg_pool2d(w * x) / avg_pool2d(w)"
    )
    assert form(problem(Choice("blur", TINY[2]), "forward", 1))[1] == "formula"


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_other_numbers(dtype, direction):
    row = problem(Choice("soft", Case("", "", (2, 3, 6, 6), 2, dtype=dtype)), direction, 1)
    checker = Checker(row)
    for peer in ABLE:
        if (side := made(peer, row)) is not None:
            assert checker.complaint(side) is None, peer.name


@pytest.mark.parametrize("operator", ["max", "min", "median"])
def test_images_of_8_bits_as_numpy_arrays(operator):
    images = Case("", "", (2, 3, 6, 6), 2, dtype="uint8", arrays="numpy")
    row = problem(Choice(operator, images), "forward", 1)
    for name in ("flexpool", "torch"):
        side = PEERS[name].make(row)
        assert isinstance(side.run(), np.ndarray)
        assert side.run().dtype == np.uint8
        assert Checker(row).complaint(side) is None


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_wrong_peer_is_found_out(layout, direction):
    row = problem(Choice("avg", TINY[0], layout), direction, 1)
    right = PEERS["torch"].make(row).run
    checker = Checker(row)

    def spoilt(change):
        def run():
            parts = right()
            results = [part.clone() for part in (parts if isinstance(parts, tuple) else [parts])]
            change(results[0])
            return results

        return checker.complaint(Side(run, "a wrong one"))

    assert spoilt(lambda y: None) is None
    assert spoilt(lambda y: y[0, 0].mul_(1.01)).startswith("differs from the definition by ")
    assert spoilt(lambda y: y[-1, -1].mul_(1.01)).startswith("differs from the definition by ")
    assert "nan" in spoilt(lambda y: y[0, 0].fill_(float("nan")))
    assert spoilt(lambda y: y.resize_(1)).startswith("has the shape (1,), where ")


def test_random_numbers_of_its_own_must_select_and_lose_nothing():
    forward = problem(Choice("stochastic", TINY[0]), "forward", 1)
    side = PEERS["torch"].make(forward)
    assert side.draws
    assert Checker(forward).complaint(side) is None
    wrong = Side(lambda: side.run() + 1, "", draws=True)
    assert Checker(forward).complaint(wrong) == "gives values that are not in the input"
    backward = problem(Choice("stochastic", TINY[0]), "backward", 1)
    halved = Side(lambda: PEERS["torch"].make(backward).run()[0] * 0.5 + 1, "", draws=True)
    assert Checker(backward).complaint(halved) == "loses a part of the gradient"


def test_one_dnn_gets_its_own_tensors_and_runtime_its_threads():
    row = problem(Choice("max", TINY[0]), "forward", 1)
    assert PEERS["onednn"].make(row).run().is_mkldnn
    assert isinstance(PEERS["onnxruntime"].make(row).run()[0], np.ndarray)


@pytest.mark.parametrize(
    ("peer", "choice", "direction", "reason"),
    [
        ("onednn", Choice("soft", TINY[0]), "forward", "has max and avg only"),
        ("onednn", Choice("max", TINY[5]), "forward", "PyTorch does not pass this pooling on"),
        ("onednn", Choice("max", TINY[0], "channels_last"), "forward", "is measured on contig"),
        ("onnxruntime", Choice("max", TINY[0]), "backward", "has no gradients"),
        ("onnxruntime", Choice("median", TINY[0]), "forward", "has max, avg and lp only"),
        ("onnxruntime", Choice("max", TINY[0], "channels_last"), "forward", "takes contiguous"),
        ("inductor", Choice("median", TINY[1]), "backward", "its gradient of unfold was wrong"),
        ("inductor", Choice("tree", TINY[0]), "backward", "its gradient of unfold was wrong"),
        ("inductor", Choice("max", find("image")), "forward", "takes tensors"),
    ],
)
def test_what_a_peer_cannot_do_has_a_reason(peer, choice, direction, reason):
    with pytest.raises(CannotError, match=reason):
        PEERS[peer].make(problem(choice, direction, 1))


def test_without_a_compiler_there_is_no_torch_compile(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert PEERS["inductor"].missing() == (
        "there is no C++ compiler; install one, such as g++, or set CXX"
    )


def test_unknown_peers():
    with pytest.raises(ArgumentError, match=r"^unknown peer 'tourch'. Did you mean 'torch'\?"):
        choose_peers(["tourch"])


def test_the_copy_is_of_the_input():
    row = problem(Choice("max", TINY[0]), "forward", 1)
    assert torch.equal(PEERS["copy"].make(row).run(), row.x)
