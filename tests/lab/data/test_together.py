"""Two who download the same file at once: one downloads, the other waits, both get it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flexpool.lab.data import verify
from flexpool.lab.data.fetch import Wanted, fetch
from lab.data.fakes import NAMES, Fake
from lab.data.loopback import Server

IMAGES = NAMES[0]
ONE = f"/one/{IMAGES}.gz"

# The laboratory's own __init__ imports torch; the download alone is wanted here, and quickly.
_CHILD = """
import sys, types
from pathlib import Path
import flexpool
lab = types.ModuleType("flexpool.lab")
lab.__path__ = [str(Path(flexpool.__file__).parent / "lab")]
sys.modules["flexpool.lab"] = lab
from flexpool.lab.data import verify
from flexpool.lab.data.fetch import Wanted, fetch
from flexpool.lab.data.published import PublishedFile
url, target, size, sha256 = sys.argv[1:]
file = PublishedFile("alpha", "train images", "", int(size), sha256, 0)
wanted = Wanted("alpha: train images", Path(target).name, (url,), Path(target), int(size) + 1024,
                lambda path: verify.read(path, file), "")
print("ready", flush=True)
sys.stdin.readline()
print(len(fetch(wanted)))
"""


def test_two_processes_download_once(alpha: Fake, server: Server, cache: Path) -> None:
    file = alpha.files[0]
    target = cache / "alpha" / f"{IMAGES}.gz"
    server.replies[ONE].hold = threading.Event()
    command = [sys.executable, "-c", _CHILD, f"{server.url}/one/", str(target), str(file.size)]
    children = [
        subprocess.Popen(
            [*command, file.sha256],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    time.sleep(0.5)  # Long enough for both to ask, if nothing kept the second from asking.
    server.replies[ONE].hold.set()
    ends = [child.communicate(timeout=30) for child in children]
    assert [out for out, _ in ends] == [f"{file.size}\n"] * 2, ends
    assert server.requests == [(ONE, None)]
    assert "waiting for another process that downloads alpha: train images" in "".join(
        error for _, error in ends
    )
    assert target.read_bytes() == alpha.packed(IMAGES)


def test_many_threads_download_once(
    alpha: Fake, server: Server, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = alpha.files[0]
    wanted = Wanted(
        title=str(file),
        name=f"{IMAGES}.gz",
        mirrors=alpha.kind.mirrors,
        target=cache / "alpha" / f"{IMAGES}.gz",
        limit=file.size + 1024,
        check=lambda path: verify.read(path, file),
        by_hand="",
    )
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(fetch, [wanted] * 4))
    assert contents == [alpha.contents[IMAGES]] * 4
    assert server.requests == [(ONE, None)]
