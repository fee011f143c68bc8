"""The test picture: smooth shading, edges, lines, single dots, stripes and texture on black."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIDE", "scene"]

SIDE = 128

Picture = NDArray[np.float64]


@functools.cache
def scene() -> Picture:
    """Draw the picture: (SIDE, SIDE) numbers from 0, which is black, to 1.

    Example:
        >>> picture = scene()
        >>> picture.shape, picture.min().item(), picture.max().item()
        ((128, 128), 0.0, 1.0)
    """
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    picture = np.zeros((SIDE, SIDE))
    _add_ball(picture, rows - 35, columns - 36, 27.0)
    _add_stripes(picture, rows, columns)
    _add_roof(picture, rows, columns)
    _add_texture(picture)
    picture[62:66, 8:122:9] = 0.9  # short lines, one pixel wide
    picture[118:126:3, 70:122:7] = 1  # dots of one pixel
    picture.setflags(write=False)
    return picture


def _add_ball(picture: Picture, down: Picture, across: Picture, radius: float) -> None:
    """Add a ball lit from the upper left."""
    height = np.sqrt(np.maximum(radius**2 - down**2 - across**2, 0)) / radius
    light = 0.62 * height - 0.45 * (down + across) / radius
    inside = down**2 + across**2 < radius**2
    picture[inside] = np.clip(light, 0.06, 1)[inside]


def _add_stripes(picture: Picture, rows: Picture, columns: Picture) -> None:
    """Add stripes that grow finer towards the right, to a period of two pixels."""
    begun = columns - 70
    wave = 0.5 + 0.5 * np.cos(np.pi * begun**2 / 104)
    inside = (rows >= 10) & (rows < 58) & (columns >= 70) & (columns < 122)
    picture[inside] = wave[inside]


def _add_roof(picture: Picture, rows: Picture, columns: Picture) -> None:
    """Add a triangle on a rectangle, with sharp edges in several directions, and a dark hole."""
    picture[(rows >= 74) & (rows < 96) & (np.abs(columns - 34) < 1.25 * (rows - 72))] = 0.8
    picture[(rows >= 96) & (rows < 120) & (columns >= 12) & (columns < 57)] = 0.55
    picture[(rows >= 102) & (rows < 114) & (columns >= 20) & (columns < 31)] = 0.1


def _add_texture(picture: Picture) -> None:
    """Add noise that grows stronger towards the right, around a grey that grows lighter."""
    drawn = np.random.default_rng(0).random((44, 52)) - 0.5
    across = np.linspace(0, 1, 52)
    picture[70:114, 70:122] = np.clip(0.35 + 0.3 * across + (0.15 + 0.75 * across) * drawn, 0, 1)
