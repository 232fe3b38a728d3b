"""AWS's own ranges: which service and region a public address is, where the record does not say.

The list is ip-ranges.json, which AWS publishes (its guide: "AWS IP address ranges"):

    {"prefixes": [{"ip_prefix": "3.5.140.0/22", "region": "us-west-2", "service": "S3", …}, …],
     "ipv6_prefixes": [{"ipv6_prefix": "2600:1f18::/33", …}, …]}

Several services may share a prefix: AMAZON stands for all of them, and EC2 for what customers run and for services on
top of it.  So of the longest prefix that has an address counts, first of these, any other service (the first by name
where there are several), else EC2, else AMAZON.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.addresses import MAPPED, Keys, keys_of
from exporter.errors import FeedError
from exporter.flow import EXTERNAL, Batch
from exporter.lists.feeds import Parsed

LIMIT = 64 * 1024 * 1024
"""Bytes that the list may have; in 2026 it has two million."""

_Network = IPv4Network | IPv6Network
_Ranked = tuple[int, str, str]
"""Service and region, behind a number that says which of a prefix's services comes first."""

_LISTS = (("prefixes", "ip_prefix"), ("ipv6_prefixes", "ipv6_prefix"))
_LAST = {"EC2": 1, "AMAZON": 2}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NOWHERE = "GLOBAL"
_END = 1 << 128

_ENDS = (("srcaddr", "pkt_srcaddr", "pkt_src_aws_service"), ("dstaddr", "pkt_dstaddr", "pkt_dst_aws_service"))
"""Of each end the reporting interface's view of its address, the packet's true one, and the service at that one."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The whole space of keys in ranges: each goes from its start to the next one's.

    `places` says of each the row in `services` and `regions` (String, of which row 0 is null: no AWS).
    """

    starts: Keys
    places: npt.NDArray[np.uint32]
    services: pl.Series
    regions: pl.Series


class Current(Protocol):
    """Where the ranges are that are in use now: a feed."""

    @property
    def current(self) -> Ranges:
        """Another one after each change."""
        ...  # pragma: no cover


class AwsRanges:
    """A stage: says of external addresses whose they are at AWS.  Any thread may call it."""

    def __init__(self, ranges: Current) -> None:
        self._ranges = ranges

    def __call__(self, batch: Batch) -> Batch:
        """The batch with `aws_service` and `aws_region` of its addresses, and the services at the packets' true ends.

        The columns pkt_src_aws_service and pkt_dst_aws_service are filled where the record has none, in AWS's own
        spelling; what a record has stays.  Nothing is said of addresses that are not external, so not of those that
        the inventory owns.
        """
        if batch.about is None:
            return batch
        ranges, keys = self._ranges.current, keys_of(batch.addresses)
        external = (batch.about["locality"] == EXTERNAL).fill_null(value=False).to_numpy()
        places = np.zeros(len(keys), dtype=np.uint32)
        places[external] = ranges.places[np.searchsorted(ranges.starts, keys[external], side="right") - 1]
        if not places.any():
            return batch
        services = ranges.services.gather(places)
        regions = ranges.regions.gather(places)
        filled = [made for columns in _ENDS if (made := _filled(batch.frame, services, *columns)) is not None]
        known = batch.with_about(services.alias("aws_service"), regions.alias("aws_region"))
        return replace(known, frame=batch.frame.with_columns(filled))


def _filled(frame: pl.DataFrame, services: pl.Series, seen: str, true: str, service: str) -> pl.Series | None:
    """The column of services at one end, its gaps filled; None where the records have no address there."""
    codes = [frame[name].to_physical().cast(pl.UInt32) for name in (true, seen) if name in frame.columns]
    if not codes:
        return None
    code = codes[0] if len(codes) == 1 else codes[0].zip_with(codes[0].is_not_null(), codes[1])
    found = services.gather(code)
    if service not in frame.columns:
        return found.alias(service)
    given = frame[service]
    return given.zip_with(given.is_not_null(), found) if given.null_count() else given


def read_ranges(path: Path) -> Parsed[Ranges]:
    """The ranges in a file like ip-ranges.json; FeedError where it is none.  Bad prefixes are passed over."""
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FeedError(f"it is no JSON: {error}; expected ip-ranges.json as AWS publishes it") from error
    if not isinstance(document, dict) or not any(isinstance(document.get(name), list) for name, _ in _LISTS):
        raise FeedError('it has no list "prefixes" and no list "ipv6_prefixes"; expected ip-ranges.json of AWS')
    chosen: dict[_Network, _Ranked] = {}
    entries, bad = 0, []
    for where, prefix, ranked in _prefixes(document):
        if prefix is None or ranked is None:
            bad.append(where)
        else:
            entries += 1
            chosen[prefix] = min(ranked, chosen.get(prefix, ranked))
    return Parsed(_painted(chosen), entries, len(bad), tuple(bad[:3]))


def _prefixes(document: dict[str, object]) -> Iterator[tuple[str, _Network | None, _Ranked | None]]:
    """Each entry: where it stands, its prefix and whose that is; None for what is none."""
    for name, key in _LISTS:
        entries = document.get(name)
        for place, entry in enumerate(entries if isinstance(entries, list) else ()):
            fields = entry if isinstance(entry, dict) else {}
            prefix = _network(fields.get(key))
            yield f"{name}[{place}]: {fields.get(key)!r:.60}", prefix, _ranked(fields)


def _network(text: object) -> _Network | None:
    try:
        return ip_network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _ranked(entry: dict[str, object]) -> _Ranked | None:
    service, region = entry.get("service"), entry.get("region", _NOWHERE)
    if not (
        isinstance(service, str) and _NAME.fullmatch(service) and isinstance(region, str) and _NAME.fullmatch(region)
    ):
        return None
    return _LAST.get(service, 0), service, region


def _painted(chosen: dict[_Network, _Ranked]) -> Ranges:
    """The short prefixes, and the longer ones over them."""
    names = sorted({(service, region) for _, service, region in chosen.values()})
    rows = {name: row for row, name in enumerate(names, start=1)}
    bounds = {prefix: _bounds(prefix) for prefix in chosen}
    starts = sorted({0, *(edge for both in bounds.values() for edge in both if edge < _END)})
    places = np.zeros(len(starts), dtype=np.uint32)
    for prefix in sorted(chosen, key=lambda each: each.num_addresses, reverse=True):
        first, end = bounds[prefix]
        places[bisect_left(starts, first) : bisect_left(starts, end)] = rows[chosen[prefix][1:]]
    regions = [None if region == _NOWHERE else region for _, region in names]
    return Ranges(
        np.array([start.to_bytes(16, "big") for start in starts], dtype="S16"),
        places,
        pl.Series([None, *(service for service, _ in names)], dtype=pl.String),
        pl.Series([None, *regions], dtype=pl.String),
    )


def _bounds(network: _Network) -> tuple[int, int]:
    """A network's first key and the one after its last, as numbers."""
    first = int(network.network_address) + (MAPPED if isinstance(network, IPv4Network) else 0)
    return first, first + network.num_addresses
