"""The classes that follow from the register: which there are, and that they are real classes."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
import torch

from flexpool import functional, nn
from flexpool.declare import OnInput, OnOutput, Weight, find, operator, operators
from flexpool.nn.block import blocks
from flexpool.window import adaptive_window, global_window, window

KINDS = ("", "Adaptive", "Global")
SIZES = {1: (7,), 2: (6, 5), 3: (4, 5, 4)}


@operator
def midrange(x):
    """Take the middle between the extremes."""
    return (x.max() + x.min()) / 2


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def made(name, kind, dimensions, **keywords):
    """A module of an operator, and what each call brings besides the input."""
    arguments = find(name).arguments.values()
    window = {"": (2,), "Adaptive": (1,), "Global": ()}[kind]
    if kind:
        sizes = SIZES[dimensions]
        weights = {n: a for n, a in find(name).arguments.items() if isinstance(a, Weight)}
        keywords |= {n: np.ones(a.shape(sizes)) for n, a in weights.items()}
    module = getattr(nn, f"{kind}{camel(name)}Pool{dimensions}d")(*window, **keywords)
    x = torch.randn(2, 3, *SIZES[dimensions], generator=torch.Generator().manual_seed(0))
    output = window_of(kind, dimensions).output_shape(SIZES[dimensions])
    shapes = {OnInput: x.shape, OnOutput: (2, 3, *output)}
    return module, x, [torch.ones(shapes[type(a)]) for a in arguments if type(a) in shapes]


def window_of(kind, dimensions):
    if kind == "Global":
        return global_window(dimensions)
    return adaptive_window(dimensions, 1) if kind else window(dimensions, 2)


def test_every_operator_has_every_class_and_there_are_no_others():
    own = {camel(name) for name in operators()} | {""}
    expected = {f"{kind}{name}Pool{n}d" for kind in KINDS for name in own for n in (1, 2, 3)}
    expected |= {f"LPPool{n}d" for n in (1, 2, 3)} | {"Pooling"}
    expected |= {block.module.__name__ for block in blocks().values()}
    assert set(nn.__all__) == expected
    assert len(nn.__all__) == len(expected)
    assert set(dir(nn)) == expected


def test_an_unknown_class_is_no_attribute():
    with pytest.raises(
        AttributeError, match="^module 'flexpool.nn' has no attribute 'SofaPool2d'$"
    ):
        _ = nn.SofaPool2d


@pytest.mark.parametrize("name", [n for n in nn.__all__ if issubclass(getattr(nn, n), nn.Pooling)])
def test_classes_are_found_where_they_say(name):
    made = getattr(nn, name)
    assert issubclass(made, torch.nn.Module)
    assert made.__name__ == made.__qualname__ == name
    assert getattr(nn, name) is made
    assert pickle.loads(pickle.dumps(made)) is made  # noqa: S301
    assert made.__doc__
    if name != "Pooling":
        assert made.__module__ == "flexpool.nn"
        assert made.dimensions == int(name[-2])


def test_the_signature_names_the_parameters_of_the_operator():
    shown = inspect.signature(nn.BoltzmannPool2d).parameters
    assert list(shown) == [
        *("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        *("beta", "channels", "learnable", "backend"),
    ]
    assert shown["beta"].default == 1.0
    assert shown["beta"].kind is inspect.Parameter.KEYWORD_ONLY
    assert str(inspect.signature(nn.AdaptiveSumPool1d)) == "(output_size: 'Any', *, backend='auto')"
    assert str(inspect.signature(nn.GlobalSumPool3d)) == "(*, backend='auto')"
    assert nn.SoftPool2d.__doc__.startswith(find("soft").doc)
    assert nn.SoftPool2d.__doc__.endswith("The window is that of :class:`Pool2d`.")
    assert nn.AdaptiveSoftPool1d.__doc__.endswith("that of :class:`AdaptivePool1d`.")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", operators())
def test_a_module_computes_what_the_functional_computes(name, kind):
    for n in (1, 2, 3):
        module, x, arrays = made(name, kind, n)
        chosen = find(name)
        brought = [k for k, a in chosen.arguments.items() if isinstance(a, OnInput | OnOutput)]
        values = dict(module.named_parameters()) | dict(module.named_buffers())
        values |= dict(zip(brought, arrays, strict=True))
        options = {key: option.default for key, option in chosen.options.items()}
        torch.manual_seed(3)
        ours = module(x, *arrays)
        torch.manual_seed(3)
        theirs = functional.apply(x, chosen, window_of(kind, n), options=options, values=values)
        assert torch.equal(ours, theirs)
        torch.manual_seed(3)
        assert torch.equal(ours, module(x, **dict(zip(brought, arrays, strict=True))))
        assert torch.allclose(module.eval()(x, *arrays)[0], module(x[0], *(a[0] for a in arrays)))


@pytest.mark.parametrize("name", operators())
def test_modules_can_be_copied_pickled_and_saved(name):
    module, x, arrays = made(name, "", 2)
    module.eval()
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    copies = [
        copy.deepcopy(module),
        copy.copy(module),
        pickle.loads(pickle.dumps(module)),  # noqa: S301
        torch.load(file, weights_only=False),
    ]
    for again in copies:
        assert type(again) is type(module)
        assert repr(again) == repr(module)
        assert torch.equal(again(x, *arrays), module(x, *arrays))
    for again in copies:  # copy.copy shares the parameters
        again.reset_parameters()


def test_generic_modules_take_a_name_an_operator_or_a_function():
    x = torch.tensor([[[1.0, 2.0, 6.0, 7.0]]])
    assert nn.Pool1d("max", 2)(x).tolist() == [[[2, 7]]]
    assert nn.Pool1d(lambda x: x.max() - x.min(), 4)(x).item() == 6
    assert nn.GlobalPool1d(midrange)(x).item() == 4
    assert nn.AdaptivePool1d(midrange, 2)(x).tolist() == [[[1.5, 6.5]]]
    assert nn.Pool1d(find("mixed")(a=1), 4)(x).item() == 7
    assert nn.Pool1d(find("mixed")(a=1), 4, a=0)(x).item() == 4
    again = pickle.loads(pickle.dumps(nn.Pool1d(midrange, 2)))  # noqa: S301
    assert again(x).tolist() == [[[1.5, 6.5]]]


def test_classes_can_be_derived_from():
    class Sharp(nn.BoltzmannPool2d):
        def __init__(self, kernel_size):
            super().__init__(kernel_size, beta=30.0, learnable=False)

    x = torch.randn(1, 2, 4, 4)
    sharp = Sharp(2)
    assert list(sharp.parameters()) == []
    assert sharp(x).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            lambda: nn.SumPool2d(3, stride=(2, 1), padding="same"),
            "SumPool2d(kernel_size=3, stride=(2, 1), padding=same, dilation=1, ceil_mode=False)",
        ),
        (
            lambda: nn.BoltzmannPool1d(2, beta=0.5),
            "BoltzmannPool1d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False, "
            "beta=0.5 learned)",
        ),
        (
            lambda: nn.GlobalBoltzmannPool2d(channels=8, learnable=False),
            "GlobalBoltzmannPool2d(beta=(8,))",
        ),
        (lambda: nn.AdaptiveSumPool2d((None, 2)), "AdaptiveSumPool2d(output_size=(None, 2))"),
        (lambda: nn.GlobalSumPool3d(), "GlobalSumPool3d()"),
        (lambda: nn.GlobalPool2d("lp", p=3), "GlobalPool2d(lp, p=3 learned)"),
        (
            lambda: nn.GlobalAvgPool1d(),
            "GlobalAvgPool1d(count_include_pad=True, divisor_override=None)",
        ),
        (lambda: nn.AdaptivePool1d(midrange, 2), "AdaptivePool1d(midrange, output_size=2)"),
    ],
)
def test_repr(module, text):
    assert repr(module()) == text
