"""`vpcflow-exporter convert`: local files to documents on standard output."""

import logging
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from exporter import logs
from exporter.config import Log
from exporter.ecs.document import Encoder
from exporter.enrich import snapshot_file
from exporter.enrich.ends import enrich
from exporter.enrich.inventory import Snapshot
from exporter.errors import ReadError
from exporter.flow import Body, S3Object
from exporter.metrics import Metrics
from exporter.read.text import TextReader

log = logging.getLogger("exporter.convert")

_BODY_BYTES = 4 * 1024 * 1024
_STDIN = "-"


def convert(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Flow-log files, text or gzip; - for stdin.")],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Fields of files without a header line, as in the AWS CLI or plain names."),
    ] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="A saved inventory to enrich both ends from.")
    ] = None,
    namespace: Annotated[str, typer.Option(help="The data stream's namespace.")] = "exporter",
) -> None:
    """Print the documents of local flow-log files, one a line; nothing else goes to standard output.

    Bad lines are told on standard error.  Exit status 1 where a file could not be read whole.
    """
    logs.configure(Log(level="warning"))
    snapshot = snapshot_file.load(inventory) if inventory else None
    names = tuple(format_.replace(",", " ").split()) if format_ else None
    encoder, whole = Encoder(namespace, _BODY_BYTES), True
    try:
        for file in files:
            whole &= _file(file, names, snapshot, encoder)
        sys.stdout.flush()
    except BrokenPipeError:  # `convert … | head`: whoever read is satisfied
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not whole:
        raise typer.Exit(1)


def _file(file: str, names: tuple[str, ...] | None, snapshot: Snapshot | None, encoder: Encoder) -> bool:
    """Prints one file's documents; whether it could be read to its end."""
    try:
        with _opened(file) as (stream, source):
            for piece in TextReader().read(stream, source, names):
                for bad in piece.bad:
                    log.warning("%s line %d is no record: %s: %.200s", file, bad.row + 1, bad.reason, bad.text)
                for body in encoder.encode(enrich(piece.batch, snapshot, Metrics())):
                    sys.stdout.buffer.write(_documents(body))
    except (ReadError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        log.error("%s: %s", file, error)  # noqa: TRY400 - the text says it all
        return False
    return True


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, S3Object]]:
    if file == _STDIN:
        yield sys.stdin.buffer, S3Object("", _STDIN, "", 0, datetime.now(UTC))
        return
    with Path(file).open("rb") as stream:
        status = os.fstat(stream.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(f"{file} is a folder; name the files in it")
        yield stream, S3Object("", file, "", status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _documents(body: Body) -> bytes:
    """The documents without their action lines."""
    return b"\n".join(body.data.split(b"\n")[1::2]) + b"\n"
