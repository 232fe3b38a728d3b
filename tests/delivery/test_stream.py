"""The comparison itself: what is missing, there twice or strange is found, over all backing indices."""

import secrets
from collections.abc import Iterator

import pytest
from elasticsearch import Elasticsearch

from exporter.install.templates import setup
from tests.delivery.stream import PAGE, Verdict, compare
from tests.delivery.world import NO_SUCH_CALL
from tests.services.elasticsearch import Cluster

ONE, TWO, OTHER = "0123456789abcdef", "ABCDEFGHIJKLMNOP", "xxxxxxxxxxxxxxxx"


@pytest.fixture
def client(elasticsearch: Cluster) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch.url, basic_auth=elasticsearch.basic_auth) as made:
        yield made


@pytest.fixture
def stream(client: Elasticsearch) -> Iterator[str]:
    """The name of one that is set up, and not there yet."""
    namespace = f"comparison{secrets.token_hex(4)}"
    setup(client, namespace=namespace, replicas=0)
    yield f"logs-aws.vpcflow-{namespace}"
    client.options(ignore_status=NO_SUCH_CALL).indices.delete_data_stream(name=f"logs-aws.vpcflow-{namespace}")


def send(client: Elasticsearch, stream: str, prefix: str, *rows: int) -> None:
    documents = [({"create": {"_id": f"{prefix}{row:08x}"}}, {"@timestamp": "2026-01-05T12:00:00Z"}) for row in rows]
    answer = client.bulk(index=stream, operations=[line for pair in documents for line in pair])
    assert not answer["errors"]


def test_a_stream_that_is_not_there_holds_nothing(client: Elasticsearch, stream: str) -> None:
    verdict = compare(client, stream, {ONE: 2})
    assert (verdict.expected, verdict.found, verdict.missing, verdict.twice, verdict.strange) == (2, 0, 2, 0, 0)
    assert not verdict.exact


def test_exactly_what_was_expected_on_more_than_one_page(client: Elasticsearch, stream: str) -> None:
    send(client, stream, ONE, *range(1, PAGE + 2))
    send(client, stream, TWO, 1, 2)
    assert compare(client, stream, {ONE: PAGE + 1, TWO: 2}) == Verdict(PAGE + 3, PAGE + 3, 0, 0, 0)
    assert compare(client, stream, {ONE: PAGE + 1, TWO: 2}).exact


def test_each_fault_is_found(client: Elasticsearch, stream: str) -> None:
    send(client, stream, ONE, 1, 2, 3)
    client.indices.rollover(alias=stream)
    send(client, stream, ONE, 2, 5, 6)
    send(client, stream, TWO, 0, 1)
    send(client, stream, OTHER, 1)
    verdict = compare(client, stream, {ONE: 5, TWO: 1})
    assert verdict == Verdict(6, 9, missing=1, twice=1, strange=3, examples=verdict.examples)
    assert not verdict.exact
    assert f"{ONE}00000004 is missing" in verdict.examples
    assert f"{ONE}00000002 is there more than once" in verdict.examples
    assert str(verdict).startswith(
        "6 ids expected, 9 documents found: 1 missing, 1 more than once, 3 not expected; for example "
    )
