"""LeNet-5 trained from zero, in NumPy alone: forward, loss, backward, step.

    python examples/train_lenet5.py [--epochs 5] [--downsampling max]

On the digits of scikit-learn. For MNIST: flexpool train --framework numpy --data mnist.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits

from flexpool.numpy import Adam, CrossEntropyLoss, nets

BATCH, TEST = 32, 450


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--downsampling", default="max")
    options = parser.parse_args()

    digits = load_digits()
    images = np.kron(digits.images, np.ones((2, 2)))[:, None].astype(np.float32)  # 16 x 16
    images = (images - images.mean()) / images.std()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    images, labels = images[order], digits.target[order]
    x_test, t_test, x, t = images[:TEST], labels[:TEST], images[TEST:], labels[TEST:]

    net = nets.build("lenet5", options.downsampling, image=(1, 16, 16), rng=0)
    loss, optimiser = CrossEntropyLoss(), Adam(net, lr=0.002)
    print(net)
    for name, shape in net.shapes((1, 1, 16, 16)):
        print(f"  after {name:8} {shape}")
    for epoch in range(1, options.epochs + 1):
        started, total = time.perf_counter(), 0.0
        net.train()
        for index in np.array_split(rng.permutation(len(x)), len(x) // BATCH):
            total += loss(net(x[index]), t[index]) * len(index)  # forward
            net.backward(loss.backward())  # backward
            optimiser.step()
        net.eval()
        right = (net(x_test).argmax(axis=1) == t_test).mean()
        seconds = time.perf_counter() - started
        print(
            f"epoch {epoch}: loss {total / len(x):.4f}, test accuracy {right:.3f}, {seconds:.2f} s"
        )


if __name__ == "__main__":
    main()
