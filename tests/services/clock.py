"""A way to moto on which AWS's clock stands as a test sets it: hours pass between two commands of the program.

What moto tells of time and the program believes is the Date of its answers, and when EC2 attached an interface; the
rest passes as it is.
"""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ATTACHED = re.compile(rb"(?<=<attachTime>)[^<]+(?=</attachTime>)")
_OWN_HEADERS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})


class Clock:
    """AWS's clock: it runs as this machine's does, from where it was last set.

    A time of moto's is told as it was by the clock that counted then; what was before it was first set, by that one.
    """

    def __init__(self) -> None:
        self.url = ""
        self._ahead: list[tuple[datetime, timedelta]] = []

    def set(self, time: datetime) -> None:
        """It is this time now."""
        now = datetime.now(UTC)
        self._ahead.append((now, time - now))

    def told(self, real: datetime) -> datetime:
        """What this clock showed at a time of this machine's."""
        shown = [ahead for since, ahead in self._ahead if since <= real] or [self._ahead[0][1]]
        return real + shown[-1]

    def attached(self, found: re.Match[bytes]) -> bytes:
        """A time as EC2 writes it; moto's are UTC and may lack the zone."""
        real = datetime.fromisoformat(found[0].decode())
        real = real.replace(tzinfo=real.tzinfo or UTC)
        return f"{self.told(real):%Y-%m-%dT%H:%M:%S.000Z}".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    clock: Clock
    target: str
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def clock(target: str) -> Iterator[Clock]:
    """Runs in front of the server at `target` as long as the block lasts; the clock has to be set first."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.target, server.clock = target, Clock()
    server.clock.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.clock
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _pass_on(self) -> None:
        sent = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        request = urllib.request.Request(self.server.target + self.path, body, sent, method=self.command)  # noqa: S310 - loopback
        try:
            with self.server.direct.open(request, timeout=60) as answer:
                self._answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                self._answer(refusal.code, dict(refusal.headers), refusal.read())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - their names there

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        body = _ATTACHED.sub(self.server.clock.attached, body)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        now = self.server.clock.told(datetime.now(UTC))
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        self.send_header("Date", format_datetime(now, usegmt=True))
        self.send_header("Content-Length", length)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Nothing: a test says what matters."""
