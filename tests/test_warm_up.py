"""Kernels compiled ahead: all that are needed later, and no other state than the cache."""

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from flexpool import warm_up
from flexpool.backends import kernel_files
from flexpool.cli.app import app
from flexpool.declare import find, operators
from flexpool.errors import StorageError
from flexpool.window import window

# A process as a user would start it, that says how many of its kernels had to be compiled.
PROGRAM = """
import torch
from flexpool.backends import kernel_files
compiled, load = [], kernel_files.load
def counted(*arguments):
    kernel = load(*arguments)
    compiled.append(not sum(kernel.stats.cache_hits.values()))
    return kernel
kernel_files.load = counted
{work}
print(sum(compiled), "of", len(compiled))
"""
TRAIN = """
from flexpool.lab import nets
from flexpool.torch_small import nothing_handed_over
for layout in (torch.contiguous_format, torch.channels_last):
    net = nets.build("lenet5", "avg").to(memory_format=layout)
    x = torch.rand(64, 1, 28, 28).to(memory_format=layout)
    with nothing_handed_over():
        net(x).sum().backward()
"""
POOL = """
import flexpool
from flexpool import nn
x = torch.rand(2, 3, 28, 28).requires_grad_()
flexpool.boltzmann_pool(x, 2, beta=1.7).sum().backward()
nn.BoltzmannPool2d(2)(x).sum().backward()
"""


def flexpool(*arguments, code=0):
    done = CliRunner().invoke(app, ["warm-up", *arguments], prog_name="flexpool")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    return done


def run_in_a_process(folder, *command):
    environment = {**os.environ, "FLEXPOOL_CACHE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_net_uses_later_is_there(tmp_path):
    first = run_in_a_process(tmp_path, "-m", "flexpool", "warm-up", "lenet5/avg")
    assert re.search(r"^6 kernels compiled, 0 were there; [\d.]+ s; in ", first, re.M)
    assert re.search(
        r"^lenet5/avg down1 +backward +channels_last +float32 +[\d.]+ +comp", first, re.M
    )
    assert run_in_a_process(tmp_path, "-c", PROGRAM.format(work=TRAIN)) == "0 of 6\n"


def test_what_an_operator_uses_later_is_there(tmp_path):
    where = ("-k2", "-o", "beta=1.7", "--backward", "--workers", "1")
    first = run_in_a_process(tmp_path, "-m", "flexpool", "warm-up", "boltzmann", *where)
    # The forward kernels with a number, for short and long rows, are those with a parameter.
    assert re.search(r"^5 kernels compiled, 0 were there", first, re.M)
    assert run_in_a_process(tmp_path, "-c", PROGRAM.format(work=POOL)) == "0 of 3\n"
    again = run_in_a_process(tmp_path, "-m", "flexpool", "warm-up", "boltzmann", *where)
    assert re.search(r"^0 kernels compiled, 5 were there", again, re.M)


def test_the_jobs_of_a_net_are_its_poolings_as_it_calls_them():
    jobs = warm_up.jobs_of_net("lenet5-control", "lp", "float64")
    assert [(job.label, job.layout, job.shape) for job in jobs] == [
        ("lenet5-control/lp down2", "contiguous", (2, 16, 24, 24)),
        ("lenet5-control/lp down4", "contiguous", (2, 16, 10, 10)),  # short rows
        ("lenet5-control/lp down2", "channels_last", (2, 16, 24, 24)),
    ]
    assert not any(job.function._forward_pre_hooks for job in jobs)  # they are sent elsewhere
    assert all(job.dtype == "float64" for job in jobs)


def test_a_net_without_pooling_has_none():
    assert warm_up.jobs_of_net("lenet5-nopool") == []


@pytest.mark.parametrize("name", operators())
def test_every_operator_can_be_warmed_up_in_the_order_of_its_directions(name, monkeypatch):
    asked = []
    monkeypatch.setattr(kernel_files, "load", lambda source, *_: asked.append(source) or _Kernel())
    monkeypatch.setattr("flexpool.backends.numba_cpu.launch._compiled", _uncached)
    jobs = warm_up.jobs_of_operator(find(name), window(2, 3, 2), backward=True)
    for job in jobs:
        assert [kernel.direction for kernel in job.run()] == ["forward", "backward"]
    assert len(asked) == 2 * len(jobs)


class _Kernel:
    """Stand for a kernel: it computes nothing."""

    class stats:  # noqa: N801
        cache_hits = {"one": 1}  # noqa: RUF012

    def __call__(self, *arguments):
        pass


def _uncached(graph, shape):
    from flexpool.backends.numba_cpu.program import program

    made = program(graph, shape)
    return made, kernel_files.load(made.text, "kernel", made.signature)


def test_a_cache_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(tmp_path / "file"))
    (job, *_) = warm_up.jobs_of_operator(find("max"), window(2, 2))
    with pytest.raises(StorageError, match="^cannot write .*file: "):
        list(warm_up.compile_ahead([job], 1))


def test_the_loader_is_as_it_was():
    before = kernel_files.load
    (job, *_) = warm_up.jobs_of_operator(find("max"), window(2, 2))
    list(warm_up.compile_ahead([job], 1))
    assert kernel_files.load is before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet6",), "warm-up: unknown net or operator 'lenet6'. Did you mean 'lenet5'? Known: "),
        (("lenet5/mex",), "warm-up: unknown downsampling 'mex'. Did you mean 'max'?"),
        (("max", "--dtype", "int8"), "warm-up: unknown dtype 'int8'. Known: float32, float64."),
        (("max", "--layout", "nhwc"), "warm-up: unknown layout 'nhwc'."),
        (("lp", "-o", "p=-1"), "warm-up: expected p to be a number > 0, got -1."),
        (("lp", "-o", "p"), "warm-up: expected --option to be NAME=VALUE, got 'p'."),
        (("max", "--workers", "0"), "warm-up: expected --workers to be an int > 0, got 0."),
        (("max", "-k", "x"), "warm-up: expected kernel_size to be an int, or several with comm"),
    ],
)
def test_bad_input(arguments, message):
    assert message in flexpool(*arguments, code=2).stderr
