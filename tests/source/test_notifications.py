"""Bodies as AWS documents them, bodies that anybody could send, and what is made of each."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.notices import Notice, Notified
from exporter.source.keys import parse_key
from exporter.source.notifications import LONGEST_BODY, MOST_EVENTS, Wanted, read_body, shape
from tests.source.bucket import hive, plain

ANY = Wanted(flow_logs=False)
KEY = plain("123456789012", "us-west-2", "20261103T0905")
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
TIME = datetime(2026, 11, 3, 9, 11, 2, 345000, UTC)
SEEN = Notified("amzn-s3-demo-bucket", KEY, ETAG, 1024, TIME, "us-west-2")


def record(key: str = KEY, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """The S3 guide's example of "Event message structure", with a key as it stands there: URL-encoded."""
    made: dict[str, Any] = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "2026-11-03T09:11:02.345Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "testConfigRule",
            "bucket": {
                "name": "amzn-s3-demo-bucket",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::amzn-s3-demo-bucket",
            },
            "object": {
                "key": key,
                "size": 1024,
                "eTag": ETAG,
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
    return changed(made, changes)


def changed(made: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The same with other values at paths like `s3__object__size`; `...` takes the name away."""
    made = deepcopy(made)
    for path, value in changes.items():
        *above, name = path.split("__")
        at = made
        for each in above:
            at = at[each]
        if value is ...:
            del at[name]
        else:
            at[name] = value
    return made


def s3(*records: object) -> str:
    return json.dumps({"Records": records})


def sns(message: str, kind: str = "Notification") -> str:
    """The SNS guide's example of "HTTP/HTTPS notification JSON format", which SQS gets too."""
    return json.dumps(
        {
            "Type": kind,
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:MyTopic",
            "Subject": "Amazon S3 Notification",
            "Message": message,
            "Timestamp": "2026-11-03T09:11:03.100Z",
            "SignatureVersion": "1",
            "Signature": "EXAMPLEw6JRN...",
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
        }
    )


def eventbridge(key: str = KEY, kind: Any = "Object Created", **changes: Any) -> str:  # noqa: ANN401 - any JSON
    """The S3 guide's example of "EventBridge event structure"; the key is as it is."""
    made = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2026-11-03T09:11:02Z",
        "region": "ca-central-1",
        "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
        "detail": {
            "version": "0",
            "bucket": {"name": "amzn-s3-demo-bucket1"},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }
    return json.dumps(changed(made, changes))


BRIDGED = Notified(
    *("amzn-s3-demo-bucket1", KEY, "b1946ac92492d2347c6235b4d2611184", 5),
    *(datetime(2026, 11, 3, 9, 11, 2, tzinfo=UTC), "ca-central-1"),
)
TEST_EVENT = json.dumps(
    {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2014-10-13T15:57:02.089Z",
        "Bucket": "amzn-s3-demo-bucket",
        "RequestId": "5582815E1AEA5ADF",
        "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
    }
)


@pytest.mark.parametrize(
    ("body", "notice"),
    [
        (s3(record()), Notice((SEEN,))),
        (sns(s3(record())), Notice((SEEN,))),
        (sns(sns(s3(record()))), Notice((SEEN,))),
        (eventbridge(), Notice((BRIDGED,))),
        (sns(eventbridge()), Notice((BRIDGED,))),
        (TEST_EVENT, Notice(is_test=True)),
        (sns(TEST_EVENT), Notice(is_test=True)),
        (s3(record(eventName="s3:ObjectCreated:CompleteMultipartUpload")), Notice((SEEN,))),
        (s3(record(eventVersion="2.4")), Notice((SEEN,))),
        (s3(record(eventVersion=...)), Notice((SEEN,))),
        (s3(record(eventName="ObjectRemoved:Delete", s3__object__size=..., s3__object__eTag=...)), Notice((), 1)),
        (s3(record(eventName="ObjectRestore:Completed")), Notice((), 1)),
        (s3(record(eventName="LifecycleExpiration:Delete")), Notice((), 1)),
        (eventbridge(kind="Object Deleted"), Notice((), 1)),
        (eventbridge(kind="Object Storage Class Changed"), Notice((), 1)),
        (s3(record(), record(eventName="ObjectRemoved:Delete"), record()), Notice((SEEN,), 1)),
        (s3(record("AWSLogs/1/vpcflowlogs/")), Notice((), 1)),  # a folder's marker
    ],
)
def test_what_aws_sends_is_understood(body: str, notice: Notice) -> None:
    assert read_body(body, Wanted()) == notice


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("a%2Bb/flow+logs/x.log.gz", "a+b/flow logs/x.log.gz"),
        ("aws-account-id%3D123456789012/x", "aws-account-id=123456789012/x"),
        ("100%25/x", "100%/x"),
        ("%2525/x", "%25/x"),
        ("%C3%BC%E2%82%AC/x", "ü€/x"),
        ("ü/x", "ü/x"),  # not encoded, as no AWS sends it
        ("%22quoted%22%27/x", '"quoted"\'/x'),
        ("a%zz/x", "a%zz/x"),
    ],
)
def test_a_key_of_s3s_own_is_url_encoded(written: str, key: str) -> None:
    (notified,) = read_body(s3(record(written)), ANY).objects
    assert notified.key == key


@pytest.mark.parametrize("key", ["a+b/flow logs/x", "a=b", "100%/x", "%2525", "ü€", '"quoted"\'/x', "+"])
def test_a_key_of_eventbridges_is_as_it_is(key: str) -> None:
    (notified,) = read_body(eventbridge(key), ANY).objects
    assert notified.key == key


def test_a_hive_key_tells_account_region_and_time() -> None:
    key = hive("123456789012", "us-west-2", "20261103T0905", hourly=True)
    (seen,) = read_body(s3(record(key.replace("=", "%3D"))), Wanted()).objects
    assert seen.etag is not None
    assert seen.size is not None
    assert seen.time is not None
    made = parse_key(seen.bucket, seen.key, seen.etag, seen.size, seen.time)
    assert (made.key, made.account, made.region) == (key, "123456789012", "us-west-2")
    assert made.time == datetime(2026, 11, 3, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"s3__object__eTag": ...}, "etag"),
        ({"s3__object__eTag": ""}, "etag"),
        ({"s3__object__eTag": 'x"\r\nHost: other'}, "etag"),
        ({"s3__object__eTag": 5}, "etag"),
        ({"s3__object__size": ...}, "size"),
        ({"s3__object__size": -1}, "size"),
        ({"s3__object__size": "1024"}, "size"),
        ({"s3__object__size": True}, "size"),
        ({"s3__object__size": 10**30}, "size"),
        ({"eventTime": ...}, "time"),
        ({"eventTime": "yesterday"}, "time"),
        ({"eventTime": "2026-11-03T09:11:02"}, "time"),
        ({"eventTime": "0001-01-01T00:00:00+23:00"}, "time"),
        ({"eventTime": "9999-12-31T23:59:59-23:00"}, "time"),
        ({"eventTime": 1793697062}, "time"),
        ({"awsRegion": ...}, "region"),
        ({"awsRegion": "evil.example.com/"}, "region"),
        ({"awsRegion": None}, "region"),
    ],
)
def test_what_is_not_told_or_not_usable_is_left_open(changes: dict[str, Any], field: str) -> None:
    (notified,) = read_body(s3(record(**changes)), Wanted()).objects
    values = {name: getattr(SEEN, name) for name in ("bucket", "key", "etag", "size", "time", "region")}
    assert notified == Notified(**{**values, field: None})


@pytest.mark.parametrize("etag", [f'"{ETAG}"', ETAG])
def test_an_etag_has_no_quotes(etag: str) -> None:
    assert read_body(s3(record(s3__object__eTag=etag)), Wanted()).objects == (SEEN,)


def test_the_etag_of_an_upload_in_parts_is_told() -> None:
    (notified,) = read_body(s3(record(s3__object__eTag=f"{ETAG}-17")), Wanted()).objects
    assert notified.etag == f"{ETAG}-17"


UNKNOWN = "it is no notification of S3: expected Records, or EventBridge's source aws.s3"
RECORD_SHAPE = (
    "{Records: [{eventVersion: string, eventSource: string, awsRegion: string, eventTime: string, eventName: string, "
    "userIdentity: {principalId: string}, requestParameters: {sourceIPAddress: string}, "
    "responseElements: {x-amz-request-id: string, x-amz-id-2: string}, …}]}"
)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "expected a notification of S3 in JSON; it is no JSON, or nested too deep; text of 0 characters"),
        ("hello", "expected a notification of S3 in JSON; it is no JSON, or nested too deep; text of 5 characters"),
        ("[" * 200_000, "expected a notification of S3 in JSON; it is no JSON, or nested too deep; text of 200,000 ch"),
        ("[1]", "expected a notification of S3, a JSON object; text of 3 characters"),
        (" " * (LONGEST_BODY + 1), "it is longer than 1,048,576 characters; text of 1,048,577 characters"),
        (
            '{"secret": "hunter2", "n": 1, "deep": {"a": [true, null]}}',
            f"{UNKNOWN}; its shape: {{secret: string, n: number, deep: {{a: [boolean, …]}}}}",
        ),
        ('{"Records": []}', f"{UNKNOWN}; its shape: {{Records: []}}"),
        (s3("x"), "expected eventSource aws:s3; its shape: {Records: [string]}"),
        (s3({"eventSource": "aws:ses"}), "expected eventSource aws:s3; its shape: {Records: [{eventSource: string}]}"),
        (s3({"eventSource": "aws:s3"}), "expected an eventName"),
        (s3(*[{}] * (MOST_EVENTS + 1)), "it has more than 1,000 events; its shape: {Records: [{}, …]}"),
        (s3(record(eventVersion="3.0")), "expected eventVersion 2.x: another one may mean something else"),
        (s3(record(eventVersion=2)), "expected eventVersion 2.x"),
        (s3(record(s3="x")), "expected the name of a bucket"),
        (s3(record(s3__bucket__name="arn:aws:s3:eu-west-1:1:accesspoint/x")), "expected the name of a bucket"),
        (s3(record(s3__bucket__name="../x")), "expected the name of a bucket"),
        (s3(record(s3__object__key=5)), "expected a key of 1 to 1,024 bytes of UTF-8"),
        (s3(record("")), "expected a key of 1 to 1,024 bytes of UTF-8"),
        (s3(record("ü" * 513)), "expected a key of 1 to 1,024 bytes of UTF-8"),
        (s3(record("\ud800")), "expected a key of 1 to 1,024 bytes of UTF-8"),
        (s3(record("%ff")), "the key, once URL-decoded, is no UTF-8"),
        (eventbridge(detail="x"), "expected the name of a bucket"),
        (eventbridge(source="aws.ec2"), "it is no notification of S3"),
        (eventbridge(kind=None), "expected a detail-type"),
        (sns("hello"), "expected a notification of S3 in JSON; it is no JSON, or nested too deep"),
        (sns(sns(sns(s3(record())))), "it is no notification of S3"),
        (sns("x", "SubscriptionConfirmation"), "it asks to confirm a subscription of SNS"),
    ],
)
def test_what_is_none_of_ours_is_told_without_its_values(body: str, why: str) -> None:
    notice = read_body(body, Wanted())
    assert notice.foreign is not None
    assert notice.foreign.startswith(why)
    assert notice.objects == ()
    assert "hunter2" not in notice.foreign
    assert "EXAMPLE" not in notice.foreign


def test_of_a_message_that_is_partly_ours_that_part_is_done_and_the_rest_told() -> None:
    other = record("AWSLogs/readme.txt")
    assert read_body(s3(record(), other, record(eventName="ObjectRemoved:Delete"), other), Wanted()) == Notice(
        (SEEN,),
        passed_over=1,
        foreign="the key is not of a flow log in AWS's layout (with `layout: any` any file is taken) (2 of 4 events); "
        f"its shape: {RECORD_SHAPE[:-2]}, …]}}",
    )


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted(frozenset({"amzn-s3-demo-bucket"}), "AWSLogs/"), None),
        (Wanted(frozenset({"another"})), "the bucket is none of the queue's `buckets`"),
        (Wanted(root="flow/AWSLogs/"), "the key does not begin with flow/AWSLogs/"),
        (Wanted(root="AWSLogs/", flow_logs=False), None),
    ],
)
def test_the_filters(wanted: Wanted, why: str | None) -> None:
    notice = read_body(s3(record()), wanted)
    assert notice.objects == (() if why else (SEEN,))
    assert notice.foreign == (f"{why}; its shape: {RECORD_SHAPE}" if why else None)


def test_any_file_is_taken_where_any_layout_is() -> None:
    (notified,) = read_body(s3(record("mine/today.txt")), Wanted(root="mine/", flow_logs=False)).objects
    assert notified.key == "mine/today.txt"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ({"a b\n": 1}, '{"a b\\n": number}'),
        ({"x" * 50: 1}, '{"' + "x" * 40 + '\\u2026": number}'),
        ({str(number): 1.5 for number in range(9)}, "{" + "".join(f"{n}: number, " for n in range(8)) + "…}"),
        ([[[[[[1]]]]]], "[[[[[…]]]]]"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "{a: {b: {c: {d: {…}}}}}"),
    ],
)
def test_a_shape(value: object, text: str) -> None:
    assert shape(value) == text


def test_a_shape_is_cut() -> None:
    assert shape({f"{number}{'n' * 39}": {"a": [{}]} for number in range(8)}).endswith("…")
    assert len(shape({f"{number}{'n' * 39}": {"a": [{}]} for number in range(8)})) == 301


NAMES = st.text(max_size=5) | st.sampled_from(
    ("Records", "eventSource", "eventName", "s3", "object", "bucket", "key", "size", "eTag", "source", "detail", "Type")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(("aws:s3", "aws.s3", KEY)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.text() | VALUES.map(json.dumps) | VALUES.map(lambda value: json.dumps({"Records": [value]})))
def test_no_text_raises(body: str) -> None:
    notice = read_body(body, Wanted())
    assert not notice.objects
    assert notice.is_test or notice.foreign or notice.passed_over


@settings(deadline=None)
@given(VALUES, st.sampled_from(("s3", "s3__object", "s3__object__key", "s3__bucket", "eventName", "eventTime")))
def test_a_record_with_anything_in_one_place_raises_nothing(value: Any, path: str) -> None:  # noqa: ANN401 - any JSON
    notice = read_body(s3(record(**{path: value})), ANY)
    assert len(notice.objects) + notice.passed_over + (notice.foreign is not None) == 1
