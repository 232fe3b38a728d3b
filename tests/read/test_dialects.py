"""Ways of writing a line: the fast way for whole pieces and the careful one for single lines mean the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.read.dialects import BLANKS, COMMAS, MISSING, MOST_FIELDS, STAMPED, Dialect, fields_of

LINES: dict[str, tuple[Dialect, bytes, list[bytes]]] = {
    "blanks": (BLANKS, b"2 eni-1 - OK", [b"2", b"eni-1", b"-", b"OK"]),
    "null": (BLANKS, b"null 1 NULL nullable null-1", [b"-", b"1", b"-", b"nullable", b"null-1"]),
    "commas": (COMMAS, b"2,eni-1,-,OK", [b"2", b"eni-1", b"-", b"OK"]),
    "nothing between commas": (COMMAS, b",,2,,,OK,", [b"-", b"-", b"2", b"-", b"-", b"OK", b"-"]),
    "blanks behind commas": (COMMAS, b"2, eni-1, OK", [b"2", b"eni-1", b"OK"]),
    "null between commas": (COMMAS, b"null,1,NULL", [b"-", b"1", b"-"]),
    "quotes": (COMMAS, b'"2","eni-1","OK"', [b"2", b"eni-1", b"OK"]),
    "quotes and nothing": (COMMAS, b'"2",,"",,"OK"', [b"2", b"-", b"-", b"-", b"OK"]),
    "nothing first and last": (COMMAS, b',"2",', [b"-", b"2", b"-"]),
    "a comma within quotes": (COMMAS, b'"a,b","c"', [b"a,b", b"c"]),
    "a quote within quotes": (COMMAS, b'"a""b","c"', [b'a"b', b"c"]),
    "some quotes": (COMMAS, b'2,"eni-1",OK', [b"2", b"eni-1", b"OK"]),
    "a blank within": (COMMAS, b'"a b",c d', [b"a b", b"c d"]),
    "any bytes": (COMMAS, b"\xff,\x85,\xc3\xbc", [b"\xff", b"\x85", b"\xc3\xbc"]),
    "a quote of another line": (COMMAS, b'b",1', [b'b",1']),
    "a long field": (COMMAS, b'"' + b"a" * 200_000 + b'","b c"', [b"a" * 200_000, b"b c"]),
    "a quote that does not end": (COMMAS, b'2,"eni-1,OK', [b'2,"eni-1,OK']),
    "stamped": (STAMPED, b"2026-11-03T12:00:00.000Z 2 eni-1 OK", [b"2", b"eni-1", b"OK"]),
    "stamped without milliseconds": (STAMPED, b"2026-11-03T12:00:00Z 2 null", [b"2", b"-"]),
    "not stamped": (STAMPED, b"2 eni-1 longer-than-a-time-is OK", [b"2", b"eni-1", b"longer-than-a-time-is", b"OK"]),
    "letters where a time has digits": (STAMPED, b"ABCD-11-03T12:00:00.000Z 2", [b"ABCD-11-03T12:00:00.000Z", b"2"]),
    "stamped and nothing": (STAMPED, b"2026-11-03T12:00:00.000Z ", []),
    "words with null in them": (COMMAS, b"nullnull,nnull,NULLl,nUll", [b"nullnull", b"nnull", b"NULLl", b"nUll"]),
    "null again and again": (COMMAS, b"null,null,NULL,null", [b"-"] * 4),
}  # fmt: skip


def fast(dialect: Dialect, text: bytes) -> list[list[bytes]] | None:
    """The fields of every line by the fast way, where it is sure."""
    normal = dialect.normal(text)
    if normal is None:
        return None
    lines = [line.split(dialect.separator) if line else [] for line in normal[:-1].split(b"\n")]
    return [[b"-" if field in MISSING else field for field in line] for line in lines]


@pytest.mark.parametrize("name", LINES)
def test_fields(name: str) -> None:
    dialect, line, expected = LINES[name]
    assert fields_of(line, dialect) == expected
    assert fields_of(line + b"\r", dialect) == expected


@pytest.mark.parametrize("name", LINES)
def test_the_fast_way_means_the_same_or_is_not_sure(name: str) -> None:
    dialect, line, expected = LINES[name]
    for times in (1, 3):
        assert fast(dialect, (line + b"\n") * times) in ([expected] * times, None)
        assert fast(dialect, (line + b"\r\n") * times) in ([expected] * times, None)


SURE = ["blanks", "null", "commas", "nothing between commas", "blanks behind commas", "null between commas", "quotes"]
SURE += ["quotes and nothing", "null again and again", "stamped"]


@pytest.mark.parametrize("name", SURE)
def test_what_aws_writes_goes_the_fast_way(name: str) -> None:
    dialect, line, expected = LINES[name]
    for end in (b"\n", b"\r\n"):
        assert fast(dialect, (line + end) * 2) == [expected] * 2


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text('ab", -\x1f\x85', max_size=6).map(str.encode), min_size=1, max_size=4))
def test_any_commas_and_quotes(lines: list[bytes]) -> None:
    """What the fast way is sure of is what the careful one finds."""
    parts = fast(COMMAS, b"".join(line + b"\n" for line in lines))
    assert parts in ([fields_of(line, COMMAS) if line != b'""' else [] for line in lines], None)


def test_lines_without_end_of_fields_are_cut() -> None:
    assert len(COMMAS.split(b"," * 100_000)) == MOST_FIELDS + 1
    assert len(BLANKS.split(b"a " * 100_000)) == MOST_FIELDS + 1


def test_lines_of_different_lengths_with_times() -> None:
    stamp = b"2026-11-03T12:00:00.000Z "
    assert STAMPED.normal(stamp + b"a\n" + stamp + b"longer than that\n") == b"a\nlonger than that\n"
    assert STAMPED.normal(stamp + b"a\nb\n") is None
    assert STAMPED.normal(stamp + b"a\n" + b"x" * 40 + b"\n") is None
    assert STAMPED.normal(b"short\n") is None
