"""What holds for any fields and any values: the way of writing does not count, and no line is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from exporter.fields import FIELDS, Kind, field_named

from .objects import Made, formats, made
from .records import HEADER, NODATA, SKIPDATA, SSH, V2, lines, values
from .writing import Row, by_python, event, parquet, plain

quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a failure would shrink for minutes
)

NO_VALUE = frozenset({"-", "null", "NULL"})
WORDS = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=8).filter(
    lambda text: text not in NO_VALUE
)

TEXTS: dict[Kind, st.SearchStrategy[str]] = {
    Kind.KEYWORD: WORDS,
    Kind.ACCOUNT: st.integers(0, 10**12 - 1).map(str) | st.sampled_from(("unknown", "000000000012")),
    Kind.TAG: st.text(min_size=1, max_size=8)
    .map(lambda text: quote(text, safe=""))
    .filter(lambda text: text not in NO_VALUE),
    Kind.ADDRESS: st.ip_addresses().map(str),
    Kind.COUNT: st.integers(0, 2**63 - 1).map(str),
    Kind.PORT: st.integers(0, 65_535).map(str),
    Kind.OCTET: st.integers(0, 255).map(str),
    Kind.CODE: st.integers(0, 65_535).map(str),
    Kind.TIME: st.integers(0, 253_402_300_799_000_000).map(str),
}
"""By kind: what may stand in a record."""

TYPES = {Kind.COUNT: pa.int64(), Kind.TIME: pa.int64()} | dict.fromkeys((Kind.PORT, Kind.OCTET, Kind.CODE), pa.int32())
UNKNOWN = ("weather", "Mood2", "x")


def kind_of(name: str) -> Kind:
    field = field_named(name)
    return field.kind if field else Kind.KEYWORD


@dataclass(frozen=True, slots=True)
class Table:
    """Records of one format; None where there is no value."""

    names: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]

    @property
    def records(self) -> list[str]:
        """As text, between blanks."""
        return [" ".join(value or "-" for value in row) for row in self.rows]

    @property
    def named(self) -> list[Row]:
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any known fields in any order, fewer unknown ones among them."""
    known = draw(st.lists(st.sampled_from([field.name for field in FIELDS]), min_size=1, max_size=12, unique=True))
    unknown = draw(st.lists(st.sampled_from(UNKNOWN), max_size=len(known) - 1, unique=True))
    names = draw(st.permutations([*known, *unknown]))
    row = st.tuples(*(st.none() | TEXTS[kind_of(name)] for name in names))
    rows = draw(st.lists(row.filter(lambda row: not is_header(row)), min_size=1, max_size=6))
    return Table(tuple(names), tuple(rows))


def is_header(row: Sequence[str | None]) -> bool:
    """Words that all could be names, most of them names of fields, are a header wherever they stand."""
    return 2 * sum(value is not None and field_named(value) is not None for value in row) > len(row)


def documents(made: Made) -> list[Any]:
    """In the order of the file, without the row that each was in."""
    assert made.error is None
    assert made.bad == []
    found = sorted(made.documents.values(), key=lambda document: document["log"]["offset"])
    return [{name: value for name, value in document.items() if name != "log"} for document in found]


@quick
@given(tables())
def test_the_way_of_writing_does_not_count(table: Table) -> None:
    records = table.records
    expected = documents(made(lines(" ".join(table.names), *records)))
    assert len(expected) == len(records)
    told = formats(("the configuration", " ".join(table.names)))
    kinds = {name: TYPES.get(kind_of(name), pa.string()) for name in table.names}
    ways = {
        "no header": made(lines(*records), formats=told),
        "log events": made(lines(*map(event, records)), formats=told),
        "log events without newlines": made("".join(map(event, records)).encode(), formats=told),
        "Parquet": made(parquet(table.named, kinds=kinds)),
        "Parquet, all strings": made(parquet(table.named, kinds=dict.fromkeys(table.names, pa.string()))),
    }
    if len(table.names) > 1:  # one column has no comma
        ways["commas"] = made(by_python(table.names, *table.rows))
    for way, result in ways.items():
        assert documents(result) == expected, way


@quick
@given(tables(), st.data())
def test_the_order_of_the_fields_does_not_count(table: Table, data: st.DataObject) -> None:
    names = data.draw(st.permutations(table.names))
    other = Table(tuple(names), tuple(tuple(row[name] for name in names) for row in table.named))
    before = made(lines(" ".join(table.names), *table.records))
    after = made(lines(" ".join(other.names), *other.records))
    assert documents(after) == documents(before)


SOUND = (SSH, NODATA, SKIPDATA, "", " ")
COMMAS = (*(plain(tuple(values(record).values())).decode()[:-1] for record in (SSH, NODATA, SKIPDATA)), "")
CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 9), st.binary(max_size=4)), max_size=5)


@pytest.mark.parametrize(("header", "sound"), [(HEADER, SOUND), (",".join(V2), COMMAS)], ids=["blanks", "commas"])
@quick
@given(data=st.data(), changes=CHANGES)
def test_documents_and_dead_letters_are_all_lines(
    header: str, sound: tuple[str, ...], data: st.DataObject, changes: list[tuple[int, int, bytes]]
) -> None:
    """Some bytes, line ends too, are replaced by others anywhere behind the header."""
    body = bytearray(lines(*data.draw(st.lists(st.sampled_from(sound), min_size=1, max_size=8))))
    for place, length, new in changes:
        start = place % (len(body) + 1)
        body[start : start + length] = new
    result = made(lines(header) + bytes(body))
    assert result.error is None
    stored = bytes(body).removesuffix(b"\n").split(b"\n") if body else []
    blank = sum(not line.strip() for line in stored)
    assert len(result.documents) + len(result.bad) == len(stored) - blank
    assert result.skipped == blank
    rows = [document["log"]["offset"] for document in result.documents.values()] + [bad.row for bad in result.bad]
    assert sorted(rows) == [row for row, line in enumerate(stored, 1) if line.strip()]
