"""Database files: what opens, where addresses stand, and that nobody can change what is open."""

import gzip
import os
import random
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory

import maxminddb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import FeedError
from exporter.lists import mmdb
from exporter.lists.layouts import KEYS, texts_of
from exporter.lists.mmdb import NONE, opened, signature
from tests.enrich.cases import addresses

from .mmdb_files import MAXMIND_ASN, MAXMIND_CITY, write

ALL = KEYS | {"which", "padding", "a"}
IPV4 = st.integers(0, 2**32 - 1).map(lambda number: str(ip_address(number)))
IPV6 = st.integers(2**125, 2**126 - 1).map(lambda number: str(ip_address(number)))


def cidr(text: str, spread: int) -> str:
    """A network about an address, of a length that `spread` chooses."""
    longest = 128 if ":" in text else 32
    return str(ip_network(f"{text}/{1 + spread % longest}", strict=False))


def near(network: str, offset: int) -> str:
    """An address in the network, or right behind it."""
    block = ip_network(network)
    last = (2 ** (32 if block.version == 4 else 128)) - 1
    return str(type(block[0])(min(int(block[0]) + offset % (block.num_addresses + 1), last)))


@settings(deadline=None, max_examples=100)
@given(
    networks=st.lists(st.tuples(IPV4 | IPV6, st.integers(0, 127)), min_size=1, max_size=12),
    others=st.lists(IPV4 | IPV6, max_size=6),
    offsets=st.lists(st.integers(0, 2**33), min_size=12, max_size=12),
    version=st.sampled_from([4, 6]),
    bits=st.sampled_from([24, 28, 32]),
)
def test_addresses_have_the_records_that_maxminddb_finds(
    networks: list[tuple[str, int]], others: list[str], offsets: list[int], version: int, bits: int
) -> None:
    blocks = [block for block in (cidr(*each) for each in networks) if version == 6 or ":" not in block]
    texts = list(dict.fromkeys([*others, *(near(block, by) for block, by in zip(blocks, offsets, strict=False))]))
    with TemporaryDirectory() as folder:
        path = write(
            Path(folder, "x.mmdb"),
            {block: {"which": which} for which, block in enumerate(blocks)},
            version=version,
            bits=bits,
        )
        database = opened(path, None, ALL)
        with maxminddb.open_database(path, maxminddb.MODE_MMAP) as reader:
            expected = [None if version == 4 and ":" in text else reader.get(text) for text in texts]
    numbers = database.numbers(addresses(texts), np.arange(len(texts))).tolist()
    assert [number == NONE for number in numbers] == [record is None for record in expected]
    for number, record in zip(numbers, expected, strict=True):
        assert number == NONE or database.record(number) == record
    assert set(database.first_numbers()) >= set(numbers) - {NONE}
    records = {number: str(record) for number, record in zip(numbers, expected, strict=True)}
    assert [records[number] for number in numbers] == [str(record) for record in expected]


def test_numbers_of_28_bits_use_them_all(tmp_path: Path) -> None:
    padding = [letter * 9_000_000 for letter in (b"x", b"y")]
    networks = {"1.0.0.0/32": {"padding": padding}, "1.0.0.2/32": {"asn": "AS2"}, "1.0.0.3/32": {"asn": "AS3"}}
    database = opened(write(tmp_path / "large.mmdb", networks), None, ALL)
    numbers = database.numbers(addresses(["1.0.0.2", "1.0.0.3", "1.0.0.1"]), np.arange(3))
    assert (numbers[:2] > 2**24).all()
    assert numbers[0] != numbers[1]
    assert numbers[2] == NONE
    assert [database.record(number) for number in numbers[:2].tolist()] == [{"asn": "AS2"}, {"asn": "AS3"}]


def test_only_the_rows_that_are_asked_for(tmp_path: Path) -> None:
    database = opened(write(tmp_path / "x.mmdb", {"1.0.0.0/8": {"a": 1}, "2600::/16": {"a": 2}}), None, ALL)
    many = addresses(["1.0.0.1", "2.0.0.1", "2600::1", "1.2.3.4", "2601::1"])
    found = database.numbers(many, np.array([4, 3, 2, 0]))
    assert found[0] == NONE
    assert found[1] == found[3] != NONE
    assert found[2] not in (NONE, found[1])
    assert database.numbers(many, np.array([], dtype=np.int64)).tolist() == []


def cut(path: Path, size: int) -> None:
    write(path, {"1.0.0.0/8": MAXMIND_CITY})
    os.truncate(path, size)


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(write(path, {"1.0.0.0/8": MAXMIND_CITY}).read_bytes()))


def patched(path: Path, key: bytes, value: bytes, instead: bytes) -> None:
    """A database whose description says something else; both encoded as the format has it."""
    content = write(path, {"1.0.0.0/8": MAXMIND_CITY}, bits=24).read_bytes()
    before, found, after = content.rpartition(key + value)
    assert found
    path.write_bytes(before + key + instead + after)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "cannot be read: No such file or directory"),
    "a folder": (Path.mkdir, "expected a file, found a folder"),
    "a pipe": (os.mkfifo, "expected a file, found none"),
    "empty": (Path.touch, "is no whole database of the MaxMind DB format"),
    "text": (lambda path: path.write_text("<!doctype html><title>Sign in</title>"), "is no whole database"),
    "cut short": (lambda path: cut(path, 400), "is no whole database"),
    "compressed": (gzipped, "is compressed; expected the .mmdb file in it: unpack it first"),
    "odd records": (
        lambda path: patched(path, b"record_size", b"\xa1\x18", b"\xa1\x19"),
        "is no whole database",
    ),
    "a size that is no whole number": (
        lambda path: patched(path, b"record_size", b"\xa1\x18", b"\x68" + pack(">d", 24)),
        "is no whole database",
    ),
    "no nodes": (lambda path: patched(path, b"node_count", b"\xc1\x68", b"\xc0"), "is no whole database"),
    "odd version": (lambda path: patched(path, b"ip_version", b"\xa1\x06", b"\xa1\x07"), "is no whole database"),
}


@pytest.mark.parametrize(("make", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_database_is_told_as_what_it_is(
    tmp_path: Path, make: Callable[[Path], object], expected: str
) -> None:
    path = tmp_path / "x.mmdb"
    make(path)
    with pytest.raises(FeedError) as raised:
        opened(path, None, ALL)
    assert str(raised.value).startswith(f"{path}: {expected}")


def test_a_file_may_not_be_too_large(tmp_path: Path) -> None:
    path = tmp_path / "x.mmdb"
    path.touch()
    os.truncate(path, 2 * 1024**3 + 1)
    with pytest.raises(FeedError, match=r"has 2,147,483,649 bytes; expected a database of at most 2,147,483,648"):
        signature(path)


def test_a_folder_for_copies_that_cannot_be_used(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_CITY})
    with pytest.raises(FeedError, match=rf"{path}: cannot be copied into {tmp_path}/none: No such file or directory"):
        opened(path, tmp_path / "none", ALL)


def test_a_file_that_changes_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_CITY})
    seen = signature(path)
    monkeypatch.setattr(mmdb, "signature", lambda _: seen)  # as a writer between the two looks would do it
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FeedError, match="was changed while it was read; it will be read again"):
        opened(path, None, ALL)


def test_an_open_database_does_not_change_with_its_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_ASN})
    database = opened(path, spool, ALL)
    assert list(spool.iterdir()) == []
    before = database.numbers(addresses(["1.2.3.4"]), np.arange(1))
    path.write_bytes(b"")
    assert database.numbers(addresses(["1.2.3.4"]), np.arange(1)).tolist() == before.tolist()
    assert [database.record(number) for number in database.first_numbers()] == [MAXMIND_ASN]


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_ASN})
    before = list(Path("/dev/fd").iterdir())
    for _ in range(20):
        opened(path, None, ALL)
    assert len(list(Path("/dev/fd").iterdir())) == len(before)


def test_bytes_that_were_changed_never_do_more_than_fail(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mmdb", {"1.0.0.0/8": MAXMIND_CITY, "2.0.0.0/9": MAXMIND_ASN, "2600::/16": MAXMIND_ASN})
    good, chance = path.read_bytes(), random.Random(7)  # noqa: S311 - to have the same each time
    asked, outcomes = addresses(["1.2.3.4", "2.0.0.1", "2.255.0.1", "2600::1", "2001::"]), set()
    for _ in range(1000):
        bad = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            bad[chance.randrange(len(bad))] = chance.choice((chance.randrange(256), 0, 0x20, 0x3F, 0xFF))
        path.write_bytes(bad)
        try:
            database = opened(path, None, ALL)
            for number in (*database.numbers(asked, np.arange(5)).tolist(), *database.first_numbers()):
                number == NONE or texts_of(database.record(number))
            outcomes.add("fine")
        except FeedError as error:
            outcomes.add("damaged" if str(error).startswith("damaged at byte") else "no database")
    assert outcomes == {"fine", "damaged", "no database"}
