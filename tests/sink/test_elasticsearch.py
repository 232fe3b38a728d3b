"""Deliveries into a real Elasticsearch."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from elasticsearch import Elasticsearch

from exporter.config import Credentials, ElasticsearchOutput
from exporter.errors import Refused, Unavailable
from exporter.flow import Delivered, S3Object, Sink
from exporter.install.templates import setup
from exporter.sink.elasticsearch import new_client
from tests.services.elasticsearch import Cluster, cluster
from tests.sink.bodies import GOOD, SOURCE, Rig, body
from tests.sink.test_presence import send

BAD_DATE = '{"@timestamp":"yesterday","source":{"ip":"10.0.0.1"}}'
BAD_ADDRESS = '{"@timestamp":"2026-11-21T10:00:00.000Z","source":{"ip":"10.0.0.256"}}'


def ids_in(rig: Rig) -> set[str]:
    """The ids of all documents of the stream."""
    rig.client.indices.refresh(index=rig.sink.stream)
    found = rig.client.search(index=rig.sink.stream, size=1000, source=False)
    return {hit["_id"] for hit in found["hits"]["hits"]}


def test_documents_are_created_once_and_a_replay_finds_them(elasticsearch: Cluster, stream: str) -> None:
    sent = [body(GOOD, GOOD, first_row=1), body(GOOD, first_row=300)]
    size = len(sent[0].data) + len(sent[1].data)
    with Rig(elasticsearch.url, namespace=stream) as rig:
        sink: Sink = rig.sink
        delivery = sink.open(SOURCE)
        for part in sent:
            delivery.send(part)
        assert delivery.finish() == Delivered(created=3, bytes=size)
        replay = sink.open(SOURCE)
        replay.send(body(GOOD, GOOD, GOOD, first_row=2))
        assert replay.finish() == Delivered(created=2, existing=1, bytes=len(body(GOOD, GOOD, GOOD).data))
        prefix = SOURCE.id_prefix
        assert ids_in(rig) == {prefix + row for row in ("00000001", "00000002", "00000003", "00000004", "0000012c")}
        assert rig.documents() == {"created": 5, "existing": 1}
        assert rig.requests() == {"200": 3}
        assert rig.retries() == 0
        assert rig.metrics.value("document_bytes_total") == size + len(body(GOOD, GOOD, GOOD).data)
        assert rig.kept.letters == []


def test_a_refused_document_becomes_a_dead_letter_and_the_others_go_in(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, BAD_DATE, GOOD, BAD_ADDRESS, first_row=254))
        delivered = delivery.finish()
        assert (delivered.created, delivered.existing, delivered.refused) == (2, 0, 2)
        assert rig.documents() == {"created": 2, "refused": 2}
        assert ids_in(rig) == {SOURCE.id_prefix + "000000fe", SOURCE.id_prefix + "00000100"}
        assert [(letter.source, letter.row, letter.text) for letter in rig.kept.letters] == [
            (SOURCE, 255, BAD_DATE),
            (SOURCE, 257, BAD_ADDRESS),
        ]
        date, address = (letter.reason for letter in rig.kept.letters)
        assert date.startswith("document_parsing_exception: ")
        assert "[@timestamp]" in date
        assert "yesterday" in date
        assert address.startswith("document_parsing_exception: ")
        assert "10.0.0.256" in address


def test_without_templates_nothing_is_sent_and_the_error_says_what_to_run(elasticsearch: Cluster) -> None:
    with Rig(elasticsearch.url, namespace="never_set_up") as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        with pytest.raises(Refused, match=r"logs-aws\.vpcflow-never_set_up.*vpcflow-exporter setup"):
            delivery.finish()
        with pytest.raises(Refused):
            delivery.send(body(GOOD))
        with pytest.raises(
            Refused, match=r"logs-aws\.vpcflow-never_set_up does not exist: run `vpcflow-exporter setup`"
        ):
            rig.sink.verify()
        assert rig.documents() == {}
        assert not rig.client.indices.exists(index=rig.sink.stream)


def test_a_missing_pipeline_is_no_fault_of_the_documents(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream, pipeline="absent") as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, GOOD))
        with pytest.raises(Refused, match="absent"):
            delivery.finish()
        with pytest.raises(Refused, match="no ingest pipeline absent"):
            rig.sink.verify()
        assert rig.kept.letters == []


def test_verify_passes_on_what_setup_made(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        rig.sink.verify()
        assert rig.requests() == {}


def test_verify_without_a_server() -> None:
    with Rig("http://127.0.0.1:9") as rig, pytest.raises(Unavailable, match="connection"):
        rig.sink.verify()


def test_a_new_client_compresses_and_connects(elasticsearch: Cluster) -> None:
    settings = ElasticsearchOutput(hosts=(elasticsearch.url,), compress=True)
    with new_client(settings, Credentials()) as client:
        assert client.info()["version"]["number"].startswith(f"{elasticsearch.version[0]}.")


PASSWORD = "of-the-tests-only"
LIMITS = {"indexing_pressure.memory.limit": "300kb", "http.max_content_length": "1mb"}


@pytest.fixture(scope="module")
def strict() -> Iterator[Cluster]:
    """A server with security, little memory for indexing and a low bound for requests."""
    with cluster(settings=LIMITS, bootstrap_password=PASSWORD) as running:
        with Elasticsearch(running.url, basic_auth=running.basic_auth) as client:
            setup(client, namespace="strict", replicas=0)
        yield running


def test_too_large_and_too_many_requests_get_through_in_smaller_parts(strict: Cluster) -> None:
    large = GOOD[:-1] + f',"event":{{"original":"{"x" * 10_000}"}}}}'
    sent = [body(*[large] * 150, first_row=1 + 150 * number) for number in range(4)]  # 1.5 MB each
    with Rig(strict.url, namespace="strict", basic_auth=strict.basic_auth, requests_in_flight=4) as rig:
        delivery = rig.sink.open(SOURCE)
        for part in sent:
            delivery.send(part)
        assert delivery.finish() == Delivered(created=600, bytes=sum(len(part.data) for part in sent))
        assert rig.requests()["413"] >= 1
        assert rig.requests()["429"] >= 1
        assert rig.retries() >= 1
        assert rig.documents() == {"created": 600}
        assert len(ids_in(rig)) == 600


def test_objects_side_by_side_go_slower_and_faster_with_the_server(
    strict: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """413 for the one large body, 429 for what it is cut into and for two of the others at once; small ones pass."""
    caplog.set_level(logging.INFO, "exporter.sink.pace")
    large = GOOD[:-1] + f',"event":{{"original":"{"x" * 10_000}"}}}}'
    sources = [replace(SOURCE, key=f"{SOURCE.key}.{number}") for number in range(6)]
    counts = {source: [1] * 50 + [150] * (source is sources[0]) + [16] * 8 + [1] * 80 for source in sources}
    limits: list[int] = []
    with Elasticsearch(strict.url, basic_auth=strict.basic_auth) as client:
        setup(client, namespace="side_by_side", replicas=0)

    def take(source: S3Object) -> Delivered:
        delivery = rig.sink.open(source)
        for first_row, count in zip(accumulate(counts[source], initial=0), counts[source], strict=False):
            delivery.send(body(*[large] * count, source=source, first_row=first_row))
            limits.append(int(rig.metrics.value("requests_in_flight_limit")))
        return delivery.finish()

    with (
        Rig(
            strict.url,
            namespace="side_by_side",
            basic_auth=strict.basic_auth,
            requests_in_flight=8,
            request_bytes=170_000,
        ) as rig,
        ThreadPoolExecutor(4) as threads,
    ):
        delivered = list(threads.map(take, sources))
        expected = {f"{source.id_prefix}{row:08x}" for source in sources for row in range(sum(counts[source]))}
        assert [each.created for each in delivered] == [408, 258, 258, 258, 258, 258]
        assert rig.documents() == {"created": 1698}
        rig.client.indices.refresh(index=rig.sink.stream)
        found = rig.client.search(index=rig.sink.stream, size=10_000, source=False)["hits"]["hits"]
        assert len(found) == 1698
        assert {hit["_id"] for hit in found} == expected
        assert rig.requests().keys() == {"200", "413", "429"}
        after = limits[limits.index(max(limits)) :]
        assert min(after) < max(limits)
        assert any(later > earlier for earlier, later in pairwise(after))
        told = [record.levelname for record in caplog.records if record.name == "exporter.sink.pace"]
        assert told[:3] == ["WARNING", "INFO", "WARNING"][: len(told)]
        assert told


def test_a_document_that_is_too_large_alone_becomes_a_dead_letter(strict: Cluster) -> None:
    huge = GOOD[:-1] + f',"event":{{"original":"{"x" * 1_100_000}"}}}}'
    with Rig(strict.url, namespace="strict", basic_auth=strict.basic_auth) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, huge, GOOD, first_row=10_001))
        delivered = delivery.finish()
        assert (delivered.created, delivered.refused) == (2, 1)
        assert rig.documents() == {"created": 2, "refused": 1}
        assert rig.requests() == {"413": 2, "200": 2}
        (letter,) = rig.kept.letters
        assert (letter.row, letter.text) == (10_002, huge)
        assert letter.reason.startswith("413: ")


def key_of(strict: Cluster, role: dict[str, object]) -> str:
    """An API key with no more than `role`."""
    with Elasticsearch(strict.url, basic_auth=strict.basic_auth) as client:
        key = client.security.create_api_key(name="tests", role_descriptors={"tests": role})
        return str(key["encoded"])


def test_a_wrong_password_is_refused(strict: Cluster) -> None:
    with Rig(strict.url, namespace="strict", basic_auth=("elastic", "wrong")) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        with pytest.raises(Refused, match=r"output\.elasticsearch\.api_key"):
            delivery.finish()
        with pytest.raises(Refused, match=r"output\.elasticsearch\.api_key"):
            rig.sink.verify()
        assert rig.requests() == {"401": 1}


def test_a_key_without_the_privilege_is_refused(strict: Cluster) -> None:
    role: dict[str, object] = {"indices": [{"names": ["other-*"], "privileges": ["create_doc"]}]}
    with Rig(strict.url, namespace="strict", api_key=key_of(strict, role)) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        with pytest.raises(Refused, match="create_doc and auto_configure"):
            delivery.finish()
        assert rig.kept.letters == []


def test_a_key_that_may_only_send_is_enough(strict: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    privileges = ["create_doc", "auto_configure"]
    role: dict[str, object] = {"indices": [{"names": ["logs-aws.vpcflow-strict"], "privileges": privileges}]}
    with Rig(strict.url, namespace="strict", api_key=key_of(strict, role)) as rig:
        rig.sink.verify()
        assert "the credentials may not look at the index template" in caplog.text
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, first_row=20_000))
        assert delivery.finish().created == 1


@pytest.mark.parametrize("privileges", [[], ["read"], ["maintenance"]], ids=str)
def test_a_key_that_may_not_look_sends_again_what_was_interrupted(
    strict: Cluster, privileges: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The ids still keep documents of the present write index from being there twice; the log tells once what else."""
    enough = ["create_doc", "auto_configure", *privileges]
    role: dict[str, object] = {"indices": [{"names": ["logs-aws.vpcflow-strict"], "privileges": enough}]}
    source = replace(SOURCE, etag=str(privileges))
    with Rig(strict.url, namespace="strict", api_key=key_of(strict, role)) as rig:
        for created, existing in ((1, 0), (1, 1)):
            delivery = rig.sink.open(source, again=True)
            delivery.send(body(*[GOOD] * (created + existing), source=source))
            assert replace(delivery.finish(), bytes=0) == Delivered(created=created, existing=existing)
        assert rig.metrics.value("looks_total", found="unknown") == 2
        assert rig.sink.holds(source.bucket, "") is (False if privileges == ["read"] else None)
    (told,) = [line for line in caplog.messages if "is sent again" in line]
    assert "lack read or maintenance on it (docs/permissions.md); documents that lie in an index from before" in told


def test_a_key_that_may_look_sends_only_what_is_missing(strict: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    """Privileges on the data stream hold for its indices, which are asked by their names."""
    privileges = ["create_doc", "auto_configure", "read", "maintenance"]
    role: dict[str, object] = {"indices": [{"names": ["logs-aws.vpcflow-strict"], "privileges": privileges}]}
    source = replace(SOURCE, key="AWSLogs/interrupted.log.gz")
    with Rig(strict.url, namespace="strict", api_key=key_of(strict, role)) as rig:
        assert send(rig, [1, 3], source) == Delivered(created=2)
        with Elasticsearch(strict.url, basic_auth=strict.basic_auth) as client:
            client.indices.rollover(alias=rig.sink.stream)
        assert send(rig, [1, 2, 3], source, again=True) == Delivered(created=1, existing=2)
        assert rig.sink.holds(source.bucket, "AWSLogs/interrupted") is True
        assert rig.metrics.value("looks_total", found="some") == 1
    assert caplog.messages == []


def test_setting_up_without_the_privilege_says_which_it_needs(strict: Cluster) -> None:
    role: dict[str, object] = {"cluster": ["monitor"]}
    with (
        Elasticsearch(strict.url, api_key=key_of(strict, role)) as client,
        pytest.raises(Refused, match="manage_index_templates"),
    ):
        setup(client, namespace="strict", index_mode="standard")
