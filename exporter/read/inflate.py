"""Stored bytes to plain bytes: gzip of any number of members, gzip within gzip, or plain as it is.

The frame of a gzip member (RFC 1952) is read here and its content inflated raw, because an inflater that checks the
sum itself keeps back what it has inflated when the sum is wrong.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from isal import igzip_lib, isal_zlib

from exporter.errors import Damaged, ReadError
from exporter.flow import ByteStream

_READ = 256 * 1024
_YIELD = 1024 * 1024
_STEP = 4 * 1024
"""Stored bytes given to the inflater at a time: what it inflates of them is lost where they turn out corrupt."""

_FIRST_STEP = 32
_GZIP = b"\x1f\x8b"
_DEFLATE = 8
_HEADER_SUM, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0
_LONGEST_TEXT = 64 * 1024
"""Of a name or comment in a gzip header: the format sets no limit."""

_LAYERS = 2
"""Firehose packs what CloudWatch Logs packed already."""

MOST_BYTES = 32 * 1024**3
"""What an object may inflate to: AWS's largest reach some GiB, a few MiB of hostile layers any size."""

MOST_MEMBERS = 500_000
"""AWS writes one; what CloudWatch Logs packs has hundreds of bytes each, and an empty one takes as long to read."""


@dataclass(slots=True)
class _Stored:
    """The stored bytes in small takes; `position` is that of the next one."""

    stream: ByteStream
    position: int = 0
    _block: bytes = b""
    _at: int = 0

    def peek(self) -> bytes:
        """What is at hand of what comes next; empty at the end only."""
        if self._at >= len(self._block):
            self._block, self._at = self.stream.read(_READ), 0
        return self._block[self._at : self._at + _STEP]

    def take(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty at the end only."""
        taken = self.peek()[:size]
        self._move(len(taken))
        return taken

    def give_back(self, size: int) -> None:
        """Undoes the last `size` bytes of the last take."""
        self._move(-size)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; Damaged where there are not as many."""
        taken = b""
        while len(taken) < size:
            more = self.take(size - len(taken))
            if not more:
                raise self.ended()
            taken += more
        return taken

    def ended(self) -> Damaged:
        """The error for a file that is too short."""
        return Damaged("the gzip file ends inside its data", self.position)

    def _move(self, size: int) -> None:
        self._at += size
        self.position += size


def inflated(stream: ByteStream) -> Iterator[bytes]:
    """The content in chunks of at most 1 MiB, whatever it inflates to; plain content passes unchanged.

    Raises Damaged where a member is corrupt or the file ends inside one, after all that could be read was yielded: of a
    corrupt member all but what the 4 KiB before the error inflate to (near its start, fewer).  Its position is one of
    the layer that is corrupt.  Raises ReadError after MOST_BYTES, of all layers together, or MOST_MEMBERS.
    """
    return _layer(stream, _LAYERS, _Spent())


@dataclass(slots=True)
class _Spent:
    """What was inflated so far, in all layers."""

    size: int = 0
    members: int = 0

    def add(self, size: int, members: int) -> None:
        """Counts; ReadError where it is too much."""
        self.size, self.members = self.size + size, self.members + members
        if self.size > MOST_BYTES:
            raise ReadError(f"it inflates to more than {MOST_BYTES:,} bytes: the rest was not read")
        if self.members > MOST_MEMBERS:
            raise ReadError(f"it has more than {MOST_MEMBERS:,} members of gzip: the rest was not read")


def _layer(stream: ByteStream, layers: int, spent: _Spent) -> Iterator[bytes]:
    """The content below at most `layers` layers of gzip."""
    first = stream.read(_READ)
    while 0 < len(first) < len(_GZIP) and (more := stream.read(_READ)):
        first += more
    if layers and first[:2] == _GZIP:
        yield from _layer(_Chunks(_members(_Stored(stream, 0, first), spent)), layers - 1, spent)
    else:
        while first:
            yield first
            first = stream.read(_READ)


@dataclass(slots=True)
class _Chunks:
    """Chunks as a ByteStream; each read gives one of them, whatever its size."""

    chunks: Iterator[bytes]

    def read(self, _: int, /) -> bytes:
        return next(self.chunks, b"")


def _members(stored: _Stored, spent: _Spent) -> Iterator[bytes]:
    while stored.peek():
        _pass_header(stored)
        spent.add(0, 1)
        for chunk in _content(stored):
            spent.add(len(chunk), 0)
            yield chunk
        while (padding := stored.peek()) and not padding.strip(b"\0"):
            stored.take(len(padding))
        stored.take(len(padding) - len(padding.lstrip(b"\0")))


def _pass_header(stored: _Stored) -> None:
    """RFC 1952, 2.3: ten fixed bytes, then what the flags say."""
    start = stored.position
    if any(stored.exactly(1)[0] != octet for octet in _GZIP):
        raise Damaged("something that is not gzip follows the gzip data", start)
    method, flags, *_ = stored.exactly(8)
    if method != _DEFLATE or flags & _RESERVED:
        raise Damaged("the gzip header is corrupt", start)
    if flags & _EXTRA:
        stored.exactly(int.from_bytes(stored.exactly(2), "little"))
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            _pass_text(stored)
    if flags & _HEADER_SUM:
        stored.exactly(2)


def _pass_text(stored: _Stored) -> None:
    start = stored.position
    while stored.exactly(1) != b"\0":
        if stored.position - start > _LONGEST_TEXT:
            raise Damaged(f"the gzip header holds a name of more than {_LONGEST_TEXT:,} bytes", start)


def _content(stored: _Stored) -> Iterator[bytes]:
    """One member's content, its sum and length checked when all of it was yielded."""
    inflater, total, length = isal_zlib.decompressobj(wbits=-15), 0, 0
    start = stored.position
    while not inflater.eof:
        # Steps that grow with what was read: of a small object, too, most can be read.
        step = min(_STEP, max(_FIRST_STEP, (stored.position - start) // 8))
        waiting = inflater.unconsumed_tail
        data = waiting or stored.take(step)
        try:
            chunk = inflater.decompress(data, _YIELD)
        except igzip_lib.IsalError as error:  # type: ignore[misc] # the stub names no base class
            raise Damaged(f"the gzip data is corrupt ({error})", stored.position - len(data)) from error
        if chunk:
            total, length = isal_zlib.crc32(chunk, total), length + len(chunk)
            yield chunk
        elif not data:
            raise stored.ended()
    stored.give_back(len(inflater.unused_data))
    position = stored.position
    if struct.unpack("<II", stored.exactly(8)) != (total, length % 2**32):
        raise Damaged("the gzip data does not fit its checksum", position)
