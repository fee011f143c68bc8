"""Checkpoints: what is written comes back, and nothing else is ever taken for one."""

import dataclasses
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save, save_file

from flexpool.errors import StorageError
from flexpool.lab.checkpoints import Checkpoint, Checkpoints, Place, Sums, read
from flexpool.lab.record import Epoch

ROWS = tuple(
    Epoch(n, 0.1 + 0.2, 1 / 3, 1e-17, accuracy, 0.75, 1.5)
    for n, accuracy in ((1, 0.5), (2, 0.9), (3, 0.7), (4, 0.8))
)


@pytest.fixture
def make(config):
    """Make a checkpoint after so many batches of an epoch of ten."""

    def checkpoint(epoch, batch):
        done = epoch if batch == 10 else epoch - 1
        sums = Sums(batch * 64, 0.1 + 0.2, batch * 32)
        place = Place(epoch, batch, sums, Sums(64, 1 / 3, 1), 2.5)
        tensors = {"model.w": np.arange(100, dtype=np.float32), "rng.cpu": np.ones(3, np.uint8)}
        return Checkpoint(config(epochs=9), place, ROWS[:done], tensors)

    return checkpoint


@pytest.fixture
def kept(tmp_path, make):
    """Two checkpoints in a folder; what they are called."""
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    return [checkpoints.save(make(*at), keep=5) for at in ((1, 10), (2, 5))]


def names(folder):
    return [path.name for path in Checkpoints(folder).paths()]


def test_what_is_put_in_comes_out_to_the_last_digit(tmp_path, make):
    for at in ((1, 3), (1, 10), (3, 10)):
        written = make(*at)
        found = read(Checkpoints(tmp_path).save(written, keep=3))
        assert dataclasses.replace(found, tensors={}) == dataclasses.replace(written, tensors={})
        for name, array in written.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], array)
            assert found.tensors[name].dtype == array.dtype


def test_names_have_epoch_batch_and_accuracy(kept):
    assert [path.name for path in kept] == [
        "epoch01-batch00010-acc0.5000.safetensors",  # on test images, at the end of an epoch
        "epoch02-batch00005-acc0.5000.safetensors",  # of training so far
    ]


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (1, ["epoch02-batch00010", "epoch04-batch00010"]),
        (2, ["epoch02-batch00010", "epoch04-batch00005", "epoch04-batch00010"]),
        (9, [f"epoch0{e}-batch000{b}" for e in (1, 2, 3, 4) for b in ("05", "10")]),
    ],
)
def test_the_newest_and_that_of_the_best_epoch_stay(tmp_path, make, keep, left):
    for epoch in (1, 2, 3, 4):
        for batch in (5, 10):
            Checkpoints(tmp_path).save(make(epoch, batch), keep)
    assert [name.partition("-acc")[0] for name in names(tmp_path)] == left


def test_none_stays_where_none_is_to_be_kept(kept):
    Checkpoints(kept[0].parent).thin(0, best=1)
    assert names(kept[0].parent) == []


def test_the_order_is_that_of_numbers(tmp_path):
    for name in ("epoch100-batch00001-acc0.1", "epoch99-batch100000-acc0.2", "epoch99-batch2-acc1"):
        (tmp_path / f"{name}.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    found = [name.partition("-acc")[0] for name in names(tmp_path)]
    assert found == ["epoch99-batch2", "epoch99-batch100000", "epoch100-batch00001"]


def test_the_end_of_an_epoch_takes_the_place_of_its_last_batch(tmp_path, make):
    end = make(2, 10)
    Checkpoints(tmp_path).save(dataclasses.replace(end, curve=ROWS[:1]), keep=5)
    assert names(tmp_path) == ["epoch02-batch00010-acc0.5000.safetensors"]
    Checkpoints(tmp_path).save(end, keep=5)
    assert names(tmp_path) == ["epoch02-batch00010-acc0.9000.safetensors"]


def test_what_is_of_later_is_dropped(kept):
    folder = kept[0].parent
    Checkpoints(folder).drop_after(Place(1, 10))
    assert names(folder) == [kept[0].name]
    Checkpoints(folder).drop_after(None)
    assert names(folder) == []


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5, "torch", "old torch"])
def test_a_pickle_is_refused_and_never_opened(tmp_path, kept, protocol):
    target, path = tmp_path / "harm", kept[1]
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps(Bomb(target), protocol))
    else:
        torch.save(Bomb(target), path, _use_new_zipfile_serialization=protocol == "torch")
    with pytest.raises(StorageError) as caught:
        read(path)
    assert str(caught.value) == (
        f"the checkpoint {path} is a pickle, or a zip archive of torch.save with one in it: "
        "opening it would run whatever code is in there, so it is refused unopened. "
        f"flexpool's checkpoints are safetensors. The newest whole one before it is {kept[0]}."
    )
    found, complaints = Checkpoints(path.parent).newest()
    assert (found.place.epoch, len(complaints)) == (1, 1)
    assert not target.exists()
    if protocol == 4:  # the test's bomb does go off
        pickle.loads(path.read_bytes())  # noqa: S301 - what the code under test must not do
        assert target.exists()


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_pickles_are_no_safetensors_either(tmp_path, kept, protocol):
    kept[1].write_bytes(pickle.dumps(Bomb(tmp_path / "harm"), protocol) * 40)
    with pytest.raises(StorageError, match=r"is cut short, damaged or none at all \("):
        read(kept[1])
    assert not (tmp_path / "harm").exists()


def rewrite(path, metadata=None, tensors=None):
    """Write a checkpoint with other content, checksum and all left as they were."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    old = json.loads(content[8 : 8 + size])["__metadata__"]
    save_file(load_file(path) | (tensors or {}), path, old | (metadata or {}))


def damage(path, how):
    content = path.read_bytes()
    header = struct.unpack("<Q", content[:8])[0]
    if how == "empty":
        path.write_bytes(b"")
    elif how == "few bytes":
        path.write_bytes(content[:5])
    elif how == "in the header":
        path.write_bytes(content[: 8 + header // 2])
    elif how == "by a byte":
        path.write_bytes(content[:-1])
    elif how == "a bit of a number":
        path.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
    elif how == "a digit of the curve":
        path.write_bytes(content.replace(b"0.75", b"0.85", 1))
    elif how == "absurd header":
        path.write_bytes(struct.pack("<Q", 2**63) + content[8:])
    elif how == "large header":
        path.write_bytes(struct.pack("<Q", 99_000_000) + content[8:])
    elif how == "offsets beyond the file":
        text = content[8 : 8 + header].replace(b'"data_offsets":[0,', b'"data_offsets":[9,')
        path.write_bytes(content[:8] + text + content[8 + header :])
    elif how == "a zip behind":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("data.pkl", b"cos\nsystem\n.")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("empty", "is cut short, damaged or none at all"),
        ("few bytes", "is cut short, damaged or none at all"),
        ("in the header", "is cut short, damaged or none at all"),
        ("by a byte", "is cut short, damaged or none at all"),
        ("absurd header", "is cut short, damaged or none at all"),
        ("large header", "is cut short, damaged or none at all"),
        ("offsets beyond the file", "is cut short, damaged or none at all"),
        ("a zip behind", "is cut short, damaged or none at all"),
        ("a bit of a number", "is damaged: its checksum is another one."),
        ("a digit of the curve", "is damaged: its checksum is another one."),
    ],
)
def test_a_damaged_one_is_named_with_the_one_before_it(kept, how, says):
    before = kept[1].read_bytes()
    damage(kept[1], how)
    assert kept[1].read_bytes() != before
    with pytest.raises(StorageError) as caught:
        read(kept[1])
    assert str(caught.value).startswith(f"the checkpoint {kept[1]} {says}")
    assert str(caught.value).endswith(f" The newest whole one before it is {kept[0]}.")
    found, complaints = Checkpoints(kept[1].parent).newest()
    assert found.place == Place(1, 10, Sums(640, 0.1 + 0.2, 320), Sums(64, 1 / 3, 1), 2.5)
    assert [says in text for text in complaints] == [True]


def test_where_none_is_whole_it_says_so(kept):
    for path in kept:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StorageError, match="There is no whole one before it"):
        read(kept[1])
    found, complaints = Checkpoints(kept[1].parent).newest()
    assert (found, len(complaints)) == (None, 2)


def test_additions_are_refused(kept):
    rewrite(kept[1], metadata={"payload": "cos\nsystem\n."})
    with pytest.raises(StorageError, match=r"holds what no run writes: \['payload'\]"):
        read(kept[1])
    rewrite(kept[0], tensors={"payload": np.frombuffer(b"cos\nsystem\n.", np.uint8)})
    with pytest.raises(StorageError, match="its checksum is another one"):
        read(kept[0])


def test_weights_are_no_checkpoint(tmp_path):
    save_file({"w": np.ones(3)}, tmp_path / "best.safetensors")
    with pytest.raises(StorageError, match="is no checkpoint: it holds weights"):
        read(tmp_path / "best.safetensors")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError) as caught:
        read(tmp_path / "epoch01-batch00001-acc0.1.safetensors")
    assert "cannot read the checkpoint" in str(caught.value)
    assert "No such file or directory." in str(caught.value)


@pytest.mark.parametrize("epoch", ["../../x", 1.5, -1, True, 7])
def test_places_that_cannot_be_are_refused(tmp_path, make, epoch, monkeypatch):
    """Even with the right checksum: whoever forges a checkpoint can forge that as well."""
    from flexpool.lab import checkpoints

    real = checkpoints.json.dumps

    def forged(value, **options):
        if isinstance(value, dict) and "sums" in value:
            value = value | {"epoch": epoch}
        return real(value, **options)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.json, "dumps", forged)
        path = Checkpoints(tmp_path).save(make(1, 10), keep=3)
    with pytest.raises(StorageError, match="is of another version of flexpool"):
        read(path)


def test_a_length_that_looks_like_a_pickles_start_is_none(tmp_path):
    """A header of 0x280 bytes begins as a pickle of protocol 2 does."""
    for pad in range(0, 400, 8):
        content = save({"w": np.ones(3, np.float32)}, {"x": "x" * (480 + pad)})
        if content[:2] == b"\x80\x02":
            break
    else:
        pytest.fail("no such length was met")
    (tmp_path / "best.safetensors").write_bytes(content)
    with pytest.raises(StorageError, match="is no checkpoint: it holds weights"):
        read(tmp_path / "best.safetensors")
