"""The kernel [1, -1] learned from one image and its edges, instead of being thought up.

    python examples/learn_kernel.py [--steps 20] [--lr 0.02] [--seed 0] [--out learn_kernel.png]

Two numbers start at random. Gradient descent on the squared error between what they make of the
image and its vertical edges leads to [1, -1]: a convolutional layer finds its own edge detector.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from torch import Tensor

import flexpool


def example() -> tuple[Tensor, Tensor]:
    """The image, and the edges that are to be found in it."""
    image = torch.ones(6, 8)
    image[0:2, 2:6] = 0
    image[3:6, 2:6] = 0
    return image, flexpool.corr2d(image, torch.tensor([[1.0, -1.0]]))


def learn(steps: int, lr: float, seed: int) -> tuple[list[Tensor], list[float]]:
    """The kernel before each step and after the last, and its squared error at each."""
    image, wanted = example()
    draw = torch.Generator().manual_seed(seed)
    kernel = torch.randn(1, 2, generator=draw, requires_grad=True)
    kernels, errors = [], []
    for step in range(steps + 1):
        error = (flexpool.corr2d(image, kernel) - wanted).square().sum()
        kernels.append(kernel.detach().clone())
        errors.append(error.item())
        if step < steps:
            (gradient,) = torch.autograd.grad(error, kernel)
            with torch.no_grad():
                kernel -= lr * gradient
    return kernels, errors


def draw(kernels: list[Tensor], errors: list[float], out: Path) -> None:
    matplotlib.use("Agg")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(errors, color="#2b6cb0", marker="o", markersize=3)
    left.set(yscale="log", xlabel="step", title="squared error")
    for place, (goal, colour) in enumerate(((1, "#2b6cb0"), (-1, "#c05621"))):
        right.axhline(goal, color=colour, linewidth=1, linestyle=":")
        values = [kernel[0, place].item() for kernel in kernels]
        right.plot(values, color=colour, marker="o", markersize=3)
        right.annotate(
            f"{values[-1]:.3f}",
            (len(values) - 1, values[-1]),
            textcoords="offset points",
            xytext=(0, -14 if goal > 0 else 8),
            ha="right",
            color=colour,
        )
    right.set(xlabel="step", title="the kernel's two numbers; dotted: 1 and −1")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("learn_kernel.png"))
    options = parser.parse_args()

    kernels, errors = learn(options.steps, options.lr, options.seed)
    for step, (kernel, error) in enumerate(zip(kernels, errors, strict=True)):
        if step % 2 == 0 or step == options.steps:
            one, other = kernel[0].tolist()
            print(f"step {step:2}   kernel [{one:6.3f}, {other:6.3f}]   squared error {error:.5f}")
    draw(kernels, errors, options.out)
    print(f"The curve: {options.out}")


if __name__ == "__main__":
    main()
