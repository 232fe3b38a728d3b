"""The data section of a MaxMind DB: what is wanted of a record, and no more than that is decoded.

maxminddb has two decoders.  That in C ends the process for some files whose data is damaged (version 3.2: found by
changing bytes of a file); that in Python spends most of its time on names in other languages.  Here what is not wanted
is passed over, and what several records share is decoded once, which takes a quarter of the time for a city.  The
encoding is that of the format's specification, version 2.0, "Data Section".
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any

from exporter.errors import FeedError

MOST_VALUES = 10_000
"""Values that a record may have; one of a city has a few hundred."""

DEEPEST = 32
"""Containers and pointers that may be in each other; a city has five, and in a circle there is no end of them."""

MOST_SHARED = 200_000
"""Values kept because several records may share them, some 30 MB; then it begins anew."""

_POINTER, _STRING, _MAP, _ARRAY, _BOOLEAN = 1, 2, 7, 11, 14
_ADDED = (0, 0, 2048, 526336, 0)
"""What is added to a pointer of so many bytes."""
_SIZES = (29, 285, 65821)
"""What is added to a size that is written in 1, 2 or 3 bytes."""


class _Damaged(Exception):
    """Bytes that are no value."""


def _float(layout: str) -> Callable[[bytes], object]:
    return lambda data: struct.unpack(layout, data)[0]


def _whole(longest: int, *, signed: bool = False) -> Callable[[bytes], object]:
    def read(data: bytes) -> int:
        if len(data) > longest:
            raise _Damaged(f"a number of {len(data)} bytes")
        full = signed and len(data) == longest  # a shorter one is padded with zeros, so it is positive
        return int.from_bytes(data, "big", signed=full)

    return read


_SCALARS: dict[int, Callable[[bytes], object]] = {
    _STRING: lambda data: data.decode("utf-8"),
    3: _float(">d"),
    4: bytes,
    5: _whole(2),
    6: _whole(4),
    8: _whole(4, signed=True),
    9: _whole(8),
    10: _whole(16),
    15: _float(">f"),
}
"""The types of values that are so many bytes."""


@dataclass(frozen=True, slots=True)
class Data:
    """The bytes of a database whose pointers count from `base`, and the keys of maps whose values are `wanted`.

    Any number of threads may read; two of them may decode the same value, which changes nothing.
    """

    content: mmap
    base: int
    wanted: frozenset[str]
    _shared: dict[int, Any] = field(default_factory=dict)

    def value(self, at: int) -> object:
        """The value that begins at this byte; a map has its wanted keys only, and a list only its last value.

        FeedError where it is damaged, or no value of a database that anybody would make.
        """
        try:
            return _Reading(self, self._shared).value(at, 0)[0]
        except (_Damaged, IndexError, struct.error, UnicodeDecodeError) as error:
            raise FeedError(f"damaged at byte {at:,}: {error}") from error


class _Reading:
    """The decoding of one record."""

    def __init__(self, data: Data, shared: dict[int, Any]) -> None:
        self._content = data.content
        self._base = data.base
        self._wanted = data.wanted
        self._shared = shared
        self._left = MOST_VALUES

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The value at a byte, and where the next one begins."""
        if self._content[at] >> 5 == _POINTER:
            target, at = self._pointer(at)
            return self._at_pointer(target, depth), at
        kind, size, at = self._control(at)
        if kind == _MAP:
            return self._map(size, at, depth + 1)
        if kind == _ARRAY:
            return self._array(size, at, depth + 1)
        if kind == _BOOLEAN:
            return bool(size), at
        if kind not in _SCALARS:
            raise _Damaged(f"no value has type {kind}")
        data = self._content[at : at + size]
        if len(data) != size:
            raise _Damaged("it breaks off")
        return _SCALARS[kind](data), at + size

    def _pointer(self, at: int) -> tuple[int, int]:
        """What a pointer points at, and where the next value begins."""
        control = self._content[at]
        more = (control >> 3 & 3) + 1
        end = at + 1 + more
        low = int.from_bytes(self._content[at + 1 : end])
        high = (control & 7) << 8 * more if more < 4 else 0  # noqa: PLR2004 - 4 bytes hold a whole pointer
        return self._base + _ADDED[more] + high + low, end

    def _control(self, at: int) -> tuple[int, int, int]:
        """Of a value that is no pointer: its type, its size, and where its content begins."""
        control = self._content[at]
        kind, size, at = control >> 5, control & 0x1F, at + 1
        if kind == 0:
            kind, at = 7 + self._content[at], at + 1
        if size >= _SIZES[0]:
            more = size - 28
            size, at = _SIZES[more - 1] + int.from_bytes(self._content[at : at + more]), at + more
        return kind, size, at

    def _at_pointer(self, target: int, depth: int) -> Any:  # noqa: ANN401 - whatever a database holds
        try:
            return self._shared[target]
        except KeyError:
            self._enter(1, depth)
        found, _ = self.value(target, depth + 1)
        if len(self._shared) >= MOST_SHARED:
            self._shared.clear()
        self._shared[target] = found
        return found

    def _enter(self, values: int, depth: int) -> None:
        """Counts values that are about to be looked at."""
        self._left -= values
        if self._left < 0:
            raise _Damaged(f"more than {MOST_VALUES:,} values")
        if depth > DEEPEST:
            raise _Damaged(f"more than {DEEPEST} values in each other")

    def _map(self, size: int, at: int, depth: int) -> tuple[dict[str, Any], int]:
        self._enter(2 * size, depth)
        found = {}
        for _ in range(size):
            key, at = self.value(at, depth)
            if isinstance(key, str) and key in self._wanted:
                found[key], at = self.value(at, depth)
            else:
                at = self._passed(1, at)
        return found, at

    def _array(self, size: int, at: int, depth: int) -> tuple[list[Any], int]:
        self._enter(size, depth)
        if not size:
            return [], at
        last, at = self.value(self._passed(size - 1, at), depth)
        return [last], at

    def _passed(self, count: int, at: int) -> int:
        """Where the value after so many begins."""
        while count:
            count -= 1
            control = self._content[at]
            if control >> 5 == _POINTER:
                at += (control >> 3 & 3) + 2
                continue
            kind, size, at = self._control(at)
            if kind in (_MAP, _ARRAY):
                more = size * 2 if kind == _MAP else size
                self._enter(more, 0)
                count += more
            elif kind != _BOOLEAN:
                at += size
        return at
