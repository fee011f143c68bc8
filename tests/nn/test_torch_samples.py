"""Every input that PyTorch's own tests use for pooling gives the same through our modules."""

import inspect

import pytest
import torch

from flexpool import nn
from flexpool.errors import ArgumentError, FlexpoolError
from nn.torch_tests import MODULES, NAMES, OPERATORS

# torch refuses inputs without channels in some of its modules and takes them in others; ours give
# the empty result, as for an empty batch.
WITHOUT_CHANNELS = {("MaxPool1d", (0, 10)), ("MaxPool3d", (0, 1, 2, 10))}


def pooled(name, input, *args, **keywords):
    if name.startswith("LPPool"):
        keywords["mode"] = "torch"
    return getattr(nn, name)(*args, **keywords)(input)


def assert_equal(name, ours, theirs):
    exact = "Avg" not in name
    torch.testing.assert_close(
        ours, theirs, rtol=0 if exact else None, atol=0 if exact else None, equal_nan=True
    )


def test_every_torch_module_is_covered_by_torchs_lists():
    assert set(MODULES) == set(NAMES)
    assert set(OPERATORS) == {name for name in NAMES if not name.startswith("LPPool")}


@pytest.mark.parametrize("name", OPERATORS)
def test_samples_of_the_function(name):
    op = OPERATORS[name]
    samples = list(op.sample_inputs("cpu", torch.float32))
    assert len(samples) >= 6
    for sample in samples:
        expected = op(sample.input, *sample.args, **sample.kwargs)
        assert_equal(name, pooled(name, sample.input, *sample.args, **sample.kwargs), expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_error_inputs_of_the_function(name):
    errors = list(OPERATORS[name].error_inputs("cpu"))
    assert errors
    for error in errors:
        sample = error.sample_input
        if (name, tuple(sample.input.shape)) in WITHOUT_CHANNELS:
            assert pooled(name, sample.input, *sample.args, **sample.kwargs).numel() == 0
            continue
        with pytest.raises(FlexpoolError) as raised:
            pooled(name, sample.input, *sample.args, **sample.kwargs)
        assert str(raised.value).startswith(f"{name}: "), sample
        assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_inputs_of_the_module(name, training):
    info = MODULES[name]
    inputs = list(
        info.module_inputs_func(
            info, device="cpu", dtype=torch.float64, requires_grad=False, training=training
        )
    )
    assert inputs
    for made in inputs:
        args, keywords = made.constructor_input.args, made.constructor_input.kwargs
        (x,) = made.forward_input.args
        theirs = info.module_cls(*args, **keywords)
        assert_equal(name, pooled(name, x, *args, **keywords), theirs(x))
        ours = getattr(nn, name)(*args, **keywords)
        assert repr(ours) == repr(theirs)
        if name.startswith("LPPool"):
            torch.testing.assert_close(
                getattr(nn, name)(*args, **keywords)(x.abs()), theirs(x.abs())
            )


@pytest.mark.parametrize("name", NAMES)
def test_arguments_begin_with_those_of_torch(name):
    theirs = list(inspect.signature(getattr(torch.nn, name)).parameters.values())
    ours = list(inspect.signature(getattr(nn, name)).parameters.values())
    assert [(p.name, p.default, p.kind) for p in ours[: len(theirs)]] == [
        (p.name, p.default, p.kind) for p in theirs
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


def test_what_torch_does_not_take_is_refused():
    with pytest.raises(ArgumentError, match="to be an int > 0 or a tuple of 2 such"):
        nn.MaxPool2d((2, 2, 2))
