"""Trained nets given back whole, and what is said of files that cannot be."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from flexpool import lab
from flexpool.errors import ArgumentError, DataError, DtypeError, ShapeError, StorageError
from flexpool.lab import nets
from flexpool.lab.data import load as load_data
from flexpool.lab.downsampling import DOWNSAMPLINGS
from flexpool.lab.loop import scaling
from flexpool.lab.store import Store
from flexpool.lab.training import failed
from lab.trained import config_of, published


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of each framework, and one that resizes its images."""
    folder = tmp_path_factory.mktemp("results")
    for settings in ({}, {"framework": "numpy"}, {"resize": 20, "net": "lenet5/avg"}):
        lab.train(**{"epochs": 2, "out": folder, "progress": False, **settings})  # type: ignore[arg-type]
    return folder


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    """The folder of the torch run, to be broken."""
    (run,) = out.glob("runs/lenet5-max*")
    target = tmp_path / "runs" / run.name
    target.mkdir(parents=True)
    for name in ("config.json", "inputs.json", "result.json", "weights.safetensors"):
        (target / name).write_bytes((run / name).read_bytes())
    return target


def accuracy(net: lab.Kept) -> float:
    data = load_data("digits")
    predicted = net.predict(data.test_images).argmax(axis=1)
    return float((predicted == data.test_labels).mean())


@pytest.mark.parametrize("name", ["lenet5-max", "numpy-lenet5", "lenet5-avg"])
def test_a_net_given_back_is_as_good_as_the_one_that_was_trained(out: Path, name: str) -> None:
    (record,) = (r for r in Store(out).records() if r.config.folder.startswith(name))
    net = lab.load(name, out=out)
    assert (net.config, net.inputs) == (record.config, record.inputs)
    assert net.classes == tuple("0123456789")
    assert not net.model.training
    assert accuracy(net) == record.curve[-1].test_accuracy
    assert accuracy(net) > 0.7
    probabilities = net.predict(load_data("digits").test_images[:300])
    assert probabilities.shape == (300, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_a_run_is_found_by_folder_name_id_and_file(out: Path) -> None:
    (folder,) = out.glob("runs/lenet5-max*")
    wanted = folder / "weights.safetensors"
    identity = folder.name.rpartition("-")[2]
    for run in (folder, str(folder), wanted, folder.name, folder.name[:11], identity, identity[:7]):
        net = lab.load(run, out=out)
        assert net.source == wanted
        assert net.config.id == identity


def test_frameworks_can_be_changed(out: Path) -> None:
    images = load_data("digits").test_images[:50]
    trained = lab.load("numpy", out=out)
    moved = lab.load("numpy", out=out, framework="torch")
    assert (trained.framework, moved.framework) == ("numpy", "torch")
    assert isinstance(moved.model, torch.nn.Sequential)
    assert not isinstance(trained.model, torch.nn.Module)
    np.testing.assert_allclose(trained.logits(images), moved.logits(images), atol=1e-4)
    again = moved.of("numpy")
    np.testing.assert_array_equal(again.logits(images), trained.logits(images))
    with pytest.raises(ArgumentError) as caught:
        lab.load("lenet5-avg", out=out, framework="numpy")
    assert "expected framework to be torch where a run resizes its images" in str(caught.value)


def test_what_a_net_takes_is_prepared_as_in_training(out: Path) -> None:
    images = load_data("digits").test_images[:4]
    offset, scale = scaling("standard", load_data("digits").train_images)
    wanted = (images.astype(np.float64) - offset) * scale
    for name in ("lenet5-max", "numpy"):
        x = np.asarray(lab.load(name, out=out).prepare(images))
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, wanted, atol=1e-6)
    small = lab.load("lenet5-avg", out=out).prepare(images)
    assert small.shape == (4, 1, 20, 20)
    bytes_ = [np.asarray(Image.fromarray(i[0]).resize((20, 20), 2), np.float64) for i in images]
    expected = (np.stack(bytes_)[:, None] - offset) * scale
    np.testing.assert_allclose(small.numpy(), expected, atol=1.01 * scale)  # Pillow rounds, twice


@pytest.mark.parametrize("name", sorted(nets.NETS))
def test_every_net_is_given_back(tmp_path: Path, name: str) -> None:
    image = nets.find(name).image
    model = published(tmp_path, config_of(name), image)
    net = lab.load(name, out=tmp_path)
    assert type(net.model) is type(model)
    state = model.state_dict()
    assert net.model.state_dict().keys() == state.keys()
    assert all(torch.equal(t, state[n]) for n, t in net.model.state_dict().items())
    if image[-1] <= 32:
        x = torch.rand(2, *image)
        torch.testing.assert_close(net.model(x), model(x), rtol=1e-4, atol=1e-5)


def test_every_downsampling_is_given_back(tmp_path: Path) -> None:
    for name in DOWNSAMPLINGS:
        model = published(tmp_path, config_of("lenet5", name), (1, 28, 28))
        net = lab.load(tmp_path / "runs" / config_of("lenet5", name).folder)
        state = net.model.state_dict()
        for key, tensor in model.state_dict().items():
            assert torch.equal(state[key], tensor), (name, key)


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_checkpoints_and_the_best_stand_for_themselves(tmp_path: Path, framework: str) -> None:
    record = lab.train(epochs=2, framework=framework, out=tmp_path, progress=False)
    net = lab.load(record.config.id, out=tmp_path)
    assert (net.framework, net.source.name) == (framework, "weights.safetensors")
    folder = net.source.parent
    first, last = (
        sorted(folder.glob(f"checkpoints/epoch0{epoch}-batch00020*"))[0] for epoch in (1, 2)
    )
    for file, epoch in ((first, 1), (last, 2), (folder / "best.safetensors", 2)):
        again = lab.load(file)
        assert (again.source, again.config, again.inputs) == (file, net.config, net.inputs)
        assert again.framework == framework
        assert accuracy(again) == record.curve[epoch - 1].test_accuracy
    whole = last.read_bytes()
    last.write_bytes(whole[:-1] + bytes([whole[-1] ^ 64]))  # one bit of one number
    with pytest.raises(StorageError) as caught:
        lab.load(last)
    assert f"{last} is damaged: its checksum is another one." in str(caught.value)
    last.write_bytes(whole[:-1])
    with pytest.raises(StorageError) as caught:
        lab.load(last)
    assert f"{last} is damaged or no file of safetensors (" in str(caught.value)
    beside = str(caught.value).partition(". Use ")[2].removesuffix(", which is whole.")
    assert accuracy(lab.load(beside)) > 0.1


def test_an_unfinished_run_points_to_its_newest_whole_checkpoint(out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / ".partial" / "lenet5-max-digits-seed0-abc"
    (folder / "checkpoints").mkdir(parents=True)
    (weights,) = out.glob("runs/lenet5-max*/weights.safetensors")
    first, second = (folder / "checkpoints" / f"epoch0{i}.safetensors" for i in (1, 2))
    first.write_bytes(weights.read_bytes())
    second.write_bytes(weights.read_bytes()[:-9])
    for run in (folder, "lenet5-max"):
        with pytest.raises(ArgumentError) as caught:
            lab.load(run, out=tmp_path)
        assert str(caught.value) == (
            f"load: expected run to be the folder of a finished run, got {str(run)!r}. "
            f"Give its newest checkpoint: {first}."
        )
    with pytest.raises(StorageError) as refused:
        lab.load(second)
    assert f"{second} is damaged" in str(refused.value)
    assert str(refused.value).endswith(f"Use {first}, which is whole.")


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("kind", ["torch.save", "torch.save of before", *range(6)])
@pytest.mark.parametrize("where", ["file", "weights of a run"])
def test_a_pickle_is_refused_and_not_opened(
    copy: Path, tmp_path: Path, kind: object, where: str
) -> None:
    hit = tmp_path / "hit"
    file = copy / "weights.safetensors" if where != "file" else tmp_path / "best.safetensors"
    if isinstance(kind, int):
        file.write_bytes(pickle.dumps({"conv1.weight": Bomb(hit)}, protocol=kind))
    else:
        torch.save(Bomb(hit), file, _use_new_zipfile_serialization=kind == "torch.save")
    with pytest.raises(StorageError) as caught:
        lab.load(file if where == "file" else copy)
    assert not hit.exists()
    if kind not in (0, 1):  # these protocols are plain text, like much else
        assert str(caught.value) == (
            f"load: {file} is a pickle, which can run any code when it is opened: refused. "
            "flexpool reads safetensors only; save the tensors with safetensors.torch.save_file."
        )


@pytest.mark.parametrize("left", [0, 5, 100, 1200, -1])
def test_a_truncated_file_is_named_and_another_offered(copy: Path, left: int) -> None:
    file = copy / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    with pytest.raises(StorageError) as caught:
        lab.load(copy)
    message = str(caught.value)
    assert message.startswith(f"load: {file} is damaged or no file of safetensors (")
    assert message.endswith("Train the run again.")
    (copy / "best.safetensors").write_bytes(whole)
    with pytest.raises(StorageError, match=re.escape(f"Use {copy / 'best.safetensors'}, which")):
        lab.load(copy)


def changed(file: Path, metadata: dict[str, str] | None = None, **tensors: object) -> None:
    """Write a file of weights anew, with some tensors replaced, or left out where None is given."""
    with safe_open(file, "pt") as stream:
        kept = stream.metadata()
    state = {**load_file(file), **tensors}
    save_file({n: t for n, t in state.items() if t is not None}, file, metadata or kept)


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        (
            {"conv1.weight": torch.zeros(6, 1, 3, 3)},
            "conv1.weight has shape (6, 1, 3, 3), where (6, 1, 5, 5) is expected",
        ),
        ({"fc3.bias": None}, "fc3.bias is missing"),
        ({"fc4.bias": torch.zeros(3)}, "fc4.bias is no tensor of it"),
        (
            {"fc3.bias": torch.zeros(10, dtype=torch.float64)},
            "fc3.bias is of torch.float64, where torch.float32 is expected",
        ),
    ],
)
def test_weights_of_another_net_are_refused(
    copy: Path, tensors: dict[str, object], text: str
) -> None:
    file = copy / "weights.safetensors"
    changed(file, **tensors)
    with pytest.raises(StorageError) as caught:
        lab.load(copy)
    assert str(caught.value) == (
        f"load: the weights of {file} do not fit lenet5/max for images of 1 x 28 x 28 and 10 "
        f"classes: {text}. It is of another net, or was changed: train the run again."
    )


def test_facts_that_do_not_fit_are_refused(copy: Path) -> None:
    inputs = json.loads((copy / "inputs.json").read_text())
    (copy / "inputs.json").write_text(json.dumps(inputs | {"classes": ["one"]}))
    with pytest.raises(StorageError, match=r"fc3.bias has shape \(10,\), where \(1,\) is expected"):
        lab.load(copy)
    (copy / "inputs.json").write_text("{")
    with pytest.raises(StorageError, match=r"the run .* is damaged \(Expecting property name"):
        lab.load(copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "inputs.json").write_text(json.dumps(inputs))
    (copy / "config.json").write_text(json.dumps(config | {"net": "lenet6"}))
    with pytest.raises(ArgumentError, match="cannot build the net of .*unknown net 'lenet6'"):
        lab.load(copy)
    for wrong in ({"net": ["lenet5"]}, {"resize": "20"}, {"resize": True}, {"framework": "tf"}):
        (copy / "config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(StorageError, match=r"weights\.safetensors is of no run there is: RunC"):
            lab.load(copy)


def test_a_file_must_say_of_what_net_it_is(copy: Path) -> None:
    file = copy / "weights.safetensors"
    changed(file, {"format": "pt"})
    with pytest.raises(StorageError) as caught:
        lab.load(file)
    assert str(caught.value) == (
        f"load: {file} does not say of what net it is. Give the folder of its run, or a file that "
        "flexpool wrote."
    )
    assert lab.load(copy).source == file
    changed(file, {"config": "{}"})
    with pytest.raises(StorageError, match=r"says wrongly of what net it is \(.*missing"):
        lab.load(file)


def test_a_run_of_before_is_completed_from_its_data(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLEXPOOL_DATA_DIR", raising=False)
    known = lab.load(copy)
    (copy / "inputs.json").unlink()
    assert lab.load(copy).inputs == known.inputs
    path = copy / "config.json"
    config = json.loads(path.read_text())
    file, before = copy / "weights.safetensors", "as it is of before that was kept"
    for changes, text in (
        ({"data_fingerprint": "other"}, "but the one that is here has other images."),
        ({"data": "mnist"}, "but it is not on this machine. Fetch it with `flexpool data show"),
        ({"data": "letters"}, "but there is none of that name. Train the run again."),
    ):
        path.write_text(json.dumps(config | changes))
        with pytest.raises(DataError) as caught:
            lab.load(copy)
        assert f"{file} does not say what its net takes, {before}" in str(caught.value)
        assert text in str(caught.value)


@pytest.mark.usefixtures("copy")
def test_what_is_no_run_is_refused(out: Path, tmp_path: Path) -> None:
    for run, text in (
        ("nin", r"unknown run 'nin'\. In .* there are: lenet5-avg-digits-seed0-\w+, lenet5-max"),
        ("lenet5", "to be the beginning of one name or id, got 'lenet5'. Give more of one name: l"),
        (3, "expected run to be a path, a name or an id, got 3."),
        (tmp_path, "to be the folder of a finished run, .* It has no checkpoint yet."),
    ):
        with pytest.raises(ArgumentError, match=text):
            lab.load(run, out=out)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="There is none yet: train one."):
        lab.load("lenet5", out=tmp_path / "elsewhere")
    with pytest.raises(ArgumentError, match="load: unknown framework 'tf'"):
        lab.load("lenet5", out=out, framework="tf")


def test_a_run_that_broke_has_no_weights(tmp_path: Path) -> None:
    store, config = Store(tmp_path), config_of("lenet5")
    with store.claim(config):
        failed(config, store, "RuntimeError: no memory")
    with pytest.raises(StorageError) as caught:
        lab.load("lenet5", out=tmp_path)
    assert str(caught.value) == (
        f"load: the run {tmp_path / 'runs' / config.folder} has no weights: it ended with error: "
        "RuntimeError: no memory. Train it again."
    )


def test_a_net_that_diverged_says_so(copy: Path) -> None:
    changed(copy / "weights.safetensors", **{"fc3.bias": torch.full((10,), torch.nan)})
    with pytest.raises(DataError, match="predict: the net of .* its training diverged"):
        lab.load(copy).predict(load_data("digits").test_images[:2])


def test_images_a_net_cannot_take(out: Path) -> None:
    net, resized = lab.load("lenet5-max", out=out), lab.load("lenet5-avg", out=out)
    images = load_data("digits").test_images[:2]
    with pytest.raises(DtypeError) as caught:
        net.predict(images / 255)
    assert str(caught.value) == (
        "predict: expected images to be of dtype uint8, got 'float64'. Give pixels of 0 to 255 as "
        "stored: the net's scaling is applied here."
    )
    for wrong in (images[0], images[:, :, 1:], np.concatenate([images, images], axis=1)):
        with pytest.raises(ShapeError, match=r"expected images to be of shape \(N, 1, 28, 28\)"):
            net.predict(wrong)
    with pytest.raises(ShapeError, match=r"expected images to be of shape \(N, 1, H, W\)"):
        resized.predict(images[0])
    assert resized.predict(images[:, :, 1:]).shape == (2, 10)
    assert net.predict(images[:0]).shape == (0, 10)
    with pytest.raises(ArgumentError, match="expected invert to be left out where images are an a"):
        net.predict(images, invert=True)


def test_pictures_are_predicted_like_the_images_they_show(out: Path, tmp_path: Path) -> None:
    net = lab.load("lenet5-max", out=out)
    images = load_data("digits").test_images[:2]
    wanted = net.predict(images)
    pictures = [Image.fromarray(image[0]) for image in images]
    Image.fromarray(images[1, 0]).save(tmp_path / "second.png")
    dark = Image.fromarray(255 - images[0, 0])
    for given, expected in (
        (pictures, wanted),
        ((tmp_path / "second.png", pictures[0]), wanted[::-1]),
        (pictures[0], wanted[:1]),
        (str(tmp_path / "second.png"), wanted[1:]),
    ):
        np.testing.assert_allclose(net.predict(given), expected, rtol=1e-5)
    np.testing.assert_allclose(net.predict(dark, invert=True), wanted[:1], rtol=1e-5)
    assert not np.allclose(net.predict(dark), wanted[:1], rtol=1e-5)
