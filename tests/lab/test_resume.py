"""Going on from any checkpoint, amid an epoch too: the same numbers to the last digit."""

import dataclasses
import json
import os
import pickle
import shutil
import signal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from flexpool import lab
from flexpool.errors import ArgumentError, StorageError
from flexpool.lab import nets, train_numpy, train_torch
from flexpool.lab.checkpoints import Checkpoints, read
from flexpool.lab.recording import Recording
from flexpool.lab.store import Store
from forked import python

RUN = {"torch": train_torch.run, "numpy": train_numpy.run}


class StopError(BaseException):
    """Stands for the end of the process."""


def without_time(record):
    return [dataclasses.replace(row, train_seconds=0.0) for row in record.curve]


def stopping_at(place):
    """Stop as soon as the log has a line of this place, as ``epoch 2/3  batch 3/4``."""

    def on_progress(progress):
        if progress.line.startswith(place):
            raise StopError

    return on_progress


def weights(store, config, name="weights"):
    return load_file(store.runs / config.folder / f"{name}.safetensors")


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], strict=True, err_msg=name)


DRAWING = {"net": "lenet5", "downsampling": "stochastic"}
DESCENT = {"optimiser": "sgd", "lr": 0.05, "momentum": 0.9}


@pytest.mark.parametrize(
    ("framework", "settings"),
    [
        ("torch", {"downsampling": "max"}),
        ("torch", DRAWING | DESCENT),
        ("torch", {"precision": "bfloat16", "validation": 0.1}),
        ("numpy", DRAWING),
        ("numpy", DESCENT | {"validation": 0.1}),
    ],
    ids=["adam", "drawing", "bfloat16", "numpy", "numpy-descent"],
)
def test_cut_amid_an_epoch_it_goes_on_to_the_same_digits(
    tmp_path, config, few, framework, settings
):
    plan, run = config(epochs=3, framework=framework, **settings), RUN[framework]
    recording = Recording(checkpoint_every=2, log_every=1)
    whole = run(plan, few, Store(tmp_path / "whole"), recording=recording)
    assert whole.status == "done"
    store = Store(tmp_path / "cut")
    for place in ("epoch 1/3  batch 3/", "epoch 2/3  batch 3/", "epoch 3/3  batch 1/"):
        with pytest.raises(StopError):
            run(plan, few, store, stopping_at(place), recording)
    lines = []
    resumed = run(plan, few, store, lambda progress: lines.append(progress.line), recording)
    assert lines[0].startswith("epoch 3/3  batch 1/"), "it began anew instead of going on"
    assert without_time(resumed) == without_time(whole)
    for name in ("weights", "best"):
        assert_same(weights(store, plan, name), weights(Store(tmp_path / "whole"), plan, name))
    assert store.confusion(plan) == Store(tmp_path / "whole").confusion(plan)


def test_layers_that_draw_go_on_drawing_where_they_were(tmp_path, config, few):
    """Dropout by torch's own generator: the state in the checkpoint decides, not the seed."""
    plan = config(epochs=1, **DRAWING)
    store, recording = Store(tmp_path), Recording(checkpoint_every=2, log_every=1)
    whole = train_torch.run(plan, few, Store(tmp_path / "whole"), recording=recording)
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 1/1  batch 3/"), recording)
    folder = store.checkpoints(plan)
    found, _ = folder.newest()
    torch.manual_seed(99)
    other = found.tensors | {"rng.cpu": torch.get_rng_state().numpy()}
    folder.save(dataclasses.replace(found, tensors=other), keep=3)
    assert without_time(train_torch.run(plan, few, store)) != without_time(whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with all its checkpoints: its record and its folder."""
    out = tmp_path_factory.mktemp("finished")
    record = lab.train(
        "lenet5/stochastic",
        epochs=3,
        batch_size=300,
        checkpoint_every=2,
        keep=99,
        out=out,
        progress=False,
    )
    return record, out / "runs" / record.config.folder


def test_from_any_checkpoint_of_a_finished_run_the_same_comes(finished, tmp_path, capsys):
    record, folder = finished
    files = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}
    paths = Checkpoints(folder / "checkpoints").paths()
    assert [path.name.partition("-acc")[0] for path in paths] == [
        f"epoch0{epoch}-batch0000{batch}" for epoch in (1, 2, 3) for batch in (2, 4, 5)
    ]
    for number, path in enumerate(paths):
        elsewhere = lab.resume(path, out=tmp_path / str(number), progress=False)
        assert without_time(elsewhere) == without_time(record)
        assert_same(
            load_file(tmp_path / str(number) / "runs" / folder.name / "best.safetensors"),
            load_file(folder / "best.safetensors"),
        )
    assert lab.resume(paths[4]) == record  # where it is: it stays as it is
    assert "the same numbers as the run that is there" in capsys.readouterr().err
    assert files == {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}
    assert not (folder.parent / ".partial" / folder.name).exists()


def test_another_outcome_does_not_replace_a_finished_run(finished, tmp_path, capsys):
    record, folder = finished
    old = (folder / "curve.csv").read_text()
    path = Checkpoints(folder / "checkpoints").paths()[2]
    found = read(path)
    other = {n: a + 0.5 if n.startswith("model.") else a for n, a in found.tensors.items()}
    forged = Checkpoints(tmp_path).save(dataclasses.replace(found, tensors=other), keep=3)
    again = lab.resume(forged, out=folder.parent.parent)
    assert without_time(again) != without_time(record)
    assert (folder / "curve.csv").read_text() == old
    aside = folder.parent / ".again" / folder.name
    assert f"This one is in {aside}." in capsys.readouterr().err
    assert (aside / "curve.csv").read_text() != old
    assert lab.Store(folder.parent.parent).records() == [record]


def test_with_more_epochs_it_is_the_longer_run(finished, tmp_path):
    record, folder = finished
    path = Checkpoints(folder / "checkpoints").paths()[6]
    longer = lab.resume(path, epochs=4, out=tmp_path / "resumed", progress=False)
    plain = lab.train(
        "lenet5/stochastic", epochs=4, batch_size=300, out=tmp_path / "plain", progress=False
    )
    assert longer.config == plain.config
    assert without_time(longer) == without_time(plain)
    assert without_time(longer)[:3] == without_time(record)


def test_going_back_gives_up_what_is_of_later(tmp_path, config, few):
    plan, store = config(epochs=3), Store(tmp_path)
    recording = Recording(checkpoint_every=2, keep=99, log_every=1)
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 3/3  batch 4/"), recording)
    paths = store.checkpoints(plan).paths()
    assert paths[-1].name.startswith("epoch03-batch00002")
    back = dataclasses.replace(recording, resume=paths[2])
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 2/3  batch 3/"), back)
    assert store.checkpoints(plan).paths() == paths[:3]


@pytest.mark.parametrize("harm", ["cut", "pickle", "shape", "other"])
def test_a_damaged_newest_one_costs_only_its_batches(tmp_path, config, few, harm):
    plan, store, recording = (
        config(epochs=2),
        Store(tmp_path / "cut"),
        Recording(checkpoint_every=1),
    )
    whole = train_torch.run(plan, few, Store(tmp_path / "whole"))
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 2/2"), recording)
    before, newest = store.checkpoints(plan).paths()[-2:]
    found = read(newest)
    if harm == "cut":
        newest.write_bytes(newest.read_bytes()[:-1])
    elif harm == "pickle":
        newest.write_bytes(pickle.dumps(found.tensors))
    else:
        changes = {"config": config(epochs=2, seed=1)}
        if harm == "shape":
            changes = {"tensors": found.tensors | {"model.conv1.weight": np.ones((6, 1, 5, 4))}}
        Checkpoints(newest.parent).save(dataclasses.replace(found, **changes), keep=99)
    said = []
    record = train_torch.run(
        plan, few, store, lambda p: said.append(p.warning), recording=Recording(log_every=1)
    )
    assert without_time(record) == without_time(whole)
    said = [text for text in said if text]
    assert len(said) == 2
    words = {"cut": "is cut short", "pickle": "a pickle", "other": "is of another run"}
    assert words.get(harm, "has the shape (6, 1, 5, 4) instead of (6, 1, 5, 5)") in said[0]
    assert said[1] == f"lenet5/max seed 0 goes on from {before.name}."


def test_where_all_are_damaged_it_begins_anew_and_says_so(tmp_path, config, few):
    plan, store = config(epochs=2), Store(tmp_path / "cut")
    whole = train_torch.run(plan, few, Store(tmp_path / "whole"))
    with pytest.raises(StopError):
        train_torch.run(plan, few, store, stopping_at("epoch 2/2"), Recording(checkpoint_every=2))
    for path in store.checkpoints(plan).paths():
        path.write_bytes(path.read_bytes()[:1000])
    assert store.unfinished() == {plan.folder: 0}
    said = []
    record = train_torch.run(plan, few, store, lambda progress: said.append(progress.warning))
    assert without_time(record) == without_time(whole)
    assert [text for text in said if text][-1] == "lenet5/max seed 0 goes on from the beginning."


def test_a_run_that_broke_goes_on_from_its_checkpoint(tmp_path, config, few, monkeypatch):
    plan, store, recording = config(epochs=3), Store(tmp_path / "cut"), Recording(log_every=1)
    whole = train_torch.run(plan, few, Store(tmp_path / "whole"))

    def broken(progress):
        if progress.line.startswith("epoch 3/3  batch 2/"):
            raise MemoryError

    assert train_torch.run(plan, few, store, broken, recording).status == "error"
    assert store.unfinished() == {}
    lines = []
    again = train_torch.run(plan, few, store, lambda p: lines.append(p.line), recording)
    assert lines[0].startswith("epoch 3/3  batch 1/")
    assert without_time(again) == without_time(whole)
    assert [record.status for record in store.records()] == ["done"]


def test_a_kill_amid_an_epoch_costs_the_batches_since_the_last_checkpoint(tmp_path):
    program = f"""
import os, signal, sys
from flexpool import lab
from flexpool.lab import training
class Killed(training._Training):
    def _log(self, batch, *rest):
        super()._log(batch, *rest)
        if self.place.epoch == 2 and batch == 6 and {str(tmp_path / "killed")!r} in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
training._Training = Killed
lab.train("lenet5", epochs=2, batch_size=150, checkpoint_every=4, log_every=1, out=sys.argv[1])
"""
    killed = python("-c", program, tmp_path / "killed")
    assert killed.returncode == -signal.SIGKILL
    assert "epoch 2/2  batch 6/9" in killed.stderr.splitlines()[-1]
    assert list((tmp_path / "killed").glob("runs/[!.]*")) == []
    arguments = ("--epochs", "2", "--batch-size", "150", "--log-every", "1")
    again = ("-m", "flexpool", "train", *arguments, "--out", tmp_path / "killed")
    resumed = python(*again, env=os.environ | {"COLUMNS": "100"})
    assert resumed.returncode == 0, resumed.stderr
    assert "epoch 2/2  batch 5/9" in resumed.stderr.splitlines()[0]  # two batches are done again
    lab.train("lenet5", epochs=2, batch_size=150, out=tmp_path / "whole", progress=False)
    (one,), (other,) = (Store(tmp_path / name).records() for name in ("killed", "whole"))
    assert without_time(one) == without_time(other)


@pytest.fixture
def forged(finished, tmp_path):
    """Write a checkpoint with other content and the right checksum."""

    def forge(config=None, **changes):
        _, folder = finished
        found = read(Checkpoints(folder / "checkpoints").paths()[4])
        settings = dataclasses.replace(found.config, **(config or {}))
        changed = dataclasses.replace(found, config=settings, **changes)
        return Checkpoints(tmp_path / "forged").save(changed, keep=9)

    return forge


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (
            {"torch": "1.0"},
            ArgumentError,
            "resume: the checkpoint is of a run with torch '1.0', and here it is "
            f"{torch.__version__!r}: it would not go on to the same numbers.",
        ),
        (
            {"data_fingerprint": "abc"},
            ArgumentError,
            "resume: the checkpoint is of a run with data_fingerprint 'abc', and here it is ",
        ),
        ({"procedure": 0}, ArgumentError, "resume: the checkpoint is of a run with procedure 0,"),
        ({"net": "../../x"}, StorageError, "unknown net '..'."),
        ({"downsampling": "../x"}, StorageError, "unknown downsampling '../x'."),
        ({"data": "../x"}, StorageError, "unknown data set '../x'."),
        ({"seed": "../x"}, StorageError, "expected seed to be an int >= 0, got '../x'."),
        ({"seed": -1}, StorageError, "expected seed to be an int >= 0, got -1."),
        ({"threads": "1/../x"}, ArgumentError, "expected threads to be an int > 0"),
        ({"device": "../x"}, ArgumentError, "expected device to be auto, cpu, cuda or cuda:N"),
        ({"framework": "../x"}, StorageError, "unknown framework '../x'."),
        ({"torch": "../x"}, ArgumentError, "is of a run with torch '../x'"),
    ],
)
def test_a_checkpoint_of_what_cannot_run_here_is_refused(forged, tmp_path, change, error, text):
    path = forged(change)
    with pytest.raises(error) as caught:
        lab.resume(path, out=tmp_path / "out", progress=False)
    assert text in str(caught.value)
    assert list((tmp_path / "out").rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        ("model.conv1.weight", np.ones((6, 1, 5, 6)), "its model.conv1.weight has the shape"),
        ("model.conv9.weight", np.ones(3), "has a tensor 'model.conv9.weight', which lenet5/"),
        ("optimiser.99.exp_avg", np.ones(3), "has a tensor 'optimiser.99.exp_avg', which"),
        ("optimiser.0.exp_avg", np.ones(3), "its optimiser.0.exp_avg has the shape (3,)"),
        ("best.conv1.bias", np.ones(7), "its best.conv1.bias has the shape (7,) instead of (6,)"),
        ("payload", np.ones(3), "has a tensor 'payload', which lenet5/stochastic seed 0 has not"),
        ("rng.cpu", np.ones(5056, np.uint8), "is not usable"),
        ("rng.cpu", None, "it has no rng.cpu."),
        ("model.conv1.bias", None, "it has no model.conv1.bias."),
    ],
)
def test_tensors_no_run_has_are_refused(forged, finished, tmp_path, name, array, text):
    _, folder = finished
    tensors = dict(read(Checkpoints(folder / "checkpoints").paths()[4]).tensors)
    tensors.pop(name, None)
    path = forged(tensors=tensors if array is None else tensors | {name: array})
    with pytest.raises(StorageError) as caught:
        lab.resume(path, out=tmp_path / "out", progress=False)
    assert str(caught.value).startswith(f"resume: the checkpoint {path.name} is not usable: ")
    assert text in str(caught.value)
    assert lab.Store(tmp_path / "out").records() == []


def test_a_generators_state_that_is_none_is_refused_by_numpys_runs(tmp_path, config, few):
    plan, store = config(framework="numpy", **DRAWING), Store(tmp_path)
    recording = Recording(checkpoint_every=1)
    with pytest.raises(StopError):
        train_numpy.run(plan, few, store, stopping_at("epoch 1/2"), recording)
    found, _ = store.checkpoints(plan).newest()
    name = min(name for name in found.tensors if name.startswith("rng."))
    for text in (b"{}", b"no JSON", json.dumps({"bit_generator": "PCG64", "state": 1}).encode()):
        other = found.tensors | {name: np.frombuffer(text, np.uint8)}
        store.checkpoints(plan).save(dataclasses.replace(found, tensors=other), keep=3)
        with pytest.raises(StorageError, match="is not usable"):
            train_numpy.run(plan, few, store)


@pytest.mark.parametrize(
    ("epochs", "text"),
    [
        (0, "resume: expected epochs to be an int > 0, got 0."),
        (1, "resume: expected epochs to be at least 2, the checkpoint's, got 1."),
    ],
)
def test_epochs_that_are_over_are_refused(finished, epochs, text):
    path = Checkpoints(finished[1] / "checkpoints").paths()[4]
    with pytest.raises(ArgumentError) as caught:
        lab.resume(path, epochs=epochs, progress=False)
    assert str(caught.value) == text


def test_a_cosine_cannot_be_made_longer(forged, tmp_path):
    path = forged({"schedule": "cosine"})
    with pytest.raises(ArgumentError, match="epochs to be left out where the schedule is cosine"):
        lab.resume(path, epochs=9, out=tmp_path, progress=False)


def command(*arguments, **options):
    return python("-m", "flexpool", "train", *arguments, **options)


def test_the_command_names_the_whole_one_before_a_damaged_one(finished, tmp_path):
    _, folder = finished
    shutil.copytree(folder, tmp_path / "runs" / folder.name)
    paths = Checkpoints(tmp_path / "runs" / folder.name / "checkpoints").paths()
    target = paths[1]
    target.write_bytes(target.read_bytes()[:5000])
    done = command("--resume", target)
    assert done.returncode == 2
    before = paths[0]
    said = " ".join(done.stderr.split())
    assert said.startswith(f"Error: resume: the checkpoint {target} is cut short, damaged or none")
    assert said.endswith(f"The newest whole one before it is {before}.")
    done = command("--resume", before)
    assert done.returncode == 0
    assert f"Run: {tmp_path / 'runs' / folder.name}" in done.stdout
    done = command("--resume", before, "--lr", "0.1", "--epochs", "4")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: train: expected --lr to be left out with --resume: the checkpoint has the settings "
        "of its run, got 0.1.\n"
    )


def test_a_checkpoint_has_the_net_and_knows_whether_it_is_amid_an_epoch(finished):
    found = [read(path) for path in Checkpoints(finished[1] / "checkpoints").paths()]
    assert [checkpoint.amid_epoch for checkpoint in found] == [True, True, False] * 3
    model = nets.build("lenet5", "stochastic")
    for checkpoint in found:
        own = {n[6:]: a for n, a in checkpoint.tensors.items() if n.startswith("model.")}
        model.load_state_dict({name: torch.from_numpy(array) for name, array in own.items()})
