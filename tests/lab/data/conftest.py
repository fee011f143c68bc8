"""A clean place for each test: no data of the user's, no network, an empty cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flexpool.lab import data
from flexpool.lab.data import published, registry
from lab.data.fakes import Fake, fake
from lab.data.loopback import Reply, Server, serving

# Read before the tests take the variable away from the code they test.
_REAL = Path(os.environ.get("FLEXPOOL_DATA_DIR", "nowhere")).resolve()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the package at an empty cache, and return it."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("FLEXPOOL_DATA_DIR", raising=False)
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(data, "_loaded", {})
    return folder


@pytest.fixture
def real_dir() -> Path:
    """Return the folder of the published files; what needs it says so where it is missing."""
    if not (_REAL / "mnist").is_dir() or not (_REAL / "fashion_mnist").is_dir():
        pytest.skip("needs mnist/ and fashion_mnist/ in the folder of FLEXPOOL_DATA_DIR")
    return _REAL


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def alpha(server: Server, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Register a small data set whose first mirror, /one/, serves all files as it should."""
    made = _register("alpha", 1, server, monkeypatch)
    for name in made.contents:
        server.replies[f"/one/{name}.gz"] = Reply(made.packed(name))
    return made


@pytest.fixture
def beta(alpha: Fake, server: Server, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Register a second data set; its mirrors have nothing."""
    return _register("beta", 2, server, monkeypatch)


def _register(name: str, seed: int, server: Server, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake(name, seed, (f"{server.url}/one/", f"{server.url}/two/"))
    monkeypatch.setitem(registry.KINDS, name, made.kind)
    monkeypatch.setattr(published, "PUBLISHED", (*published.PUBLISHED, *made.files))
    return made
