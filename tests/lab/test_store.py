"""The store: whole runs or none, and clear words for a damaged one."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from flexpool.errors import StorageError
from flexpool.lab import files
from flexpool.lab.store import Epoch, Record, Store

CURVE = (
    Epoch(1, 2.25, 0.1, 2.0, 0.25, 0.5, 0.125),
    Epoch(2, 0.1 + 0.2, 1 / 3, 1e-17, 2 / 3, 0.75, 1.5),
)


@pytest.fixture
def record(config):
    return Record(config(), "done", "", 61_706, 416_520, CURVE, {"python": "3.11"})


def test_what_is_put_in_comes_out_to_the_last_digit(tmp_path, record):
    store = Store(tmp_path)
    with store.claim(record.config):
        store.publish(record, {"w": torch.ones(2)})
    assert store.find(record.config) == record
    assert Store(tmp_path).records() == [record]


def test_a_run_appears_in_full_or_not_at_all(tmp_path, record, monkeypatch):
    store = Store(tmp_path)
    written = []
    original = files.write_atomically

    def failing_after(count):
        def write(path, content):
            if len(written) == count:
                raise StorageError("cannot write: No space left on device.")
            written.append(path)
            original(path, content)

        return write

    for count in range(5):  # config, environment, curve, result, weights
        written.clear()
        with store.claim(record.config), monkeypatch.context() as patch:
            patch.setattr("flexpool.lab.store.write_atomically", failing_after(count))
            with pytest.raises(StorageError):
                store.publish(record, {"w": torch.ones(2)})
        assert store.find(record.config) is None
        assert store.records() == []
    with store.claim(record.config):
        store.publish(record, {"w": torch.ones(2)})
    assert store.find(record.config) == record
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == [".locks", ".partial", record.config.folder]


def test_a_reader_never_meets_half_a_run(tmp_path, config):
    store, stop, met = Store(tmp_path), threading.Event(), []

    def read():
        while not stop.is_set():
            met.append(len(store.records()))  # raises if a run is not whole

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read)
        for seed in range(60):
            record = Record(config(seed=seed), "done", "", 1, 1, CURVE, {})
            with store.claim(record.config):
                store.publish(record, {"w": torch.ones(1000)})
        stop.set()
        reader.result()
    assert met == sorted(met)
    assert len(set(met)) > 10, "the reader hardly looked"


@pytest.mark.parametrize("name", ["result.json", "config.json", "curve.csv", "environment.json"])
@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_run_is_named_with_a_remedy(tmp_path, record, name, damage):
    store = Store(tmp_path)
    with store.claim(record.config):
        store.publish(record, {})
    path = tmp_path / "runs" / record.config.folder / name
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-12] + b"x,")
    with pytest.raises(StorageError) as caught:
        store.find(record.config)
    assert str(path.parent) in str(caught.value)
    assert "Remove that folder and start again" in str(caught.value)


def test_who_comes_second_waits_and_finds_the_run_finished(tmp_path, record):
    store, found = Store(tmp_path), []

    def second():
        with store.claim(record.config):
            found.append(store.find(record.config))

    with store.claim(record.config):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        assert found == []
        store.publish(record, {})
    thread.join(10)
    assert found == [record]


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file.*: Not a directory\."):
        Store(tmp_path / "file" / "results").prepare()


def test_looking_writes_nothing(tmp_path, config):
    store = Store(tmp_path)
    assert (store.find(config()), store.records(), store.unfinished()) == (None, [], {})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_so(tmp_path, record, monkeypatch):
    store = Store(tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with store.claim(record.config):
        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(StorageError) as caught:
            store.publish(record, {})
    assert "No space left on device. The disk is full: free some space" in str(caught.value)
    assert list((tmp_path / "runs").rglob("*.tmp")) == []


def test_foreign_folders_beside_the_runs_are_named(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "runs" / "holiday pictures").mkdir(parents=True)
    with pytest.raises(StorageError, match="holiday pictures"):
        store.records()
