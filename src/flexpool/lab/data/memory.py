"""How much memory there is, so that data that cannot fit is refused before the machine stalls."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flexpool.errors import DataError

__all__ = ["available", "check"]


def available() -> int | None:
    """Return the bytes of memory that can be had, or None where the system does not say."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return int(found[1]) * 1024
    except OSError:
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def check(what: str, needed: int, cure: str) -> None:
    """Refuse what needs more memory than can be had.

    Args:
        what: the thing, with its sizes.
        needed: bytes.
        cure: what to do, a full sentence.

    Raises:
        DataError: says how much is needed and how much there is.
    """
    there = available()
    if there is not None and needed > there:
        raise DataError(
            f"{what} need {needed / 1e9:.1f} GB of memory, and {there / 1e9:.1f} GB can be had "
            f"here. {cure}"
        )
