"""The commands for trained nets: what they print, and what they say to bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

from flexpool import lab
from flexpool.cli.app import app
from flexpool.lab.data import load


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    lab.train(epochs=2, out=folder, progress=False)
    for number in range(2):
        Image.fromarray(load("digits").test_images[number, 0]).save(folder / f"{number}.png")
    return folder


def flexpool(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.output


def test_predict_prints_classes_probabilities_and_bars(out: Path) -> None:
    net = lab.load("lenet5", out=out)
    pictures = [out / "0.png", out / "1.png"]
    rows = net.predict(pictures)
    printed = flexpool("predict", "lenet5", *pictures, "--out", out, "--top", 2)
    lines = [line for line in printed.splitlines() if "%" in line]
    assert len(lines) == 4
    for line, row, place in zip(lines, rows.repeat(2, axis=0), (0, 1, 0, 1), strict=True):
        best = int((-row).argsort()[place])
        assert re.search(rf"\b{best} +{100 * row[best]:.1f} %", line)
        assert abs(line.count("█") - 24 * row[best]) < 1
    plain = json.loads(flexpool("predict", "lenet5", *pictures, "--out", out, "--json"))
    assert [entry["class"] for entry in plain] == [str(row.argmax()) for row in rows]
    assert [len(entry["top"]) for entry in plain] == [3, 3]
    assert plain[1]["probability"] == pytest.approx(rows[1].max(), rel=1e-5)
    turned = json.loads(
        flexpool("predict", "lenet5", pictures[0], "--out", out, "--json", "--invert")
    )
    assert turned[0]["top"] != plain[0]["top"]


def test_evaluate_prints_what_it_found(out: Path) -> None:
    found = lab.evaluate("lenet5", out=out)
    printed = flexpool("evaluate", "lenet5", "--out", out)
    low, high = found.ci95 or (0, 0)
    assert "lenet5/max seed 0 on 540 test images of digits\n" in printed
    assert (
        f"accuracy {found.accuracy:.4f} [{low:.4f}, {high:.4f}], top 2 {found.top2:.4f}" in printed
    )
    lines = [line.split() for line in printed.splitlines()]
    for number, each in enumerate(found.classes):
        counts = [str(count or "·") for count in found.confusion.counts[number]]
        assert [str(number), *counts, f"{each.accuracy:.3f}"] in lines
    plain = json.loads(flexpool("evaluate", "lenet5", "--out", out, "--data", "digits", "--json"))
    assert plain == json.loads(json.dumps(found.to_dict()))


def test_export_writes_and_says_what_it_compared(out: Path, tmp_path: Path) -> None:
    onnx, tensors = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    printed = flexpool("export", "lenet5", "--out", out, "--onnx", onnx, "--safetensors", tensors)
    assert "same class for 540 of 540 test images of digits; outputs up to" in printed
    assert "images: uint8 (batch, 1, 28, 28) -> logits: float32 (batch, 10)" in printed
    assert onnxruntime.InferenceSession(onnx).get_inputs()[0].type == "tensor(uint8)"
    assert lab.load(tensors).config.net == "lenet5"
    again = flexpool(
        *("export", tensors, "--torch-export", tmp_path / "m.pt2", "--input", "scaled"),
        *("--samples", 0, "--json"),
    )
    plain = json.loads(again)
    assert (plain["takes"], plain["files"][0]["check"]) == ("scaled", None)
    assert plain["files"][0]["size"] == (tmp_path / "m.pt2").stat().st_size


def test_bad_input_is_one_line(out: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"PK\x03\x04 and more")
    for arguments, message in (
        (("predict", "lenet5", "no.png"), "Error: predict: there is no picture no.png."),
        (
            ("predict", "lenet5", out / "0.png", "--top", 0),
            "expected --top to be an int > 0",
        ),
        (("predict", "nin", out / "0.png"), "Error: load: unknown run 'nin'. In "),
        (("evaluate", tmp_path / "m.pt"), "m.pt is a pickle, which can run any code"),
        (("evaluate", "lenet5", "--data", "letters"), "unknown data set 'letters'"),
        (("export", "lenet5"), "Error: export: expected onnx, safetensors or torch_export to name"),
        (("export", "lenet5", "--onnx", "m", "--input", "x"), "unknown input 'x'. Known: pixels"),
    ):
        printed = flexpool(*arguments, "--out", out, code=2)
        assert message in printed
        assert len(printed.splitlines()) == 1
