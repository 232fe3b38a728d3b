"""Thrift's compact protocol, as far as Parquet's metadata needs it: bytes to dicts by field number.

Source: the Thrift project's "Thrift Compact protocol encoding".
"""

from dataclasses import dataclass

from exporter.errors import Unrecognised

Struct = dict[int, object]
"""A struct's fields by their numbers: int, bool, bytes, list or Struct."""

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_INTEGERS = frozenset({_I16, _I32, _I64})
_DEEPEST = 16
_LONG_LIST = 15
_LONGEST_NUMBER = 10
"""Bytes of a 64-bit number, seven bits in each."""


@dataclass(slots=True)
class Compact:
    """Reads structs from `data`, the next one at `position`; Unrecognised where it is none."""

    data: bytes
    position: int = 0

    def struct(self, depth: int = 0) -> Struct:
        """The next struct."""
        fields: Struct = {}
        number = 0
        while (head := self._byte()) & 0x0F != _STOP:
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 0x0F
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> object:
        if depth > _DEEPEST:
            raise Unrecognised("the Parquet metadata is nested too deeply")
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET, _MAP):
            return self._map(depth) if kind == _MAP else self._list(depth)
        return self._plain(kind)

    def _plain(self, kind: int) -> object:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BINARY:
            return self._take(self._number())
        if kind in (_BYTE, _TRUE, _FALSE):
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        raise Unrecognised("the Parquet metadata is corrupt")

    def _list(self, depth: int) -> list[object]:
        head = self._byte()
        size = self._number() if head >> 4 == _LONG_LIST else head >> 4
        self._expect(size)
        return [self._value(head & 0x0F, depth + 1) for _ in range(size)]

    def _map(self, depth: int) -> list[object]:
        size = self._number()
        self._expect(size)
        kinds = self._byte() if size else 0
        return [self._value(kind, depth + 1) for _ in range(size) for kind in (kinds >> 4, kinds & 0x0F)]

    def _number(self) -> int:
        value = 0
        for place in range(_LONGEST_NUMBER):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the last byte of a number has its highest bit clear
                return value
        raise Unrecognised("the Parquet metadata is corrupt")

    def _signed(self) -> int:
        """A number in zigzag: 0, 1, 2, 3 stand for 0, -1, 1, -2."""
        number = self._number()
        return number >> 1 ^ -(number & 1)

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> bytes:
        self._expect(size)
        self.position += size
        return self.data[self.position - size : self.position]

    def _expect(self, size: int) -> None:
        """There are at least as many bytes left: each entry of a list takes one."""
        if size > len(self.data) - self.position:
            raise Unrecognised("the Parquet metadata breaks off")
