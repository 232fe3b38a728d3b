"""`vpcflow-exporter convert`: local files to documents on standard output."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Annotated

import typer

from exporter import logs
from exporter.clients import Clients
from exporter.commands import local
from exporter.commands.listing import counted
from exporter.config import Config, Log, load
from exporter.ecs.document import Encoder
from exporter.enrich import snapshot_file
from exporter.enrich.ends import enrich
from exporter.enrich.inventory import Snapshot
from exporter.enrich.reporters import Reporters
from exporter.enrichment import Outside, Step, enrichment_of, hosts_of
from exporter.errors import ReadError
from exporter.flow import Batch, Body, Counts
from exporter.metrics import Metrics
from exporter.read.reader import Reader

log = logging.getLogger("exporter.convert")

Kept = Callable[[Batch], tuple[Batch, Counts]]
"""Keeps some of a batch's records, and counts the others."""

_BODY_BYTES = 4 * 1024 * 1024


def convert(
    files: local.Files,
    format_: local.Format = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="A saved inventory to enrich both ends from.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="A configuration, to try its enrichment and filter; AWS's EC2 is not asked."
        ),
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="The data stream's namespace; exporter by default.")] = None,
) -> None:
    """Print the documents of local flow-log files, one a line; nothing else goes to standard output.

    With a configuration they are what `run` would send: with places, networks, threats and costs, and
    without what a filter's rule drops.  What each rule drops, or would on a dry run, is told on standard
    error, as bad lines are.  Exit status 1 where a file could not be read whole, or not one of its lines
    is a record.
    """
    logs.configure(Log(level="warning"))
    settings = load(config, os.environ) if config else None
    snapshot = snapshot_file.load(inventory) if inventory else None
    space = namespace or (settings.output.namespace if settings else "exporter")
    with _meaning(settings, snapshot) as (enriched, kept):
        reading = _Reading(Reader(local.formats_of(format_)), enriched, kept, Encoder(space, _BODY_BYTES))
        _print(reading, files)
    for line in _dropped(reading.dropped):
        typer.echo(line, err=True)
    if not reading.whole:
        raise typer.Exit(1)


@contextmanager
def _meaning(settings: Config | None, snapshot: Snapshot | None) -> Iterator[tuple[Step, Kept]]:
    """What is added to records, and which are kept, by a configuration; ConfigError where it names what cannot be had.

    What it fetches is kept nowhere: a daemon has copies of its own.
    """
    metrics = Metrics()
    if settings is None:
        yield partial(enrich, known=snapshot, metrics=metrics), lambda batch: (batch, {})
        return
    ends = partial(enrich, known=snapshot, metrics=metrics, internal=settings.enrich.internal_networks)
    with TemporaryDirectory(prefix="vpcflow-exporter-") as folder:
        outside = Outside(Clients(settings).s3.own, Path(folder), Event(), hosts_of(settings))
        made = enrichment_of(settings, ends, Reporters(), outside, metrics)
        made.start()
        yield made, made.filter.apply


def _print(reading: "_Reading", files: list[str]) -> None:
    """All documents of all files to standard output."""
    try:
        for file in files:
            for documents in reading.of(file):
                sys.stdout.buffer.write(documents)
        sys.stdout.flush()
    except OSError as error:
        # What is still buffered cannot go out either; Python would try at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `convert … | head`: whoever read is satisfied
            log.error("standard output cannot be written: %s", error.strerror)  # noqa: TRY400 - the text says it all
            raise typer.Exit(1) from error


def _dropped(counts: Counts) -> Iterator[str]:
    """What the filter did, a line a rule, the largest first."""
    for (rule, what), records in sorted(counts.items(), key=lambda each: -each[1]):
        yield f"filter: {rule}: {counted(records, 'record')} {what}"


@dataclass(slots=True)
class _Reading:
    """How files are read, and whether each one so far could be read to its end."""

    reader: Reader
    enrich: Step
    filter: Kept
    encoder: Encoder
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    whole: bool = True

    def of(self, file: str) -> Iterator[bytes]:
        """One file's documents, as far as it can be read."""
        try:
            with local.opened(file) as (stream, source):
                records = bad_lines = 0
                for piece in self.reader.read(stream, source):
                    records, bad_lines = records + piece.batch.frame.height, bad_lines + len(piece.bad)
                    for bad in piece.bad:
                        log.warning("%s line %d is no record: %s: %.200s", file, bad.row + 1, bad.reason, bad.text)
                    batch, dropped = self.filter(self.enrich(piece.batch))
                    self.dropped.update(dropped)
                    for body in self.encoder.encode(batch):
                        yield _documents(body)
                if bad_lines and not records:
                    self._broken(file, "not one line is a record; is that its format?")
        except ReadError as error:
            self._broken(file, str(error))
        except OSError as error:
            self._broken(file, error.strerror or str(error))

    def _broken(self, file: str, why: str) -> None:
        self.whole = False
        log.error("%s: %s", file, why)


def _documents(body: Body) -> bytes:
    """The documents without their action lines."""
    return b"\n".join(body.data.split(b"\n")[1::2]) + b"\n"
