"""Inflating: what is whole comes through unchanged, what is broken comes through as far as it can be read."""

import gzip
import random
import struct
import zlib

import pytest

from exporter.errors import Damaged, ReadError
from exporter.read import inflate as inflating
from exporter.read.inflate import inflated

from .objects import Stream

CONTENT = b"".join(b"2 123456789010 eni-%d 172.31.16.%d OK\n" % (row * 7919, row % 200) for row in range(40))
MEMBER = gzip.compress(CONTENT, mtime=0)


def inflate(data: bytes, most: int = 2**30) -> tuple[bytes, Damaged | None]:
    """What was yielded before the end or the damage."""
    chunks = []
    try:
        for chunk in inflated(Stream(data, most)):
            assert 0 < len(chunk) <= 1024 * 1024
            chunks.append(chunk)
    except Damaged as damage:
        return b"".join(chunks), damage
    return b"".join(chunks), None


def member(flags: int, optional: bytes) -> bytes:
    """A gzip member whose header has optional parts (RFC 1952, 2.3)."""
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + optional + MEMBER[10:]


WHOLE = {
    "plain": (CONTENT, CONTENT),
    "empty": (b"", b""),
    "one byte": (b"\x1f", b"\x1f"),
    "one member": (MEMBER, CONTENT),
    "empty member": (gzip.compress(b""), b""),
    "two members": (MEMBER + gzip.compress(b"more\n"), CONTENT + b"more\n"),
    "empty member between": (MEMBER + gzip.compress(b"") * 3 + MEMBER, CONTENT * 2),
    "zero padding": (MEMBER + bytes(10_000), CONTENT),
    "padding between": (MEMBER + bytes(513) + MEMBER + bytes(1), CONTENT * 2),
    "stored, not compressed": (gzip.compress(CONTENT, 0), CONTENT),
    "with a name": (member(0x08, b"a.log\0"), CONTENT),
    "with a comment": (member(0x10, b"said\0"), CONTENT),
    "with an extra part": (member(0x04, b"\x03\0abc"), CONTENT),
    "with a header sum": (member(0x02, b"\0\0"), CONTENT),
    "with all of it": (member(0x1F, b"\x02\0ab" + b"name\0" + b"comment\0" + b"\0\0"), CONTENT),
    "gzip within gzip": (gzip.compress(MEMBER), CONTENT),
    "members within a member": (gzip.compress(MEMBER + MEMBER), CONTENT * 2),
    "a member within members": (gzip.compress(MEMBER[:50]) + gzip.compress(MEMBER[50:]), CONTENT),
    "gzip within gzip within gzip": (gzip.compress(gzip.compress(MEMBER)), MEMBER),
    "three MiB of one byte": (gzip.compress(b"a" * 3 * 2**20), b"a" * 3 * 2**20),
}


@pytest.mark.parametrize("most", [1, 7, 2**30])
@pytest.mark.parametrize("name", WHOLE)
def test_whole(name: str, most: int) -> None:
    stored, content = WHOLE[name]
    assert inflate(stored, most) == (content, None)


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("plain", "empty", "one byte")])
def test_truncated_inside_a_member(name: str) -> None:
    stored, content = WHOLE[name]
    end = len(stored.rstrip(b"\0")) - 6  # inside the last member's sum and length, of which zeros may be the end
    got, damage = inflate(stored[:end])
    assert (got, damage and damage.position) == (content, end)


def test_truncated_at_every_byte() -> None:
    stored = MEMBER + gzip.compress(b"more\n")
    for end in range(2, len(stored)):
        got, damage = inflate(stored[:end])
        if end == len(MEMBER):
            assert (got, damage) == (CONTENT, None)
            continue
        first = zlib.decompressobj(31)
        known = first.decompress(stored[:end])
        known += zlib.decompressobj(31).decompress(first.unused_data) if first.unused_data else b""
        assert damage is not None
        assert (got, damage.position) == (known, end)
        assert str(damage) == f"the gzip file ends inside its data at byte {end:,}"


def test_a_flipped_bit_anywhere_is_damage_or_changes_nothing() -> None:
    unheeded = set()
    for at in range(2, len(MEMBER)):
        for bit in range(8):
            stored = bytearray(MEMBER)
            stored[at] ^= 1 << bit
            got, damage = inflate(bytes(stored), 100)
            if damage is None:
                assert got == CONTENT
                unheeded.add(at)
                continue
            assert 0 <= damage.position <= len(MEMBER)
            if at >= len(MEMBER) - 8:
                assert got == CONTENT
            elif at > 10:
                assert got.startswith(zlib.decompressobj(31).decompress(MEMBER[: min(damage.position, at)]))
    # A flag without meaning, time, extra flags, operating system; and the bits that fill the last byte of the data.
    assert unheeded <= {3, 4, 5, 6, 7, 8, 9, len(MEMBER) - 9}


@pytest.mark.parametrize("at", [4, 8])
def test_a_wrong_sum_or_length_at_the_end_loses_nothing(at: int) -> None:
    trailer = bytearray(MEMBER[-8:])
    trailer[-at] ^= 0xFF
    got, damage = inflate(MEMBER[:-8] + bytes(trailer))
    assert got == CONTENT
    assert str(damage) == f"the gzip data does not fit its checksum at byte {len(MEMBER) - 8:,}"


def test_all_but_the_last_4_kib_are_read_before_a_flaw() -> None:
    content = random.Random(5).randbytes(400_000)  # noqa: S311 # repeatable
    stored = bytearray(gzip.compress(content, 0))
    third, before = 10, 0
    for _ in range(2):  # blocks that are stored as they are: a head, a length, its complement (RFC 1951, 3.2.4)
        (length,) = struct.unpack("<H", stored[third + 1 : third + 3])
        third, before = third + 5 + length, before + length
    stored[third + 3] ^= 0xFF
    got, damage = inflate(bytes(stored))
    assert damage is not None
    assert third - 4096 <= damage.position <= third + 4
    assert before - 4096 <= len(got) <= before
    assert content.startswith(got)


@pytest.mark.parametrize("rubbish", [b"x", b"\0x", b"PAR1", b"\x1f\x8c" * 5, b"2 123 eni\n" * 10_000])
def test_something_else_after_the_gzip_data(rubbish: bytes) -> None:
    got, damage = inflate(MEMBER + rubbish)
    assert got == CONTENT
    assert damage is not None
    assert damage.position == len(MEMBER) + (rubbish[0] == 0)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"\x1f\x8b\x07" + MEMBER[3:], "the gzip header is corrupt at byte 0"),
        (b"\x1f\x8b\x08\x80" + MEMBER[4:], "the gzip header is corrupt at byte 0"),
        (member(0x08, b"n" * 70_000), "the gzip header holds a name of more than 65,536 bytes at byte 10"),
        (MEMBER + MEMBER[:3], f"the gzip file ends inside its data at byte {len(MEMBER) + 3:,}"),
    ],
)
def test_reasons(stored: bytes, reason: str) -> None:
    assert str(inflate(stored)[1]) == reason


def test_an_error_of_the_source_is_passed_on() -> None:
    class Gone:
        def read(self, _: int, /) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(inflated(Gone()))


def test_gzip_within_gzip_that_breaks_off() -> None:
    content, damage = inflate(gzip.compress(MEMBER[:-20], mtime=0))
    assert CONTENT.startswith(content)
    assert len(content) > 1000
    assert str(damage) == f"the gzip file ends inside its data at byte {len(MEMBER) - 20:,}"


def test_what_inflates_without_end_is_read_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "MOST_BYTES", 2 * 2**20)
    stored = gzip.compress(gzip.compress(b"a" * 5 * 2**20))
    sizes: list[int] = []
    with pytest.raises(ReadError, match=r"it inflates to more than 2,097,152 bytes: the rest was not read"):
        sizes.extend(map(len, inflated(Stream(stored))))
    assert sum(sizes) <= 2 * 2**20


def test_the_layers_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = gzip.compress(b"a" * 2**20, 0) * 2
    monkeypatch.setattr(inflating, "MOST_BYTES", 4 * 2**20)
    with pytest.raises(ReadError, match=r"it inflates to more than 4,194,304 bytes: the rest was not read"):
        list(inflated(Stream(gzip.compress(inner))))
    monkeypatch.setattr(inflating, "MOST_BYTES", 5 * 2**20)
    assert sum(map(len, inflated(Stream(gzip.compress(inner))))) == 2 * 2**20


def test_members_without_end_are_read_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflating, "MOST_MEMBERS", 100)
    empty = gzip.compress(b"")
    for stored in (empty * 101, gzip.compress(empty * 100)):
        with pytest.raises(ReadError, match=r"it has more than 100 members of gzip: the rest was not read"):
            list(inflated(Stream(stored)))
    assert list(inflated(Stream(empty * 100))) == []
