"""Lines to whole documents; what is expected is written down by hand from what each field means."""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from time import sleep
from types import FrameType
from typing import Any

import pytest

from exporter.ecs import document
from exporter.enrich.inventory import Snapshot
from exporter.flow import S3Object
from tests.ecs.cases import (
    DB_VPCFLOW,
    INVENTORY,
    KEY,
    LOCAL,
    NOW,
    ODD_NAME,
    SOURCE,
    V2,
    V3,
    V4,
    V5,
    WEB,
    WEB_CLOUD,
    WEB_VPCFLOW,
    Interface,
    always,
    batches,
    community_id,
    document_id,
    encoded,
    encoder,
    nested,
    snapshot,
    with_key,
)
from tests.ecs.paths import ACCEPTED, KEYS, MINUTE, REJECTED, Paths, ends, locality, ports, protocol, traffic

UNKNOWN = "eni-unknown"


def record(interface: str = UNKNOWN, status: str = "OK") -> Paths:
    """The record's own account, interface and status, version 2."""
    return {
        "aws.vpcflow.version": "2",
        "aws.vpcflow.account_id": "012345678901",
        "aws.vpcflow.interface_id": interface,
        "aws.vpcflow.log_status": status,
    }


TCP = (
    "10.0.1.5 10.0.2.9 40000 5432 6",
    {
        **ends("10.0.1.5", "10.0.2.9"),
        **ports(40_000, 5432),
        **protocol("6", "tcp"),
        "network.community_id": community_id("10.0.1.5", "10.0.2.9", 40_000, 5432, 6),
    },
)
OUT = (
    "10.9.0.1 93.184.216.34 40000 443 6",
    {
        **ends("10.9.0.1", "93.184.216.34"),
        **ports(40_000, 443),
        **protocol("6", "tcp"),
        **locality("internal", "external"),
        "network.community_id": community_id("10.9.0.1", "93.184.216.34", 40_000, 443, 6),
    },
)
"""A flow of an interface that the inventory does not know."""
MADE_OUT = f"2 012345678901 {UNKNOWN} {OUT[0]} 20 4249 1769860800 1769860860 ACCEPT OK"
MADE_OUT_PATHS = {**always(), **KEYS, **record(), **OUT[1], **traffic(20, 4249), **MINUTE, **ACCEPTED}

WEB_REPORTS = {
    "cloud.account.id": "012345678901",
    "cloud.region": "eu-central-1",
    "cloud.availability_zone": "euc1-az2",
    "cloud.instance.id": "i-web",
    "cloud.instance.name": "web-1",
    "cloud.machine.type": "m7g.large",
    "aws.vpcflow.instance_id": "i-web",
    "aws.vpcflow.interface_type": "interface",
    "aws.vpcflow.vpc_id": "vpc-main",
    "aws.vpcflow.vpc_name": "main",
    "aws.vpcflow.subnet_id": "subnet-a",
    "aws.vpcflow.subnet_name": "front-a",
    "aws.vpcflow.security_group_ids": ["sg-web", "sg-all"],
}
"""What the inventory fills in where the web server's interface reports and the record is silent."""
WEB_TO_DB = {
    "cloud.origin": WEB_CLOUD,
    "cloud.target": {"account": {"id": "012345678901"}},
    "aws.vpcflow.source": WEB_VPCFLOW,
    "aws.vpcflow.destination": DB_VPCFLOW,
    **locality("internal", "internal"),
}

DOCUMENTS: dict[str, tuple[str, str, Paths]] = {
    "an accepted flow, nobody known": (V2, MADE_OUT, MADE_OUT_PATHS),
    "AWS's own example of a rejected flow": (
        V2,
        (
            "2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 "
            "1418530010 1418530070 REJECT OK"
        ),
        {
            **always(),
            **record("eni-1235b8ca123456789"),
            "cloud.account.id": "123456789010",
            "cloud.region": "eu-central-1",
            "aws.vpcflow.account_id": "123456789010",
            **ends("172.31.9.69", "172.31.9.12"),
            **ports(49_761, 3389),
            **protocol("6", "tcp"),
            **traffic(20, 4249),
            **locality("internal", "internal"),
            "network.community_id": community_id("172.31.9.69", "172.31.9.12", 49_761, 3389, 6),
            "@timestamp": "2014-12-14T04:07:50.000Z",
            "event.start": "2014-12-14T04:06:50.000Z",
            "event.end": "2014-12-14T04:07:50.000Z",
            "event.duration": 60_000_000_000,
            **REJECTED,
        },
    ),
    "IPv6, UDP": (
        V2,
        f"2 012345678901 {UNKNOWN} 2a00:1450::8 2a05:d014::77 53 50000 17 1 120 1769860800 1769860860 ACCEPT OK",
        {
            **always(),
            **KEYS,
            **record(),
            **ends("2a00:1450::8", "2a05:d014::77", "ipv6"),
            **ports(53, 50_000),
            **protocol("17", "udp"),
            **traffic(1, 120),
            **locality("external", "internal"),
            "network.community_id": community_id("2a00:1450::8", "2a05:d014::77", 53, 50_000, 17),
            **MINUTE,
            **ACCEPTED,
        },
    ),
    "ICMP: the ports are type and code": (
        V2,
        f"2 012345678901 {UNKNOWN} 8.8.8.8 10.9.0.1 0 0 1 4 336 1769860800 1769860860 ACCEPT OK",
        {
            **always(),
            **KEYS,
            **record(),
            **ends("8.8.8.8", "10.9.0.1"),
            **ports(0, 0),
            **protocol("1", "icmp"),
            **traffic(4, 336),
            **locality("external", "internal"),
            "network.community_id": community_id("8.8.8.8", "10.9.0.1", 0, 0, 1),
            **MINUTE,
            **ACCEPTED,
        },
    ),
    "NODATA": (
        V2,
        f"2 012345678901 {UNKNOWN} - - - - - - - 1769860800 1769860860 - NODATA",
        {**always(), **KEYS, **record(status="NODATA"), **MINUTE},
    ),
    "SKIPDATA": (
        V2,
        f"2 012345678901 {UNKNOWN} - - - - - - - 1769860800 1769860860 - SKIPDATA",
        {**always(), **KEYS, **record(status="SKIPDATA"), **MINUTE},
    ),
    "NODATA of a known interface": (
        V2,
        "2 012345678901 eni-web - - - - - - - 1769860800 1769860860 - NODATA",
        {**always(), **record("eni-web", "NODATA"), **WEB_REPORTS, **MINUTE},
    ),
    "SKIPDATA with an action has no outcome and no type": (
        "interface-id start end action log-status",
        f"{UNKNOWN} 1769860800 1769860860 ACCEPT SKIPDATA",
        {
            **always(),
            **KEYS,
            **MINUTE,
            "aws.vpcflow.interface_id": UNKNOWN,
            "aws.vpcflow.log_status": "SKIPDATA",
            "event.action": "ACCEPT",
            "aws.vpcflow.action": "ACCEPT",
        },
    ),
    "an action without a log-status": (
        "start end action",
        "1769860800 1769860860 REJECT",
        {**always(), **KEYS, **MINUTE, **REJECTED},
    ),
    "an action that is neither": (
        "start end action log-status",
        "1769860800 1769860860 DEFER OK",
        {
            **always(),
            **KEYS,
            **MINUTE,
            "event.action": "DEFER",
            "aws.vpcflow.action": "DEFER",
            "aws.vpcflow.log_status": "OK",
        },
    ),
    "both ends known: the inventory fills what the record leaves silent": (
        V2,
        f"2 012345678901 eni-web {TCP[0]} 20 4249 1769860800 1769860860 ACCEPT OK",
        {
            **always(),
            **record("eni-web"),
            **WEB_REPORTS,
            **WEB_TO_DB,
            **TCP[1],
            "network.direction": "egress",
            **traffic(20, 4249),
            **MINUTE,
            **ACCEPTED,
        },
    ),
    "one end known: the other end says nothing": (
        V2,
        "2 012345678901 eni-web 203.0.113.9 10.0.1.5 40000 443 6 1 40 1769860800 1769860860 REJECT OK",
        {
            **always(),
            **record("eni-web"),
            **WEB_REPORTS,
            **ends("203.0.113.9", "10.0.1.5"),
            **ports(40_000, 443),
            **protocol("6", "tcp"),
            **traffic(1, 40),
            "cloud.target": WEB_CLOUD,
            "aws.vpcflow.destination": WEB_VPCFLOW,
            "destination.locality": "internal",
            "network.direction": "ingress",
            "network.community_id": community_id("203.0.113.9", "10.0.1.5", 40_000, 443, 6),
            **MINUTE,
            **REJECTED,
        },
    ),
    "an interface of which only the id is known": (
        V2,
        "2 012345678901 eni-bare 10.0.3.3 8.8.8.8 5000 53 17 1 60 1769860800 1769860860 ACCEPT OK",
        {
            **always(),
            **KEYS,
            **record("eni-bare"),
            **ends("10.0.3.3", "8.8.8.8"),
            **ports(5000, 53),
            **protocol("17", "udp"),
            **traffic(1, 60),
            "aws.vpcflow.source": {"interface_id": "eni-bare"},
            **locality("internal", "external"),
            "network.direction": "egress",
            "network.community_id": community_id("10.0.3.3", "8.8.8.8", 5000, 53, 17),
            **MINUTE,
            **ACCEPTED,
        },
    ),
    "names of the inventory that need escaping": (
        "interface-id srcaddr log-status",
        "eni-odd 10.0.4.4 OK",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            "source.address": "10.0.4.4",
            "source.ip": "10.0.4.4",
            "source.locality": "internal",
            "network.type": "ipv4",
            "related.ip": ["10.0.4.4"],
            "cloud.instance.id": "i-odd",
            "cloud.instance.name": ODD_NAME,
            "cloud.origin": {"instance": {"id": "i-odd", "name": ODD_NAME}},
            "aws.vpcflow.instance_id": "i-odd",
            "aws.vpcflow.interface_id": "eni-odd",
            "aws.vpcflow.log_status": "OK",
            "aws.vpcflow.vpc_name": "a\\",
            "aws.vpcflow.security_group_ids": ['sg-"', "sg-\\n"],
            "aws.vpcflow.source": {
                "interface_id": "eni-odd",
                "vpc_name": "a\\",
                "security_group_ids": ['sg-"', "sg-\\n"],
                "tags": {'the "key"\n': ODD_NAME},
            },
        },
    ),
    "v3: NAT, the packet's true source is another address": (
        V3,
        (
            f"3 012345678901 {UNKNOWN} {OUT[0]} 9 900 1769860800 1769860860 ACCEPT OK "
            "vpc-x subnet-x - 19 IPv4 10.9.7.7 93.184.216.34"
        ),
        {
            **MADE_OUT_PATHS,
            **traffic(9, 900),
            "aws.vpcflow.version": "3",
            "aws.vpcflow.vpc_id": "vpc-x",
            "aws.vpcflow.subnet_id": "subnet-x",
            "aws.vpcflow.tcp_flags": "19",
            "aws.vpcflow.tcp_flags_array": ["fin", "syn", "ack"],
            "aws.vpcflow.type": "IPv4",
            "aws.vpcflow.pkt_srcaddr": "10.9.7.7",
            "aws.vpcflow.pkt_dstaddr": "93.184.216.34",
            "related.ip": ["10.9.0.1", "93.184.216.34", "10.9.7.7"],
        },
    ),
    "v3: four addresses, and an instance": (
        V3,
        (
            f"3 012345678901 {UNKNOWN} {OUT[0]} 9 900 1769860800 1769860860 ACCEPT OK "
            "vpc-x subnet-x i-x 2 IPv4 10.9.7.7 10.9.7.8"
        ),
        {
            **MADE_OUT_PATHS,
            **traffic(9, 900),
            "aws.vpcflow.version": "3",
            "aws.vpcflow.vpc_id": "vpc-x",
            "aws.vpcflow.subnet_id": "subnet-x",
            "aws.vpcflow.instance_id": "i-x",
            "cloud.instance.id": "i-x",
            "aws.vpcflow.tcp_flags": "2",
            "aws.vpcflow.tcp_flags_array": ["syn"],
            "aws.vpcflow.type": "IPv4",
            "aws.vpcflow.pkt_srcaddr": "10.9.7.7",
            "aws.vpcflow.pkt_dstaddr": "10.9.7.8",
            "related.ip": ["10.9.0.1", "93.184.216.34", "10.9.7.7", "10.9.7.8"],
        },
    ),
    "v4: in an outpost; the record's region and zone": (
        V4,
        (
            f"4 012345678901 {UNKNOWN} {OUT[0]} 9 900 1769860800 1769860860 ACCEPT OK "
            "- - - - - - - us-east-1 use1-az1 outpost op-1"
        ),
        {
            **MADE_OUT_PATHS,
            **traffic(9, 900),
            "aws.vpcflow.version": "4",
            "cloud.region": "us-east-1",
            "cloud.availability_zone": "use1-az1",
            "aws.vpcflow.sublocation": {"type": "outpost", "id": "op-1"},
        },
    ),
    "v5: all 29 fields, the record wins over the inventory": (
        V5,
        (
            f"5 000000000007 eni-web {TCP[0]} 20 4249 1769860800 1769860860 ACCEPT OK "
            "vpc-main subnet-own i-own 18 IPv4 10.0.1.5 10.0.2.9 us-east-1 use1-az1 wavelength wl-1 S3 EC2 ingress 1"
        ),
        {
            **always(),
            **WEB_REPORTS,
            **WEB_TO_DB,
            **TCP[1],
            **traffic(20, 4249),
            **MINUTE,
            **ACCEPTED,
            "aws.vpcflow.version": "5",
            "aws.vpcflow.account_id": "000000000007",
            "cloud.account.id": "000000000007",
            "aws.vpcflow.interface_id": "eni-web",
            "aws.vpcflow.log_status": "OK",
            "aws.vpcflow.vpc_id": "vpc-main",
            "aws.vpcflow.subnet_id": "subnet-own",
            "aws.vpcflow.instance_id": "i-own",
            "cloud.instance": {"id": "i-own"},
            "cloud.machine": None,
            "aws.vpcflow.tcp_flags": "18",
            "aws.vpcflow.tcp_flags_array": ["syn", "ack"],
            "aws.vpcflow.type": "IPv4",
            "aws.vpcflow.pkt_srcaddr": "10.0.1.5",
            "aws.vpcflow.pkt_dstaddr": "10.0.2.9",
            "cloud.region": "us-east-1",
            "cloud.availability_zone": "use1-az1",
            "aws.vpcflow.sublocation": {"type": "wavelength", "id": "wl-1"},
            "aws.vpcflow.pkt_src_service": "S3",
            "aws.vpcflow.pkt_dst_service": "EC2",
            "network.direction": "ingress",
            "aws.vpcflow.traffic_path": "1",
        },
    ),
    "v6: a transit gateway's record": (
        (
            "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
            "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
            "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end "
            "log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
            "packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service"
        ),
        (
            "6 TransitGateway 012345678901 tgw-1 tgw-attach-1 000000000001 000000000002 vpc-1 vpc-2 subnet-1 subnet-2 "
            "eni-1 eni-2 use1-az1 use1-az2 tgw-attach-2 "
            f"{OUT[0]} 9 900 1769860800 1769860860 OK IPv4 0 1 2 3 0 us-east-1 ingress - AMAZON"
        ),
        {
            **always(),
            **OUT[1],
            **traffic(9, 900),
            **MINUTE,
            "cloud.account.id": "012345678901",
            "cloud.region": "us-east-1",
            "network.direction": "ingress",
            "aws.vpcflow": {
                "version": "6",
                "resource_type": "TransitGateway",
                "account_id": "012345678901",
                "tgw_id": "tgw-1",
                "tgw_attachment_id": "tgw-attach-1",
                "tgw_src_vpc_account_id": "000000000001",
                "tgw_dst_vpc_account_id": "000000000002",
                "tgw_src_vpc_id": "vpc-1",
                "tgw_dst_vpc_id": "vpc-2",
                "tgw_src_subnet_id": "subnet-1",
                "tgw_dst_subnet_id": "subnet-2",
                "tgw_src_eni": "eni-1",
                "tgw_dst_eni": "eni-2",
                "tgw_src_az_id": "use1-az1",
                "tgw_dst_az_id": "use1-az2",
                "tgw_pair_attachment_id": "tgw-attach-2",
                "log_status": "OK",
                "type": "IPv4",
                "packets_lost_no_route": 0,
                "packets_lost_blackhole": 1,
                "packets_lost_mtu_exceeded": 2,
                "packets_lost_ttl_expired": 3,
                "tcp_flags": "0",
                "pkt_dst_service": "AMAZON",
            },
        },
    ),
    "v6: both ends known, each in its VPC; nobody reports": (
        (
            "version account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-eni tgw-dst-eni srcaddr dstaddr srcport dstport "
            "protocol packets bytes start end log-status flow-direction"
        ),
        (f"6 000000000007 vpc-main vpc-main eni-web eni-db {TCP[0]} 9 900 1769860800 1769860860 OK ingress"),
        {
            **always(),
            **WEB_TO_DB,
            **TCP[1],
            **traffic(9, 900),
            **MINUTE,
            "cloud.account.id": "000000000007",
            "cloud.region": "eu-central-1",
            "network.direction": "ingress",
            "aws.vpcflow.version": "6",
            "aws.vpcflow.account_id": "000000000007",
            "aws.vpcflow.tgw_src_vpc_id": "vpc-main",
            "aws.vpcflow.tgw_dst_vpc_id": "vpc-main",
            "aws.vpcflow.tgw_src_eni": "eni-web",
            "aws.vpcflow.tgw_dst_eni": "eni-db",
            "aws.vpcflow.log_status": "OK",
        },
    ),
    "v6: a VPC that the inventory does not know": (
        "version tgw-src-vpc-id tgw-dst-vpc-id srcaddr dstaddr start end",
        "6 vpc-other vpc-main 10.0.1.5 10.0.2.9 1769860800 1769860860",
        {
            **always(),
            **KEYS,
            **MINUTE,
            **ends("10.0.1.5", "10.0.2.9"),
            **locality("internal", "internal"),
            "cloud.target": {"account": {"id": "012345678901"}},
            "aws.vpcflow.destination": DB_VPCFLOW,
            "aws.vpcflow.version": "6",
            "aws.vpcflow.tgw_src_vpc_id": "vpc-other",
            "aws.vpcflow.tgw_dst_vpc_id": "vpc-main",
        },
    ),
    "v7: a task of ECS": (
        (
            f"{V2} ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id "
            "ecs-container-id ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id"
        ),
        (f"{MADE_OUT} arn:aws:ecs:eu-central-1:012345678901:cluster/c1 c1 arn:ci ci-1 c-1 c-2 shop arn:td arn:t t-1"),
        {
            **MADE_OUT_PATHS,
            "orchestrator": {
                "type": "ecs",
                "cluster": {"id": "arn:aws:ecs:eu-central-1:012345678901:cluster/c1", "name": "c1"},
                "resource": {"name": "arn:ci", "id": "ci-1"},
            },
            "container.id": "c-1",
            "service.name": "shop",
            "aws.vpcflow.ecs_container_id": "c-1",
            "aws.vpcflow.ecs_second_container_id": "c-2",
            "aws.vpcflow.ecs_task_definition_arn": "arn:td",
            "aws.vpcflow.ecs_task_arn": "arn:t",
            "aws.vpcflow.ecs_task_id": "t-1",
        },
    ),
    "v7: no task": (
        f"{V2} ecs-cluster-arn ecs-cluster-name ecs-service-name",
        f"{MADE_OUT} - - -",
        MADE_OUT_PATHS,
    ),
    "v7: a format with the cluster's name only": (
        f"{V2} ecs-cluster-name",
        f"{MADE_OUT} c1",
        {**MADE_OUT_PATHS, "orchestrator": {"type": "ecs", "cluster": {"name": "c1"}}},
    ),
    "v8: why it was rejected": (
        f"{V2} reject-reason",
        f"{MADE_OUT.replace('ACCEPT', 'REJECT')} BPA",
        {**MADE_OUT_PATHS, **REJECTED, "event.reason": "BPA"},
    ),
    "v9: a regional NAT gateway has no interface": (
        f"{V2} resource-id",
        f"{MADE_OUT.replace(UNKNOWN, '-')} nat-1",
        {
            **{path: value for path, value in MADE_OUT_PATHS.items() if path != "aws.vpcflow.interface_id"},
            "aws.vpcflow.resource_id": "nat-1",
        },
    ),
    "v10: encryption": (
        f"{V2} encryption-status",
        f"{MADE_OUT} 0",
        {**MADE_OUT_PATHS, "aws.vpcflow.encryption_status": "0"},
    ),
    "v11: tags are percent-decoded, and the next hop": (
        (
            f"{V2} instance-tag instance-tag-2 interface-tag interface-tag-2 asg-tag asg-tag-2 interface-type "
            "next-hop-interface-id next-hop-subnet-id next-hop-az-id next-hop-vpc-id next-hop-interface-type"
        ),
        (
            f"{MADE_OUT} J%C3%B6rg%20%22web%22 a%0Ab - %F0%9F%A4%96 plain 100%25 "
            "efa eni-h subnet-h use1-az3 vpc-h nat_gateway"
        ),
        {
            **MADE_OUT_PATHS,
            "aws.vpcflow.instance_tag": 'Jörg "web"',
            "aws.vpcflow.instance_tag_2": "a\nb",
            "aws.vpcflow.interface_tag_2": "🤖",
            "aws.vpcflow.asg_tag": "plain",
            "aws.vpcflow.asg_tag_2": "100%",
            "aws.vpcflow.interface_type": "efa",
            "aws.vpcflow.next_hop_interface_id": "eni-h",
            "aws.vpcflow.next_hop_subnet_id": "subnet-h",
            "aws.vpcflow.next_hop_az_id": "use1-az3",
            "aws.vpcflow.next_hop_vpc_id": "vpc-h",
            "aws.vpcflow.next_hop_interface_type": "nat_gateway",
        },
    ),
    "fields that are not known yet, and one named twice": (
        f"{V2} mood weather srcport",
        f'{MADE_OUT} "fine"\\🤖 - 40001',
        {**MADE_OUT_PATHS, "aws.vpcflow.extra": {"mood": '"fine"\\🤖', "srcport.2": "40001"}},
    ),
    "an unknown account: the key's stands in": (
        V2,
        MADE_OUT.replace("012345678901", "unknown"),
        {path: value for path, value in MADE_OUT_PATHS.items() if path != "aws.vpcflow.account_id"},
    ),
    "no times: the object's": (
        "version action",
        "2 ACCEPT",
        {**always(), **KEYS, **ACCEPTED, "aws.vpcflow.version": "2", "@timestamp": "2026-01-31T12:00:00.000Z"},
    ),
    "no end: the start is the time": (
        "start end",
        "1769860800 -",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            "event.start": "2026-01-31T12:00:00.000Z",
        },
    ),
    "no start": (
        "start end",
        "- 1769860860",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:01:00.000Z",
            "event.end": "2026-01-31T12:01:00.000Z",
        },
    ),
    "an end before its start lasts no time": (
        "start end",
        "1769860860 1769860800",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            "event.start": "2026-01-31T12:01:00.000Z",
            "event.end": "2026-01-31T12:00:00.000Z",
        },
    ),
    "a start that is the end": (
        "start end",
        "1769860860 1769860860",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:01:00.000Z",
            "event.start": "2026-01-31T12:01:00.000Z",
            "event.end": "2026-01-31T12:01:00.000Z",
            "event.duration": 0,
        },
    ),
    "milliseconds": (
        "start end",
        "1769860800001 1769860860250",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:01:00.250Z",
            "event.start": "2026-01-31T12:00:00.001Z",
            "event.end": "2026-01-31T12:01:00.250Z",
            "event.duration": 60_249_000_000,
        },
    ),
    "a duration that no long holds": (
        "start end",
        "0 99999999999",
        {
            **always(),
            **KEYS,
            "@timestamp": "5138-11-16T09:46:39.000Z",
            "event.start": "1970-01-01T00:00:00.000Z",
            "event.end": "5138-11-16T09:46:39.000Z",
        },
    ),
    "address families that differ: no Community ID": (
        "srcaddr dstaddr srcport dstport protocol",
        "10.9.0.1 2a00:1450::8 1 2 6",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            **ends("10.9.0.1", "2a00:1450::8"),
            **ports(1, 2),
            **protocol("6", "tcp"),
            **locality("internal", "external"),
        },
    ),
    "a source that is the destination stands in related.ip once": (
        "srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
        "10.9.0.1 10.9.0.1 10.9.0.1 10.9.0.1",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            **ends("10.9.0.1", "10.9.0.1"),
            **locality("internal", "internal"),
            "related.ip": ["10.9.0.1"],
            "aws.vpcflow.pkt_srcaddr": "10.9.0.1",
            "aws.vpcflow.pkt_dstaddr": "10.9.0.1",
        },
    ),
    "a packet's addresses only": (
        "srcaddr dstaddr pkt-srcaddr pkt-dstaddr",
        "- - - 2a00:1450::8",
        {
            **always(),
            **KEYS,
            "@timestamp": "2026-01-31T12:00:00.000Z",
            "network.type": "ipv6",
            "related.ip": ["2a00:1450::8"],
            "aws.vpcflow.pkt_dstaddr": "2a00:1450::8",
        },
    ),
    "nothing at all": (
        "subnet-id",
        "-",
        {**always(), **KEYS, "@timestamp": "2026-01-31T12:00:00.000Z"},
    ),
}


def expected(paths: Paths) -> Any:  # noqa: ANN401 # a document
    """The document of the paths; an object given whole stands for all that is below it, None for nothing there."""
    whole = {path: value for path, value in paths.items() if isinstance(value, dict) or value is None}
    kept = {
        path: value
        for path, value in paths.items()
        if value is not None and not any(path.startswith(f"{above}.") for above in whole)
    }
    return nested(kept)


def made(
    header: str,
    *lines: str,
    inventory: Snapshot | None = INVENTORY,
    source: S3Object = SOURCE,
    original: bool = False,
) -> dict[str, Any]:
    return encoded(batches(header, *lines, inventory=inventory, source=source, original=original))


@pytest.mark.parametrize("case", DOCUMENTS)
def test_document(case: str) -> None:
    header, line, paths = DOCUMENTS[case]
    assert made(header, line) == {document_id(1): expected(paths)}


FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg"]


@pytest.mark.parametrize(
    ("flags", "names"),
    [("0", None), ("2", ["syn"]), ("18", ["syn", "ack"]), ("19", ["fin", "syn", "ack"]), ("255", FLAGS), ("64", None)],
)
def test_tcp_flags(flags: str, names: list[str] | None) -> None:
    paths = {
        **always(),
        **KEYS,
        "@timestamp": "2026-01-31T12:00:00.000Z",
        "aws.vpcflow.tcp_flags": flags,
        **({"aws.vpcflow.tcp_flags_array": names} if names else {}),
    }
    assert made("tcp-flags", flags) == {document_id(1): nested(paths)}


@pytest.mark.parametrize(
    ("number", "keyword"),
    [("0", "hopopt"), ("58", "ipv6-icmp"), ("132", "sctp"), ("61", None), ("200", None), ("255", None)],
)
def test_protocol(number: str, keyword: str | None) -> None:
    (only,) = made("protocol", number).values()
    assert only["network"] == {"iana_number": number} | ({"transport": keyword} if keyword else {})


def test_a_batch_of_all_sorts_is_whole() -> None:
    """Records that share a format, one after the other: each as it is alone, but for its row."""
    cases = [(line, paths) for header, line, paths in DOCUMENTS.values() if header == V2]
    assert len(cases) > 8
    documents = made(V2, *(line for line, _ in cases))
    assert documents == {
        document_id(row): expected({**paths, "log.offset": row}) for row, (_, paths) in enumerate(cases, 1)
    }


def test_outcomes_record_by_record() -> None:
    rows = {
        "ACCEPT OK": ("success", ["connection", "allowed"]),
        "REJECT OK": ("failure", ["connection", "denied"]),
        "ACCEPT -": ("success", ["connection", "allowed"]),
        "REJECT NODATA": (None, None),
        "- SKIPDATA": (None, None),
        "- -": (None, None),
    }
    documents = made("action log-status", *rows)
    events = [documents[document_id(row)]["event"] for row in range(1, 7)]
    assert [(event.get("outcome"), event.get("type")) for event in events] == list(rows.values())


def test_related_addresses_record_by_record() -> None:
    rows = {
        "10.9.0.1 10.9.0.2 10.9.0.1 10.9.0.2": ["10.9.0.1", "10.9.0.2"],
        "10.9.0.1 10.9.0.2 10.9.0.3 10.9.0.2": ["10.9.0.1", "10.9.0.2", "10.9.0.3"],
        "10.9.0.1 10.9.0.2 10.9.0.2 10.9.0.1": ["10.9.0.1", "10.9.0.2"],
        "10.9.0.1 10.9.0.2 10.9.0.3 10.9.0.3": ["10.9.0.1", "10.9.0.2", "10.9.0.3"],
        "- 10.9.0.2 - 10.9.0.4": ["10.9.0.2", "10.9.0.4"],
        "- - - -": None,
    }
    documents = made("srcaddr dstaddr pkt-srcaddr pkt-dstaddr", *rows)
    found = [documents[document_id(row)].get("related", {}).get("ip") for row in range(1, 7)]
    assert found == list(rows.values())


def test_without_an_inventory_nobody_is_known() -> None:
    line = f"2 012345678901 eni-web {TCP[0]} 20 4249 1769860800 1769860860 ACCEPT OK"
    paths = {
        **always(),
        **KEYS,
        **record("eni-web"),
        **TCP[1],
        **traffic(20, 4249),
        **locality("internal", "internal"),
        **MINUTE,
        **ACCEPTED,
    }
    assert made(V2, line, inventory=None) == {document_id(1): nested(paths)}
    assert made(V2, line, inventory=snapshot()) == {document_id(1): nested(paths)}


def test_a_key_without_account_and_region() -> None:
    source = with_key(account=None, region=None)
    gone = {path: value for path, value in MADE_OUT_PATHS.items() if path != "cloud.region"}
    assert made(V2, MADE_OUT, source=source) == {document_id(1): nested(gone)}
    (only,) = made(V2, MADE_OUT.replace("012345678901", "unknown"), source=source).values()
    assert only["cloud"] == {"provider": "aws"}


def test_only_the_records_without_an_account_get_the_keys() -> None:
    lines = [f"{each} -" for each in ("000000000007", "unknown", "-")]
    documents = made("account-id region", *lines)
    assert [documents[document_id(row)]["cloud"]["account"]["id"] for row in (1, 2, 3)] == [
        "000000000007",
        "012345678901",
        "012345678901",
    ]
    assert [documents[document_id(row)]["aws"].get("vpcflow") for row in (1, 2, 3)] == [
        {"account_id": "000000000007"},
        None,
        None,
    ]


def test_the_records_own_region_the_inventorys_then_the_keys() -> None:
    documents = made(
        "interface-id region", "eni-web us-east-1", "eni-web -", "eni-db -", source=with_key(region="eu-west-9")
    )
    assert [documents[document_id(row)]["cloud"]["region"] for row in (1, 2, 3)] == [
        "us-east-1",
        "eu-central-1",
        "eu-west-9",
    ]


def test_name_and_kind_belong_to_the_instance_that_the_record_names() -> None:
    documents = made("interface-id instance-id", "eni-web i-web", "eni-web i-other", "eni-web -", "eni-db i-x", "- -")
    clouds = [documents[document_id(row)]["cloud"] for row in range(1, 6)]
    assert [cloud.get("instance") for cloud in clouds] == [
        {"id": "i-web", "name": "web-1"},
        {"id": "i-other"},
        {"id": "i-web", "name": "web-1"},
        {"id": "i-x"},
        None,
    ]
    assert [cloud.get("machine") for cloud in clouds] == [
        {"type": "m7g.large"},
        None,
        {"type": "m7g.large"},
        None,
        None,
    ]


def test_event_original() -> None:
    lines = (MADE_OUT, f"2 012345678901 {UNKNOWN} - - - - - - - - - - NODATA")
    assert {key: each["event"]["original"] for key, each in made(V2, *lines, original=True).items()} == {
        document_id(1): lines[0],
        document_id(2): lines[1],
    }
    odd = r'2 IPv4 "a\b"'
    assert made("version type mood", odd, original=True)[document_id(1)]["event"]["original"] == odd
    assert "original" not in made("version type mood", odd)[document_id(1)]["event"]


def test_a_local_file() -> None:
    paths = {
        **always(source=LOCAL),
        "@timestamp": "2026-01-31T12:00:00.000Z",
        "aws.vpcflow.version": "2",
    }
    assert made("version", "2", source=LOCAL) == {document_id(1, LOCAL): nested(paths)}


@pytest.mark.parametrize("key", ['AWSLogs/"quoted"\\and\nmore', "AWSLogs/Jörg 🤖", KEY])
def test_keys_are_written_as_they_are(key: str) -> None:
    source = with_key(key=key, account='"1\\', region="x\ny")
    (only,) = made("version", "2", source=source).values()
    assert only["aws"]["s3"] == {"bucket": {"name": "flow-logs"}, "object": {"key": key}}
    assert only["cloud"] == {"provider": "aws", "account": {"id": '"1\\'}, "region": "x\ny"}


def test_a_file_name_that_is_no_utf_8() -> None:
    source = S3Object("", "flows-\udcff.log", "", 1, NOW)
    (body,) = encoder().encode(batches("version", "2", source=source)[0])
    ((_, line),) = body.items()
    assert json.loads(line)["log"]["file"] == {"path": "flows-?.log"}


def test_an_object_time_of_another_zone() -> None:
    source = with_key(time=datetime(2026, 1, 31, 14, 30, tzinfo=timezone(timedelta(hours=2))))
    (only,) = made("version", "2", source=source).values()
    assert only["@timestamp"] == "2026-01-31T12:30:00.000Z"


def test_rows_count_every_line_of_the_file() -> None:
    assert list(made("version", *["2"] * 300)) == [document_id(row) for row in range(1, 301)]
    documents = made("version", "2", "", "2", "version", "2")
    assert {key: each["log"]["offset"] for key, each in documents.items()} == {
        document_id(1): 1,
        document_id(3): 3,
        document_id(5): 5,
    }


def test_no_records_no_bodies() -> None:
    assert [list(encoder().encode(batch)) for batch in batches(V2, "", "")] == [[]]


def lines_of(count: int) -> Sequence[str]:
    return [MADE_OUT.replace("40000", str(10_000 + n)) for n in range(count)]


@pytest.mark.parametrize("request_bytes", [65_536, 300_000, 5_000_000])
def test_bodies_are_near_the_size_asked_for(request_bytes: int) -> None:
    """The first body has 256 documents and tells the size of the next; only the last may be smaller."""
    (batch,) = batches(V2, *lines_of(3000))
    bodies = list(encoder(request_bytes).encode(batch))
    assert bodies[0].count == 256
    assert sum(body.count for body in bodies) == 3000
    assert all(0.98 * request_bytes < len(body.data) < 1.02 * request_bytes for body in bodies[1:-1])
    assert 0 < len(bodies[-1].data) < 1.02 * request_bytes
    for body in bodies:
        assert body.source is SOURCE
        assert body.data.count(b"\n") == 2 * body.count
        assert body.data.endswith(b"}\n")
    rows = [json.loads(line)["log"]["offset"] for body in bodies for _, line in body.items()]
    assert rows == list(range(1, 3001))


def test_documents_larger_than_a_request_go_one_by_one() -> None:
    (batch,) = batches("version type mood", *(f"2 IPv4 {'x' * 1000}{n}" for n in range(260)))
    assert [body.count for body in encoder(100).encode(batch)] == [256, 1, 1, 1, 1]


def test_the_text_of_a_snapshot_is_made_once_and_anew_for_the_next() -> None:
    other = snapshot(Interface({**WEB.row, "instance_name": "renamed"}, WEB.own))
    making, names = encoder(), []
    for inventory in (INVENTORY, INVENTORY, other, None, INVENTORY):
        (batch,) = batches("interface-id version", "eni-web 2", inventory=inventory)
        ((_, line),) = next(making.encode(batch)).items()
        names.append(json.loads(line)["cloud"].get("instance", {}).get("name"))
    assert names == ["web-1", "web-1", "renamed", None, "web-1"]


def test_threads_with_different_snapshots_share_an_encoder() -> None:
    """While the inventory is swapped some threads still have the old one: each document keeps to its own.

    Every line of the encoder is a chance for another thread, else what can go wrong would go wrong too seldom.
    """
    making, wrong = encoder(), list[str]()

    def yielding(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 # itself, whose type cannot be written
        if frame.f_code.co_filename != document.__file__:
            return None
        if event == "line":
            sleep(0)
        return yielding

    def encode(name: str) -> None:
        inventory = snapshot(Interface({**WEB.row, "instance_name": name}, WEB.own))
        (batch,) = batches("interface-id version", "eni-web 2", inventory=inventory)
        sys.settrace(yielding)
        for _ in range(40):
            ((_, line),) = next(making.encode(batch)).items()
            found = json.loads(line)["cloud"]["instance"]["name"]
            wrong.extend([found] * (found != name))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(encode, ["web-1", "web-2", "web-3"]))
    assert wrong == []
