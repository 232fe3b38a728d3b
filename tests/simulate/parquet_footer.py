"""A Parquet file's footer, read by its specification: what a file is, whatever a library makes of it.

The footer is one struct in Thrift's compact protocol; numbers of its fields, types and codecs are parquet.thrift's.
"""

from dataclasses import dataclass
from typing import Any

MAGIC = b"PAR1"
SCHEMA, ROW_GROUPS = 2, 4
INT32, INT64, TEXT = 1, 2, 6
UNCOMPRESSED, GZIP = 0, 2


@dataclass(frozen=True, slots=True)
class Footer:
    """Physical types by column, in order; rows of each row group; the codecs of all column chunks."""

    types: dict[str, int]
    rows: list[int]
    codecs: set[int]


def footer(data: bytes) -> Footer:
    """What the last bytes of the file say."""
    assert data.startswith(MAGIC)
    assert data.endswith(MAGIC)
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    whole = _Compact(data, start).struct()
    groups = whole[ROW_GROUPS]
    return Footer(
        {column[4].decode(): column[1] for column in whole[SCHEMA][1:]},
        [group[3] for group in groups],
        {chunk[3][4] for group in groups for chunk in group[1]},
    )


@dataclass(slots=True)
class _Compact:
    """Structs as dicts by field number."""

    data: bytes
    at: int

    def struct(self) -> dict[int, Any]:
        """The fields up to the stop."""
        fields, number = dict[int, Any](), 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:  # noqa: ANN401 - as the file has it
        if kind in {1, 2}:
            return kind == 1
        if kind in {4, 5, 6}:
            return self._signed()
        if kind == 8:
            length = self._number()
            self.at += length
            return self.data[self.at - length : self.at]
        if kind == 9:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._number()
            return [self._value(head & 15) for _ in range(count)]
        assert kind == 12, f"a footer has no values of kind {kind}"
        return self.struct()

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _number(self) -> int:
        result, shift, more = 0, 0, True
        while more:
            octet = self._byte()
            result |= (octet & 127) << shift
            shift, more = shift + 7, octet > 127
        return result

    def _signed(self) -> int:
        number = self._number()
        return number >> 1 ^ -(number & 1)
