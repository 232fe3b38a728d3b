"""Which charge a record stands for: one or none, decided from what is known of the interface that reports it.

docs/cost.md tells each rule in words, with its source, and why none is charged twice.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exporter.addresses import Flags

KINDS = ("nat_processing", "cross_zone", "inter_region", "internet_egress", "transit_gateway", "endpoint")
"""The charges; each is an option of config.Prices."""

NOTHING = -1

Bits = npt.NDArray[np.uint8]

NAT, ENDPOINT, TRANSIT, FREE, BALANCER, SERVED = (1 << bit for bit in range(6))
"""What an interface is, where that matters: a NAT gateway; an endpoint; a transit gateway's; another one with which
crossing zones is free; a load balancer with which it is free within its VPC; one that never pays for crossing zones,
for the other side does."""

RESOURCES: dict[str, int] = {
    "nat_gateway": NAT,
    "vpc_endpoint": ENDPOINT,
    "gateway_load_balancer_endpoint": ENDPOINT,
    "transit_gateway_attachment": TRANSIT,
    "client_vpn_endpoint": FREE,
    "application_load_balancer": BALANCER,
    "classic_load_balancer": BALANCER,
    "load_balancer": BALANCER,
    "database": SERVED,
    "cache_cluster": SERVED,
}
"""By an owner's resource type; sources in docs/cost.md."""

TYPES: dict[str, int] = {
    "nat_gateway": NAT,
    "natGateway": NAT,
    "vpc_endpoint": ENDPOINT,
    "gateway_load_balancer_endpoint": ENDPOINT,
    "transit_gateway": TRANSIT,
    "load_balancer": BALANCER,
}
"""By EC2's InterfaceType."""

AMAZON, SERVICE, EC2, CLOUDFRONT = range(1, 5)
"""Whose a public address is by AWS's address ranges, the more exact the higher; SERVICE is any but the others.

0 where it is not known to be AWS's.
"""

INTERNET_GATEWAY, PEERING, PEERING_OF_REGIONS = (2, 8), 4, 5
"""Values of traffic-path; 2 may be a gateway endpoint, and then the address is S3's or DynamoDB's."""

UNSAID = 0
"""The path of a record that has none."""

PRIVATE = (UNSAID, 1, *INTERNET_GATEWAY)
"""Paths that may lead to an owner in another region, besides the peering of regions: 1 is a transit gateway's."""

_PATHS = np.arange(256)
_LEAVES, _REACHES = np.isin(_PATHS, INTERNET_GATEWAY), np.isin(_PATHS, PRIVATE)


@dataclass(frozen=True, slots=True)
class Seen:
    """What counts of each record; the other end is an egress record's destination, an ingress one's source."""

    egress: Flags
    ingress: Flags
    path: Bits
    reporter: Bits
    """What the reporting interface is."""
    other: Bits
    """What the interface at the other end is."""
    known: Flags
    """The inventory knows the reporting interface."""
    public: Flags
    """The reporting interface has a public address."""
    home: Flags
    """The other end's owner is known, and in the payer's region."""
    elsewhere: Flags
    """It is known, and in another region."""
    same_vpc: Flags
    zones: Flags
    """Both owners' zones are known, and differ."""
    hop: Flags
    """The next hop is in another zone, and crossing to it is not free."""
    ipv6: Flags
    """The reporter's own address is."""
    nat64: Flags
    """The other address is an IPv4 address behind NAT64."""
    external: Flags
    """The other address is outside, and nobody's who is known."""
    translated: Flags
    """The other address is a public IPv4 address and the reporter's own is not: packets go by public addresses."""
    service: Bits
    """Whose the other address is."""
    near: Flags
    """It is AWS's in the reporter's region."""
    far: Flags
    """It is AWS's in another one."""
    gateway: Flags
    """A transit gateway's own record, of what goes into it by a VPC's interface that nothing else accounts for."""


def kinds(seen: Seen) -> npt.NDArray[np.int8]:
    """A place in KINDS for each record, NOTHING where it costs nothing; of the rules that fit the last one counts."""
    outward = _outward(seen)
    sends = ~_has(seen.reporter, ENDPOINT | TRANSIT)
    rules = (
        ("cross_zone", sends & (_by_public_addresses(seen, outward) | _by_zones(seen) | _by_next_hop(seen))),
        ("internet_egress", sends & outward & seen.external & (seen.service == 0)),
        ("inter_region", sends & _between_regions(seen, outward)),
        ("transit_gateway", seen.gateway | (seen.ingress & _has(seen.reporter, TRANSIT))),
        ("nat_processing", seen.ingress & _has(seen.reporter, NAT)),
        ("endpoint", _has(seen.reporter, ENDPOINT)),
    )
    kind = np.full(len(seen.path), NOTHING, dtype=np.int8)
    for name, fits in rules:
        kind[fits] = KINDS.index(name)
    return kind


def _has(what: Bits, bits: int) -> Flags:
    """Whether it is one of these."""
    one: Flags = what & bits != 0
    return one


def _outward(seen: Seen) -> Flags:
    """What the reporting interface itself sends through an internet gateway, if it goes to a public address.

    Where the record has no path, an interface without a public address sends through another one, which pays; so does
    one that goes through NAT64.
    """
    able = _has(seen.reporter, NAT) | ((seen.public | seen.ipv6) & ~seen.nat64)
    out: Flags = seen.egress & (_LEAVES[seen.path] | ((seen.path == UNSAID) & able))
    return out


def _between_regions(seen: Seen, outward: Flags) -> Flags:
    """The sender pays: to AWS's addresses, to an owner by public addresses or by private ones, by a peering.

    To private addresses a NAT gateway passes on what was sent by an interface that names the same destination: that
    one pays where the destination's owner is known, and the gateway where the path alone tells.
    """
    passes_on = _has(seen.reporter, NAT) & seen.elsewhere
    to_aws = outward & seen.external & seen.far & (seen.service != CLOUDFRONT)
    translated = outward & seen.translated & seen.elsewhere
    privately = seen.egress & seen.known & ~seen.translated & seen.elsewhere & _REACHES[seen.path]
    peered = seen.egress & (seen.path == PEERING_OF_REGIONS)
    paid: Flags = to_aws | translated | ((privately | peered) & ~passes_on)
    return paid


def _by_public_addresses(seen: Seen, outward: Flags) -> Flags:
    """Within the region by public addresses, which costs as much as crossing zones whatever the zones are."""
    to_public = (seen.external & seen.near & (seen.service == EC2)) | (seen.translated & seen.home)
    received = seen.ingress & (seen.public | seen.ipv6)
    paid: Flags = (outward | received) & to_public & ~_has(seen.reporter, SERVED)
    return paid


def _by_zones(seen: Seen) -> Flags:
    """Between two owners in different zones of the region, over their VPC or a peering."""
    either = seen.reporter | seen.other
    inside = seen.same_vpc & ~_has(either, BALANCER) & (seen.egress | seen.ingress)
    peered = seen.egress & (seen.path == PEERING)
    between = seen.home & seen.zones & ~seen.translated & ~_has(either, NAT | ENDPOINT | TRANSIT | FREE)
    paid: Flags = (inside | peered) & between & ~_has(seen.reporter, SERVED)
    return paid


def _by_next_hop(seen: Seen) -> Flags:
    """Sent to an interface in another zone, which need not be the other end: a NAT gateway, an appliance."""
    free = NAT | ENDPOINT | TRANSIT | FREE | BALANCER
    return seen.egress & seen.hop & ~_has(seen.reporter, free | SERVED) & ~_has(seen.other, free)
