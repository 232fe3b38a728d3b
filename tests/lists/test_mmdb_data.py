"""Values of the data section, byte by byte and against maxminddb's decoder."""

from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maxminddb.decoder import Decoder
from mmdb_writer import Encoder, MmdbF32, MmdbI32, MmdbU16, MmdbU64, MmdbU128

from exporter.errors import FeedError
from exporter.lists.mmdb_data import Data

WANTED = frozenset({"en", "names", "k"})


@contextmanager
def data(content: bytes) -> Iterator[Data]:
    """The bytes as a data section without anything before it."""
    with mmap(-1, max(1, len(content))) as mapped:
        mapped.write(content)
        yield Data(mapped, 0, WANTED)


VALUES: dict[str, tuple[str, object]] = {
    "a text": ("43 666f6f", "foo"),
    "no text": ("40", ""),
    "UTF-8": ("43 e4baba", "人"),
    "a text of 29 bytes": ("5d 00" + "61" * 29, "a" * 29),
    "a text of 285 bytes": ("5e 0000" + "61" * 285, "a" * 285),
    "a text of 65,821 bytes": ("5f 000000" + "61" * 65821, "a" * 65821),
    "a double": ("68 3fe0000000000000", 0.5),
    "a float": ("04 08 bf000000", -0.5),
    "bytes": ("82 00ff", b"\x00\xff"),
    "0 of 16 bits": ("a0", 0),
    "500 of 16 bits": ("a2 01f4", 500),
    "32 bits": ("c4 ffffffff", 4294967295),
    "64 bits": ("08 02 ffffffffffffffff", 2**64 - 1),
    "128 bits": ("10 03 ffffffffffffffffffffffffffffffff", 2**128 - 1),
    "-1": ("04 01 ffffffff", -1),
    "255, signed": ("01 01 ff", 255),
    "true": ("01 07", True),
    "false": ("00 07", False),
    "an empty map": ("e0", {}),
    "a map": ("e2 426464 41 61 42 656e 41 62", {"en": "b"}),
    "a map with others before and behind": ("e3 4178 e1 4179 01 04 a0 416b a1 07 417a 00 07", {"k": 7}),
    "a list": ("03 04 a1 01 a1 02 a1 03", [3]),
    "an empty list": ("00 04", []),
    "lists that are passed over": ("e2 4178 02 04 01 04 a0 40 416b a1 01", {"k": 1}),
    "a pointer of 1 byte": ("20 03 00 42 686f", "ho"),
    "a pointer of 2 bytes": ("28 0000" + "00" * 2045 + "42 686f", "ho"),
    "a pointer of 3 bytes": ("30 000000" + "00" * 526332 + "42 686f", "ho"),
    "a pointer of 4 bytes": ("38 00000005 42 686f", "ho"),
    "high bits of a pointer": ("27 02" + "00" * 1792 + "42 686f", "ho"),
    "a map whose keys and values are pointers": ("e1 2005 2008 42 656e 42 686f", {"en": "ho"}),
}


@pytest.mark.parametrize(("code", "expected"), VALUES.values(), ids=VALUES)
def test_a_value(code: str, expected: object) -> None:
    with data(bytes.fromhex(code)) as section:
        found = section.value(0)
    assert found == expected
    assert type(found) is type(expected)


DAMAGED: dict[str, tuple[str, str]] = {
    "behind the end": ("", "index out of range"),
    "a text that breaks off": ("43 666f", "it breaks off"),
    "no UTF-8": ("42 ffff", "invalid start byte"),
    "a double of 4 bytes": ("64 3fe00000", "requires a buffer of 8 bytes"),
    "a float of 8 bytes": ("08 08 bf00000000000000", "requires a buffer of 4 bytes"),
    "16 bits of 3 bytes": ("a3 010203", "a number of 3 bytes"),
    "a map that breaks off": ("e2 416b 01 07", "index out of range"),
    "an unknown type": ("00 09", "no value has type 16"),
    "a container of a cache": ("00 05", "no value has type 12"),
    "a pointer to nowhere": ("20 ff", "index out of range"),
    "a pointer to itself": ("20 00", "more than 32 values in each other"),
    "a map in itself": ("e1 416b 20 00", "more than 32 values in each other"),
    "a list in itself": ("01 04 20 00", "more than 32 values in each other"),
    "lists in lists": ("0104" * 33 + "a0", "more than 32 values in each other"),
    "more values than anybody has": ("1f 04 ffffff" + "a0" * 20000, "more than 10,000 values"),
    "more values in what is passed over": ("e1 4178 1f 04 ffffff" + "a0" * 20000, "more than 10,000 values"),
}


@pytest.mark.parametrize(("code", "expected"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged(code: str, expected: str) -> None:
    with data(bytes.fromhex(code)) as section, pytest.raises(FeedError, match=f"^damaged at byte [01]: .*{expected}"):
        section.value(0 if code else 1)


def kept(value: object) -> object:
    """What is wanted of a value that was decoded whole."""
    if isinstance(value, dict):
        return {key: kept(each) for key, each in value.items() if key in WANTED}
    return [kept(each) for each in value[-1:]] if isinstance(value, list) else value


SCALARS = (
    st.booleans()
    | st.integers(0, 2**16 - 1).map(MmdbU16)
    | st.integers(0, 2**64 - 1).map(MmdbU64)
    | st.integers(0, 2**128 - 1).map(MmdbU128)
    | st.integers(-(2**31), 2**31 - 1).map(MmdbI32)
    | st.floats(allow_nan=False)
    | st.floats(width=32, allow_nan=False).map(MmdbF32)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    | st.binary(max_size=40)
)
VALUE = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=40) | st.dictionaries(st.sampled_from(["en", "names", "k", "de", "x" * 30]), inner)
    ),
    max_leaves=40,
)


@settings(deadline=None)
@given(st.lists(VALUE, min_size=1, max_size=5), st.booleans())
def test_a_value_is_what_maxminddb_decodes(values: list[Any], shared: bool) -> None:  # noqa: FBT001 - a case
    encoder = Encoder(cache=shared)
    if shared:
        places = [encoder.encode(value, return_offset=True) for value in values]
        content = b"".join(encoder.data_list)
    else:
        parts = [encoder.encode(value) for value in values]
        places, content = [sum(map(len, parts[:row])) for row in range(len(parts))], b"".join(parts)
    decoder = Decoder(content)
    with data(content) as section:
        assert [section.value(place) for place in places] == [kept(decoder.decode(place)[0]) for place in places]
