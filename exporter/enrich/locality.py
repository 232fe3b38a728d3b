"""Inside or outside: the locality of addresses, by tables of networks."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, ip_network

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.addresses import MAPPED, Flags, Keys, keys_of
from exporter.flow import EXTERNAL, INTERNAL, Addresses

NETWORKS: tuple[tuple[str, str | None], ...] = (
    ("0.0.0.0/0", EXTERNAL),
    ("0.0.0.0/8", None),  # this network, unspecified: RFC 791
    ("10.0.0.0/8", INTERNAL),  # RFC 1918
    ("100.64.0.0/10", INTERNAL),  # shared address space: RFC 6598
    ("127.0.0.0/8", None),  # loopback
    ("169.254.0.0/16", None),  # link-local: RFC 3927
    ("172.16.0.0/12", INTERNAL),  # RFC 1918
    ("192.0.0.0/24", None),  # protocol assignments: RFC 6890
    ("192.0.2.0/24", None),  # documentation: RFC 5737
    ("192.88.99.0/24", None),  # reserved, once 6to4 relays: RFC 7526
    ("192.168.0.0/16", INTERNAL),  # RFC 1918
    ("198.18.0.0/15", None),  # benchmarks: RFC 2544
    ("198.51.100.0/24", None),  # documentation: RFC 5737
    ("203.0.113.0/24", None),  # documentation: RFC 5737
    ("224.0.0.0/4", None),  # multicast
    ("240.0.0.0/4", None),  # reserved, and broadcast
    ("64:ff9b::/96", EXTERNAL),  # IPv4 addresses behind NAT64, globally reachable: RFC 6052
    ("2000::/3", EXTERNAL),  # global unicast
    ("2001:db8::/32", None),  # documentation: RFC 3849
    ("3fff::/20", None),  # documentation: RFC 9637
    ("fc00::/7", INTERNAL),  # unique local: RFC 4193
)
"""Networks and their locality, general before particular.

What no row covers has none (::, ::1, fe80::/10, ff00::/8 and all that IANA has not given out).  Source: IANA's
special-purpose address registries for IPv4 and IPv6, read in 2026.
"""

_NAMES = pl.Series([None, INTERNAL, EXTERNAL], dtype=pl.String)
_CODES: dict[str | None, int] = {None: 0, INTERNAL: 1, EXTERNAL: 2}
_END = 1 << 128


@dataclass(frozen=True, slots=True)
class _Ranges:
    """The whole space of keys in ranges: each goes from its start to the next one's and has one code."""

    starts: Keys
    codes: npt.NDArray[np.uint8]


def locality(addresses: Addresses, networks: tuple[str, ...] = (), owned: Flags | None = None) -> pl.Series:
    """`internal`, `external` or null for each distinct address (String).

    Internal are `networks` (CIDR blocks; they win over the table), RFC 1918, 6598 and 4193, and the addresses that
    `owned` (one flag an address) marks; external is other global unicast.
    """
    ranges = _ranges(networks)
    codes = ranges.codes[np.searchsorted(ranges.starts, keys_of(addresses), side="right") - 1]
    if owned is not None:
        codes = np.where(owned, np.uint8(_CODES[INTERNAL]), codes)
    return _NAMES.gather(codes.astype(np.uint32))


@lru_cache(maxsize=4)
def _ranges(networks: tuple[str, ...]) -> _Ranges:
    """The table and then `networks`, painted one over the other."""
    painted = [(*_bounds(text), _CODES[name]) for text, name in (*NETWORKS, *((text, INTERNAL) for text in networks))]
    starts = sorted({0} | {first for first, _, _ in painted} | {end for _, end, _ in painted if end < _END})
    codes = np.zeros(len(starts), dtype=np.uint8)
    for first, end, code in painted:
        codes[bisect_left(starts, first) : bisect_left(starts, end)] = code
    return _Ranges(np.array([start.to_bytes(16, "big") for start in starts], dtype="S16"), codes)


def _bounds(text: str) -> tuple[int, int]:
    """A CIDR block's first key and the one after its last, as numbers; ValueError for a text that is none."""
    network = ip_network(text, strict=False)
    first = int(network.network_address) + (MAPPED if isinstance(network, IPv4Network) else 0)
    return first, first + network.num_addresses
