"""`vpcflow-exporter run`: the daemon."""

import logging
import os

from prometheus_client import start_http_server

from exporter import daemon, wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.config import Config
from exporter.errors import Stopped
from exporter.retry import OUTPUT, retrying

log = logging.getLogger("exporter")


def run(config: ConfigPath = CONFIG_PATH) -> None:
    """Poll the buckets and send what is new, until SIGTERM or SIGINT.

    A second signal ends it without finishing the objects under way; the next start takes them up.
    """
    settings, stops = loaded(config), daemon.Stops()
    with daemon.signals(stops), wiring.program(settings, stops) as program:
        _listen(settings, program)
        try:
            retrying(OUTPUT, stops.soon, lambda state: _note(state.outcome))(program.verify)
        except Stopped:
            return
        ended = daemon.repeat(_jobs(settings, program), stops, settings.grace)
    log.info("stopped; %d objects were done", program.metrics.value("objects_total", outcome="done"))
    if not ended:
        logging.shutdown()
        os._exit(0)  # a request that hangs would hold the interpreter past its grace; nothing of it is marked done


def _jobs(settings: Config, program: wiring.Program) -> tuple[daemon.Job, ...]:
    """The inventory is asked once before the first poll, so that no record goes out without it."""
    poll = daemon.Job("poll", settings.source.poll_every, program.poller.poll)
    if program.inventory is None:
        return (poll,)
    program.inventory.refresh()
    refresh = daemon.Job("inventory", settings.enrich.ec2.refresh_every, program.inventory.refresh, at_once=False)
    return (refresh, poll)


def _listen(settings: Config, program: wiring.Program) -> None:
    address = settings.metrics.address
    if address is not None:
        host, port = address
        start_http_server(port, host, program.metrics.registry)
        log.info("metrics are at http://%s:%d/metrics", host, port)


def _note(outcome: object) -> None:
    log.warning("the output is not there yet, trying again: %s", getattr(outcome, "exception", lambda: outcome)())
