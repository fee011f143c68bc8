"""What the rest of the laboratory and the command line use."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from flexpool.errors import ArgumentError
from flexpool.lab import data
from flexpool.lab.data import verify
from lab.data.fakes import CLASSES, NAMES, Fake
from lab.data.loopback import Server


def test_a_data_set_says_what_it_is(alpha: Fake) -> None:
    loaded = data.load("alpha")
    assert (loaded.name, loaded.classes) == ("alpha", CLASSES)
    assert (loaded.licence, loaded.citation) == ("none", "nobody")
    with pytest.raises(FrozenInstanceError):
        loaded.name = "beta"  # type: ignore[misc]


def test_loading_twice_gives_the_same_object(alpha: Fake, tmp_path: Path) -> None:
    alpha.write(tmp_path / "mine" / "alpha")
    first = data.load("alpha", tmp_path / "mine")
    assert data.load("alpha", str(tmp_path / "mine")) is first
    assert data.load("alpha", tmp_path / "mine" / ".." / "mine") is first


def test_a_relative_folder_is_the_same_folder(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha.write(tmp_path / "mine" / "alpha")
    monkeypatch.chdir(tmp_path)
    first = data.load("alpha", "mine")
    assert data.load("alpha", tmp_path / "mine") is first
    (tmp_path / "other" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")
    assert data.load("alpha", "mine").source != first.source


def test_another_folder_is_read_anew(alpha: Fake, tmp_path: Path) -> None:
    alpha.write(tmp_path / "one" / "alpha")
    alpha.write(tmp_path / "two" / "alpha")
    one, two = (data.load("alpha", tmp_path / name) for name in ("one", "two"))
    assert (one.source, two.source) == (
        str(tmp_path / "one" / "alpha"),
        str(tmp_path / "two" / "alpha"),
    )
    assert one.fingerprint == two.fingerprint


def test_an_unknown_name_gets_the_nearest_and_all() -> None:
    with pytest.raises(ArgumentError) as caught:
        data.load("fashion-mnist")
    assert str(caught.value) == (
        "data.load: unknown data set 'fashion-mnist'. Did you mean 'fashion_mnist'? "
        "Known: digits, mnist, fashion_mnist, cifar10, cifar100, cifar100-coarse, folder:PATH."
    )


def test_a_name_must_be_text() -> None:
    with pytest.raises(ArgumentError, match=r"data.show: expected name to be a str, got 3\."):
        data.show(3)  # type: ignore[arg-type]


def test_available_lists_the_published_sets_in_order() -> None:
    rows = data.available()
    assert [(row.name, row.train, row.test, row.shape, len(row.classes)) for row in rows] == [
        ("digits", 1257, 540, (1, 28, 28), 10),
        ("mnist", 60000, 10000, (1, 28, 28), 10),
        ("fashion_mnist", 60000, 10000, (1, 28, 28), 10),
        ("cifar10", 50000, 10000, (3, 32, 32), 10),
        ("cifar100", 50000, 10000, (3, 32, 32), 100),
        ("cifar100-coarse", 50000, 10000, (3, 32, 32), 20),
    ]
    assert [row.where for row in rows] == [
        "embedded",
        "to be downloaded (12 MB)",
        "to be downloaded (31 MB)",
        "to be downloaded (171 MB)",
        "to be downloaded (169 MB)",
        "to be downloaded (169 MB)",
    ]
    licences = ["CC BY 4.0", "CC BY-SA 3.0", "MIT", *["none stated"] * 3]
    assert [row.licence for row in rows] == licences


def test_available_says_what_is_here_and_what_is_missing(
    alpha: Fake, server: Server, cache: Path, tmp_path: Path
) -> None:
    def where() -> str:
        return next(row.where for row in data.available(tmp_path) if row.name == "alpha")

    assert where() == "to be downloaded (6 MB)"
    own = alpha.write(tmp_path / "alpha", names=NAMES[:2])
    assert where() == f"{own} and to be downloaded (3 MB)"
    alpha.write(cache / "alpha", names=NAMES[1:3])
    assert where() == f"{own} and {cache / 'alpha'} and to be downloaded (2 MB)"
    alpha.write(own)
    assert where() == str(own)
    assert server.requests == []


def test_available_reads_no_images(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alpha.write(tmp_path)
    opened: list[str] = []
    whole = verify._decompress

    def watch(path: Path, most: int) -> bytes:
        opened.append(path.name)
        return whole(path, most)

    monkeypatch.setattr(verify, "_decompress", watch)
    data.available(tmp_path)
    assert set(opened) == {f"{NAMES[3]}.gz"}


def test_importing_is_quiet_and_light() -> None:
    program = (
        "import sys, types, pathlib, flexpool\n"
        "lab = types.ModuleType('flexpool.lab')\n"
        "lab.__path__ = [str(pathlib.Path(flexpool.__file__).parent / 'lab')]\n"
        "sys.modules['flexpool.lab'] = lab\n"
        "import flexpool.lab.data\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'matplotlib', 'requests', 'rich', 'pooch'}\n"
        "sys.exit(f'imported {heavy & set(sys.modules)}' if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
