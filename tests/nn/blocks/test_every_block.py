"""What every block must do, whatever it is: from its declaration alone.

What a block computes is tested beside this file, against an oracle typed by hand.
"""

import copy
import io
import pickle
import re

import numpy as np
import onnxruntime
import pytest
import torch

from flexpool import nn
from flexpool.nn.block import block, blocks, snake_case
from turns import but_for

NAMES = list(blocks())
EXPORTED = [name for name, found in blocks().items() if not found.unexported]
LAYERS = [name for name, found in blocks().items() if found.layer]


def sample(name):
    """A block in evaluation mode, with the inputs of its sample."""
    torch.manual_seed(0)
    module, inputs = blocks()[name].sample()
    return module.eval(), inputs


def tensors(result):
    return result if isinstance(result, tuple) else (result,)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_declaration_is_complete(name):
    found = blocks()[name]
    titles = ["Args", "Shape", "Raises", "Note", "Use", "Disagreement", "Example", "Reference"]
    sections = re.split(rf"\n\n({'|'.join(titles)}):\n", found.doc)
    parts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(parts) == [title for title in titles if title in parts]
    assert re.fullmatch(r"[A-Z].{20,98}\.", found.summary)
    assert "\n$$ " in sections[0]
    assert {"Args", "Shape", "Raises", "Example"} <= set(parts)
    for title in {"Use", "Disagreement"} & set(parts):
        assert re.fullmatch(r"( {4}\S.*\n?)+", parts[title])
        assert parts[title].endswith(".")
    reference = " ".join(parts.get("Reference", "").split())
    assert reference == (f"{found.paper}." if found.paper else "")
    assert not found.paper or re.match(r"[A-Z][\w'-]+(, [A-Z][\w' -]+)* \(\d{4}\), .+", found.paper)
    assert all(text == "" or text.endswith(".") for text in (found.apart, found.unexported))
    assert getattr(nn, found.module.__name__) is found.module


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_differences(name):
    module, inputs = sample(name)
    module = module.double()
    inputs = tuple(x.double().requires_grad_() if x.is_floating_point() else x for x in inputs)
    learned = tuple(module.parameters())

    def call(*given):
        return module(*given[: len(inputs)])

    assert torch.autograd.gradcheck(call, (*inputs, *learned), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_copied_pickled_and_saved(name):
    module, inputs = sample(name)
    wanted = module(*inputs)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    again, _ = sample(name)
    again.load_state_dict(torch.load(file, weights_only=True))
    copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module)), again]  # noqa: S301
    for other in copies:
        assert repr(other) == repr(module)
        assert same(other(*inputs), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_draws_nothing_and_training_only_where_declared(name):
    module, inputs = sample(name)
    assert same(module(*inputs), module(*inputs))
    module.train()
    torch.manual_seed(1)
    first = module(*inputs)
    torch.manual_seed(1)
    assert same(first, module(*inputs))
    draws = any(not same(first, module(*inputs)) for _ in range(20))
    assert draws == blocks()[name].random


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_is_kept(name, dtype):
    module, inputs = sample(name)
    wanted = tensors(module(*inputs))
    given = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    got = tensors(module.to(dtype)(*given))
    for result, exact in zip(got, wanted, strict=True):
        assert result.shape == exact.shape
        if exact.is_floating_point():
            assert result.dtype == dtype
            scale = exact.abs().max().item()
            slack = 0.05 if dtype == torch.bfloat16 else 1e-5
            assert (result.float() - exact).abs().max().item() <= slack * (scale + 1)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch of its own code
@pytest.mark.parametrize("name", but_for(EXPORTED[::4], EXPORTED))  # each takes two seconds
def test_exported_to_onnx_with_any_batch(name):
    module, inputs = sample(name)
    if any(x.shape[0] < 2 for x in inputs):
        inputs = tuple(torch.cat([x, x.flip(-1)]) for x in inputs)
    target = io.BytesIO()
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs)
    torch.onnx.export(module, inputs, dynamo=True, dynamic_shapes=shapes, verbose=False).save(
        target
    )
    session = onnxruntime.InferenceSession(target.getvalue(), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    for given in (inputs, tuple(torch.cat([x, x + 1, x]) for x in inputs)):
        fed = {n: x.numpy() for n, x in zip(names, given, strict=True)}
        for got, want in zip(session.run(None, fed), tensors(module(*given)), strict=True):
            scale = 1 + want.abs().max().item()
            np.testing.assert_allclose(got, want.detach().numpy(), atol=1e-5 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_one_image_needs_no_batch(name):
    module, inputs = sample(name)
    alone = tensors(module(*(x[0] for x in inputs)))
    for one, first in zip(alone, tensors(module(*(x[:1] for x in inputs))), strict=True):
        torch.testing.assert_close(one, first[0])


@pytest.mark.parametrize("name", LAYERS)
def test_layer_halves_a_map_and_learns(name):
    """A net may put it where it has a pooling: as many channels, half the height and width."""
    torch.manual_seed(0)
    layer = blocks()[name].layer(6, 2, 2)
    x = torch.randn(2, 6, 28, 28, requires_grad=True)
    y = layer(x)
    assert y.shape == (2, 6, 14, 14)
    y.square().sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in layer.parameters())


def test_names_follow_from_classes():
    assert [snake_case(n) for n in ("FLCPool2d", "BlurConv2d", "APSPool2d", "DiffStride2d")] == [
        *("flc", "blur_conv", "aps", "diff_stride")
    ]


@pytest.mark.parametrize("given", [{}, {"layer": lambda *_: None, "apart": "It is both."}])
def test_a_block_is_a_layer_or_says_why_not(given):
    with pytest.raises(TypeError, match="give layer, or say apart"):
        block(paper="", family="none", sample=lambda: None, **given)(torch.nn.Identity)
