"""Records of AWS's guide ("Flow log record examples"): a flow, and windows without one.

Each is here as its values by the field's name, from which the tests write it in every way there is, and as what it
means.  Times: 1418530010 is 2014-12-14 04:06:50 UTC, 1431280876 is 2015-05-10 18:01:16 UTC.
"""

from tests.ecs.cases import community_id
from tests.ecs.paths import ACCEPTED, Paths, ends, locality, ports, protocol, traffic

V2 = (
    "version",
    "account-id",
    "interface-id",
    "srcaddr",
    "dstaddr",
    "srcport",
    "dstport",
    "protocol",
    "packets",
    "bytes",
    "start",
    "end",
    "action",
    "log-status",
)
HEADER = " ".join(V2)

SSH = (
    "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
)
"""SSH traffic to an interface was allowed."""

SSH_FLOW: Paths = {
    "cloud.account.id": "123456789010",
    "aws.vpcflow.account_id": "123456789010",
    "aws.vpcflow.interface_id": "eni-1235b8ca123456789",
    "aws.vpcflow.log_status": "OK",
    **ends("172.31.16.139", "172.31.16.21"),
    **locality("internal", "internal"),
    **ports(20_641, 22),
    **protocol("6", "tcp"),
    **traffic(20, 4249),
    "network.community_id": community_id("172.31.16.139", "172.31.16.21", 20_641, 22, 6),
    "@timestamp": "2014-12-14T04:07:50.000Z",
    "event.start": "2014-12-14T04:06:50.000Z",
    "event.end": "2014-12-14T04:07:50.000Z",
    "event.duration": 60_000_000_000,
    **ACCEPTED,
}
"""What does not depend on the record's version, nor on the key."""

REGION = {"cloud.region": "eu-central-1"}
"""A record without a region has its key's."""

SSH_PATHS: Paths = {**SSH_FLOW, **REGION, "aws.vpcflow.version": "2"}

NODATA = "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA"
"""No data were recorded during the capture window."""

NODATA_FLOW: Paths = {
    "cloud.account.id": "123456789010",
    "aws.vpcflow.account_id": "123456789010",
    "aws.vpcflow.interface_id": "eni-1235b8ca123456789",
    "aws.vpcflow.log_status": "NODATA",
    "@timestamp": "2015-05-10T18:02:14.000Z",
    "event.start": "2015-05-10T18:01:16.000Z",
    "event.end": "2015-05-10T18:02:14.000Z",
    "event.duration": 58_000_000_000,
}
NODATA_PATHS: Paths = {**NODATA_FLOW, **REGION, "aws.vpcflow.version": "2"}

SKIPDATA = "2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA"
"""Records were skipped during the capture window."""

SKIPDATA_PATHS: Paths = {
    **NODATA_PATHS,
    "aws.vpcflow.interface_id": "eni-11111111aaaaaaaaa",
    "aws.vpcflow.log_status": "SKIPDATA",
}


def lines(*each: str) -> bytes:
    """Lines as AWS writes them, each with its newline."""
    return "".join(f"{line}\n" for line in each).encode()


def values(record: str, names: tuple[str, ...] = V2) -> dict[str, str | None]:
    """A record's text by the field's name, None for `-`."""
    return {name: None if text == "-" else text for name, text in zip(names, record.split(" "), strict=True)}
