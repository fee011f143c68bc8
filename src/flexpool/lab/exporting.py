"""Trained nets for other programs: ONNX, safetensors, torch.export; checked before written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, ExportError, called, expected, unknown
from flexpool.lab import data as datasets
from flexpool.lab.files import write_atomically
from flexpool.lab.kept import Kept, load
from flexpool.lab.loop import EVALUATION_BATCH
from flexpool.lab.options import check_int

__all__ = ["Check", "Exported", "File", "export"]

Array = np.ndarray[Any, Any]
Runs = Callable[[Array], Array]

# Of the largest output: float32 summed in another order differs by less, a wrong graph by more.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Check:
    """How an exported net compares with the net in PyTorch on the same images.

    Attributes:
        data: name of the data set.
        n: number of its test images.
        same: for how many of them the most probable class is the same.
        difference: the largest between two outputs.
        largest: the largest output, to which the difference is to be compared.
    """

    data: str
    n: int
    same: int
    difference: float
    largest: float


@dataclass(frozen=True)
class File:
    """A file that was written.

    Attributes:
        kind: ``onnx``, ``safetensors`` or ``torch-export``.
        path: where it is.
        size: in bytes.
        check: what came of its comparison; None if there was none.
    """

    kind: str
    path: Path
    size: int
    check: Check | None = None


@dataclass(frozen=True)
class Exported:
    """What was written of a net.

    Attributes:
        net: the run, in words.
        source: the file its weights come from.
        takes: what graphs take: ``pixels`` or ``scaled``.
        shape: of that, with names for what is free.
        classes: the names of the outputs.
        files: what was written.
    """

    net: str
    source: Path
    takes: str
    shape: tuple[int | str, ...]
    classes: tuple[str, ...]
    files: tuple[File, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain values, for JSON."""
        found = asdict(self) | {"source": str(self.source)}
        for file in found["files"]:
            file["path"] = str(file["path"])
        return found


def export(
    run: str | os.PathLike[str] | Kept,
    *,
    onnx: str | os.PathLike[str] | None = None,
    safetensors: str | os.PathLike[str] | None = None,
    torch_export: str | os.PathLike[str] | None = None,
    input: str = "pixels",
    samples: int = 1000,
    out: str | os.PathLike[str] = "results",
    data_dir: str | os.PathLike[str] | None = None,
) -> Exported:
    """Write a trained net for other programs, checked against PyTorch on real images first.

    The graphs have one input, ``images``, of any number of images, and one output, ``logits``, of
    shape (N, classes), whose softmax are the probabilities.

    Args:
        run: what :func:`flexpool.lab.load` takes, or gives; trained with either framework.
        onnx: where to write it as ONNX; None does not.
        safetensors: where to write the weights alone, with PyTorch's names; ``load`` reads them.
        torch_export: where to write it for ``torch.export.load``. Load such files from people you
            trust only: they are archives that PyTorch may find pickles in.
        input: what the graphs take: ``pixels``, uint8 as stored, of any height and width if the run
            resizes its images; or ``scaled``, float32 as the net itself takes it. Default
            ``pixels``.
        samples: how many test images of the run's data set to compare on, an int >= 0; all if there
            are fewer. 0 compares nothing and needs no data. Default 1000.
        out: folder of the results.
        data_dir: where to look for data files first.

    Raises:
        ArgumentError: if no run is meant, nothing is to be written, or an argument lies outside its
            domain.
        ExportError: if a layer cannot be exported, or if what was exported gives other results. No
            file is written then.
        DataError: if the run's data set cannot be had.
        StorageError: if the run's files cannot be read, or a file cannot be written.

    Example:
        >>> import tempfile
        >>> from flexpool import lab
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = lab.train(epochs=1, out=folder, progress=False)
        ...     found = export(record.config.id, onnx=f"{folder}/model.onnx", out=folder)
        >>> check = found.files[0].check
        >>> check.same, check.n, found.shape
        (540, 540, ('batch', 1, 28, 28))
    """
    with called("export"):
        targets = {"onnx": onnx, "safetensors": safetensors, "torch-export": torch_export}
        if all(target is None for target in targets.values()):
            rule = "to name at least one file"
            raise ArgumentError(expected("onnx, safetensors or torch_export", rule, None))
        from flexpool.lab import deployed

        if input not in deployed.INPUTS:
            raise unknown("input", input, deployed.INPUTS)
        check_int("samples", samples, least=0)
        net = run if isinstance(run, Kept) else load(run, out=out, data_dir=data_dir)
        net = net.of("torch")
        made = _made(net, targets, input, _samples(net, samples, targets, data_dir))
        # Only now, so that there is either all that was asked for, or nothing new.
        for file, content in made:
            write_atomically(file.path, content)
    files = tuple(file for file, _ in made)
    return Exported(net.config.label, net.source, input, _shape(net, input), net.classes, files)


def _samples(
    net: Kept, count: int, targets: dict[str, Any], data_dir: str | os.PathLike[str] | None
) -> Array | None:
    graphs = targets["onnx"] is not None or targets["torch-export"] is not None
    if count == 0 or not graphs:
        return None
    return datasets.load(net.config.data, data_dir, net.config.resize).test_images[:count]


def _shape(net: Kept, takes: str) -> tuple[int | str, ...]:
    if takes == "pixels" and net.config.resize is not None:
        return "batch", net.inputs.image[0], "height", "width"
    return "batch", *net.inputs.image


def _made(
    net: Kept, targets: dict[str, Any], takes: str, images: Array | None
) -> list[tuple[File, bytes]]:
    """Make the content of each file that is asked for, and compare those that compute."""
    from flexpool.lab import deployed

    found = []
    graphs = {
        "onnx": (deployed.to_onnx, _in_onnx_runtime),
        "torch-export": (deployed.to_pt2, _in_torch),
    }
    wanted = {kind: Path(target) for kind, target in targets.items() if target is not None}
    program = deployed.deployed(net, takes) if wanted.keys() & graphs.keys() else None
    for kind, path in wanted.items():
        if kind == "safetensors":
            content, check = _tensors(net), None
        else:
            assert program is not None
            write, runs = graphs[kind]
            content = write(program, net, takes)
            check = None if images is None else _compared(net, images, takes, runs(content), kind)
        found.append((File(kind, path, len(content), check), content))
    return found


def _tensors(net: Kept) -> bytes:
    from safetensors.torch import save

    from flexpool.lab.record import facts

    state = {name: tensor.contiguous() for name, tensor in net.model.state_dict().items()}
    return save(state, facts(net.config, net.inputs))


def _in_onnx_runtime(content: bytes) -> Runs:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(session.run(["logits"], {"images": x})[0])


def _in_torch(content: bytes) -> Runs:
    import io

    import torch

    module = torch.export.load(io.BytesIO(content)).module()  # our own bytes of just now
    return lambda x: np.asarray(module(torch.from_numpy(x)).detach())


def _compared(net: Kept, images: Array, takes: str, runs: Runs, kind: str) -> Check:
    """Compare a graph with the net, in batches of two sizes at least."""
    ends = [*range(1, len(images), EVALUATION_BATCH), len(images)]
    parts = [images[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    ours = net.logits(images)
    theirs = np.concatenate(
        [runs(np.array(p) if takes == "pixels" else np.asarray(net.prepare(p))) for p in parts]
    )
    difference, largest = float(abs(theirs - ours).max()), float(abs(ours).max())
    same = int((theirs.argmax(axis=1) == ours.argmax(axis=1)).sum())
    if not difference <= _TOLERANCE * largest:
        raise ExportError(
            f"the exported net ({kind}) gives other results than PyTorch: they differ by up to "
            f"{difference:.2g}, where the largest is {largest:.2g}. Nothing was written."
        )
    return Check(net.config.data, len(images), same, difference, largest)
