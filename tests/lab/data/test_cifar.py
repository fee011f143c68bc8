"""CIFAR: records in an archive, found, verified and taken apart; nothing else in it is touched."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flexpool.errors import DataError
from flexpool.lab import data
from flexpool.lab.data import registry
from flexpool.lab.data.archive import Archive, members
from flexpool.lab.data.cifar import CIFAR10, CIFAR100, CIFAR100_COARSE, CifarSet
from lab.data.loopback import Reply, Server

# Published with the data sets at https://www.cs.toronto.edu/~kriz/cifar.html; the SHA-256 that the
# package compares with are those of files with these MD5.
MD5 = {
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
}

EACH, TEST = 4, 6


def tar_gz(
    files: dict[str, bytes], extra: Callable[[tarfile.TarFile], None] | None = None
) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        if extra:
            extra(tar)
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return content.getvalue()


def records(kind: CifarSet, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, kind.labels + 3072), np.uint8)
    rows[:, 0] %= 10  # the only label, or the coarse one of twenty
    rows[:, kind.labels - 1] %= 10
    return rows


def small(
    kind: CifarSet, mirrors: tuple[str, ...] = ()
) -> tuple[CifarSet, bytes, list[np.ndarray]]:
    """Make a data set as the published one, with a few images; return it, its archive, its rows."""
    rows = [records(kind, EACH, seed) for seed in range(len(kind.train))]
    rows.append(records(kind, TEST, 99))
    names = [*kind.train, kind.test]
    content = tar_gz({n: r.tobytes() for n, r in zip(names, rows, strict=True)})
    about = dataclasses.replace(kind.about, train=EACH * len(kind.train), test=TEST)
    unpacked = sum(r.size for r in rows) + 1000
    sha256 = hashlib.sha256(content).hexdigest()
    archive = Archive(kind.archive.name, len(content), sha256, unpacked)
    return dataclasses.replace(kind, about=about, archive=archive, mirrors=mirrors), content, rows


@pytest.fixture
def ten(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> tuple[CifarSet, bytes, list[np.ndarray]]:
    made = small(CIFAR10, (f"{server.url}/one/", f"{server.url}/two/"))
    monkeypatch.setitem(registry.KINDS, "cifar10", made[0])
    return made


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100, CIFAR100_COARSE], ids=lambda k: k.about.name)
def test_the_table_is_that_of_the_published_archives(kind: CifarSet) -> None:
    count = len(kind.about.classes)
    assert count == {"cifar10": 10, "cifar100": 100, "cifar100-coarse": 20}[kind.about.name]
    assert len({*kind.about.classes}) == count
    assert list(kind.about.classes) == sorted(kind.about.classes)
    assert kind.archive.name in MD5
    assert len(bytes.fromhex(kind.archive.sha256)) == 32
    assert kind.about.train % len(kind.train) == 0
    assert "binary" in kind.archive.name
    assert len(kind.mirrors) >= 2
    assert all(mirror.endswith("/") for mirror in kind.mirrors)


def test_labels_and_planes_are_where_the_format_has_them(
    ten: tuple[CifarSet, bytes, list[np.ndarray]], tmp_path: Path
) -> None:
    _, content, rows = ten
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(content)
    found = data.load("cifar10", tmp_path)
    together = np.concatenate(rows[:-1])
    assert found.train_labels.tolist() == together[:, 0].tolist()
    assert found.test_labels.tolist() == rows[-1][:, 0].tolist()
    assert found.train_images.shape == (20, 3, 32, 32)
    # The second image's green value in row 5, column 7: red is 1024 bytes, a row 32.
    assert found.train_images[1, 1, 5, 7] == together[1, 1 + 1024 + 5 * 32 + 7]
    assert found.test_images.tobytes() == rows[-1][:, 1:].tobytes()
    assert found.source == str(tmp_path / "cifar10")


def test_fine_and_coarse_labels_come_from_the_same_archive(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fine, content, rows = small(CIFAR100)
    coarse = dataclasses.replace(
        CIFAR100_COARSE,
        about=dataclasses.replace(CIFAR100_COARSE.about, train=EACH, test=TEST),
        archive=fine.archive,
    )
    monkeypatch.setitem(registry.KINDS, "cifar100", fine)
    monkeypatch.setitem(registry.KINDS, "cifar100-coarse", coarse)
    (tmp_path / "cifar-100-binary.tar.gz").write_bytes(content)
    loaded = [data.load(name, tmp_path) for name in ("cifar100", "cifar100-coarse")]
    assert loaded[0].train_labels.tolist() == rows[0][:, 1].tolist()
    assert loaded[1].train_labels.tolist() == rows[0][:, 0].tolist()
    assert loaded[0].fingerprint != loaded[1].fingerprint
    np.testing.assert_array_equal(loaded[0].test_images, loaded[1].test_images)
    assert loaded[0].test_images.tobytes() == rows[1][:, 2:].tobytes()


def test_it_is_downloaded_once_and_a_wrong_mirror_is_passed_over(
    ten: tuple[CifarSet, bytes, list[np.ndarray]],
    server: Server,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, content, _ = ten
    name = kind.archive.name
    server.replies[f"/one/{name}"] = Reply(content[:-1] + bytes([content[-1] ^ 1]))
    server.replies[f"/two/{name}"] = Reply(content)
    first = data.load("cifar10")
    assert (cache / "cifar10" / name).read_bytes() == content
    monkeypatch.setattr(data, "_loaded", {})
    assert data.load("cifar10").fingerprint == first.fingerprint
    assert [path for path, _ in server.requests] == [f"/one/{name}", f"/two/{name}"]


def test_without_a_network_it_says_which_version_to_bring(
    ten: tuple[CifarSet, bytes, list[np.ndarray]],
) -> None:
    with pytest.raises(DataError) as caught:
        data.load("cifar10")
    assert "HTTP 404" in str(caught.value)
    assert str(caught.value).endswith(
        "To supply it by hand, put cifar-10-binary.tar.gz, the binary version and not the one for "
        "Python, into a folder D/cifar10 and give D with --data-dir or in FLEXPOOL_DATA_DIR."
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: b"", "an empty file"),
        (lambda c: c[:-10], "only "),
        (lambda c: c + b"x", "more than "),
        (lambda c: c[:100] + bytes([c[100] ^ 1]) + c[101:], "other content of the same length"),
    ],
)
def test_another_file_is_never_used(
    ten: tuple[CifarSet, bytes, list[np.ndarray]],
    server: Server,
    tmp_path: Path,
    change: Callable[[bytes], bytes],
    what: str,
) -> None:
    _, content, _ = ten
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(change(content))
    with pytest.raises(DataError) as caught:
        data.load("cifar10", tmp_path)
    assert f"data.load: expected {path} to be the published archive (" in str(caught.value)
    assert f"got {what}" in str(caught.value)
    assert server.requests == []


def take(content: bytes, unpacked: int = 10_000) -> dict[str, bytes]:
    return members(content, {"a/b.bin": 3}, unpacked)


def test_only_what_was_asked_for_is_taken_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = tar_gz({"../evil": b"e", "/tmp/evil2": b"e", "a/b.bin": b"abc", "a/c.bin": b"c"})
    assert take(content) == {"a/b.bin": b"abc"}
    assert list(tmp_path.rglob("*")) == []


def link(tar: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("a/b.bin")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    tar.addfile(info)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_gz({"a/c.bin": b"abc"}), "expected a/b.bin in the archive, got none of that name"),
        (tar_gz({"a/b.bin": b"abcd"}), "to be a file of 3 bytes, got one of 4 bytes"),
        (tar_gz({}, link), "to be a file of 3 bytes, got a link or a folder"),
        (b"no archive", "the archive is damaged: "),
        (tar_gz({"a/b.bin": b"abc"})[:-20], "the archive is damaged: "),
        (
            tar_gz({"zeros": bytes(200_000), "a/b.bin": b"abc"}),
            "the archive unpacks to more than the published one",
        ),
    ],
    ids=["absent", "long", "link", "none", "cut", "bomb"],  # archives hold the time they were made
)
def test_an_archive_that_is_not_as_it_should_be(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        take(content)
    assert message in str(caught.value)
