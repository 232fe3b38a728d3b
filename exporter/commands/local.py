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


def formats_of(text: str | None) -> Formats:
    """The format that `--format` names; names that are not known are told, and carried."""
    names = names_of_format(text or "")
    for name in names:
        if field_named(name) is None:
            log.warning("--format: %s is no field that is known; its values go to aws.vpcflow.extra", name)
    return (lambda _: [("--format", names)]) if names else no_formats
