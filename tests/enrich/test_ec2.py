"""Asking EC2: moto's server where it can show it, botocore's Stubber where it cannot.

moto ignores MaxResults, never throttles and refuses nothing by itself, and makes no delegated prefixes, carriers and
types: paging, retries, refusals and these are shown at the client's boundary, with answers in the shapes that EC2
documents.  Accounts of moto's stand in test_accounts.py.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread
from threading import enumerate as enumerate_threads
from time import monotonic
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from mypy_boto3_ec2 import EC2Client

from exporter.enrich import calls as calls_module
from exporter.enrich import ec2 as ec2_module
from exporter.enrich.accounts import Account, Known
from exporter.enrich.budget import Budget
from exporter.enrich.calls import Calls, Question
from exporter.enrich.ec2 import QUESTIONS, Inventory, Scope, describe
from exporter.enrich.ends import enrich
from exporter.enrich.history import Changes, History, folded
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.enrich.oddities import Oddities
from exporter.enrich.owners import Owners
from exporter.errors import ConfigError, Fault, InventoryError, LedgerError, Stopped
from exporter.metrics import Metrics
from exporter.retry import INVENTORY
from tests.services.aws import Aws, aws

from .cases import TAKEN
from .day import MIDNIGHT, timed

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


SESSION = boto3.Session()
"""One for all clients: each would read EC2's description anew."""


def client(region: str = "us-east-1") -> EC2Client:
    return SESSION.client(
        "ec2",
        region_name=region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )


def calls(metrics: Metrics, stop: Event | None = None, budget: Budget | None = None) -> Calls:
    return Calls(budget=budget or Budget(10_000), stop=stop or Event(), metrics=metrics)


SCOPE = Scope.of(Account("999999999999", "shop"), "us-east-1")


def ask(ec2: EC2Client, metrics: Metrics, stop: Event | None = None, oddities: Oddities | None = None) -> Snapshot:
    odd = oddities or Oddities(metrics)
    return describe(ec2, SCOPE, calls(metrics, stop), tag_keys=("team",), oddities=odd, now=lambda: TAKEN)


def answer(stub: Stubber, **items: list[dict[str, Any]]) -> None:
    """Queues one page for each question, with these items, else none; where there is no interface, for two of them."""
    for operation, key in ITEMS.items():
        if items.get("describe_network_interfaces") or operation in ("describe_network_interfaces", "describe_vpcs"):
            stub.add_response(operation, {key: items.get(operation, [])}, FIRST_PAGE)


def some(operation: str) -> list[dict[str, Any]]:
    """An interface; nothing of all else."""
    return [{"NetworkInterfaceId": "eni-0", "VpcId": "vpc-0"}] if operation == "describe_network_interfaces" else []


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
    other_vpc: str
    peering: str
    gateway: str


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
    other = ec2.create_vpc(CidrBlock="10.30.0.0/16")["Vpc"]["VpcId"]
    peering = ec2.create_vpc_peering_connection(VpcId=vpc["VpcId"], PeerVpcId=other)["VpcPeeringConnection"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering["VpcPeeringConnectionId"])
    gateway = ec2.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    ec2.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=vpc["VpcId"], SubnetIds=[subnet])
    return Made(
        vpc=vpc["VpcId"],
        subnet=subnet,
        instance=instance["InstanceId"],
        primary=instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        extra=extra,
        nat=nat["NatGatewayAddresses"][0]["NetworkInterfaceId"],
        public=allocation["PublicIp"],
        other_vpc=other,
        peering=peering["VpcPeeringConnectionId"],
        gateway=gateway,
    )


def row(found: Snapshot, interface: str) -> dict[str, Any]:
    (only,) = found.owners.to_dicts()[(at := found.owners["interface_id"].to_list().index(interface)) : at + 1]
    return only


def addresses(found: Snapshot, interface: str) -> list[tuple[str, str]]:
    owner = found.owners["interface_id"].to_list().index(interface)
    return [each[1:] for each in found.addresses.select("owner", "address", "kind").rows() if each[0] == owner]


def test_an_account_in_moto(ec2: EC2Client, metrics: Metrics) -> None:
    made = make(ec2)
    found = ask(ec2, metrics)
    web = row(found, made.primary)
    groups = web.pop("security_group_ids")
    assert len(groups) == 1
    assert groups[0].startswith("sg-")
    assert isinstance(web.pop("attached"), int)
    assert web == {
        "interface_id": made.primary,
        "interface_type": "interface",
        "account_id": "123456789012",
        "account_name": None,
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
        "cluster_name": None,
        "tags": '{"team":"shop"}',
        "fixed": False,  # made beforehand: it may outlive the instance
    }
    database = row(found, made.extra)
    assert (database["resource_type"], database["service_name"], database["tags"]) == (
        "database",
        "rds",
        '{"team":"subnets"}',
    )
    own = addresses(found, made.extra)
    assert own[:2] == [("10.20.1.50", "primary"), ("10.20.1.51", "own")]
    assert [(address.endswith("::50"), kind) for address, kind in own[2:]] == [(True, "own")]
    assert (made.public, "public") in addresses(found, made.nat)
    assert (made.vpc, "10.20.0.0/16") in found.networks
    assert sorted(found.links) == sorted(
        [(made.peering, made.vpc), (made.peering, made.other_vpc), (made.gateway, made.vpc)]
    )


def test_times_are_by_awss_clock(ec2: EC2Client, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """Moto runs on this machine: its answers' Date is the real time, and this program is given another one."""
    before, oddities = datetime.now(UTC), Oddities(metrics)
    for _ in range(2):
        found = ask(ec2, metrics, oddities=oddities)
        assert found.answered is not None
        assert before - timedelta(seconds=120) < found.taken < found.answered < before + timedelta(seconds=120)
        assert found.taken.microsecond == found.answered.microsecond == 0
    assert metrics.value("inventory_oddities_total", kind="clock") == 2
    (told,) = (text for text in caplog.messages if "clock is" in text)
    assert re.match(r"AWS: this machine's clock is \d+ s behind AWS's: set it; AWS's counts here ", told)


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
        "describe_vpc_peering_connections": [
            {"VpcPeeringConnectionId": name, "RequesterVpcInfo": {"VpcId": "v-3"}, "Status": {"Code": "active"}}
            for name in ("pcx-1", "pcx-2", "pcx-3")
        ],
        "describe_transit_gateway_vpc_attachments": [
            {"TransitGatewayId": name, "VpcId": "v-3", "State": "available"} for name in ("tgw-1", "tgw-2", "tgw-3")
        ],
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
    assert found.links == tuple((link, "v-3") for link in ("pcx-1", "pcx-2", "pcx-3", "tgw-1", "tgw-2", "tgw-3"))


def dated(text: str) -> dict[str, Any]:
    """What botocore tells of an answer beside its items."""
    return {"ResponseMetadata": {"HTTPHeaders": {"date": text}}}


@pytest.mark.parametrize(
    ("first", "last", "times"),
    [
        ("Sat, 31 Jan 2026 12:00:10 GMT", "Sat, 31 Jan 2026 12:00:19 GMT", "12:00:09 12:00:20"),
        ("Sat, 31 Jan 2026 13:00:10 +0100", "Sat, 31 Jan 2026 12:00:10 -0000", "12:00:09 12:00:11"),
        ("Saturday, 31-Jan-26 12:00:10 GMT", "yesterday", "12:00:09 12:00:01"),
        ("", "", "11:59:59 12:00:01"),
    ],
)
def test_when_it_was_taken_by_the_dates_of_the_answers(
    first: str, last: str, times: str, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """A call to the Stubber takes less than a second, which counts as one; this machine's clock stands at 12:00:00."""
    ec2 = client()
    with Stubber(ec2) as stub:
        for operation, key in ITEMS.items():
            date = first if operation == "describe_network_interfaces" else last
            stub.add_response(operation, {key: some(operation), **dated(date)}, FIRST_PAGE)
        found = ask(ec2, metrics)
    assert f"{found.taken:%H:%M:%S} {found.answered:%H:%M:%S}" == times
    assert found.taken.tzinfo is UTC
    assert caplog.messages == []


@pytest.mark.parametrize(("date", "told"), [("12:01:01", "61 s behind"), ("11:58:59", "61 s ahead of")])
def test_a_clock_that_is_wrong_is_told(
    date: str, told: str, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    ec2 = client()
    with Stubber(ec2) as stub:
        for operation, key in ITEMS.items():
            stub.add_response(operation, {key: some(operation), **dated(f"Sat, 31 Jan 2026 {date} GMT")}, FIRST_PAGE)
        ask(ec2, metrics)
    assert metrics.value("inventory_oddities_total", kind="clock") == 1
    assert f"this machine's clock is {told} AWS's: set it" in caplog.text


def test_what_moto_does_not_make(metrics: Metrics) -> None:
    """Prefixes, carriers and types pass botocore's own checks in the shapes that are read."""
    ec2 = client()
    with Stubber(ec2) as stub:
        answer(
            stub,
            describe_network_interfaces=[
                {
                    "NetworkInterfaceId": "eni-1",
                    "InterfaceType": "efs",
                    "VpcId": "vpc-a",
                    "PrivateIpAddress": "10.0.0.4",
                    "PrivateIpAddresses": [
                        {"Primary": True, "PrivateIpAddress": "10.0.0.4", "Association": {"CarrierIp": "155.0.0.4"}}
                    ],
                    "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.1.16/28"}],
                    "Ipv6Prefixes": [{"Ipv6Prefix": "2600:1f18:0:1:5::/80"}],
                }
            ],
        )
        found = ask(ec2, metrics)
    assert found.addresses.rows() == [
        ("vpc-a", "10.0.0.4", 0, "primary"),
        ("vpc-a", "10.0.1.16/28", 0, "own"),
        ("vpc-a", "2600:1f18:0:1:5::/80", 0, "own"),
        ("vpc-a", "155.0.0.4", 0, "public"),
    ]
    found_row = row(found, "eni-1")
    assert (found_row["resource_type"], found_row["service_name"]) == ("file_system", "elasticfilesystem")
    assert (found_row["account_id"], found_row["account_name"]) == ("999999999999", "shop")


def test_odd_items_are_counted_and_told_once(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    ec2, oddities = client(), Oddities(metrics)
    with Stubber(ec2) as stub:
        for _ in range(2):
            interfaces = [
                {"NetworkInterfaceId": "eni-1", "VpcId": "vpc-a", "PrivateIpAddress": text}
                for text in ("10.0.0", "10.0.0.1")
            ]
            answer(stub, describe_network_interfaces=[*interfaces, {"VpcId": "vpc-a"}, {"VpcId": "vpc-b"}])
            found = ask(ec2, metrics, oddities=oddities)
            assert found.addresses["address"].to_list() == ["10.0.0.1"]
    assert metrics.value("inventory_oddities_total", kind="interface_without_id") == 4
    said_once = "(said once; vpcflow_inventory_oddities_total{kind='interface_without_id'} counts on)"
    assert caplog.messages == [
        f"999999999999 us-east-1: an interface without an id in vpc-a, which is left out {said_once}"
    ]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "UnsupportedOperation"])
def test_what_joins_vpcs_is_done_without_where_ec2_refuses_it(
    code: str, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    ec2, oddities = client(), Oddities(metrics)
    with Stubber(ec2) as stub:
        for _ in range(2):
            for question in QUESTIONS:
                if question.optional:
                    stub.add_client_error(question.operation, code, "no", 403)
                else:
                    stub.add_response(question.operation, {question.items: some(question.operation)}, FIRST_PAGE)
            found = ask(ec2, metrics, oddities=oddities)
            assert found.links == ()
        stub.assert_no_pending_responses()
    assert metrics.value("inventory_oddities_total", kind="links_refused") == 4
    (told,) = caplog.messages
    assert told.startswith(
        "999999999999 us-east-1: which VPCs reach each other stays unknown: EC2 in us-east-1 for the account "
        "999999999999 refused describe_vpc_peering_connections: "
    )
    assert "needs credentials with the permission ec2:DescribeVpcPeeringConnections" in told


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


def test_a_wait_ends_when_the_program_stops(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops while the first answer, a throttle, is on its way; the wait would last a minute."""
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=60, longest_wait=60))
    ec2, stop = client(), Event()
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_network_interfaces", "RequestLimitExceeded", "wait", 503)
        ec2.meta.events.register("after-call.ec2", lambda **_: stop.set())
        with pytest.raises(Stopped, match=r"^stopped while waiting to retry \(inventory\)$"):
            ask(ec2, metrics, stop)
        stub.assert_no_pending_responses()
    assert metrics.value("retries_total", policy="inventory") == 1


@pytest.mark.parametrize(
    "question", [each for each in QUESTIONS if not each.optional], ids=lambda question: question.operation
)
def test_a_refusal_names_the_permission_and_is_not_retried(question: Question, metrics: Metrics) -> None:
    ec2 = client()
    with Stubber(ec2) as stub:
        for before in QUESTIONS[: QUESTIONS.index(question)]:
            stub.add_response(before.operation, {before.items: some(before.operation)}, FIRST_PAGE)
        stub.add_client_error(question.operation, "UnauthorizedOperation", "You are not authorized", 403)
        with pytest.raises(InventoryError) as caught:
            ask(ec2, metrics)
    text = str(caught.value)
    assert f"EC2 in us-east-1 for the account 999999999999 refused {question.operation}" in text
    assert "You are not authorized" in text
    assert question.permission in text
    assert metrics.value("retries_total", policy="inventory") == 0


def test_a_region_without_interfaces_takes_two_calls(metrics: Metrics) -> None:
    """Most regions of an organization are empty; its VPCs' ranges still count as inside."""
    ec2 = client()
    with Stubber(ec2) as stub:
        answer(stub, describe_vpcs=[{"VpcId": "vpc-a", "CidrBlock": "10.0.0.0/16"}])
        found = ask(ec2, metrics)
        stub.assert_no_pending_responses()
    assert (found.owners.height, found.networks) == (0, (("vpc-a", "10.0.0.0/16"),))


def test_the_permissions_are_those_of_the_calls() -> None:
    for question in QUESTIONS:
        assert question.permission.removeprefix("ec2:").lower() == question.operation.replace("_", "")


def test_a_throttle_slows_the_scope_down_and_no_other(metrics: Metrics) -> None:
    ec2, budget = client(), Budget(10_000)
    with Stubber(ec2) as stub:
        stub.add_client_error("describe_network_interfaces", "RequestLimitExceeded", "wait", 503)
        answer(stub, describe_network_interfaces=some("describe_network_interfaces"))
        describe(ec2, SCOPE, calls(metrics, budget=budget), tag_keys=(), oddities=Oddities(metrics))
    assert budget.rate("999999999999 us-east-1") == 5000 + 7 * 50  # halved, and seven answers
    assert budget.rate("us-east-1") == 10_000


class Clock:
    """Tells the time that the test sets."""

    def __init__(self) -> None:
        self.now = TAKEN

    def __call__(self) -> datetime:
        return self.now


class Rig:
    """An inventory over clients that the test stubs, one a scope."""

    def __init__(
        self, metrics: Metrics, scopes: Sequence[tuple[str | None, str]], history: History | None = None
    ) -> None:
        self.history = history or History.empty()
        self.metrics, self.clock, self.stop = metrics, Clock(), Event()
        self.clients = {scope: client(scope[1]) for scope in scopes}
        ids = tuple(dict.fromkeys(id_ for id_, _ in scopes))
        self.known = Known(tuple(Account(id_) for id_ in ids))
        self.regions = tuple(dict.fromkeys(region for _, region in scopes))
        self.writes: list[Changes] = []
        self.broken = False
        self.inventory = self.holder(lambda account, region: self.clients[account.id, region])

    def holder(self, made: Callable[[Account, str], EC2Client]) -> Inventory:
        """An inventory whose history nobody keeps but the test."""
        oddities = Oddities(self.metrics)
        owners = Owners(
            self.history,
            self._write,
            gap=timedelta(hours=1),
            remember=timedelta(days=30),
            metrics=self.metrics,
            oddities=oddities,
        )
        return Inventory(
            lambda: self.known,
            self.regions,
            made,
            owners=owners,
            calls=calls(self.metrics, self.stop),
            tag_keys=(),
            oddities=oddities,
            metrics=self.metrics,
            now=self.clock,
        )

    def _write(self, changes: Changes) -> None:
        if self.broken:
            raise LedgerError("the disk is full")
        self.writes.append(changes)

    @contextmanager
    def stubbed(self) -> Iterator[list[Stubber]]:
        with ExitStack() as stack:
            yield [stack.enter_context(Stubber(each)) for each in self.clients.values()]

    def after(self, seconds: int) -> None:
        """So long after the first asking."""
        self.clock.now = TAKEN + timedelta(seconds=seconds)

    def owners(self) -> list[tuple[str, str]] | None:
        """The interfaces that are remembered, gone or not, each once."""
        found = self.inventory.current()
        return None if found is None else sorted(set(found.owners.select("interface_id", "region").rows()))

    def owner(self, address: str, first: int, last: int) -> str | None:
        """The interface that an address is taken for in a flow of these seconds after the first asking."""
        begins = int((TAKEN - MIDNIGHT).total_seconds())
        flow = timed({"srcaddr": [address], "dstaddr": ["8.8.8.8"]}, [(begins + first, begins + last)])
        found = enrich(flow, self.inventory.current(), Metrics())
        assert found.owners is not None
        row = found.frame["source_owner"].item()
        return None if row is None else str(found.owners["interface_id"][row])

    def interfaces(self, region: str, account: str = "") -> float:
        return self.metrics.value("inventory_interfaces", account=account, region=region)

    def time(self, region: str, account: str = "") -> float:
        return self.metrics.value("inventory_time_seconds", account=account, region=region)


BOTH = ((None, "us-east-1"), (None, "eu-west-1"))
ONE, TWO = "111111111111", "222222222222"
REFUSED = ("describe_network_interfaces", "UnauthorizedOperation", "no", 403)


def eni(name: str, *addresses: str) -> dict[str, list[dict[str, Any]]]:
    private = [{"PrivateIpAddress": each} for each in addresses]
    interface = {"NetworkInterfaceId": name, "VpcId": "vpc-a", "PrivateIpAddresses": private}
    return {"describe_network_interfaces": [interface]}


def test_no_inventory_before_the_first_good_refresh(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(metrics, BOTH[:1])
    assert rig.inventory.current() is None
    with rig.stubbed() as (stub,), caplog.at_level(logging.WARNING):
        for _ in range(3):
            stub.add_client_error(*REFUSED)
            assert rig.inventory.refresh() is False
    assert rig.inventory.current() is None
    assert len(caplog.records) == 1  # told once until it answers
    assert "the EC2 inventory of us-east-1 was not refreshed, and it has not answered yet: " in caplog.text
    assert metrics.value("inventory_refreshes_total", outcome="failed") == 3
    assert rig.interfaces("us-east-1") == 0
    assert rig.writes == []


def test_a_region_that_fails_keeps_its_last_answer_and_the_others_go_on(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """What a flow of the second minute is told, as more and more is proven of it."""
    rig = Rig(metrics, BOTH)
    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-e", "10.0.0.1"))
        answer(west, **eni("eni-w", "10.0.0.2"))
        assert rig.inventory.refresh() is True
        assert rig.owners() == [("eni-e", "us-east-1"), ("eni-w", "eu-west-1")]
        assert [rig.owner(each, 100, 200) for each in ("10.0.0.1", "10.0.0.2")] == [None, None]

        rig.after(300)
        answer(east, **eni("eni-e", "10.0.0.1"))
        west.add_client_error(*REFUSED)
        with caplog.at_level(logging.WARNING):
            assert rig.inventory.refresh() is False
        assert [rig.owner(each, 100, 200) for each in ("10.0.0.1", "10.0.0.2")] == ["eni-e", None]
        assert list(rig.inventory.faults) == ["eu-west-1"]
        assert "ec2:DescribeNetworkInterfaces" in rig.inventory.faults["eu-west-1"]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "its last answer is 301 s old: EC2 in eu-west-1 refused" in caplog.text
        assert [rig.time("us-east-1"), rig.time("eu-west-1")] == [TAKEN.timestamp() + 299, TAKEN.timestamp() - 1]
        assert [rig.interfaces("us-east-1"), rig.interfaces("eu-west-1")] == [1, 1]

        rig.after(600)
        answer(east)
        answer(west, **eni("eni-w", "10.0.0.2"))
        assert rig.inventory.refresh() is True
    assert [rig.owner(each, 100, 200) for each in ("10.0.0.1", "10.0.0.2")] == ["eni-e", "eni-w"]
    assert [rig.owner(each, 400, 500) for each in ("10.0.0.1", "10.0.0.2")] == [None, "eni-w"]
    assert rig.owners() == [("eni-e", "us-east-1"), ("eni-w", "eu-west-1")]
    assert rig.inventory.faults == {}
    assert metrics.value("inventory_refreshes_total", outcome="ok") == 2
    assert metrics.value("inventory_refreshes_total", outcome="failed") == 1
    assert [rig.interfaces("us-east-1"), rig.interfaces("eu-west-1")] == [0, 1]


@pytest.mark.parametrize(("code", "status", "waits"), [("AuthFailure", 401, False), ("InternalError", 500, True)])
def test_a_region_that_refuses_is_not_waited_for_and_one_that_is_ill_is(
    code: str,
    status: int,
    waits: bool,  # noqa: FBT001 - a table's column
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    rig = Rig(metrics, BOTH)
    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-e", "10.0.0.1"))
        for _ in range(100):
            west.add_client_error("describe_network_interfaces", code, "no", status)
        assert rig.inventory.refresh() is False
    assert rig.owners() == (None if waits else [("eni-e", "us-east-1")])
    assert list(rig.inventory.faults) == ["eu-west-1"]


def test_an_account_that_joins_and_is_ill_does_not_hold_up_what_is_in_use(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    rig = Rig(metrics, ((ONE, "us-east-1"), (TWO, "us-east-1")))
    rig.known = Known((Account(ONE),))
    with rig.stubbed() as (one, two):
        answer(one, **eni("eni-old"))
        assert rig.inventory.refresh() is True
        rig.after(300)
        rig.known = Known((Account(ONE), Account(TWO)))
        answer(one, **eni("eni-new"))
        for _ in range(100):
            two.add_client_error("describe_network_interfaces", "InternalError", "no", 500)
        assert rig.inventory.refresh() is False
    assert rig.owners() == [("eni-new", "us-east-1"), ("eni-old", "us-east-1")]
    assert list(rig.inventory.faults) == [f"{TWO} us-east-1"]


def test_an_account_that_leaves_is_let_go_of_and_another_name_is_the_same_account(metrics: Metrics) -> None:
    rig = Rig(metrics, ((ONE, "us-east-1"), (TWO, "us-east-1")))
    with rig.stubbed() as (one, two):
        answer(one, **eni("eni-1"))
        answer(two, **eni("eni-2"))
        rig.inventory.refresh()
        rig.after(300)
        rig.known = Known((Account(TWO, "renamed"),))
        answer(two, **eni("eni-2"))
        assert rig.inventory.refresh() is True
    found = rig.inventory.current()
    assert found is not None
    told = found.owners.select("interface_id", "account_id", "account_name").rows()
    assert sorted(set(told)) == [("eni-1", ONE, None), ("eni-2", TWO, "renamed")]
    (metric,) = (each for each in metrics.registry.collect() if each.name == "vpcflow_inventory_interfaces")
    assert [sample.labels for sample in metric.samples] == [{"account": TWO, "region": "us-east-1"}]


def test_a_list_that_cannot_be_had_is_a_fault_beside_those_of_scopes(metrics: Metrics) -> None:
    rig = Rig(metrics, ((ONE, "us-east-1"), (ONE, "eu-west-1")))
    rig.known = Known((Account(ONE),), {"organization": "no list"})
    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-1"))
        west.add_client_error(*REFUSED)
        assert rig.inventory.refresh() is False
    assert list(rig.inventory.faults) == ["organization", f"{ONE} eu-west-1"]
    assert rig.owners() == [("eni-1", "us-east-1")]
    rig.known = Known((), {"organization": "no list"})
    assert rig.inventory.refresh() is False
    assert rig.inventory.faults == {"organization": "no list"}


def test_scopes_are_asked_side_by_side_and_a_stop_ends_all(metrics: Metrics) -> None:
    rig = Rig(metrics, [(f"{number:012}", "us-east-1") for number in range(20)])
    together = Barrier(8, timeout=30)  # eight threads come here at once, or none passes

    def meet(**_: object) -> None:
        together.wait()
        rig.stop.set()

    for each in rig.clients.values():
        each.meta.events.register("before-parameter-build.ec2.DescribeNetworkInterfaces", meet)
    with rig.stubbed() as stubs:
        for stub in stubs:
            answer(stub)
        with pytest.raises(Stopped):
            rig.inventory.refresh()
    assert rig.inventory.current() is None


def test_a_region_without_a_connection_is_waited_for(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to be reached is no refusal: its records would go out without names for good."""
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    rig, made = Rig(metrics, BOTH[:1]), SESSION.client
    unreachable = made(
        "ec2",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    rig.clients[BOTH[0]] = unreachable
    assert rig.inventory.refresh() is False
    assert rig.inventory.current() is None
    assert "could not be reached" in rig.inventory.faults["us-east-1"]


def test_a_client_that_cannot_be_made_stops_no_other(metrics: Metrics) -> None:
    rig = Rig(metrics, BOTH)

    def refuse(account: Account, region: str) -> EC2Client:
        if region == "us-east-1":
            raise ConfigError((Fault("aws", "boto3 finds a fault"),))
        return rig.clients[account.id, region]

    inventory = rig.holder(refuse)
    with rig.stubbed() as (_, west):
        answer(west, **eni("eni-w"))
        assert inventory.refresh() is False
    assert "boto3 finds a fault" in inventory.faults["us-east-1"]
    assert rig.interfaces("eu-west-1") == 1


def test_an_address_that_is_none_spoils_nothing(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(metrics, BOTH[:1])
    with rig.stubbed() as (stub,):
        for seconds in (0, 300):
            rig.after(seconds)
            answer(stub, **eni("eni-1", "10.0.0", "10.0.0.4"))
            assert rig.inventory.refresh() is True
    assert rig.owner("10.0.0.4", 100, 200) == "eni-1"
    (told,) = caplog.messages
    assert told.startswith("us-east-1: '10.0.0', which is no address, is left out")
    assert metrics.value("inventory_oddities_total", kind="no_address") == 2


def test_moto_by_the_holder(ec2: EC2Client, metrics: Metrics) -> None:
    made = make(ec2)
    rig = Rig(metrics, BOTH[:1])
    rig.clients[BOTH[0]] = ec2
    assert rig.inventory.refresh() is True
    found = rig.inventory.current()
    assert found is not None
    interfaces = set(found.owners["interface_id"])
    assert {made.primary, made.extra, made.nat} <= interfaces
    assert rig.interfaces("us-east-1") == len(interfaces)


@pytest.mark.parametrize(
    ("newest", "seconds", "asked"),
    [
        (-11, 30, False),  # of what ended 10 s before the answer it was proven
        (-10, 30, False),  # a minute has not passed
        (-11, 90, False),
        (-10, 60, True),
        (50, 90, True),
    ],
)
def test_a_flow_that_is_newer_than_the_answers_has_them_asked_again(
    newest: int,
    seconds: int,
    asked: bool,  # noqa: FBT001 - a table's column
    metrics: Metrics,
) -> None:
    """The first answer is of one second before TAKEN; the flow ends `newest` seconds after TAKEN and comes later."""
    rig = Rig(metrics, BOTH[:1])
    with rig.stubbed() as (stub,):
        answer(stub, **eni("eni-1", "10.0.0.1"))
        rig.inventory.refresh()
        rig.after(seconds)
        answer(stub, **eni("eni-1", "10.0.0.1"))
        rig.inventory.reach(TAKEN + timedelta(seconds=newest))
        assert metrics.value("inventory_refreshes_total", outcome="ok") == (2 if asked else 1)
        rig.inventory.reach(TAKEN + timedelta(seconds=newest))  # known by now, or asked just now
    assert metrics.value("inventory_refreshes_total", outcome="ok") == (2 if asked else 1)


def test_before_anything_is_known_any_flow_asks(metrics: Metrics) -> None:
    rig = Rig(metrics, BOTH[:1])
    with rig.stubbed() as (stub,):
        answer(stub, **eni("eni-1", "10.0.0.1"))
        rig.inventory.reach(TAKEN - timedelta(days=10))
    assert rig.owners() == [("eni-1", "us-east-1")]


def test_two_threads_ask_once(metrics: Metrics) -> None:
    """Both see that the answers are too old; the one that comes second finds that the first one has asked."""
    rig = Rig(metrics, BOTH[:1])
    asking, go_on = Event(), Event()

    def wait(**_: object) -> None:
        asking.set()
        assert go_on.wait(30)

    with rig.stubbed() as (stub,):
        go_on.set()
        answer(stub, **eni("eni-1", "10.0.0.1"))
        rig.inventory.refresh()
        go_on.clear()
        rig.after(300)
        events = rig.clients[BOTH[0]].meta.events
        events.register("before-parameter-build.ec2.DescribeNetworkInterfaces", wait)
        answer(stub, **eni("eni-1", "10.0.0.1"))  # and no second time: the Stubber would refuse
        threads = [Thread(target=rig.inventory.reach, args=(TAKEN + timedelta(seconds=200),)) for _ in range(2)]
        threads[0].start()
        assert asking.wait(30)
        threads[1].start()
        threads[1].join(0.2)
        assert threads[1].is_alive()  # it waits for the answers that are under way
        go_on.set()
        for each in threads:
            each.join(30)
        assert not any(each.is_alive() for each in threads)
        stub.assert_no_pending_responses()
    assert metrics.value("inventory_refreshes_total", outcome="ok") == 2
    assert rig.inventory.faults == {}
    assert rig.owner("10.0.0.1", 100, 200) == "eni-1"


def test_flows_do_not_wait_for_a_scope_that_fails(metrics: Metrics) -> None:
    """It may take two minutes until it has failed again: the flows of all other scopes would wait with it."""
    rig = Rig(metrics, BOTH)
    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-e", "10.0.0.1"))
        answer(west, **eni("eni-w", "10.0.0.2"))
        rig.inventory.refresh()
        rig.after(300)
        answer(east, **eni("eni-e", "10.0.0.1"))
        west.add_client_error(*REFUSED)
        rig.inventory.refresh()
        rig.after(500)
        rig.inventory.reach(TAKEN + timedelta(seconds=200))  # newer than what the west told, not than the east's
        assert metrics.value("inventory_refreshes_total", outcome="failed") == 1
        answer(east, **eni("eni-e", "10.0.0.1"))
        answer(west, **eni("eni-w", "10.0.0.2"))
        rig.inventory.reach(TAKEN + timedelta(seconds=400))
    assert metrics.value("inventory_refreshes_total", outcome="ok") == 2
    assert [rig.time("us-east-1"), rig.time("eu-west-1")] == [TAKEN.timestamp() + 499] * 2


def test_a_scope_that_hangs_holds_up_neither_flows_nor_what_others_told(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ec2_module, "PATIENCE", 1.0)
    monkeypatch.setattr(ec2_module, "TOGETHER", 0.1)
    rig, go_on = Rig(metrics, BOTH), Event()

    def hang(**_: object) -> None:
        assert go_on.wait(30)

    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-e", "10.0.0.1"))
        answer(west, **eni("eni-w", "10.0.0.2"))
        rig.inventory.refresh()
        rig.after(300)
        events = rig.clients[BOTH[1]].meta.events
        events.register("before-parameter-build.ec2.DescribeNetworkInterfaces", hang)
        answer(east, **eni("eni-e", "10.0.0.1"))
        answer(west, **eni("eni-w", "10.0.0.2"))
        begun = monotonic()
        rig.inventory.reach(TAKEN + timedelta(seconds=200))
        waited = monotonic() - begun
        rig.inventory.reach(TAKEN + timedelta(seconds=200))  # what was waited for in vain is not waited for again
        again = monotonic() - begun - waited
        assert waited < 5
        assert again < 0.5
        assert [rig.owner(each, 100, 200) for each in ("10.0.0.1", "10.0.0.2")] == ["eni-e", None]
        go_on.set()
        for each in [thread for thread in enumerate_threads() if thread.name == "reach"]:
            each.join(30)
    assert [rig.owner(each, 100, 200) for each in ("10.0.0.1", "10.0.0.2")] == ["eni-e", "eni-w"]


@pytest.mark.parametrize("remembers", [True, False])
def test_after_a_restart_one_account_that_is_ill_holds_up_no_other(
    remembers: bool,  # noqa: FBT001 - a table's column
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is remembered of it counts as its answer; where nothing is, it is waited for."""
    monkeypatch.setattr(calls_module, "INVENTORY", replace(INVENTORY, first_wait=0.01, give_up_after=0.01))
    before = Snapshot(
        pl.DataFrame([{"interface_id": "eni-w", "vpc_id": "vpc-a"}], schema=OWNERS),
        pl.DataFrame([("vpc-a", "10.0.0.2", 0, "primary")], schema=ADDRESSES, orient="row"),
        (),
        TAKEN - timedelta(hours=1),
    )
    rig = Rig(metrics, BOTH, folded([("eu-west-1", before)] if remembers else [], 3600))
    with rig.stubbed() as (east, west):
        answer(east, **eni("eni-e", "10.0.0.1"))
        for _ in range(100):
            west.add_client_error("describe_network_interfaces", "InternalError", "ill", 500)
        assert rig.inventory.refresh() is False
    known = [("eni-e", "us-east-1"), ("eni-w", None)]
    found = rig.inventory.current()
    shown = None if found is None else set(found.owners.select("interface_id", "region").rows())
    assert shown == (set(known) if remembers else None)


def test_the_minute_counts_from_the_end_of_an_asking(metrics: Metrics) -> None:
    """One that took five minutes and failed: whoever waited for it does not begin another one at once."""
    rig = Rig(metrics, BOTH[:1])
    rig.clients[BOTH[0]].meta.events.register(
        "before-parameter-build.ec2.DescribeNetworkInterfaces", lambda **_: rig.after(300)
    )
    with rig.stubbed() as (stub,):
        stub.add_client_error(*REFUSED)
        rig.inventory.reach(TAKEN)
        rig.after(359)
        rig.inventory.reach(TAKEN)
    assert metrics.value("inventory_refreshes_total", outcome="failed") == 1


def test_what_the_ledger_does_not_take_is_not_in_use_and_comes_with_the_next_answer(metrics: Metrics) -> None:
    rig = Rig(metrics, BOTH[:1])
    with rig.stubbed() as (stub,):
        answer(stub, **eni("eni-1", "10.0.0.1"))
        rig.inventory.refresh()
        before = rig.inventory.current()
        rig.after(300)
        rig.broken = True
        answer(stub, **eni("eni-1", "10.0.0.1"))
        with pytest.raises(LedgerError, match="the disk is full"):
            rig.inventory.refresh()
        assert rig.inventory.current() is before
        assert rig.time("us-east-1") == TAKEN.timestamp() - 1
        assert rig.owner("10.0.0.1", 100, 200) is None
        assert len(rig.writes) == 1
        rig.after(600)
        rig.broken = False
        answer(stub, **eni("eni-1", "10.0.0.1"))
        assert rig.inventory.refresh() is True
    assert rig.owner("10.0.0.1", 100, 500) == "eni-1"
    assert rig.time("us-east-1") == TAKEN.timestamp() + 599
    assert len(rig.writes) == 2
