"""The command line: what it prints, and what it says to bad input."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from forked import python

SMALL = ("--net", "lenet5", "--epochs", "1", "--seeds", "2", "--workers", "1")


def flexpool(*arguments, check=True, **options):
    done = python("-m", "flexpool", *arguments, **options)
    assert "Traceback" not in done.stderr + done.stdout
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A small comparison, and what it printed."""
    out = tmp_path_factory.mktemp("results")
    nets = ("--net", "lenet5,lenet5-nopool", "--epochs", "2", "--seeds", "2", "--workers", "1")
    return out, flexpool("compare", *nets, "--out", str(out))


def test_version_and_help():
    assert flexpool("--version").stdout.startswith("flexpool 0.")
    assert "compare" in flexpool("--help").stdout


def test_compare_prints_a_table_a_verdict_and_the_report(results):
    out, done = results
    for text in ("lenet5/max", "lenet5-nopool/strided", "61,706", "66,346", "p (Holm)"):
        assert text in done.stdout
    verdict = json.loads((out / "comparison.json").read_text())["verdict"]
    assert verdict in " ".join(done.stdout.split())
    assert f"{out / 'report.html'}" in done.stdout
    assert "run 4/4" in done.stderr


def test_compare_again_trains_nothing(results):
    out, _ = results
    nets = ("--net", "lenet5,lenet5-nopool", "--epochs", "2", "--seeds", "2", "--workers", "1")
    done = flexpool("compare", *nets, "--out", str(out))
    assert done.stderr == "4 of 4 runs are there already\n"


def test_runs_lists_what_is_there(results):
    out, _ = results
    assert "lenet5-max-digits-seed0-" in flexpool("runs", "--out", str(out)).stdout
    listed = json.loads(flexpool("runs", "--out", str(out), "--json").stdout)
    assert [run["seed"] for run in listed] == [0, 1, 0, 1]
    assert {run["status"] for run in listed} == {"done"}


def test_train_is_a_run_of_the_comparison(results):
    out, _ = results
    done = flexpool("train", "--epochs", "2", "--seed", "1", "--out", str(out))
    assert done.stderr == "1 of 1 runs are there already\n"
    assert "61,706 parameters" in done.stdout


def test_data_list_and_show(tmp_path):
    listed = flexpool("data", "list", cwd=tmp_path).stdout
    assert all(name in listed for name in ("digits", "mnist", "fashion_mnist"))
    flexpool("data", "show", "digits", cwd=tmp_path)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_a_recipe_file_is_used_and_options_replace_it(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('net = ["lenet5/avg", "lenet5/slice"]\nepochs = 1\nseeds = 5\n')
    arguments = ("--recipe", str(recipe), "--seeds", "1", "--workers", "1")
    flexpool("compare", *arguments, "--out", str(tmp_path / "out"))
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [v["name"] for v in saved["variants"]] == ["lenet5/avg", "lenet5/slice"]
    assert saved["settings"]["seeds"] == 1


def test_downsamplings_alone_are_those_of_the_recipes_first_net(tmp_path):
    arguments = ("--downsampling", "avg,slice", "--epochs", "1", "--seeds", "1", "--workers", "1")
    flexpool("compare", *arguments, "--out", str(tmp_path))
    saved = json.loads((tmp_path / "comparison.json").read_text())
    assert [v["name"] for v in saved["variants"]] == ["lenet5/avg", "lenet5/slice"]


def recipe_with(tmp_path, content):
    path = tmp_path / "recipe.toml"
    path.write_text(content)
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "mnits"), "unknown data set 'mnits'. Did you mean 'mnist'?"),
        (("--net", "lenet"), "unknown net 'lenet'. Did you mean 'lenet5'?"),
        (("--downsampling", "maxx"), "unknown downsampling 'maxx'. Did you mean 'max'?"),
        (("--epochs", "0"), "compare: expected epochs to be an int > 0, got 0."),
        (("--epochs", "many"), "Invalid value for '--epochs'"),
        (("--seeds", "-3"), "compare: expected seeds to be an int > 0, got -3."),
        (("--batch-size", "0"), "compare: expected batch_size to be an int > 0, got 0."),
        (("--lr", "0"), "compare: expected lr to be a finite number > 0, got 0.0."),
        (("--workers", "0"), "compare: expected workers to be an int > 0, got 0."),
        (("--threads", "0"), "compare: expected threads to be an int > 0, got 0."),
        (("--device", "tpu"), "compare: expected device to be auto, cpu, cuda or cuda:N"),
        (("--scaling", "big"), "unknown scaling 'big'."),
        (("--recipe", "lenet5-digit"), "unknown recipe 'lenet5-digit'. Did you mean"),
        (("--recipe", "nowhere.toml"), "cannot read the recipe nowhere.toml"),
        (("--data-dir", "nowhere", "--data", "mnist"), "nowhere"),
        (("--epoch", "3"), "No such option"),
        (("--net", ""), "expected net to name at least one net"),
    ],
)
def test_bad_input_is_refused_in_one_clear_message(tmp_path, arguments, message):
    done = flexpool("compare", *SMALL, *arguments, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""
    assert list(tmp_path.rglob("result.json")) == []


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path):
    recipe = recipe_with(tmp_path, "epoch = 3\n")
    done = flexpool("compare", "--recipe", recipe, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert f"recipe {recipe}: unknown key 'epoch'. Did you mean 'epochs'?" in done.stderr


@pytest.mark.parametrize("inside", ["results", "deeper/results"])
def test_an_out_that_cannot_be_written_is_refused_before_training(tmp_path, inside):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / inside
    done = flexpool("compare", *SMALL, "--out", str(out), check=False)
    assert done.returncode == 2
    assert f"Error: compare: cannot write {out}" in done.stderr
    assert "Choose a folder" in done.stderr


def test_a_truncated_data_file_is_refused(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(b"\x1f\x8b\x08\x00damaged")
    arguments = ("--data", "mnist", "--data-dir", str(tmp_path), "--out", str(tmp_path / "out"))
    done = flexpool("compare", *SMALL, *arguments, check=False)
    assert done.returncode == 2
    assert str(folder / "train-images-idx3-ubyte.gz") in done.stderr
    assert list((tmp_path / "out").rglob("result.json")) == []


def test_runs_of_a_folder_without_any(tmp_path):
    done = flexpool("runs", "--out", str(tmp_path), check=False)
    assert done.returncode == 2
    assert "Error: there are no runs in" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_what_is_finished_stays(tmp_path):
    """Every write fails once one run is finished, as on a disk that has filled up."""
    program = f"""
import errno, os, sys
from pathlib import Path
from flexpool.lab import files
from flexpool.cli import main
real = os.fsync
def fsync(descriptor):
    if list(Path({str(tmp_path)!r}).glob("runs/[!.]*")):
        raise OSError({errno.ENOSPC}, os.strerror({errno.ENOSPC}))
    real(descriptor)
files.os.fsync = fsync
sys.argv = ["flexpool", "compare", *{SMALL!r}, "--out", {str(tmp_path)!r}]
main()
"""
    done = python("-c", program)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "No space left on device. The disk is full: free some space" in done.stderr
    assert len(json.loads(flexpool("runs", "--out", str(tmp_path), "--json").stdout)) == 1
    flexpool("compare", *SMALL, "--out", str(tmp_path))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, workers):
    arguments = ("--net", "lenet5", "--epochs", "3", "--seeds", "200", "--workers", workers)
    process = subprocess.Popen(
        [sys.executable, "-m", "flexpool", "compare", *arguments, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background of a shell, it is ignored, and would be here too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("runs/[!.]*"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        out, err = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in err + out
    kept = len(list(tmp_path.glob("runs/[!.]*")))
    assert f"of 200 runs are finished and kept in {tmp_path}." in err
    assert "Type the same command again to go on from there." in err
    assert int(err.split("Interrupted. ")[1].split()[0]) in (kept, kept - 1, kept - 2)
