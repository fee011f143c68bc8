"""The report of a comparison: one HTML page that opens offline, pictures, tables for programs."""

from __future__ import annotations

import json
from pathlib import Path

from flexpool.lab.comparison import Comparison
from flexpool.lab.data import Dataset
from flexpool.lab.files import write_atomically
from flexpool.lab.report.nets import portraits
from flexpool.lab.report.page import render
from flexpool.lab.report.pictures import draw

__all__ = ["write"]


def write(comparison: Comparison, folder: Path, dataset: Dataset) -> None:
    """Write ``comparison.json``, ``comparison.csv``, ``report.html`` and the pictures.

    Args:
        comparison: what to report.
        folder: where to; files of an earlier comparison are replaced, its runs stay.
        dataset: what the nets were trained on.

    Raises:
        StorageError: if a file cannot be written.
    """
    files = {
        "comparison.json": json.dumps(comparison.to_dict(), indent=2).encode() + b"\n",
        "comparison.csv": comparison.table.to_csv(lineterminator="\n").encode(),
        **draw(comparison),
        "report.html": render(comparison, portraits(comparison, folder, dataset)).encode(),
    }
    for name, content in files.items():
        write_atomically(folder / name, content)
