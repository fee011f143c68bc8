"""Tables and the picture, from canned results."""

import io
from dataclasses import replace

import matplotlib.image
from rich.console import Console

from bench.canned import RESULTS, row
from flexpool.bench import picture
from flexpool.bench.results import Cell
from flexpool.bench.table import markdown, summary, tables


def printed(results, width=120, terminal=False):
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal)
    console.print(tables(results, console))
    return console.file.getvalue()


def line_of(text, operator):
    return next(line for line in text.splitlines() if f" {operator} " in line)


def test_the_table_says_how_long_others_take_and_where_flexpool_loses():
    text = printed(RESULTS)
    won, lost = line_of(text, "soft"), line_of(text, "max")
    assert "16×" in won
    assert "·" in won
    assert "◂" not in won
    assert "4.00×" in lost
    assert "0.50× ◂" in lost
    assert "125 %" in lost
    assert "[4.5, 5.5]" in lost
    assert "maps-k2 32×64×112×112 k2 s2, channels last" in text
    assert "PyTorch: soft, maps-k2 32×64×112×112 k2 s2, channels last, forward: wrong: diff" in text
    assert "busy" not in text


def test_a_loss_is_coloured_on_a_terminal():
    assert "\x1b[1;31m" in line_of(printed(RESULTS, terminal=True).replace("max", " max "), "max")


def test_a_narrow_terminal_loses_no_figure():
    text = printed(RESULTS, width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "0.50× ◂" in text
    assert "125 %" in text
    assert "…" not in text


def test_a_busy_machine_is_mentioned():
    assert "busy" in printed(replace(RESULTS, about={**RESULTS.about, "load": 2.0}))


def test_flexpool_being_wrong_is_shown():
    wrong = row("max", flexpool=Cell("wrong", "pool", "differs by 1"))
    text = printed(replace(RESULTS, rows=(wrong,)))
    assert "wrong" in line_of(text, "max")
    assert "flexpool: max, maps-k2 32×64×112×112 k2 s2, forward: wrong: differs by 1" in text


def test_the_summary():
    assert summary(RESULTS) == [
        "forward: PyTorch takes 8.0 times as long (geometric mean of 2 rows), faster in 0",
        "forward: ONNX Runtime takes 0.5 times as long (geometric mean of 1 row), faster in 1",
        "backward: PyTorch takes 2.0 times as long (geometric mean of 1 row), faster in 0",
    ]


def test_markdown_has_the_machine_all_rows_and_losses_in_bold():
    text = markdown(RESULTS)
    assert "processor A processor, cores 2, caches L1 data 48K" in text
    assert "`flexpool bench`" in text
    assert "## backward" in text
    assert "**0.50× ◂**" in text
    lines = [line for line in text.splitlines() if line.startswith("| maps-k2")]
    assert len(lines) == len(RESULTS.rows)
    assert len({line.count("|") for line in lines}) == 1


def test_the_picture_has_a_line_per_row_and_marks_losses(monkeypatch):
    shaded = []
    monkeypatch.setattr(
        picture.Axes, "axhspan", lambda axes, *place, **_: shaded.append((axes.get_title(), place))
    )
    drawn = matplotlib.image.imread(io.BytesIO(picture.draw(RESULTS)))
    assert drawn.shape[1] == round(11.5 * 130)
    assert shaded == [("", (0.5, 1.5))]  # max, forward; line 0 is the heading


def test_every_peer_has_a_mark_of_its_own():
    from flexpool.bench.peers import PEERS

    assert picture._MARKS.keys() == PEERS.keys() - {"copy"}
    colours, shapes = zip(*picture._MARKS.values(), strict=True)
    assert len(set(colours)) == len(set(shapes)) == len(picture._MARKS)
