"""`vpcflow-exporter once`: one pass, then exit."""

import logging
from concurrent.futures import wait
from functools import partial

import typer

from exporter import daemon, wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.errors import SourceError, Stopped
from exporter.ledger import State

log = logging.getLogger("exporter")


def once(config: ConfigPath = CONFIG_PATH) -> None:
    """Send what is new now, in buckets and queues, then exit: 0 where all is dealt with, 1 where something is left.

    A line on standard output sums up what was done.
    """
    settings, stops = loaded(config), daemon.Stops()
    with (
        daemon.signals(stops, settings.grace, partial(daemon.leave, 1)),
        wiring.program(settings, stops) as program,
    ):
        try:
            program.prepare()
            program.verify()
            program.recover()
            program.poll()
            left = _drained(program)
            wait(program.tidy())
        except Stopped:
            log.info("stopped before all sources were looked at")
            left = 0
        whole = _summed_up(program, settings.source.buckets, left)
    if not whole or stops.soon.is_set():
        raise typer.Exit(1)


def _drained(program: wiring.Program) -> int:
    """Empties the queues, one after another; how many messages were not deleted, or queues not asked."""
    left = 0
    for consumer in program.consumers:
        try:
            left += consumer.drain()
        except SourceError as error:
            log.error("%s", error)  # noqa: TRY400 - the text says it all
            left += 1
    return left


def _summed_up(program: wiring.Program, buckets: frozenset[str] | None, messages: int) -> bool:
    """Prints what was done; whether nothing is left undone, now or by an earlier run, in the buckets (None: in any)."""
    value, left = program.metrics.value, program.ledger.summary(None if buckets is None else sorted(buckets)).objects
    done, damaged, set_aside, failed = (
        value("objects_total", outcome=outcome) for outcome in ("done", "damaged", "set aside", "failed")
    )
    undone = left.get(State.UNDONE, 0) + left.get(State.UNDER_WAY, 0)
    unlisted = value("polls_total", outcome="failed")
    typer.echo(
        f"{done + damaged:.0f} objects, {value('records_total'):.0f} records: "
        f"{value('documents_total', outcome='created'):.0f} indexed, "
        f"{value('documents_total', outcome='existing'):.0f} there already, "
        f"{value('dead_letters_total'):.0f} dead letters; {damaged:.0f} objects damaged, "
        f"{set_aside + failed:.0f} set aside, {undone} left undone"
        + (f"; {unlisted:.0f} sources not gone through whole" if unlisted else "")
        + (f"; {messages} messages left in their queues" if messages else "")
    )
    return not (undone or failed or unlisted or messages)
