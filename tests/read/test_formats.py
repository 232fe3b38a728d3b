"""What the first lines tell: a header, a format from elsewhere that fits, the version 2 default, or a reason."""

from collections.abc import Iterator

import pytest

from exporter.errors import SourceError, Unrecognised
from exporter.fields import DEFAULT_FORMAT, columns_of
from exporter.read.dialects import BLANKS, COMMAS, STAMPED
from exporter.read.formats import DEFAULT, HEADER, NOTHING, Recognised, recognised
from exporter.read.reader import Reader

from .objects import read
from .records import ACCEPTED, NODATA, SKIPDATA, V2

DEFAULTS = columns_of(DEFAULT_FORMAT)
STAMP = b"2026-11-03T12:00:00.000Z "
ATHENA = b'"version","account_id","interface_id","srcaddr","dstport"\n'
ATHENA_COLUMNS = ("version", "account_id", "interface_id", "srcaddr", "dstport")
FIVE = "version account-id interface-id srcaddr dstport".split()  # noqa: SIM905 - as a format stands
ONE = b"2 123456789010 eni-1 10.0.0.1 443\n"


def commas(line: bytes) -> bytes:
    return line.replace(b" ", b",")


TOLD = {
    "a header": (V2 + ACCEPTED, Recognised(BLANKS, DEFAULTS, HEADER, len(V2))),
    "a header alone": (V2, Recognised(BLANKS, DEFAULTS, HEADER, len(V2))),
    "a header after blank lines": (b"\n  \n" + V2, Recognised(BLANKS, DEFAULTS, HEADER)),
    "a header after blanks": (b"  " + V2, Recognised(BLANKS, DEFAULTS, HEADER, len(V2) + 2)),
    "a header with commas": (commas(V2) + ACCEPTED, Recognised(COMMAS, DEFAULTS, HEADER, len(V2))),
    "Athena's header": (ATHENA, Recognised(COMMAS, ATHENA_COLUMNS, HEADER, len(ATHENA))),
    "a header with a time": (STAMP + V2, Recognised(STAMPED, DEFAULTS, HEADER, len(STAMP + V2))),
    "one name": (b"dstport\n", Recognised(BLANKS, ("dstport",), HEADER, 8)),
    "the default": (ACCEPTED, Recognised(BLANKS, DEFAULTS, DEFAULT)),
    "the default, no traffic": (NODATA, Recognised(BLANKS, DEFAULTS, DEFAULT)),
    "the default, skipped": (SKIPDATA, Recognised(BLANKS, DEFAULTS, DEFAULT)),
    "the default with commas": (commas(ACCEPTED), Recognised(COMMAS, DEFAULTS, DEFAULT)),
    "the default with a time": (STAMP + ACCEPTED, Recognised(STAMPED, DEFAULTS, DEFAULT)),
    "the default behind what is JSON": (b'{"a": 1}\n' + ACCEPTED, Recognised(BLANKS, DEFAULTS, DEFAULT)),
    "nothing": (b"\n \n", Recognised(BLANKS, DEFAULTS, NOTHING)),
}


@pytest.mark.parametrize("name", TOLD)
def test_told_by_the_lines_alone(name: str) -> None:
    text, expected = TOLD[name]
    assert recognised(text, list) == expected


HINT = "; `format` in the configuration, or --format, can name its fields"
NOT_TOLD = {
    ACCEPTED.replace(b"2 ", b"3 ", 1): "version: '3' is none of that format",
    ACCEPTED.replace(b" OK", b" ok"): "log_status: 'ok' is none of that format",
    b" ".join([b"-"] * 14) + b"\n": "version: '-' is none of that format",
    b"a b c\n": "3 fields where the format has 14",
    b"a,b,c\n": "3 fields where the format has 14",
    ACCEPTED.replace(b" 22 ", b" ssh "): "dstport: 'ssh' is not a number",
}


@pytest.mark.parametrize("text", NOT_TOLD)
def test_never_by_the_number_of_fields_alone(text: bytes) -> None:
    with pytest.raises(Unrecognised) as caught:
        recognised(text, list)
    assert str(caught.value) == (
        "the first line is no header, nor a record of the version 2 default format "
        f"({NOT_TOLD[text]}): {text[:80]!r}{HINT}"
    )


def given(*formats: tuple[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(told_by, tuple(names.split())) for told_by, names in formats]


MINE, THEIRS = ("mine", "srcaddr dstaddr bytes"), ("theirs", " ".join(FIVE))
SWAPPED = ("mine", V2.decode().replace("srcport dstport", "dstport srcport"))
GIVEN = {
    "the first that fits": (ONE, [THEIRS, MINE], (BLANKS, "theirs")),
    "not one that does not fit": (ONE, [MINE, THEIRS], (BLANKS, "theirs")),
    "with commas": (commas(ONE), [MINE, THEIRS], (COMMAS, "theirs")),
    "with a time": (STAMP + ONE, [MINE, THEIRS], (STAMPED, "theirs")),
    "a first line that is broken": (b"x\n" * 19 + ONE, [THEIRS], (BLANKS, "theirs")),
    "the default, where none fits": (ACCEPTED, [MINE, THEIRS], (BLANKS, DEFAULT)),
    "given before the default": (ACCEPTED, [SWAPPED], (BLANKS, "mine")),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_a_format_from_elsewhere(name: str) -> None:
    text, formats, expected = GIVEN[name]
    found = recognised(text, lambda: given(*formats))
    assert (found.dialect, found.told_by) == expected
    assert found.header_bytes == 0


def test_no_format_fits() -> None:
    with pytest.raises(Unrecognised) as caught:
        recognised(b"x\n" * 20 + ONE, lambda: given(MINE, THEIRS))
    assert str(caught.value) == (
        "the first line is no header, nor a record of the format by mine (1 field where the format has 3), "
        "nor a record of the format by theirs (1 field where the format has 5), "
        f"nor a record of the version 2 default format (1 field where the format has 14): b'x\\n'{HINT}"
    )


def test_why_there_is_no_format_is_told() -> None:
    with pytest.raises(Unrecognised) as caught:
        recognised(b"x\n", lambda: [("EC2 may not be asked", ()), *given(MINE)])
    assert str(caught.value) == (
        "the first line is no header, EC2 may not be asked, nor a record of the format by mine "
        "(1 field where the format has 3), nor a record of the version 2 default format "
        f"(1 field where the format has 14): b'x\\n'{HINT}"
    )


def test_formats_are_asked_only_where_they_are_needed() -> None:
    asked: list[str] = []

    def formats() -> Iterator[tuple[str, tuple[str, ...]]]:
        asked.append("mine")
        yield from given(MINE)
        asked.append("theirs")
        yield from given(THEIRS)
        raise SourceError("EC2 cannot be asked")

    for text in (V2 + ACCEPTED, b"\n", b"{}\n" + V2):
        recognised(text, formats)
    assert asked == []
    recognised(b"10.0.0.1 10.0.0.2 5\n", formats)
    assert asked == ["mine"]
    recognised(ONE, formats)
    assert asked == ["mine", "mine", "theirs"]
    with pytest.raises(SourceError):
        recognised(ACCEPTED, formats)


def test_the_form_is_told() -> None:
    for text, container, told_by in (
        (V2 + ACCEPTED, "text", "its header"),
        (commas(V2 + ACCEPTED), "csv", "its header"),
        (STAMP + ACCEPTED, "stamped", "the version 2 default"),
        (b'{"message": "%s"}' % ACCEPTED[:-1], "json", "the version 2 default"),
    ):
        (form,) = read(text).forms
        assert (form.container, form.columns, form.told_by, form.names) == (container, DEFAULTS, told_by, DEFAULTS)


def test_names_make_the_same_columns_again() -> None:
    (form,) = read(b"srcport new-one srcPort dstport\n1 2 3 4\n").forms
    assert form.columns == ("srcport", "extra.new-one", "extra.srcport.2", "dstport")
    assert form.names == ("srcport", "new-one", "srcport.2", "dstport")
    assert columns_of(form.names) == form.columns


@pytest.mark.parametrize("piece_bytes", [1, 2**22])
def test_what_comes_after_a_whole_piece_of_nothing_tells(piece_bytes: int) -> None:
    reader = Reader(piece_bytes=piece_bytes)
    reading = read(b"\n" * 3 + b"dstport\n443\n", reader, most=3)
    assert (reading.records, reading.skipped) == ([{"dstport": 443, "row": 4}], 4)
    reading = read(b"\n" * 3 + b"443 A\n", reader, most=3, names=("dstport", "action"))
    assert (reading.records, reading.skipped) == ([{"dstport": 443, "action": "A", "row": 3}], 3)


def test_a_header_of_more_names_than_there_are_fields_is_none() -> None:
    assert read(b"dstport " * 1000 + b"\n").error is None
    assert isinstance(read(b"dstport " * 1001 + b"\n").error, Unrecognised)


def test_a_header_alone_tells() -> None:
    (form,) = read(V2).forms
    assert (form.columns, form.told_by) == (DEFAULTS, HEADER)
