"""Indicators one after the other into the columns of an index, with little more memory than these need."""

import json
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from exporter.addresses import Flags, Integers
from exporter.errors import FeedError
from exporter.lists.indicator_index import (
    MOST_OF_ONE,
    WIDEST_IPV4,
    WIDEST_IPV6,
    Columns,
    Details,
    Indicator,
    Indicators,
    Ranges,
    lasts,
    masked,
    refused,
)
from exporter.lists.indicator_values import clipped, text_of

MOST = 5_000_000
"""Addresses and networks of a list; a larger one is refused, for it would take more than half a gigabyte."""

_SLICE = 20_000
"""Indicators that stand in memory as Python's own at a time."""

_EXAMPLES = 5
_LONGEST_EXAMPLE = 80

_TOO_WIDE = f"is wider than any network that somebody has (at most /{WIDEST_IPV4}, IPv6 /{WIDEST_IPV6})"
_TOO_SPECIAL = "is private, multicast or of another kind that is nobody's on the internet"

_TYPES: dict[str, Any] = {
    "key": "S16",
    "bits": np.uint8,
    "since": np.uint32,
    "until": np.uint32,
    "confidence": np.int8,
    "newest": np.uint32,
    "identity": np.int64,
    "version": np.int64,
}
_VERSIONS = ("identity", "version")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Collector:
    """Takes indicators, and what is none, of one list; `made` is the index of them.

    `place` is a word for where things stand in it, such as line; `versions` says whether they have identities.
    """

    def __init__(self, place: str, *, versions: bool) -> None:
        self.skipped = 0
        self.examples: list[str] = []
        """Of what was skipped: where it stands, what and why."""
        self._place = place
        self._taken = 0
        self._rows: list[tuple[Any, ...]] = []
        self._places: list[int] = []
        self._bytes = {name: bytearray() for name in _TYPES}
        self._details = Details()
        self._versions = versions

    def skip(self, place: int, text: str, why: str) -> None:
        """Counts one that cannot be used."""
        self.skipped += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{self._place} {place:,}: {clipped(text, _LONGEST_EXAMPLE)!r} {why}")

    def add(self, indicator: Indicator) -> None:
        """Takes one; what its networks are is looked at later, many at a time."""
        self._taken += max(len(indicator.networks), 1)
        if self._taken > MOST:
            raise FeedError(f"has more than {MOST:,} addresses and networks, which is the most that is taken")
        detail = _encode(indicator.detail) if indicator.detail else ""
        times = indicator.since, indicator.until, indicator.confidence, indicator.newest
        version = indicator.identity, indicator.version
        for key, bits in indicator.networks or [(b"", 128)]:
            self._rows.append((key, bits, *times, *version))
        many = max(len(indicator.networks), 1)
        self._places.extend([indicator.place] * many)
        self._details.add([detail] * many)
        if len(self._rows) >= _SLICE:
            self._flush()

    def made(self, refs: dict[str, str], provider: str | None) -> Indicators:
        """The index of all that was taken; this may be asked once, at the end."""
        self._flush()
        columns = {name: self._whole(name) for name in _TYPES if self._versions or name not in _VERSIONS}
        columns["row"] = np.arange(len(columns["key"]), dtype=np.uint32)
        if self._versions:
            _take(columns, _newest(columns.pop("identity"), columns.pop("version")))
        _take(columns, columns["until"] > columns["since"])
        _take(columns, _order(columns))
        _take(columns, ~_surplus(columns))
        made = Columns(**{each.name: columns[each.name] for each in fields(Columns)})
        edges = [*np.flatnonzero(np.diff(made.bits, prepend=-1)).tolist(), len(made.bits)]
        parts = [slice(*pair) for pair in pairwise(edges)]
        tables = tuple((int(made.bits[part.start]), part) for part in parts)
        return Indicators(made, tables, _around(made), self._details, refs, provider)

    def _whole(self, name: str) -> npt.NDArray[Any]:
        """A column, where it grew: a copy would stand beside it."""
        return np.frombuffer(self._bytes.pop(name), dtype=_TYPES[name])

    def _flush(self) -> None:
        """Puts what was taken into the columns; what can be no indicator is counted, and left with no time to hold."""
        if not self._rows:
            return
        part = {
            name: np.array(values, dtype=_TYPES[name])
            for name, values in zip(_TYPES, zip(*self._rows, strict=True), strict=True)
        }
        part["key"] = masked(part["key"], part["bits"])
        wide, special = refused(part["key"], part["bits"])
        holds = part["until"] > part["since"]
        for flags, why in ((wide & holds, _TOO_WIDE), (special & ~wide & holds, _TOO_SPECIAL)):
            for row in np.flatnonzero(flags).tolist():
                self.skip(self._places[row], text_of(part["key"][row].ljust(16, b"\0"), int(part["bits"][row])), why)
        part["until"][wide | special] = 0
        for name, values in part.items():
            if self._versions or name not in _VERSIONS:
                self._bytes[name] += values.tobytes()
        self._rows.clear()
        self._places.clear()


def _take(columns: dict[str, npt.NDArray[Any]], rows: Flags | Integers) -> None:
    """Only these rows, in this order; column by column, so that two of them at most stand there twice."""
    if rows.dtype != bool or not rows.all():
        for name in columns:
            columns[name] = columns[name][rows]


def _newest(identity: Integers, version: Integers) -> Flags:
    """Which rows are of their identity's last version; all of those without one."""
    order = np.lexsort((version, identity))
    ordered = identity[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], values=True)) if len(order) else order
    newest = np.repeat(version[order[last]], np.diff(last, prepend=-1))
    kept = np.empty(len(order), dtype=bool)
    kept[order] = (version[order] == newest) | (ordered == 0)
    return kept


def _order(columns: dict[str, npt.NDArray[Any]]) -> Integers:
    """By bits and key; of one network those first that hold longest, then the surest, the newest, the first told."""
    keys = columns["key"].view(">u8").reshape(-1, 2).astype(np.uint64)
    down = (~columns["newest"], -columns["confidence"], ~columns["until"])
    return np.lexsort((*down, keys[:, 1], keys[:, 0], columns["bits"]))


def _surplus(columns: dict[str, npt.NDArray[Any]]) -> Flags:
    """Which rows, in order, are more than one network may have."""
    key, bits = columns["key"], columns["bits"]
    same = np.zeros(len(key), dtype=bool)
    same[MOST_OF_ONE:] = (key[MOST_OF_ONE:] == key[:-MOST_OF_ONE]) & (bits[MOST_OF_ONE:] == bits[:-MOST_OF_ONE])
    return same


def _around(columns: Columns) -> Ranges:
    """Ranges that cover all networks: those that lie in no other one, for two networks overlap only so."""
    several = columns.bits < 128  # noqa: PLR2004 - a single address
    key, bits = columns.key[several], columns.bits[several]
    order = np.lexsort((bits, key))
    key, bits = key[order], bits[order]
    last = lasts(key, bits)
    reach = np.searchsorted(key, last, side="right")
    before = np.concatenate([[0], np.maximum.accumulate(reach)[:-1]]) if len(reach) else reach
    outermost = before <= np.arange(len(key))
    return Ranges(key[outermost], last[outermost])


def collected(found: Iterator[Indicator | tuple[int, str, str]], place: str, *, versions: bool) -> Collector:
    """Takes all of them; what is no indicator tells its place, its text and why."""
    collector = Collector(place, versions=versions)
    for each in found:
        if isinstance(each, Indicator):
            collector.add(each)
        else:
            collector.skip(*each)
    return collector
