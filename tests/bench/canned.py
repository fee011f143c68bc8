"""Small results without measuring: one row won, one lost, one with a wrong peer."""

from dataclasses import replace

from flexpool.bench.results import Cell, Results, Row


def cell(*seconds, how="a_function"):
    return Cell("ok", how, "", 1, seconds)


def row(operator="max", direction="forward", **cells):
    known = {"copy": cell(0.010, 0.010, 0.010), "flexpool": cell(0.004, 0.005, 0.006), **cells}
    return Row(
        operator,
        "maps-k2",
        "contiguous",
        direction,
        (32, 64, 112, 112),
        "k2 s2",
        "float32",
        moved=125_000_000,
        copied=200_000_000,
        cells=known,
    )


RESULTS = Results(
    made_with={
        "machine": {"processor": "A processor", "cores": 2, "caches": {"L1 data": "48K"}},
        "software": {"torch": "2.13.0", "numba": "0.68", "onnxruntime": "1.31"},
        "settings": {"threads": 2, "rounds": 5},
        "peers": {"copy": "measured", "flexpool": "measured", "torch": "measured"},
    },
    about={"begun": "2026-01-02T03:04:05+00:00", "command": "flexpool bench", "load": 0.1},
    rows=(
        row("max", torch=cell(0.020), onnxruntime=cell(0.0025)),
        row("soft", torch=cell(0.080), onnxruntime=Cell("cannot", reason="has no soft")),
        replace(row("soft", torch=Cell("wrong", "soft", "differs")), layout="channels_last"),
        row("max", "backward", torch=cell(0.010), onnxruntime=Cell("cannot", reason="no")),
    ),
)
