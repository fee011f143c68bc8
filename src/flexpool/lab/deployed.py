"""A trained net as one graph, as ONNX and torch.export have it."""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

import flexpool
from flexpool.errors import ExportError
from flexpool.lab.kept import Kept
from flexpool.lab.train_torch import net_input
from flexpool.nn.block import blocks

__all__ = ["INPUTS", "deployed", "facts", "to_onnx", "to_pt2"]

INPUTS = {
    "pixels": "bytes as stored: the graph scales them, and resizes them if the run did",
    "scaled": "float32, scaled and resized beforehand",
}

_INPUT, _OUTPUT = "images", "logits"


class _FromPixels(nn.Module):
    """A net with what stands before it."""

    def __init__(self, net: nn.Module, offset: float, scale: float, resize: int | None) -> None:
        super().__init__()
        self.net, self.offset, self.scale, self.resize = net, offset, scale, resize

    def forward(self, images: Tensor) -> Tensor:
        x = net_input(images, self.offset, self.scale, self.resize)
        result: Tensor = self.net(x)
        return result


class _FromScaled(nn.Module):
    """A net alone; its argument has the name that the graph's input is to have."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        result: Tensor = self.net(images)
        return result


def deployed(net: Kept, takes: str) -> torch.export.ExportedProgram:
    """Make one graph of a net, for any number of images.

    Args:
        net: of PyTorch.
        takes: one of ``INPUTS``.

    Raises:
        ExportError: if a layer of it cannot become part of a graph.
    """
    down = blocks().get(net.config.downsampling)
    if down is not None and down.unexported:
        raise ExportError(f"{net.config.variant.name} cannot be exported. {down.unexported}")
    model = copy.deepcopy(net.model).to(memory_format=torch.contiguous_format)
    dynamic: dict[int, Any] = {0: torch.export.Dim("batch")}
    module: nn.Module
    if takes == "pixels":
        inputs, resize = net.inputs, net.config.resize
        module = _FromPixels(model, inputs.offset, inputs.scale, resize)
        x = torch.zeros(2, *inputs.image, dtype=torch.uint8)
        if resize is not None:  # images of any size
            dynamic |= {2: torch.export.Dim("height"), 3: torch.export.Dim("width")}
            x = x[:, :, : resize - 1, : resize - 2].contiguous()
    else:
        module, x = _FromScaled(model), torch.zeros(2, *net.inputs.image)
    with _quiet(), torch.no_grad():
        try:
            return torch.export.export(module.eval(), (x,), dynamic_shapes=(dynamic,))
        except Exception as error:  # of many kinds, which torch does not list
            raise ExportError(_cannot(net, error)) from error


def to_onnx(program: torch.export.ExportedProgram, net: Kept, takes: str) -> bytes:
    """Write a graph as ONNX; its properties say what it takes and what its outputs mean.

    Raises:
        ExportError: if a layer of the net has no counterpart there.
    """
    import onnx

    with _quiet():
        try:
            found = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=[_INPUT], output_names=[_OUTPUT]
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(_cannot(net, error)) from error
    if found is None:
        raise ExportError(_cannot(net, "the exporter gave nothing"))
    model = found.model_proto
    _name_axes(model.graph)
    onnx.helper.set_model_props(model, facts(net, takes))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def to_pt2(program: torch.export.ExportedProgram, net: Kept, takes: str) -> bytes:
    """Write a graph as ``torch.export.load`` reads it, with the same facts beside it."""
    target = io.BytesIO()
    with _quiet():
        torch.export.save(program, target, extra_files=facts(net, takes))
    return target.getvalue()


def facts(net: Kept, takes: str) -> dict[str, str]:
    """Give what a graph says of itself: texts by name."""
    return {
        "classes": json.dumps(net.classes),
        "takes": takes,
        "inputs": json.dumps(asdict(net.inputs)),
        "config": json.dumps(asdict(net.config)),
        "flexpool": flexpool.__version__,
    }


def _cannot(net: Kept, error: object) -> str:
    return f"{net.config.variant.name} cannot be exported: {str(error).splitlines()[0]}"


def _name_axes(graph: Any) -> None:
    """Give the axes that are free names that explain themselves."""
    image = graph.input[0].type.tensor_type.shape.dim
    said = zip(image, ("batch", "channels", "height", "width"), strict=True)
    names = {dim.dim_param: name for dim, name in said if dim.dim_param}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch says of its own code, which nobody here can change."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
