"""Pictures of all kinds made into what nets take; damaged, hostile and enormous ones refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flexpool.errors import DataError
from flexpool.lab.image_files import MOST_PIXELS, read_picture

GREY, COLOUR = (1, 2, 3), (3, 2, 3)
PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


def saved(path: Path, picture: Image.Image, **options: object) -> Path:
    picture.save(path, **options)
    return path


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.tiff", "a.ppm", "a.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        path = saved(tmp_path / name, Image.fromarray(PIXELS), **options)
        found = read_picture(path, COLOUR)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, PIXELS.transpose(2, 0, 1)[None])
    jpeg = saved(tmp_path / "a.jpg", Image.new("RGB", (3, 2), (200, 200, 200)))
    np.testing.assert_array_equal(read_picture(str(jpeg), GREY), np.full((1, 1, 2, 3), 200))


def test_colours_become_lightness_and_grey_becomes_three_channels() -> None:
    weighed = PIXELS.astype(float) @ [0.299, 0.587, 0.114]
    found = read_picture(Image.fromarray(PIXELS), GREY)
    assert found.shape == (1, *GREY)
    assert abs(found[0, 0] - weighed).max() <= 0.51
    grey = Image.fromarray(PIXELS[..., 0])
    np.testing.assert_array_equal(read_picture(grey, COLOUR), np.stack([PIXELS[..., 0]] * 3)[None])
    np.testing.assert_array_equal(read_picture(grey, GREY, invert=True)[0, 0], 255 - PIXELS[..., 0])


def test_all_kinds_of_pixels(tmp_path: Path) -> None:
    one = (1, 1, 2)
    deep = Image.fromarray(np.array([[0x0101 * 7, 0xFFFF]], np.uint16))
    assert read_picture(saved(tmp_path / "deep.png", deep), one).tolist() == [[[[7, 255]]]]
    assert read_picture(deep.convert("I"), one).tolist() == [[[[7, 255]]]]
    bits = Image.fromarray(np.array([[True, False]]))
    assert read_picture(bits, one).tolist() == [[[[255, 0]]]]
    clear = Image.fromarray(np.array([[[9, 9, 9, 255], [9, 9, 9, 0]]], np.uint8))
    assert read_picture(clear, one).tolist() == [[[[9, 255]]]]
    half = Image.new("LA", (2, 1), (0, 51))
    assert read_picture(half, one).tolist() == [[[[204, 204]]]]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    path = saved(tmp_path / "palette.gif", palette)
    assert read_picture(path, (3, 1, 2))[0, :, 0, 0].tolist() == [10, 20, 30]


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rows are columns
    path = saved(tmp_path / "turned.png", Image.fromarray(PIXELS[..., 0]), exif=exif)
    found = read_picture(path, (1, 3, 2))
    np.testing.assert_array_equal(found[0, 0], np.rot90(PIXELS[..., 0], -1))


def test_a_larger_picture_is_averaged_and_a_smaller_one_interpolated() -> None:
    stripes = np.zeros((60, 90), np.uint8)
    stripes[::2] = 200
    assert abs(read_picture(Image.fromarray(stripes), GREY).astype(int) - 100).max() <= 1
    ramp = Image.fromarray(np.array([[0, 100]], np.uint8))
    assert read_picture(ramp, (1, 1, 4)).ravel().tolist() == [0, 25, 75, 100]


def enormous(width: int, height: int) -> bytes:
    """A PNG that is some bytes long and says it has that many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    image = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + image + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (60_000, 60_000)])
def test_an_enormous_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(enormous(*size))
    assert size[0] * size[1] > MOST_PIXELS
    with pytest.raises(DataError, match=r"bomb\.png (has \d+ x \d+ pixels, more than|is too larg)"):
        read_picture(path, GREY)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.png", Image.fromarray(PIXELS)).read_bytes()
    cut, text, script = (tmp_path / name for name in ("cut.png", "text.png", "script.eps"))
    cut.write_bytes(whole[:50])
    text.write_text("no picture")
    script.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    for path, message in (
        (tmp_path / "nothing.png", f"there is no picture {tmp_path / 'nothing.png'}."),
        (text, f"{text} is no picture of a kind that is read here (PNG, JPEG, GIF, BMP, WEBP, "),
        (script, f"{script} is no picture of a kind that is read here (PNG, "),
        (cut, f"{cut} cannot be read as a picture: "),
        (tmp_path, f"{tmp_path} cannot be read as a picture: "),
    ):
        with pytest.raises(DataError) as caught:
            read_picture(path, GREY)
        assert str(caught.value).startswith(message)
    with pytest.raises(DataError, match="the picture has pixels without a known range"):
        read_picture(Image.fromarray(np.zeros((2, 2), np.float32)), GREY)
    with pytest.raises(DataError, match="expected a net of 1 or 3 channels for a picture, got one"):
        read_picture(Image.fromarray(PIXELS), (2, 2, 3))
