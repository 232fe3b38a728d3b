"""Tables for people: one row a line wherever nobody's terminal is in the way, and nothing in them that steers one."""

import sys
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.table import Table

from exporter.logs import CONTROL

_WIDTH = 100_000
"""Columns where nobody's terminal tells: a row stays one line, for grep."""


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Prints a table on standard output."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    width = None if sys.stdout.isatty() else _WIDTH
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def say(line: str) -> None:
    """Prints a line of text on standard output."""
    typer.echo(printable(line))


def printable(text: str) -> str:
    """Text without control characters and half characters, both escaped: keys and lines of files come from others."""
    return text.translate(CONTROL).encode("utf-8", "backslashreplace").decode()


def counted(number: int, what: str) -> str:
    """`1 letter`, `2,000 letters`."""
    return f"{number:,} {what}{'s' * (number != 1)}"
