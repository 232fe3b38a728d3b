"""`vpcflow-exporter run`: the daemon."""

import logging
from datetime import timedelta
from functools import partial

from exporter import daemon, wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.config import Config
from exporter.errors import Stopped
from exporter.listener import listening
from exporter.retry import OUTPUT, Attempt, failed, retrying

log = logging.getLogger("exporter")

_TIDY_EVERY = timedelta(minutes=10)


def run(config: ConfigPath = CONFIG_PATH) -> None:
    """Send what is new in buckets and queues, until SIGTERM or SIGINT.

    A second signal ends it without finishing the objects under way; the next start takes them up.
    """
    settings, stops = loaded(config), daemon.Stops()
    with (
        daemon.signals(stops, settings.grace, partial(daemon.leave, 0)),
        wiring.program(settings, stops) as program,
        listening(settings.metrics.address, program.metrics, program.health),
    ):
        try:
            program.prepare()
            retrying(OUTPUT, stops.soon, _note)(program.verify)
            retrying(OUTPUT, stops.soon, _note)(program.recover)
        except Stopped:
            log.info("stopped before all was there that is needed")
        else:
            daemon.repeat(_jobs(settings, program), stops)
    log.info("stopped; %d objects were done", program.metrics.value("objects_total", outcome="done"))


def _jobs(settings: Config, program: wiring.Program) -> tuple[daemon.Job, ...]:
    """The first pass and the first message ask for the inventory themselves, so that no record goes out without it."""
    every = settings.source.poll_every
    jobs = [daemon.Job("tidy", _TIDY_EVERY, program.tidy, at_once=False)]
    if settings.source.s3:
        jobs.append(daemon.Job("poll", every, partial(program.poll, wait=False)))
    for queue, consumer in zip(settings.source.sqs, program.consumers, strict=True):
        jobs.append(daemon.Job(queue.source_id, every, partial(program.consume, consumer)))
    if program.inventory is not None:
        jobs.append(daemon.Job("inventory", settings.enrich.ec2.refresh_every, program.refresh, at_once=False))
    fresh = program.enrichment.fresh
    jobs += [daemon.Job(each.name, each.looked_at, partial(program.freshen, each), at_once=False) for each in fresh]
    return tuple(jobs)


def _note(state: Attempt) -> None:
    error, wait = failed(state)
    log.warning("the output is not there yet, and asked again in %.1f s: %s", wait, error)
