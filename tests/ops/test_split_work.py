"""Every operator gives the same on several threads, each with some of the planes."""

import pytest

from flexpool.backends import threads
from flexpool.declare import operators
from ops.test_conformance import SOME, heavy
from ops.test_conformance import test_windows as check_windows


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=heavy("numba_cpu", name in SOME)) for name in operators()]
)
def test_pieces_of_one_plane_each(name, monkeypatch):
    pieces = []

    def noted(work, items, elements):
        run(lambda *piece: (pieces.append(piece), work(*piece)), items, elements)

    run = threads.run
    monkeypatch.setattr(threads, "run", noted)
    monkeypatch.setattr(threads, "GRAIN", 1)
    monkeypatch.setattr(threads, "limit", lambda: 4)
    check_windows(name, 0, "line", "numba_cpu", "float64")
    assert sorted(pieces) == sorted(2 * [(0, 1), (1, 2), (2, 3), (3, 4)])  # result and gradient
