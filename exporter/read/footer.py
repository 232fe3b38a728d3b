"""What a Parquet file's footer says, checked against the file before anything is decoded.

A few bytes of Parquet can claim any number of rows and any size of a page, and a decoder believes them.  So each
page's header is read first: what does not add up, or would come to more than MOST_BYTES, is never decoded.  Source: the
Apache Parquet format's parquet.thrift and Encodings.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from exporter.errors import Damaged, ReadError, Unrecognised
from exporter.read.thrift import Compact, Struct

MAGIC = b"PAR1"
_TAIL = len(MAGIC) + 4
_LARGEST_FOOTER = 2 * 1024 * 1024
"""Bytes; each may become some hundred in memory."""

_LARGEST_HEADER = 64 * 1024
_MOST_HEADERS = 8 * 1024 * 1024
"""Bytes of all pages' headers in a file, which take 0.4 µs each to read."""

_MOST_COLUMNS = 1000
_MOST_GROUPS = 5_000
MOST_ROWS = 200_000_000
"""AWS's files of 75 MB have some millions; a few hostile bytes may stand for any number of rows."""

MOST_BYTES = 256 * 1024 * 1024
"""What the pages of one row group that are decoded together may take; writers keep pages at some MiB."""

_TOGETHER = MOST_BYTES // 8
"""From that size on row groups are decoded apart."""

_REPEATED_BYTES = 64 * 1024 * 1024
"""What a slice's text may come to where each row may repeat a page's worth of the row before."""

_VALUE_BYTES = 24
"""What polars takes for a text besides its bytes, or at most for a number."""

_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_ABOUT = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_2: (8, 4)}
"""Where a page header of each type has its own struct, whose field 1 is the number of values, and its encoding."""

_MOST_PAGES = 200_000
"""In a file; AWS's have some thousand."""

_CODECS = frozenset({0, 1, 2, 4, 6, 7})  # none, Snappy, gzip, Brotli, Zstandard, LZ4
_DELTA_BYTE_ARRAY = 7
_AS_LONG = frozenset({0, 2, 8})
"""Encodings (plain, dictionary) of which only the rows that are asked for are decoded; of others the whole page is."""

_REPEATED = 2


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that follow each other, of one row group or of several small ones.

    `slice_rows` of them may be decoded at once; `size` is what their pages take then, in bytes.
    """

    count: int
    slice_rows: int
    size: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One column of one row group: where its pages begin, and what it claims."""

    name: str
    start: int
    values: int


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page's header says, and the position after the page."""

    type: int
    values: int
    encoding: int
    size: int
    end: int


@dataclass(slots=True)
class Footer:
    """The names of the columns, in order, and the row groups, each checked when it is asked for."""

    names: tuple[str, ...]
    _file: BinaryIO
    _groups: list[Struct]
    _end: int
    _pages: int = 0
    _header_bytes: int = 0

    def rows(self, slice_rows: int) -> Iterator[Rows]:
        """All rows, in order; ReadError at a row group that must not be decoded.

        Small row groups go together, as each slice has the decoder read the whole footer again.
        """
        held: Rows | None = None
        for group in self._groups:
            try:
                more = self._checked(group, slice_rows)
            except ReadError:
                if held:
                    yield held
                raise
            if held and held.slice_rows == more.slice_rows >= held.count + more.count and held.size < _TOGETHER:
                held = Rows(held.count + more.count, held.slice_rows, held.size + more.size)
            else:
                if held:
                    yield held
                held = more
        if held:
            yield held

    def _checked(self, group: Struct, slice_rows: int) -> Rows:
        rows = _whole(group.get(3))
        chunks = [_chunk(column) for column in _structs(group.get(1))]
        if [chunk.name for chunk in chunks] != list(self.names):
            raise Damaged("the Parquet row group does not have the schema's columns", self._end)
        sizes, long = zip(*(self._largest(chunk, rows) for chunk in chunks), strict=True)
        if sum(sizes) > MOST_BYTES:
            raise Damaged(f"a Parquet row group takes more than {MOST_BYTES:,} bytes to decode", chunks[0].start)
        return Rows(rows, max(1, min(slice_rows, _REPEATED_BYTES // (sum(long) + 1))), sum(sizes))

    def _largest(self, chunk: _Chunk, rows: int) -> tuple[int, int]:
        """The bytes of a column's dictionary and its largest page; and what a single row of it may take at most.

        In most encodings a row's text stands in the page; in one it may begin as long as the one before for nothing.
        Damaged where the pages do not add up.
        """
        position, values, dictionary, largest, long = chunk.start, 0, 0, 0, 0
        while values < rows:
            page = self._page(chunk, position)
            position = page.end
            if page.type == _DICTIONARY:
                dictionary += page.size + _VALUE_BYTES * page.values
            else:
                whole = 0 if page.encoding in _AS_LONG else _VALUE_BYTES * page.values
                values, largest = values + page.values, max(largest, page.size + whole)
                long = max(long, page.size if page.encoding == _DELTA_BYTE_ARRAY else 0)
        if values != rows or chunk.values != rows:
            raise Damaged(f"the Parquet column {chunk.name[:60]!r} has not one value for each row", position)
        return dictionary + largest, long

    def _page(self, chunk: _Chunk, position: int) -> _Page:
        what = f"the pages of the Parquet column {chunk.name[:60]!r} are not what they should be"
        self._pages += 1
        if position >= self._end or self._pages > _MOST_PAGES or self._header_bytes > _MOST_HEADERS:
            raise Damaged(what, min(position, self._end))
        self._file.seek(position)
        compact = Compact(self._file.read(min(_LARGEST_HEADER, self._end - position)))
        header = compact.struct()
        self._header_bytes += compact.position
        kind = _whole(header.get(1))
        place, encoding = _ABOUT.get(kind, (0, 0))
        about = header.get(place)
        end = position + compact.position + _whole(header.get(3))
        if not isinstance(about, dict) or end > self._end:
            raise Damaged(what, position)
        values = _whole(about.get(1))
        if values == 0 and kind != _DICTIONARY:
            raise Damaged(f"a page of the Parquet column {chunk.name[:60]!r} is empty", position)
        return _Page(kind, values, _whole(about.get(encoding)), _whole(header.get(2)), end)


def read_footer(file: BinaryIO, size: int) -> Footer:
    """The footer of a file of `size` bytes; Unrecognised where it has none that can be read."""
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if size < 2 * _TAIL or tail[4:] != MAGIC or length > size - _TAIL - len(MAGIC):
        raise Unrecognised("the Parquet file has no footer: it breaks off, or is encrypted")
    if length > _LARGEST_FOOTER:
        raise Unrecognised(f"the Parquet file's footer is larger than {_LARGEST_FOOTER:,} bytes")
    end = size - _TAIL - length
    file.seek(end)
    metadata = Compact(file.read(length)).struct()
    groups = _structs(metadata.get(4, []))
    if len(groups) > _MOST_GROUPS:
        raise Unrecognised(f"the Parquet file has {len(groups):,} row groups; expected at most {_MOST_GROUPS:,}")
    if sum(_whole(group.get(3)) for group in groups) > MOST_ROWS:
        raise Unrecognised(f"the Parquet file claims more than {MOST_ROWS:,} rows")
    return Footer(_names(_structs(metadata.get(2))), file, groups, end)


def _names(schema: list[Struct]) -> tuple[str, ...]:
    """The columns' names; the schema's first element is the root."""
    names = []
    for element in schema[1:]:
        name = element.get(4)
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else ""
        if element.get(5) or element.get(3) == _REPEATED:
            raise Unrecognised(
                f"the Parquet column {text[:60]!r} has columns or lists of its own; expected plain values"
            )
        if text in names:
            raise Unrecognised(f"the Parquet file has the column {text[:60]!r} twice; expected each name once")
        names.append(text)
    if not names or len(names) > _MOST_COLUMNS:
        raise Unrecognised(f"the Parquet file has {len(names):,} columns; expected 1 to {_MOST_COLUMNS:,}")
    return tuple(names)


def _chunk(column: Struct) -> _Chunk:
    about = column.get(3)
    if not isinstance(about, dict) or column.get(1):
        raise Unrecognised("the Parquet file keeps its columns elsewhere, or encrypted")
    if _whole(about.get(4)) not in _CODECS:
        raise Unrecognised("the Parquet file is compressed in an unknown way; expected gzip, Snappy, Zstandard or LZ4")
    path = about.get(3)
    name = path[0].decode("utf-8", "replace") if isinstance(path, list) and path and isinstance(path[0], bytes) else ""
    dictionary, data = about.get(11), _whole(about.get(9))
    start = dictionary if isinstance(dictionary, int) and 0 < dictionary < data else data
    return _Chunk(name, start, _whole(about.get(5)))


def _structs(value: object) -> list[Struct]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Unrecognised("the Parquet metadata lacks its schema or its row groups")
    return value


def _whole(value: object) -> int:
    """A size, a position or a number of things."""
    if not isinstance(value, int) or value < 0:
        raise Unrecognised("the Parquet metadata lacks a number, or has a negative one")
    return value
