"""`vpcflow-exporter once`: one pass, then exit."""

import logging

import typer

from exporter import daemon, wiring
from exporter.commands.options import CONFIG_PATH, ConfigPath, loaded
from exporter.errors import Stopped

log = logging.getLogger("exporter")


def once(config: ConfigPath = CONFIG_PATH) -> None:
    """Send what is new now, then exit: 0 where all of it is dealt with, 1 where something is left undone."""
    settings, stops = loaded(config), daemon.Stops()
    with daemon.signals(stops), wiring.program(settings, stops) as program:
        program.verify()
        try:
            if program.inventory is not None:
                program.inventory.refresh()
            program.poller.poll()
        except Stopped:
            log.info("stopped")
        metrics = program.metrics

    def objects(*outcomes: str) -> int:
        return int(sum(metrics.value("objects_total", outcome=outcome) for outcome in outcomes))

    log.info(
        "%d objects, %d records: %d indexed, %d there already, %d dead letters; "
        "%d objects damaged, %d set aside, %d left undone",
        objects("done", "damaged"),
        metrics.value("records_total"),
        metrics.value("documents_total", outcome="created"),
        metrics.value("documents_total", outcome="existing"),
        metrics.value("dead_letters_total"),
        objects("damaged"),
        objects("set aside", "failed"),
        objects("undone"),
    )
    if objects("undone", "failed") or metrics.value("polls_total", outcome="failed") or stops.soon.is_set():
        raise typer.Exit(1)
