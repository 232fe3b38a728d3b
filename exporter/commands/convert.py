"""`vpcflow-exporter convert`: local files to documents on standard output."""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from exporter import logs
from exporter.commands import local
from exporter.config import Log
from exporter.ecs.document import Encoder
from exporter.enrich import snapshot_file
from exporter.enrich.ends import enrich
from exporter.enrich.inventory import Snapshot
from exporter.errors import ReadError
from exporter.flow import Body
from exporter.metrics import Metrics
from exporter.read.reader import Reader

log = logging.getLogger("exporter.convert")

_BODY_BYTES = 4 * 1024 * 1024


def convert(
    files: local.Files,
    format_: local.Format = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="A saved inventory to enrich both ends from.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="The data stream's namespace.")] = "exporter",
) -> None:
    """Print the documents of local flow-log files, one a line; nothing else goes to standard output.

    Bad lines are told on standard error.  Exit status 1 where a file could not be read whole, or
    not one of its lines is a record.
    """
    logs.configure(Log(level="warning"))
    snapshot = snapshot_file.load(inventory) if inventory else None
    reading = _Reading(Reader(local.formats_of(format_)), snapshot, Encoder(namespace, _BODY_BYTES))
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
    if not reading.whole:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Reading:
    """How files are read, and whether each one so far could be read to its end."""

    reader: Reader
    snapshot: Snapshot | None
    encoder: Encoder
    metrics: Metrics = field(default_factory=Metrics)
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
                    for body in self.encoder.encode(enrich(piece.batch, self.snapshot, self.metrics)):
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
