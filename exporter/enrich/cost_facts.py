"""What of a batch's records decides on their cost, as flags and small integers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.addresses import Flags, Integers
from exporter.enrich.cost_rules import BALANCER, ENDPOINT, FREE, NAT, SERVICE, TRANSIT, TYPES, UNSAID, Bits, Seen
from exporter.enrich.cost_tables import OwnerTable, address_table, bits_of, coded, service_codes
from exporter.flow import Batch

_OF_RECORDS = {name: FREE if what == TRANSIT else what for name, what in TYPES.items()}
"""What a record's own interface-type tells.  Whether a transit gateway's interface pays is for the inventory to say:
where that does not know the interface, the gateway's own records tell of what it takes in."""

_FREE_HOPS = [name for name, what in TYPES.items() if what & (ENDPOINT | TRANSIT | BALANCER)]

_PASSED = {"log_status": "OK", "action": "ACCEPT"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What counts of each record: for its kind, its bytes (0 where they do not count), and the region that pays.

    A region is a place in `regions`; -1 where it is not known.
    """

    seen: Seen
    size: Integers
    region: Integers
    regions: tuple[str, ...]


def facts(batch: Batch, owners: OwnerTable) -> Facts:
    """What counts of each record; `owners` is the table of the batch's owners, or NOBODY."""
    frame, nobody = batch.frame, len(owners.what) - 1
    regions = {name: number for number, name in enumerate(owners.regions)}
    told = _told(frame, nobody, nowhere=len(batch.addresses.family))
    egress, reporter = told["egress"], told["reporter"]
    there = np.where(egress, told["destination_owner"], told["source_owner"])
    own = np.where(egress, told["srcaddr"], told["dstaddr"])
    other = np.where(egress, told["pkt_dstaddr"], told["pkt_srcaddr"])
    service = _services(frame, egress)
    at, region = address_table(batch, regions), _paying(batch, owners.region[reporter], regions)
    seen = Seen(
        egress=egress,
        ingress=told["ingress"],
        path=told["path"],
        reporter=owners.what[reporter] | _what(frame),
        other=owners.what[there],
        known=reporter < nobody,
        public=told["public"],
        home=_same(region, owners.region[there]),
        elsewhere=_differ(region, owners.region[there]),
        same_vpc=_same(owners.vpc[reporter], owners.vpc[there]),
        zones=_differ(owners.zone[reporter], owners.zone[there]),
        hop=_hop(batch),
        ipv6=at.ipv6[own],
        nat64=at.nat64[other],
        external=at.external[other] & (there == nobody),
        translated=at.public_ipv4[other] & ~at.public_ipv4[own],
        service=np.where(service >= SERVICE, service, np.maximum(service, at.service[other])),
        near=_same(region, at.region[other]),
        far=_differ(region, at.region[other]),
        gateway=_into_gateway(frame, owners),
    )
    return Facts(seen, told["size"], region, tuple(regions))


def _same(one: Integers, other: Integers) -> Flags:
    """Both known, and the same."""
    same: Flags = (one >= 0) & (one == other)
    return same


def _differ(one: Integers, other: Integers) -> Flags:
    """Both known, and not the same."""
    differ: Flags = (one >= 0) & (other >= 0) & (one != other)
    return differ


def _told(frame: pl.DataFrame, nobody: int, nowhere: int) -> dict[str, npt.NDArray[Any]]:
    """What records tell, without gaps: nobody's row of owners and no address's place are `nobody` and `nowhere`.

    A transit gateway's records have no direction here: theirs is seen from the gateway.
    """
    directions = [] if any(name.startswith("tgw_") for name in frame.columns) else ["egress", "ingress"]
    wanted: dict[str, tuple[pl.Expr, type[np.generic], int]] = {
        **dict.fromkeys(("egress", "ingress"), (pl.lit(value=False), np.bool_, 0)),
        **{name: ((pl.col("flow_direction") == name).fill_null(value=False), np.bool_, 0) for name in directions},
        "path": (pl.col("traffic_path").fill_null(UNSAID).clip(0, 255).cast(pl.UInt8), np.uint8, UNSAID),
        "public": (pl.col("reporter_public").fill_null(value=False), np.bool_, 0),
        **{name: (pl.col(name).fill_null(nobody), np.uint32, nobody) for name in _OWNERS},
        **{name: (_place(name).fill_null(nowhere), np.uint32, nowhere) for name in _ADDRESSES},
        "size": (_size(frame), np.int64, 0),
    }
    told = _selected(frame, {name: each for name, (each, _, _) in wanted.items()})
    for name, (_, kind, missing) in wanted.items():
        told.setdefault(name, np.full(frame.height, missing, dtype=kind))
    for name in ("srcaddr", "dstaddr"):
        told[f"pkt_{name}"] = np.where(told[f"pkt_{name}"] == nowhere, told[name], told[f"pkt_{name}"])
    return told | {name: told[name].astype(np.intp) for name in (*_OWNERS, *_ADDRESSES)}


_OWNERS = ("reporter", "source_owner", "destination_owner")
_ADDRESSES = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")


def _selected(frame: pl.DataFrame, values: dict[str, pl.Expr]) -> dict[str, npt.NDArray[Any]]:
    """The values for which the frame has the columns."""
    roots = {name: value.meta.root_names() for name, value in values.items()}
    present = {name: value for name, value in values.items() if roots[name] and set(roots[name]) <= set(frame.columns)}
    # No columns but these: what is in several pieces is put together first, and that takes longer than all the rest.
    columns = dict.fromkeys(column for name in present for column in roots[name])
    few = pl.DataFrame([frame[column] for column in columns])
    return {each.name: each.to_numpy() for each in few.select(**present)}


def _place(column: str) -> pl.Expr:
    return pl.col(column).to_physical().cast(pl.UInt32)


def _services(frame: pl.DataFrame, egress: Flags) -> Bits:
    """Whose the other address is, by the records; 0 where they do not tell."""
    codes = [
        service_codes(frame[name]) if name in frame.columns else np.zeros(frame.height, dtype=np.uint8)
        for name in ("pkt_dst_aws_service", "pkt_src_aws_service")
    ]
    return np.where(egress, *codes)


def _size(frame: pl.DataFrame) -> pl.Expr:
    """Bytes that count: none of what was rejected.

    Where records have no such field, they are taken to tell of packets that passed.
    """
    passed = [pl.col(name) == value for name, value in _PASSED.items() if name in frame.columns]
    return (pl.when(*passed).then("bytes") if passed else pl.col("bytes")).fill_null(0)


def _what(frame: pl.DataFrame) -> Bits:
    """What the reporting interface is, by the records themselves."""
    what = np.zeros(frame.height, dtype=np.uint8)
    if "interface_type" in frame.columns:
        what |= bits_of(frame["interface_type"], _OF_RECORDS)
    if "resource_id" in frame.columns:
        what[frame["resource_id"].str.starts_with("nat-").fill_null(value=False).to_numpy()] |= NAT
    return what


def _hop(batch: Batch) -> Flags:
    """Whether the next hop is in another zone than the reporting interface, and crossing to it is not free."""
    frame = batch.frame
    zones = [frame["az_id"]] if "az_id" in frame.columns else []
    if batch.owners is not None and "reporter" in frame.columns:
        zones.append(batch.owners["availability_zone"].gather(frame["reporter"]))
    if "next_hop_az_id" not in frame.columns or not zones:
        return np.zeros(frame.height, dtype=bool)
    crosses = pl.coalesce(pl.lit(zone) for zone in zones) != pl.lit(frame["next_hop_az_id"])
    if "next_hop_interface_type" in frame.columns:
        crosses &= ~pl.lit(frame["next_hop_interface_type"]).is_in(_FREE_HOPS).fill_null(value=False)
    return pl.select(crosses.fill_null(value=False)).to_series().to_numpy()


def _into_gateway(frame: pl.DataFrame, owners: OwnerTable) -> Flags:
    """What a transit gateway tells to come by a VPC's interface that the inventory does not know."""
    if "tgw_src_eni" not in frame.columns or "flow_direction" not in frame.columns:
        return np.zeros(frame.height, dtype=bool)
    interface = pl.col("tgw_src_eni")
    unknown = interface.is_not_null() & ~interface.is_in(owners.gateways)
    comes = (pl.col("flow_direction") == "ingress").fill_null(value=False)
    return frame.select("tgw_src_eni", "flow_direction").select(unknown & comes).to_series().to_numpy()


def _paying(batch: Batch, region: Integers, regions: dict[str, int]) -> Integers:
    """The region of each record's payer: the record's own, else its interface's, else that of the object's key."""
    if batch.source.region is not None:
        region = np.where(region < 0, regions.setdefault(batch.source.region, len(regions)), region)
    if "region" in batch.frame.columns:
        own = coded(batch.frame["region"], regions)
        region = np.where(own < 0, region, own)
    return region
