"""The executors: one contract, the same numbers, and no hang when a process dies."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flexpool.errors import FlexpoolError, StorageError
from flexpool.lab import data
from flexpool.lab.executors import Job, execute
from flexpool.lab.store import Store


@pytest.fixture
def configs(config, digits):
    """Three variants with two seeds, on the data that worker processes can load themselves."""
    return [
        config(net=net, downsampling=down, seed=seed, epochs=1, data_fingerprint=digits.fingerprint)
        for net, down in (("lenet5", "max"), ("lenet5", "strided"), ("lenet5-nopool", "strided"))
        for seed in (0, 1)
    ]


def curves(records):
    return {
        r.config.id: [dataclasses.replace(row, train_seconds=0.0) for row in r.curve]
        for r in records
    }


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.heavy)])
def test_every_executor_gives_the_same_curves_to_the_last_digit(tmp_path, configs, workers):
    seen = []
    serial = list(execute(Job(tmp_path / "1"), configs, 1, lambda progress: None))
    parallel = list(execute(Job(tmp_path / "n"), configs, workers, seen.append))
    assert curves(parallel) == curves(serial)
    assert len(parallel) == len(configs)
    assert {progress.config.id for progress in seen} == {config.id for config in configs}
    assert {r.status for r in Store(tmp_path / "n").records()} == {"done"}


def test_the_calling_process_sees_how_far_runs_are(tmp_path, configs):
    seen = []
    list(execute(Job(tmp_path), [configs[0]], 1, seen.append))
    assert [progress.epochs for progress in seen][-1] == 1.0
    assert all(0.0 <= progress.accuracy <= 1.0 and progress.loss > 0.0 for progress in seen)


def process_of(config):
    """Find the child process that trains a configuration, by the lock it holds."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(config.folder in file.path for file in child.open_files()):
                return child
    return None


def test_a_process_that_dies_costs_its_own_run_only(tmp_path, configs):
    long = dataclasses.replace(configs[0], epochs=10_000)
    killed = []

    def kill_the_long_run(progress):
        if progress.config.id == long.id and (process := process_of(long)):
            killed.append(process.pid)
            process.kill()

    records = list(execute(Job(tmp_path), [long, *configs[1:]], 2, kill_the_long_run))
    by_id = {r.config.id: r for r in records}
    assert len(set(killed)) >= 2, "it is tried once more, alone"
    assert by_id[long.id].status == "error"
    assert by_id[long.id].message == "its process died, most often because memory ran out"
    assert [by_id[config.id].status for config in configs[1:]] == ["done"] * 5


def test_an_error_for_the_user_stops_everything_and_leaves_no_process(tmp_path, configs):
    job = Job(tmp_path, data_dir=tmp_path / "no such folder")
    mnist = [dataclasses.replace(config, data="mnist") for config in configs]
    with pytest.raises(FlexpoolError, match="no such folder"):
        list(execute(job, mnist, 2, lambda progress: None))


def test_a_store_that_cannot_be_written_stops_everything(tmp_path, configs):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        list(execute(Job(tmp_path / "file"), configs, 2, lambda progress: None))


def test_workers_do_not_outlive_their_parent(tmp_path):
    program = (
        "from flexpool.lab import compare\n"
        f"compare(net='lenet5', seeds=2, epochs=10000, workers=2, out={str(tmp_path)!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("runs/.locks/*.lock"))) < 2:
            assert time.monotonic() < deadline, "the workers never began"
            time.sleep(0.1)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert alive == []


def test_a_script_without_a_main_guard_may_use_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from flexpool.lab import compare\n"
        "comparison = compare(net='lenet5,lenet5/avg', seeds=1, epochs=1, workers=2,\n"
        f"                     out={str(tmp_path / 'out')!r}, progress=False)\n"
        "print(len(comparison.runs))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "2\n"


def test_jobs_load_the_data_they_are_told(tmp_path, configs):
    assert data.load("digits").fingerprint == configs[0].data_fingerprint
