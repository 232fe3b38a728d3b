"""Lines of text to batches, by the header line or by a format from elsewhere.

A piece of some megabytes is split by polars in one go, with strict types.  Whatever is odd about it (a wrong number of
fields, a number that is none, an address that is none, a repeated header, undecodable bytes) makes the whole piece go
line by line through `lines.py`, which sorts out the bad lines with their reasons; the good ones then take the fast way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import polars as pl

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.flow import BadLine, Batch, Form, Formats, Piece, S3Object
from exporter.read import lines
from exporter.read.columns import Normal, batch_of, line_count
from exporter.read.dialects import LONGEST_LINE, Dialect
from exporter.read.examined import examined, numbered
from exporter.read.formats import NOTHING, recognised

_CAREFUL_BYTES = 256 * 1024
_MOST_ROWS = 2**31
"""A row is a 32-bit number, and an object of 75 MB cannot hold as many records: only blank lines."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How an object's lines are read: the dialect that takes them apart, and what their fields are."""

    dialect: Dialect
    form: Form


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads one object's text; `original` keeps each line for event.original.

    `events`, where there is one, turns whole lines of a container into the lines within, and names the container.
    """

    formats: Formats
    piece_bytes: int
    original: bool
    events: tuple[str, Callable[[bytes], bytes]] | None = None

    def read(self, chunks: Iterator[bytes], source: S3Object) -> Iterator[Piece]:
        """The object's records in pieces, in the order of the file.

        Raises Unrecognised where the first lines are neither a header nor records of a format that may be theirs;
        Damaged, after the last piece, where the file breaks off.
        """
        damage: list[Damaged] = []
        row, layout = 0, None
        for text in self._texts(chunks, damage):
            rest = text
            if layout is None or layout.form.told_by == NOTHING:
                layout, rest = self._layout(text, row, source)
                row += line_count(text) - line_count(rest)
            for piece in self._pieces(rest, row, layout, source):
                layout = replace(layout, form=piece.form)
                yield piece
            row += line_count(rest)
            if row > _MOST_ROWS:
                raise ReadError(f"more than {_MOST_ROWS:,} lines: the rest was not read")
        if damage:
            if damage[0].rest and layout is not None:
                yield self._broken_line(damage[0], source, row, layout)
            raise damage[0]

    def _texts(self, chunks: Iterator[bytes], damage: list[Damaged]) -> Iterator[bytes]:
        texts = _cut(chunks, self.piece_bytes, damage)
        return map(self.events[1], texts) if self.events else texts

    def _layout(self, text: bytes, row: int, source: S3Object) -> tuple[_Layout, bytes]:
        """The layout, and the text without the header line that begins the object.

        A header after blank lines stays in the text: it is skipped there, and counted with them.
        """
        text = text if row else text.removeprefix(lines.BOM)
        found = recognised(text, lambda: self.formats(source))
        container = self.events[0] if self.events else found.dialect.container
        layout = _Layout(found.dialect, Form(container, found.columns, found.told_by))
        return layout, text if row else text[found.header_bytes :]

    def _pieces(self, text: bytes, row: int, layout: _Layout, source: S3Object) -> Iterator[Piece]:
        if not text:
            yield self._examined(lines.Segment(layout.form.columns), layout, source)
            return
        batch = None if text.isspace() else self._whole(text, layout, source)
        if batch is not None:
            rows = pl.int_range(row, row + batch.frame.height, dtype=pl.UInt32, eager=True)
            yield Piece(numbered(batch, rows), layout.form)
            return
        columns = layout.form.columns
        for part in [text] if text.isspace() else _parts(text, _CAREFUL_BYTES):
            for segment in lines.examine(part, row, columns, layout.dialect):
                columns = segment.columns
                yield self._examined(segment, layout, source)
            row += line_count(part)

    def _whole(self, text: bytes, layout: _Layout, source: S3Object) -> Batch | None:
        """All lines by the fast way; None where anything about them is odd."""
        normal = layout.dialect.normal(text)
        if normal is None:
            return None
        given = Normal(normal, layout.dialect.separator, text.split(b"\n")[:-1] if self.original else None)
        return batch_of(given, layout.form.columns, source)

    def _broken_line(self, damage: Damaged, source: S3Object, row: int, layout: _Layout) -> Piece:
        """The line in which a damaged file breaks off is no record, even where it looks like one."""
        text = damage.rest.decode("utf-8", "replace")
        line = BadLine(row, f"the file breaks off in this line: {damage}", text, exact=False)
        return self._examined(lines.Segment(layout.form.columns, bad=[line]), layout, source)

    def _examined(self, segment: lines.Segment, layout: _Layout, source: S3Object) -> Piece:
        return examined(segment, layout.form, layout.dialect.separator, source, original=self.original)


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
            if (end and length >= size) or unended > LONGEST_LINE:
                text = b"".join(buffer)
                if length > unended:
                    yield text[: length - unended]
                if unended > LONGEST_LINE:
                    raise Unrecognised(f"a line is longer than {LONGEST_LINE:,} bytes")
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
