"""Credentials while the program runs: renewed in time, read anew where AWS says so, and refused in plain words."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError

from exporter.errors import SourceError
from exporter.metrics import Metrics
from exporter.source.calls import Calls, Denied, RoleRefused
from exporter.source.roles import EXPIRED, SESSION_NAME, Renewed, assumed
from tests.services.accounts import ROLE, Accounts, accounts
from tests.services.aws import Aws
from tests.source.faulty import Fault, Proxy, faulty


@pytest.fixture(scope="module")
def judged() -> Iterator[Accounts]:
    with accounts() as running:
        yield running


class Clock:
    """Both of the clocks that credentials go by."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def time(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


def signing(credentials: Renewed, service: str, url: str) -> Any:  # noqa: ANN401 - stubs know services by literal names
    """A client that signs with these."""
    session = botocore.session.Session()
    credentials.sign_for(session)
    once = Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    made: Any = boto3.Session(botocore_session=session, region_name="us-east-1")
    return made.client(service, endpoint_url=url, config=once)


def sts(server: Accounts, key: tuple[str, str]) -> Any:  # noqa: ANN401 - as above
    return signing(Renewed(lambda: Credentials(*key), "the user's"), "sts", server.aws.url)


def in_turn(*keys: str) -> Callable[[], Credentials]:
    """What loads these keys one after the other, then the last for ever."""
    left = list(keys)
    return lambda: Credentials(left.pop(0) if len(left) > 1 else left[0], "secret")


def test_a_role_is_assumed_at_the_first_use_and_renewed_before_it_expires(judged: Accounts) -> None:
    clock = Clock()
    client = sts(judged, judged.key())
    asked: list[dict[str, str]] = []
    client.meta.events.register("provide-client-params.sts", lambda params, **_: asked.append(dict(params)))
    credentials = assumed(client, ROLE, "external-7", clock.time)
    assert asked == []
    first = credentials.get_frozen_credentials()
    clock.pass_by(minutes=44)
    assert credentials.get_frozen_credentials() == first
    clock.pass_by(minutes=2)  # a role is given for an hour: 14 minutes are left
    second = credentials.get_frozen_credentials()
    assert second.access_key != first.access_key
    assert second.token != first.token
    assert asked == [{"RoleArn": ROLE, "RoleSessionName": SESSION_NAME, "ExternalId": "external-7"}] * 2
    client.close()


def test_without_an_external_id_none_is_sent(judged: Accounts) -> None:
    client = sts(judged, judged.key())
    asked: list[dict[str, str]] = []
    client.meta.events.register("provide-client-params.sts", lambda params, **_: asked.append(dict(params)))
    assumed(client, ROLE, None).get_frozen_credentials()
    assert asked == [{"RoleArn": ROLE, "RoleSessionName": "vpcflow-exporter"}]
    client.close()


def test_a_role_that_may_not_be_assumed_is_told_with_what_to_allow(
    judged: Accounts, metrics: Metrics, stop: Event
) -> None:
    key = judged.key()
    judged.allow()
    client = sts(judged, key)
    reader = signing(Renewed(lambda: assumed(client, ROLE, None), "the role's"), "s3", judged.aws.url)
    with pytest.raises(Denied) as raised:
        Calls(metrics, stop).repeat(lambda: reader.list_objects_v2(Bucket="any"), "list s3://any/", "s3:ListBucket")
    assert str(raised.value) == (
        f"could not list s3://any/: the role {ROLE} is not given: AccessDenied: User: "
        "arn:aws:iam::123456789012:user/exporter is not authorized to perform: sts:AssumeRole; allow sts:AssumeRole on "
        "the role to these credentials, and their account or role in the role's trust policy, with the external id "
        "that it asks for"
    )
    assert metrics.value("retries_total", policy="source") == 0
    judged.allow("sts:AssumeRole")
    with pytest.raises(Denied, match=r"^could not list s3://their-flow-logs/: AccessDenied: .*allow s3:ListBucket$"):
        Calls(metrics, stop).repeat(
            lambda: signing(Renewed(lambda: Credentials(*key), "the user's"), "s3", judged.aws.url).list_objects_v2(
                Bucket="their-flow-logs"
            ),
            "list s3://their-flow-logs/",
            "s3:ListBucket",
        )
    for each in (client, reader):
        each.close()


def refused(status: int, code: str) -> RoleRefused:
    answer: Any = {"Error": {"Code": code, "Message": "as told"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return RoleRefused(ClientError(answer, "AssumeRole"), ROLE)


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        ("AccessDenied", Denied, "allow sts:AssumeRole on the role to these credentials, and"),
        ("RegionDisabledException", SourceError, "activate STS in the role's account for this region"),
        ("ExpiredToken", SourceError, "the credentials have expired; give new ones"),
        ("InvalidClientTokenId", SourceError, "AWS does not know the access key; check the credentials"),
    ],
)
def test_what_sts_answers_instead_of_a_role(
    code: str, kind: type[SourceError], advice: str, metrics: Metrics, stop: Event
) -> None:
    def call() -> None:
        raise refused(403, code)

    with pytest.raises(SourceError) as raised:
        Calls(metrics, stop).repeat(call, "list s3://any/", "s3:ListBucket")
    assert type(raised.value) is kind
    said = f"could not list s3://any/: the role {ROLE} is not given: {code}: as told; {advice}"
    assert str(raised.value).startswith(said)
    assert metrics.value("retries_total", policy="source") == 0


@pytest.mark.parametrize(("status", "code"), [(400, "Throttling"), (503, "ServiceUnavailable")])
def test_sts_is_asked_again_where_it_is_busy(status: int, code: str, metrics: Metrics, stop: Event) -> None:
    busy = [refused(status, code)]

    def call() -> str:
        if busy:
            raise busy.pop()
        return "listed"

    assert Calls(metrics, stop).repeat(call, "list s3://any/", "s3:ListBucket") == "listed"
    assert metrics.value("retries_total", policy="source") == 1


@pytest.mark.parametrize("code", sorted(EXPIRED))
def test_expired_keys_are_loaded_anew_and_the_call_is_signed_again(
    code: str, aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.client("s3").create_bucket(Bucket="renewed")
    with faulty(aws.url) as proxy:
        proxy.faults.append(Fault("", refuse=(400, code)))
        client = signing(Renewed(in_turn("AKIAOLD", "AKIANEW"), "these"), "s3", proxy.url)
        assert client.list_objects_v2(Bucket="renewed")["KeyCount"] == 0
        client.close()
    assert len(proxy.seen) == 2
    assert caplog.messages == [f"these: AWS says {code}; renewed"]


def listing_fails(client: Any, proxy: Proxy) -> int:  # noqa: ANN401 - as above
    """How often a call was sent that is answered by ExpiredToken each time."""
    proxy.seen.clear()
    with pytest.raises(ClientError, match="ExpiredToken"):
        client.list_objects_v2(Bucket="renewed")
    return len(proxy.seen)


def test_keys_are_loaded_anew_at_most_once_a_minute_and_sent_only_if_others_came(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(400, "ExpiredToken")))
        keys = Renewed(in_turn("AKIA1", "AKIA1", "AKIA2", "AKIA3"), "these", clock.seconds)
        client = signing(keys, "s3", proxy.url)
        assert listing_fails(client, proxy) == 1  # the same keys
        clock.pass_by(seconds=59)
        assert listing_fails(client, proxy) == 1  # not loaded
        clock.pass_by(seconds=1)
        assert listing_fails(client, proxy) == 2  # AKIA2
        assert keys.get_frozen_credentials().access_key == "AKIA2"
        assert listing_fails(client, proxy) == 2  # another thread's old signature may be meant, so once more
        clock.pass_by(seconds=60)
        assert listing_fails(client, proxy) == 2
        assert keys.get_frozen_credentials().access_key == "AKIA3"
        client.close()
    said = "these: AWS says ExpiredToken; "
    assert caplog.messages == [f"{said}there are no new ones", f"{said}renewed", f"{said}renewed"]


def test_where_new_keys_cannot_be_had_the_old_ones_stay(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Credentials | Exception] = [Credentials("AKIA1", "of-the-tests"), NoCredentialsError()]

    def load() -> Credentials:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    keys = Renewed(load, "these")
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(400, "ExpiredToken")))
        client = signing(keys, "s3", proxy.url)
        assert listing_fails(client, proxy) == 1
        client.close()
    assert keys.get_frozen_credentials().access_key == "AKIA1"
    assert caplog.messages == ["these: AWS says ExpiredToken, and new ones cannot be had: Unable to locate credentials"]


def test_other_answers_load_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(403, "AccessDenied")))
        client = signing(Renewed(in_turn("AKIA1", "AKIA2"), "these"), "s3", proxy.url)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.list_objects_v2(Bucket="renewed")
        client.close()
    assert len(proxy.seen) == 1
    assert caplog.messages == []


def test_no_credentials_and_a_wrong_clock_are_told(judged: Accounts, metrics: Metrics, stop: Event) -> None:
    calls = Calls(metrics, stop)
    nobody = Renewed(lambda: None, "the credentials of this program")
    with pytest.raises(SourceError, match=r"^could not sign: Unable to locate credentials"):
        calls.repeat(nobody.get_frozen_credentials, "sign", "nothing")
    client, clock = sts(judged, judged.key()), Clock()
    clock.pass_by(days=1)
    late = Renewed(lambda: assumed(client, ROLE, None, clock.time), "the role's")
    with pytest.raises(CredentialRetrievalError, match=r"still expired\. Is the clock right\?"):
        late.get_frozen_credentials()
    client.close()


def test_no_secret_is_told(judged: Accounts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "exporter")
    key = judged.key()
    client = sts(judged, key)
    keys = Renewed(lambda: assumed(client, ROLE, "external-7"), "the role's")
    held = keys.get_frozen_credentials()
    with faulty("http://127.0.0.1:9") as proxy:
        proxy.always.append(Fault("", refuse=(400, "ExpiredToken")))
        reader = signing(keys, "s3", proxy.url)
        listing_fails(reader, proxy)
        reader.close()
    client.close()
    assert "ExpiredToken" in caplog.text
    for secret in (key[1], held.secret_key, held.token):
        assert str(secret) not in caplog.text + repr(keys)
