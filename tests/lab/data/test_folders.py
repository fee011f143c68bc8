"""The user's data folder: which layouts are found, and that nothing false in it is ever used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pooch
import pytest

from flexpool.errors import ArgumentError, DataError
from flexpool.lab import data
from flexpool.lab.data.locate import cache_folder
from flexpool.lab.data.mnist import FASHION_MNIST, MNIST
from lab.data.fakes import NAMES, Fake
from lab.data.loopback import Server

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES


@pytest.mark.parametrize("suffix", [".gz", ""])
@pytest.mark.parametrize("layout", ["alpha", "Alpha/raw", "."])
def test_each_usual_layout_is_found(
    alpha: Fake, server: Server, tmp_path: Path, layout: str, suffix: str
) -> None:
    folder = alpha.write(tmp_path / "mine" / layout, suffix)
    loaded = data.load("alpha", tmp_path / "mine")
    assert loaded.source == str(folder.resolve())
    assert loaded.train_images.tobytes() == alpha.contents[IMAGES][16:]
    assert loaded.train_labels.tolist() == list(alpha.contents[LABELS][8:])
    assert loaded.test_images.tobytes() == alpha.contents[TEST_IMAGES][16:]
    assert loaded.test_labels.tolist() == list(alpha.contents[TEST_LABELS][8:])
    assert server.requests == []


def test_the_published_sets_have_the_usual_layouts() -> None:
    assert MNIST.folders == ("mnist", "MNIST/raw")
    assert FASHION_MNIST.folders == ("fashion_mnist", "FashionMNIST/raw")


def test_where_the_data_lie_does_not_change_them(alpha: Fake, tmp_path: Path) -> None:
    alpha.write(tmp_path / "packed" / "alpha")
    alpha.write(tmp_path / "plain" / "Alpha" / "raw", "")
    packed, plain = (data.load("alpha", tmp_path / name) for name in ("packed", "plain"))
    assert packed.fingerprint == plain.fingerprint
    np.testing.assert_array_equal(packed.train_images, plain.train_images)


def test_the_environment_names_the_folder(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = alpha.write(tmp_path / "mine" / "alpha")
    monkeypatch.setenv("FLEXPOOL_DATA_DIR", str(tmp_path / "mine"))
    assert data.load("alpha").source == str(folder)


def test_the_argument_comes_before_the_environment(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = alpha.write(tmp_path / "mine" / "alpha")
    monkeypatch.setenv("FLEXPOOL_DATA_DIR", str(tmp_path / "missing"))
    assert data.load("alpha", str(tmp_path / "mine")).source == str(folder)


def test_an_empty_environment_variable_names_no_folder(
    alpha: Fake, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXPOOL_DATA_DIR", "")
    assert data.load("alpha").source == str(cache / "alpha")


def test_downloads_go_to_the_users_cache_unless_told_otherwise(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("FLEXPOOL_CACHE_DIR")
    assert cache_folder() == Path(pooch.os_cache("flexpool"))


def test_a_tilde_is_the_home_folder(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = alpha.write(tmp_path / "mine" / "alpha")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert data.load("alpha", "~/mine").source == str(folder)


@pytest.mark.parametrize("name", ["alpha", "digits"])
def test_a_missing_folder_is_an_error(alpha: Fake, tmp_path: Path, name: str) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(DataError) as caught:
        data.load(name, missing)
    assert str(caught.value) == (
        f"data.load: expected data_dir to be an existing folder, got {missing!r}. "
        "Create it, or leave it out: the data are then downloaded."
    )


def test_a_missing_folder_in_the_environment_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEXPOOL_DATA_DIR", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="expected FLEXPOOL_DATA_DIR to be an existing folder"):
        data.available()


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="to be an existing folder"):
        data.load("digits", path)


@pytest.mark.parametrize("wrong", [3, b"", ""])
def test_what_is_no_path_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        data.load("digits", wrong)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"data.load: expected data_dir to be the path of a folder, got {wrong!r}. "
        "Leave it out for none."
    )


def test_a_folder_without_the_files_leads_to_the_download(
    alpha: Fake, server: Server, cache: Path, tmp_path: Path
) -> None:
    assert data.load("alpha", tmp_path).source == str(cache / "alpha")
    assert len(server.requests) == 4


def test_only_the_files_that_are_missing_are_downloaded(
    alpha: Fake, server: Server, cache: Path, tmp_path: Path
) -> None:
    folder = alpha.write(tmp_path / "mine" / "alpha", names=(IMAGES, LABELS, TEST_LABELS))
    assert data.load("alpha", tmp_path / "mine").source == f"{folder} and {cache / 'alpha'}"
    assert server.requests == [(f"/one/{TEST_IMAGES}.gz", None)]


def test_a_damaged_file_is_an_error_and_is_not_used(
    alpha: Fake, server: Server, cache: Path, tmp_path: Path
) -> None:
    alpha.write(cache / "alpha")  # A good copy elsewhere is no reason to be silent.
    path = alpha.write(tmp_path / "mine" / "alpha") / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError) as caught:
        data.load("alpha", tmp_path / "mine")
    message = str(caught.value)
    file = alpha.files[2]
    assert message.startswith(
        f"data.load: expected {path} to hold the test images of alpha ({file.size} bytes "
        f"decompressed, SHA-256 {file.sha256[:8]}...), got a gzip file that ends early, after "
    )
    assert message.endswith("Put an intact copy in its place, or remove it: it is then downloaded.")
    assert server.requests == []


@pytest.mark.parametrize(
    ("one", "other", "first", "found"),
    [
        (IMAGES, LABELS, "train images", "the file of alpha: train labels"),
        (LABELS, TEST_LABELS, "train labels", "the file of alpha: test labels"),
        (
            TEST_IMAGES,
            IMAGES,
            "train images",
            "the file of alpha: test images",
        ),
    ],
)
def test_swapped_files_are_told_apart(
    alpha: Fake, tmp_path: Path, one: str, other: str, first: str, found: str
) -> None:
    folder = alpha.write(tmp_path / "alpha")
    (folder / f"{one}.gz").write_bytes(alpha.packed(other))
    (folder / f"{other}.gz").write_bytes(alpha.packed(one))
    with pytest.raises(DataError, match=f"to hold the {first} of alpha .*, got {found}"):
        data.load("alpha", tmp_path)


def test_the_file_of_another_data_set_is_named(alpha: Fake, beta: Fake, tmp_path: Path) -> None:
    beta.write(tmp_path / "alpha")
    with pytest.raises(DataError, match="got the file of beta: train images"):
        data.load("alpha", tmp_path)


def test_files_of_another_set_directly_in_the_folder_are_passed_over(
    alpha: Fake, beta: Fake, cache: Path, tmp_path: Path
) -> None:
    beta.write(tmp_path)
    assert data.load("beta", tmp_path).source == str(tmp_path)
    assert data.load("alpha", tmp_path).source == str(cache / "alpha")
    where = {row.name: row.where for row in data.available(tmp_path)}
    assert where["alpha"] == str(cache / "alpha")
    assert where["beta"] == str(tmp_path)


def test_damaged_files_directly_in_the_folder_are_not_passed_over(
    alpha: Fake, tmp_path: Path
) -> None:
    alpha.write(tmp_path)
    (tmp_path / f"{TEST_LABELS}.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"to hold the test labels of alpha .*, got an empty file"):
        data.load("alpha", tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(DataError) as caught:
        data.load("mnist", tmp_path)
    assert str(caught.value) == (
        f"data.load: expected {tmp_path} to be readable, got: Permission denied. "
        "Allow reading it, or leave it out: the data are then downloaded."
    )
