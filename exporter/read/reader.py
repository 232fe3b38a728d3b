"""START HERE in this package: what an object is, by its content, and who reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.flow import ByteStream, Formats, Piece, S3Object
from exporter.read import lines, messages, parquet
from exporter.read.inflate import inflated
from exporter.read.text import TextReader

PIECE_BYTES = 4 * 1024 * 1024
"""Inflated text that is read as one batch: smaller costs time, larger costs page faults and memory."""

_HEAD = 16
_MOST_HEAD = 1024 * 1024
_MOST_FORMATS = 1000
"""Headers of another format inside one object: each costs as much as some hundreds of records, or thousands."""

OTHERS = {
    b"\x1f\x8b": "gzip within gzip within gzip",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xff\x06\x00\x00sNaPpY": "Snappy",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
}
"""What objects are known to begin with that are not read, so that their reason names them."""


def no_formats(_: S3Object) -> Iterator[tuple[str, tuple[str, ...]]]:
    """No format from elsewhere."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads one object: gzip or not; text, log events in JSON, or Parquet.

    `formats` tells the fields of lines without a header; `original` keeps each line of text for event.original;
    `spool` is the folder for a copy of a Parquet object, which is read from its end (None: the system's).
    """

    formats: Formats = no_formats
    original: bool = False
    piece_bytes: int = PIECE_BYTES
    most_bad_lines: int = 1_000_000
    spool: Path | None = None

    def read(self, stream: ByteStream, source: S3Object) -> Iterator[Piece]:
        """The object's records in pieces, in the order of the file.

        Raises Unrecognised where it is nothing that is read here; Damaged, after the last piece, where it breaks off;
        ReadError after `most_bad_lines`.
        """
        bad, formats, form = 0, 0, None
        for piece in self._pieces(stream, source):
            bad, formats = bad + len(piece.bad), formats + (form is not None and piece.form != form)
            form = piece.form
            yield piece
            # A small object can inflate to so much rubbish that it would be read for days.
            if bad > self.most_bad_lines:
                raise ReadError(f"more than {self.most_bad_lines:,} lines are no records: the rest was not read")
            if formats > _MOST_FORMATS:
                raise ReadError(f"more than {_MOST_FORMATS:,} headers of another format: the rest was not read")

    def _pieces(self, stream: ByteStream, source: S3Object) -> Iterator[Piece]:
        head, chunks = _begun(inflated(stream))
        for magic, what in OTHERS.items():
            if head.startswith(magic):
                raise Unrecognised(f"this is {what}; expected text, log events in JSON, or Parquet, as such or in gzip")
        if head.startswith(parquet.MAGIC):
            return parquet.read(chunks, source, self.spool)
        text = partial(TextReader, self.formats, self.piece_bytes, self.original)
        if head.removeprefix(lines.BOM).lstrip().startswith(b"{"):
            return text((messages.CONTAINER, messages.events)).read(messages.on_lines(chunks), source)
        return text().read(chunks, source)


def _begun(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, enough to tell what they are, and all chunks, those included."""
    head = b""
    try:
        while len(head.lstrip()) < _HEAD and len(head) < _MOST_HEAD and (chunk := next(chunks, b"")):
            head += chunk
    except Damaged as error:
        return head, _broken(head, error)
    return head, _again(head, chunks)


def _again(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _broken(head: bytes, error: Damaged) -> Iterator[bytes]:
    yield head
    raise error
