"""The modules are the same on every backend, so here they run on the one that compiles nothing."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _eager(eager):
    """Let every test here run there."""
