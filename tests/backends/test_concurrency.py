"""Pooling from many threads, in forked and in spawned processes: right results, and no hanging."""

import os
import subprocess
import sys

import pytest

# A script and not a string for -c: spawned processes import it.
SCRIPT = '''
import os
import sys
import threading

import numpy as np
import torch

import flexpool
from flexpool.backends import threads


def numbers(seed):
    return np.random.default_rng(seed).normal(size=(4, 16, 128, 128)).astype(np.float32)


def check(seed, operator="avg"):
    """Pool on NumPy's arrays: PyTorch's own threads do not survive a fork."""
    x = numbers(seed)
    y = flexpool.pool(x, operator, 2, backend="numba")
    blocks = x.reshape(4, 16, 64, 2, 64, 2)
    expected = blocks.mean((3, 5)) if operator == "avg" else blocks.max((3, 5))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    return float(y.sum())


def check_gradient(seed):
    x = torch.from_numpy(numbers(seed)).requires_grad_()
    (got,) = torch.autograd.grad(flexpool.pool(x, "avg", 2, backend="numba").square().sum(), x)
    y = torch.nn.functional.avg_pool2d(x, 2)
    (expected,) = torch.autograd.grad(y.square().sum(), x)
    torch.testing.assert_close(got, expected)


class Pooled(torch.utils.data.Dataset):
    """Items that a worker pools."""

    def __len__(self):
        return 8

    def __getitem__(self, item):
        total = check(item)
        assert torch.get_num_threads() == 1
        assert threads._pool is None
        return os.getpid(), total


def load(context):
    loader = torch.utils.data.DataLoader(
        Pooled(), batch_size=2, num_workers=2, multiprocessing_context=context, timeout=30
    )
    batches = list(loader)
    assert os.getpid() not in torch.cat([workers for workers, _ in batches])
    totals = torch.cat([totals for _, totals in batches])
    assert totals.tolist() == [check(item) for item in range(8)]


def eight_threads():
    errors = []

    def call(number):
        try:
            for seed in range(5):
                check(10 * number + seed, ("avg", "max")[(number + seed) % 2])
                check_gradient(seed)
        except BaseException as error:
            errors.append(error)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert errors == []
    helpers = [t.name for t in threading.enumerate() if t.name.startswith("flexpool")]
    assert 1 <= len(helpers) <= 2, helpers


def forked_loader():
    check(0)
    assert threads._pool is not None
    load("fork")


def spawned_loader():
    load("spawn")


def fork():
    """The child has a pool of its own, compiles what the parent did not, and ends as usual."""
    check(0)
    parents = threads._pool
    assert parents is not None
    child = os.fork()
    if child == 0:
        check(1)
        check(1, "max")
        assert threads._pool is not None
        assert threads._pool is not parents
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    check(2)
    assert status == 0, status


def one_torch_thread():
    torch.set_num_threads(1)
    check(0)
    assert threads._pool is None


if __name__ == "__main__":
    torch.set_num_threads(3)
    globals()[sys.argv[1]]()
'''

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("concurrency") / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize(
    "part",
    [
        "eight_threads",
        "one_torch_thread",
        pytest.param("fork", marks=needs_fork),
        pytest.param("forked_loader", marks=needs_fork),
        "spawned_loader",
    ],
)
def test_pooling_together(part, script):
    # A group of its own, so that the children of one that hangs end with it.
    process = subprocess.Popen(
        [sys.executable, script, part],
        env={**os.environ, "FLEXPOOL_CACHE_DIR": str(script.parent / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=50)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        said, _ = process.communicate()
        pytest.fail(f"{part} hangs: {said}")
    assert process.returncode == 0, said
