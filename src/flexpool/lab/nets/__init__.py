"""The networks of the laboratory, one family a file, each with its downsampling as an argument."""

from __future__ import annotations

from flexpool.lab.nets.catalogue import NETS, build, find
from flexpool.lab.nets.net import Net
from flexpool.lab.nets.partial import PartialConv2d
from flexpool.lab.nets.rows import Row, layers, multiply_adds, parameters

__all__ = [
    "NETS",
    "Net",
    "PartialConv2d",
    "Row",
    "build",
    "find",
    "layers",
    "multiply_adds",
    "parameters",
]
