"""What must hold of every reading, whatever the object is."""

from dataclasses import dataclass, field

import polars as pl

from exporter import fields
from exporter.errors import Damaged, ReadError
from exporter.fields import Kind
from exporter.flow import Batch, Piece
from fuzz.cases import MOST_BAD_LINES, SOURCE, Case, content_of

DTYPES: dict[Kind, pl.DataType] = {
    Kind.KEYWORD: pl.String(),
    Kind.ACCOUNT: pl.String(),
    Kind.TAG: pl.String(),
    Kind.ADDRESS: pl.Categorical(),
    Kind.COUNT: pl.Int64(),
    Kind.PORT: pl.UInt16(),
    Kind.OCTET: pl.UInt8(),
    Kind.CODE: pl.UInt16(),
    Kind.TIME: pl.Datetime("us"),
}
"""The columns of a batch, as flow.Batch promises them."""

TEXT = frozenset({"text", "csv", "stamped"})
"""Containers in which a physical line is a line of the object."""

PARQUET = b"PAR1"

BOM = b"\xef\xbb\xbf"

ESCAPED = r'["\\\x00-\x1f]'
"""What JSON does not take as it stands."""


class Broken(AssertionError):
    """A promise that a reader did not keep."""


@dataclass(slots=True)
class Reading:
    """What a reading came to."""

    records: int = 0
    bad: int = 0
    skipped: int = 0
    rows: list[int] = field(default_factory=list)
    containers: set[str] = field(default_factory=set)
    told_by: set[str] = field(default_factory=set)
    error: ReadError | None = None

    @property
    def lines(self) -> int:
        """Lines that are accounted for."""
        return self.records + self.bad + self.skipped


def check(case: Case) -> Reading:
    """Reads the object to its end; raises Broken, and passes on any error but a ReadError: these are looked for."""
    reading = Reading()
    try:
        for piece in case.reader.read(case.stream, SOURCE):
            _add(piece, reading)
            check_piece(piece, original=case.original)
    except ReadError as error:
        reading.error = error
        _hold(str(error), "an error without a word")
    check_rows(reading)
    content = content_of(case.data)
    check_damage(reading, content)
    check_count(reading, case.rows, content)
    return reading


def _add(piece: Piece, reading: Reading) -> None:
    reading.records += piece.batch.frame.height
    reading.bad += len(piece.bad)
    reading.skipped += piece.skipped
    reading.rows += [*piece.batch.frame["row"].to_list(), *(bad.row for bad in piece.bad)]
    reading.containers.add(piece.form.container)
    reading.told_by.add(piece.form.told_by)


def check_piece(piece: Piece, *, original: bool) -> None:
    """The frame has the form's columns in their types, and the form's names lead back to its columns."""
    frame, form = piece.batch.frame, piece.form
    own = {"row"} | ({"original"} & set(frame.columns) if original else set())
    _hold(set(frame.columns) - own == set(form.columns), f"columns {frame.columns}, form {form.columns}")
    _hold(fields.columns_of(form.names) == form.columns, f"names {form.names} are not {form.columns}")
    for name, dtype in frame.schema.items():
        expected = _dtype(name)
        same = isinstance(dtype, pl.Categorical) if expected == pl.Categorical else dtype == expected
        _hold(same, f"column {name} is {dtype}, not {expected}")
    _hold(not frame["row"].null_count(), "a record without a row")
    _check_addresses(piece.batch)
    _check_values(piece.batch)


def _dtype(name: str) -> pl.DataType:
    if name == "row":
        return pl.UInt32()
    known = fields.BY_COLUMN.get(name)
    return DTYPES[known.kind] if known else pl.String()


def _check_addresses(batch: Batch) -> None:
    """Each code of an address column is a position in `addresses`, which have one shape."""
    addresses, count = batch.addresses, batch.addresses.text.len()
    _hold(addresses.words.shape == (count, 4), addresses.words.shape)
    _hold(addresses.family.shape == (count,), addresses.family.shape)
    _hold(set(addresses.family.tolist()) <= {4, 6}, addresses.family)
    for column in batch.frame.select(pl.col(pl.Categorical)):
        codes = column.to_physical().to_list()
        text = [None if code is None else addresses.text[code] for code in codes]
        _hold(text == column.cast(pl.String).to_list(), f"{column.name}: codes are no positions")


def _check_values(batch: Batch) -> None:
    """`-` is null; no count is negative; times are before the year 10000; `plain` text needs no escapes."""
    faults = dict[str, pl.Expr]()
    for name, dtype in batch.frame.schema.items():
        column, known = pl.col(name), fields.BY_COLUMN.get(name)
        kind = known.kind if known else Kind.KEYWORD
        if kind is Kind.COUNT:
            faults[f"{name}: negative"] = (column < 0).any()
        if kind is Kind.TIME:
            faults[f"{name}: no time"] = (~column.dt.year().is_between(1970, 9999)).any()
        if dtype == pl.String and name != "original":
            faults[f"{name}: a hyphen"] = (column == "-").any() & (kind is not Kind.TAG)
            faults[f"{name}: not as plain as it says"] = column.str.contains(ESCAPED).any() & batch.plain
    found = batch.frame.select(**faults).row(0, named=True) if faults else {}
    _hold(not any(found.values()), ", ".join(fault for fault, is_so in found.items() if is_so))


def check_rows(reading: Reading) -> None:
    """A row is a document's id: none comes twice."""
    twice = len(reading.rows) - len(set(reading.rows))
    _hold(not twice, f"{twice} rows come twice")


def check_damage(reading: Reading, content: bytes | None) -> None:
    """Only gzip can be damaged, and Parquet; `content` is what the gzip holds, None where that is broken."""
    if content is not None and not content.startswith(PARQUET):
        _hold(not isinstance(reading.error, Damaged), f"nothing is damaged, and yet: {reading.error}")


def check_count(reading: Reading, rows: int | None, content: bytes | None) -> None:
    """No line is lost and none invented, where they can be counted by themselves; `rows` are those of made Parquet."""
    whole = reading.error is None
    _hold(reading.bad <= MOST_BAD_LINES or not whole, f"{reading.bad} bad lines were borne")
    lines = _lines(reading, content) if rows is None else rows
    if lines is None:
        return
    right = reading.lines == lines if whole else reading.lines <= lines
    _hold(right, f"{reading.lines} of {lines} lines are accounted for")


def _lines(reading: Reading, content: bytes | None) -> int | None:
    """The object's lines but for a header that was taken off; None where a line may hold any number of records."""
    if content is None or not reading.containers <= TEXT:
        return None
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    first = content.removeprefix(BOM).partition(b"\n")[0].strip()
    if not reading.containers:  # nothing but a header; of JSON or Parquet it may be more
        return None if first.startswith((b"{", PARQUET)) else max(0, lines - 1)
    return lines - int(reading.told_by == {"its header"} and bool(first))


def _hold(kept: object, otherwise: object) -> None:
    if not kept:
        raise Broken(otherwise)
