"""One file from one web address, going on where an earlier try stopped."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flexpool.lab.files import storing

if TYPE_CHECKING:
    from requests import Response

__all__ = ["BrokenError", "RefusedError", "size_of", "transfer"]

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 30.0
_CHUNK = 1 << 16


class BrokenError(Exception):
    """The connection ended before the file did; what arrived is kept."""


class RefusedError(Exception):
    """This address does not give the file; the message says why."""


def size_of(path: Path) -> int:
    """Return the bytes in a file, 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def transfer(
    url: str, part: Path, limit: int, tell: Callable[[int, int | None], None] = lambda *_: None
) -> bool:
    """Load `url` into `part`, appending to what is already there if the server can do that.

    Args:
        url: http or https address.
        part: where the bytes go. Kept if the connection breaks.
        limit: more bytes than the file can have; a server that sends more is cut off.
        tell: called with the bytes in `part` and the bytes in all, None if unknown.

    Returns:
        True if bytes of an earlier try were kept, False if all bytes come from this one.

    Raises:
        BrokenError: if the connection broke midway.
        RefusedError: if the server cannot be reached or does not give the file.
        StorageError: if `part` cannot be written.
    """
    import requests

    start = size_of(part)
    # A server that compressed the file once more would confuse every position in it.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    timeout = (_CONNECT_SECONDS, _READ_SECONDS)
    try:
        answer = requests.get(url, headers=headers, stream=True, timeout=timeout)
    except requests.RequestException as error:
        raise RefusedError(_reason(error)) from None
    with answer:
        resumed = start > 0 and _goes_on(answer, start)
        unusable = answer.status_code == 416 or (answer.status_code == 206 and not resumed)
        if not (start and unusable):
            if answer.status_code != (206 if resumed else 200):
                raise RefusedError(f"HTTP {answer.status_code} {answer.reason}".rstrip())
            _save(answer, part, start if resumed else 0, limit, tell)
            return resumed
    # The earlier part does not fit to this file: it is longer, or the server counts otherwise.
    with storing(part):
        part.unlink()
    return transfer(url, part, limit, tell)


def _goes_on(answer: Response, start: int) -> bool:
    """Tell whether the answer begins exactly where our part ends, whatever its status promises."""
    given = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return answer.status_code == 206 and given is not None and int(given[1]) == start


def _save(
    answer: Response, part: Path, start: int, limit: int, tell: Callable[[int, int | None], None]
) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    done = start
    with storing(part), part.open("ab" if start else "wb") as stream:
        tell(done, total)
        for chunk in _chunks(answer):
            done += len(chunk)
            if done > limit:
                raise RefusedError(f"sends more than the {limit} bytes this file can have")
            stream.write(chunk)
            tell(done, total)
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and done < total:
        raise BrokenError(f"the connection ended after {done} of {total} bytes")


def _chunks(answer: Response) -> Iterator[bytes]:
    """Yield the bytes as they were sent: a server may call a .gz file its own compression."""
    import urllib3

    try:
        yield from answer.raw.stream(_CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise BrokenError(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Say in a few words why a server could not be reached; the libraries' texts fill a screen."""
    import requests
    import urllib3

    text = str(error)
    slow = (requests.Timeout, urllib3.exceptions.TimeoutError)
    if isinstance(error, slow):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not let us through"
    if "NameResolution" in text or "getaddrinfo" in text:
        return "host name not found (no network?)"
    if "refused" in text:
        return "connection refused"
    return "the connection broke"
