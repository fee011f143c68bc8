"""Downloading: what arrives is the file, whatever the connection and the mirrors do."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from requests import Response

from flexpool.errors import DataError, StorageError
from flexpool.lab import data
from flexpool.lab.data import fetch as fetching
from flexpool.lab.data import transfer, verify
from flexpool.lab.data.fetch import Wanted, fetch
from lab.data.fakes import NAMES, Fake
from lab.data.loopback import Reply, Server

IMAGES = NAMES[0]
ONE, TWO = f"/one/{IMAGES}.gz", f"/two/{IMAGES}.gz"


@pytest.fixture
def wanted(alpha: Fake, cache: Path) -> Wanted:
    """Describe the download of the training images of the small data set."""
    file = alpha.files[0]
    return Wanted(
        title=str(file),
        name=f"{IMAGES}.gz",
        mirrors=alpha.kind.mirrors,
        target=cache / "alpha" / f"{IMAGES}.gz",
        limit=file.size + 1024,
        check=lambda path: verify.read(path, file),
        by_hand="Bring it.",
    )


def part_of(wanted: Wanted, content: bytes | None = None) -> Path:
    path = wanted.target.with_name(f"{wanted.target.name}.part")
    if content is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return path


def left_over(wanted: Wanted) -> list[str]:
    """List what lies in the cache beside the file and its lock."""
    return sorted(
        path.name
        for path in wanted.target.parent.iterdir()
        if path != wanted.target and path.suffix != ".lock"
    )


def good(wanted: Wanted, alpha: Fake, content: bytes) -> bool:
    return (
        content == alpha.contents[IMAGES]
        and gzip.decompress(wanted.target.read_bytes()) == content
        and left_over(wanted) == []
    )


def test_a_data_set_is_downloaded_once(
    alpha: Fake, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = data.load("alpha")
    assert first.source == str(cache / "alpha")
    assert server.requests == [(f"/one/{name}.gz", None) for name in NAMES]
    monkeypatch.setattr(data, "_loaded", {})
    assert data.load("alpha").fingerprint == first.fingerprint
    assert len(server.requests) == 4


def test_progress_is_shown_on_stderr(
    wanted: Wanted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(transfer, "_CHUNK", 500)  # A rate needs more than one piece.
    fetch(wanted)
    size = wanted.target.stat().st_size
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "alpha: train images" in shown.err
    assert f"{size / 1000:.1f}/{size / 1000:.1f} kB" in shown.err
    assert "B/s" in shown.err


def test_a_broken_connection_goes_on_where_it_stopped(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    server.replies[ONE].drops = [1000, 500]
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, None), (ONE, "bytes=1000-"), (ONE, "bytes=1500-")]
    assert server.sent == len(server.replies[ONE].body)


def test_an_interrupted_program_goes_on_where_it_stopped(
    wanted: Wanted, alpha: Fake, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_CHUNK", 1000)

    def interrupt(done: int, total: int | None) -> None:
        if done >= 2000:
            raise KeyboardInterrupt

    part = part_of(wanted, b"")
    with pytest.raises(KeyboardInterrupt):
        transfer.transfer(f"{server.url}{ONE}", part, wanted.limit, interrupt)
    assert part.stat().st_size == 2000
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests[1:] == [(ONE, "bytes=2000-")]


def test_an_interruption_before_the_last_step_needs_no_server(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    part_of(wanted, alpha.packed(IMAGES))
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == []


def test_a_server_without_ranges_starts_again(wanted: Wanted, alpha: Fake, server: Server) -> None:
    part_of(wanted, alpha.packed(IMAGES)[:1000])
    server.replies[ONE].ranges = False
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, "bytes=1000-")]


def test_a_server_that_goes_on_at_the_wrong_place_starts_again(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    part_of(wanted, alpha.packed(IMAGES)[:1000])
    server.replies[ONE].shift = -7
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, "bytes=1000-"), (ONE, None)]


def test_bytes_from_the_wrong_place_are_not_appended(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    # Verification would find it out too, but only after the whole file has come twice.
    part = part_of(wanted, alpha.packed(IMAGES)[:1000])
    server.replies[ONE].shift = -7
    assert not transfer.transfer(f"{server.url}{ONE}", part, wanted.limit)
    assert part.read_bytes() == alpha.packed(IMAGES)


def test_a_broken_connection_is_noticed_by_the_announced_length(
    wanted: Wanted, alpha: Fake, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = transfer._chunks

    def unaware(answer: Response) -> Iterator[bytes]:
        """End quietly when the connection does, as older releases of urllib3."""
        with suppress(transfer.BrokenError):
            yield from whole(answer)

    monkeypatch.setattr(transfer, "_chunks", unaware)
    server.replies[ONE].drops = [1000]
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, None), (ONE, "bytes=1000-")]


@pytest.mark.parametrize("extra", [0, 5])
def test_a_part_that_is_wrong_and_too_long_is_dropped(
    wanted: Wanted, alpha: Fake, server: Server, extra: int
) -> None:
    length = len(alpha.packed(IMAGES)) + extra
    part_of(wanted, b"x" * length)
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, f"bytes={length}-"), (ONE, None)]


def test_a_part_of_something_else_is_dropped(wanted: Wanted, alpha: Fake, server: Server) -> None:
    part_of(wanted, b"x" * 1000)
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, "bytes=1000-"), (ONE, None)]


def test_the_next_mirror_goes_on_with_what_the_first_gave(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    server.replies[TWO] = Reply(alpha.packed(IMAGES))
    server.replies[ONE].drops = [1000, 0]
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, None), (ONE, "bytes=1000-"), (TWO, "bytes=1000-")]


def test_the_next_mirror_may_compress_otherwise(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    content = alpha.contents[IMAGES]
    server.replies[TWO] = Reply(gzip.compress(content[:2000]) + gzip.compress(content[2000:]))
    server.replies[ONE].drops = [1000, 0]
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests[2:] == [(TWO, "bytes=1000-"), (TWO, None)]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=404), "HTTP 404 Not Found"),
        (Reply(status=500), "HTTP 500 Internal Server Error"),
        (Reply(status=206, body=b"half"), "HTTP 206 Partial Content"),
        (Reply(status=416), "HTTP 416"),
        (
            Reply(b"<html>sign in</html>"),
            "wrong content: neither gzip nor IDX: it begins with b'<html>sign i'",
        ),
        (Reply(b""), "wrong content: an empty file"),
        (Reply(b"\x1f\x8b" + b"x" * 9000), "sends more than the 6800 bytes this file can have"),
        (Reply(b"\x1f\x8b" + b"x" * 900), "wrong content: a damaged gzip file"),
    ],
    ids=["404", "500", "206", "416", "web page", "empty", "endless", "damaged"],
)
def test_a_mirror_that_does_not_serve_the_file_is_skipped(
    wanted: Wanted,
    alpha: Fake,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    reply: Reply,
    reason: str,
) -> None:
    server.replies[ONE] = reply
    server.replies[TWO] = Reply(alpha.packed(IMAGES))
    assert good(wanted, alpha, fetch(wanted))
    assert server.requests == [(ONE, None), (TWO, None)]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{server.url}{ONE}: {reason}")
    assert record.getMessage().endswith("; trying the next mirror")


def test_a_truncated_file_served_as_whole_is_skipped(
    wanted: Wanted, alpha: Fake, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies[ONE] = Reply(alpha.packed(IMAGES)[:-100])
    server.replies[TWO] = Reply(alpha.packed(IMAGES))
    assert good(wanted, alpha, fetch(wanted))
    assert "wrong content: a gzip file that ends early" in caplog.text


def test_the_file_of_another_data_set_is_skipped(
    wanted: Wanted, alpha: Fake, beta: Fake, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies[ONE] = Reply(beta.packed(IMAGES))
    server.replies[TWO] = Reply(alpha.packed(IMAGES))
    assert good(wanted, alpha, fetch(wanted))
    assert "wrong content: the file of beta: train images" in caplog.text


def test_a_mirror_that_cannot_be_reached_is_skipped(
    wanted: Wanted, alpha: Fake, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    object.__setattr__(wanted, "mirrors", (dead, wanted.mirrors[0]))
    assert good(wanted, alpha, fetch(wanted))
    assert f"{dead}{IMAGES}.gz: connection refused" in caplog.text


def test_without_a_network_the_reason_is_short(
    wanted: Wanted, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DataError) as caught:
        fetch(wanted)
    assert str(caught.value) == (
        f"cannot download {IMAGES}.gz (alpha: train images). Tried:\n"
        f"  {server.url}{ONE}: host name not found (no network?)\n"
        f"  {server.url}{TWO}: host name not found (no network?)\n"
        "Bring it."
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.exceptions.SSLError("..."), "its certificate is not trusted"),
        (requests.exceptions.ProxyError("..."), "the proxy does not let us through"),
        (requests.exceptions.ConnectTimeout("..."), "no answer in time"),
        (requests.exceptions.ConnectionError("reset"), "the connection broke"),
    ],
)
def test_other_reasons_are_short_too(error: Exception, reason: str) -> None:
    assert transfer._reason(error) == reason


@pytest.mark.parametrize("stage", ["before the answer", "within the answer"])
def test_a_mirror_that_falls_silent_is_skipped(
    wanted: Wanted,
    alpha: Fake,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    monkeypatch.setattr(transfer, "_READ_SECONDS", 0.2)
    server.replies[ONE].hold = threading.Event()
    server.replies[ONE].hold_body = stage == "within the answer"
    server.replies[TWO] = Reply(alpha.packed(IMAGES))
    assert good(wanted, alpha, fetch(wanted))
    assert f"{server.url}{ONE}: no answer in time" in caplog.text


def test_a_mirror_that_breaks_all_the_time_is_given_up(
    wanted: Wanted, alpha: Fake, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_ATTEMPTS", 3)
    server.replies[ONE].drops = [10] * 100
    with pytest.raises(DataError, match="the connection broke 3 times"):
        fetch(wanted)
    assert part_of(wanted).stat().st_size == 30


def test_a_length_that_is_not_told_does_no_harm(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    server.replies[ONE].headers = {"Content-Length": ""}
    assert good(wanted, alpha, fetch(wanted))


def test_bytes_are_kept_as_they_were_sent(wanted: Wanted, alpha: Fake, server: Server) -> None:
    server.replies[ONE].headers = {"Content-Encoding": "gzip"}
    assert good(wanted, alpha, fetch(wanted))
    assert wanted.target.read_bytes() == alpha.packed(IMAGES)


def test_if_all_mirrors_fail_each_is_listed_with_the_way_out(
    alpha: Fake, server: Server, cache: Path, tmp_path: Path
) -> None:
    alpha.write(tmp_path / "mine" / "alpha", names=(NAMES[1],))
    server.replies = {ONE: Reply(b"<html>sign in</html>"), TWO: Reply(status=503)}
    with pytest.raises(DataError) as caught:
        data.load("alpha", tmp_path / "mine")
    assert str(caught.value) == (
        f"data.load: cannot download {IMAGES}.gz (alpha: train images). Tried:\n"
        f"  {server.url}{ONE}: wrong content: neither gzip nor IDX: "
        "it begins with b'<html>sign i'\n"
        f"  {server.url}{TWO}: HTTP 503 Service Unavailable\n"
        f"To supply what is missing by hand, put {IMAGES}.gz, {NAMES[2]}.gz, {NAMES[3]}.gz into a "
        "folder D/alpha and give D with --data-dir or in FLEXPOOL_DATA_DIR."
    )
    assert [path.name for path in (cache / "alpha").glob("*.part")] == []


def test_a_damaged_file_in_the_cache_is_downloaded_again(
    alpha: Fake, server: Server, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = alpha.write(cache / "alpha") / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-50])
    loaded = data.load("alpha")
    assert loaded.train_images.tobytes() == alpha.contents[IMAGES][16:]
    assert server.requests == [(ONE, None)]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path} is a gzip file that ends early, after ")
    assert record.getMessage().endswith("; downloading it again")
    assert path.read_bytes() == alpha.packed(IMAGES)


def test_a_damaged_file_in_the_cache_is_not_used_without_a_network(
    alpha: Fake, server: Server, cache: Path
) -> None:
    path = alpha.write(cache / "alpha") / f"{IMAGES}.gz"
    path.write_bytes(b"damaged")
    server.replies = {}
    with pytest.raises(DataError, match=f"put {IMAGES}.gz into a folder D/alpha"):
        data.load("alpha")


def test_a_cache_that_cannot_be_written(
    alpha: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("FLEXPOOL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError) as caught:
        data.load("alpha")
    assert str(caught.value).startswith(f"data.load: cannot write {tmp_path / 'file' / 'alpha'}: ")


def test_a_full_disk_is_named_and_the_part_is_kept(
    wanted: Wanted, alpha: Fake, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError) as caught:
            fetch(wanted)
    assert str(caught.value) == (
        f"cannot write {part_of(wanted)}: No space left on device. "
        "The disk is full: free some space and run again; finished files are kept."
    )
    assert not wanted.target.exists()
    assert good(wanted, alpha, fetch(wanted))
    assert len(server.requests) == 1


def test_a_stale_part_does_not_replace_a_good_file(
    wanted: Wanted, alpha: Fake, server: Server
) -> None:
    alpha.write(wanted.target.parent)
    part_of(wanted).write_bytes(b"stale")
    assert fetch(wanted) == alpha.contents[IMAGES]
    assert wanted.target.read_bytes() == alpha.packed(IMAGES)
    assert server.requests == []
