"""Pictures of any kind, made into what a net takes: checked, upright, of its colours and size."""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from flexpool.errors import DataError

__all__ = ["MOST_PIXELS", "Picture", "read_picture"]

Picture = str | os.PathLike[str] | Image.Image

MOST_PIXELS = 64_000_000  # 256 MB once opened; photographs have fewer

# Those that are decoded by libraries alone; others start programs or fetch files.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


def read_picture(
    picture: Picture, shape: tuple[int, int, int], *, invert: bool = False
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read a picture as one image for a net.

    It is turned upright as its camera noted; of an animation the first frame is taken. What is
    transparent becomes white. One channel is its lightness (299 R + 587 G + 114 B) / 1000, three
    are its colours; 16 bits become 8. It is then brought to height and width, whatever its
    proportions are, by linear interpolation with the sources of each pixel weighted down where it
    becomes smaller.

    Args:
        picture: a path or a picture of Pillow. PNG, JPEG, GIF, BMP, WebP, TIFF and PPM are read.
        shape: channels (1 or 3), height and width to bring it to.
        invert: whether dark becomes light: for black writing on white paper, where the net has
            learned white on black.

    Shape:
        -> (1, C, H, W), uint8.

    Raises:
        DataError: if there is no such file, if it is no picture or a damaged one, if it has more
            than ``MOST_PIXELS`` pixels, or if nets of this many channels do not take pictures.

    Example:
        >>> read_picture(Image.new("RGB", (4, 2), (255, 0, 0)), (1, 1, 2))   # 299 · 255 / 1000
        array([[[[76, 76]]]], dtype=uint8)
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise DataError(
            f"expected a net of 1 or 3 channels for a picture, got one of {channels}. "
            "Give it an array of uint8 of shape (N, C, H, W)."
        )
    if isinstance(picture, Image.Image):
        name = "the picture"
        _check_size(name, picture)
        found = _flat(name, picture)
    else:
        name = os.fspath(picture)
        found = _open(Path(name))
    found = found.convert("L" if channels == 1 else "RGB")
    if found.size != (width, height):
        found = found.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.array(found, np.uint8).reshape(height, width, channels)
    if invert:
        pixels = 255 - pixels
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _open(path: Path) -> Image.Image:
    """Open a file and decode it, or say what is the matter with it."""
    try:
        # Our own limit is lower than that above which Pillow warns.
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(stream, formats=_FORMATS) as picture:
                _check_size(str(path), picture)
                return _flat(str(path), picture)
    except FileNotFoundError:
        raise DataError(f"there is no picture {path}.") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large: {error}") from None
    except UnidentifiedImageError:
        kinds = ", ".join(_FORMATS)
        raise DataError(f"{path} is no picture of a kind that is read here ({kinds}).") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}.") from None


def _check_size(name: str, picture: Image.Image) -> None:
    """Refuse, before anything is decoded, what a small file may unfold into."""
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{name} has {width} x {height} pixels, more than {MOST_PIXELS:,}. Make it smaller."
        )


def _flat(name: str, picture: Image.Image) -> Image.Image:
    """Make a picture upright, without transparency, of 8 bits."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "F":
        raise DataError(f"{name} has pixels without a known range. Save it with 8 bits.")
    if upright.mode.startswith("I"):  # 16 bits of grey
        values = np.clip(np.asarray(upright).astype(np.int64), 0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if upright.has_transparency_data:
        whole = upright.convert("RGBA")
        paper = Image.new("RGBA", whole.size, "white")
        return Image.alpha_composite(paper, whole).convert("RGB")
    return upright
