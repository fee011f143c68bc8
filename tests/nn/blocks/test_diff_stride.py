"""The learned stride, against NumPy's FFT."""

import io

import numpy as np
import onnxruntime
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import DiffStride2d


def mask(size, stride, ramp, frequency):
    return min(max((ramp + size / (2 * stride) - abs(frequency)) / ramp, 0.0), 1.0)


def count(size, stride, ramp):
    return min(size, 2 * int(np.ceil(size / (2 * stride) + ramp)))


def oracle(x, strides, ramp):
    """Mask the complex spectrum and cut it to the mask's support."""
    spectrum = np.fft.fft2(x, norm="forward")
    sizes = [count(n, s, ramp) for n, s in zip(x.shape, strides, strict=True)]
    small = np.zeros(sizes, complex)
    for k in range(-(sizes[0] // 2), (sizes[0] + 1) // 2):
        for m in range(-(sizes[1] // 2), (sizes[1] + 1) // 2):
            weight = mask(x.shape[0], strides[0], ramp, k) * mask(x.shape[1], strides[1], ramp, m)
            small[k, m] = spectrum[k, m] * weight
    return np.fft.ifft2(small, norm="forward").real


CASES = [
    ((16, 12), (2.0, 2.0), 2.0),
    ((17, 13), (2.7, 1.9), 1.5),
    ((9, 9), (1.2, 4.0), 4.0),
    ((12, 8), (3.0, 1.5), 0.5),
]


@pytest.mark.parametrize(("size", "strides", "ramp"), CASES)
def test_equals_the_masked_transform(size, strides, ramp):
    x = np.random.default_rng(0).normal(size=size)
    least = [n / (n - ramp) for n in size]
    used = [max(s, low) for s, low in zip(strides, least, strict=True)]
    got = DiffStride2d(strides, ramp).double()(torch.from_numpy(x)[None, None])
    np.testing.assert_allclose(got[0, 0].detach().numpy(), oracle(x, used, ramp), atol=2e-7)


def test_strides_learn_through_the_ramp():
    x = np.random.default_rng(1).normal(size=(16, 13))
    layer = DiffStride2d((2.3, 1.9), 2.5).double()
    with torch.no_grad():
        layer.stride.copy_(torch.tensor([2.3, 1.9], dtype=torch.float64))
    layer(torch.from_numpy(x)[None, None]).square().sum().backward()
    e = 1e-6
    for dimension in (0, 1):
        high, low = [2.3, 1.9], [2.3, 1.9]
        high[dimension] += e
        low[dimension] -= e
        slope = (oracle(x, high, 2.5) ** 2).sum() - (oracle(x, low, 2.5) ** 2).sum()
        assert layer.stride.grad[dimension].item() == pytest.approx(slope / (2 * e), rel=1e-6)


def test_published_sizes():
    x = torch.zeros(1, 1, 64, 64)
    assert DiffStride2d(2)(x).shape == (1, 1, 40, 40)
    assert DiffStride2d(4)(x).shape == (1, 1, 24, 24)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6, 10, 14, 21])
@pytest.mark.parametrize("stride", [1.0, 2.0, 7.5])
def test_a_constant_stays_one_at_every_size(size, stride):
    y = DiffStride2d(stride)(torch.full((1, 1, size, size), 3.0))
    torch.testing.assert_close(y, torch.full_like(y, 3.0))


def test_a_stride_outside_its_limits_comes_back():
    """1 is less than 64 / 60, where nothing would be cut off, but it is not stuck there."""
    layer = DiffStride2d((1.0, 100.0))
    y = layer(torch.randn(2, 3, 64, 64))
    assert y.shape == (2, 3, 64, 10)
    y.square().sum().backward()
    assert (layer.stride.grad != 0).all()
    assert layer.stride.tolist() == [1.0, 100.0]


def test_a_shared_stride_is_one_number():
    layer = DiffStride2d(3, shared=True)
    assert layer.stride.shape == (1,)
    x = torch.randn(1, 2, 20, 26)
    torch.testing.assert_close(layer(x), DiffStride2d(3)(x))


def test_frozen_it_is_the_same_and_loads():
    layer, x = DiffStride2d((2.3, 1.7)), torch.randn(1, 2, 20, 26)
    wanted = layer(x)
    layer.freeze()
    torch.testing.assert_close(layer(x), wanted)
    assert not layer.stride.requires_grad
    assert not layer(x).requires_grad
    layer.load_state_dict(DiffStride2d((1.5, 3.0)).state_dict())
    assert layer.frozen == (1.5, 3.0)
    torch.testing.assert_close(layer(x), DiffStride2d((1.5, 3.0))(x))
    assert repr(layer) == "DiffStride2d(stride=(1.5, 3), ramp=4, frozen)"


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch of its own code
def test_frozen_it_is_exported_and_compiled():
    layer, x = DiffStride2d((2.3, 1.7)).freeze().eval(), torch.randn(2, 2, 12, 15)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.onnx.export(layer, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
    target = io.BytesIO()
    program.save(target)
    session = onnxruntime.InferenceSession(target.getvalue(), providers=["CPUExecutionProvider"])
    x = torch.randn(3, 2, 12, 15)
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(got, layer(x).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"stride": (0.5, 2)}, "expected stride to be a finite number >= 1, got 0.5."),
        ({"stride": (2, 0.5)}, "expected stride to be a finite number >= 1, got 0.5."),
        ({"ramp": 0}, "expected ramp to be a finite number > 0, got 0."),
        (
            {"stride": (2, 3), "shared": True},
            "expected stride to be one number where it is shared, got (2, 3).",
        ),
    ],
)
def test_arguments_outside_their_domain(given, text):
    with pytest.raises(ArgumentError) as caught:
        DiffStride2d(**given)
    assert str(caught.value) == f"DiffStride2d: {text}"


def test_one_row_is_too_few():
    with pytest.raises(ShapeError) as caught:
        DiffStride2d()(torch.zeros(1, 1, 1, 8))
    text = "DiffStride2d: expected the input to have at least 2 x 2 pixels, got (1, 1, 1, 8)."
    assert str(caught.value) == text
