"""What the program says over HTTP: metrics for Prometheus, and whether it lives and is ready, for who runs it."""

import json
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from exporter.errors import ConfigError, Fault
from exporter.health import Health
from exporter.metrics import Metrics

log = logging.getLogger(__name__)

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SILENT_SECONDS = 10
"""How long a client that says nothing is listened to."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread a request, none of which holds the end of the program."""

    daemon_threads = True


class _Server6(_Server):
    """The same on an IPv6 address."""

    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _SILENT_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing: who looks every few seconds is no news."""


@contextmanager
def listening(address: tuple[str, int] | None, metrics: Metrics, health: Health) -> Iterator[None]:
    """Serves /metrics, /live and /ready meanwhile; ConfigError where the address cannot be had."""
    if address is None:
        yield
        return
    host, port = address
    shown, kind = (f"[{host}]", _Server6) if ":" in host else (host, _Server)
    try:
        server = make_server(host, port, application(metrics, health), kind, _Handler)
    except OSError as error:
        raise ConfigError((Fault("metrics.listen", f"{shown}:{port} cannot be had: {error.strerror}"),)) from error
    thread = Thread(target=server.serve_forever, name="listener", daemon=True)
    thread.start()
    log.info("/ready and /live are served, and metrics are at http://%s:%d/metrics", shown, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def application(metrics: Metrics, health: Health) -> App:
    """The answers, as WSGI has them.

    /metrics as Prometheus reads it; /live is 200 while the process answers; /ready is 200 or 503, with each part and
    why it does not work as JSON; anything else is 404.
    """
    prometheus: App = make_wsgi_app(metrics.registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return prometheus(environ, start)
        if path == "/ready":
            now = health.answer()
            status = "200 OK" if now.ready else "503 Service Unavailable"
            return _json(start, status, {"ready": now.ready, "parts": now.parts})
        if path == "/live":
            return _json(start, "200 OK", {"live": True})
        return _json(start, "404 Not Found", {"error": "there are /metrics, /live and /ready"})

    return answer


def _json(start: Callable[..., Any], status: str, body: object) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body, indent=1).encode() + b"\n"]
