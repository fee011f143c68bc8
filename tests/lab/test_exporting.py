"""Nets for other programs: the same results there, and nothing written that has others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from flexpool import lab
from flexpool.errors import ArgumentError, ExportError, StorageError
from flexpool.lab import data, deployed, exporting, nets, train_torch
from flexpool.lab.store import Store
from lab.trained import config_of, published


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for settings in ({}, {"framework": "numpy"}, {"resize": 20, "net": "lenet5-nopool"}):
        lab.train(**{"epochs": 1, "out": folder, "progress": False, **settings})  # type: ignore[arg-type]
    return folder


def in_onnx_runtime(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (result,) = session.get_inputs(), session.get_outputs()
    assert (given.name, result.name) == ("images", "logits")
    return np.asarray(session.run(None, {"images": images})[0])


@pytest.mark.parametrize("name", ["lenet5-max", "numpy", "lenet5-nopool"])
def test_every_format_gives_the_results_of_torch(out: Path, tmp_path: Path, name: str) -> None:
    net = lab.load(name, out=out, framework="torch")
    files = {"onnx": "m.onnx", "safetensors": "m.safetensors", "torch_export": "m.pt2"}
    paths = {kind: tmp_path / file for kind, file in files.items()}
    few = 1 if name == "numpy" else 1000
    found = lab.export(name, out=out, samples=few, **paths)  # type: ignore[arg-type]
    assert [(file.path, file.size) for file in found.files] == [
        (path, path.stat().st_size) for path in paths.values()
    ]
    for file in (found.files[0], found.files[2]):
        assert file.check is not None
        n = min(few, 540)
        assert (file.check.data, file.check.n, file.check.same) == ("digits", n, n)
        assert 0 <= file.check.difference < 1e-5 * file.check.largest
    images = data.load("digits").test_images[:7]
    wanted = net.logits(images)
    program = torch.export.load(paths["torch_export"]).module()
    for count in (1, 7):
        tensor = torch.from_numpy(images[:count].copy())
        for logits in (
            in_onnx_runtime(paths["onnx"], images[:count]),
            program(tensor).detach().numpy(),
            lab.load(paths["safetensors"]).logits(images[:count]),
        ):
            np.testing.assert_allclose(logits, wanted[:count], rtol=1e-4, atol=1e-4)


def test_a_graph_says_what_it_takes_and_what_its_outputs_mean(out: Path, tmp_path: Path) -> None:
    net = lab.load("lenet5-max", out=out)
    paths = tmp_path / "m.onnx", tmp_path / "m.pt2"
    found = lab.export(net, onnx=paths[0], torch_export=paths[1])
    model = onnx.load(paths[0])
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["classes"]) == list("0123456789")
    assert json.loads(said["config"])["net"] == "lenet5"
    assert json.loads(said["inputs"])["offset"] == net.inputs.offset
    assert said["takes"] == "pixels"
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert tuple(shape) == found.shape == ("batch", 1, 28, 28)
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    output = [d.dim_param or d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert output == ["batch", 10]
    beside = dict.fromkeys(said, "")
    torch.export.load(paths[1], extra_files=beside)
    assert beside == said


def test_a_graph_can_take_scaled_images(out: Path, tmp_path: Path) -> None:
    net = lab.load("lenet5-nopool", out=out)
    found = lab.export(net, onnx=tmp_path / "m.onnx", input="scaled")
    assert (found.takes, found.shape) == ("scaled", ("batch", 1, 20, 20))
    images = data.load("digits").test_images[:3]
    logits = in_onnx_runtime(tmp_path / "m.onnx", np.asarray(net.prepare(images)))
    np.testing.assert_allclose(logits, net.logits(images), rtol=1e-4, atol=1e-4)


def test_a_run_that_resizes_takes_images_of_any_size(out: Path, tmp_path: Path) -> None:
    net = lab.load("lenet5-nopool", out=out)
    assert lab.export(net, onnx=tmp_path / "m.onnx").shape == ("batch", 1, "height", "width")
    rng = np.random.default_rng(0)
    for size in ((28, 28), (20, 20), (9, 31), (200, 130)):
        images = rng.integers(0, 256, (2, 1, *size), dtype=np.uint8)
        logits = in_onnx_runtime(tmp_path / "m.onnx", images)
        np.testing.assert_allclose(logits, net.logits(images), rtol=1e-3, atol=1e-4)


def test_exported_graphs_need_no_flexpool(tmp_path: Path) -> None:
    published(tmp_path, config_of("lenet5", "soft"), (1, 28, 28))
    path = tmp_path / "m.pt2"
    found = lab.export("lenet5-soft", torch_export=path, samples=0, out=tmp_path)
    assert found.files[0].check is None
    assert json.loads(json.dumps(found.to_dict()))["files"][0]["kind"] == "torch-export"
    program = torch.export.load(path)
    targets = [str(node.target) for node in program.graph.nodes]
    assert len(targets) > 10
    assert not [target for target in targets if "flexpool" in target]


def test_a_graph_with_other_results_is_not_written(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = lab.load("lenet5-max", out=out), data.load("digits").test_images[:9]
    right = net.logits(images)
    for wrong in (right * 1.002, right[:, ::-1], np.full_like(right, np.nan)):
        with pytest.raises(ExportError, match=r"net \(onnx\) gives other results than PyTorch"):
            exporting._compared(net, images, "pixels", _each_in_turn(wrong), "onnx")
    check = exporting._compared(net, images, "pixels", _each_in_turn(right), "onnx")
    assert (check.n, check.same, check.difference) == (9, 9, 0)
    monkeypatch.setattr(exporting, "_in_onnx_runtime", lambda content: lambda x: np.zeros((1, 10)))
    with pytest.raises(ExportError) as caught:
        lab.export(net, safetensors=tmp_path / "m.safetensors", onnx=tmp_path / "m.onnx", samples=1)
    most = abs(right[:1]).max()
    assert str(caught.value) == (
        "export: the exported net (onnx) gives other results than PyTorch: they differ by up to "
        f"{most:.2g}, where the largest is {most:.2g}. Nothing was written."
    )
    assert not [*tmp_path.iterdir()]


def _each_in_turn(results: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Stand in for a graph: give results for as many images as there come, in their order."""
    left = [*results]
    return lambda images: np.stack([left.pop(0) for _ in images])


class Unheard(nn.Module):
    """A layer whose size depends on its values, which no graph has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_layers_that_cannot_be_exported_are_said(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = lab.load("lenet5-max", out=out)
    broken = dataclasses.replace(net, model=nn.Sequential(Unheard(), *net.model))
    with pytest.raises(ExportError, match="export: lenet5/max cannot be exported: .+"):
        lab.export(broken, onnx=tmp_path / "m.onnx", samples=0)
    known = deployed.blocks()["slice"]
    reason = "Its size depends on a learned value."
    entry = {"max": dataclasses.replace(known, unexported=reason)}
    monkeypatch.setattr(deployed, "blocks", lambda: entry)
    with pytest.raises(ExportError) as caught:
        lab.export(net, onnx=tmp_path / "m.onnx")
    assert str(caught.value) == f"export: lenet5/max cannot be exported. {reason}"
    assert not [*tmp_path.iterdir()]


def test_bad_arguments(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for arguments, message in (
        ({}, "expected onnx, safetensors or torch_export to name at least one file, got None."),
        ({"onnx": path, "input": "bytes"}, "unknown input 'bytes'. Known: pixels, scaled."),
        ({"onnx": path, "samples": -1}, "expected samples to be an int >= 0, got -1."),
    ):
        with pytest.raises(ArgumentError) as caught:
            lab.export("lenet5-max", out=out, **arguments)  # type: ignore[arg-type]
        assert str(caught.value) == f"export: {message}"
    with pytest.raises(StorageError, match="Choose a folder that exists"):
        lab.export("lenet5-max", onnx=tmp_path / "no" / "m.onnx", samples=0, out=out)


# Of the catalogue, each net: on a data set that it can be trained on, at a size that it takes.
SIZES = {"nin": 224, **dict.fromkeys(["vgg-small", "resnet20"], 32)}
SIZES |= dict.fromkeys(["cnn-c", "strided-cnn-c", "convpool-cnn-c", "allcnn-c"], 32)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(nets.NETS))
@pytest.mark.parametrize("of", ["mnist", "fashion_mnist"])
def test_every_net_gives_onnx_runtime_the_same_classes(tmp_path: Path, name: str, of: str) -> None:
    (where,) = (row.where for row in data.available() if row.name == of)
    if where.startswith("to be downloaded"):
        pytest.skip(f"no {of} here: name its folder in FLEXPOOL_DATA_DIR")
    whole = data.load(of)
    count = 256 if name == "nin" else 1024
    some = dataclasses.replace(
        whole,
        train_images=whole.train_images[:count],
        train_labels=whole.train_labels[:count],
        test_images=whole.test_images[:50],
        test_labels=whole.test_labels[:50],
    )
    sgd = nets.find(name).name in ("nin", "lenet5-1998", "lenet5-sigmoid")
    config = config_of(
        name,
        data=of,
        data_fingerprint=whole.fingerprint,
        resize=SIZES.get(name),
        initialisation="xavier-uniform" if sgd else "own",
        threads=2,
    )
    record = train_torch.run(config, some, Store(tmp_path))
    assert record.status == "done"
    found = lab.export(name, onnx=tmp_path / "m.onnx", samples=1000, out=tmp_path)
    check = found.files[0].check
    assert check is not None
    print(
        f"\n{name} on {of}: same class for {check.same} of {check.n}; outputs up to "
        f"{check.largest:.3g} differ by {check.difference:.1e}"
    )
    assert (check.n, check.same) == (1000, 1000)
