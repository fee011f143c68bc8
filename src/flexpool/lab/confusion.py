"""The confusion matrix: how often images of each class were taken for each class."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Confusion"]


@dataclass(frozen=True)
class Confusion:
    """How often images of each class were taken for each class.

    Args:
        classes: their names.
        counts: ``counts[i][j]`` images of class i were taken for class j.

    Example:
        >>> found = Confusion(("cat", "dog"), ((3, 1), (0, 0)))
        >>> found.accuracies()                          # of dogs there were none
        (0.75, None)
        >>> Confusion.from_csv(found.to_csv()) == found
        True
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, classes: tuple[str, ...], counts: np.ndarray[Any, Any]) -> Confusion:
        """Make it from a square array of int."""
        return cls(classes, tuple(tuple(map(int, row)) for row in counts))

    def accuracies(self) -> tuple[float | None, ...]:
        """Give the share of each class that was recognised; None of a class without images."""
        return tuple(
            row[number] / sum(row) if sum(row) else None for number, row in enumerate(self.counts)
        )

    def mistakes(self, number: int) -> list[tuple[str, int]]:
        """List what a class was taken for instead, with how often, the most frequent first."""
        row = [(n, name) for name, n in zip(self.classes, self.counts[number], strict=True)]
        del row[number]
        return [(name, n) for n, name in sorted(row, key=lambda entry: -entry[0]) if n]

    def to_csv(self) -> bytes:
        """Write it as a table: a row per true class, a column per class it was taken for.

        Example:
            >>> print(Confusion(("cat", "dog"), ((3, 1), (0, 2))).to_csv().decode(), end="")
            true,cat,dog
            cat,3,1
            dog,0,2
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("true", *self.classes))
        rows = zip(self.classes, self.counts, strict=True)
        writer.writerows((name, *counts) for name, counts in rows)
        return text.getvalue().encode()

    @classmethod
    def from_csv(cls, content: bytes) -> Confusion:
        """Read what :meth:`to_csv` wrote.

        Raises:
            ValueError: if it is not that.
        """
        heading, *rows = csv.reader(io.StringIO(content.decode()))
        classes = tuple(heading[1:])
        if [row[:1] for row in rows] != [[name] for name in classes]:
            raise ValueError("its rows and columns have different names")
        if any(len(row) != len(heading) for row in rows):
            raise ValueError("its rows are not as long as its heading")
        return cls(classes, tuple(tuple(map(int, row[1:])) for row in rows))
