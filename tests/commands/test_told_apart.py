"""How letters are read again, against how the reader wrote them."""

import io
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.commands.told_apart import Reading, hindrance, reading_of
from exporter.metrics import Metrics
from exporter.read.dialects import MISSING_TEXTS
from exporter.read.reader import Reader
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.kept_letters import KeptLetter, read
from tests.sink.bodies import SOURCE

VALUES = st.text(st.sampled_from("ab ,\"'\t\u00a0-\r\n"), max_size=6) | st.text(max_size=4)
COLUMNS = ("interface-id", "instance-tag", "interface-tag", "srcport")


def letter_of_row(values: Sequence[str]) -> KeptLetter:
    """The letter of a Parquet row of three texts and no port."""
    frame = pl.DataFrame([[*values, "https"]], schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    stored = io.BytesIO()
    frame.write_parquet(stored)
    (piece,) = Reader().read(io.BytesIO(stored.getvalue()), SOURCE)
    with TemporaryDirectory() as folder:
        letters = DeadLetterFile(Path(folder), Metrics())
        letters.keep(piece.dead_letters())
        (letter,) = read(letters.path)
    return letter


@settings(max_examples=300, deadline=None)
@given(values=st.tuples(VALUES, VALUES, VALUES))
@example(values=("a", "b,c", "d,e"))
@example(values=("a b", "c d", "e"))
@example(values=("a ", "b", "c"))
@example(values=('a" b', '"c, d"', "e"))
@example(values=(" ", "", "\u00a0"))
def test_a_row_is_read_as_it_was_written_or_not_at_all(values: tuple[str, str, str]) -> None:
    letter = letter_of_row(values)
    written = ["-" if value in MISSING_TEXTS else value for value in values]
    reading = reading_of(letter, ())
    if isinstance(reading, Reading):
        assert hindrance(letter) or reading.dialect.split(letter.text.encode()) == [
            value.encode() for value in [*written, "https"]
        ]
        assert reading.columns == ("interface_id", "instance_tag", "interface_tag", "srcport")
    else:
        assert any(character in value for value in values for character in ' ,"') or any(
            not value.isprintable() for value in values
        )


def test_a_plain_row_is_always_read() -> None:
    assert isinstance(reading_of(letter_of_row(("eni-0b", "web", "")), ()), Reading)
