"""Tables for people: one row a line wherever nobody's terminal is in the way, and nothing in them that steers one."""

import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from exporter.logs import CONTROL

_WIDTH = 100_000
"""Columns where nobody's terminal tells: a row stays one line, for grep."""

_GAP = 2
"""Blanks between two columns."""

_PROSE = "reason"
"""The column whose text may be broken at its blanks; any other is copied from the screen, and stays in one piece."""

_NARROWEST = 20
"""Prose is not broken into shorter lines than this, however narrow the terminal."""


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> None:
    """Prints a table on standard output; on a terminal that is too narrow for it, a block of lines for each row.

    `width` in columns: that of the terminal, if there is one.
    """
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    console = Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
    if width is None:
        width = console.width if sys.stdout.isatty() else _WIDTH
    widest = [max(map(cell_len, column)) for column in zip(heads, *texts, strict=True)]
    if sum(widest) + _GAP * (len(widest) - 1) <= width:
        console.width = width
        console.print(_table(heads, texts))
    else:
        for row in texts:
            typer.echo("\n".join(_block(heads, row, width)) + "\n")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*row)
    return table


def _block(heads: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """A line for each value that there is, behind its name; what is longer than the terminal, that folds by itself."""
    margin = max(map(len, heads)) + _GAP
    for head, text in zip(heads, row, strict=True):
        wide = max(width - margin, _NARROWEST)
        lines = textwrap.wrap(text, wide, break_long_words=False, break_on_hyphens=False) if head == _PROSE else [text]
        for number, line in enumerate(lines if text else ()):
            yield f"{'' if number else head:<{margin}}{line}"


def say(line: str) -> None:
    """Prints a line of text on standard output."""
    typer.echo(printable(line))


def printable(text: str) -> str:
    """Text without what CONTROL names and half characters, both escaped: keys and lines of files come from others."""
    return text.translate(CONTROL).encode("utf-8", "backslashreplace").decode()


def counted(number: int, what: str) -> str:
    """`1 letter`, `2,000 letters`."""
    return f"{number:,} {what}{'s' * (number != 1)}"
