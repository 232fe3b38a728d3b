"""An account with a small network, buckets, and the program's own commands run on them."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch

from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster

REGION = "eu-west-1"
V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
CONFIG = """
source:
  s3:
    - {{bucket: {bucket}, region: eu-west-1, start: 2026-01-01{source}}}
  sqs: [{queue}]
  poll_every: 1s
aws: {{region: eu-west-1, endpoint_url: {aws}}}
enrich: {{ec2: {{tags: [Team]}}}}
output:
  namespace: {namespace}
  elasticsearch: {{hosts: ["{elasticsearch}"], requests_in_flight: 2, timeout: 10s, allow_plaintext: true{credentials}}}
state: {{folder: {state}}}
metrics: {{listen: "127.0.0.1:0"}}
"""


@dataclass(frozen=True, slots=True)
class Network:
    """Ids that EC2 gave.

    production 10.0.0.0/16: web-1 (an instance) at 10.0.0.10, a database (RDS) at 10.0.0.20, a NAT gateway at 10.0.0.5.
    staging, the same range: an instance at 10.0.0.20, and nobody at 10.0.0.10; batch-1 at 10.0.0.77.
    """

    zone: str
    vpc: str
    subnet: str
    group: str
    web: str
    web_instance: str
    database: str
    nat: str
    staging_vpc: str
    staging_subnet: str
    staging_group: str
    staging: str
    batch: str
    batch_instance: str


def make_network(aws: Aws) -> Network:
    """The network, through EC2's own API."""
    ec2 = aws.client("ec2", REGION)

    def named(kind: str, name: str, **more: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in {"Name": name, **more}.items()]}]

    def vpc_with_subnet(name: str) -> tuple[str, str, str]:
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=named("vpc", name))["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock="10.0.0.0/24",
            AvailabilityZone="eu-west-1a",
            TagSpecifications=named("subnet", f"{name}-a"),
        )["Subnet"]
        return vpc, subnet["SubnetId"], subnet["AvailabilityZoneId"]

    def interface(subnet: str, group: str, address: str, description: str) -> str:
        made = ec2.create_network_interface(
            SubnetId=subnet, Groups=[group], PrivateIpAddress=address, Description=description
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])

    def instance(subnet: str, group: str, address: str, name: str, team: str) -> tuple[str, str]:
        made = ec2.run_instances(
            ImageId="ami-12c6146b",
            InstanceType="t3.micro",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[
                {"DeviceIndex": 0, "NetworkInterfaceId": interface(subnet, group, address, "primary")},
            ],
            TagSpecifications=named("instance", name, Team=team),
        )["Instances"][0]
        return made["InstanceId"], made["NetworkInterfaces"][0]["NetworkInterfaceId"]

    vpc, subnet, zone = vpc_with_subnet("production")
    staging_vpc, staging_subnet, _ = vpc_with_subnet("staging")
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    staging_group = ec2.create_security_group(GroupName="all", Description="all", VpcId=staging_vpc)["GroupId"]
    web_instance, web = instance(subnet, group, "10.0.0.10", "web-1", "storefront")
    batch_instance, batch = instance(staging_subnet, staging_group, "10.0.0.77", "batch-1", "data")
    return Network(
        zone=zone,
        vpc=vpc,
        subnet=subnet,
        group=group,
        web=web,
        web_instance=web_instance,
        database=interface(subnet, group, "10.0.0.20", "RDSNetworkInterface"),
        nat=interface(subnet, group, "10.0.0.5", "Interface for NAT Gateway nat-0a1b2c3d4e5f60718"),
        staging_vpc=staging_vpc,
        staging_subnet=staging_subnet,
        staging_group=staging_group,
        staging=interface(staging_subnet, staging_group, "10.0.0.20", "scratch"),
        batch=batch,
        batch_instance=batch_instance,
    )


@dataclass(frozen=True, slots=True)
class World:
    """A bucket, a stream of its own, and a state folder; `namespace` makes all of them this test's own."""

    aws: Aws
    cluster: Cluster
    namespace: str
    folder: Path
    source: str = ""
    """More of the source's settings, after a comma."""
    queue: str = ""
    """The URL of a queue, which is a source too then."""
    by_clock: Aws | None = None
    """Where the program finds AWS, if not where the test does."""

    @property
    def seen(self) -> Aws:
        """AWS as the program sees it."""
        return self.by_clock or self.aws

    @property
    def bucket(self) -> str:
        return f"flow-logs-{self.namespace}"

    @property
    def stream(self) -> str:
        return f"logs-aws.vpcflow-{self.namespace}"

    @property
    def config(self) -> Path:
        """The configuration file, written anew."""
        auth = self.cluster.basic_auth
        path = self.folder / "config.yaml"
        path.write_text(
            CONFIG.format(
                bucket=self.bucket,
                source=self.source,
                queue=f'{{queue_url: "{self.queue}", region: {REGION}}}' if self.queue else "",
                aws=self.seen.url,
                namespace=self.namespace,
                elasticsearch=self.cluster.url,
                state=self.folder / "state",
                credentials=f', username: "{auth[0]}", password: "{auth[1]}"' if auth else "",
            )
        )
        return path

    @property
    def search(self) -> Elasticsearch:
        return Elasticsearch(self.cluster.url, basic_auth=self.cluster.basic_auth)

    def put(self, key: str, data: bytes) -> None:
        self.aws.client("s3", REGION).put_object(Bucket=self.bucket, Key=key, Body=data)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command of the program in a process of its own."""
        command = [sys.executable, "-m", "exporter", *arguments, "--config", str(self.config)]
        environment = {**os.environ, **self.seen.environment(REGION)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603

    def command(self, *arguments: str, status: int = 0) -> str:
        """What a command printed and logged, once it ended with `status`."""
        with self.start(*arguments) as process:
            output, log = process.communicate(timeout=120)
        assert process.returncode == status, f"{arguments}: status {process.returncode}\n{output}{log}"
        return output + log

    def ask_ec2(self) -> None:
        """Has the program ask EC2 and remember the answer, and nothing else: there is nothing at that prefix."""
        assert "0 objects, 0 records" in replace(self, source=", prefix: elsewhere").command("once")

    def documents(self) -> dict[str, dict[str, Any]]:
        """Every document of the stream by its id, flat."""
        client = self.search
        client.indices.refresh(index=self.stream)
        found = client.search(index=self.stream, size=1000, sort=["log.offset"])
        hits = found["hits"]["hits"]
        ids = [hit["_id"] for hit in hits]
        assert len(ids) == len(set(ids)), "a document is there twice"
        return {hit["_id"]: flat(hit["_source"]) for hit in hits}

    def count(self) -> int:
        client = self.search.options(ignore_status=404)
        client.indices.refresh(index=self.stream)
        return int(client.count(index=self.stream).get("count", 0))

    def dead_letters(self) -> list[dict[str, Any]]:
        """The letters' own lines."""
        path = self.folder / "state" / "dead-letters.ndjson"
        entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [entry for entry in entries if "object" in entry]


def flat(document: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A document's leaves by their dotted paths."""
    return dict(_leaves(document, above))


def _leaves(document: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def text(*lines: str) -> bytes:
    """A flow-log object."""
    return gzip.compress("".join(f"{line}\n" for line in lines).encode())


def plain_key(account: str, region: str, day: str, name: str) -> str:
    """A key of AWS's plain layout; `day` as 2026/01/05, `name` the time and hash."""
    return f"AWSLogs/{account}/vpcflowlogs/{region}/{day}/{account}_vpcflowlogs_{region}_fl-0a1_{name}.log.gz"


def hive_key(account: str, region: str, day: str, name: str) -> str:
    """The same in the hive-compatible layout."""
    year, month, number = day.split("/")
    return (
        f"AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/"
        f"year={year}/month={month}/day={number}/{account}_vpcflowlogs_{region}_fl-0b2_{name}.log.gz"
    )
