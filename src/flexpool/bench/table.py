"""The figures as tables: in the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from flexpool.bench.peers import PEERS
from flexpool.bench.results import OURS, UNIT, Cell, Results, Row

__all__ = ["markdown", "summary", "tables"]

_LOSES = "◂"
_WIDE = 110  # columns from which on the spread and the speed are shown, too
_NOTE = (
    "ms: median of a call of flexpool, [quartiles]; GB/s: what must move, by that; of copy: as a "
    f"share of copying the input. Then how many times as long each other takes; {_LOSES}: it is "
    "faster. ·: it has no way to do this."
)

_BUSY = 0.7  # processes that wanted to run when the benchmark began
_BUSY_NOTE = "The machine was busy when this began: repeat it on one that is idle."


@dataclass(frozen=True)
class _Entry:
    """A cell of a table: its text, and whether it is bad news."""

    text: str
    loses: bool = False


def tables(results: Results, console: Console) -> Group:
    """Make one table per direction, and the summary."""
    parts: list[Table | Text] = []
    for direction in _directions(results):
        table = Table(title=direction, title_justify="left", box=None, padding=(0, 2, 0, 0))
        headings = _headings(results, console.width >= _WIDE)
        for number, heading in enumerate(headings):
            table.add_column(
                heading,
                justify="left" if number < 2 else "right",
                overflow="fold",
                no_wrap=number < 2,
            )
        before = ""
        for row in _rows(results, direction):
            size = _size(row, console.width >= _WIDE)
            entries = _entries(results, row, console.width >= _WIDE)
            table.add_row(
                Text(size if size != before else "", style="dim"),
                *(Text(e.text, style="bold red" if e.loses else "") for e in entries),
            )
            before = size
        parts += [table, Text()]
    parts += [Text(_NOTE, style="dim"), Text(), _summary_table(results)]
    parts += [Text(line, style="bold red") for line in _mistakes(results)]
    if (results.about["load"] or 0.0) > _BUSY:
        parts.append(Text(_BUSY_NOTE, style="bold red"))
    return Group(*parts)


def summary(results: Results) -> list[str]:
    """Say in a line per peer and direction how much longer it takes on average, and where it wins.

    Example:
        >>> cells = {"flexpool": Cell("ok", seconds=(1.0,)), "torch": Cell("ok", seconds=(4.0,))}
        >>> where = ("max", "vgg", "contiguous", "forward", (8, 64, 224, 224), "k2 s2", "float32")
        >>> summary(Results({}, {}, (Row(*where, 10, 10, cells),)))
        ['forward: PyTorch takes 4.0 times as long (geometric mean of 1 row), faster in 0']
    """
    lines = []
    for direction, peer, mean, count, losses in _means(results):
        rows = f"{count} row" + ("s" if count > 1 else "")
        lines.append(
            f"{direction}: {_title(peer)} takes {mean:.1f} times as long (geometric mean of "
            f"{rows}), faster in {losses}"
        )
    return lines


def markdown(results: Results) -> str:
    """Write the machine, the summary and all rows as Markdown."""
    made = results.made_with
    about = {
        "machine": ", ".join(
            f"{name} {_in_words(value)}" for name, value in made["machine"].items() if value
        ),
        "software": ", ".join(f"{k} {v}" for k, v in made["software"].items()),
        "settings": ", ".join(f"{k} {v}" for k, v in made["settings"].items()),
        "begun": str(results.about["begun"]),
        "command": f"`{results.about['command']}`",
    }
    lines = ["# flexpool beside others", ""]
    lines += [f"* {name}: {text}" for name, text in about.items()] + [""]
    lines += [f"* {line}" for line in summary(results)] + [""]
    lines += [f"* **{line}**" for line in _mistakes(results)]
    for direction in _directions(results):
        headings = _headings(results, True)
        lines += ["", f"## {direction}", "", _line(headings)]
        lines += [_line(["---", "---"] + ["--:"] * (len(headings) - 2))]
        for row in _rows(results, direction):
            texts = [f"**{e.text}**" if e.loses else e.text for e in _entries(results, row, True)]
            lines.append(_line([_size(row), *texts]))
    return "\n".join([*lines, "", _NOTE, ""])


def _in_words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {part}" for name, part in value.items())
    return str(value)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _directions(results: Results) -> list[str]:
    return list(dict.fromkeys(row.direction for row in results.rows))


def _rows(results: Results, direction: str) -> list[Row]:
    """List the rows of a direction, those of one size together."""
    rows = [row for row in results.rows if row.direction == direction]
    sizes = list(dict.fromkeys(_size(row) for row in rows))
    return sorted(rows, key=lambda row: sizes.index(_size(row)))


def _size(row: Row, full: bool = True) -> str:
    shape = f"{'×'.join(map(str, row.shape))} " if full else ""
    last = ", channels last" if row.layout == "channels_last" else ""
    kind = "" if row.dtype == "float32" else f" {row.dtype}"
    return f"{row.case} {shape}{row.window}{kind}{last}"


def _others(results: Results) -> list[str]:
    return [peer for peer in results.peers() if peer != OURS]


def _title(peer: str) -> str:
    return PEERS[peer].title if peer in PEERS else peer


def _headings(results: Results, wide: bool) -> list[str]:
    spread = ["[quartiles]", "GB/s"] if wide else []
    return ["size", "operator", "ms", *spread, "of copy", *map(_title, _others(results))]


def _entries(results: Results, row: Row, wide: bool) -> list[_Entry]:
    ours = row.cells.get(OURS, Cell("cannot"))
    entries = [_Entry(row.operator)]
    if ours.status != "ok":
        entries.append(_Entry(ours.status, loses=True))
        entries += [_Entry("")] * (3 if wide else 1)
    else:
        entries.append(_Entry(_ms(ours.median)))
        if wide:
            entries.append(_Entry(f"[{_ms(ours.quartiles[0])}, {_ms(ours.quartiles[1])}]"))
            entries.append(_Entry(f"{row.speed(OURS):.3g}"))
        share = row.share(OURS)
        entries.append(_Entry("" if share is None else f"{100 * share:.0f} %"))
    return [*entries, *(_beside(row, peer) for peer in _others(results))]


def _beside(row: Row, peer: str) -> _Entry:
    cell = row.cells.get(peer)
    if cell is None or cell.status == "cannot":
        return _Entry("·")
    if cell.status != "ok":
        return _Entry(cell.status, loses=True)
    ratio = row.ratio(peer)
    if ratio is None:
        return _Entry(f"{_ms(cell.median)} ms")
    text = f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.0f}×"
    return _Entry(f"{text} {_LOSES}" if ratio < 1 else f"{text}  ", loses=ratio < 1)


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:.0f}" if milliseconds >= 1000 else f"{milliseconds:.3g}"


def _means(results: Results) -> Iterator[tuple[str, str, float, int, int]]:
    for direction in _directions(results):
        rows = [row for row in results.rows if row.direction == direction]
        for peer, (mean, count) in results.geometric_means(direction).items():
            yield direction, peer, mean, count, sum(peer in row.losses for row in rows)


def _summary_table(results: Results) -> Table:
    table = Table(
        title="beside flexpool, on geometric average over the rows that both can do",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for heading in ("direction", "peer", "takes", "rows", "faster than flexpool in"):
        table.add_column(heading, justify="left" if heading in ("direction", "peer") else "right")
    for direction, peer, mean, count, losses in _means(results):
        table.add_row(
            direction,
            _title(peer),
            f"{mean:.2f}×",
            str(count),
            Text(str(losses), style="bold red" if losses else ""),
        )
    return table


def _mistakes(results: Results) -> list[str]:
    return [
        f"{_title(name)}: {row.operator}, {_size(row)}, {row.direction}: {cell.status}: "
        f"{cell.reason}"
        for row in results.rows
        for name, cell in row.cells.items()
        if cell.status in ("wrong", "failed") and name != UNIT
    ]
