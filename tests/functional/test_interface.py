"""Names, signatures, error messages, and what is loaded when."""

import inspect
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

import flexpool
from flexpool import calls
from flexpool.backends import choice
from flexpool.errors import ArgumentError, BackendUnavailable, DtypeError, ShapeError


def alone(program):
    """Run a program in a process that has loaded nothing yet."""
    subprocess.run([sys.executable, "-c", program], check=True)


X = np.zeros((2, 3, 4, 4))
T = torch.zeros(2, 3, 4, 4)

MESSAGES = [
    (
        lambda: flexpool.sum_pool(X, 2, beta=1),
        ArgumentError,
        "sum_pool: sum takes no argument 'beta', nor any other besides the window.",
    ),
    (
        lambda: flexpool.lp_pool(X, 2, q=1),
        ArgumentError,
        "lp_pool: unknown argument 'q'. Known: p.",
    ),
    (
        lambda: flexpool.lp_pool(X, 2, p=0),
        ArgumentError,
        "lp_pool: expected p to be a number > 0, got 0.",
    ),
    (
        lambda: flexpool.lp_pool(X, 2, p=[1.0, 2.0, 3.0]),
        DtypeError,
        "lp_pool: expected p to be a number or an array of the same library as x, "
        "got [1.0, 2.0, 3.0].",
    ),
    (
        lambda: flexpool.lp_pool(X, 2, p=np.ones(2)),
        ShapeError,
        "lp_pool: expected p to hold one number or one per channel, 3, got (2,).",
    ),
    (
        lambda: flexpool.blur_pool(T, 2, weight=torch.ones(3, 3)),
        ShapeError,
        "blur_pool: expected weight to have the kernel's shape (2, 2) or (3, 2, 2), got (3, 3).",
    ),
    (
        lambda: flexpool.lip_pool(X, 2),
        ArgumentError,
        "lip_pool: argument 'logits' is missing. Give logits, an array of the input's shape.",
    ),
    (
        lambda: flexpool.lip_pool(T, 2, logits=torch.ones(2, 2, 4, 4)),
        ShapeError,
        "lip_pool: expected logits to have the shape (2, 3, 4, 4) or one that broadcasts to it, "
        "got (2, 2, 4, 4).",
    ),
    (
        lambda: flexpool.lip_pool(X, 2, logits=3.0),
        DtypeError,
        "lip_pool: expected logits to be an array of the same library as x, got 3.0.",
    ),
    (
        lambda: flexpool.lp_pool(T, 2, p=np.ones(3)),
        DtypeError,
        "lp_pool: expected p to be a number or a tensor, as x is, got array([1., 1., 1.]).",
    ),
    (
        lambda: flexpool.lp_pool(X, 2, p=torch.ones(())),
        DtypeError,
        "lp_pool: expected p to be a number or a NumPy array, as x is, got tensor(1.).",
    ),
    (
        lambda: flexpool.pool([1.0], "max", 2),
        DtypeError,
        "pool: expected x to be a NumPy array or a PyTorch tensor, got [1.0].",
    ),
    (
        lambda: flexpool.pool(X, "sofd", 2),
        ArgumentError,
        "pool: unknown operator 'sofd'. Did you mean 'soft'? Known: "
        + ", ".join(flexpool.operators())
        + ".",
    ),
    (
        lambda: flexpool.pool(X, 3, 2),
        ArgumentError,
        "pool: expected operator to be a name, an operator or a function, got 3. Write a name "
        "such as 'max', an operator such as lp(p=3), or your own function.",
    ),
    (
        lambda: flexpool.soft_pool(X, (2, 2, 2, 2)),
        ShapeError,
        "soft_pool: expected x to have the axes (N, C, *sizes) or (C, *sizes), got (2, 3, 4, 4). "
        "Give dimensions, or reshape x.",
    ),
    (
        lambda: flexpool.soft_pool(X[0, 0], (2, 2)),
        ShapeError,
        "soft_pool: expected x to have the axes (N, C, H, W) or (C, H, W), got (4, 4). "
        "Give dimensions, or reshape x.",
    ),
    (
        lambda: flexpool.soft_pool(X, 0),
        ArgumentError,
        "soft_pool: expected kernel_size to be an int > 0 or a tuple of 2 such, got 0. "
        "Write kernel_size=2 or kernel_size=(2, 2).",
    ),
    (
        lambda: flexpool.soft_pool(T, 9),
        ShapeError,
        "soft_pool: expected the input to have at least 9 elements in spatial dimension 0 "
        "(kernel_size 9 with dilation 1 spans 9, padding is 0 + 0), got (4, 4). Use a smaller "
        "kernel_size or dilation, more padding, or a larger input.",
    ),
    (
        lambda: flexpool.max_pool(T.to_sparse(), 2),
        DtypeError,
        "max_pool: expected x to be a dense tensor, got sparse_coo. Use x.to_dense().",
    ),
    (
        lambda: flexpool.soft_pool(T.long(), 2),
        DtypeError,
        "soft_pool: expected x to be floating point, got int64. Convert it: x.float().",
    ),
    (
        lambda: flexpool.max_pool(T.long(), 2),
        DtypeError,
        "max_pool: expected x to be floating point, got int64. Convert it: x.float().",
    ),
    (
        lambda: flexpool.soft_pool(X.astype(complex), 2),
        DtypeError,
        "soft_pool: expected x to hold real numbers, got complex128. "
        "Convert it: x.astype(np.float32).",
    ),
    (
        lambda: flexpool.soft_pool(X, 2, seed=3),
        ArgumentError,
        "soft_pool: expected seed to be None, got 3. Leave it out: soft draws no random numbers.",
    ),
    (
        lambda: flexpool.stochastic_pool(X, 2, seed=-1),
        ArgumentError,
        "stochastic_pool: expected seed to be an int in [0, 2**63), got -1.",
    ),
    (
        lambda: flexpool.soft_pool(X, 2, backend="nunba"),
        ArgumentError,
        "soft_pool: unknown backend 'nunba'. Did you mean 'numba'? "
        "Known: auto, interpret, eager, numba, triton.",
    ),
    (
        lambda: flexpool.soft_pool(X, 2, backend="triton"),
        BackendUnavailable,
        "soft_pool: backend 'triton' computes on device 'cuda', but x is on 'cpu'. "
        "Use backend='auto', or move x.",
    ),
    (
        lambda: flexpool.min_pool(X, 2, return_indices=True),
        ArgumentError,
        "min_pool: min takes no argument 'return_indices', nor any other besides the window.",
    ),
    (
        lambda: flexpool.pool_backward(X, X, "lp", 1, wanted=("q",)),
        ArgumentError,
        "pool_backward: unknown argument 'q'. Known: x, p.",
    ),
    (
        lambda: flexpool.pool_backward(X, X, "stochastic", 1),
        ArgumentError,
        "pool_backward: expected seed to be the one given to pool, got None.",
    ),
    (
        lambda: flexpool.pool_backward(X, X, "max", 2),
        ShapeError,
        "pool_backward: expected grad_y to have the shape (2, 3, 2, 2) of the result, "
        "got (2, 3, 4, 4).",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), MESSAGES)
def test_error_messages(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_true_is_not_the_number_1():
    flexpool.lp_pool(X, 2, p=1)
    with pytest.raises(ArgumentError, match="expected p to be a number > 0, got True"):
        flexpool.lp_pool(X, 2, p=True)


def test_functions_describe_themselves():
    function = flexpool.lp_pool
    assert function is flexpool.lp_pool
    assert function.__name__ == "lp_pool"
    assert function.__doc__ == flexpool.operators()["lp"].doc
    names = list(inspect.signature(function).parameters)
    shared = ["x", "kernel_size", "stride", "padding", "dilation", "ceil_mode"]
    assert names == [*shared, "p", "dimensions", "axes", "backend"]
    assert inspect.signature(function).parameters["p"].default == 2.0
    assert "seed" in inspect.signature(flexpool.stochastic_pool).parameters
    assert "return_indices" in inspect.signature(flexpool.max_pool).parameters
    logits = inspect.signature(flexpool.lip_pool).parameters["logits"]
    assert logits.default is logits.empty


def test_the_package_lists_what_it_has():
    names = dir(flexpool)
    assert {"pool", "soft_pool", "operator", "Param", "lab", "math", "nn"} <= set(names)
    for name in ("pool", "adaptive_pool", "global_pool", "pool_backward", "operators", "Param"):
        assert callable(getattr(flexpool, name))
    with pytest.raises(AttributeError, match="no attribute 'sofa_pool'"):
        flexpool.sofa_pool  # noqa: B018


def test_operator_is_the_decorator():
    program = (
        "import flexpool, flexpool.functional\n"
        "@flexpool.operator\n"
        "def twice(x): return 2 * x.max()\n"
        "assert twice.name == 'twice'\n"
        "from flexpool import operator\n"
        "assert operator is flexpool.operator and callable(operator)\n"
    )
    alone(program)


def test_numpy_users_load_no_torch():
    program = (
        "import sys, numpy as np, flexpool\n"
        "assert 'numba' not in sys.modules\n"
        "flexpool.soft_pool(np.ones((1, 1, 4, 4)), 2)\n"
        "assert 'torch' not in sys.modules\n"
    )
    alone(program)


def test_users_of_torch_do_not_wait_for_its_compiler():
    """To load it takes as long as to load all the rest."""
    program = (
        "import sys, torch, flexpool.nn\n"
        "x = torch.ones(1, 1, 4, 4, requires_grad=True)\n"
        "flexpool.nn.SoftPool2d(2)(x).sum().backward()\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    alone(program)


def test_the_compiler_takes_as_constant_what_it_was_told_to():
    def told():
        pass

    torch.compiler.assume_constant_result(told)
    for function in calls.CONSTANT:
        assert vars(told).items() <= vars(function).items()


def test_the_choice_is_logged_once(caplog):
    choice.backend_for.cache_clear()
    with caplog.at_level(logging.DEBUG, logger="flexpool"):
        flexpool.soft_pool(X, 2)
        flexpool.soft_pool(X, 2)
    (record,) = caplog.records
    assert record.getMessage().startswith("backend ")
    assert "computes on device 'cpu'" in record.getMessage()
