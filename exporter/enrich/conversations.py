"""The conversations among the records of a batch: which ends talk with each other, and what that tells of the ends."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.enrich.ports import EPHEMERAL, NO_TRANSPORT, TRANSPORTS, Ports, Transports

SEEN_BY = 8
"""Ends that must talk with a port until it counts as served: a client's port may be in use to a few servers at once."""

ALIVE = 4
"""Packets of a record that is more than an attempt and its repetitions, or the answers that refuse these."""

NOBODY = -1
"""No end; else an end is its place in flow.ENDS."""

_ENDS = (("srcaddr", "pkt_srcaddr", "srcport"), ("dstaddr", "pkt_dstaddr", "dstport"))
_PLACES = np.full(256, NO_TRANSPORT, dtype=np.uint8)
_PLACES[list(TRANSPORTS.values())] = range(len(TRANSPORTS))


@dataclass(frozen=True, slots=True)
class Flows:
    """What of every record counts here; a column that the batch lacks is as if it were null."""

    present: Flags
    """Whether it has both addresses."""
    transport: Transports
    """As ports.py names it."""
    flags: Integers
    """TCP's; 0 for none."""
    packets: Integers
    rejected: Flags
    ports: tuple[Ports, Ports]
    """Of source and destination; 0 for none."""
    ends: tuple[Integers, Integers]
    """Address, port and transport of source and destination, each in one number."""

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Flows":
        """Of a batch's frame."""
        transport = _PLACES[_numbers(frame, "protocol").astype(np.uint8)]
        ports = [_numbers(frame, port).astype(np.uint16) for _, _, port in _ENDS]
        present, ends = np.ones(frame.height, dtype=bool), []
        for (shown, packet, _), port in zip(_ENDS, ports, strict=True):
            address, true = _codes(frame, shown), _codes(frame, packet)
            present &= address >= 0
            ends.append(np.where(true >= 0, true, address) << 19 | port.astype(np.int64) << 3 | transport)
        return cls(
            present=present,
            transport=transport,
            flags=_numbers(frame, "tcp_flags"),
            packets=_numbers(frame, "packets"),
            rejected=_rejected(frame),
            ports=(ports[0], ports[1]),
            ends=(ends[0], ends[1]),
        )


def _numbers(frame: pl.DataFrame, name: str) -> Integers:
    """A column of numbers, 0 for null."""
    return _filled(frame[name], 0) if name in frame.columns else np.zeros(frame.height, dtype=np.int64)


def _codes(frame: pl.DataFrame, name: str) -> Integers:
    """A column of addresses by their places in the batch's, -1 for null."""
    if name not in frame.columns:
        return np.full(frame.height, -1, dtype=np.int64)
    return _filled(frame[name].to_physical(), -1)


def _filled(column: pl.Series, null: int) -> Integers:
    return (column.cast(pl.Int64).fill_null(null) if column.null_count() else column).to_numpy().astype(np.int64)


def _rejected(frame: pl.DataFrame) -> Flags:
    if "action" not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    return (frame["action"] == "REJECT").fill_null(value=False).to_numpy()


@dataclass(frozen=True, slots=True)
class Talks:
    """The distinct conversations of a batch, and the distinct ends among them, as numbers from 0 on."""

    rows: Integers
    """The records that have a conversation: those between two different ends with ports."""
    talk: Integers
    """Of each of these its conversation."""
    ends: tuple[Integers, Integers]
    """Of each of these its source and its destination."""
    ports: tuple[Ports, Ports]
    """Of each of these, too."""
    lesser: Integers
    """Of each of these which one has the lesser number, 0 or 1."""
    between: tuple[Integers, Integers]
    """Of each conversation its ends, the lesser first."""
    count: int
    """How many ends there are."""

    @classmethod
    def of(cls, flows: Flows) -> "Talks":
        """Of a batch's flows."""
        ported = flows.present & (flows.transport != NO_TRANSPORT) & (flows.ports[0] > 0) & (flows.ports[1] > 0)
        rows = np.flatnonzero(ported & (flows.ends[0] != flows.ends[1]))
        ends, end = np.unique(np.concatenate([each[rows] for each in flows.ends]), return_inverse=True)
        source, destination = end[: len(rows)], end[len(rows) :]
        count = max(len(ends), 1)
        low, high = np.minimum(source, destination), np.maximum(source, destination)
        distinct, talk = np.unique(low * count + high, return_inverse=True)
        return cls(
            rows=rows,
            talk=talk,
            ends=(source, destination),
            ports=(flows.ports[0][rows], flows.ports[1][rows]),
            lesser=(source > destination).astype(np.int64),
            between=(distinct // count, distinct % count),
            count=len(ends),
        )

    def told(self, client: Integers) -> tuple[Flags, Flags]:
        """Of each record whether any of its conversation tells its lesser end as the client, and its other end."""
        lesser, other = np.zeros((2, len(self.between[0])), dtype=bool)
        lesser[self.talk[client == self.lesser]] = True
        other[self.talk[client == 1 - self.lesser]] = True
        return lesser[self.talk], other[self.talk]

    def served(self, flows: Flows, client: Integers) -> Flags:
        """Of each end whether it is seen to be served; `client`: of each record by its own flags.

        It sent a SYN-ACK, or SEEN_BY others talk with it, to and fro, all from EPHEMERAL on; and it began nothing.  A
        SYN to it shows nothing: that may be a scan.
        """
        began, took, low = np.zeros((3, self.count), dtype=bool)
        took[self.ends[0][client == 1]] = True
        alive = np.zeros((2, len(self.between[0])), dtype=bool)
        lasting = flows.packets[self.rows] >= ALIVE
        for end in (0, 1):
            began[self.ends[end][client == end]] = True
            low[self.ends[end][self.ports[1 - end] < EPHEMERAL]] = True
            alive[end, self.talk[lasting & (self.lesser == end)]] = True
        both = alive[0] & alive[1]
        others = sum(np.bincount(each[both], minlength=self.count) for each in self.between)
        return ~began & (took | ((others >= SEEN_BY) & ~low))

    def calling(self, client: Integers) -> Flags:
        """Of each end whether it took nothing, as far as `client` tells, and talks to one port number only."""
        took, several = np.zeros((2, self.count), dtype=bool)
        port = np.zeros(self.count, dtype=np.uint16)
        for end in (0, 1):
            took[self.ends[end][client == 1 - end]] = True
            port[self.ends[end]] = self.ports[1 - end]
        for end in (0, 1):
            several[self.ends[end][port[self.ends[end]] != self.ports[1 - end]]] = True
        return ~took & ~several
