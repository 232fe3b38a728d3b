"""Clients as the configuration wants them: whose credentials, which region, which host; and two accounts end to end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter import wiring
from exporter.clients import Clients, Role
from exporter.config import Config, parse
from exporter.daemon import Stops
from exporter.enrich.accounts import LIST_ACCOUNTS
from exporter.enrich.ec2 import QUESTIONS, Inventory
from exporter.ledger_ownership import Ownership
from exporter.metrics import Metrics
from tests.services.accounts import BUCKET, OTHER, ROLE, accounts
from tests.services.accounts import Accounts as Judged
from tests.services.aws import Aws
from tests.source.bucket import plain

NOW = datetime.now(UTC)
KEY = plain("222222222222", "us-east-1", f"{NOW:%Y%m%dT%H%M}")
RECORD = b"version srcaddr dstaddr start end action\n2 10.0.0.1 10.0.0.2 1784541600 1784541659 REJECT\n"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/one"
READER, AUDITOR = f"role_arn: {ROLE}", "role_arn: 'arn:aws:iam::333333333333:role/auditor'"


@pytest.fixture(autouse=True)
def own_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing from this machine's AWS files: a profile of the test's own."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_key(tmp_path, ("AKIAIOSFODNN7EXAMPLE", "of-the-tests"))


def write_key(folder: Path, key: tuple[str, str]) -> None:
    """What rotates a profile's key."""
    lines = f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n"
    (folder / "credentials").write_text(lines)


def config(folder: Path, source: str, aws: str = "region: eu-central-1") -> Config:
    output = f"output: {{files: {{folder: {folder}/out}}}}\nstate: {{folder: {folder}/state}}"
    return parse(f"source: {{{source}}}\n{output}\naws: {{{aws}}}\nenrich: {{ec2: {{enabled: false}}}}", "c", {})


@contextmanager
def built(folder: Path, aws: Aws, source: str) -> Iterator[wiring.Program]:
    settings = config(folder, source, f"region: us-east-1, endpoint_url: '{aws.url}'")
    with wiring.program(settings, Stops()) as program:
        yield program


def documents(folder: Path) -> list[str]:
    """The keys of the objects whose documents came out."""
    lines = [line for file in (folder / "out").rglob("*.ndjson") for line in file.read_text().splitlines()]
    return [json.loads(line)["aws"]["s3"]["object"]["key"] for line in lines]


@pytest.fixture(scope="module")
def judged() -> Iterator[Judged]:
    with accounts() as running:
        running.put(KEY, RECORD)
        yield running


def test_a_bucket_of_another_account_is_read_by_its_role(judged: Judged, tmp_path: Path) -> None:
    write_key(tmp_path, judged.key())
    source = f"s3: [{{bucket: {BUCKET}, {READER}, external_id: external-7, start: {NOW:%Y-%m-%d}}}]"
    with built(tmp_path, judged.aws, source) as program:
        program.poll()
        assert program.metrics.value("objects_total", outcome="done") == 1
        assert program.metrics.value("polls_total", outcome="ok") == 1
    assert documents(tmp_path) == [KEY]


def test_without_the_role_it_is_not_and_the_other_source_goes_on(
    judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first bucket has no role, and the user itself may list nothing."""
    write_key(tmp_path, judged.key())
    start = f"start: {NOW:%Y-%m-%d}"
    source = f"s3: [{{bucket: not-ours, {start}}}, {{bucket: {BUCKET}, {READER}, {start}}}]"
    with built(tmp_path, judged.aws, source) as program:
        program.poll()
        assert program.metrics.value("polls_total", outcome="failed") == 1
        assert program.metrics.value("polls_total", outcome="ok") == 1
    assert documents(tmp_path) == [KEY]
    assert "the pass over s3://not-ours/AWSLogs/ is not whole" in caplog.text


def test_a_role_that_is_not_given_fails_that_sources_pass_until_it_is_allowed(
    judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_key(tmp_path, judged.key())
    judged.allow()
    source = f"s3: [{{bucket: {BUCKET}, {READER}, start: {NOW:%Y-%m-%d}}}]"
    with built(tmp_path, judged.aws, source) as program:
        program.poll()
        assert program.metrics.value("polls_total", outcome="failed") == 1
        assert f"the role {ROLE} is not given: AccessDenied" in caplog.text
        assert "allow sts:AssumeRole on the role to these credentials" in caplog.text
        judged.allow("sts:AssumeRole")
        program.poll()
        assert program.metrics.value("polls_total", outcome="ok") == 1
    assert documents(tmp_path) == [KEY]


def test_a_key_that_rotates_in_a_profile_needs_no_restart(
    judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old key is gone at once, as when somebody deletes it."""
    judged.allow("s3:ListBucket", "s3:GetObject")
    write_key(tmp_path, judged.key())
    with built(tmp_path, judged.aws, f"s3: [{{bucket: {BUCKET}, start: {NOW:%Y-%m-%d}}}]") as program:
        program.poll()
        caplog.clear()
        new = judged.key()
        write_key(tmp_path, new)
        judged.put(later := KEY.replace("abc.log", "abd.log"), RECORD)
        program.poll()
        assert program.metrics.value("polls_total", outcome="failed") == 0
        assert program.metrics.value("polls_total", outcome="ok") == 2
        assert program.metrics.value("retries_total", policy="source") == 0
    judged.allow("sts:AssumeRole")
    assert sorted(documents(tmp_path)) == sorted([KEY, later])
    assert "the credentials of this program: AWS says InvalidAccessKeyId; renewed" in caplog.messages
    assert new[1] not in caplog.text


ENTRIES = f"""
s3: [{{bucket: listed, region: eu-west-3, {READER}}}, {{bucket: far}}],
sqs: [
  {{queue_url: "{QUEUE}", buckets: [named, listed], {AUDITOR}}},
  {{queue_url: "http://127.0.0.1:9/q", {READER}, external_id: x-7}},
]
"""


def region(client: Any) -> str:  # noqa: ANN401 - of any service
    return str(client.meta.region_name)


def test_who_reads_a_bucket_that_a_message_names(tmp_path: Path) -> None:
    settings = config(tmp_path, ENTRIES)
    clients = Clients(settings)
    one, two = settings.source.sqs
    of = clients.s3.of
    listed = of("listed")
    assert region(listed) == "eu-west-3"
    assert of("listed", "us-east-2", one) is listed  # an entry of s3 says how, whatever a message says
    assert region(of("far")) == "eu-central-1"
    assert region(of("named")) == "eu-west-1"  # the queue's, before a message tells
    assert region(named := of("named", "us-east-2", one)) == "us-east-2"
    assert of("named") is named
    assert region(other := of("other", "us-east-2", two)) == "us-east-2"
    assert other is not named  # another role
    assert of("third", "us-east-2", two) is other
    assert of("named", "us-east-2", two) is of("named")  # a message of another queue does not turn it
    assert region(of("named")) == "us-east-2"
    assert region(of("unheard-of")) == "eu-central-1"  # by the entry that takes every bucket
    assert of("unheard-of") is of("fourth", None, two)


@pytest.mark.parametrize("named", ["cn-north-1", "us-gov-west-1", "evil.example.com/", "eu-nowhere-1", "", None])
def test_no_message_leads_a_request_elsewhere(named: str | None, tmp_path: Path) -> None:
    settings = config(tmp_path, f"sqs: [{{queue_url: '{QUEUE}'}}]")
    assert region(Clients(settings).s3.of("logs", named, settings.source.sqs[0])) == "eu-west-1"


def test_only_so_many_buckets_of_messages_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.clients.BUCKETS", 2)
    settings = config(tmp_path, f"sqs: [{{queue_url: '{QUEUE}'}}]")
    clients, (queue,) = Clients(settings).s3, settings.source.sqs
    for name in ("one", "two", "one", "three"):  # two is the one that was not heard of for the longest time
        clients.of(name, "us-east-2", queue)
    regions = {name: region(clients.of(name)) for name in ("one", "two", "three")}
    assert regions == {"one": "us-east-2", "two": "eu-west-1", "three": "us-east-2"}


@pytest.mark.parametrize(
    ("queue", "aws", "at", "host"),
    [
        (f"queue_url: '{QUEUE}'", "region: eu-central-1", "eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
        (f"queue_url: '{QUEUE}'", "endpoint_url: 'http://127.0.0.1:5'", "eu-west-1", "http://127.0.0.1:5"),
        (
            "queue_url: 'https://vpce-1.sqs.eu-west-2.vpce.amazonaws.com/1/q'",
            "endpoint_url: 'http://127.0.0.1:5'",
            "eu-west-2",
            "https://vpce-1.sqs.eu-west-2.vpce.amazonaws.com",
        ),
        ("queue_url: 'http://127.0.0.1:9/1/q'", "region: eu-central-1", "eu-central-1", "http://127.0.0.1:9"),
        (
            "queue_url: 'http://127.0.0.1:9/1/q', region: eu-north-1",
            "region: eu-west-3",
            "eu-north-1",
            "http://127.0.0.1:9",
        ),
    ],
)
def test_where_a_queue_answers(queue: str, aws: str, at: str, host: str, tmp_path: Path) -> None:
    settings = config(tmp_path, f"sqs: [{{{queue}}}]", aws)
    client = Clients(settings).sqs(settings.source.sqs[0])
    assert (region(client), client.meta.endpoint_url) == (at, host)


def test_the_regions_of_the_sources(tmp_path: Path) -> None:
    assert Clients(config(tmp_path, ENTRIES)).source_regions() == ("eu-west-3", "eu-central-1", "eu-west-1")
    assert Clients(config(tmp_path, "sqs: [{queue_url: 'http://127.0.0.1:9/q'}]", "")).source_regions() == ()


def test_one_session_a_role(tmp_path: Path) -> None:
    clients = Clients(config(tmp_path, ENTRIES))
    sessions = [clients.session(Role(*each), "eu-west-1") for each in ((), (ROLE,), (ROLE, "a"), (ROLE, "b"))]
    assert len({id(each) for each in sessions}) == 4
    assert [clients.session(Role(*each), "us-east-1") for each in ((), (ROLE,), (ROLE, "a"), (ROLE, "b"))] == sessions


def test_a_queue_is_read_by_its_role(judged: Judged, tmp_path: Path) -> None:
    """The user may assume the role and nothing else; the role may read objects and no queue."""
    write_key(tmp_path, judged.key())
    queue = f"{judged.aws.url}/222222222222/q"
    settings = config(tmp_path, f"sqs: [{{queue_url: '{queue}', {READER}}}]", f"endpoint_url: '{judged.aws.url}'")
    client = Clients(settings).sqs(settings.source.sqs[0])
    told = r"assumed-role/flow-log-reader/vpcflow-exporter is not authorized to perform: sqs:ReceiveMessage"
    with pytest.raises(client.exceptions.ClientError, match=told):
        client.receive_message(QueueUrl=queue)
    client.close()


# The inventory of several accounts: moto's Organizations, roles and IAM's policies, as they stand in each account.

MAIN = "123456789012"
DESCRIBES = tuple(question.permission for question in QUESTIONS)


def make_interface(judged: Judged, account: str, address: str) -> str:
    """An interface in an account's default VPC; its id."""
    with judged.unjudged():
        client = judged.aws.client("ec2", account=account)
        subnet = client.describe_subnets()["Subnets"][0]["SubnetId"]
        made = client.create_network_interface(SubnetId=subnet, PrivateIpAddress=address)["NetworkInterface"]
        client.close()
    return str(made["NetworkInterfaceId"])


def over(folder: Path, judged: Judged, ec2: str) -> tuple[Inventory, Metrics]:
    text = f"""
    source: {{s3: [{{bucket: {BUCKET}}}]}}
    output: {{files: {{folder: {folder}/out}}}}
    state: {{folder: {folder}/state}}
    aws: {{region: us-east-1, endpoint_url: '{judged.aws.url}'}}
    enrich: {{ec2: {{regions: us-east-1, calls_per_second: 1000, {ec2}}}}}
    """
    settings, metrics = parse(text, "c", {}), Metrics()
    made = wiring.inventory_of(settings, Clients(settings), Ownership(folder / "no-ledger"), metrics, Stops())
    assert made is not None
    return made, metrics


def owners(made: Inventory) -> set[tuple[str, str | None, str]]:
    found = made.current()
    assert found is not None
    return set(found.owners.select("account_id", "account_name", "interface_id").rows())


def test_all_accounts_of_the_organization_and_one_that_fails_stops_none(
    judged: Judged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One role gives all, one lacks a permission, one has none at all; the own account needs no role.

    For a role that does not exist moto fails with a 500, where AWS's STS refuses: that is shown below.
    """
    write_key(tmp_path, judged.key())
    with judged.unjudged():
        organizations = judged.aws.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        payments, poor, bare, left_out = (
            organizations.create_account(AccountName=name, Email=f"{name}@example.com")["CreateAccountStatus"][
                "AccountId"
            ]
            for name in ("payments", "poor", "bare", "left-out")
        )
        main = organizations.describe_account(AccountId=MAIN)["Account"]["Name"]
        organizations.close()
    made = {each: make_interface(judged, each, "172.31.0.77") for each in (MAIN, payments, poor, bare, left_out)}
    judged.give_role(payments, "inventory", *DESCRIBES)
    judged.give_role(poor, "inventory", *(each for each in DESCRIBES if each != "ec2:DescribeSubnets"))
    judged.give_role(bare, "inventory", "s3:GetObject")
    judged.allow("sts:AssumeRole", LIST_ACCOUNTS.permission, *DESCRIBES)

    ec2 = f"role_name: inventory, external_id: x-7, organization: {{enabled: true, exclude: '{left_out}'}}"
    found, metrics = over(tmp_path, judged, ec2)
    assert found.refresh() is False
    assert owners(found) == {(MAIN, main, made[MAIN]), (payments, "payments", made[payments])}
    assert sorted(found.faults) == sorted(f"{each} us-east-1" for each in (poor, bare))
    assert "the permission ec2:DescribeSubnets" in found.faults[f"{poor} us-east-1"]
    interfaces = {each: metrics.value("inventory_interfaces", account=each, region="us-east-1") for each in made}
    assert interfaces == {MAIN: 1, payments: 1, poor: 0, bare: 0, left_out: 0}

    judged.give_role(bare, "inventory", *DESCRIBES)
    caplog.clear()
    assert found.refresh() is False
    assert owners(found) == {
        (MAIN, main, made[MAIN]),
        (payments, "payments", made[payments]),
        (bare, "bare", made[bare]),
    }
    assert list(found.faults) == [f"{poor} us-east-1"]
    assert [text for text in caplog.messages if "inventory" in text] == []  # poor was told before
    judged.allow("sts:AssumeRole")


def test_names_of_accounts_go_into_the_documents(judged: Judged, tmp_path: Path) -> None:
    """Each record names its own account, and the one behind its source; nobody asks the last one's.

    Both accounts have the same range, and the other one's address is not taken for the first one's.
    """
    write_key(tmp_path, judged.key())
    theirs, key = "555555555555", KEY.replace("abc.log", "named.log")
    made = {each: make_interface(judged, each, f"172.31.0.8{number}") for number, each in enumerate((MAIN, theirs))}
    judged.give_role(theirs, "inventory", *DESCRIBES)
    judged.allow("sts:AssumeRole", *DESCRIBES)
    flow = f"{NOW.timestamp() - 600:.0f} {NOW.timestamp() - 540:.0f} ACCEPT"
    lines = [
        "version account-id interface-id srcaddr dstaddr start end action",
        f"2 {MAIN} {made[MAIN]} 172.31.0.80 8.8.8.8 {flow}",
        f"2 {theirs} {made[theirs]} 172.31.0.81 172.31.0.80 {flow}",
        f"2 777777777777 eni-0f 10.0.0.1 8.8.8.8 {flow}",
    ]
    judged.put(key, "".join(f"{line}\n" for line in lines).encode())
    text = f"""
    source: {{s3: [{{bucket: {BUCKET}, {READER}, start: {NOW:%Y-%m-%d}}}]}}
    output: {{files: {{folder: {tmp_path}/out}}}}
    state: {{folder: {tmp_path}/state}}
    aws: {{region: us-east-1, endpoint_url: '{judged.aws.url}'}}
    enrich:
      ec2: {{regions: us-east-1, assume_unchanged: 1h, role_name: inventory, external_id: x-7, accounts: [
          {{id: {MAIN}, name: Shop}}, {{id: {theirs}, name: Pay ments}}]}}
    """
    with wiring.program(parse(text, "c", {}), Stops()) as program:
        program.poll()
    found = [
        json.loads(line) for file in (tmp_path / "out").rglob("*.ndjson") for line in file.read_text().splitlines()
    ]
    clouds = {each["log"]["offset"]: each["cloud"] for each in found if each["aws"]["s3"]["object"]["key"] == key}
    shop, pay = {"id": MAIN, "name": "Shop"}, {"id": theirs, "name": "Pay ments"}
    here: dict[str, Any] = {"region": "us-east-1", "availability_zone": zone(judged, theirs)}
    assert clouds == {
        1: {"provider": "aws", **here, "account": shop, "origin": {"account": shop, **here}},
        2: {"provider": "aws", **here, "account": pay, "origin": {"account": pay, **here}},
        3: {"provider": "aws", "region": "us-east-1", "account": {"id": "777777777777"}},
    }
    judged.allow("sts:AssumeRole")


def zone(judged: Judged, account: str) -> str:
    """The id of the zone of the subnet in which interfaces are made."""
    with judged.unjudged():
        client = judged.aws.client("ec2", account=account)
        found = client.describe_subnets()["Subnets"][0]["AvailabilityZoneId"]
        client.close()
    return str(found)


def test_a_role_that_is_not_given_is_told_with_what_it_needs(judged: Judged, tmp_path: Path) -> None:
    write_key(tmp_path, judged.key())
    judged.allow("ec2:DescribeVpcs")
    role = f"arn:aws:iam::{OTHER}:role/inventory"
    found, metrics = over(tmp_path, judged, f"accounts: [{{id: {OTHER}, role_arn: '{role}', external_id: x-7}}]")
    assert found.refresh() is False
    assert found.current() is None
    told = found.faults[f"{OTHER} us-east-1"]
    assert told.startswith(f"the role {role} is not given, so EC2 in us-east-1 for the account {OTHER} was not asked: ")
    assert "allow sts:AssumeRole on the role to these credentials" in told
    assert metrics.value("retries_total", policy="inventory") == 0
    judged.allow("sts:AssumeRole")


def test_where_no_account_is_configured_sts_is_not_asked(judged: Judged, tmp_path: Path) -> None:
    write_key(tmp_path, judged.key())
    judged.allow(*DESCRIBES)
    found, metrics = over(tmp_path, judged, "tags: []")
    assert found.refresh() is True
    assert {account for account, *_ in owners(found)} <= {MAIN}
    assert metrics.value("inventory_time_seconds", account="", region="us-east-1") > 0
    judged.allow("sts:AssumeRole")


def test_the_list_is_had_by_a_role(judged: Judged, tmp_path: Path) -> None:
    """Moto knows no delegated administrator of another account: the role's account has an organization of its own."""
    write_key(tmp_path, judged.key())
    lister = judged.give_role("777777777777", "lister", LIST_ACCOUNTS.permission)
    with judged.unjudged():
        client = judged.aws.client("organizations", account="777777777777")
        client.create_organization(FeatureSet="ALL")
        client.close()
    judged.give_role("777777777777", "inventory", *DESCRIBES)
    made = make_interface(judged, "777777777777", "172.31.0.78")
    found, _ = over(tmp_path, judged, f"role_name: inventory, organization: {{enabled: true, role_arn: '{lister}'}}")
    assert found.refresh() is True
    assert {(account, interface) for account, _, interface in owners(found)} == {("777777777777", made)}


def test_all_roles_share_one_description_of_each_service(tmp_path: Path) -> None:
    clients = Clients(config(tmp_path, ENTRIES))
    own, other = (clients.session(Role(*each), "eu-west-1")._session for each in ((), (ROLE,)))  # noqa: SLF001 - boto3 has no other way to it
    assert own.get_component("data_loader") is other.get_component("data_loader")
    for role, where in ((Role(), "eu-west-1"), (Role(ROLE), "us-east-2")):
        client = clients.ec2(where, role)
        assert region(client) == where
        client.close()
