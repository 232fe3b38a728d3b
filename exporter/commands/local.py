"""Local flow-log files, as the commands that read them open them."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from exporter.fields import field_named, names_of_format
from exporter.flow import Formats, S3Object
from exporter.read.reader import no_formats
from exporter.source.keys import parse_key

log = logging.getLogger("exporter")

STDIN = "-"

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE…", help="Flow-log files of any form that `run` reads (docs/formats.md); - for standard input."
    ),
]
Format = Annotated[
    str | None,
    typer.Option("--format", help="Fields of files without a header line, as in the AWS CLI or plain names."),
]


@contextmanager
def opened(file: str) -> Iterator[tuple[BinaryIO, S3Object]]:
    """A file's bytes, and what its path tells, as the key of an object in S3 would; OSError where it cannot be read."""
    if file == STDIN:
        yield sys.stdin.buffer, S3Object("", STDIN, "", 0, datetime.now(UTC))
        return
    with Path(file).open("rb") as stream:
        status = os.fstat(stream.fileno())
        yield stream, parse_key("", file, "", status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def named_fields(text: str | None) -> tuple[str, ...]:
    """The fields that `--format` names, none where it is not given; those not known are told, and carried."""
    names = names_of_format(text or "")
    unknown = [name for name in names if field_named(name) is None]
    if text is not None and len(unknown) == len(names):
        raise typer.BadParameter("expected names of fields, such as version account-id …; none of these is one")
    if unknown:
        log.warning("--format: no known fields; their values go to aws.vpcflow.extra: %s", ", ".join(unknown))
    return names


def formats_of(text: str | None) -> Formats:
    """The format that `--format` names, for a Reader."""
    names = named_fields(text)
    return (lambda _: [("--format", names)]) if names else no_formats
