"""Tables of a batch's owners and of its addresses: what of each counts for the cost of a record."""

from dataclasses import dataclass
from functools import reduce
from ipaddress import ip_network
from operator import or_

import numpy as np
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.enrich.cost_rules import AMAZON, CLOUDFRONT, EC2, RESOURCES, SERVICE, TRANSIT, TYPES, Bits
from exporter.enrich.locality import NETWORKS
from exporter.flow import EXTERNAL, INTERNAL, Batch

_NAT64 = (0x0064FF9B, 0, 0)
"""64:ff9b::/96 (RFC 6052): the first three words."""

_PRIVATE = [ip_network(text) for text, name in NETWORKS if name == INTERNAL and "." in text]
"""Networks of IPv4 whose addresses are somebody's own."""


@dataclass(frozen=True, slots=True)
class OwnerTable:
    """What counts of each row of a batch's owners; the last element is nobody's: 0, and -1 for what is not known."""

    what: Bits
    region: Integers
    """A place in `regions`."""
    zone: Integers
    vpc: Integers
    regions: tuple[str, ...]
    gateways: tuple[str, ...]
    """Interfaces of transit gateways."""


_UNKNOWN = np.full(1, -1, dtype=np.int64)

NOBODY = OwnerTable(np.zeros(1, dtype=np.uint8), _UNKNOWN, _UNKNOWN, _UNKNOWN, (), ())
"""The table where there is no inventory."""


def owner_table(owners: pl.DataFrame) -> OwnerTable:
    """The table of owners (columns as inventory.OWNERS); takes some milliseconds for 100,000."""
    telling = (("resource_type", RESOURCES), ("interface_type", TYPES))
    what = reduce(or_, (bits_of(owners[name], bits) for name, bits in telling))
    region, regions = _numbered(owners["region"])
    return OwnerTable(
        what=np.append(what, np.uint8(0)),
        region=region,
        zone=_numbered(owners["availability_zone"])[0],
        vpc=_numbered(owners["vpc_id"])[0],
        regions=regions,
        gateways=tuple(owners["interface_id"].filter(pl.Series(what & TRANSIT != 0)).drop_nulls().to_list()),
    )


@dataclass(frozen=True, slots=True)
class AddressTable:
    """What counts of each of a batch's addresses; the last element stands for none.

    `public_ipv4` is unlike `external` where an address is inside because somebody known has it.
    """

    external: Flags
    public_ipv4: Flags
    ipv6: Flags
    nat64: Flags
    service: Bits
    region: Integers


def address_table(batch: Batch, regions: dict[str, int]) -> AddressTable:
    """The table of a batch's addresses; `regions` gives each region a number, those that are new the next ones."""
    addresses, about = batch.addresses, pl.DataFrame() if batch.about is None else batch.about
    ipv4, number = addresses.family == 4, addresses.words[:, 0]  # noqa: PLR2004 - IPv4
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(ipv4))
    locality, service, region = (
        about[name] if name in about.columns else nothing for name in ("locality", "aws_service", "aws_region")
    )
    private = reduce(or_, (number & int(each.netmask) == int(each.network_address) for each in _PRIVATE))
    return AddressTable(
        external=np.append((locality == EXTERNAL).fill_null(value=False).to_numpy(), np.False_),
        public_ipv4=np.append(locality.is_not_null().to_numpy() & ipv4 & ~private, np.False_),
        ipv6=np.append(~ipv4, np.False_),
        nat64=np.append(~ipv4 & (addresses.words[:, :3] == _NAT64).all(axis=1), np.False_),
        service=np.append(service_codes(service), np.uint8(0)),
        region=np.append(coded(region, regions), -1),
    )


def service_codes(names: pl.Series) -> Bits:
    """AMAZON and the like for each name, 0 for none."""
    told, name = names.drop_nulls().alias("name").to_frame(), pl.col("name")
    kinds = (
        pl.when(name == "EC2")
        .then(EC2)
        .when(name == "AMAZON")
        .then(AMAZON)
        .when(name.str.starts_with("CLOUDFRONT"))
        .then(CLOUDFRONT)
        .otherwise(SERVICE)
    )
    codes = np.zeros(len(names), dtype=np.uint8)
    if told.height:
        codes[names.is_not_null().to_numpy()] = told.select(kinds.cast(pl.UInt8)).to_series().to_numpy()
    return codes


def bits_of(texts: pl.Series, bits: dict[str, int]) -> Bits:
    """What the table has for each text, 0 where it has nothing."""
    return texts.replace_strict(bits, default=0, return_dtype=pl.UInt8).to_numpy()


def _numbered(texts: pl.Series) -> tuple[Integers, tuple[str, ...]]:
    """A number for each text, -1 for none and at the end; and the texts by number."""
    numbers: dict[str, int] = {}
    return np.append(coded(texts, numbers), -1), tuple(numbers)


def coded(texts: pl.Series, numbers: dict[str, int]) -> Integers:
    """Each text's number, -1 for none; texts that have none yet get the next one."""
    first = texts[:1]
    if len(first) and not texts.null_count() and (texts == first[0]).all():  # as in most batches
        return np.full(len(texts), numbers.setdefault(first[0], len(numbers)))
    if texts.null_count() == len(texts):
        return np.full(len(texts), -1)
    distinct = texts.drop_nulls().unique(maintain_order=True)
    found = [numbers.setdefault(text, len(numbers)) for text in distinct.to_list()]
    return texts.replace_strict(distinct, found, default=-1, return_dtype=pl.Int64).to_numpy()
