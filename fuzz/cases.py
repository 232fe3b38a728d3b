"""An input of the fuzzer as a stored object: one byte says how it is packed, one how it is read, the rest is content.

So a mutation changes the content, and not only the gzip data around it, whose checksum it would break.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from exporter.flow import S3Object
from exporter.read.reader import Reader
from fuzz.columns import odd_parquet

SOURCE = S3Object("logs", "AWSLogs/1/a.log.gz", "e", 1, datetime(2026, 1, 1, tzinfo=UTC))

MOST_BAD_LINES = 200
PIECES = (400, 2_000, 20_000, 4 * 1024 * 1024)
"""Bytes of a piece: small ones let a short input pass the seams between pieces."""

READS = (2**30, 7)
"""Bytes that the stream gives at a time."""

CONFIGURED = ("${interface-id}", "srcaddr", "dstaddr", "flavour", "${end}", "bytes")
"""The format that a headerless file may have besides the default one."""

_GZIP = b"\x1f\x8b"
_LONGEST_CONTENT = 8 * 1024 * 1024
"""Beyond this a bomb's lines are not counted; the reader has to bear it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A stored object and how it is read; `rows` is what a made Parquet file has."""

    data: bytes
    original: bool
    piece_bytes: int
    most: int
    configured: bool
    rows: int | None

    @property
    def reader(self) -> Reader:
        """The reader that the object is given to."""
        return Reader(self._formats, self.original, self.piece_bytes, MOST_BAD_LINES)

    @property
    def stream(self) -> "Stream":
        """The object's bytes, from the start."""
        return Stream(self.data, self.most)

    def _formats(self, _: S3Object) -> Iterable[tuple[str, tuple[str, ...]]]:
        return [("the configuration", CONFIGURED)] if self.configured else []


@dataclass(slots=True)
class Stream:
    """Bytes that arrive at most `most` a read."""

    data: bytes
    most: int
    at: int = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        taken = self.data[self.at : self.at + min(size, self.most)]
        self.at += len(taken)
        return taken


def case_of(given: bytes) -> Case:
    """The case that an input means; every input means one."""
    packing, reading, content = given[0] if given else 0, given[1] if len(given) > 1 else 0, given[2:]
    rows = None
    packings = (*PACKINGS.values(), None)
    pack = packings[packing % len(packings)]
    if pack is None:
        data, rows = odd_parquet(content)
    else:
        data = pack(content)
    return Case(
        data,
        original=bool(reading & 1),
        piece_bytes=PIECES[reading >> 1 & 3],
        most=READS[reading >> 3 & 1],
        configured=bool(reading & 16),
        rows=rows,
    )


def content_of(data: bytes) -> bytes | None:
    """What the object's gzip holds, or the gzip within it, by Python's own zlib; None where it is broken or a bomb."""
    for _ in range(2):
        if not data.startswith(_GZIP):
            return data
        inflated = _inflated(data)
        if inflated is None:
            return None
        data = inflated
    return None if data.startswith(_GZIP) else data


def _inflated(data: bytes) -> bytes | None:
    """All members' content, zeros between and behind them passed over."""
    content = b""
    while data:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            content += inflater.decompress(data, _LONGEST_CONTENT)
        except zlib.error:
            return None
        if not inflater.eof or len(content) > _LONGEST_CONTENT:
            return None
        data = inflater.unused_data.lstrip(b"\0")
    return content


def _as_it_is(content: bytes) -> bytes:
    return content


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, 1, mtime=0)


def _members(content: bytes) -> bytes:
    middle = len(content) // 2
    return _gzip(content[:middle]) + _gzip(content[middle:])


def _twice(content: bytes) -> bytes:
    return _gzip(_gzip(content))


def _members_within(content: bytes) -> bytes:
    return _gzip(_members(content))


def _broken_off(content: bytes) -> bytes:
    """The last byte says how much is missing."""
    return _gzip(content)[: -1 - (content[-1] if content else 0)]


def _damaged(content: bytes) -> bytes:
    """The first two bytes say where and how a byte is another one."""
    packed = bytearray(_gzip(content))
    place, octet = (*content[:2], 0, 1)[:2]
    packed[place * len(packed) // 256] ^= octet or 1
    return bytes(packed)


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": _as_it_is,
    "gzip": _gzip,
    "gzip members": _members,
    "gzip in gzip": _twice,
    "gzip members in gzip": _members_within,
    "gzip broken off": _broken_off,
    "gzip damaged": _damaged,
}
"""How content is packed, by an input's first byte in this order; the number after the last one makes odd Parquet."""

ODD_PARQUET = len(PACKINGS)
