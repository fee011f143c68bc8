"""MNIST and Fashion-MNIST: 70 000 grey images of 28x28 pixels in ten classes each."""

from __future__ import annotations

from flexpool.lab.data.dataset import About
from flexpool.lab.data.idx_set import IdxSet

__all__ = ["FASHION_MNIST", "MNIST"]

MNIST = IdxSet(
    about=About(
        name="mnist",
        train=60_000,
        test=10_000,
        shape=(1, 28, 28),
        classes=tuple("0123456789"),
        licence="CC BY-SA 3.0",
        citation=(
            "Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, "
            "http://yann.lecun.com/exdb/mnist/"
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    folders=("mnist", "MNIST/raw"),
)

FASHION_MNIST = IdxSet(
    about=About(
        name="fashion_mnist",
        train=60_000,
        test=10_000,
        shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        licence="MIT",
        citation=(
            "H. Xiao, K. Rasul, R. Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for "
            "Benchmarking Machine Learning Algorithms, https://arxiv.org/abs/1708.07747"
        ),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    folders=("fashion_mnist", "FashionMNIST/raw"),
)
