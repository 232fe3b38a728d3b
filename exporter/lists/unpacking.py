"""Bytes as they are fetched to bytes as they are meant: gzip undone, never more than was allowed for (pure)."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from exporter.errors import FeedError

GZIP = b"\x1f\x8b"
"""How gzip begins (RFC 1952, 2.3.1); no list of addresses and no JSON does."""

LAYERS = 2
"""A .gz file that a server sends with gzip as Content-Encoding is packed twice."""

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_SLICE = 256 * 1024


def unpacked(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """The bytes of `chunks`, gzip undone where they are gzip, whatever they are called.

    FeedError for more than `limit` bytes, packed or not, and for gzip that is broken or breaks off.  It holds no more
    than a slice at a time.
    """
    for _ in range(LAYERS):
        chunks = _layer(_limited(chunks, limit))
    return _limited(chunks, limit)


def _limited(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise FeedError(f"it is larger than {limit:,} bytes, the most that it may have")
        yield chunk


def _layer(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """One layer of gzip undone, where there is one."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(GZIP):
            break
    yield from _inflated(chain([head], chunks)) if head.startswith(GZIP) else chain([head], chunks)


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of gzip's members, one after the other; zeros behind a member are padding, as tar writes it."""
    member = zlib.decompressobj(_GZIP_WINDOW)
    for chunk in chunks:
        rest = chunk
        while rest:
            if member.eof:
                rest = rest.lstrip(b"\0")
                member = zlib.decompressobj(_GZIP_WINDOW) if rest else member
            yield from _slices(member, rest)
            rest = member.unused_data if member.eof and rest else b""
    if not member.eof:
        raise FeedError("its gzip breaks off: it did not come whole")


def _slices(member: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    """What `packed` adds to a member, a slice at a time."""
    while not member.eof:
        try:
            data = member.decompress(packed, _SLICE)
        except zlib.error as error:
            raise FeedError(f"its gzip is broken: {error}") from error
        packed = member.unconsumed_tail
        if data:
            yield data
        if not packed:
            return
