"""A server on a real socket that gives the answers it is told to: faults that a real Elasticsearch cannot give."""

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: `missing` bytes of it are promised and not sent; a status of 0 closes without a word."""

    status: int
    text: str = ""
    type: str = "application/vnd.elasticsearch+json;compatible-with=8"
    headers: dict[str, str] = field(default_factory=lambda: PRODUCT)
    missing: int = 0
    wait_for: threading.Event | None = None


def usual(path: str, body: bytes) -> Answer:
    """All goes well: what is sent is taken, and nothing was there before."""
    if "_bulk" in path:
        return created(body.count(b'{"create":'))
    nothing = {"hits": {"total": {"value": 0}}, "aggregations": {"rows": {"buckets": []}, "indices": {"buckets": []}}}
    return Answer(200, json.dumps({"_shards": {"failed": 0}, **({} if "_refresh" in path else nothing)}))


@dataclass(slots=True)
class Faulty:
    """A running server: the paths and the bodies that came, in order, and how many stood in it at once at most."""

    answers: list[Answer | None]
    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    standing: int = 0
    most_standing: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def enter(self, path: str, body: bytes) -> Answer:
        """Notes a request and picks its answer: the next that was asked for, else that all went well."""
        with self.changed:
            self.paths.append(path)
            self.bodies.append(body)
            self.standing += 1
            self.most_standing = max(self.most_standing, self.standing)
            self.changed.notify_all()
            chosen = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return chosen or usual(path, body)

    @property
    def bulks(self) -> list[bytes]:
        """The bodies of bulk requests alone."""
        return [body for path, body in zip(self.paths, self.bodies, strict=True) if "_bulk" in path]

    def leave(self) -> None:
        """Notes that an answer is out."""
        with self.changed:
            self.standing -= 1

    def wait(self, requests: int) -> None:
        """Waits until `requests` have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.paths) >= requests, timeout=10)


def created(count: int) -> Answer:
    """The answer that Elasticsearch gives where each document was indexed."""
    return items(*[{"status": 201}] * count)


def items(*results: Mapping[str, object]) -> Answer:
    """A bulk answer of these items."""
    errors = any("error" in result for result in results)
    return Answer(200, json.dumps({"errors": errors, "took": 1, "items": [{"create": result} for result in results]}))


class _Quiet(ThreadingHTTPServer):
    """A server that says nothing about clients that hang up on it."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Keeps quiet: the client tells, and the test looks."""


@contextmanager
def serve(*answers: Answer | None, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Faulty]:
    """Gives `answers` one after the other, the last one for ever; None is that all documents were created."""
    faulty = Faulty(list(answers or (None,)))
    server = _Quiet(("127.0.0.1", port), _handler(faulty))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    faulty.url = f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield faulty
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(faulty: Faulty) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers one connection's requests."""

        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            answer = faulty.enter(self.path, body)
            if answer.wait_for is not None:
                answer.wait_for.wait(10)
            faulty.leave()
            self._give(answer)

        do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 the names are http.server's

        def _give(self, answer: Answer) -> None:
            if answer.status == 0:
                self.close_connection = True
                return
            text = answer.text.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(len(text) + answer.missing))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)
            self.close_connection = self.close_connection or answer.missing > 0

        def log_message(self, *_: object) -> None:
            """Keeps quiet."""

    return Handler
