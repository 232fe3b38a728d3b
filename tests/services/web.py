"""A web server on a real socket that gives lists, and whatever else servers on the internet give."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    `missing` bytes are promised and not sent; `chunked` sends it in chunks, `unended` without the last one; `drip` is a
    wait before each byte, in seconds; a status of 0 closes without a word.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    chunked: bool = False
    unended: bool = False
    drip: float = 0
    head_drip: float = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What came: the path with its query, and the headers by their names in small letters."""

    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Site:
    """A running server; `pages` by path may be changed at any time.

    A list of pages is given one after the other, the last one for ever.
    """

    url: str
    pages: dict[str, Page | list[Page]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    tunnels: bool = False
    """Whether it is a proxy that connects to others; else it answers CONNECT with 502."""

    def page(self, path: str) -> Page:
        """The answer to a request."""
        found = self.pages.get(path.partition("?")[0], Page(404))
        if isinstance(found, Page):
            return found
        return found.pop(0) if len(found) > 1 else found[0]


class Certificate:
    """A certificate for loopback and its key, in a file; it is its own authority."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.path = folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """What a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


class _Quiet(ThreadingHTTPServer):
    """A server that says nothing about clients that hang up on it."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Keeps quiet: the client tells, and the test looks."""


@contextmanager
def serve(tls: Certificate | None = None) -> Iterator[Site]:
    """Runs a server as long as the block lasts; without TLS it is a forwarding proxy too, that answers by itself."""
    site = Site("")
    server = _Quiet(("127.0.0.1", 0), _handler(site))
    if tls is not None:
        server.socket = tls.context().wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(site: Site) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.requests.append(Request(self.path, headers))
            with suppress(OSError):
                _give(self, site)
            self.close_connection = True

        def do_CONNECT(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.requests.append(Request(f"CONNECT {self.path}", headers))
            if site.tunnels:
                _tunnel(self)
            else:
                self.send_error(502)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    return Handler


def _tunnel(of: BaseHTTPRequestHandler) -> None:
    """Connects the client with whom it names, until both have said all."""
    host, _, port = of.path.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as other:
        of.send_response(200)
        of.end_headers()
        back = threading.Thread(target=_pass_on, args=(other, of.connection), daemon=True)
        back.start()
        _pass_on(of.connection, other)
        back.join()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def _give(to: BaseHTTPRequestHandler, site: Site) -> None:
    """Answers one request as its page says."""
    page = site.page(to.path)
    if page.status == 0:
        return
    if page.head_drip:
        _drip(to, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000, page.head_drip, site.ended)
        return
    to.send_response(page.status)
    for name, value in page.headers.items():
        to.send_header(name, value)
    if page.chunked:
        to.send_header("Transfer-Encoding", "chunked")
    else:
        to.send_header("Content-Length", str(len(page.body) + page.missing))
    to.end_headers()
    end = b"" if page.unended else b"0\r\n\r\n"
    body = b"%x\r\n%s\r\n%s" % (len(page.body), page.body, end) if page.chunked else page.body
    if page.drip:
        _drip(to, body, page.drip, site.ended)
    else:
        to.wfile.write(body)


def _drip(to: BaseHTTPRequestHandler, data: bytes, every: float, ended: threading.Event) -> None:
    for byte in data:
        if ended.wait(every):
            return
        to.wfile.write(bytes([byte]))
        to.wfile.flush()
