"""How well each class was recognised, as tables: the matrix where it fits, else class by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from flexpool.lab.confusion import Confusion

__all__ = ["show_classes"]

MOST_SHOWN = 20


def show_classes(console: Console, found: Confusion) -> None:
    """Print a confusion matrix with each class's accuracy.

    Where it is wider than the terminal, or has very many classes, a table by class takes its place,
    with the two that each was most often taken for.
    """
    if len(found.classes) <= MOST_SHOWN:
        matrix = _matrix(found)
        boundless = console.options.update(max_width=10_000)
        if Measurement.get(console, boundless, matrix).maximum <= console.width:
            console.print("Test images by class (rows), and what they were taken for (columns):")
            console.print(matrix)
            return
    console.print(_heading(found))
    console.print(_by_class(found))


def _heading(found: Confusion) -> str:
    if len(found.classes) <= MOST_SHOWN:
        return "Test images by class:"
    return f"The {MOST_SHOWN} of {len(found.classes)} classes that were recognised least:"


def _matrix(found: Confusion) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0))
    names = [_label(number, name) for number, name in enumerate(found.classes)]
    table.add_column("")
    for number in range(len(names)):
        table.add_column(str(number), justify="right")
    table.add_column("accuracy", justify="right")
    for number, (name, accuracy) in enumerate(zip(names, found.accuracies(), strict=True)):
        cells = [_cell(n, number == m) for m, n in enumerate(found.counts[number])]
        table.add_row(Text(name), *cells, _share(accuracy))
    return table


def _by_class(found: Confusion) -> Table:
    accuracies = found.accuracies()
    order = [*range(len(found.classes))]
    if len(order) > MOST_SHOWN:
        order = sorted(order, key=lambda n: (accuracies[n] is None, accuracies[n]))[:MOST_SHOWN]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("class", overflow="fold")
    for heading in ("images", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("taken for", overflow="fold")
    for number in order:
        mistakes = [f"{name} {n}" for name, n in found.mistakes(number)[:2]]
        table.add_row(
            Text(found.classes[number]),
            str(sum(found.counts[number])),
            _share(accuracies[number]),
            Text(", ".join(mistakes)),
        )
    return table


def _label(number: int, name: str) -> str:
    return name if name == str(number) else f"{number} {name}"


def _cell(count: int, right: bool) -> Text:
    return Text(str(count) if count else "·", style="bold" if right else "" if count else "dim")


def _share(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.3f}"
