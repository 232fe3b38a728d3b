"""`vpcflow-exporter run`: the daemon."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import start_http_server

from exporter import daemon, wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.config import Config
from exporter.errors import ConfigError, Fault, Stopped
from exporter.metrics import Metrics
from exporter.retry import OUTPUT, Attempt, retrying

log = logging.getLogger("exporter")


def run(config: ConfigPath = CONFIG_PATH) -> None:
    """Poll the buckets and send what is new, until SIGTERM or SIGINT.

    A second signal ends it without finishing the objects under way; the next start takes them up.
    """
    settings, stops = loaded(config), daemon.Stops()
    with (
        daemon.signals(stops, settings.grace, partial(daemon.leave, 0)),
        wiring.program(settings, stops) as program,
        listening(settings.metrics.address, program.metrics),
    ):
        try:
            retrying(OUTPUT, stops.soon, _note)(program.verify)
        except Stopped:
            log.info("stopped before the output was there")
        else:
            daemon.repeat(_jobs(settings, program), stops)
    log.info("stopped; %d objects were done", program.metrics.value("objects_total", outcome="done"))


def _jobs(settings: Config, program: wiring.Program) -> tuple[daemon.Job, ...]:
    """The first poll asks for the inventory itself, so that no record goes out without it."""
    poll = daemon.Job("poll", settings.source.poll_every, program.poll)
    if program.inventory is None:
        return (poll,)
    return (poll, daemon.Job("inventory", settings.enrich.ec2.refresh_every, program.inventory.refresh, at_once=False))


@contextmanager
def listening(address: tuple[str, int] | None, metrics: Metrics) -> Iterator[None]:
    """Serves the metrics to Prometheus meanwhile; ConfigError where the address cannot be had."""
    if address is None:
        yield
        return
    host, port = address
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise ConfigError((Fault("metrics.listen", f"{host}:{port} cannot be had: {error.strerror}"),)) from error
    shown = f"[{host}]" if ":" in host else host
    log.info("metrics are at http://%s:%d/metrics", shown, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _note(state: Attempt) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    log.warning("the output is not there yet, and asked again in %.1f s: %s", wait, error)
