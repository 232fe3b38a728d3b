"""Threat lists, read: plain, CSV or STIX 2.1, into an index of the addresses and networks that they mark."""

import re
from pathlib import Path
from typing import BinaryIO

from exporter.config import ThreatFeed
from exporter.errors import FeedError
from exporter.lists.feeds import Parsed
from exporter.lists.indicator_collector import Collector, collected
from exporter.lists.indicator_index import Indicators
from exporter.lists.indicator_lines import AROUND, commas, lines_of, plain
from exporter.lists.indicator_stix import stix
from exporter.lists.indicator_table import Table, delimiter_of, is_comment, table_of
from exporter.lists.indicator_values import networks_of

_SAMPLE = 64 * 1024
"""Bytes that tell how a list is written."""

_COMMENT = re.compile(r"\s(?:[#;]|//)")


def read_indicators(path: Path, settings: ThreatFeed) -> Parsed[Indicators]:
    """The index of a list; entries are its addresses and networks, and what it has of anything else is skipped.

    An indicator ends when the list says so; else, where `expire_after` is set, so long after the list last told of it
    (last seen, else modified, first seen, valid from); else never.  Skipped are also networks that are too wide and
    such as nobody has on the internet: see `indicator_index`.

    FeedError says what is wrong with a list that has nothing that can be used, or is not of its format.
    """
    refs: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            collector = _collected(file, settings, refs)
    except OSError as error:
        raise FeedError(f"cannot be read: {error.strerror}") from error
    value = collector.made(refs, settings.provider)
    if not len(value):
        such = (
            f"; {collector.skipped:,} entries were skipped, such as {collector.examples[0]}"
            if collector.skipped
            else ""
        )
        raise FeedError(f"has no address or network{such}")
    return Parsed(value, len(value), collector.skipped, tuple(collector.examples))


def _collected(file: BinaryIO, settings: ThreatFeed, refs: dict[str, str]) -> Collector:
    text, lines = _sample(file)
    kind, column = settings.format, settings.column
    is_json = re.match(r"\{|\[\s*[\[{\]]", text) is not None
    if kind == "stix" and not is_json:
        raise FeedError(f"expected STIX 2.1, which is JSON, and it begins with {text[:40]!r}")
    if kind == "stix" or (kind == "auto" and is_json):
        return collected(stix(file, settings.expire_after, refs), "object", versions=True)
    if is_json:
        raise FeedError(f"expected a list of lines ({kind}), and it is JSON")
    table = _table(lines) if kind == "auto" and column is None else None
    if kind == "csv" or column is not None:
        table = table_of(lines, column)
    if table is not None:
        return collected(commas(lines_of(file), table, settings.expire_after), "line", versions=False)
    return collected(plain(lines_of(file)), "line", versions=False)


def _table(lines: list[str]) -> Table | None:
    """How it is written, where it looks like CSV: most lines are no address by themselves, and all have a delimiter."""
    rows = [_COMMENT.split(line, maxsplit=1)[0] for line in lines if not is_comment(line)]
    if sum(1 for row in rows if networks_of(row.strip(AROUND))) * 2 > len(rows) or not delimiter_of(lines):
        return None
    return table_of(lines, None)


def _sample(file: BinaryIO) -> tuple[str, list[str]]:
    """How a list begins, as text and as its whole lines; FeedError where that is no list at all."""
    data = file.read(_SAMPLE)
    file.seek(0)
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", data):
        raise FeedError("is no text but something binary; expected a list of addresses")
    text = data.decode("utf-8-sig", "replace").strip()
    if not text:
        raise FeedError("is empty; expected a list of addresses")
    if text.startswith("<"):
        raise FeedError(f"is a web page or XML, not a list: it begins with {text[:40]!r}")
    whole = data.rpartition(b"\n")[0] if len(data) == _SAMPLE and b"\n" in data else data
    lines = [line.strip() for line in whole.decode("utf-8-sig", "replace").split("\n")]
    return text, [line for line in lines if line]
