"""The confusion matrix: counted by hand, kept, and shown on terminals of any width."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import confusion_matrix

from flexpool import lab
from flexpool.cli.classes import show_classes
from flexpool.errors import StorageError
from flexpool.lab import train_numpy, train_torch
from flexpool.lab.confusion import Confusion
from flexpool.lab.store import Store

PETS = Confusion(("cat", "dog", "guinea pig"), ((8, 2, 0), (3, 6, 1), (0, 0, 0)))


def shown(found, width):
    console = Console(width=width, file=io.StringIO(), highlight=False)
    show_classes(console, found)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_it_is_scikit_learns(few):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    images = train_torch.Images(
        few.test_images, few.test_labels, offset=0.0, scale=1 / 255, device="cpu"
    )
    counts = torch.zeros(10, 10, dtype=torch.int64)
    _, accuracy, _ = train_torch.evaluate(model, images, counts)
    x, y = images.batch(torch.arange(len(images)))
    wanted = confusion_matrix(y, model(x).argmax(1))
    np.testing.assert_array_equal(counts.numpy(), wanted)
    assert accuracy == wanted.trace() / len(images)


@pytest.mark.parametrize("run", [train_torch.run, train_numpy.run])
def test_a_run_keeps_that_of_its_last_epoch(tmp_path, config, few, run):
    store, plan = Store(tmp_path), config()
    record = run(plan, few, store)
    found = store.confusion(plan)
    assert found.classes == few.classes
    counts = np.array(found.counts)
    np.testing.assert_array_equal(counts.sum(1), np.bincount(few.test_labels, minlength=10))
    assert counts.trace() / counts.sum() == record.curve[-1].test_accuracy


def test_a_run_of_before_has_none_and_a_damaged_one_is_named(tmp_path):
    record = lab.train(epochs=1, out=tmp_path, progress=False)
    path = tmp_path / "runs" / record.config.folder / "confusion.csv"
    for content in (b"true,0,1\n0,3\n1,2,2\n", b"true,0,1\n1,3,4\n0,2,2\n", b"true,0\n0,many\n"):
        path.write_bytes(content)
        with pytest.raises(StorageError, match="is damaged"):
            Store(tmp_path).confusion(record.config)
    path.unlink()
    assert Store(tmp_path).confusion(record.config) is None


def test_names_with_commas_and_quotes_come_back():
    found = Confusion(('a,"b"', "c\nd"), ((1, 2), (3, 4)))
    assert Confusion.from_csv(found.to_csv()) == found


def test_shares_and_mistakes_by_hand():
    assert PETS.accuracies() == (0.8, 0.6, None)
    assert PETS.mistakes(1) == [("cat", 3), ("guinea pig", 1)]
    assert PETS.mistakes(0) == [("dog", 2)]


def test_the_matrix_is_shown_where_it_fits():
    assert shown(PETS, 80) == [
        "Test images by class (rows), and what they were taken for (columns):",
        "             0 1 2 accuracy",
        "0 cat        8 2 ·    0.800",
        "1 dog        3 6 1    0.600",
        "2 guinea pig · · ·",
    ]


def test_a_narrow_terminal_gets_a_table_by_class():
    counts = tuple(tuple(100_000 * n for n in row) for row in PETS.counts)
    many = Confusion(("household cat", "dog", "guinea pig"), counts)
    assert shown(many, 47)[3].split() == ["0", "household", "cat", "800000", "200000", "·", "0.800"]
    assert shown(many, 44) == [
        "Test images by class:",
        "class         images  accuracy  taken for",
        "household    1000000     0.800  dog 200000",
        "cat",
        "dog          1000000     0.600  household",
        "                                cat",
        "                                300000,",
        "                                guinea pig",
        "                                100000",
        "guinea pig         0",
    ]


def test_of_a_hundred_classes_the_least_recognised_are_shown():
    counts = np.full((100, 100), 0)
    np.fill_diagonal(counts, np.arange(100))
    counts[:, 0] += 100
    lines = shown(Confusion.of(tuple(f"class {n}" for n in range(100)), counts), 80)
    assert lines[0] == "The 20 of 100 classes that were recognised least:"
    assert [line.split()[1] for line in lines[2:]] == [str(n) for n in range(1, 21)]
    assert lines[2].split()[2:] == ["101", "0.010", "class", "0", "100"]
