"""Each promise can be broken: pieces that no reader may yield, and counts that do not add up."""

import gzip
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from exporter.errors import Damaged, ReadError
from exporter.flow import Addresses, Batch, Form, Piece
from fuzz.cases import SOURCE, Case, content_of
from fuzz.promises import Broken, Reading, check, check_count, check_damage, check_piece, check_rows

CATEGORY = pl.Categories.random()


def piece() -> Piece:
    """Two records with an address, a time, a count, a keyword and a field that is not known."""
    frame = pl.DataFrame(
        {
            "srcaddr": pl.Series(["10.0.0.1", None], dtype=pl.Categorical(CATEGORY)),
            "end": pl.Series([datetime(2026, 1, 5), None], dtype=pl.Datetime("us")),  # noqa: DTZ001 - as a batch has it
            "bytes": pl.Series([7, None], dtype=pl.Int64),
            "action": ["ACCEPT", None],
            "extra.flavour": ["sweet", "sour"],
            "row": pl.Series([1, 2], dtype=pl.UInt32),
        }
    )
    text = pl.Series(["10.0.0.1"], dtype=pl.String)
    addresses = Addresses(text, np.array([4], np.uint8), np.array([[0x0A000001, 0, 0, 0]], np.uint32))
    form = Form("text", ("srcaddr", "end", "bytes", "action", "extra.flavour"), "its header")
    return Piece(Batch(SOURCE, frame, addresses, plain=True), form)


def changed(**columns: pl.Series) -> Piece:
    good = piece()
    return replace(good, batch=replace(good.batch, frame=good.batch.frame.with_columns(**columns)))


def test_a_piece_as_it_should_be() -> None:
    check_piece(piece(), original=False)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (changed(bytes=pl.Series([7, 8], dtype=pl.Int32)), "column bytes is Int32, not Int64"),
        (changed(end=pl.Series([None, None], dtype=pl.Datetime("ms"))), "column end is Datetime"),
        (changed(srcaddr=pl.Series(["10.0.0.1", None])), "column srcaddr is String"),
        (changed(row=pl.Series([1, None], dtype=pl.UInt32)), "a record without a row"),
        (changed(bytes=pl.Series([7, -1])), "bytes: negative"),
        (changed(end=pl.Series([datetime(1969, 12, 31), None], dtype=pl.Datetime("us"))), "end: no time"),  # noqa: DTZ001
        (changed(action=pl.Series(["-", "ACCEPT"])), "action: a hyphen"),
        (changed(action=pl.Series(['AC"CEPT', None])), "action: not as plain as it says"),
        (changed(action=pl.Series(["AC\tCEPT", None])), "action: not as plain as it says"),
        (changed(flavour=pl.Series(["x", "y"])), "columns .*flavour"),
        (changed(original=pl.Series(["x", "y"])), "columns .*original"),
        (replace(piece(), form=Form("text", ("srcaddr", "end"), "its header")), "columns .*form"),
    ],
)
def test_a_piece_that_breaks_a_promise(broken: Piece, what: str) -> None:
    with pytest.raises(Broken, match=what):
        check_piece(broken, original=False)


def test_names_have_to_lead_back_to_the_columns() -> None:
    good = piece()
    frame = good.batch.frame.rename({"extra.flavour": "extra.bytes"})
    broken = replace(
        good,
        batch=replace(good.batch, frame=frame),
        form=Form("text", ("srcaddr", "end", "bytes", "action", "extra.bytes"), "its header"),
    )
    with pytest.raises(Broken, match="names"):
        check_piece(broken, original=False)


def test_codes_have_to_be_positions_of_addresses() -> None:
    good = piece()
    other = Addresses(pl.Series(["10.0.0.2"]), good.batch.addresses.family, good.batch.addresses.words)
    with pytest.raises(Broken, match="srcaddr: codes are no positions"):
        check_piece(replace(good, batch=replace(good.batch, addresses=other)), original=False)
    short = Addresses(good.batch.addresses.text, good.batch.addresses.family, np.empty((0, 4), np.uint32))
    with pytest.raises(Broken, match=r"\(0, 4\)"):
        check_piece(replace(good, batch=replace(good.batch, addresses=short)), original=False)


def test_no_row_comes_twice() -> None:
    check_rows(Reading(rows=[1, 2, 4]))
    with pytest.raises(Broken, match="1 rows come twice"):
        check_rows(Reading(rows=[1, 2, 1]))


def reading(records: int, told_by: str = "its header", **more: object) -> Reading:
    return Reading(records, containers={"text"}, told_by={told_by}, **more)  # type: ignore[arg-type]


LINES = b"end bytes\n1 2\n3 4\n\n"
BROKEN_OFF = Damaged("it breaks off", 7)


@pytest.mark.parametrize(
    ("made", "rows", "content"),
    [
        (reading(2, skipped=1), None, LINES),
        (reading(1, bad=1, skipped=1), None, LINES),
        (reading(4, "the version 2 default"), None, LINES),
        (reading(1, error=ReadError("too many")), None, LINES),
        (reading(9, error=BROKEN_OFF), None, None),
        (Reading(), None, b"end bytes\n"),
        (reading(1), None, b"end bytes\n1 2"),
        (Reading(2, 1, containers={"parquet"}), 3, b"PAR1"),
        (Reading(2, containers={"json"}), None, b'{"message": "1 2"}{"message": "3 4"}'),
    ],
)
def test_lines_that_add_up(made: Reading, rows: int | None, content: bytes | None) -> None:
    check_count(made, rows, content)
    check_damage(made, content)


@pytest.mark.parametrize(
    ("made", "rows", "content", "what"),
    [
        (reading(2), None, LINES, "2 of 3 lines"),
        (reading(3, skipped=1), None, LINES, "4 of 3 lines"),
        (reading(4, skipped=1, error=ReadError("too many")), None, LINES, "5 of 3 lines"),
        (Reading(), None, LINES, "0 of 3 lines"),
        (Reading(2, containers={"parquet"}), 3, b"PAR1", "2 of 3 lines"),
        (reading(0, bad=201), None, LINES, "201 bad lines were borne"),
    ],
)
def test_lines_that_do_not(made: Reading, rows: int | None, content: bytes, what: str) -> None:
    with pytest.raises(Broken, match=what):
        check_count(made, rows, content)


def test_what_is_whole_is_not_damaged() -> None:
    with pytest.raises(Broken, match="nothing is damaged, and yet: it breaks off at byte 7"):
        check_damage(reading(1, error=BROKEN_OFF), LINES)
    check_damage(Reading(error=BROKEN_OFF), b"PAR1 of which a byte is another one")


def test_a_real_reading_is_added_up() -> None:
    data = b"end bytes\n1760000100 2\n\n1760000100 x\n"
    made = check(Case(data, original=False, piece_bytes=1_000, most=100, configured=False, rows=None))
    assert (made.records, made.bad, made.skipped, made.rows, made.error) == (1, 1, 1, [1, 3], None)
    assert (made.containers, made.told_by) == ({"text"}, {"its header"})


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (b"a b\n", b"a b\n"),
        (gzip.compress(b"a b\n") + b"\0\0" + gzip.compress(b"c d\n"), b"a b\nc d\n"),
        (gzip.compress(gzip.compress(b"a b\n")), b"a b\n"),
        (gzip.compress(gzip.compress(gzip.compress(b"a b\n"))), None),
        (gzip.compress(b"a b\n")[:-1], None),
        (gzip.compress(bytes(9 * 1024 * 1024)), None),
    ],
)
def test_content_by_another_inflater(data: bytes, content: bytes | None) -> None:
    assert content_of(data) == content
