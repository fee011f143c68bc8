"""What a module refuses, word by word."""

import pytest
import torch

from flexpool import nn
from flexpool.declare import Option, find, operator, operators
from flexpool.errors import ArgumentError, ShapeError

WINDOW = "kernel_size, stride, padding, dilation, ceil_mode"
SOFT = f"{WINDOW}, gradient, backend"
BOLTZMANN = "kernel_size, stride, padding, dilation, ceil_mode, beta, channels, learnable, backend"


@operator
def shadowing(x, stride=1.0):
    return x.sum() * stride


FLAG = Option(False)


@operator
def shadowing_option(x, window=FLAG):
    return x.sum()


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: nn.LpPool2d(2, p=-1), "LpPool2d: expected p to be a number > 0, got -1."),
        (
            lambda: nn.LpPool2d(2, p=torch.tensor([1.0, -2.0])),
            "LpPool2d: expected p to be a number > 0, got -2.0.",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, beta="1"),
            "BoltzmannPool2d: expected beta to be a finite number, got '1'.",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, beta=[[1, 2], [3]]),
            "BoltzmannPool2d: expected beta to be a finite number, got [[1, 2], [3]].",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, beta=[1, 2, 3], channels=2),
            "BoltzmannPool2d: expected beta to be of shape () or (2,), got (3,).",
        ),
        (
            lambda: nn.BlurPool2d(3, weight=torch.ones(2, 2)),
            "BlurPool2d: expected weight to be of shape (3, 3), got (2, 2).",
        ),
        (
            lambda: nn.BlurPool1d(2, weight=3),
            "BlurPool1d: expected weight to be an array of the kernel's shape, or of "
            "(channels, *kernel), got 3.0.",
        ),
        (
            lambda: nn.BlurPool1d(2, weight=[float("nan"), 1]),
            "BlurPool1d: expected weight to be an array of the kernel's shape, or of "
            "(channels, *kernel), got nan.",
        ),
        (
            lambda: nn.GlobalBlurPool2d(),
            "GlobalBlurPool2d: argument 'weight' is missing. Give weight, an array of the kernel's "
            "shape, or of (channels, *kernel).",
        ),
        (
            lambda: nn.Pool2d(lambda x, a: x.sum() * a, 2),
            "Pool2d: argument 'a' is missing. Give a, a finite number.",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, betta=1),
            f"BoltzmannPool2d: unknown argument 'betta'. Did you mean 'beta'? Known: {BOLTZMANN}.",
        ),
        (
            lambda: nn.SoftPool2d(2, channels=3),
            f"SoftPool2d: unknown argument 'channels'. Known: {SOFT}.",
        ),
        (
            lambda: nn.SoftPool2d(2, learnable=False),
            f"SoftPool2d: unknown argument 'learnable'. Known: {SOFT}.",
        ),
        (
            lambda: nn.StochasticPool2d(2, u=0.5),
            f"StochasticPool2d: unknown argument 'u'. Known: {WINDOW}, backend.",
        ),
        (
            lambda: nn.StochasticPool2d(2, training=False),
            "StochasticPool2d: training is not given: it follows .train() and .eval().",
        ),
        (
            lambda: nn.LipPool2d(2, logits=torch.ones(1)),
            "LipPool2d: logits is given to the call, as in pool(input, logits).",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, channels=0),
            "BoltzmannPool2d: expected channels to be None or an int > 0, got 0. "
            "Leave it out for one number that all channels share.",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, learnable="beta"),
            "BoltzmannPool2d: expected learnable to be None, True, False or a collection of names, "
            "got 'beta'. Write learnable=['beta'].",
        ),
        (
            lambda: nn.BoltzmannPool2d(2, learnable=["p"]),
            "BoltzmannPool2d: unknown parameter in learnable 'p'. Known: beta.",
        ),
        (
            lambda: nn.Pool2d("maxx", 2),
            "Pool2d: unknown operator 'maxx'. Did you mean 'max'? Known: "
            f"{', '.join(operators())}.",
        ),
        (
            lambda: nn.Pool2d(3, 2),
            "Pool2d: expected operator to be a name, an operator or a function, got 3. Write a "
            "name such as 'max', an operator such as lp(p=3), or your own function.",
        ),
        (
            lambda: nn.SoftPool2d(0),
            "SoftPool2d: expected kernel_size to be an int > 0 or a tuple of 2 such, got 0. "
            "Write kernel_size=2 or kernel_size=(2, 2).",
        ),
        (
            lambda: nn.AdaptiveSoftPool2d(-1),
            "AdaptiveSoftPool2d: expected output_size to be an int >= 0, None, or a tuple of 2 of "
            "these, got -1. Use None for a dimension that keeps the input's size.",
        ),
        (
            lambda: nn.AvgPool2d(2, divisor_override=0),
            "AvgPool2d: expected divisor_override to be None or an int other than 0, got 0.",
        ),
        (
            lambda: nn.LPPool2d(0, 2),
            "LPPool2d: expected norm_type to be a number > 0, inf or -inf, got 0. "
            "Use 2 for the Euclidean norm.",
        ),
        (
            lambda: nn.LPPool2d(0, 2, mode="torch"),
            "LPPool2d: expected norm_type to be a number other than 0, got 0. "
            "Use 2 for the Euclidean norm.",
        ),
        (
            lambda: nn.LPPool2d(2, 2, mode="exact"),
            "LPPool2d: expected mode to be 'stable' or 'torch', got 'exact'.",
        ),
        (
            lambda: nn.LPPool2d(2, 2, mode="torch", padding=1),
            "LPPool2d: expected padding to be 0 in mode 'torch', got 1. Leave out mode.",
        ),
        (
            lambda: nn.MaxPool2d(2, return_indices=1),
            "MaxPool2d: expected return_indices to be True or False, got 1. "
            "Write return_indices=True or return_indices=False.",
        ),
        (
            lambda: nn.SoftPool2d(2, backend="fortran"),
            "SoftPool2d: unknown backend 'fortran'. Known: auto, interpret, eager, numba, triton.",
        ),
        (
            lambda: nn.Pool2d(shadowing, 2),
            "Pool2d: Pool2d has an attribute 'stride' of its own. Rename the formula's argument.",
        ),
        (
            lambda: nn.Pool2d(shadowing_option, 2),
            "Pool2d: Pool2d has an attribute 'window' of its own. Rename the formula's argument.",
        ),
    ],
)
def test_at_construction(build, text):
    with pytest.raises(ArgumentError) as raised:
        build()
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda x: nn.LipPool2d(2)(x),
            ArgumentError,
            "LipPool2d: argument 'logits' is missing. Give logits, an array of the input's shape.",
        ),
        (
            lambda x: nn.LipPool2d(2)(x, x, logits=x),
            ArgumentError,
            "LipPool2d: logits is given twice, by position and by name.",
        ),
        (
            lambda x: nn.LipPool2d(2)(x, logit=x),
            ArgumentError,
            "LipPool2d: unknown argument 'logit'. Did you mean 'logits'? Known: input, logits.",
        ),
        (
            lambda x: nn.LipPool2d(2)(x, x, x),
            ArgumentError,
            "LipPool2d: expected the call to bring input and logits only, got 3 arrays.",
        ),
        (
            lambda x: nn.SoftPool2d(2)(x, x),
            ArgumentError,
            "SoftPool2d: expected the call to bring input only, got 2 arrays.",
        ),
        (
            lambda x: nn.SoftPool2d(2)(x[0, 0]),
            ShapeError,
            None,
        ),
        (lambda x: nn.SoftPool2d(5)(x), ShapeError, None),
        (lambda x: nn.LipPool2d(2)(x, x[:, :, 1:]), ShapeError, None),
        (lambda x: nn.BoltzmannPool2d(2, channels=4)(x), ShapeError, None),
    ],
)
def test_at_the_call(call, kind, text):
    with pytest.raises(kind) as raised:
        call(torch.ones(1, 2, 4, 4))
    message = str(raised.value)
    assert message == text if text else message.split(":")[0].endswith("Pool2d")


def test_the_class_is_named_once_also_in_a_net():
    net = torch.nn.Sequential(nn.SoftPool2d(2), nn.LpPool2d(2))
    with pytest.raises(ShapeError, match=r"^LpPool2d: (?!.*Pool2d:)"):
        net(torch.ones(1, 1, 2, 2))


def test_bound_arguments_are_checked_like_given_ones():
    with pytest.raises(ArgumentError, match="^Pool2d: training is not given"):
        nn.Pool2d(find("stochastic")(training=False), 2)
