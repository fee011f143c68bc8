"""What a net takes and gives, kept beside every run and inside every file of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from flexpool.errors import ArgumentError
from flexpool.lab import Store, train
from flexpool.lab.data import load
from flexpool.lab.inputs import Inputs
from flexpool.lab.loop import scaling


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_run_keeps_what_its_net_takes(tmp_path: Path, framework: str) -> None:
    record = train("lenet5", epochs=1, out=tmp_path, framework=framework, progress=False)
    offset, scale = scaling("standard", load("digits").train_images)
    assert record.inputs == Inputs((1, 28, 28), tuple("0123456789"), offset, scale)
    folder = tmp_path / "runs" / record.config.folder
    assert Inputs.from_json((folder / "inputs.json").read_text()) == record.inputs
    assert Store(tmp_path).find(record.config) == record
    with safe_open(folder / "weights.safetensors", "np") as file:
        metadata = file.metadata()
    assert Inputs.from_json(metadata["inputs"]) == record.inputs
    assert json.loads(metadata["config"])["net"] == "lenet5"


def test_a_run_of_before_has_none(tmp_path: Path) -> None:
    record = train("lenet5", epochs=1, out=tmp_path, progress=False)
    (tmp_path / "runs" / record.config.folder / "inputs.json").unlink()
    found = Store(tmp_path).find(record.config)
    assert found is not None
    assert found.inputs is None
    assert found.curve == record.curve


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("image", "28", "expected image to be a list of int, got '28'."),
        ("image", (1, 28), "expected image to be channels, height and width, got (1, 28)."),
        ("image", (1, 0, 28), "expected image to be an int > 0, got 0."),
        ("classes", (1, 2), "expected classes to be a list of str, got (1, 2)."),
        ("classes", (), "expected classes to name at least one, got ()."),
        ("offset", "0", "expected offset to be a number, got '0'."),
        ("scale", float("inf"), "expected scale to be a finite number, got inf."),
    ],
)
def test_bad_inputs(name: str, value: object, message: str) -> None:
    values = {"image": (1, 2, 3), "classes": ("cat",), "offset": 0.0, "scale": 1.0, name: value}
    with pytest.raises(ArgumentError) as caught:
        Inputs(**values)  # type: ignore[arg-type]
    assert str(caught.value) == message
