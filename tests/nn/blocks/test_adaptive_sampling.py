"""The blocks that choose or mix the phases of an image, against NumPy."""

import numpy as np
import pytest
import torch

from flexpool.errors import ArgumentError, ShapeError
from flexpool.nn import APSPool2d, APSUnpool2d, LPSPool2d, TIPSPool2d

STRENGTHS = {
    "l2": lambda z: (z**2).sum(),
    "l1": lambda z: np.abs(z).sum(),
    "linf": lambda z: np.abs(z).max(),
    "max": lambda z: z.max(),
    "l2_min": lambda z: -(z**2).sum(),
    "l1_min": lambda z: -np.abs(z).sum(),
}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def grids(image, stride):
    """All phases of (C, H, W), row by row."""
    return [
        image[:, i :: stride[0], j :: stride[1]] for i in range(stride[0]) for j in range(stride[1])
    ]


def cut(x, stride):
    height, width = x.shape[2] // stride[0] * stride[0], x.shape[3] // stride[1] * stride[1]
    return x[:, :, :height, :width]


def wrap(x, stride):
    height, width = (-(-x.shape[2 + d] // stride[d]) * stride[d] for d in (0, 1))
    return x[:, :, np.arange(height) % x.shape[2]][:, :, :, np.arange(width) % x.shape[3]]


def circular_net(downsampling, layers=2):
    """A net as the papers ask for: circular convolutions, global pooling, nothing else."""
    modules, channels = [], 3
    for _ in range(layers):
        conv = torch.nn.Conv2d(channels, 8, 3, padding=1, padding_mode="circular")
        modules += [conv, torch.nn.ReLU(), downsampling(8)]
        channels = 8
    net = torch.nn.Sequential(*modules, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return net.double().eval()


@pytest.mark.parametrize("norm", STRENGTHS)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("stride", [(2, 2), (3, 3), (3, 2)])
def test_aps_keeps_the_strongest_grid(norm, ceil_mode, stride):
    x = draw(5, 3, 7, 11)
    whole = (wrap if ceil_mode else cut)(x, stride)
    block = APSPool2d(stride, norm, ceil_mode=ceil_mode, return_phase=True)
    y, phase = block(torch.from_numpy(x))
    for image, result, number in zip(whole, y.numpy(), phase.tolist(), strict=True):
        candidates = grids(image, stride)
        best = int(np.argmax([STRENGTHS[norm](z) for z in candidates]))
        assert number == best
        np.testing.assert_array_equal(result, candidates[best])
    assert len(set(phase.tolist())) > 1


def test_aps_sends_the_gradient_to_what_it_kept():
    x = torch.from_numpy(draw(2, 2, 6, 4)).requires_grad_()
    y, phase = APSPool2d(return_phase=True)(x)
    gy = torch.from_numpy(draw(2, 2, 3, 2, seed=1))
    y.backward(gy)
    torch.testing.assert_close(x.grad, APSUnpool2d()(gy, phase), rtol=0, atol=0)


def test_aps_takes_the_first_of_equals_and_a_given_phase():
    x = torch.ones(1, 2, 4, 4)
    block = APSPool2d(return_phase=True)
    assert block(x)[1].item() == 0
    x = torch.from_numpy(draw(2, 2, 4, 6))
    y, phase = block(x, torch.tensor([3, 1]))
    assert phase.tolist() == [3, 1]
    torch.testing.assert_close(y, torch.stack([x[0, :, 1::2, 1::2], x[1, :, ::2, 1::2]]))


def test_aps_compares_half_types_without_overflow():
    """The square of 300 is more than float16 holds: all sums would be infinite, hence equal."""
    x = torch.full((1, 1, 4, 4), 300.0, dtype=torch.float16)
    x[..., 1::2, 1::2] = 400
    y, phase = APSPool2d(return_phase=True)(x)
    assert phase.item() == 3
    assert (y == 400).all()


@pytest.mark.parametrize("taps", [2, 3, 4])
def test_aps_filters_on_a_torus(taps):
    binomial = {2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1]}[taps]
    x = draw(1, 2, 4, 6)
    filtered = np.zeros_like(x)
    for i, a in enumerate(binomial):
        for j, b in enumerate(binomial):
            shift = ((taps - 1) // 2 - i, (taps - 1) // 2 - j)
            filtered += a * b * np.roll(x, shift, (2, 3)) / sum(binomial) ** 2
    got = APSPool2d(1, blur=taps)(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), filtered, atol=1e-15)


@pytest.mark.parametrize(
    "downsampling",
    [
        *(lambda channels, norm=norm: APSPool2d(2, norm) for norm in STRENGTHS),
        lambda channels: APSPool2d(2, blur=3),
        lambda channels: LPSPool2d(channels),
        lambda channels: LPSPool2d(channels, blur=4),
    ],
    ids=[*STRENGTHS, "aps-blur", "lps", "lps-blur"],
)
def test_no_circular_shift_changes_what_a_net_says(downsampling):
    torch.manual_seed(0)
    net = circular_net(downsampling)
    x = torch.from_numpy(draw(4, 3, 8, 12))
    wanted = net(x)
    assert wanted.std() > 0
    for vertical in range(4):
        for horizontal in range(4):
            shifted = net(x.roll((vertical, horizontal), (2, 3)))
            torch.testing.assert_close(shifted, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("block", [APSPool2d(3), LPSPool2d(3, 3)], ids=["aps", "lps"])
def test_no_circular_shift_changes_what_is_kept_with_stride_three(block):
    x = torch.from_numpy(draw(2, 3, 9, 12))
    kept = block.double().eval()(x).flatten(2).sort().values
    for shift in range(1, 4):
        again = block(x.roll((shift, 2 * shift), (2, 3))).flatten(2).sort().values
        torch.testing.assert_close(again, kept, rtol=0, atol=0)


def test_a_fixed_grid_would_fail_that():
    """The control: the same net with a plain stride is not shift-consistent."""
    torch.manual_seed(0)
    net = circular_net(lambda channels: torch.nn.MaxPool2d(1, 2))
    x = torch.from_numpy(draw(4, 3, 8, 12))
    assert (net(x.roll(1, 3)) - net(x)).abs().max() > 1e-3


def test_unpool_puts_pixels_back():
    x = torch.from_numpy(draw(3, 2, 7, 8))
    y, phase = APSPool2d(3, return_phase=True)(x)
    back = APSUnpool2d(3)(y, phase, (7, 8))
    assert back.shape == x.shape
    kept = back != 0
    assert kept.sum() == y.numel()
    torch.testing.assert_close(back[kept], x[kept])
    y, phase = APSPool2d(3, ceil_mode=True, return_phase=True)(x)
    back = APSUnpool2d(3)(y, phase, (7, 8))
    torch.testing.assert_close(back[back != 0], x[back != 0])


def test_pooling_and_unpooling_follow_shifts():
    x = torch.from_numpy(draw(2, 2, 8, 8))
    pool, unpool = APSPool2d(return_phase=True), APSUnpool2d()
    for shift in ((1, 0), (0, 1), (3, 5)):
        shifted = unpool(*pool(x.roll(shift, (2, 3))))
        torch.testing.assert_close(shifted, unpool(*pool(x)).roll(shift, (2, 3)))


def test_unpool_leaves_zeros_beside_infinities():
    y = APSUnpool2d()(torch.full((1, 1, 1, 1), torch.inf), torch.tensor([0]))
    assert y.tolist() == [[[[torch.inf, 0.0], [0.0, 0.0]]]]


def score(z, block):
    """f of one grid (C, H, W), pixel by pixel."""
    first, _, second = block.scores

    def convolve(z, conv):
        w, b = conv.weight.detach().numpy(), conv.bias.detach().numpy()
        out = np.zeros((len(b), *z.shape[1:]))
        for o in range(len(b)):
            out[o] = b[o]
            for c in range(len(z)):
                for i in range(3):
                    for j in range(3):
                        out[o] += w[o, c, i, j] * np.roll(z[c], (1 - i, 1 - j), (0, 1))
        return out

    return convolve(np.maximum(convolve(z, first), 0), second).mean()


@pytest.mark.parametrize(("stride", "size", "fit"), [(2, (6, 8), cut), (3, (7, 10), wrap)])
def test_lps_keeps_the_grid_with_the_best_score(stride, size, fit):
    """7 and 10 need two more rows and columns for a stride of 3, not 7 % 3 = 1."""
    torch.manual_seed(1)
    block = LPSPool2d(3, stride, hidden=4, ceil_mode=True).double().eval()
    x = draw(6, 3, *size)
    y = block(torch.from_numpy(x)).numpy()
    chosen = set()
    for image, result in zip(fit(x, (stride, stride)), y, strict=True):
        candidates = grids(image, (stride, stride))
        best = int(np.argmax([score(z, block) for z in candidates]))
        chosen.add(best)
        np.testing.assert_array_equal(result, candidates[best])
    assert len(chosen) > 1


def test_lps_mixes_with_the_softmax_of_its_scores():
    torch.manual_seed(1)
    block = LPSPool2d(2, mode="convex", temperature=0.1).double()
    block.temperature.fill_(0.1)
    x = draw(2, 2, 4, 6)
    for image, result in zip(x, block(torch.from_numpy(x)).detach().numpy(), strict=True):
        candidates = grids(image, (2, 2))
        weights = np.exp(np.array([score(z, block) for z in candidates]) / 0.1)
        weights /= weights.sum()
        mixed = sum(w * z for w, z in zip(weights, candidates, strict=True))
        np.testing.assert_allclose(result, mixed, atol=1e-13)


def test_lps_draws_phases_as_often_as_their_softmax_says():
    """Frequencies of 4000 draws, within four standard deviations."""
    torch.manual_seed(0)
    block = LPSPool2d(1, mode="gumbel_hard", hidden=8).double()
    with torch.no_grad():
        block.scores[2].weight.mul_(8)
    image = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    scores = np.array([score(z, block) for z in grids(image, (2, 2))])
    chances = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    assert 0.05 < chances.max() < 0.95
    drawn = block(torch.from_numpy(image).expand(4000, 1, 2, 2)).flatten().round()
    for value, chance in enumerate(chances, 1):
        share = (drawn == value).double().mean().item()
        assert abs(share - chance) <= 4 * np.sqrt(chance * (1 - chance) / 4000)


def test_lps_learns_through_mixes_and_through_hard_choices():
    for mode in ("gumbel", "gumbel_hard", "convex"):
        torch.manual_seed(0)
        block = LPSPool2d(2, mode=mode)
        block(torch.randn(2, 2, 4, 4)).square().sum().backward()
        assert all(p.grad.abs().sum() > 0 for p in block.scores[0].parameters()), mode


def test_lps_keeps_its_temperature_with_its_weights():
    block, other = LPSPool2d(1, temperature=2.0), LPSPool2d(1)
    other.load_state_dict(block.state_dict())
    assert other.temperature.item() == 2.0


@pytest.mark.parametrize("stride", [2, 3])
def test_tips_mixes_by_what_the_parts_of_the_map_say(stride):
    torch.manual_seed(0)
    block = TIPSPool2d(3, stride).double()
    x = draw(2, 3, 6, 12)
    w, a = block.filter.weight.detach().numpy(), block.mix.detach().numpy()
    y = block(torch.from_numpy(x)).detach().numpy()
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for n in range(2):
        for c in range(3):
            psi = sum(
                w[c, 0, i, j] * framed[n, c, i : i + 6, j : j + 12]
                for i in range(3)
                for j in range(3)
            )
            psi = np.maximum(psi, 0)
            parts = psi.reshape(stride, 6 // stride, stride, 12 // stride).mean((1, 3)).ravel()
            tau = np.exp(a[c] * parts)
            tau /= tau.sum()
            mixed = sum(
                t * z[0] for t, z in zip(tau, grids(x[n, [c]], (stride, stride)), strict=True)
            )
            np.testing.assert_allclose(y[n, c], mixed, atol=1e-13)


def test_tips_losses():
    torch.manual_seed(0)
    block = TIPSPool2d(1, return_losses=True, largest_shift=0).double()
    x = torch.from_numpy(np.abs(draw(2, 1, 4, 4))).requires_grad_()
    with torch.no_grad():  # psi(x) = x, so nothing is left to undo; the mix is even
        block.filter.weight.zero_()
        block.filter.weight[..., 1, 1] = 1
        block.mix.zero_()
    y, one_grid, undone = block(x)
    assert y.shape == (2, 1, 2, 2)
    assert one_grid.item() == pytest.approx(0.5)  # 1 - sqrt(4 / 16)
    assert undone.item() == 0
    with torch.no_grad():
        block.filter.weight.zero_()
    _, _, undone = block(x)
    assert undone.item() == pytest.approx((x.detach() ** 2).mean().item())
    undone.backward()
    assert x.grad.abs().sum() == 0  # nothing goes through the shifted copy


def test_tips_shifts_at_random_as_torch_is_seeded():
    block = TIPSPool2d(1, return_losses=True)
    x = torch.randn(1, 1, 6, 6)
    seen = set()
    for seed in range(8):
        torch.manual_seed(seed)
        seen.add(block(x)[2].item())
    torch.manual_seed(7)
    assert block(x)[2].item() in seen
    assert len(seen) > 2


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: APSPool2d(2, "l3"), "APSPool2d: expected norm to be one of l2, l1, linf, max, "),
        (lambda: APSPool2d(0), "APSPool2d: expected stride to be an int > 0 or a tuple of 2 such"),
        (lambda: APSPool2d(blur=0), "APSPool2d: expected blur to be an int > 0 or a tuple of 1"),
        (lambda: LPSPool2d(0), "LPSPool2d: expected channels to be an int > 0"),
        (
            lambda: LPSPool2d(2, temperature=0),
            "LPSPool2d: expected temperature to be a finite number > 0, got 0.",
        ),
        (
            lambda: LPSPool2d(2, mode="soft"),
            "LPSPool2d: expected mode to be one of gumbel, gumbel_hard, convex, got 'soft'.",
        ),
        (
            lambda: TIPSPool2d(2, largest_shift=-1),
            "TIPSPool2d: expected largest_shift to be an int",
        ),
    ],
)
def test_arguments_outside_their_domain(build, text):
    with pytest.raises(ArgumentError) as caught:
        build()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: APSPool2d(2)(torch.zeros(1, 1, 1, 4)),
            "APSPool2d: expected the input to have at least 2 x 2 pixels, got (1, 1, 1, 4). "
            "Use ceil_mode=True for smaller ones.",
        ),
        (
            lambda: LPSPool2d(2)(torch.zeros(1, 3, 4, 4)),
            "LPSPool2d: expected the input to have 2 channels, got (1, 3, 4, 4). "
            "Make the module with channels=3.",
        ),
        (
            lambda: APSUnpool2d()(torch.zeros(2, 1, 4, 4), torch.tensor([1])),
            "APSUnpool2d: expected phase to be 2 numbers of type int64, one per image, "
            "got tensor([1]). Use what APSPool2d(return_phase=True) returns.",
        ),
        (
            lambda: APSUnpool2d()(torch.zeros(1, 1, 4, 4), torch.tensor([1]), (10, 8)),
            "APSUnpool2d: expected output_size to be less than the stride from (8, 8), "
            "got (10, 8).",
        ),
    ],
)
def test_inputs_that_do_not_fit(call, text):
    with pytest.raises(ShapeError) as caught:
        call()
    assert str(caught.value) == text
