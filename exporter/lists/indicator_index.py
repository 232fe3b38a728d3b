"""A million indicators in little memory, and which of them an address has.

Of each indicator there are a key, how many bits of it count, from when to when it holds, how sure it is and how new,
in columns; and what else is told of it as JSON text, in small compressed blocks that are undone for matches only.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from exporter.addresses import Flags, Integers, Keys
from exporter.lists.indicator_values import LATEST, Network, networks_of

MOST_OF_ONE = 20
"""Indicators of one address or network that one list may have; of more, those that hold longest are kept."""

WIDEST_IPV4, WIDEST_IPV6 = 8, 19
"""Lengths of the widest networks that are taken: nobody was ever given a wider one, and it would mark all traffic."""

_SPECIAL = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
"""Private, shared, loopback, link-local, multicast, unspecified and reserved (IANA's special-purpose registries)."""

_BLOCK = 64
_MAPPED_BITS = 96

Seconds = npt.NDArray[np.uint32]


class Indicator(NamedTuple):
    """What a list says of some networks; `place` is its line, or its number among the objects.

    It holds from `since` until just before `until` (seconds); `confidence` is 0 to 100, -1 untold; `newest` is when it
    was last said to be so.  Of those with one `identity` (64 bits, 0: none) only the highest `version` counts; a
    revoked one has no networks and ends at 0.
    """

    networks: list[Network]
    place: int
    detail: dict[str, Any]
    since: int = 0
    until: int = LATEST
    confidence: int = -1
    newest: int = 0
    identity: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of keys that do not overlap, in order."""

    starts: Keys
    lasts: Keys

    def which(self, keys: Keys) -> Integers:
        """The range in which each key lies, else -1."""
        if not len(self.starts):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.starts, keys, side="right") - 1
        return np.where((place >= 0) & (keys <= self.lasts[place]), place, -1)


def _masks() -> npt.NDArray[np.uint64]:
    """For each number of bits the two halves of a mask that has so many."""
    masks = [((1 << 128) - (1 << (128 - bits))).to_bytes(16, "big") for bits in range(129)]
    return np.frombuffer(b"".join(masks), dtype=">u8").reshape(-1, 2).astype(np.uint64)


_MASKS = _masks()


def masked(keys: Keys, bits: Any) -> Keys:  # noqa: ANN401 - one number, or one for each key
    """The first keys of the networks in which these are."""
    return _joined(_halves(keys) & _MASKS[bits])


def lasts(keys: Keys, bits: Any) -> Keys:  # noqa: ANN401 - as masked
    """The last keys of these networks."""
    return _joined(_halves(keys) | ~_MASKS[bits])


def _halves(keys: Keys) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(keys).view(">u8").reshape(-1, 2).astype(np.uint64)


def _joined(numbers: npt.NDArray[np.uint64]) -> Keys:
    return np.ascontiguousarray(numbers.astype(">u8")).reshape(-1).view("S16")


def _special_ranges() -> Ranges:
    ranges = sorted(networks_of(text)[0] for text in _SPECIAL)
    keys = np.array([key for key, _ in ranges], dtype="S16")
    return Ranges(keys, lasts(keys, [bits for _, bits in ranges]))


SPECIAL = _special_ranges()
"""Addresses that no list marks, not even by a wide network around them."""


def refused(keys: Keys, bits: npt.NDArray[np.uint8]) -> tuple[Flags, Flags]:
    """Which of these networks are too wide, and which ones lie in SPECIAL."""
    ipv4 = (bits >= _MAPPED_BITS) & (masked(keys, _MAPPED_BITS) == np.bytes_(b"\0" * 10 + b"\xff\xff"))
    wide = bits < np.where(ipv4, _MAPPED_BITS + WIDEST_IPV4, WIDEST_IPV6)
    within = SPECIAL.which(masked(keys, bits))
    return wide, (within >= 0) & (within == SPECIAL.which(lasts(keys, bits)))


class Details:
    """What is told of each row, as JSON objects; those of some rows lie in one compressed block."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._open: list[str] = []

    def __len__(self) -> int:
        return len(self._blocks) * _BLOCK + len(self._open)

    def add(self, texts: Iterable[str]) -> None:
        """One more row for each text; empty stands for an empty object."""
        for text in texts:
            self._open.append(text)
            if len(self._open) == _BLOCK:
                self._blocks.append(zlib.compress("\n".join(self._open).encode(), 1) if any(self._open) else b"")
                self._open.clear()

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Of a row that is there."""
        block, line = divmod(row, _BLOCK)
        text = self._open[line] if block == len(self._blocks) else _lines(self._blocks[block])[line]
        found: dict[str, Any] = json.loads(text or "{}")
        return found


@lru_cache(maxsize=512)
def _lines(block: bytes) -> tuple[str, ...]:
    """The rows of a block: the same addresses come again and again, batch by batch."""
    return tuple(zlib.decompress(block).decode().split("\n")) if block else ("",) * _BLOCK


@dataclass(frozen=True, slots=True)
class Columns:
    """Of each indicator of a single address or network: `key` without the bits that do not count, and its `row`."""

    key: Keys
    bits: npt.NDArray[np.uint8]
    since: Seconds
    until: Seconds
    confidence: npt.NDArray[np.int8]
    newest: Seconds
    row: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Indicators:
    """A list ready for look-ups: `columns` in the order of bits and then of keys.

    `tables` has for each number of bits where its part begins and ends; `around` covers all networks.
    `refs` are names of what details refer to: who made them, and markings.
    """

    columns: Columns
    tables: tuple[tuple[int, slice], ...]
    around: Ranges
    details: Details
    refs: Mapping[str, str] = field(default_factory=dict)
    provider: str | None = None
    shown: dict[int, Any] = field(default_factory=dict, compare=False)
    """By row: what was made of an indicator before, by whoever shows it."""

    def __len__(self) -> int:
        return len(self.columns.key)

    def marks(self, keys: Keys) -> Flags:
        """Which addresses have an indicator, at whatever time; quickest where the keys are in order."""
        found = self.around.which(keys) >= 0
        bits, part = self.tables[-1] if self.tables else (0, slice(0))
        if bits == 128:  # noqa: PLR2004 - single addresses
            singles = self.columns.key[part]
            place = np.minimum(np.searchsorted(singles, keys), len(singles) - 1)
            found |= singles[place] == keys
        return found

    def entries(self, keys: Keys) -> tuple[Integers, Integers]:
        """Each pair of an address, by its place in `keys`, and of an indicator that it has, by its place in columns."""
        pairs = []
        for bits, part in self.tables:
            table, wanted = self.columns.key[part], masked(keys, bits)
            left, right = np.searchsorted(table, wanted), np.searchsorted(table, wanted, side="right")
            many = right - left
            which = np.repeat(np.arange(len(keys)), many)
            pairs.append((which, np.arange(len(which)) + np.repeat(part.start + left - np.cumsum(many) + many, many)))
        none = np.empty(0, dtype=np.int64)
        return tuple(np.concatenate([none, *each]) for each in zip(*pairs, strict=True)) if pairs else (none, none)  # type: ignore[return-value]
