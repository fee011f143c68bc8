"""Image files of any usual kind as bytes of one shape, read with Pillow."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from flexpool.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Header", "header", "pixels"]

# A file of a few kilobytes can announce more pixels than fit into the memory.
MOST_PIXELS = 50_000_000

_ORIENTATION = 0x0112  # the EXIF tag; from 5 on, height and width are exchanged
_GREY = ("1", "L", "LA", "La")
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_CURE = "Replace it, or take it out of the folder."


@dataclass(frozen=True)
class Header:
    """What an image file announces: size as it is shown, and whether it is without colour."""

    height: int
    width: int
    grey: bool


def header(path: Path) -> Header:
    """Read what an image file announces, without its pixels.

    Raises:
        DataError: if it is no image, or announces more than 50 million pixels; names the file.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of large images; here there is a limit of our own, below it.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                width, height = image.size
                # Of the base class, since a PNG's own unpacks all pixels first.
                if Image.Image.getexif(image).get(_ORIENTATION, 1) >= 5:
                    width, height = height, width
                found = Header(height, width, _is_grey(image))
        except MemoryError:
            raise
        except Image.DecompressionBombError:
            raise _bomb(path) from None
        except Exception as error:  # decoders raise whatever a damaged file makes them
            raise _damaged(path, error) from None
    if found.height * found.width > MOST_PIXELS:
        raise _bomb(path)
    return found


def pixels(path: Path, grey: bool, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Read an image file as bytes.

    An image is turned as its EXIF tag says; of an animation the first frame is taken; what is
    transparent becomes white; 16 bits a pixel are rounded to 8; colours become grey by their
    luminance (ITU-R 601), and grey stands in all three channels where colours are wanted.

    Args:
        path: the file; :func:`header` was content with it.
        grey: whether to give one channel, or red, green and blue.
        size: height and width to bring it to, linearly and with all pixels taking part; None
            leaves it.

    Returns:
        uint8, of shape (1 or 3, height, width).

    Raises:
        DataError: if it is damaged; names the file.
    """
    from PIL import Image

    mode = "L" if grey else "RGB"
    try:
        with Image.open(path) as opened:
            image = _plain(opened, mode)
            if size is not None and image.size != size[::-1]:
                image = image.resize(size[::-1], Image.Resampling.BILINEAR)
            array = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise _damaged(path, error) from None
    return array[None] if grey else array.transpose(2, 0, 1)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """Give the image as shown, in the mode L or RGB."""
    from PIL import Image, ImageOps

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels have more than 16 bits")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return image.convert(mode)


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB") or [0, 0, 1]).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in _GREY or image.mode in _SIXTEEN_BITS


def _bomb(path: Path) -> DataError:
    return DataError(f"{path} announces more than {MOST_PIXELS:,} pixels. {_CURE}")


def _damaged(path: Path, error: Exception) -> DataError:
    from PIL import UnidentifiedImageError

    reason = str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "it is no image, or of a kind that Pillow does not know"
    return DataError(f"cannot read the image {path}: {reason}. {_CURE}")
