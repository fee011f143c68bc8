"""A folder of images by class: what is read, what is set aside, and what is refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flexpool.cli.app import app
from flexpool.errors import ArgumentError, DataError
from flexpool.lab import data
from flexpool.lab.data import decoded, images, memory
from flexpool.lab.data import folder as folders

SIDE = 8


def picture(path: Path, shade: int = 0, size: tuple[int, int] = (SIDE, SIDE), mode: str = "RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size[::-1], (shade, 10, 20) if mode == "RGB" else shade).save(path)


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Two classes, with images of their own for testing."""
    tmp_path = tmp_path / "pets"
    for part, count in (("train", 3), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for n in range(count):
                picture(tmp_path / part / name / f"{n}.png", 100 * label + 10 * n)
    return tmp_path


def flat(root: Path, counts: dict[str, int]) -> Path:
    for label, (name, count) in enumerate(counts.items()):
        for n in range(count):
            picture(root / name / f"{n:02d}.png", (50 * label + n) % 256)
    return root


def load(folder: Path, resize: int | None = None) -> data.Dataset:
    return data.load(f"folder:{folder}", resize=resize)


def test_training_and_test_images_are_taken_as_they_lie(split: Path) -> None:
    found = load(split)
    assert found.classes == ("cat", "dog")
    assert found.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.test_labels.tolist() == [0, 0, 1, 1]
    assert found.train_images.shape == (6, 3, SIDE, SIDE)
    assert found.train_images[:, 0, 0, 0].tolist() == [0, 10, 20, 100, 110, 120]
    assert found.test_images[:, 1:, 3, 3].tolist() == [[10, 20]] * 4
    assert found.name == f"folder:{split}"


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_folder_for_testing_has_several_usual_names(split: Path, name: str) -> None:
    (split / "test").rename(split / name)
    assert len(load(split).test_labels) == 4


def test_a_share_of_each_class_is_set_aside(tmp_path: Path) -> None:
    found = load(flat(tmp_path, {"a": 20, "b": 11, "c": 2}))
    assert np.bincount(found.test_labels).tolist() == [4, 2, 1]
    assert np.bincount(found.train_labels).tolist() == [16, 9, 1]
    shades = [*found.train_images[:, 0, 0, 0], *found.test_images[:, 0, 0, 0]]
    expected = [*range(20), *range(50, 61), *range(100, 102)]
    assert sorted(shades) == expected  # every image once


def test_the_share_is_the_same_elsewhere_and_hardly_moves(tmp_path: Path) -> None:
    first = load(flat(tmp_path / "here", {"a": 20, "b": 20}))
    second = load(flat(tmp_path / "there", {"a": 20, "b": 20}))
    assert first.fingerprint == second.fingerprint
    tested = {*first.test_images[:, 0, 0, 0].tolist()}
    assert tested != {*range(4), *range(50, 54)}  # drawn, not the first ones
    picture(tmp_path / "here" / "a" / "new.png", 200)
    again = {*load(tmp_path / "here").test_images[:, 0, 0, 0].tolist()}
    assert len(tested - again) <= 1


def test_files_that_are_no_images_and_hidden_ones_are_passed_over(split: Path) -> None:
    for name in ("train/cat/notes.txt", "train/cat/.hidden.png", "train/.git/x.png", "README.md"):
        (split / name).parent.mkdir(exist_ok=True)
        (split / name).write_text("text")
    picture(split / "train" / "cat" / "deeper" / "9.PNG", 30)
    assert len(load(split).train_labels) == 7


def test_grey_stays_grey_and_colour_wins_a_tie(tmp_path: Path) -> None:
    tmp_path = tmp_path / "pets"
    for name in ("a", "b"):
        for n in range(3):
            picture(tmp_path / name / f"{n}.png", 60, mode="L")
    assert load(tmp_path).train_images.shape[1] == 1
    for n in range(3):
        picture(tmp_path / "b" / f"{n}.png", 60)
    assert load(tmp_path).train_images.shape[1] == 3
    picture(tmp_path / "b" / "0.png", 60, mode="L")
    found = load(tmp_path)
    assert found.train_images.shape[1] == 1
    luminance = round(0.299 * 60 + 0.587 * 10 + 0.114 * 20)
    assert {*found.train_images.ravel().tolist(), *found.test_images.ravel().tolist()} == {
        60,
        luminance,
    }


def read(path: Path, grey: bool = False) -> list[list[int]]:
    header = images.header(path)
    found = images.pixels(path, grey)
    assert found.shape[1:] == (header.height, header.width)
    return found.reshape(len(found), -1).T.tolist()


def test_kinds_of_images_are_read_as_they_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(np.array([[0, 257, 65535, 128]], np.uint16)).save(path)
    assert read(path, grey=True) == [[0], [1], [255], [0]]  # and not cut off at 255
    assert images.header(path).grey
    Image.fromarray(np.array([[[1, 2, 3, 0], [1, 2, 3, 255]]], np.uint8)).save(path)
    assert read(path) == [[255, 255, 255], [1, 2, 3]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([9, 9, 9])
    palette.save(path)
    assert images.header(path).grey
    palette.putpalette([9, 8, 9])
    palette.save(path)
    assert not images.header(path).grey
    assert read(path) == [[9, 8, 9]]
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned right by a quarter
    Image.fromarray(np.array([[10], [20]], np.uint8)).save(path, exif=turned)
    assert read(path, grey=True) == [[20], [10]]
    assert (images.header(path).height, images.header(path).width) == (1, 2)
    Image.fromarray(np.array([[0.5]], np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match="its pixels are floating-point numbers"):
        images.pixels(tmp_path / "x.tif", grey=True)


def test_images_of_several_sizes_need_a_size(split: Path) -> None:
    odd = split / "train" / "dog" / "1.png"
    picture(odd, 90, (6, 12))
    with pytest.raises(DataError) as caught:
        load(split)
    assert str(caught.value) == (
        f"data.load: expected the images of {split} to be of one size, got 2 sizes: 9 of 8 x 8 "
        f"pixels, but {odd} of 6 x 12. Say with --resize to how many pixels in height and width "
        "to bring them all."
    )
    found = load(split, resize=10)
    assert found.train_images.shape == (6, 3, 10, 10)
    assert found.train_images[4, 0].tolist() == [[90] * 10] * 10


def test_only_what_is_larger_is_resized_on_reading(split: Path) -> None:
    assert load(split, resize=4).train_images.shape[2:] == (4, 4)
    assert load(split, resize=SIDE).train_images.shape[2:] == (SIDE, SIDE)
    assert load(split, resize=224).train_images.shape[2:] == (SIDE, SIDE)


def test_shrinking_takes_all_pixels_into_account(tmp_path: Path) -> None:
    stripes = np.tile(np.array([0, 200], np.uint8), (8, 4))
    for name in ("a", "b"):
        for n in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(stripes).save(tmp_path / name / f"{n}.png")
    found = load(tmp_path, resize=2).train_images
    assert np.abs(found.astype(int) - 100).max() < 10


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "to hold a folder of images for each of two classes or more, got none. Put the"),
        ({"a": 3}, "of two classes or more, got only 'a'. Put the images into "),
        ({"a": 3, "b": 1}, "expected two images or more of each class, one of them to test with"),
        ({"a": 3, "b": 0, "c": 0}, "to hold images (.bmp, .gif, .jpeg, .jpg, .pgm, .png"),
    ],
)
def test_too_few_classes_or_images(tmp_path: Path, counts: dict[str, int], message: str) -> None:
    for name in counts:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as caught:
        load(flat(tmp_path, counts))
    assert message in str(caught.value)
    if "c" in counts:
        assert "got none in 'b', 'c'. Remove it, or put images into it." in str(caught.value)


def test_training_and_test_images_must_be_of_the_same_classes(split: Path) -> None:
    picture(split / "test" / "mouse" / "0.png")
    with pytest.raises(DataError, match=f"got 'mouse' in {split}/test and not in {split}/train"):
        load(split)
    picture(split / "train" / "mouse" / "0.png")
    picture(split / "train" / "owl" / "0.png")
    with pytest.raises(DataError, match=f"got 'owl' in {split}/train and not in {split}/test"):
        load(split)


def test_training_images_without_test_images(split: Path) -> None:
    (split / "test").rename(split / "elsewhere")
    with pytest.raises(DataError) as caught:
        load(split)
    assert str(caught.value) == (
        f"data.load: expected {split}/test beside {split}/train, got no such folder. To have a "
        f"share of the training images set aside, give folder:{split}/train"
    )
    assert len(load(split / "train").test_labels) == 2


def test_folders_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"to be an existing folder, got '.*nowhere'\. Name a"):
        load(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="expected data to name a folder after 'folder:'"):
        data.load("folder:")
    monkeypatch.chdir(flat(tmp_path / "x", {"a": 2, "b": 2}).parent)
    assert data.load("folder:x").name == f"folder:{tmp_path / 'x'}"
    with pytest.raises(ArgumentError) as caught:
        data.load("x")
    assert str(caught.value) == (
        "data.load: unknown data set 'x'. For the images in that folder, write folder:x"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no image, or of a kind that Pillow does not know"),
        (b"hello", "it is no image, or of a kind that Pillow does not know"),
        (None, ""),
    ],
)
def test_a_damaged_image_is_named(split: Path, content: bytes | None, reason: str) -> None:
    path = split / "train" / "dog" / "1.png"
    if content is None:
        noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(noise).save(path)
        content = path.read_bytes()[:-60]
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(split)
    assert str(caught.value).startswith(f"data.load: cannot read the image {path}: {reason}")
    assert str(caught.value).endswith(". Replace it, or take it out of the folder.")


def announcing(side: int) -> bytes:
    """Make a PNG file that announces a square and holds next to nothing."""

    def chunk(name: bytes, body: bytes) -> bytes:
        whole = name + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [8_000, 10_000, 14_000])  # Pillow warns from 9,459, refuses 13,378
def test_a_bomb_is_refused_before_it_is_unpacked(
    split: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = split / "test" / "cat" / "0.png"
    path.write_bytes(announcing(side))
    monkeypatch.setattr(Image.Image, "load", None)  # so that nothing can be unpacked
    with pytest.raises(DataError) as caught:
        load(split)
    assert str(caught.value) == (
        f"data.load: {path} announces more than 50,000,000 pixels. "
        "Replace it, or take it out of the folder."
    )


def test_too_little_memory_says_how_much_is_needed(
    split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1919)
    with pytest.raises(DataError) as caught:
        load(split)
    assert str(caught.value) == (
        f"data.load: the 10 images of {split}, each of 3 x 8 x 8 bytes, need 0.0 GB of memory, "
        "and 0.0 GB can be had here. Use fewer images, or bring them to fewer pixels with --resize."
    )
    monkeypatch.setattr(memory, "available", lambda: 1920)
    load(split)


def test_memory_is_known_here() -> None:
    found = memory.available()
    assert found is None or 10**6 < found < 10**14


def test_a_changed_folder_is_another_data_set(split: Path) -> None:
    first = load(split)
    assert load(split) is first
    picture(split / "train" / "cat" / "0.png", 99)
    os.utime(split / "train" / "cat" / "0.png", ns=(1, 1))
    second = load(split)
    assert second.fingerprint != first.fingerprint
    assert second.train_images[0, 0, 0, 0] == 99


def test_pixels_are_read_once_for_all_processes(
    split: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(split)
    reads: list[Path] = []

    def watched(path: Path, *rest: object) -> np.ndarray:
        reads.append(path)
        return images.pixels(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folders, "pixels", watched)
    monkeypatch.setattr(data, "_loaded", {})
    again = load(split)
    assert (again.fingerprint, again.classes) == (first.fingerprint, first.classes)
    assert reads == []
    (kept,) = (cache / "folders").iterdir()
    content = kept.read_bytes()
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), b"", content[:100]):
        reads.clear()
        kept.write_bytes(damaged)
        monkeypatch.setattr(data, "_loaded", {})
        assert load(split).fingerprint == first.fingerprint
        assert len(reads) == 10
    reads.clear()
    monkeypatch.setattr(data, "_loaded", {})
    load(split)
    assert reads == []
    load(split, resize=4)
    assert len(list((cache / "folders").iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    split: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file")
    assert len(load(split).train_labels) == 6
    assert "Every process will read the images again." in caplog.text
    assert decoded.find(split, None, "") is None


def test_it_is_listed_and_drawn(split: Path) -> None:
    (row,) = data.available(names=[f"folder:{split}"])
    assert (row.train, row.test, row.shape) == (6, 4, (3, SIDE, SIDE))
    assert (row.classes, row.where, row.licence) == (("cat", "dog"), str(split), "your own")
    assert data.show(f"folder:{split}", count=4)[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/my pets", "my_pets"), ("/", "folder"), ("/a/..b-c", "b_c"), ("/x/Blüten.2", "Blüten.2")],
)
def test_the_name_in_files_names_is_safe(path: str, name: str) -> None:
    assert data.short(f"folder:{path}") == name


@pytest.mark.parametrize("resize", [0, -1, 2.0, True])
def test_the_size_must_lie_in_its_domain(split: Path, resize: object) -> None:
    with pytest.raises(ArgumentError, match="expected resize to be an int > 0, got"):
        load(split, resize)  # type: ignore[arg-type]


def test_the_commands_list_it_and_draw_it(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(split.parent)
    listed = CliRunner().invoke(app, ["data", "list", "folder:pets"])
    assert listed.exit_code == 0, listed.output
    assert "3 x 8 x 8" in listed.stdout
    assert "folder:PATH" not in listed.stdout
    assert "folder:PATH" in CliRunner().invoke(app, ["data", "list"]).stdout
    drawn = CliRunner().invoke(app, ["data", "show", "folder:pets", "--count", "2"])
    assert drawn.exit_code == 0, drawn.output
    assert (split.parent / "pets.png").read_bytes()[:4] == b"\x89PNG"
    wrong = CliRunner().invoke(app, ["data", "show", "pets"])
    assert wrong.exit_code == 2
    assert "write folder:pets" in wrong.stderr
