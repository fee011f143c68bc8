"""Writing atomically: the old content or the new, and a clear word if neither is possible."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from flexpool.errors import StorageError
from flexpool.lab.files import storing, write_atomically


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "result", b"")
    finally:
        os.umask(before)
    if os.name == "posix":
        assert (tmp_path / "result").stat().st_mode & 0o777 == 0o644


def test_the_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(p.name for p in tmp_path.iterdir()))
    write_atomically(tmp_path / "result", b"new")
    (name,) = seen
    assert name.startswith(".result.")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_after_a_failure_the_old_file_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "result"
    write_atomically(path, b"old")
    where = os if step == "fsync" else Path
    monkeypatch.setattr(where, step, lambda *_: fail(errno.EIO))
    with pytest.raises(StorageError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "result", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "result"
    with pytest.raises(StorageError) as caught:
        write_atomically(path, b"")
    assert str(caught.value) == (
        f"cannot write {path}: No such file or directory. "
        "Choose a folder that exists and that you may write to."
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_apart(number: int) -> None:
    with pytest.raises(StorageError) as caught, storing(Path("result")):
        fail(number)
    assert str(caught.value) == (
        f"cannot write result: {os.strerror(number)}. "
        "The disk is full: free some space and run again; finished files are kept."
    )


def test_an_error_without_words_is_named_by_its_class() -> None:
    with (
        pytest.raises(StorageError, match="cannot write result: TimeoutError"),
        storing(Path("result")),
    ):
        raise TimeoutError
