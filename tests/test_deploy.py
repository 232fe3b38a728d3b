"""The examples under deploy/: they fit the program and the image, and give just what is needed."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from elasticsearch import AuthorizationException, Elasticsearch

from exporter import __version__
from exporter.config import S3Source, load
from exporter.enrich.accounts import LIST_ACCOUNTS
from exporter.enrich.ec2 import QUESTIONS
from exporter.errors import Refused
from exporter.flow import Delivered
from exporter.install.templates import setup
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.letter_stream import LetterStream, stream_of
from exporter.sink.streamed_letters import read
from exporter.source.calls import ROLE_NEEDS
from exporter.source.formats import DESCRIBE_NEEDS
from exporter.source.pages import LIST_NEEDS
from exporter.source.roles import SESSION_NAME
from exporter.source.s3 import READ_NEEDS, S3Listing, S3Objects
from exporter.source.sqs import LOOK_PERMISSION, Queue
from exporter.source.sqs import PERMISSIONS as QUEUE_PERMISSIONS
from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster, cluster
from tests.sink.bodies import GOOD, SOURCE, Rig, body
from tests.sink.test_dead_letter import DOCUMENT, IDS, LETTER
from tests.source.bucket import hive, plain
from tests.source.queues import make_queue
from tests.test_dockerfile import FINAL, environment, option, values

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEPLOY = Path(__file__).parents[1] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yaml").read_text(encoding="utf-8"))
POLICY: dict[str, Any] = json.loads((DEPLOY / "iam-policy.json").read_text(encoding="utf-8"))
ROLES: dict[str, Any] = json.loads((DEPLOY / "elasticsearch-role.json").read_text(encoding="utf-8"))


def example_environment() -> dict[str, str]:
    """The variables of exporter.env.example, as far as they are in force."""
    lines = (DEPLOY / "exporter.env.example").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def test_the_container_is_locked_up() -> None:
    (service,) = COMPOSE["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [service["user"]] == values("USER", FINAL)
    assert service["image"] == f"vpcflow-exporter:{__version__}"
    assert not service.keys() & {"privileged", "cap_add", "ports", "network_mode", "pid", "environment", "tmpfs"}


def test_the_container_has_its_configuration_and_keeps_its_state() -> None:
    (service,) = COMPOSE["services"].values()
    config, state = (volume.split(":") for volume in service["volumes"])
    assert (DEPLOY / config[0]).is_file()
    assert config[1:] == [option("--config"), "ro"]
    assert state[0] in COMPOSE["volumes"]
    assert [json.dumps([state[1]])] == values("VOLUME", FINAL)
    assert (DEPLOY / service["build"]["context"] / "Dockerfile").is_file()


def test_the_configuration_takes_all_it_needs_from_the_env_file() -> None:
    given = example_environment()
    assert given["ELASTICSEARCH_API_KEY"] == ""
    settings = load(DEPLOY / "config.yaml", given | environment(FINAL) | {"ELASTICSEARCH_API_KEY": "a2V5"})
    assert settings.source.s3[0].bucket == "flow-logs"
    assert settings.aws.region == "eu-central-1"
    assert settings.output.elasticsearch is not None
    assert settings.output.elasticsearch.hosts == ("https://es.example.com:9200",)
    assert settings.output.elasticsearch.credentials().api_key == "a2V5"
    assert settings.state.folder == Path("/var/lib/vpcflow-exporter")
    (service,) = COMPOSE["services"].values()
    assert service["env_file"] == ["exporter.env"]
    assert timedelta(seconds=int(service["stop_grace_period"].removesuffix("s"))) > settings.grace


def test_the_env_file_is_not_in_the_image() -> None:
    lines = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("!deploy")] == ["!deploy/requirements-build.lock"]


def listed(value: str | list[str]) -> list[str]:
    """IAM writes a list of one as text."""
    return [value] if isinstance(value, str) else value


def allowed(action: str, resource: str, prefix: str = "") -> bool:
    """Whether the policy allows this; only what the policy uses is understood, anything else is an error."""
    for statement in POLICY["Statement"]:
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        condition = statement.get("Condition", {"StringLike": {"s3:prefix": "*"}})
        assert condition.keys() == {"StringLike"}
        assert condition["StringLike"].keys() == {"s3:prefix"}
        if (
            action in listed(statement["Action"])
            and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
            and any(fnmatchcase(prefix, pattern) for pattern in listed(condition["StringLike"]["s3:prefix"]))
        ):
            return True
    return False


BUCKET = "FLOW-LOG-BUCKET"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
QUEUE_ARN = "arn:aws:sqs:REGION:ACCOUNT:FLOW-LOG-QUEUE"


def test_the_policy_names_what_the_program_asks_and_nothing_else() -> None:
    actions = sorted(action for statement in POLICY["Statement"] for action in listed(statement["Action"]))
    inventory = [*(question.permission for question in QUESTIONS), LIST_ACCOUNTS.permission]
    assume = ROLE_NEEDS.split()[0]
    assert actions == sorted(
        [
            *(*inventory, DESCRIBE_NEEDS, *QUEUE_PERMISSIONS, LOOK_PERMISSION),
            *(each.split()[0] for each in (LIST_NEEDS, READ_NEEDS)),
            *(assume, assume),  # of buckets and queues, and of the inventory with its list of accounts
        ]
    )
    assert allowed(assume, "arn:aws:iam::123456789012:role/FLOW-LOG-INVENTORY")
    assert allowed(assume, "arn:aws:iam::MANAGEMENT-ACCOUNT:role/ACCOUNT-LISTER")
    assert all(allowed(permission, "*") for permission in (*inventory, DESCRIBE_NEEDS))
    assert not [action for action in actions if "*" in action]


def test_the_policy_allows_every_call_of_a_pass(aws: Aws) -> None:
    """Moto does not know IAM's conditions, so the calls are made, written down, and judged here."""
    calls: list[tuple[str, dict[str, str]]] = []
    client: S3Client = aws.client("s3")
    name = BUCKET.lower()
    client.create_bucket(Bucket=name)
    keys = (plain("123456789012", "eu-west-1", "20261103T0905"), hive("210987654321", "us-east-1", "20261103T1005"))
    for key in keys:
        client.put_object(Bucket=name, Key=key, Body=b"x")

    def note(params: dict[str, str], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's model of a call
        calls.append((model.name, dict(params)))

    client.meta.events.register("provide-client-params.s3", note)
    metrics, stop, day = Metrics(), Event(), date(2026, 11, 3)
    listing = S3Listing(client, S3Source(bucket=name), metrics, stop)
    found = list(listing.new_objects(day, day, datetime(2026, 11, 1, tzinfo=UTC), lambda objects: objects))
    for each in found:
        with S3Objects(client, metrics, stop).open(each) as stream:
            assert stream.read(10) == b"x"
    client.close()

    assert {each.key for each in found} == set(keys)
    assert {operation for operation, _ in calls} == {"ListObjectsV2", "GetObject"}
    for operation, params in calls:
        assert params["Bucket"] == name
        if operation == "ListObjectsV2":
            assert allowed("s3:ListBucket", BUCKET_ARN, params["Prefix"]), params
        else:
            assert allowed("s3:GetObject", f"{BUCKET_ARN}/{params['Key']}"), params


def test_the_policy_allows_every_call_to_a_queue(aws: Aws) -> None:
    made, calls = make_queue(aws, "deploy"), set[str]()
    made.client.meta.events.register("before-call.sqs", lambda model, **_: calls.add(model.name))
    queue = Queue(made.client, made.settings(), Metrics(), Event())
    queue.check()
    made.client.send_message(QueueUrl=made.url, MessageBody="x")
    (message,) = queue.receive(1, 1)
    assert queue.extend({message.receipt: 60}) == {}
    queue.delete(message.receipt)
    made.client.close()
    asked = {f"sqs:{call.removesuffix('Batch')}" for call in calls - {"SendMessage"}}
    assert asked == {*QUEUE_PERMISSIONS, LOOK_PERMISSION}
    assert all(allowed(action, QUEUE_ARN) for action in asked)


def test_the_queue_policies_that_are_shown_let_s3_and_sns_send_to_just_that_queue() -> None:
    text = (DEPLOY.parent / "docs" / "permissions.md").read_text(encoding="utf-8")
    shown = [block for block in re.findall(r"(?s)```json\n(.*?)```", text) if "sqs:" in block]
    statements = [statement for block in shown for statement in json.loads(block)["Statement"]]
    assert [each["Principal"]["Service"] for each in statements] == ["s3.amazonaws.com", "sns.amazonaws.com"]
    assert {each["Action"] for each in statements} == {"sqs:SendMessage"}
    assert {each["Resource"] for each in statements} == {QUEUE_ARN}
    assert all("aws:SourceArn" in str(each["Condition"]) for each in statements)


@pytest.mark.parametrize(
    ("action", "resource", "prefix"),
    [
        ("sqs:ReceiveMessage", "arn:aws:sqs:REGION:ACCOUNT:ANOTHER", ""),
        ("sqs:SendMessage", QUEUE_ARN, ""),
        ("s3:ListBucket", BUCKET_ARN, ""),
        ("s3:ListBucket", BUCKET_ARN, "other/"),
        ("s3:ListBucket", "arn:aws:s3:::other", "AWSLogs/"),
        ("s3:GetObject", f"{BUCKET_ARN}/other/AWSLogs/x", ""),
        ("s3:GetObject", "arn:aws:s3:::other/AWSLogs/x", ""),
        ("s3:PutObject", f"{BUCKET_ARN}/AWSLogs/x", ""),
        ("ec2:DescribeImages", "*", ""),
        ("sts:AssumeRole", "arn:aws:iam::123456789012:role/administrator", ""),
        ("organizations:DescribeOrganization", "*", ""),
    ],
)
def test_the_policy_allows_no_more(action: str, resource: str, prefix: str) -> None:
    assert not allowed(action, resource, prefix)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cluster]:
    """One more server of our own, for this file: with security, which the shared one has not."""
    with cluster(bootstrap_password="of-the-tests-only") as running:
        yield running


def key_with(server: Cluster, role: str) -> str:
    """An API key that may do what the role of deploy/elasticsearch-role.json may."""
    with Elasticsearch(server.url, basic_auth=server.basic_auth) as client:
        made = client.security.create_api_key(name=role, role_descriptors={role: ROLES[role]})
        return str(made["encoded"])


def test_the_roles_are_enough_to_set_up_send_and_roll_over(guarded: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    sender, installer = key_with(guarded, "vpcflow-exporter"), key_with(guarded, "vpcflow-exporter-setup")
    with Elasticsearch(guarded.url, api_key=installer) as client:
        assert [step.outcome for step in setup(client, replicas=0).steps[:3]] == ["created"] * 3
        with Rig(guarded.url, namespace="exporter", api_key=sender) as rig:
            rig.sink.verify()
            assert caplog.messages == []
            delivery = rig.sink.open(SOURCE)
            delivery.send(body(GOOD, GOOD))
            assert delivery.finish() == Delivered(created=2, bytes=len(body(GOOD, GOOD).data))
            assert {step.outcome for step in setup(client, replicas=0).steps} <= {"unchanged", "left alone"}
            assert setup(client, replicas=0, shards=2).steps[-1].outcome == "rolled over"
            assert rig.sink.holds(SOURCE.bucket, "") is False
            again = rig.sink.open(SOURCE, again=True)
            again.send(body(GOOD, first_row=10))
            assert again.finish().created == 1
            assert rig.metrics.value("looks_total", found="none") == 1


def test_the_roles_are_enough_to_keep_read_and_mark_dead_letters(
    guarded: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender, installer = key_with(guarded, "vpcflow-exporter"), key_with(guarded, "vpcflow-exporter-setup")
    with Elasticsearch(guarded.url, api_key=installer) as client, Elasticsearch(guarded.url, api_key=sender) as own:
        assert [step.outcome for step in setup(client, replicas=0, dead_letters=True).steps[5:8]] == ["created"] * 3
        metrics = Metrics()
        letters = LetterStream(
            own, namespace="exporter", fallback=DeadLetterFile(tmp_path, metrics), metrics=metrics, stop=Event()
        )
        letters.verify()
        letters.keep([LETTER, DOCUMENT])
        letters.keep([LETTER])
        letters.mark_replayed([IDS[256]])
        letters.supersede(SOURCE, datetime(2026, 1, 1, tzinfo=UTC))
        assert [(each.row, each.replayed) for each in read(own, letters.stream)] == [(255, False), (256, True)]
        again = [step.outcome for step in setup(client, replicas=0, dead_letters=True).steps[5:]]
        assert set(again) <= {"unchanged", "left alone"}
        assert setup(client, replicas=0, shards=2, dead_letters=True).steps[-1].outcome == "rolled over"
        letters.mark_replayed([IDS[255]])
        assert [each.replayed for each in read(own, letters.stream)] == [True, True]
        assert caplog.messages == []


def test_without_maintenance_dead_letters_are_read_with_a_warning(
    guarded: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    stream = stream_of("exporter")
    role = {"indices": [{"names": [stream], "privileges": ["read"]}]}
    with Elasticsearch(guarded.url, basic_auth=guarded.basic_auth) as client:
        key = str(client.security.create_api_key(name="reader", role_descriptors={"reader": role})["encoded"])
        client.indices.refresh(index=stream)
    with Elasticsearch(guarded.url, api_key=key) as client:
        assert [each.row for each in read(client, stream)] == [255, 256]
    told = f"{stream}: without the privilege `maintenance`, what was kept just now is not seen yet"
    assert caplog.messages == [told]


def test_the_roles_are_no_more_than_that(guarded: Cluster) -> None:
    sender, installer = key_with(guarded, "vpcflow-exporter"), key_with(guarded, "vpcflow-exporter-setup")
    stream = "logs-aws.vpcflow-exporter"
    with Elasticsearch(guarded.url, api_key=sender) as client:
        with pytest.raises(Refused, match="manage_index_templates"):
            setup(client, index_mode="standard")
        with pytest.raises(AuthorizationException):
            client.search(index=f"{stream}-other")
        for index in (stream, stream_of("exporter")):
            with pytest.raises(AuthorizationException):
                client.delete(index=index, id="1")
            with pytest.raises(AuthorizationException):
                client.indices.rollover(alias=index)
    with Elasticsearch(guarded.url, api_key=installer) as client:
        with pytest.raises(AuthorizationException):
            client.search(index=stream)
        with pytest.raises(AuthorizationException):
            client.create(index=stream, id="1", document={"@timestamp": "2026-11-21T10:00:00Z"})
        with pytest.raises(AuthorizationException):
            client.indices.delete(index=stream)


def test_the_trust_policy_that_is_shown_fits_what_the_program_asks() -> None:
    text = (DEPLOY.parent / "docs" / "permissions.md").read_text(encoding="utf-8")
    (shown,) = [block for block in re.findall(r"(?s)```json\n(.*?)```", text) if "sts:ExternalId" in block]
    (statement,) = json.loads(shown)["Statement"]
    assert statement["Action"] == ROLE_NEEDS.split()[0]
    assert statement["Condition"]["StringEquals"] == {
        "sts:ExternalId": "THE-EXTERNAL-ID",
        "sts:RoleSessionName": SESSION_NAME,
    }
    statements = [each for each in POLICY["Statement"] if each["Action"] == ROLE_NEEDS.split()[0]]
    assert [each["Sid"] for each in statements] == ["AssumeInventoryRoles", "AssumeReaders"]
    for each in statements:
        assert [resource for resource in listed(each["Resource"]) if f"`{resource}`" not in text] == []
        assert f"`{each['Sid']}`" in text


def test_every_permission_is_explained() -> None:
    text = (DEPLOY.parent / "docs" / "permissions.md").read_text(encoding="utf-8")
    actions = [action for statement in POLICY["Statement"] for action in listed(statement["Action"])]
    privileges = [name for role in ROLES.values() for name in role["cluster"] + role["indices"][0]["privileges"]]
    assert [name for name in actions + privileges if f"`{name}`" not in text] == []
    assert [name for name in re.findall(r"`((?:s3|ec2|sts|sqs|organizations):\w+)`", text) if name not in actions] == []
