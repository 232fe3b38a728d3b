"""Text flow logs to batches, by the header line.

A piece of some megabytes is split by polars in one go, with strict types.  Whatever is odd about it (a wrong number of
fields, a number that is none, an address that is none, a repeated header, undecodable bytes) makes the whole piece go
line by line through `lines.py`, which sorts out the bad lines with their reasons; the good ones then take the fast way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from exporter import fields
from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.flow import BadLine, Batch, ByteStream, Piece, S3Object
from exporter.read import lines
from exporter.read.columns import batch_of, line_count
from exporter.read.inflate import inflated

PIECE_BYTES = 4 * 1024 * 1024
"""Inflated text that is read as one batch: smaller costs time, larger costs page faults and memory."""

_CAREFUL_BYTES = 256 * 1024
_MOST_FORMATS = 1000
"""Headers of another format inside one object: each costs as much as some hundreds of records."""

_LONGEST_LINE = 8 * 1024 * 1024
_MOST_ROWS = 2**31
"""A row is a 32-bit number, and an object of 75 MB cannot hold as many records: only blank lines."""


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads one object's text; `original` keeps each line for event.original.

    In a piece with something odd, blanks of `original` that stand doubled or at an end are lost.
    """

    piece_bytes: int = PIECE_BYTES
    original: bool = False
    most_bad_lines: int = 1_000_000

    def read(self, stream: ByteStream, source: S3Object, names: tuple[str, ...] | None = None) -> Iterator[Piece]:
        """The object's records in pieces, in the order of the file; `names` is the format where there is no header.

        Raises Unrecognised where the first line is neither a header nor, `names` being None, a record of the version 2
        default; Damaged, after the last piece, where the file breaks off; ReadError after `most_bad_lines`.
        """
        damage: list[Damaged] = []
        row, columns, bad, formats = 0, None, 0, 0
        for text in _cut(inflated(stream), self.piece_bytes, damage):
            if columns is None:
                columns, text, row = _format(text.removeprefix(lines.BOM), names)  # noqa: PLW2901 - less its header
            for parsed in self._pieces(text, row, columns, source):
                bad, formats = bad + len(parsed.piece.bad), formats + (parsed.columns != columns)
                columns = parsed.columns
                yield parsed.piece
                self._bear(bad, formats)
            row += line_count(text)
            if row > _MOST_ROWS:
                raise ReadError(f"more than {_MOST_ROWS:,} lines: the rest was not read")
        if damage:
            yield from self._broken_line(damage, source, row, columns)
            raise damage[0]

    def _bear(self, bad: int, formats: int) -> None:
        """A small object can inflate to so much rubbish that it would be read for days."""
        if bad > self.most_bad_lines:
            raise ReadError(f"more than {self.most_bad_lines:,} lines are no records: the rest was not read")
        if formats > _MOST_FORMATS:
            raise ReadError(f"more than {_MOST_FORMATS:,} headers of another format: the rest was not read")

    def _pieces(self, text: bytes, row: int, columns: tuple[str, ...], source: S3Object) -> Iterator["_Parsed"]:
        if not text:
            return
        batch = None if text.isspace() else self._batch(text, columns, source)
        if batch is not None:
            rows = pl.int_range(row, row + batch.frame.height, dtype=pl.UInt32, eager=True)
            yield _Parsed(Piece(_numbered(batch, rows)), columns)
            return
        for part in [text] if text.isspace() else _parts(text, _CAREFUL_BYTES):
            for segment in lines.examine(part, row, columns):
                columns = segment.columns
                yield _Parsed(self._examined(segment, source), columns)
            row += line_count(part)

    def _examined(self, segment: lines.Segment, source: S3Object) -> Piece:
        """The good lines of a segment, by the fast way."""
        batch = self._batch(segment.text, segment.columns, source, examined=True)
        if batch is not None:
            rows = pl.Series(segment.rows, dtype=pl.UInt32)
            return Piece(_numbered(batch, rows), tuple(segment.bad), segment.skipped)
        batch, refused = self._one_by_one(segment, source)
        return Piece(batch, tuple(segment.bad + refused), segment.skipped)

    def _one_by_one(self, segment: lines.Segment, source: S3Object) -> tuple[Batch, list[BadLine]]:
        """Lines that no check faults and polars yet refuses are found alone, so that nothing else is lost with them."""
        refused, rows, kept = [], [], []
        for row, line in zip(segment.rows, segment.text.splitlines(keepends=True), strict=True):
            if self._batch(line, segment.columns, source) is None:
                refused.append(BadLine(row, "the line cannot be read", line.decode("utf-8", "replace").rstrip()))
            else:
                rows.append(row)
                kept.append(line)
        batch = self._batch(b"".join(kept), segment.columns, source, examined=True)
        if batch is None:
            raise Unrecognised("lines that can be read one by one cannot be read together; please report this file")
        return _numbered(batch, pl.Series(rows, dtype=pl.UInt32)), refused

    def _batch(
        self, text: bytes, columns: tuple[str, ...], source: S3Object, *, examined: bool = False
    ) -> Batch | None:
        return batch_of(text, columns, source, examined=examined, original=self.original)

    def _broken_line(
        self, damage: list[Damaged], source: S3Object, row: int, columns: tuple[str, ...] | None
    ) -> Iterator[Piece]:
        """The line in which a damaged file breaks off is no record, even where it looks like one."""
        rest = damage[0].rest
        if rest and columns is not None:
            empty = self._batch(b"", columns, source, examined=True)
            if empty is not None:
                line = BadLine(row, f"the file breaks off in this line: {damage[0]}", rest.decode("utf-8", "replace"))
                yield Piece(_numbered(empty, pl.Series([], dtype=pl.UInt32)), (line,))


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A piece and the columns in force after it (a repeated header may change them)."""

    piece: Piece
    columns: tuple[str, ...]


def _cut(chunks: Iterator[bytes], size: int, damage: list[Damaged]) -> Iterator[bytes]:
    """Text in pieces of about `size` bytes, each a number of whole lines that end in a newline.

    Damage is put into `damage`, with the unfinished line as its `rest`.  Unrecognised where a line does not end.
    """
    buffer, length, unended = list[bytes](), 0, 0
    try:
        for chunk in chunks:
            buffer.append(chunk)
            length += len(chunk)
            end = chunk.rfind(b"\n") + 1
            unended = len(chunk) - end if end else unended + len(chunk)
            if (end and length >= size) or unended > _LONGEST_LINE:
                text = b"".join(buffer)
                if length > unended:
                    yield text[: length - unended]
                if unended > _LONGEST_LINE:
                    raise Unrecognised(f"a line is longer than {_LONGEST_LINE:,} bytes")
                buffer, length = [text[length - unended :]], unended
    except Damaged as error:
        damage.append(error)
    rest = b"".join(buffer)
    if damage:
        end = rest.rfind(b"\n") + 1
        damage[0].rest = rest[end:]
        rest = rest[:end]
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def _parts(text: bytes, size: int) -> Iterator[bytes]:
    """Whole lines of `text`, about `size` bytes at a time: a line object costs many times its bytes."""
    start = 0
    while start < len(text):
        end = text.index(b"\n", min(start + size, len(text) - 1)) + 1
        yield text[start:end]
        start = end


def _format(text: bytes, names: tuple[str, ...] | None) -> tuple[tuple[str, ...], bytes, int]:
    """The columns, the text without the header line that they come from, and the row at which it starts.

    A header after blank lines stays in the text: it is skipped there, and counted with them.
    """
    if text.startswith(b"PAR1"):
        raise Unrecognised("this is a Parquet file, which this version does not read")
    blank = len(text) - len(text.lstrip())
    header = text[blank : text.find(b"\n", blank) + 1]
    if len(header) > lines.LONGEST_HEADER:
        raise Unrecognised(f"the first line is longer than {lines.LONGEST_HEADER:,} bytes")
    columns = lines.header_columns(header)
    if columns:
        return (columns, text, 0) if blank else (columns, text[len(header) :], 1)
    columns = lines.unique(fields.columns_of(names or fields.DEFAULT_FORMAT))
    fault = lines.fault(header.split(), columns)
    if header and fault and not names:
        raise Unrecognised(
            f"the first line is no header, nor a record of the version 2 default format ({fault}): {header[:80]!r}"
        )
    return columns, text, 0


def _numbered(batch: Batch, rows: pl.Series) -> Batch:
    return Batch(batch.source, batch.frame.with_columns(rows.alias("row")), batch.addresses, batch.plain)
