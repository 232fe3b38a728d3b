"""Parquet files put together by hand (by the format's parquet.thrift), whose metadata claims what no writer would."""

from dataclasses import dataclass

INT64, BYTE_ARRAY = 2, 6
PLAIN, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY = 0, 5, 6
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12

Part = tuple[int, int, bytes]
"""A field of a struct: its number, its type in Thrift's compact protocol, its bytes."""


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def signed(value: int) -> bytes:
    return number(value << 1 if value >= 0 else (-value << 1) - 1)


def i32(field: int, value: int) -> Part:
    return field, _I32, signed(value)


def i64(field: int, value: int) -> Part:
    return field, _I64, signed(value)


def text(field: int, value: bytes) -> Part:
    return field, _BINARY, number(len(value)) + value


def inner(field: int, value: bytes) -> Part:
    return field, _STRUCT, value


def struct(*parts: Part) -> bytes:
    out, before = b"", 0
    for field, kind, value in parts:
        out += bytes([(field - before) << 4 | kind]) + value
        before = field
    return out + b"\0"


def entries(field: int, values: list[bytes], kind: int = _STRUCT) -> Part:
    size = bytes([len(values) << 4 | kind]) if len(values) < 15 else bytes([0xF0 | kind]) + number(len(values))
    return field, _LIST, size + b"".join(values)


def page(values: int, data: bytes, encoding: int = PLAIN, extra: tuple[Part, ...] = ()) -> bytes:
    """A data page of the first kind, not compressed."""
    about = struct(i32(1, values), i32(2, encoding), i32(3, 3), i32(4, 3), *extra)
    return struct(i32(1, 0), i32(2, len(data)), i32(3, len(data)), inner(5, about)) + data


def delta(values: int) -> bytes:
    """So many equal numbers in DELTA_BINARY_PACKED, in one block with nothing in it."""
    return number(2**30) + number(1) + number(values) + signed(7) + signed(0) + b"\0"


@dataclass(frozen=True, slots=True)
class Column:
    """What a file claims of a column of each of its row groups."""

    name: bytes = b"bytes"
    type: int = INT64
    values: int = 1
    offset: int = 4
    codec: Part = (4, _I32, b"\0")
    repetition: int = 0

    def element(self) -> bytes:
        return struct(i32(1, self.type), i32(3, self.repetition), text(4, self.name))

    def chunk(self, size: int) -> bytes:
        path = entries(3, [number(len(self.name)) + self.name], _BINARY)
        sizes = (i64(5, self.values), i64(6, size), i64(7, size), i64(9, self.offset))
        return struct(
            i64(2, 4), inner(3, struct(i32(1, self.type), entries(2, [signed(0)], _I32), path, self.codec, *sizes))
        )


def file(pages: bytes, rows: int, *columns: Column, groups: int = 1) -> bytes:
    """A file of these pages, and row groups that all claim them."""
    chunks = [column.chunk(len(pages)) for column in columns]
    group = struct(entries(1, chunks), i64(2, 8), i64(3, rows))
    schema = [struct(text(4, b"root"), i32(5, len(columns))), *(column.element() for column in columns)]
    footer = struct(i32(1, 1), entries(2, schema), i64(3, rows * groups), entries(4, [group] * groups))
    return b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"
