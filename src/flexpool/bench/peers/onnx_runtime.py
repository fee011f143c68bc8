"""ONNX Runtime with a model of one node; forward only."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from flexpool.bench.peers.base import CannotError, Peer, Side
from flexpool.bench.problem import Problem

__all__ = ["ONNX_RUNTIME"]

_NODES = {"max": "MaxPool", "avg": "AveragePool", "lp": "LpPool"}
_GLOBAL = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool", "lp": "GlobalLpPool"}
_OPSET, _FORMAT = 18, 9  # the first in which LpPool has ceil_mode, and the file format it came with


def _missing() -> str | None:
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed; install it with: pip install {package}"
    return None


def _make(problem: Problem) -> Side:
    if problem.direction == "backward":
        raise CannotError("has no gradients")
    if problem.operator.name not in _NODES:
        raise CannotError("has max, avg and lp only")
    if problem.layout != "contiguous":
        raise CannotError("takes contiguous arrays")
    if problem.case.dtype == "bfloat16":
        raise CannotError("NumPy has no bfloat16")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = problem.threads
    options.inter_op_num_threads = 1
    # Its threads wait in a busy loop, which would slow down whoever is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    content, how = _model(problem)
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        raise CannotError(f"has no {how} for {problem.case.dtype}") from None
    x = torch.as_tensor(problem.x).numpy()
    return Side(lambda: session.run(None, {"x": x}), how)


def _model(problem: Problem) -> tuple[bytes, str]:
    from onnx import helper

    case, name = problem.case, problem.operator.name
    settings: dict[str, Any] = {"p": 2} if name == "lp" else {}
    if case.kernel_size is None:
        kind = _GLOBAL[name]
    else:
        kind = _NODES[name]
        settings |= {
            "kernel_shape": case.kernel,
            "strides": case.steps,
            "pads": [case.padding] * (2 * case.dimensions),
            "ceil_mode": int(case.ceil_mode),
        }
        settings |= {"count_include_pad": 1} if name == "avg" else {}
    dtype = helper.np_dtype_to_tensor_dtype(torch.as_tensor(problem.x).numpy().dtype)
    sizes = [f"n{axis}" for axis in range(len(case.shape))]
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"], ["y"], **settings)],
        "pooling",
        [helper.make_tensor_value_info("x", dtype, list(case.shape))],
        [helper.make_tensor_value_info("y", dtype, sizes)],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_FORMAT
    )
    content: bytes = model.SerializeToString()
    return content, kind


ONNX_RUNTIME = Peer("onnxruntime", "ONNX Runtime", _missing, _make)
