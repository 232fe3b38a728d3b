"""Tables on terminals of some widths, and in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from exporter.commands.listing import printable, show_table

HEADS = ("id", "time", "object", "row", "kind", "reason")
ID = "Zk3v9sW0aQ-_tB1x000000ff"
PLACE = "s3://logs/AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/11/03/123456789012_vpcflowlogs_eu-west-1_x.log.gz"
REASON = "document_parsing_exception: failed to parse field [source.port] of type [ip] in document with id 'x'"
ROWS = [
    (ID, "2026-11-03T12:00:00Z", PLACE, 255, "document", REASON),
    ("Zk3v9sW0aQ-_tB1x00000100", "2026-11-03T12:00:01Z", PLACE, 256, "line", "dstport: 'https' is not a number"),
]
AT_80 = f"""\
id      {ID}
time    2026-11-03T12:00:00Z
object  {PLACE}
row     255
kind    document
reason  document_parsing_exception: failed to parse field [source.port] of type
        [ip] in document with id 'x'

id      Zk3v9sW0aQ-_tB1x00000100
time    2026-11-03T12:00:01Z
object  {PLACE}
row     256
kind    line
reason  dstport: 'https' is not a number

"""
AT_120 = AT_80.replace("of type\n        [ip] in document with id", "of type [ip] in document with id")
SCRIPT = "from tests.commands import test_listing as t; t.show_table(t.HEADS, t.ROWS)"


def on_terminal(columns: int) -> str:
    """What a real terminal of so many columns gets."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment | {"TERM": "xterm"}) as process:  # noqa: S603 - our own text
        os.close(theirs)
        told = b""
        try:
            while some := os.read(ours, 65_536):
                told += some
        except OSError:  # the terminal's other end is closed
            pass
        assert process.wait(60) == 0
    os.close(ours)
    return told.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("columns", "expected"), [(80, AT_80), (120, AT_120)])
def test_a_terminal_too_narrow_for_the_rows_gets_a_block_for_each(columns: int, expected: str) -> None:
    """An id and an object are one piece each, to be copied: the terminal folds what is longer."""
    assert on_terminal(columns) == expected


def test_a_terminal_that_is_wide_enough_gets_a_table() -> None:
    first, *rows = re.sub(r"\x1b\[\d*m", "", on_terminal(400)).splitlines()  # the heads are bold
    assert first.split() == list(HEADS)
    assert [row.rstrip().split(maxsplit=5) for row in rows] == [[str(cell) for cell in row] for row in ROWS]


def test_a_pipe_gets_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(HEADS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert [line.index(text) for line, text in zip(lines[1:], (REASON, "dstport"), strict=True)] == [
        lines[0].index("reason")
    ] * 2


@pytest.mark.parametrize(
    ("width", "begins"), [(20, ["a          b", "xxxxxxxxx  yyyyyyyyy"]), (19, ["a  xxxxxxxxx", "b  yyyyyyyyy", ""])]
)
def test_the_width_that_decides(width: int, begins: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Two columns of 9 with two blanks between them are 20 wide."""
    show_table(("a", "b"), [("x" * 9, "y" * 9)], width)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == begins


def test_what_is_not_there_has_no_line_and_keys_keep_their_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("object", "reason"), [("a  b\n c" * 9, "")], 40)
    assert capsys.readouterr().out == "object  " + "a  b\\x0a c" * 9 + "\n\n"


def test_nothing_in_it_steers_the_terminal_or_hides(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("reason",), [("[bold]a[/] :smile: \x1b[2J\x9b\u202e\u200b\ud800",)])
    assert capsys.readouterr().out.splitlines()[1].rstrip() == r"[bold]a[/] :smile: \x1b[2J\x9b\u202e\u200b\ud800"


HIDDEN = "\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u2028"


@pytest.mark.parametrize("character", HIDDEN, ids=lambda each: f"U+{ord(each):04X}")
def test_what_turns_text_around_or_hides_in_it_is_shown(character: str) -> None:
    assert printable(f"a{character}b") == f"a\\u{ord(character):04x}b"


def test_what_is_only_foreign_passes() -> None:
    assert printable("größe 名前 مرحبا 🚀\t-") == "größe 名前 مرحبا 🚀\t-"
