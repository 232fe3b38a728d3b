"""How files without a header are written: by the configuration, and by EC2 on moto's server.

moto refuses and throttles nothing by itself: that is shown at the client's boundary, with the codes EC2 documents.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Event, Timer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from mypy_boto3_ec2 import EC2Client

from exporter.config import Source
from exporter.errors import SourceError, Stopped
from exporter.fields import DEFAULT_FORMAT
from exporter.flow import S3Object
from exporter.metrics import Metrics
from exporter.source import calls
from exporter.source import formats as formats_module
from exporter.source.formats import FlowLogFormats
from exporter.source.keys import parse_key
from tests.services.aws import Aws

EAST, WEST = "us-east-1", "us-west-2"
FLOW_LOG = "fl-0a1b2c3d4e5f60718"
Given = list[tuple[str, tuple[str, ...]]]


def stored(flow_log: str = FLOW_LOG, region: str = EAST, *, bucket: str = "logs", prefix: str = "") -> S3Object:
    """A file as AWS would deliver it."""
    name = f"123456789012_vpcflowlogs_{region}_{flow_log}_20261103T0905Z_abc.log.gz"
    key = f"{prefix}AWSLogs/123456789012/vpcflowlogs/{region}/2026/11/03/{name}"
    return parse_key(bucket, key, "e", 1, datetime(2026, 11, 3, 9, 14, tzinfo=UTC))


def settings(*s3: dict[str, object], **more: object) -> Source:
    return Source.model_validate({"s3": s3 or ({"bucket": "logs"},), **more})


@dataclass(slots=True)
class Ec2:
    """The client that a test has made for each region, and how often one was asked for."""

    clients: dict[str, EC2Client]
    made: list[str] = field(default_factory=list)

    def __call__(self, region: str) -> EC2Client:
        self.made.append(region)
        return self.clients[region]


@dataclass(slots=True)
class Clock:
    """A clock that stands still until it is told."""

    now: float = 5.0

    def __call__(self) -> float:
        return self.now


def formats(
    ec2: Callable[[str], EC2Client],
    config: Source | None = None,
    *,
    stop: Event | None = None,
    clock: Clock | None = None,
) -> FlowLogFormats:
    return FlowLogFormats(
        config or settings(),
        ec2,
        regions=frozenset({EAST, WEST}),
        metrics=Metrics(),
        stop=stop or Event(),
        clock=clock or Clock(),
    )


def nobody(region: str) -> EC2Client:
    raise AssertionError(f"EC2 in {region} is asked")


def told(asked: FlowLogFormats, source: S3Object) -> Given:
    """The formats; why there is none has no names."""
    return [(told_by, names) for told_by, names in asked(source) if names]


def why(asked: FlowLogFormats, source: S3Object) -> list[str]:
    """Why there is none."""
    return [told_by for told_by, names in asked(source) if not names]


# The configuration ----------------------------------------------------------------------------------------------------

SHORT, LONG, OWN = ("version", "srcaddr"), ("version", "dstaddr"), ("version", "action")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (stored(), SHORT),
        (stored(prefix="team/a/"), SHORT),
        (stored(prefix="team/b/"), LONG),
        (stored("fl-12345678", prefix="team/b/"), OWN),
        (stored("fl-12345678", bucket="elsewhere"), OWN),
        (stored(bucket="elsewhere"), None),
        (parse_key("logs", "2026/11/03/part-1", "e", 1, datetime(2026, 11, 3, tzinfo=UTC)), None),
        (parse_key("fire", "2026/11/03/part-1", "e", 1, datetime(2026, 11, 3, tzinfo=UTC)), LONG),
        (parse_key("fire", "in/2026/part-1", "e", 1, datetime(2026, 11, 3, tzinfo=UTC)), SHORT),
        (parse_key("fire", "in/none/part-1", "e", 1, datetime(2026, 11, 3, tzinfo=UTC)), SHORT),
    ],
    ids=[
        *("the bucket's", "a prefix without one of its own", "the prefix's", "the flow log's"),
        *(
            "the flow log's in any bucket",
            "no such bucket",
            "not below AWSLogs/",
            "another layout",
            "the longer prefix",
        ),
        "the longest prefix that has one",
    ],
)
def test_the_configured_format_is_the_flow_logs_else_that_of_the_longest_prefix(
    source: S3Object, names: tuple[str, ...] | None
) -> None:
    config = settings(
        {"bucket": "logs", "format": "${version} ${srcaddr}"},
        {"bucket": "logs", "prefix": "team/a"},
        {"bucket": "logs", "prefix": "team/b", "format": LONG},
        {"bucket": "logs", "prefix": "team/a", "layout": "any", "format": SHORT},
        {"bucket": "fire", "layout": "ordered", "prefix": "in/", "format": SHORT},
        {"bucket": "fire", "layout": "any", "prefix": "in/none/"},
        {"bucket": "fire", "layout": "any", "format": LONG},
        flow_logs=[{"id": "fl-12345678", "format": OWN}],
        describe_flow_logs=False,
    )
    assert told(formats(nobody, config), source) == ([("the configuration", names)] if names else [])


def test_ec2_is_not_asked_before_the_configured_format_was_refused() -> None:
    config = settings({"bucket": "logs", "format": SHORT})
    given = formats(nobody, config)(stored())
    assert next(iter(given)) == ("the configuration", SHORT)
    with pytest.raises(AssertionError, match="EC2 in us-east-1 is asked"):
        next(iter(given))


# EC2 ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ec2(aws: Aws) -> Iterator[Ec2]:
    clients: dict[str, EC2Client] = {region: aws.client("ec2", region) for region in (EAST, WEST)}
    yield Ec2(clients)
    for client in clients.values():
        client.close()


def made(aws: Aws, client: EC2Client, log_format: str | None) -> str:
    """A new flow log's id; None for AWS's default format."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="made-for-flow-logs")
    s3.close()
    vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    form: Any = {"LogFormat": log_format} if log_format else {}
    destination = "arn:aws:s3:::made-for-flow-logs"
    answer = client.create_flow_logs(
        ResourceIds=[vpc],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination=destination,
        **form,
    )
    return answer["FlowLogIds"][0]


def test_a_flow_logs_own_format_is_asked_for_in_its_region_and_once(aws: Aws, ec2: Ec2) -> None:
    east = made(aws, ec2.clients[EAST], "${srcaddr} ${dstaddr} ${flow-direction} ${instance-tag}")
    west = made(aws, ec2.clients[WEST], None)
    asked = formats(ec2, settings({"bucket": "logs", "format": SHORT}))
    for _ in range(3):
        assert told(asked, stored(east)) == [
            ("the configuration", SHORT),
            ("DescribeFlowLogs", ("srcaddr", "dstaddr", "flow-direction", "instance-tag")),
        ]
        assert told(asked, stored(west, WEST))[1:] == [("DescribeFlowLogs", DEFAULT_FORMAT)]
    assert ec2.made == [EAST, WEST]
    ec2.clients[EAST].delete_flow_logs(FlowLogIds=[east])
    assert told(asked, stored(east))[1][1][0] == "srcaddr"  # a format never changes, and is not asked for again


def test_a_flow_log_that_ec2_does_not_know_is_told_once_and_asked_for_again_after_a_minute(
    ec2: Ec2, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    asked = formats(ec2, clock=clock)
    assert [told(asked, stored()) for _ in range(3)] == [[]] * 3
    clock.now += 60
    assert told(asked, stored()) == []
    reason = f"EC2 knows no format of the flow log {FLOW_LOG} in us-east-1"
    assert why(asked, stored()) == [reason]
    assert caplog.messages == [reason]


@pytest.mark.parametrize(
    "source",
    [
        stored("fl-zz"),
        stored(region="evil.example.com"),
        stored(region="xx-nowhere-1"),
        parse_key("logs", f"in/{FLOW_LOG}.log.gz", "e", 1, datetime(2026, 11, 3, tzinfo=UTC)),
    ],
    ids=["no flow log", "no region's name", "no region of AWS", "no region"],
)
def test_what_a_key_does_not_tell_is_not_asked_for(source: S3Object) -> None:
    assert told(formats(nobody), source) == []
    assert told(formats(nobody, settings(describe_flow_logs=False)), stored()) == []


# EC2's refusals -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stub() -> Iterator[Stubber]:
    """A client that answers what is queued, and nothing else."""
    with Stubber(client()) as stubber:
        yield stubber


def client(**more: object) -> Any:  # noqa: ANN401 - the Stubber knows it as one of any service
    """A client as the program's own: it does not retry."""
    session: Any = boto3.Session()
    credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    config = Config(proxies={}, retries={"total_max_attempts": 1}, connect_timeout=1)
    return session.client("ec2", region_name=EAST, config=config, **credentials, **more)


def refuse(stub: Stubber, code: str, status: int = 400) -> None:
    stub.add_client_error("describe_flow_logs", code, "as told", http_status_code=status)


def answer(stub: Stubber, log_format: str, flow_log: str = FLOW_LOG) -> None:
    item = {"FlowLogId": flow_log, "LogFormat": log_format}
    stub.add_response("describe_flow_logs", {"FlowLogs": [item]}, {"FlowLogIds": [flow_log]})


def stubbed(stub: Stubber, stop: Event | None = None, clock: Clock | None = None) -> FlowLogFormats:
    queued: Any = stub.client
    return formats(Ec2({EAST: queued, WEST: queued}), stop=stop, clock=clock)


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AuthFailure", "OptInRequired"])
def test_a_region_that_may_not_be_asked_is_left_alone_for_a_minute_and_told_once(
    stub: Stubber, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    asked = stubbed(stub, clock=clock)
    refuse(stub, code, 403)
    assert told(asked, stored()) == []
    assert told(asked, stored("fl-12345678")) == []  # nothing is queued: a second call would fail
    clock.now += 59
    assert told(asked, stored()) == []
    clock.now += 1
    refuse(stub, code, 403)
    assert told(asked, stored()) == []
    assert why(asked, stored()) == [
        f"could not describe the flow log {FLOW_LOG} in us-east-1: {code}: as told; allow ec2:DescribeFlowLogs"
    ]
    clock.now += 60
    answer(stub, "${version} ${srcaddr}")
    assert told(asked, stored()) == [("DescribeFlowLogs", SHORT)]
    stub.assert_no_pending_responses()
    (message,) = caplog.messages
    assert message == (
        f"could not describe the flow log {FLOW_LOG} in us-east-1: {code}: as told; allow ec2:DescribeFlowLogs; "
        "until then EC2 tells no formats of files without a header in us-east-1"
    )


@pytest.mark.parametrize("code", ["InvalidFlowLogId.NotFound", "InvalidFlowLogId.Malformed"])
def test_a_flow_log_of_another_account_stops_no_other_one(
    stub: Stubber, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = stubbed(stub)
    refuse(stub, code)
    assert [told(asked, stored()) for _ in range(2)] == [[], []]
    answer(stub, "${version} ${srcaddr}", "fl-12345678")
    assert told(asked, stored("fl-12345678")) == [("DescribeFlowLogs", SHORT)]
    stub.assert_no_pending_responses()
    (message,) = caplog.messages
    assert message == (
        f"could not describe the flow log {FLOW_LOG} in us-east-1: {code}: as told; "
        "give its format in source.flow_logs if it is another account's"
    )


@pytest.mark.parametrize("log_format", ["", "${colour} ${hue}", "${version} " + "${n} " * 200])
def test_a_format_that_is_none_is_not_given(stub: Stubber, log_format: str) -> None:
    answer(stub, log_format)
    assert told(stubbed(stub), stored()) == []


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "Unavailable"])
def test_a_throttled_question_is_asked_again(stub: Stubber, code: str) -> None:
    refuse(stub, code, 503)
    answer(stub, "${version} ${srcaddr}")
    assert told(stubbed(stub), stored()) == [("DescribeFlowLogs", SHORT)]


def test_an_object_waits_where_ec2_does_not_answer(stub: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the policy cut short: nobody waits for two minutes here."""
    monkeypatch.setattr(calls, "POLICY", replace(calls.POLICY, give_up_after=0.0))
    clock = Clock()
    asked = stubbed(stub, clock=clock)
    refuse(stub, "RequestLimitExceeded", 503)
    for flow_log in (FLOW_LOG, "fl-12345678"):  # nothing is queued for the second one, which waits as long
        with pytest.raises(SourceError) as raised:
            told(asked, stored(flow_log))
        assert str(raised.value) == (
            f"could not describe the flow log {FLOW_LOG} in us-east-1: RequestLimitExceeded: as told; "
            "source.describe_flow_logs: false does without it"
        )
    clock.now += 60
    answer(stub, "${version} ${srcaddr}")
    assert told(asked, stored()) == [("DescribeFlowLogs", SHORT)]


def test_an_object_waits_where_ec2_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "POLICY", replace(calls.POLICY, give_up_after=0.0))
    away = client(endpoint_url="http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(SourceError, match=r"could not describe the flow log fl-.*127\.0\.0\.1:9") as raised:
        told(formats(lambda _: away), stored())
    assert isinstance(raised.value.__cause__, SourceError)
    assert isinstance(raised.value.__cause__.__cause__, EndpointConnectionError)
    away.close()


def test_a_stop_ends_the_wait_for_ec2(stub: Stubber) -> None:
    stop = Event()
    for _ in range(20):
        refuse(stub, "RequestLimitExceeded", 503)
    timer = Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        told(stubbed(stub, stop), stored())
    timer.join()


def test_a_bounded_number_of_formats_is_remembered_the_oldest_forgotten_first(
    stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats_module, "ANSWERS", 2)
    asked = stubbed(stub)
    first, second, third = "fl-00000001", "fl-00000002", "fl-00000003"
    for flow_log in (first, second, third, first):
        answer(stub, "${version} ${srcaddr}", flow_log)
        assert told(asked, stored(flow_log)) == [("DescribeFlowLogs", SHORT)]
    assert told(asked, stored(third)) == [("DescribeFlowLogs", SHORT)]  # nothing is queued: it was remembered
    stub.assert_no_pending_responses()
