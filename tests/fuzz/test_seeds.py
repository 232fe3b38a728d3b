"""The fuzzer starts from files that are read: else thirty seconds reach nothing but the first error."""

import pytest

from fuzz.cases import ODD_PARQUET, PACKINGS, case_of, content_of
from fuzz.promises import check
from fuzz.seeds import RECORDS, seeds, words

SEEDS = dict(seeds())

CONTAINERS = {
    "v2": "text",
    "v5": "text",
    "headerless": "text",
    "configured": "text",
    "windows": "text",
    "commas": "csv",
    "quoted": "csv",
    "stamped": "stamped",
    "messages": "json",
    "messages in a row": "json",
    "envelopes": "json",
    **{f"parquet {name}": "parquet" for name in ("uncompressed", "gzip", "snappy", "zstd", "with hyphens")},
    **{f"v5 packed in way {way}": "text" for way in range(5)},
    **{f"envelopes packed in way {way}": "json" for way in range(5)},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_seed_is_read_whole(name: str) -> None:
    reading = check(case_of(SEEDS[name]))
    assert (reading.records, reading.bad, reading.error) == (RECORDS, 0, None)
    assert reading.containers == {CONTAINERS[name]}


@pytest.mark.parametrize("name", SEEDS)
def test_no_seed_breaks_a_promise(name: str) -> None:
    check(case_of(SEEDS[name]))


def test_every_packing_has_a_seed() -> None:
    assert {data[0] for data in SEEDS.values()} == {*range(len(PACKINGS)), ODD_PARQUET}


@pytest.mark.parametrize("packing", range(5))
def test_what_is_packed_is_what_was_given(packing: int) -> None:
    content = b"srcaddr end\n10.0.0.1 1760000100\n"
    data = case_of(bytes((packing, 0)) + content).data
    assert content_of(data) == content
    assert data.startswith(b"\x1f\x8b") == (packing > 0)


@pytest.mark.parametrize("packing", [5, 6])
def test_what_is_broken_cannot_be_counted(packing: int) -> None:
    assert content_of(case_of(bytes((packing, 0)) + b"\x80\x01 srcaddr end\n10.0.0.1 1760000100\n").data) is None


@pytest.mark.parametrize("given", [b"", b"\0", b"\7", b"\xff\xff", b"\7\0\5\7\7\7\7"])
def test_every_input_means_something(given: bytes) -> None:
    check(case_of(given))


def test_words_are_few_enough_for_a_dictionary() -> None:
    assert 50 < len(set(words())) < 500
