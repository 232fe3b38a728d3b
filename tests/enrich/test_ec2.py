"""Asking EC2: moto's server where it can show it, botocore's Stubber where it cannot.

moto ignores MaxResults, never throttles and refuses nothing by itself: paging, retries and refusals are shown at the
client's boundary, with answers in the shapes that EC2 documents.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from mypy_boto3_ec2 import EC2Client

from exporter.enrich import ec2 as ec2_module
from exporter.enrich.ec2 import QUESTIONS, Inventory, Question, describe
from exporter.enrich.inventory import Snapshot
from exporter.errors import InventoryError, Stopped
from exporter.metrics import Metrics
from exporter.retry import INVENTORY
from tests.services.aws import Aws, aws

from .cases import TAKEN

ITEMS = {question.operation: question.items for question in QUESTIONS}
FIRST_PAGE = {"MaxResults": 1000}


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws() as running:
        yield running


@pytest.fixture
def ec2(server: Aws) -> EC2Client:
    server.reset()
    made: EC2Client = server.client("ec2")
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def client(region: str = "us-east-1") -> EC2Client:
    return boto3.Session().client(
        "ec2",
        region_name=region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


def ask(ec2: EC2Client, metrics: Metrics, stop: Event | None = None) -> Snapshot:
    return describe(
        ec2, "us-east-1", "999999999999", tag_keys=("team",), now=TAKEN, stop=stop or Event(), metrics=metrics
    )


def answer(stub: Stubber, **items: list[dict[str, Any]]) -> None:
    """Queues one page for each question, with these items, else none."""
    for operation, key in ITEMS.items():
        stub.add_response(operation, {key: items.get(operation, [])}, FIRST_PAGE)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made in moto."""

    vpc: str
    subnet: str
    instance: str
    primary: str
    extra: str
    nat: str
    public: str


def tagged(kind: str, **tags: str) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def make(ec2: EC2Client) -> Made:
    vpc = ec2.create_vpc(
        CidrBlock="10.20.0.0/16", AmazonProvidedIpv6CidrBlock=True, TagSpecifications=tagged("vpc", Name="prod")
    )["Vpc"]
    block = vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"].replace("/56", "/64")
    subnet = ec2.create_subnet(
        VpcId=vpc["VpcId"],
        CidrBlock="10.20.1.0/24",
        Ipv6CidrBlock=block,
        AvailabilityZone="us-east-1a",
        TagSpecifications=tagged("subnet", Name="private-1", team="subnets"),
    )["Subnet"]["SubnetId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc["VpcId"])["GroupId"]
    instance = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        InstanceType="m5.large",
        SubnetId=subnet,
        SecurityGroupIds=[group],
        TagSpecifications=tagged("instance", Name="web-1", team="shop"),
    )["Instances"][0]
    extra = ec2.create_network_interface(
        SubnetId=subnet,
        Description="RDSNetworkInterface",
        PrivateIpAddresses=[
            {"Primary": True, "PrivateIpAddress": "10.20.1.50"},
            {"Primary": False, "PrivateIpAddress": "10.20.1.51"},
        ],
        Ipv6Addresses=[{"Ipv6Address": block.replace("/64", "50")}],
    )["NetworkInterface"]["NetworkInterfaceId"]
    allocation = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=allocation["AllocationId"])["NatGateway"]
    return Made(
        vpc=vpc["VpcId"],
        subnet=subnet,
        instance=instance["InstanceId"],
        primary=instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        extra=extra,
        nat=nat["NatGatewayAddresses"][0]["NetworkInterfaceId"],
        public=allocation["PublicIp"],
    )


def row(found: Snapshot, interface: str) -> dict[str, Any]:
    (only,) = found.owners.to_dicts()[(at := found.owners["interface_id"].to_list().index(interface)) : at + 1]
    return only


def addresses(found: Snapshot, interface: str) -> list[tuple[str, bool]]:
    owner = found.owners["interface_id"].to_list().index(interface)
    return [each[1:] for each in found.addresses.select("owner", "address", "public").rows() if each[0] == owner]


def test_an_account_in_moto(ec2: EC2Client, metrics: Metrics) -> None:
    made = make(ec2)
    found = ask(ec2, metrics)
    web = row(found, made.primary)
    groups = web.pop("security_group_ids")
    assert len(groups) == 1
    assert groups[0].startswith("sg-")
    assert web == {
        "interface_id": made.primary,
        "interface_type": "interface",
        "account_id": "123456789012",
        "region": "us-east-1",
        "availability_zone": "use1-az6",
        "instance_id": made.instance,
        "instance_name": "web-1",
        "machine_type": "m5.large",
        "service_name": "ec2",
        "subnet_id": made.subnet,
        "subnet_name": "private-1",
        "vpc_id": made.vpc,
        "vpc_name": "prod",
        "security_group_names": ["web"],
        "resource_type": "instance",
        "resource_name": "web-1",
        "tags": '{"team":"shop"}',
    }
    database = row(found, made.extra)
    assert (database["resource_type"], database["service_name"], database["tags"]) == (
        "database",
        "rds",
        '{"team":"subnets"}',
    )
    own = addresses(found, made.extra)
    assert own[:2] == [("10.20.1.50", False), ("10.20.1.51", False)]
    assert [address.endswith("::50") for address, _ in own[2:]] == [True]
    assert (made.public, True) in addresses(found, made.nat)
    assert "10.20.0.0/16" in found.networks
    assert found.taken == TAKEN


def test_every_question_reads_all_its_pages(metrics: Metrics) -> None:
    ec2 = client()
    pages: dict[str, list[dict[str, Any]]] = {
        "describe_network_interfaces": [
            {"NetworkInterfaceId": name, "SubnetId": "s-3", "VpcId": "v-3", "Attachment": {"InstanceId": "i-3"}}
            for name in ("eni-1", "eni-2", "eni-3")
        ],
        "describe_subnets": [
            {"SubnetId": name, "Tags": [{"Key": "Name", "Value": name}]} for name in ("s-1", "s-2", "s-3")
        ],
        "describe_vpcs": [{"VpcId": name, "Tags": [{"Key": "Name", "Value": name}]} for name in ("v-1", "v-2", "v-3")],
        "describe_instances": [
            {"Instances": [{"InstanceId": name, "InstanceType": f"t.{name}"}]} for name in ("i-1", "i-2", "i-3")
        ],
        "describe_security_groups": [{"GroupId": name, "GroupName": name} for name in ("g-1", "g-2", "g-3")],
    }
    pages["describe_network_interfaces"][2]["Groups"] = [{"GroupId": "g-3"}]
    with Stubber(ec2) as stub:
        for operation, key in ITEMS.items():
            first, second, third = pages[operation]
            stub.add_response(operation, {key: [first], "NextToken": "one"}, FIRST_PAGE)
            stub.add_response(operation, {key: [second], "NextToken": "two"}, FIRST_PAGE | {"NextToken": "one"})
            stub.add_response(operation, {key: [third], "NextToken": ""}, FIRST_PAGE | {"NextToken": "two"})
        found = ask(ec2, metrics)
        stub.assert_no_pending_responses()
    assert found.owners["interface_id"].to_list() == ["eni-1", "eni-2", "eni-3"]
    last = row(found, "eni-3")
    assert (last["subnet_name"], last["vpc_name"], last["machine_type"]) == ("s-3", "v-3", "t.i-3")
    assert last["security_group_names"] == ["g-3"]


def test_a_token_that_never_ends(metrics: Metrics) -> None:
    ec2 = client()
    with Stubber(ec2) as stub:
        page: dict[str, Any] = {"NetworkInterfaces": [], "NextToken": "one"}
        stub.add_response("describe_network_interfaces", page, FIRST_PAGE)
        stub.add_response("describe_network_interfaces", page, FIRST_PAGE | {"NextToken": "one"})
        with pytest.raises(InventoryError, match="describe_network_interfaces with one NextToken twice"):
            ask(ec2, metrics)


@pytest.mark.parametrize(
    ("code", "status"), [("RequestLimitExceeded", 503), ("Throttling", 400), ("InternalError", 500)]
)
def test_what_passes_is_asked_again(code: str, status: int, metrics: Metrics) -> None:
    ec2 = client()
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_network_interfaces", code, "wait", status)
        answer(stub, describe_network_interfaces=[{"NetworkInterfaceId": "eni-1"}])
        assert ask(ec2, metrics).owners.height == 1
        stub.assert_no_pending_responses()
    assert metrics.value("retries_total", policy="inventory") == 1


def test_a_wait_ends_when_the_program_stops(metrics: Metrics) -> None:
    ec2, stop = client(), Event()
    stop.set()
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_network_interfaces", "RequestLimitExceeded", "wait", 503)
        with pytest.raises(Stopped):
            ask(ec2, metrics, stop)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.operation)
def test_a_refusal_names_the_permission_and_is_not_retried(question: Question, metrics: Metrics) -> None:
    ec2 = client()
    with Stubber(ec2) as stub:
        for before in QUESTIONS[: QUESTIONS.index(question)]:
            stub.add_response(before.operation, {before.items: []}, FIRST_PAGE)
        stub.add_client_error(question.operation, "UnauthorizedOperation", "You are not authorized", 403)
        with pytest.raises(InventoryError) as caught:
            ask(ec2, metrics)
    text = str(caught.value)
    assert f"EC2 in us-east-1 refused {question.operation}" in text
    assert "You are not authorized" in text
    assert question.permission in text
    assert question.permission.removeprefix("ec2:").lower() == question.operation.replace("_", "")
    assert metrics.value("retries_total", policy="inventory") == 0


class Clock:
    """Tells the time that the test sets."""

    def __init__(self) -> None:
        self.now = TAKEN

    def __call__(self) -> datetime:
        return self.now


def test_no_inventory_before_the_first_good_refresh(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    ec2 = client()
    inventory = Inventory({"us-east-1": ec2}, tag_keys=(), stop=Event(), metrics=metrics)
    assert inventory.current() is None
    with Stubber(ec2) as stub, caplog.at_level(logging.WARNING):
        stub.add_client_error("describe_network_interfaces", "UnauthorizedOperation", "no", 403)
        assert inventory.refresh() is False
    assert inventory.current() is None
    assert len(caplog.records) == 1
    assert "there is none yet" in caplog.text
    assert metrics.value("inventory_refreshes_total", outcome="failed") == 1
    assert metrics.value("inventory_interfaces") == 0


def test_a_region_that_fails_keeps_its_last_answer_and_the_others_go_on(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    clients, clock = {region: client(region) for region in ("us-east-1", "eu-west-1")}, Clock()
    inventory = Inventory(clients, tag_keys=(), stop=Event(), metrics=metrics, now=clock)
    with Stubber(clients["us-east-1"]) as east, Stubber(clients["eu-west-1"]) as west:
        answer(east, describe_network_interfaces=[{"NetworkInterfaceId": "eni-e", "PrivateIpAddress": "10.0.0.1"}])
        answer(west, describe_network_interfaces=[{"NetworkInterfaceId": "eni-w", "PrivateIpAddress": "10.0.0.2"}])
        assert inventory.refresh() is True
        first = inventory.current()
        clock.now = TAKEN + timedelta(seconds=300)
        answer(east, describe_network_interfaces=[{"NetworkInterfaceId": "eni-new"}])
        west.add_client_error("describe_network_interfaces", "UnauthorizedOperation", "no", 403)
        with caplog.at_level(logging.WARNING):
            assert inventory.refresh() is False
        between = inventory.current()
        assert list(inventory.faults) == ["eu-west-1"]
        assert "ec2:DescribeNetworkInterfaces" in inventory.faults["eu-west-1"]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "the one in use is 300 s old: EC2 in eu-west-1 refused" in caplog.text
        assert metrics.value("inventory_time_seconds") == TAKEN.timestamp()
        assert metrics.value("inventory_interfaces") == 2
        answer(east, describe_network_interfaces=[{"NetworkInterfaceId": "eni-new"}])
        answer(west)
        assert inventory.refresh() is True
    second = inventory.current()
    assert first is not None
    assert between is not None
    assert second is not None
    assert inventory.faults == {}
    assert between.owners.select("interface_id", "region").rows() == [("eni-new", "us-east-1"), ("eni-w", "eu-west-1")]
    assert first.owners.select("interface_id", "region").rows() == [("eni-e", "us-east-1"), ("eni-w", "eu-west-1")]
    assert second.owners["interface_id"].to_list() == ["eni-new"]
    assert metrics.value("inventory_refreshes_total", outcome="ok") == 2
    assert metrics.value("inventory_refreshes_total", outcome="failed") == 1
    assert metrics.value("inventory_interfaces") == 1
    assert metrics.value("inventory_time_seconds") == TAKEN.timestamp() + 300


@pytest.mark.parametrize(("code", "status", "waits"), [("AuthFailure", 401, False), ("InternalError", 500, True)])
def test_a_region_that_refuses_is_not_waited_for_and_one_that_is_ill_is(
    code: str,
    status: int,
    waits: bool,  # noqa: FBT001 - a table's column
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ec2_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    clients = {region: client(region) for region in ("us-east-1", "eu-west-1")}
    inventory = Inventory(clients, tag_keys=(), stop=Event(), metrics=metrics)
    with Stubber(clients["us-east-1"]) as east, Stubber(clients["eu-west-1"]) as west:
        answer(east, describe_network_interfaces=[{"NetworkInterfaceId": "eni-e", "PrivateIpAddress": "10.0.0.1"}])
        for _ in range(100):
            west.add_client_error("describe_network_interfaces", code, "no", status)
        assert inventory.refresh() is False
    found = inventory.current()
    assert (found is None) is waits
    assert found is None or found.owners["interface_id"].to_list() == ["eni-e"]
    assert list(inventory.faults) == ["eu-west-1"]


def test_a_region_without_a_connection_is_waited_for(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be reached is no refusal: its records would go out without names for good."""
    monkeypatch.setattr(ec2_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    nowhere: Any = boto3.Session()
    unreachable = nowhere.client(
        "ec2",
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    east = client()
    inventory = Inventory({"us-east-1": east, "eu-west-1": unreachable}, tag_keys=(), stop=Event(), metrics=metrics)
    with Stubber(east) as stub:
        answer(stub, describe_network_interfaces=[{"NetworkInterfaceId": "eni-e", "PrivateIpAddress": "10.0.0.1"}])
        assert inventory.refresh() is False
    assert inventory.current() is None
    assert "could not be reached" in inventory.faults["eu-west-1"]


def test_an_address_that_is_none_fails_the_refresh(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    ec2 = client()
    inventory = Inventory({"us-east-1": ec2}, tag_keys=(), stop=Event(), metrics=metrics)
    with Stubber(ec2) as stub:
        answer(stub, describe_network_interfaces=[{"NetworkInterfaceId": "eni-1", "PrivateIpAddress": "10.0.0"}])
        assert inventory.refresh() is False
    assert "'10.0.0' in the inventory is neither" in caplog.text


def test_moto_by_the_holder(ec2: EC2Client, metrics: Metrics) -> None:
    made = make(ec2)
    inventory = Inventory({"us-east-1": ec2}, tag_keys=(), stop=Event(), metrics=metrics)
    assert inventory.refresh() is True
    found = inventory.current()
    assert found is not None
    assert {made.primary, made.extra, made.nat} <= set(found.owners["interface_id"])
    assert metrics.value("inventory_interfaces") == found.owners.height
