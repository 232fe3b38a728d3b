"""The exporter's own connections to the cluster, which are flows too: what is written of them makes more of them.

A record is of one of these where one end has an address of this machine and the other one of the cluster's addresses
and its port, either half of it; an end's addresses are the record's and the packet's, so a record of a NAT gateway or
of a pod's node is known too.  The addresses of the cluster's names change (a load balancer's do all day), and records
come late: what a name had within a day still counts.
"""

import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from itertools import islice
from threading import Lock, Thread
from time import monotonic

import numpy as np

from exporter.filter.columns import Records, without_nulls
from exporter.filter.conditions import Flags, Networks
from exporter.flow import Batch

log = logging.getLogger(__name__)

MOST = 1_000
"""Addresses of the cluster that are remembered, and of this machine; of more the longest unseen are let go."""

REMEMBERED = 24 * 3600.0
"""Seconds for which an address counts after it was seen last."""

PATIENCE = 10.0
"""Seconds that all names together may take; who does not answer then is asked the next time."""

THIS_MACHINE = "this machine"
"""Under which faults of its own addresses are told."""

Resolve = Callable[[str, int], Iterable[str]]
Local = Callable[[Iterable[tuple[str, int]]], Iterable[str]]

_ENDS = (("srcaddr", "pkt_srcaddr", "srcport"), ("dstaddr", "pkt_dstaddr", "dstport"))
"""The columns with an end's addresses, and the one with its port."""


def resolved(host: str, port: int) -> list[str]:
    """All addresses of a name, or of an address itself; OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(address[0]).partition("%")[0] for *_, address in found})


def local(targets: Iterable[tuple[str, int]]) -> list[str]:
    """This machine's addresses: those from which it would reach the targets, and those of its own name.

    A UDP socket that is connected sends nothing.
    """
    found = set[str]()
    for address, port in targets:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
                probe.connect((address, port))
                found.add(str(probe.getsockname()[0]).partition("%")[0])
        except OSError as error:
            log.debug("no way to %s is known: %s", address, error)
    try:
        found.update(resolved(socket.gethostname(), 0))
    except OSError as error:
        log.debug("this machine's own name has no address: %s", error)
    return sorted(each for each in found if not ip_address(each).is_loopback and not ip_address(each).is_unspecified)


@dataclass(frozen=True, slots=True)
class _Known:
    """Networks of this machine, and those of the cluster by port."""

    own: Networks
    cluster: Mapping[int, Networks]


@dataclass(slots=True)
class _Seen:
    """Addresses (or what has one) with when they were seen last."""

    last: dict[tuple[str, int], float] = field(default_factory=dict)

    def add(self, fresh: Iterable[tuple[str, int]], now: float) -> None:
        self.last |= dict.fromkeys(fresh, now)
        lasting = sorted((item for item in self.last.items() if item[1] > now - REMEMBERED), key=lambda item: -item[1])
        self.last = dict(lasting[:MOST])


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked for its addresses, the port that these are for, and how."""

    what: str
    port: int
    ask: Callable[[], Iterable[str]]


class OwnTraffic:
    """Knows the traffic between this machine and the cluster; any thread may ask.

    `hosts` are the cluster's, each a name or an address, and its port; `own_addresses` are more addresses or networks
    of this machine: those of the host where it is a container behind that one's.  Nothing is known before `refresh`.
    """

    def __init__(  # noqa: PLR0913  what asks the system is passed in
        self,
        hosts: Sequence[tuple[str, int]],
        own_addresses: Sequence[str] = (),
        *,
        resolve: Resolve = resolved,
        local: Local = local,
        clock: Callable[[], float] = monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._hosts = tuple(dict.fromkeys((host.strip("[]"), port) for host, port in hosts))
        self._own_addresses = tuple(own_addresses)
        self._resolve = resolve
        self._local = local
        self._clock = clock
        self._patience = patience
        self._lock = Lock()
        self._waiting: dict[tuple[str, int], Future[list[str]]] = {}
        self._cluster, self._own = _Seen(), _Seen()
        self._faults: dict[str, str] = {}
        self._known = _Known(Networks.of(()), {})

    def refresh(self) -> dict[str, str]:
        """Asks again for all addresses; gives back which names have none now, and why, for what they had stays.

        A fault is logged once, until it is another one.
        """
        with self._lock:
            until = monotonic() + self._patience
            asked = [_Question(host, port, partial(self._resolve, host, port)) for host, port in self._hosts]
            for each in asked:  # all at once: one that hangs uses up nobody else's time
                if (each.what, each.port) not in self._waiting:
                    self._waiting[each.what, each.port] = _begun(each)
            found = [(each.what, self._ask(each, self._cluster, until)) for each in asked]
            here = _Question(THIS_MACHINE, 0, partial(self._local, list(self._cluster.last)))
            found.append((here.what, self._ask(here, self._own, until)))
            faults = {what: reason for what, reason in found if reason}
            self._tell(faults)
            self._known = self._networks()
            return dict(faults)

    def among(self, batch: Batch) -> Flags:
        """Which records of a batch are of this traffic."""
        records, known = Records(batch), self._known
        found = np.zeros(records.height, dtype=bool)
        for here, there in (_ENDS, _ENDS[::-1]):
            own = _has(records, here[:2], known.own)
            if not records.has(there[2]) or not own.any():
                continue
            port = without_nulls(records.frame[there[2]], 0)
            for number, networks in known.cluster.items():
                at_port = own & (port == number)
                if at_port.any():
                    found |= at_port & _has(records, there[:2], networks)
        return found

    def _ask(self, question: _Question, seen: _Seen, until: float) -> str:
        """Takes an answer, or tells why there is none; one that comes too late is taken the next time."""
        key = (question.what, question.port)
        future = self._waiting.pop(key, None) or _begun(question)
        try:
            fresh = future.result(max(0.0, until - monotonic()))
        except TimeoutError:
            if not future.done():
                self._waiting[key] = future
            return f"no answer within {self._patience:g} s"
        except (OSError, ValueError) as error:
            return str(error) or repr(error)
        seen.add(((address, question.port) for address in fresh), self._clock())
        return ""

    def _tell(self, faults: Mapping[str, str]) -> None:
        for what, reason in faults.items():
            if self._faults.get(what) != reason:
                log.warning("the addresses of %s are not known anew (those it had stay): %s", what, reason)
        self._faults = dict(faults)

    def _networks(self) -> _Known:
        ports = {port for _, port in self._cluster.last}
        cluster = {
            number: Networks.of(address for address, port in self._cluster.last if port == number) for number in ports
        }
        return _Known(Networks.of((*self._own_addresses, *(address for address, _ in self._own.last))), cluster)


def _begun(question: _Question) -> Future[list[str]]:
    """A question under way in a thread of its own: the system's look-up of names has no time limit."""
    future: Future[list[str]] = Future()

    def answer() -> None:
        try:
            future.set_result([str(ip_address(each)) for each in islice(question.ask(), MOST)])
        except Exception as error:  # noqa: BLE001  it goes to who waits
            future.set_exception(error)

    Thread(target=answer, name=f"addresses of {question.what}", daemon=True).start()
    return future


def _has(records: Records, names: Iterable[str], networks: Networks) -> Flags:
    """Which records have an address of the networks in one of the columns."""
    inside = np.append(networks(records.batch.addresses), False)
    found = np.zeros(records.height, dtype=bool)
    for name in names:
        if records.has(name):
            found |= inside[records.addresses(name)]
    return found
