"""One object of each version's fields, in AWS's order; the meaning is the AWS guide's, field by field."""

import pytest

from tests.ecs.cases import community_id
from tests.ecs.paths import ACCEPTED, MINUTE, REJECTED, Paths, ends, locality, ports, protocol, traffic

from .objects import Case, check, formats
from .records import (
    HEADER,
    NODATA,
    NODATA_PATHS,
    REGION,
    SKIPDATA,
    SKIPDATA_PATHS,
    SSH,
    SSH_FLOW,
    SSH_PATHS,
    lines,
    values,
)
from .writing import event, parquet, plain

ACCOUNT = {"cloud.account.id": "123456789012", "aws.vpcflow.account_id": "123456789012"}
INTERFACE = {"aws.vpcflow.interface_id": "eni-1235b8ca123456789"}
PLACE = {
    "aws.vpcflow.vpc_id": "vpc-abcdefab012345678",
    "aws.vpcflow.subnet_id": "subnet-aaaaaaaa012345678",
}
OK = {"aws.vpcflow.log_status": "OK"}

PING: Paths = {
    **REGION,
    "cloud.account.id": "123456789010",
    "aws.vpcflow.account_id": "123456789010",
    "aws.vpcflow.version": "2",
    **INTERFACE,
    **OK,
    **ports(0, 0),
    **protocol("1", "icmp"),
    **traffic(4, 336),
    "event.end": "2015-05-29T16:32:22.000Z",
    "@timestamp": "2015-05-29T16:32:22.000Z",
}
"""The guide's ping through a security group that allows it and a network ACL that does not let the answer out.

203.0.113.0/24 is for documentation and so neither inside nor outside.
"""

V3 = (
    "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr "
    "pkt-dstaddr protocol bytes packets start end action tcp-flags log-status"
)
IPERF: Paths = {
    **ACCOUNT,
    "cloud.account.id": "123456789010",
    "aws.vpcflow.account_id": "123456789010",
    **INTERFACE,
    **PLACE,
    **OK,
    **REGION,
    "aws.vpcflow.version": "3",
    "aws.vpcflow.type": "IPv4",
    "cloud.instance.id": "i-01234567890123456",
    "aws.vpcflow.instance_id": "i-01234567890123456",
    **protocol("6", "tcp"),
    "event.start": "2019-08-26T19:47:55.000Z",
    "event.end": "2019-08-26T19:48:53.000Z",
    "@timestamp": "2019-08-26T19:48:53.000Z",
    "event.duration": 58_000_000_000,
    **ACCEPTED,
}
"""The guide's TCP connection that begins in this window; its ports are 43416 and 5001."""

V5 = (
    "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id "
    "instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr "
    "pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status"
)
S3: Paths = {
    **ACCOUNT,
    **INTERFACE,
    **PLACE,
    **OK,
    "aws.vpcflow.version": "5",
    "aws.vpcflow.type": "IPv4",
    "cloud.instance.id": "i-0c50d5961bcb2d47b",
    "aws.vpcflow.instance_id": "i-0c50d5961bcb2d47b",
    "cloud.region": "ap-southeast-2",
    "cloud.availability_zone": "apse2-az3",
    **protocol("6", "tcp"),
    "event.start": "2021-03-26T03:28:12.000Z",
    "event.end": "2021-03-26T03:29:09.000Z",
    "@timestamp": "2021-03-26T03:29:09.000Z",
    "event.duration": 57_000_000_000,
    **ACCEPTED,
}
"""The guide's traffic with Amazon S3, of an instance in a private subnet."""

V6 = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
    "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
    "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end log-status "
    "type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired tcp-flags "
    "region flow-direction pkt-src-aws-service pkt-dst-aws-service"
)
GATEWAY: Paths = {
    **ACCOUNT,
    **OK,
    "aws.vpcflow.version": "6",
    "aws.vpcflow.resource_type": "TransitGateway",
    "aws.vpcflow.tgw_id": "tgw-0aaaaaaaaaaaaaaaa",
    "aws.vpcflow.tgw_attachment_id": "tgw-attach-0bbbbbbbbbbbbbbbb",
    "cloud.region": "us-east-1",
    **MINUTE,
}
"""No action, so neither an outcome nor allowed or denied; no interface that reports."""

FIREWALL = "2 123456789010 eni-1235b8ca123456789"
REFUSED = SSH.replace("ACCEPT", "REJECT")

CASES: dict[str, Case] = {
    "2: an accepted flow, and windows without records": Case(
        lines(HEADER, SSH, NODATA, SKIPDATA),
        {1: SSH_PATHS, 2: NODATA_PATHS, 3: SKIPDATA_PATHS},
    ),
    "2: a ping that comes in and is not answered": Case(
        lines(
            HEADER,
            f"{FIREWALL} 203.0.113.12 172.31.16.139 0 0 1 4 336 1432917027 1432917142 ACCEPT OK",
            f"{FIREWALL} 172.31.16.139 203.0.113.12 0 0 1 4 336 1432917094 1432917142 REJECT OK",
        ),
        {
            1: {
                **PING,
                **ends("203.0.113.12", "172.31.16.139"),
                **locality(None, "internal"),
                "network.community_id": community_id("203.0.113.12", "172.31.16.139", 0, 0, 1),
                "event.start": "2015-05-29T16:30:27.000Z",
                "event.duration": 115_000_000_000,
                **ACCEPTED,
            },
            2: {
                **PING,
                **ends("172.31.16.139", "203.0.113.12"),
                **locality("internal", None),
                "network.community_id": community_id("172.31.16.139", "203.0.113.12", 0, 0, 1),
                "event.start": "2015-05-29T16:31:34.000Z",
                "event.duration": 48_000_000_000,
                **REJECTED,
            },
        },
    ),
    "3: both directions of a connection, SYN and SYN-ACK": Case(
        lines(
            V3,
            (
                "3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 eni-1235b8ca123456789 "
                "123456789010 IPv4 52.213.180.42 10.0.0.62 43416 5001 52.213.180.42 10.0.0.62 6 568 8 "
                "1566848875 1566848933 ACCEPT 2 OK"
            ),
            (
                "3 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 eni-1235b8ca123456789 "
                "123456789010 IPv4 10.0.0.62 52.213.180.42 5001 43416 10.0.0.62 52.213.180.42 6 376 7 "
                "1566848875 1566848933 ACCEPT 18 OK"
            ),
        ),
        {
            1: {
                **IPERF,
                **ends("52.213.180.42", "10.0.0.62"),
                **locality("external", "internal"),
                **ports(43_416, 5001),
                **traffic(8, 568),
                "network.community_id": community_id("52.213.180.42", "10.0.0.62", 43_416, 5001, 6),
                "aws.vpcflow.pkt_srcaddr": "52.213.180.42",
                "aws.vpcflow.pkt_dstaddr": "10.0.0.62",
                "aws.vpcflow.tcp_flags": "2",
                "aws.vpcflow.tcp_flags_array": ["syn"],
            },
            2: {
                **IPERF,
                **ends("10.0.0.62", "52.213.180.42"),
                **locality("internal", "external"),
                **ports(5001, 43_416),
                **traffic(7, 376),
                "network.community_id": community_id("52.213.180.42", "10.0.0.62", 43_416, 5001, 6),
                "aws.vpcflow.pkt_srcaddr": "10.0.0.62",
                "aws.vpcflow.pkt_dstaddr": "52.213.180.42",
                "aws.vpcflow.tcp_flags": "18",
                "aws.vpcflow.tcp_flags_array": ["syn", "ack"],
            },
        },
    ),
    "4: in a Wavelength zone": Case(
        lines(
            f"{HEADER} region az-id sublocation-type sublocation-id",
            f"4{SSH[1:]} us-east-1 use1-az1 wavelength us-east-1-wl1-bos-wlz-1",
        ),
        {
            1: {
                **SSH_FLOW,
                "aws.vpcflow.version": "4",
                "cloud.region": "us-east-1",
                "cloud.availability_zone": "use1-az1",
                "aws.vpcflow.sublocation.type": "wavelength",
                "aws.vpcflow.sublocation.id": "us-east-1-wl1-bos-wlz-1",
            }
        },
    ),
    "5: all 29 fields, to and from a service of AWS": Case(
        lines(
            V5,
            (
                "5 52.95.128.179 10.0.0.71 80 34210 6 1616729292 1616729349 IPv4 14 15044 123456789012 "
                "vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 "
                "ap-southeast-2 apse2-az3 - - ACCEPT 19 52.95.128.179 10.0.0.71 S3 - - ingress OK"
            ),
            (
                "5 10.0.0.71 52.95.128.179 34210 80 6 1616729292 1616729349 IPv4 7 471 123456789012 "
                "vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 "
                "ap-southeast-2 apse2-az3 - - ACCEPT 3 10.0.0.71 52.95.128.179 - S3 8 egress OK"
            ),
        ),
        {
            1: {
                **S3,
                **ends("52.95.128.179", "10.0.0.71"),
                **locality("external", "internal"),
                **ports(80, 34_210),
                **traffic(14, 15_044),
                "network.community_id": community_id("52.95.128.179", "10.0.0.71", 80, 34_210, 6),
                "aws.vpcflow.pkt_srcaddr": "52.95.128.179",
                "aws.vpcflow.pkt_dstaddr": "10.0.0.71",
                "aws.vpcflow.pkt_src_service": "S3",
                "aws.vpcflow.tcp_flags": "19",
                "aws.vpcflow.tcp_flags_array": ["fin", "syn", "ack"],
                "network.direction": "ingress",
            },
            2: {
                **S3,
                **ends("10.0.0.71", "52.95.128.179"),
                **locality("internal", "external"),
                **ports(34_210, 80),
                **traffic(7, 471),
                "network.community_id": community_id("52.95.128.179", "10.0.0.71", 80, 34_210, 6),
                "aws.vpcflow.pkt_srcaddr": "10.0.0.71",
                "aws.vpcflow.pkt_dstaddr": "52.95.128.179",
                "aws.vpcflow.pkt_dst_service": "S3",
                "aws.vpcflow.tcp_flags": "3",
                "aws.vpcflow.tcp_flags_array": ["fin", "syn"],
                "network.direction": "egress",
                "aws.vpcflow.traffic_path": "8",
            },
        },
    ),
    "6: all 36 fields of a transit gateway, between two VPCs, to a VPN, and a window without records": Case(
        lines(
            V6,
            (
                "6 TransitGateway 123456789012 tgw-0aaaaaaaaaaaaaaaa tgw-attach-0bbbbbbbbbbbbbbbb 000000000001 "
                "000000000002 vpc-1 vpc-2 subnet-1 subnet-2 eni-1 eni-2 use1-az1 use1-az2 "
                "tgw-attach-0cccccccccccccccc 10.1.0.5 10.2.0.9 40000 5432 6 9 900 1769860800 1769860860 OK IPv4 "
                "0 1 2 3 2 us-east-1 ingress - -"
            ),
            (
                "6 TransitGateway 123456789012 tgw-0aaaaaaaaaaaaaaaa tgw-attach-0bbbbbbbbbbbbbbbb 000000000001 "
                "- vpc-1 - subnet-1 - eni-1 - use1-az1 - "
                "tgw-attach-0dddddddddddddddd 10.1.0.5 192.0.2.1 0 0 50 1 120 1769860800 1769860860 OK IPv4 "
                "0 0 0 0 - us-east-1 egress - -"
            ),
            (
                "6 TransitGateway 123456789012 tgw-0aaaaaaaaaaaaaaaa tgw-attach-0bbbbbbbbbbbbbbbb - - - - - - - - - - "
                "- - - - - - - - 1769860800 1769860860 NODATA - - - - - - us-east-1 - - -"
            ),
        ),
        {
            1: {
                **GATEWAY,
                "aws.vpcflow.tgw_src_vpc_account_id": "000000000001",
                "aws.vpcflow.tgw_dst_vpc_account_id": "000000000002",
                "aws.vpcflow.tgw_src_vpc_id": "vpc-1",
                "aws.vpcflow.tgw_dst_vpc_id": "vpc-2",
                "aws.vpcflow.tgw_src_subnet_id": "subnet-1",
                "aws.vpcflow.tgw_dst_subnet_id": "subnet-2",
                "aws.vpcflow.tgw_src_eni": "eni-1",
                "aws.vpcflow.tgw_dst_eni": "eni-2",
                "aws.vpcflow.tgw_src_az_id": "use1-az1",
                "aws.vpcflow.tgw_dst_az_id": "use1-az2",
                "aws.vpcflow.tgw_pair_attachment_id": "tgw-attach-0cccccccccccccccc",
                **ends("10.1.0.5", "10.2.0.9"),
                **locality("internal", "internal"),
                **ports(40_000, 5432),
                **protocol("6", "tcp"),
                **traffic(9, 900),
                "network.community_id": community_id("10.1.0.5", "10.2.0.9", 40_000, 5432, 6),
                "aws.vpcflow.type": "IPv4",
                "aws.vpcflow.packets_lost_no_route": 0,
                "aws.vpcflow.packets_lost_blackhole": 1,
                "aws.vpcflow.packets_lost_mtu_exceeded": 2,
                "aws.vpcflow.packets_lost_ttl_expired": 3,
                "aws.vpcflow.tcp_flags": "2",
                "aws.vpcflow.tcp_flags_array": ["syn"],
                "network.direction": "ingress",
            },
            2: {
                **GATEWAY,
                "aws.vpcflow.tgw_src_vpc_account_id": "000000000001",
                "aws.vpcflow.tgw_src_vpc_id": "vpc-1",
                "aws.vpcflow.tgw_src_subnet_id": "subnet-1",
                "aws.vpcflow.tgw_src_eni": "eni-1",
                "aws.vpcflow.tgw_src_az_id": "use1-az1",
                "aws.vpcflow.tgw_pair_attachment_id": "tgw-attach-0dddddddddddddddd",
                **ends("10.1.0.5", "192.0.2.1"),
                **locality("internal", None),
                **ports(0, 0),
                **protocol("50", "esp"),
                **traffic(1, 120),
                "network.community_id": community_id("10.1.0.5", "192.0.2.1", 0, 0, 50),
                "aws.vpcflow.type": "IPv4",
                "aws.vpcflow.packets_lost_no_route": 0,
                "aws.vpcflow.packets_lost_blackhole": 0,
                "aws.vpcflow.packets_lost_mtu_exceeded": 0,
                "aws.vpcflow.packets_lost_ttl_expired": 0,
                "network.direction": "egress",
            },
            3: {**GATEWAY, "aws.vpcflow.log_status": "NODATA"},
        },
    ),
    "7: a task of ECS on EC2": Case(
        lines(
            (
                f"{HEADER} ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id "
                "ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn "
                "ecs-task-id"
            ),
            (
                f"7{SSH[1:]} arn:aws:ecs:eu-central-1:123456789010:cluster/shop shop "
                "arn:aws:ecs:eu-central-1:123456789010:container-instance/shop/1f73 1f73 8bf0 8bf1 checkout "
                "arn:aws:ecs:eu-central-1:123456789010:task-definition/checkout:7 "
                "arn:aws:ecs:eu-central-1:123456789010:task/shop/0aa1 0aa1"
            ),
        ),
        {
            1: {
                **SSH_FLOW,
                **REGION,
                "aws.vpcflow.version": "7",
                "orchestrator.type": "ecs",
                "orchestrator.cluster.id": "arn:aws:ecs:eu-central-1:123456789010:cluster/shop",
                "orchestrator.cluster.name": "shop",
                "orchestrator.resource.name": "arn:aws:ecs:eu-central-1:123456789010:container-instance/shop/1f73",
                "orchestrator.resource.id": "1f73",
                "container.id": "8bf0",
                "aws.vpcflow.ecs_container_id": "8bf0",
                "aws.vpcflow.ecs_second_container_id": "8bf1",
                "service.name": "checkout",
                "aws.vpcflow.ecs_task_definition_arn": (
                    "arn:aws:ecs:eu-central-1:123456789010:task-definition/checkout:7"
                ),
                "aws.vpcflow.ecs_task_arn": "arn:aws:ecs:eu-central-1:123456789010:task/shop/0aa1",
                "aws.vpcflow.ecs_task_id": "0aa1",
            }
        },
    ),
    "8: rejected, and why": Case(
        lines(f"{HEADER} reject-reason", f"8{REFUSED[1:]} BPA", f"8{REFUSED[1:]} EC", f"8{REFUSED[1:]} -"),
        {
            1: {**SSH_FLOW, **REGION, **REJECTED, "aws.vpcflow.version": "8", "event.reason": "BPA"},
            2: {**SSH_FLOW, **REGION, **REJECTED, "aws.vpcflow.version": "8", "event.reason": "EC"},
            3: {**SSH_FLOW, **REGION, **REJECTED, "aws.vpcflow.version": "8"},
        },
    ),
    "9: a regional NAT gateway, which has no interface": Case(
        lines(
            f"{HEADER} resource-id",
            f"9{SSH[1:]} nat-0123456789abcdef0".replace("eni-1235b8ca123456789", "-"),
        ),
        {
            1: {
                **{path: value for path, value in SSH_FLOW.items() if path != "aws.vpcflow.interface_id"},
                **REGION,
                "aws.vpcflow.version": "9",
                "aws.vpcflow.resource_id": "nat-0123456789abcdef0",
            }
        },
    ),
    "10: encrypted, or not": Case(
        lines(f"{HEADER} encryption-status", *(f"10{SSH[1:]} {status}" for status in ("0", "1", "2", "3", "-"))),
        {
            **{
                row: {
                    **SSH_FLOW,
                    **REGION,
                    "aws.vpcflow.version": "10",
                    "aws.vpcflow.encryption_status": status,
                }
                for row, status in enumerate(("0", "1", "2", "3"), 1)
            },
            5: {**SSH_FLOW, **REGION, "aws.vpcflow.version": "10"},
        },
    ),
    "11: tags, percent-encoded UTF-8, and the next hop": Case(
        lines(
            (
                f"{HEADER} instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 "
                "interface-type next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id "
                "next-hop-interface-type"
            ),
            (
                f"11{SSH[1:]} Stra%C3%9Fe%207 %E0%B9%84%E0%B8%97%E0%B8%A2 100%25 plain - %22a%5Cb%22 "
                "nat_gateway eni-2 subnet-2 use1-az2 vpc-2 transit_gateway"
            ),
        ),
        {
            1: {
                **SSH_FLOW,
                **REGION,
                "aws.vpcflow.version": "11",
                "aws.vpcflow.instance_tag": "Straße 7",
                "aws.vpcflow.instance_tag_2": "ไทย",
                "aws.vpcflow.interface_tag": "100%",
                "aws.vpcflow.interface_tag_2": "plain",
                "aws.vpcflow.asg_tag_2": '"a\\b"',
                "aws.vpcflow.interface_type": "nat_gateway",
                "aws.vpcflow.next_hop_interface_id": "eni-2",
                "aws.vpcflow.next_hop_subnet_id": "subnet-2",
                "aws.vpcflow.next_hop_az_id": "use1-az2",
                "aws.vpcflow.next_hop_vpc_id": "vpc-2",
                "aws.vpcflow.next_hop_interface_type": "transit_gateway",
            }
        },
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_version(case: Case) -> None:
    check(case)


def split(case: Case) -> tuple[str, list[str]]:
    """The header and the records of a case."""
    header, *records = case.data.decode().splitlines()
    return header, records


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_version_in_parquet(case: Case) -> None:
    header, records = split(case)
    rows = [values(record, tuple(header.split())) for record in records]
    check(Case(parquet(rows), {row - 1: paths for row, paths in case.documents.items()}))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_version_between_commas(case: Case) -> None:
    header, records = split(case)
    rows = [values(record, tuple(header.split())) for record in records]
    check(Case(plain(header.split(), *(list(row.values()) for row in rows)), case.documents))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_version_in_log_events(case: Case) -> None:
    header, records = split(case)
    data = lines(*(event(record) for record in records))
    documents = {row - 1: paths for row, paths in case.documents.items()}
    check(Case(data, documents, formats=formats(("the configuration", header)), told_by="the configuration"))
