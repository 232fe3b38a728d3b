"""Threat lists of lines: plain ones, with an address or a network a line, and CSV.

Whatever stands on a line beside addresses (host names, hashes, URLs with host names) is counted and passed over: flows
know addresses only.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, BinaryIO

from exporter.lists.indicator_index import Indicator
from exporter.lists.indicator_table import Table, is_comment
from exporter.lists.indicator_values import LATEST, clipped, confidence_of, end_of, has_end, networks_of, seconds_of

Found = Iterator[Indicator | tuple[int, str, str]]
"""Indicators, and of what is none the line, its text and why."""

LONGEST_LINE = 64 * 1024
"""Bytes of a line that are read."""

LONGEST_TEXT, LONGEST_NAME = 512, 128
"""Characters of a description or a URL, and of a name, that are kept."""

_TIMES = ("first_seen", "last_seen", "modified_at")
_TEXTS = {"provider": LONGEST_NAME, "description": LONGEST_TEXT, "reference": LONGEST_TEXT, "id": LONGEST_NAME}
"""What details have from columns as it stands there, and the most characters of it."""

NO_ADDRESS = "is no address"

_COMMENT = re.compile(r"[#;]|(?:^|\s)//")
AROUND = " \t,\"'"
"""What may stand around an address."""

_TLP = re.compile(r"(?:TLP:)?\s*(WHITE|CLEAR|GREEN|AMBER(?:\+STRICT)?|RED)", re.IGNORECASE)
"""Markings that ECS's threat.indicator.marking.tlp knows."""


def lines_of(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line with its number, from 1; of one that is too long its first part."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield number, line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()


def plain(lines: Iterator[tuple[int, str]]) -> Found:
    """An address, network or range a line; a comment behind it is its description."""
    for number, line in lines:
        if not line or is_comment(line):
            continue
        comment = _COMMENT.search(line)
        text = (line[: comment.start()] if comment else line).strip(AROUND)
        networks = networks_of(text) or networks_of(text.partition(" ")[0].partition("\t")[0].strip(AROUND))
        if networks:
            described = clipped(line[comment.end() :], LONGEST_TEXT) if comment else ""
            yield Indicator(networks, number, {"description": described} if described else {})
        else:
            yield number, text, NO_ADDRESS


def commas(lines: Iterator[tuple[int, str]], table: Table, expire_after: timedelta | None) -> Found:
    """Rows with an address, network or range in the table's column.

    Each line is read alone: a text in quotes that goes on in the next line loses its end, and that line is counted.
    """
    headers = 0 if table.header is None else 1
    for number, line in lines:
        if not line or is_comment(line, table.delimiter):
            continue
        if headers and line == table.header:
            headers = 0
            continue
        cells = table.cells(line)
        text = cells[table.column] if len(cells) > table.column else ""
        networks = networks_of(text)
        yield _row(networks, number, cells, table, expire_after) if networks else (number, text or line, NO_ADDRESS)


def _row(
    networks: list[tuple[bytes, int]], number: int, cells: Sequence[str], table: Table, expire_after: timedelta | None
) -> Indicator | tuple[int, str, str]:
    """What the other columns tell."""
    told = {role: text for role, places in table.roles.items() if (text := _first(cells, places))}
    since, until = seconds_of(told.get("valid_from")), end_of(told.get("valid_until"))
    if until is None and has_end(told.get("valid_until")):
        return number, cells[table.column], f"ends at {clipped(told['valid_until'], 40)!r}, which is no time"
    if since is not None and until is not None and until <= since:
        return number, cells[table.column], "ends before it begins"
    detail = _detail(told, cells, table)
    last = detail.get("last_seen") or detail.get("modified_at") or detail.get("first_seen") or since
    confidence = confidence_of(told.get("confidence"))
    return Indicator(
        networks,
        number,
        detail,
        since or 0,
        until_of(until, last, expire_after),
        -1 if confidence is None else confidence,
        last or 0,
    )


def _first(cells: Sequence[str], places: Sequence[int]) -> str:
    """The first value that is there."""
    for place in places:
        if place < len(cells) and cells[place]:
            return cells[place]
    return ""


def _detail(told: Mapping[str, str], cells: Sequence[str], table: Table) -> dict[str, Any]:
    """What documents show of it."""
    detail: dict[str, Any] = {role: seconds_of(told[role]) for role in _TIMES if role in told}
    detail |= {role: clipped(told[role], longest) for role, longest in _TEXTS.items() if role in told}
    if "description" not in detail and "kind" in told:
        detail["description"] = _kinds(cells, table)
    if match := _TLP.fullmatch(told.get("tlp", "").strip()):
        detail["tlp"] = match[1].upper()
    if not detail.get("reference", "").startswith(("https://", "http://")):
        detail.pop("reference", None)
    port = told.get("port", "")
    if port.isdecimal() and len(port) <= 5 and 0 < int(port) < 2**16:  # noqa: PLR2004 - a port's digits
        detail["port"] = int(port)
    return {name: value for name, value in detail.items() if value}


def _kinds(cells: Sequence[str], table: Table) -> str:
    """What stands in the columns of kinds, each text once."""
    texts = (clipped(cells[at], LONGEST_NAME) for at in table.roles.get("kind", ()) if at < len(cells))
    return clipped(", ".join(dict.fromkeys(text for text in texts if text)), LONGEST_TEXT)


def until_of(until: int | None, told: int | None, expire_after: timedelta | None) -> int:
    """When an indicator ends: when it says so, else this long after it was last told of; else never."""
    if until is not None:
        return until
    if told and expire_after:
        return min(told + int(expire_after.total_seconds()), LATEST)
    return LATEST
