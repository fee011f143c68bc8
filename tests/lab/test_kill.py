"""A comparison killed ten times ends with the same numbers, and trains nothing twice."""

import contextlib
import json
import random
import subprocess
import sys
import time

import pytest


def command(out):
    return [
        *(sys.executable, "-m", "flexpool", "compare", "--net", "lenet5,lenet5/strided"),
        *("--seeds", "2", "--epochs", "5", "--workers", "2", "--out", str(out)),
    ]


def numbers(out):
    variants = json.loads((out / "comparison.json").read_text())["variants"]
    for variant in variants:
        del variant["train_seconds_per_epoch"]
    return variants


def finished(out):
    """The finished runs, each with a mark that changes if it is written again."""
    return {
        path.parent.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in out.glob("runs/[!.]*/result.json")
    }


def assert_whole(out):
    """Every file that is there under its own name can be read to its end."""
    for path in out.glob("runs/[!.]*/*.json"):
        json.loads(path.read_text())
    for folder in out.glob("runs/[!.]*"):
        assert {path.name for path in folder.iterdir()} == {
            *("config.json", "inputs.json", "environment.json", "curve.csv", "result.json"),
            *("confusion.csv", "weights.safetensors", "best.safetensors"),
        }
    with contextlib.suppress(FileNotFoundError):
        json.loads((out / "comparison.json").read_text())


@pytest.mark.heavy
def test_ten_kills_change_nothing(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    began = time.monotonic()
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    whole = time.monotonic() - began
    moments = random.Random(0)
    kept: dict[str, tuple[int, int]] = {}
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            command(disturbed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # From before the first import to beyond the last run, so that every stage is hit.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moments.uniform(0.2, 0.9 * whole))
        process.kill()
        process.wait()
        kills += 1
        assert_whole(disturbed)
        now = finished(disturbed)
        assert kept.items() <= now.items(), "a finished run was lost or written again"
        kept = now
    subprocess.run(command(disturbed), check=True, capture_output=True)
    assert_whole(disturbed)
    assert kept.items() <= finished(disturbed).items()
    assert numbers(disturbed) == numbers(undisturbed)
    assert len(finished(disturbed)) == 4


def test_a_kill_in_the_middle_changes_nothing(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    subprocess.run(command(undisturbed), check=True, capture_output=True)
    process = subprocess.Popen(
        command(disturbed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while len(finished(disturbed)) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    time.sleep(0.5)  # the workers notice that their parent is gone
    kept = finished(disturbed)
    assert 2 <= len(kept) < 4
    assert_whole(disturbed)
    subprocess.run(command(disturbed), check=True, capture_output=True)
    assert kept.items() <= finished(disturbed).items()
    assert numbers(disturbed) == numbers(undisturbed)
