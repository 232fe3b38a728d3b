"""A way to S3 that fails as networks do: a proxy on a real socket that breaks, stalls and refuses as it is told."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PASSED_ON = ("content-length", "content-range", "content-type", "etag", "last-modified", "x-amz-bucket-region")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request whose path and query hold `where`.

    `cut`: the body ends after so many bytes, though more were promised.  `stall`: then nothing comes, for longer than
    the client waits.  `refuse`: this status and code instead of an answer.  `deaf`: the request's Range is not heard.
    """

    where: str
    cut: int | None = None
    stall: bool = False
    refuse: tuple[int, str] | None = None
    deaf: bool = False


@dataclass(slots=True)
class Proxy:
    """A running proxy: faults are used up in order, one a request; `seen` holds each path with its Range."""

    url: str
    faults: list[Fault] = field(default_factory=list)
    always: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)

    def client(self) -> S3Client:
        """A client as the program's own: it neither retries nor waits for long."""
        session: Any = boto3.Session()
        client: S3Client = session.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(
                proxies={},
                retries={"total_max_attempts": 1},
                read_timeout=0.5,
                connect_timeout=1,
                s3={"addressing_style": "path"},
            ),
        )
        return client

    def take(self, path: str) -> Fault:
        """The fault for a request, the neutral one if there is none."""
        for fault in self.faults:
            if fault.where in path:
                self.faults.remove(fault)
                return fault
        return next((fault for fault in self.always if fault.where in path), Fault(""))


class _Server(ThreadingHTTPServer):
    """Passes requests on to `target` as `proxy` says."""

    daemon_threads = True
    proxy: Proxy
    target: str
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def faulty(target: str) -> Iterator[Proxy]:
    """Runs a proxy in front of `target` as long as the block lasts."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.target = target
    server.proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.proxy
    finally:
        server.proxy.gone.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        proxy = self.server.proxy
        fault = proxy.take(self.path)
        proxy.seen.append((self.path, self.headers.get("Range")))
        status, headers, body = _refusal(*fault.refuse) if fault.refuse else self.ask(fault)
        self.answer(status, headers, body[: fault.cut])
        if fault.stall:
            proxy.gone.wait(5)
        if fault.cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def do_HEAD(self) -> None:
        self.answer(*self.ask(Fault(""), "HEAD"))
        self.close_connection = True

    def ask(self, fault: Fault, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """The target's own answer."""
        heard = ("If-Match", "Authorization", *(() if fault.deaf else ("Range",)))
        sent = {name: self.headers[name] for name in heard if name in self.headers}
        request = urllib.request.Request(self.server.target + self.path, headers=sent, method=method)  # noqa: S310  loopback
        try:
            with self.server.direct.open(request, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, dict(refusal.headers), refusal.read()

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Sends what may be less than the headers promise."""
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() in PASSED_ON:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Nothing: a test says what matters."""


def _refusal(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    return status, {"content-length": str(len(body))}, body
