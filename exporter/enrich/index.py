"""Look-ups by address and time: who surely had an address, in which VPC, while a flow went on.

All is integers: an interface, an owner's row, a VPC by its number; an address by its *slot*, as is a prefix that is
delegated to an interface.  -1 stands for nobody or unknown; arrays that are looked up by a number end in one more
element, for -1.  Times are whole seconds since 1970, from NEVER to ALWAYS, both included.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Network, ip_network
from threading import Lock

import numpy as np

from exporter.addresses import MAPPED, Flags, Integers, Keys, find

NEVER, ALWAYS = 0, (1 << 36) - 1
"""Before all times and after them; between them is room for two thousand years."""

_TIME_BITS = 36
SINGLE = 128
"""Bits of the key of a single address."""


class Kind(StrEnum):
    """What an address is to its interface."""

    PRIMARY = "primary"
    """The primary private IPv4 address: the same for as long as the interface exists."""
    OWN = "own"
    """A secondary one, IPv6, a delegated prefix: it may come and go."""
    PUBLIC = "public"
    """One that is mapped to a private one (an elastic IP, auto-assigned, a carrier's), and unique in the world."""

    @property
    def code(self) -> int:
        """Its number in `Claims.kind`."""
        return _CODES[self]


_CODES = {Kind.PRIMARY: 0, Kind.OWN: 1, Kind.PUBLIC: 2}
KIND_CODES: Mapping[str, int] = {kind.value: code for kind, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Claims:
    """Who has which address or prefix, from when to when for sure: one element a claim."""

    keys: Keys
    bits: Integers
    owner: Integers
    """An interface."""
    kind: Integers
    since: Integers
    until: Integers
    """Before `since` where it is known, but for no time sure."""


@dataclass(frozen=True, slots=True)
class Versions:
    """What stands behind interfaces over time: one element a row of owners, and those of one interface apart."""

    interface: Integers
    row: Integers
    since: Integers
    until: Integers
    bare: Integers
    """By interface: the row that says only what never changes, -1 none."""


Flat = tuple[Integers, Integers, Integers, Integers]
"""Intervals, one element each: key, since, until, value."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals by key, those of one key in the order of time and apart from each other; each has a value.

    The arrays by interval end in one more element, which no time lies in.
    """

    keys: Integers
    """The distinct keys, rising."""
    first: Integers
    """By place in `keys`: its first interval; one more element: the number of intervals."""
    starts: Integers
    """Rising: the place of the key, and the time that the interval begins, in one number."""
    since: Integers
    until: Integers
    value: Integers

    @classmethod
    def of(cls, key: Integers, since: Integers, until: Integers, value: Integers) -> "Intervals":
        """From intervals in any order, which must not overlap."""
        order = np.lexsort((since, key))
        key, since, until, value = key[order], since[order], until[order], value[order]
        begins = _begins(key)
        first = np.flatnonzero(begins)
        return cls(
            keys=key[first],
            first=np.append(first, len(key)),
            starts=((np.cumsum(begins) - 1) << _TIME_BITS) | since,
            since=np.append(since, ALWAYS + 1),
            until=np.append(until, NEVER - 1),
            value=np.append(value, -1),
        )

    def at(self, key: Integers, first: Integers, last: Integers) -> Integers:
        """The value of the interval of each `key` in which all from `first` to `last` lies; -1 for none."""
        place = find(self.keys, key)
        found = np.searchsorted(self.starts, (place << _TIME_BITS) | first, side="right") - 1
        fits = (place >= 0) & (found >= 0)
        fits &= found >= self.first[np.where(fits, place, 0)] if len(self.keys) else False
        found = np.where(fits, found, -1)
        return np.where(last <= self.until[found], self.value[found], -1)

    def widen(self, interval: Integers, since: Integers, until: Integers) -> None:
        """Has intervals reach from `since` to `until` at least; in place."""
        self._move(interval, np.minimum(self.since[interval], since), np.maximum(self.until[interval], until))

    def cut(self, interval: Integers, since: Integers | int, until: Integers | int) -> None:
        """Has intervals reach from `since` to `until` at most; in place."""
        self._move(interval, np.maximum(self.since[interval], since), np.minimum(self.until[interval], until))

    def _move(self, interval: Integers, since: Integers, until: Integers) -> None:
        self.since[interval], self.until[interval] = since, until
        self.starts[interval] = (self.starts[interval] >> _TIME_BITS << _TIME_BITS) | since

    @property
    def place(self) -> Integers:
        """By interval: the place of its key."""
        return np.repeat(np.arange(len(self.keys)), np.diff(self.first))


@dataclass(frozen=True)
class Index:
    """Everything that is known of who was where when; made by `indexed`."""

    interfaces: Mapping[str, int]
    accounts: Mapping[str, int]
    vpcs: Mapping[str, int]
    vpc_of: Integers
    """By interface: its VPC."""
    tables: tuple[tuple[int, Keys, int], ...]
    """Slots: bits of the key, the keys that are known (rising), the slot of the first of them; single ones first."""
    owned: Flags
    """By slot: somebody had it as an address of the interface itself, not as a public one mapped to it."""
    held: Intervals
    """By place (see `place_key`): the interface that surely had it, -1 where several claim it."""
    sure: Intervals
    """The same without what is assumed."""
    held_vpc: Integers
    """By interval of `held`: its VPC, or WORLD, or NOWHERE."""
    places: Integers
    """The keys of all places where somebody claimed something at some time, rising."""
    lone: Integers
    """By slot: the one interval of `held` at its one place, -1 where there is more to say."""
    shared: Flags
    """By slot: whether `lone` does not tell."""
    own: Intervals
    """By interface and shared slot (see `own_key`): the interface, where it claimed it, alone or not."""
    public: Flags
    """By interface: a public address was mapped to it at some time."""
    primary: Integers
    """By interface: the slot of its primary address."""
    primary_interval: Integers
    """By interface: the one interval of `held` that is its primary address's."""
    versions: Intervals
    """By interface: its row of owners."""
    row: Integers
    """By interface: its row of owners where that is the same at all times, else -1."""
    bare: Integers
    """By interface: the row of owners that says of it only what never changes, for when nothing else is sure."""
    linked: int
    """Since when VPCs reach each other as they do now; before that it is not known."""
    conflicts: int
    """How many addresses had two owners at once: while they did, they have none."""
    networks: tuple[str, ...]
    """The CIDR blocks of all VPCs, each once."""
    seen: tuple[Integers, Integers]
    """By interface: from when to when its own records were seen, ALWAYS and NEVER where none was."""
    _ranges: Mapping[int, tuple[Keys, Keys]]
    _covering: tuple[Keys, Keys]
    _links: tuple[Integers, Integers]
    _reach: dict[int, Flags] = field(default_factory=dict)
    _extending: Lock = field(default_factory=Lock)

    @property
    def world(self) -> int:
        """The number that stands for a VPC where an address is unique in the world."""
        return len(self.vpcs)

    @property
    def _width(self) -> int:
        return len(self.vpcs) + 2

    def place_key(self, slot: Integers, vpc: Integers | int) -> Integers:
        """The key of `held` for a slot in a VPC; below zero where either is unknown."""
        return np.where((slot >= 0) & (np.asarray(vpc) >= 0), slot * self._width + vpc, -1)

    def vpc_at(self, place: Integers) -> Integers:
        """The VPC of a key of `held`."""
        return place % self._width

    def own_key(self, interface: Integers, slot: Integers) -> Integers:
        """The key of `own`."""
        return np.where((interface >= 0) & (slot >= 0), interface * len(self.owned) + slot, -1)

    def slots(self, keys: Keys) -> list[Integers]:
        """The slots of each address, as a single one and within prefixes; -1 where nobody ever had it.

        As many arrays as there are lengths of prefixes that are known, at least one.
        """
        return [_placed(find(table, masked(keys, bits)), start) for bits, table, start in self.tables]

    def rows(self, interface: Integers, first: Integers, last: Integers) -> Integers:
        """The row of owners of each interface as of a time."""
        rows = self.row[interface]
        if len(unsure := np.flatnonzero((rows < 0) & (interface >= 0))):
            asked = interface[unsure]
            found = self.versions.at(asked, first[unsure], last[unsure])
            rows[unsure] = np.where(found >= 0, found, self.bare[asked])
        return rows

    def inside(self, vpc: int, keys: Keys) -> Flags:
        """Whether each address lies in the ranges of a VPC, as far as these are known."""
        starts, ends = self._ranges.get(vpc, (keys[:0], keys[:0]))
        if not len(starts):
            return np.zeros(len(keys), dtype=bool)
        found = np.searchsorted(starts, keys, side="right") - 1
        lies: Flags = np.where(found >= 0, keys <= ends[found], np.False_)
        return lies

    def covered(self, keys: Keys) -> Integers:
        """In the ranges of how many VPCs each address lies, as far as these are known."""
        starts, ends = self._covering
        return np.searchsorted(starts, keys, side="right") - np.searchsorted(ends, keys, side="left")

    def reach(self, vpc: int) -> Flags:
        """By VPC: whether `vpc` reaches it through a peering or a transit gateway; asked once a VPC."""
        if vpc not in self._reach:
            links, members = self._links
            flags = np.zeros(self._width, dtype=bool)
            flags[members[np.isin(links, links[members == vpc])]] = True
            flags[vpc] = False
            self._reach[vpc] = flags
        return self._reach[vpc]

    def extend(self, interface: Integers, first: Integers, last: Integers) -> None:
        """Each interface surely existed from `first` to `last`, and so had its primary address; in place.

        An interval grows no further than to its neighbour.
        """
        with self._extending:
            sound = first <= last
            interface, first, last = interface[sound], first[sound], last[sound]
            self.seen[0][interface] = np.minimum(self.seen[0][interface], first)
            self.seen[1][interface] = np.maximum(self.seen[1][interface], last)
            sure, interval = self.sure, self.primary_interval[interface]
            grows = np.flatnonzero((interval >= 0) & ((first < sure.since[interval]) | (last > sure.until[interval])))
            interval, first, last = interval[grows], first[grows], last[grows]
            place = sure.starts[interval] >> _TIME_BITS
            begins, ends = interval == sure.first[place], interval + 1 == sure.first[place + 1]
            since = np.maximum(first, np.where(begins, NEVER, sure.until[interval - 1] + 1))
            until = np.minimum(last, np.where(ends, ALWAYS, sure.since[interval + 1] - 1))
            sure.widen(interval, since, until)
            held = self.held
            held.cut(interval[~begins] - 1, NEVER, sure.since[interval[~begins]] - 1)
            held.cut(interval[~ends] + 1, sure.until[interval[~ends]] + 1, ALWAYS)
            held.widen(interval, sure.since[interval], sure.until[interval])


def indexed(  # noqa: PLR0913  each is one thing that an index is made from
    *,
    interfaces: Sequence[str],
    accounts: Mapping[str, int],
    vpcs: Mapping[str, int],
    vpc_of: Integers,
    claims: Claims,
    versions: Versions,
    networks: Sequence[tuple[str, str]] = (),
    links: Iterable[tuple[str, str]] = (),
    linked: int = NEVER,
    assume: int = 0,
) -> Index:
    """The index of claims.

    Links hold since `linked`; `assume` seconds around what is sure are taken for sure where nobody else is known.
    """
    slot, tables, count = _slots(claims)
    width, sure = len(vpcs) + 2, claims.since <= claims.until
    place = slot * width + _vpcs(claims, vpc_of, len(vpcs))
    rising = np.sort(place)
    places = rising[_begins(rising)]
    disjoint, conflicts = _apart(*_united(place[sure], claims.since[sure], claims.until[sure], claims.owner[sure]))
    alone = Intervals.of(*disjoint)
    held = _widened(alone, assume)
    held_slot, held_vpc = np.divmod(held.keys[held.place], width)
    lone = _lone(held_slot, places // width, count)
    told = sure & (lone[slot] < 0)
    own_key = claims.owner * (count + 1) + slot
    primary = _primary(claims, slot, len(interfaces))
    return Index(
        interfaces={text: number for number, text in enumerate(interfaces)},
        accounts=accounts,
        vpcs=vpcs,
        vpc_of=np.append(vpc_of, -1),
        tables=tables,
        owned=_owned(claims, slot, count),
        held=held,
        sure=alone,
        held_vpc=np.append(held_vpc, -1),
        places=places,
        lone=lone,
        shared=np.append(lone[:-1] < 0, np.False_),
        own=Intervals.of(*_united(own_key[told], claims.since[told], claims.until[told], claims.owner[told])),
        public=np.isin(np.arange(len(interfaces) + 1), claims.owner[claims.kind == Kind.PUBLIC.code]),
        primary=primary,
        primary_interval=_primary_intervals(held, held_slot, primary),
        versions=Intervals.of(versions.interface, versions.since, versions.until, versions.row),
        row=_only_rows(versions, len(interfaces)),
        bare=np.append(versions.bare, -1),
        linked=linked,
        conflicts=conflicts,
        networks=tuple(sorted({text for _, text in networks})),
        seen=(np.full(len(primary), ALWAYS), np.full(len(primary), NEVER)),
        _ranges=(ranges := _ranges(networks, vpcs)),
        _covering=_covering(ranges),
        _links=_linked(links, vpcs),
    )


def _vpcs(claims: Claims, vpc_of: Integers, count: int) -> Integers:
    """The VPC of each claim; `count` where it is unique in the world, and one more where there is none."""
    vpc = vpc_of[claims.owner] if len(claims.owner) else claims.owner
    return np.where(_worldwide(claims), count, np.where(vpc < 0, count + 1, vpc))


def _lone(held: Integers, places: Integers, count: int) -> Integers:
    """By slot: its only interval, where it has one place; `held` and `places` tell the slot of each of them."""
    lone = np.full(count + 1, -1, dtype=np.int64)
    lone[held] = np.arange(len(held))
    lone[:-1][(np.bincount(held, minlength=count) != 1) | (np.bincount(places, minlength=count) != 1)] = -1
    return lone


def _owned(claims: Claims, slot: Integers, count: int) -> Flags:
    owned = np.zeros(count + 1, dtype=bool)
    owned[slot[claims.kind != Kind.PUBLIC.code]] = True
    return owned


def _primary(claims: Claims, slot: Integers, interfaces: int) -> Integers:
    primary = np.full(interfaces + 1, -1, dtype=np.int64)
    chosen = claims.kind == Kind.PRIMARY.code
    primary[claims.owner[chosen]] = slot[chosen]
    return primary


def masked(keys: Keys, bits: int) -> Keys:
    """The keys of the networks of so many bits that the keys lie in."""
    if bits == SINGLE:
        return keys
    octets = np.frombuffer(keys.tobytes(), dtype=np.uint8).reshape(-1, 16)
    mask = np.frombuffer((((1 << bits) - 1) << (SINGLE - bits)).to_bytes(16, "big"), dtype=np.uint8)
    return (octets & mask).reshape(-1).view("S16")


def _begins(*keys: Integers) -> Flags:
    """Where another key begins, of arrays in the order of their keys."""
    begins = np.ones(len(keys[0]), dtype=bool)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return begins


def _reached(begins: Flags, until: Integers) -> Integers:
    """The latest `until` of each key so far."""
    bits = _TIME_BITS + 1
    return np.maximum.accumulate((np.cumsum(begins) << bits) | until) & ((1 << bits) - 1)


def _placed(position: Integers, start: int) -> Integers:
    return np.where(position >= 0, position + start, -1)


def _slots(claims: Claims) -> tuple[Integers, tuple[tuple[int, Keys, int], ...], int]:
    """The slot of each claim, the tables by which to find slots, and how many there are."""
    slot, tables, start = np.full(len(claims.keys), -1, dtype=np.int64), list[tuple[int, Keys, int]](), 0
    for bits in sorted({SINGLE, *np.unique(claims.bits).tolist()}, reverse=True):
        chosen = claims.bits == bits
        table, position = np.unique(masked(claims.keys[chosen], bits), return_inverse=True)
        slot[chosen] = position + start
        tables.append((bits, table, start))
        start += len(table)
    return slot, tuple(tables), start


def _worldwide(claims: Claims) -> Flags:
    """Which claims are to what is unique in the world: public addresses, and IPv6 global unicast (RFC 4291, 2.5.4)."""
    octets = np.frombuffer(claims.keys.tobytes(), dtype=np.uint8).reshape(-1, 16)
    ipv6: Flags = (octets[:, 0] & 0xE0) == 0x20  # noqa: PLR2004 - 2000::/3
    public: Flags = claims.kind == Kind.PUBLIC.code
    ipv6[public] = True
    return ipv6


def _united(key: Integers, since: Integers, until: Integers, owner: Integers) -> Flat:
    """Intervals of one key and owner that overlap, as one."""
    order = np.lexsort((since, owner, key))
    key, since, until, owner = key[order], since[order], until[order], owner[order]
    begins = _begins(key, owner)
    if begins.all():
        return key, since, until, owner
    reached = _reached(begins, until)
    begins[1:] |= since[1:] > reached[:-1] + 1  # whole seconds: the next one goes on
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(key)) - 1
    return key[first], since[first], reached[last], owner[first]


def _apart(key: Integers, since: Integers, until: Integers, owner: Integers) -> tuple[Flat, int]:
    """With nobody (-1) where two owners claim a key at once; and of how many keys that is."""
    order = np.lexsort((until, since, key))
    key, since, until, owner = key[order], since[order], until[order], owner[order]
    begins = _begins(key)
    meets = ~begins
    meets[1:] &= since[1:] <= _reached(begins, until)[:-1]
    contested = np.unique(key[meets])
    if not len(contested):
        return (key, since, until, owner), 0
    touched = np.isin(key, contested)
    rest = [array[~touched] for array in (key, since, until, owner)]
    cut = np.array(
        list(_swept(*(array[touched].tolist() for array in (key, since, until, owner)))), dtype=np.int64
    ).reshape(-1, 4)
    joined = [np.append(array, cut[:, column]) for column, array in enumerate(rest)]
    return (joined[0], joined[1], joined[2], joined[3]), len(contested)


def _swept(
    keys: list[int], since: list[int], until: list[int], owner: list[int]
) -> Iterable[tuple[int, int, int, int]]:
    """The intervals of each key, cut where owners change: -1 where more than one claims it."""
    edges: dict[int, list[tuple[int, int, int]]] = {}
    for key, first, last, who in zip(keys, since, until, owner, strict=True):
        edges.setdefault(key, []).extend([(first, 1, who), (last + 1, -1, who)])
    for key, changes in edges.items():
        present, begun = dict[int, int](), 0
        for time, change, who in sorted(changes):
            if present and time > begun:
                yield key, begun, time - 1, next(iter(present)) if len(present) == 1 else -1
            present[who] = present.get(who, 0) + change
            if not present[who]:
                del present[who]
            begun = time


def _widened(sure: Intervals, assume: int) -> Intervals:
    """The intervals, each reaching `assume` seconds further on both sides; where two would meet, none does."""
    if not assume:
        return sure
    since, until, place = sure.since[:-1], sure.until[:-1], sure.place
    same = place[1:] == place[:-1]
    before = np.append(NEVER, np.where(same, np.minimum(until[:-1] + assume, ALWAYS) + 1, NEVER))[: len(since)]
    after = np.append(np.where(same, np.maximum(since[1:] - assume, NEVER) - 1, ALWAYS), ALWAYS)[: len(since)]
    since = np.minimum(since, np.maximum(since - assume, before))
    until = np.maximum(until, np.minimum(until + assume, after))
    return replace(
        sure,
        starts=(place << _TIME_BITS) | since,
        since=np.append(since, ALWAYS + 1),
        until=np.append(until, NEVER - 1),
    )


def _primary_intervals(held: Intervals, slot: Integers, primary: Integers) -> Integers:
    """By interface: its one interval at its primary address; -1 where it has none there, or several."""
    owner = held.value[:-1]
    chosen = np.flatnonzero(primary[owner] == slot)
    found = np.full(len(primary), -1, dtype=np.int64)
    found[owner[chosen]] = chosen
    found[:-1][np.bincount(owner[chosen], minlength=len(primary) - 1) != 1] = -1
    return found


def _only_rows(versions: Versions, interfaces: int) -> Integers:
    """By interface: its only row, where that is so at all times."""
    rows = np.full(interfaces + 1, -1, dtype=np.int64)
    always = (versions.since <= NEVER) & (versions.until >= ALWAYS)
    rows[versions.interface[always]] = versions.row[always]
    return rows


def _ranges(networks: Iterable[tuple[str, str]], vpcs: Mapping[str, int]) -> dict[int, tuple[Keys, Keys]]:
    """By VPC: the first and the last key of each of its networks, rising."""
    found: dict[int, list[tuple[bytes, bytes]]] = {}
    for vpc, text in networks:
        if vpc in vpcs:
            network = ip_network(text, strict=False)
            first = int(network.network_address) + (MAPPED if isinstance(network, IPv4Network) else 0)
            last = first + network.num_addresses - 1
            found.setdefault(vpcs[vpc], []).append((first.to_bytes(16, "big"), last.to_bytes(16, "big")))
    return {
        vpc: (np.array(starts, dtype="S16"), np.array(ends, dtype="S16"))
        for vpc, pairs in found.items()
        for starts, ends in [tuple(zip(*sorted(pairs), strict=True))]
    }


def _covering(ranges: Mapping[int, tuple[Keys, Keys]]) -> tuple[Keys, Keys]:
    """The first keys and the last keys of all ranges, each rising."""
    starts, ends = ([each[side] for each in ranges.values()] for side in (0, 1))
    empty = np.empty(0, dtype="S16")
    return np.sort(np.concatenate([empty, *starts])), np.sort(np.concatenate([empty, *ends]))


def _linked(links: Iterable[tuple[str, str]], vpcs: Mapping[str, int]) -> tuple[Integers, Integers]:
    """Links between VPCs that are known: the number of the link, and the VPC."""
    numbers: dict[str, int] = {}
    pairs = [(numbers.setdefault(link, len(numbers)), vpcs[vpc]) for link, vpc in links if vpc in vpcs]
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
