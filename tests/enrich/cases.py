"""Small inventories and batches, written down by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import numpy as np
import polars as pl

from exporter.enrich.ends import AMBIGUOUS, NOT_THEN, RESOLVED, UNKNOWN
from exporter.enrich.index import Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.flow import Addresses, Batch, S3Object
from exporter.metrics import Metrics

UNRESOLVED = (NOT_THEN, AMBIGUOUS, UNKNOWN)
TAKEN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SOURCE = S3Object("logs", "key", "etag", 100, TAKEN)
ADDRESS_COLUMNS = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface, its VPC, its own addresses and the public ones mapped to them."""

    id: str
    vpc: str | None
    own: tuple[str, ...]
    public: tuple[str, ...] = ()


def snapshot(interfaces: Sequence[Interface], networks: tuple[str, ...] = ()) -> Snapshot:
    """The networks are nobody's in particular."""
    addresses = [
        (each.vpc, text, row, kind)
        for row, each in enumerate(interfaces)
        for kind, texts in ((Kind.PRIMARY, each.own[:1]), (Kind.OWN, each.own[1:]), (Kind.PUBLIC, each.public))
        for text in texts
    ]
    owners = [{"interface_id": each.id, "vpc_id": each.vpc} for each in interfaces]
    return Snapshot(
        pl.DataFrame(owners, schema=OWNERS),
        pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        tuple(("", network) for network in networks),
        TAKEN,
    )


def addresses(texts: Sequence[str]) -> Addresses:
    """As a reader makes them; the words by the standard library's arithmetic."""
    words = np.zeros((len(texts), 4), dtype=np.uint32)
    family = np.zeros(len(texts), dtype=np.uint8)
    for row, text in enumerate(texts):
        address = ip_address(text)
        family[row] = address.version
        number = int(address) << (96 if address.version == 4 else 0)
        words[row] = [number >> shift & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
    return Addresses(pl.Series(texts, dtype=pl.String), family, words)


def batch(columns: Mapping[str, Sequence[Any]]) -> Batch:
    """A batch with these columns as texts, the address columns in one category as a reader makes them."""
    kind = pl.Categorical(pl.Categories.random())
    texts = {name: pl.Series(name, values, dtype=pl.String) for name, values in columns.items()}
    coded = {name: texts[name].cast(kind) for name in ADDRESS_COLUMNS if name in texts}
    highest = [code for each in coded.values() if isinstance(code := each.to_physical().max(), int)]
    codes = pl.Series(range(max(highest, default=-1) + 1), dtype=pl.UInt32)
    distinct = codes.cat.to(kind).cast(pl.String).to_list()
    height = len(next(iter(texts.values())))
    frame = pl.DataFrame([pl.Series("row", range(1, height + 1), dtype=pl.UInt32), *(texts | coded).values()])
    return Batch(SOURCE, frame, addresses(distinct), plain=True)


def counted(metrics: Metrics, end: str) -> tuple[int, int]:
    """How many ends were resolved, and how many were not."""
    known = sum(metrics.value("ends_total", end=end, resolved=how) for how in RESOLVED)
    return int(known), int(sum(metrics.value("ends_total", end=end, resolved=why) for why in UNRESOLVED))
