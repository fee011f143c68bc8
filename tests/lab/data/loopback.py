"""A web server on this machine that can misbehave in the ways real ones do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """How the server answers for one path.

    Args:
        body: the file.
        status: answered instead of the file, if not 200.
        ranges: whether Range is honoured.
        shift: by how much a partial answer starts at the wrong place.
        drops: for the first requests, after how many bytes each the connection is cut.
        headers: further headers.
        hold: the request waits until this is set.
        hold_body: wait after the headers, not before them.
    """

    body: bytes = b""
    status: int = 200
    ranges: bool = True
    shift: int = 0
    drops: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None
    hold_body: bool = False


class Server:
    """Answers by `replies[path]`; `requests` lists each path with the Range that was asked for."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.sent = 0
        self.url = ""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the output of the tests clean."""

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.requests.append((self.path, asked))
            _answer(self, server, server.replies.get(self.path, Reply(status=404)), asked)

    with _Quiet(("127.0.0.1", 0), Handler) as web:
        server.url = f"http://127.0.0.1:{web.server_address[1]}"
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            for reply in server.replies.values():
                if reply.hold:
                    reply.hold.set()
            web.shutdown()
            thread.join()


def _answer(
    handler: BaseHTTPRequestHandler, server: Server, reply: Reply, asked: str | None
) -> None:
    if reply.hold and not reply.hold_body:
        reply.hold.wait(20)
    start = 0
    # A file that is compressed once more on its way could not be resumed.
    status = reply.status if handler.headers["Accept-Encoding"] == "identity" else 406
    if status == 200 and asked and reply.ranges:
        given = re.fullmatch(r"bytes=(\d+)-", asked)
        assert given is not None
        start = int(given[1]) + reply.shift
        status = 206 if start < len(reply.body) else 416
    body = reply.body[start:] if status in (200, 206) else b""
    handler.send_response(status)
    if status == 206:
        last = len(reply.body) - 1
        handler.send_header("Content-Range", f"bytes {start}-{last}/{len(reply.body)}")
    for name, value in ({"Content-Length": str(len(body))} | reply.headers).items():
        if value:
            handler.send_header(name, value)
    handler.end_headers()
    if reply.hold and reply.hold_body:
        reply.hold.wait(20)
    cut = body[: reply.drops.pop(0)] if reply.drops else body
    handler.wfile.write(cut)
    server.sent += len(cut)
