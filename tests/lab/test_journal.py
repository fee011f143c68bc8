"""The log and TensorBoard's curves: what they say is what was trained, also after a crash."""

import dataclasses
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flexpool import lab
from flexpool.errors import ArgumentError, BackendUnavailable
from flexpool.lab import recording as recording_module
from flexpool.lab import train_torch
from flexpool.lab.display import runs
from flexpool.lab.journal import Line, read_log
from flexpool.lab.recording import Recording
from flexpool.lab.store import Store
from flexpool.lab.training import Progress


class StopError(BaseException):
    """Stands for the end of the process."""


def without_time(lines):
    return [dataclasses.replace(line, seconds=0.0) for line in lines]


def stopping_at(place):
    def on_progress(progress):
        if progress.line.startswith(place):
            raise StopError

    return on_progress


def test_the_lines_of_an_epoch_add_up_to_it(tmp_path, config, few):
    plan = config(epochs=2)
    record = train_torch.run(plan, few, Store(tmp_path), recording=Recording(log_every=3))
    log = read_log(tmp_path / "runs" / plan.folder / "log.csv")
    assert [(line.epoch, line.batch) for line in log] == [(1, 3), (1, 4), (2, 3), (2, 4)]
    for row, lines in zip(record.curve, (log[:2], log[2:]), strict=True):
        images = [192, 8]  # of 200, 64 a batch: after three batches, and of the last
        for name in ("train_loss", "train_accuracy"):
            total = sum(n * getattr(x, name) for n, x in zip(images, lines, strict=True)) / 200
            assert total == pytest.approx(getattr(row, name), rel=1e-5)
        assert 0 < lines[0].seconds <= lines[1].seconds <= row.train_seconds


def test_there_is_no_log_unless_it_is_wanted(tmp_path, config, few):
    train_torch.run(config(epochs=1), few, Store(tmp_path), recording=Recording())
    assert list(tmp_path.rglob("log.csv")) == list(tmp_path.rglob("tensorboard")) == []


def curves(folder):
    """Everything that TensorBoard shows: (step, value) by tag."""
    found = EventAccumulator(str(folder / "tensorboard"))
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_a_crash_leaves_no_trace_in_log_or_curves(tmp_path, config, few):
    plan = config(epochs=3, validation=0.1, schedule="steps", milestones=(1,))
    recording = Recording(checkpoint_every=2, log_every=3, tensorboard=True)
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    record = train_torch.run(plan, few, whole, recording=recording)
    for place in ("epoch 1/3  batch 3", "epoch 2/3  training", "epoch 3/3  batch 3"):
        with pytest.raises(StopError):
            train_torch.run(plan, few, cut, stopping_at(place), recording)
        partial = cut.partial(plan)
        assert curves(partial)["batches/train_loss"], "nothing is shown while it trains"
        with (partial / "log.csv").open("a") as file:
            file.write("3,3,0.1")  # cut by the crash
    train_torch.run(plan, few, cut, recording=recording)
    one, other = whole.runs / plan.folder, cut.runs / plan.folder
    log = read_log(one / "log.csv")
    assert [(line.epoch, line.batch) for line in log] == [(1, 3), (2, 3), (3, 3)]
    assert without_time(read_log(other / "log.csv")) == without_time(log)
    shown = curves(one)
    assert curves(other) == shown
    assert [step for step, _ in shown["batches/train_loss"]] == [3, 6, 9]
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        wanted = [(3 * row.epoch, pytest.approx(getattr(row, name))) for row in record.curve]
        assert shown[f"epochs/{name}"] == wanted
    for name in ("validation_loss", "validation_accuracy"):
        assert [value for _, value in shown[f"epochs/{name}"]] == [
            pytest.approx(getattr(row, name)) for row in record.curve
        ]
    rates = [value for _, value in shown["epochs/learning_rate"]]
    assert rates == [pytest.approx(r) for r in (1e-3, 1e-4, 1e-4)]
    assert len(shown["batches/learning_rate"]) == 3


def test_a_run_begun_anew_begins_its_curves_anew(tmp_path, config, few):
    plan, store, recording = config(epochs=2), Store(tmp_path), Recording(tensorboard=True, keep=0)
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 2/2"), recording)
    train_torch.run(plan, few, store, recording=recording)
    assert [step for step, _ in curves(store.runs / plan.folder)["epochs/test_loss"]] == [4, 8]


def test_a_line_that_is_not_whole_is_left_out(tmp_path):
    (tmp_path / "log.csv").write_text(
        "epoch,batch,train_loss,train_accuracy,seconds\n1,2,0.5,0.75,1.5\n1,4,0."
    )
    assert read_log(tmp_path / "log.csv") == [Line(1, 2, 0.5, 0.75, 1.5)]


def test_the_command_shows_the_lines_of_one_run_and_of_many_if_asked(config, capsys):
    said = Progress(config(), 1.0, 0.5, 0.5, line="epoch 1/2  batch 3/4")
    warned = Progress(config(), 0.0, 0.5, 0.5, warning="[red] is damaged")
    for lines in (False, True):
        with runs(2, 0, wanted=True, lines=lines) as show:
            show.progress(said)
            show.progress(warned)
        wanted = ["lenet5/max seed 0  epoch 1/2  batch 3/4"] if lines else []
        assert capsys.readouterr().err.splitlines() == [*wanted, "[red] is damaged"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"checkpoint_every": 0}, "train: expected checkpoint_every to be an int > 0, got 0."),
        ({"log_every": 1.5}, "train: expected log_every to be an int > 0, got 1.5."),
        ({"keep": -1}, "train: expected keep to be an int >= 0, got -1."),
        ({"tensorboard": "yes"}, "train: expected tensorboard to be True or False, got 'yes'."),
    ],
)
def test_bad_settings(tmp_path, arguments, text):
    with pytest.raises(ArgumentError) as caught:
        lab.train(**arguments, out=tmp_path, progress=False)
    assert str(caught.value) == text


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    real = recording_module.importlib.util.find_spec
    monkeypatch.setattr(
        recording_module.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorboard" else real(name),
    )
    with pytest.raises(BackendUnavailable) as caught:
        lab.train(tensorboard=True, out=tmp_path, progress=False)
    assert "pip install 'flexpool[lab]'" in str(caught.value)
    assert "tensorboard" in sys.modules  # the machine of this test has it
