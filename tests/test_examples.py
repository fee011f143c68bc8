"""The examples run, and what they show is true."""

import inspect
import runpy
from pathlib import Path

import pytest
import torch

from flexpool.backends import choice, eager, interpret, numba_cpu
from flexpool.backends.numba_cpu.plan import shape_of
from flexpool.backends.numba_cpu.program import program
from flexpool.lab import data
from flexpool.lab.train_torch import Images, scaling
from forked import python

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
OWN_OPERATOR = {path.stem: path for path in EXAMPLES}["own_operator"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path, tmp_path):
    done = python(path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


@pytest.fixture(scope="module")
def own():
    return runpy.run_path(str(OWN_OPERATOR), run_name="own_operator")


@pytest.mark.parametrize("pooling", ["near_max", "near_max, beta learned"])
def test_ones_own_formula_trains_in_fused_kernels(own, monkeypatch, pooling):
    """Every pooling of a training step is one kernel of Numba, with the window unrolled."""
    ran = []

    def numba(task, leaves, types, run=numba_cpu.run):
        ran.append(task)
        return run(task, leaves, types)

    def other(task, leaves, types):
        raise AssertionError("another backend ran")

    monkeypatch.setattr(numba_cpu, "run", numba)
    monkeypatch.setattr(eager, "run", other)
    monkeypatch.setattr(interpret, "run", other)
    assert choice.backend_for("auto", "cpu") is numba_cpu

    model = own["lenet"](pooling)
    ran.clear()
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model(x).square().sum().backward()

    wanted = {"x", "beta"} if "beta" in pooling else {"x"}
    results = [{output.name for output in task.graph.outputs} for task in ran]
    assert results == [{"y"}, {"y"}, wanted, wanted]
    assert [task.geometry.sizes for task in ran] == [(28, 28), (10, 10), (10, 10), (28, 28)]
    for task in ran:
        for channels_last in (False, True):
            assert program(task.graph, shape_of(task, channels_last)).unrolled
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_ones_own_formula_is_three_lines_and_learns(own, digits_images):
    assert len(inspect.getsource(own["near_max"]).strip().splitlines()) == 3
    model = own["lenet"]("near_max, beta learned")
    losses, _ = own["train"](model, digits_images, 2)
    assert losses[1] < losses[0] / 2
    assert model.down1.beta.item() != 1.0 != model.down2.beta.item()


@pytest.fixture(scope="module")
def digits_images():
    digits = data.load("digits")
    offset, scale = scaling("standard", digits.train_images)
    return Images(
        digits.train_images, digits.train_labels, offset=offset, scale=scale, device="cpu"
    )


def example(name):
    path = {path.stem: path for path in EXAMPLES}[name]
    return runpy.run_path(str(path), run_name=name)


def test_the_edges_are_where_the_image_changes(tmp_path):
    edges = example("edges")
    image = edges["small_image"]()
    assert (image.shape, int(image.sum())) == ((6, 8), 48 - 2 * 4 - 3 * 4)
    vertical, horizontal = edges["edges"](image)
    assert vertical.tolist() == [
        [0, 1, 0, 0, 0, -1, 0] if row != 2 else [0] * 7 for row in range(6)
    ]
    assert [row[3] for row in horizontal.tolist()] == [0, -1, 1, 0, 0]
    for shown in edges["edges"](edges["photograph"]()):
        assert 0 < abs(shown).mean() < 0.1 < abs(shown).max()
    edges["draw"](tmp_path / "edges.png")
    assert (tmp_path / "edges.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(4))
def test_the_learned_kernel_comes_to_1_and_minus_1(seed):
    kernels, errors = example("learn_kernel")["learn"](20, 0.02, seed)
    assert len(kernels) == len(errors) == 21
    assert abs(kernels[-1] - torch.tensor([[1.0, -1.0]])).max() < 0.05 < errors[0]
    assert errors[-1] < errors[0] / 1000
