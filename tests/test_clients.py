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
from tests.services.accounts import BUCKET, ROLE, Accounts, accounts
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
def judged() -> Iterator[Accounts]:
    with accounts() as running:
        running.put(KEY, RECORD)
        yield running


def test_a_bucket_of_another_account_is_read_by_its_role(judged: Accounts, tmp_path: Path) -> None:
    write_key(tmp_path, judged.key())
    source = f"s3: [{{bucket: {BUCKET}, {READER}, external_id: external-7, start: {NOW:%Y-%m-%d}}}]"
    with built(tmp_path, judged.aws, source) as program:
        program.poll()
        assert program.metrics.value("objects_total", outcome="done") == 1
        assert program.metrics.value("polls_total", outcome="ok") == 1
    assert documents(tmp_path) == [KEY]


def test_without_the_role_it_is_not_and_the_other_source_goes_on(
    judged: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    judged: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
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
    judged: Accounts, tmp_path: Path, caplog: pytest.LogCaptureFixture
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


def test_a_queue_is_read_by_its_role(judged: Accounts, tmp_path: Path) -> None:
    """The user may assume the role and nothing else; the role may read objects and no queue."""
    write_key(tmp_path, judged.key())
    queue = f"{judged.aws.url}/222222222222/q"
    settings = config(tmp_path, f"sqs: [{{queue_url: '{queue}', {READER}}}]", f"endpoint_url: '{judged.aws.url}'")
    client = Clients(settings).sqs(settings.source.sqs[0])
    told = r"assumed-role/flow-log-reader/vpcflow-exporter is not authorized to perform: sqs:ReceiveMessage"
    with pytest.raises(client.exceptions.ClientError, match=told):
        client.receive_message(QueueUrl=queue)
    client.close()
