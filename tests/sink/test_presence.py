"""What is there of an interrupted object: on a real Elasticsearch, and on one that answers badly."""

import json
import threading
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from exporter.errors import Stopped, Unavailable
from exporter.flow import Addresses, Batch, Body, Delivered, S3Object
from exporter.sink.presence import PATIENCE
from tests.services.elasticsearch import Cluster
from tests.sink.bodies import SOURCE, Rig, body
from tests.sink.faults import Answer, Faulty, serve

OVERWRITTEN = replace(SOURCE, etag="of what lay there before")
NO_ADDRESSES = Addresses(pl.Series([], dtype=pl.String), np.empty(0, np.uint8), np.empty((0, 4), np.uint32))


def batch(rows: Iterable[int], source: S3Object = SOURCE) -> Batch:
    """Records of these rows; what else is in them does not matter here."""
    return Batch(source, pl.DataFrame({"row": pl.Series(list(rows), dtype=pl.UInt32)}), NO_ADDRESSES, plain=True)


def documents(rows: Iterable[int], source: S3Object = SOURCE) -> list[Body]:
    """Bodies with a document for each row, 5,000 at a time."""
    made = list(rows)
    of = {"bucket": {"name": source.bucket}, "object": {"key": source.key}}
    pairs = [
        f'{{"create":{{"_id":"{source.id_prefix}{row:08x}"}}}}\n'
        + json.dumps({"@timestamp": "2026-11-21T10:00:00.000Z", "aws": {"s3": of}, "log": {"offset": row}})
        + "\n"
        for row in made
    ]
    steps = [pairs[start : start + 5000] for start in range(0, len(pairs), 5000)]
    return [Body(source, "".join(step).encode(), len(step)) for step in steps]


def send(rig: Rig, rows: Iterable[int], source: S3Object = SOURCE, *, again: bool = False) -> Delivered:
    """A whole delivery, as the pipeline does it; bytes left out."""
    delivery = rig.sink.open(source, again=again, at_work=again)
    for each in documents(delivery.missing(batch(rows, source)).frame["row"].to_list(), source):
        delivery.send(each)
    return replace(delivery.finish(), bytes=0)


def looks(rig: Rig) -> dict[str, float]:
    found = {name: rig.metrics.value("looks_total", found=name) for name in ("none", "some", "unknown")}
    return {name: count for name, count in found.items() if count}


def copies(rig: Rig) -> list[str]:
    """The id of each document of the stream, as often as it is there."""
    rig.client.indices.refresh(index=rig.sink.stream)
    hits = rig.client.search(index=rig.sink.stream, size=1000, source=False)["hits"]["hits"]
    return sorted(hit["_id"] for hit in hits)


def ids(rows: Iterable[int], source: S3Object = SOURCE) -> list[str]:
    return [f"{source.id_prefix}{row:08x}" for row in rows]


def roll_over(rig: Rig) -> list[str]:
    """The names of all backing indices, the oldest first."""
    rig.client.indices.rollover(alias=rig.sink.stream)
    return sorted(rig.client.indices.get(index=rig.sink.stream))


def test_a_first_attempt_looks_for_nothing(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        assert send(rig, range(1, 4)) == Delivered(created=3)
        assert rig.requests() == {"200": 1}
        assert looks(rig) == {}


def test_nothing_there_costs_a_refresh_and_a_search(elasticsearch: Cluster, stream: str) -> None:
    """Before the stream is made, and when it holds other objects only."""
    other = replace(SOURCE, key="AWSLogs/other.log.gz")
    with Rig(elasticsearch.url, namespace=stream) as rig:
        assert send(rig, range(1, 4), again=True) == Delivered(created=3)
        assert send(rig, range(1, 3), other, again=True) == Delivered(created=2)
        assert looks(rig) == {"none": 2}
        assert rig.requests() == {"200": 5, "404": 1}
        assert copies(rig) == sorted(ids(range(1, 4)) + ids(range(1, 3), other))


def test_after_a_roll_over_only_what_is_missing_is_sent(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        assert send(rig, [1, 2, 4]) == Delivered(created=3)
        assert len(roll_over(rig)) == 2
        assert send(rig, range(1, 6), again=True) == Delivered(created=2, existing=3)
        assert copies(rig) == ids(range(1, 6))
        assert looks(rig) == {"some": 1}
        assert rig.documents() == {"created": 5, "existing": 3}
        assert rig.requests() == {"200": 6}  # a refresh, the object, how many rows, which rows; and two bodies


def test_what_is_there_whole_is_not_sent_at_all(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, range(1, 101))
        assert send(rig, range(1, 101), again=True) == Delivered(existing=100)
        assert rig.documents() == {"created": 100, "existing": 100}
        assert rig.requests() == {"200": 4}  # one body, a refresh, the object, how many rows
        assert len(copies(rig)) == 100


def test_without_the_look_a_roll_over_would_double_them(elasticsearch: Cluster, stream: str) -> None:
    """What all of this is for; and how a document is there twice in the next test."""
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1])
        roll_over(rig)
        assert send(rig, [1]) == Delivered(created=1)
        assert copies(rig) == ids([1, 1])


def test_a_row_that_is_there_twice_does_not_stand_for_another(elasticsearch: Cluster, stream: str) -> None:
    """Four documents of four rows, and yet one is missing; they lie in two of three indices."""
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1, 2])
        roll_over(rig)
        send(rig, [2, 3])
        roll_over(rig)
        assert send(rig, range(1, 5), again=True) == Delivered(created=1, existing=3)
        assert copies(rig) == ids([1, 2, 2, 3, 4])


def test_another_version_of_the_object_is_another_object(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, range(1, 5), OVERWRITTEN)
        send(rig, [2])
        roll_over(rig)
        assert send(rig, range(1, 5), again=True) == Delivered(created=3, existing=1)
        assert copies(rig) == sorted(ids(range(1, 5)) + ids(range(1, 5), OVERWRITTEN))


def test_more_rows_than_one_request_names(elasticsearch: Cluster, stream: str) -> None:
    """The first 10,000 are there, every seventh of the next, none of the last 1,000."""
    out = [row for row in range(1, 20_001) if row <= 10_000 or row % 7 == 0]
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, out)
        roll_over(rig)
        delivery = rig.sink.open(SOURCE, again=True, at_work=True)
        left = delivery.missing(batch(range(1, 21_001))).frame["row"].to_list()
        assert left == sorted(set(range(1, 21_001)) - set(out))
        assert delivery.finish() == Delivered(existing=len(out)) == Delivered(existing=10_000 + 1_429)


def test_a_batch_without_records(elasticsearch: Cluster, stream: str) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1])
        assert send(rig, [], again=True) == Delivered()
        assert looks(rig) == {"some": 1}


def test_a_closed_index_is_told_and_the_others_are_asked(
    elasticsearch: Cluster, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1])
        roll_over(rig)
        send(rig, [2])
        first, *_ = roll_over(rig)
        rig.client.indices.close(index=first)
        for _ in range(2):
            assert send(rig, [2, 3], again=True).existing >= 1
        rig.client.indices.open(index=first)
        assert copies(rig) == ids([1, 2, 3])
        assert looks(rig) == {"some": 2, "unknown": 2}
    (told,) = [line for line in caplog.messages if "closed" in line]
    assert told.startswith(f"{rig.sink.stream} cannot be asked for all documents of {SOURCE}, which is sent again: a ")
    assert told.endswith("documents that lie in an index from before the last roll-over may be there twice")


def test_an_index_that_goes_meanwhile_is_not_asked_any_more(elasticsearch: Cluster, stream: str) -> None:
    """Its documents are gone, and come anew; what the other index holds is found."""
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1])
        roll_over(rig)
        send(rig, [2])
        delivery = rig.sink.open(SOURCE, again=True, at_work=True)
        first, *_ = sorted(rig.client.indices.get(index=rig.sink.stream))
        rig.client.indices.delete(index=first)
        assert delivery.missing(batch([1, 2, 3])).frame["row"].to_list() == [1, 3]
        assert rig.retries() == 1
        assert looks(rig) == {"some": 1}


@pytest.mark.parametrize(
    ("bucket", "prefix", "there"),
    [
        ("flow-logs", "AWSLogs/123456789012/", True),
        ("flow-logs", "", True),
        ("flow-logs", "AWSLogs/999", False),
        ("flow-logs", "*", False),
        ("flow-log", "", False),
    ],
)
def test_whether_the_stream_holds_a_prefix(
    elasticsearch: Cluster, stream: str, bucket: str, prefix: str, *, there: bool
) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        assert rig.sink.holds(bucket, prefix) is False  # there is no stream yet
        send(rig, [1])
        rig.client.indices.refresh(index=rig.sink.stream)
        assert rig.sink.holds(bucket, prefix) is there


def test_whether_it_holds_a_prefix_is_unknown_where_an_index_is_closed(
    elasticsearch: Cluster, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Rig(elasticsearch.url, namespace=stream) as rig:
        send(rig, [1])
        first, *_ = roll_over(rig)
        rig.client.indices.close(index=first)
        assert rig.sink.holds(SOURCE.bucket, "AWSLogs/") is None
        rig.client.indices.open(index=first)
    assert "whether it has documents" not in caplog.text
    assert f"whether {rig.sink.stream} has documents of s3://flow-logs/AWSLogs/ stays unknown" in caplog.text


def found(*names: str, failed: int = 0, **more: object) -> Answer:
    """The answer to the first search."""
    buckets = [{"key": name, "doc_count": 1} for name in names]
    answer = {"_shards": {"failed": failed}, "hits": {"total": {"value": len(names)}}, **more}
    return Answer(200, json.dumps({**answer, "aggregations": {"indices": {"buckets": buckets}}}))


def count(number: int) -> Answer:
    return Answer(200, json.dumps({"_shards": {"failed": 0}, "hits": {"total": {"value": number}}}))


REFRESHED = Answer(200, '{"_shards":{"failed":0}}')


@pytest.mark.parametrize(
    "fault",
    [
        Answer(429, "{}"),
        Answer(502, "<html>", type="text/html"),
        Answer(503, "{}"),
        Answer(0),
        Answer(200, '{"_shards":{"fai'),
        Answer(200, "[]"),
        Answer(200, '{"_shards":{"failed":0},"hits":{}}'),
        found(failed=1),
    ],
    ids=["429", "502", "503", "no answer", "broken JSON", "a list", "no total", "a shard failed"],
)
def test_what_passes_is_asked_again(fault: Answer) -> None:
    """In the search for the object and in the one for its rows; the look begins anew only where it had not ended."""
    answers = [REFRESHED, fault, REFRESHED, found("index"), fault, count(2)]
    with serve(*answers) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE, again=True, at_work=True)
        assert delivery.missing(batch([1, 2])).frame.is_empty()
        assert rig.retries() == 2
        assert looks(rig) == {"some": 1}
        paths = [path.partition("?")[0] for path in server.paths]
        stream = "/logs-aws.vpcflow-tests"
        assert paths == [f"{stream}/_refresh", f"{stream}/_search"] * 2 + ["/index/_search"] * 2


def test_shards_that_stay_away_are_told_once_patience_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    answers = [REFRESHED, found("index", failed=3)] * 2
    with serve(*answers) as server, Rig(server.url) as rig:

        def later() -> None:
            server.wait(3)
            rig.now += PATIENCE

        waiting = threading.Thread(target=later)
        waiting.start()
        rig.sink.open(SOURCE, again=True, at_work=True)
        waiting.join()
        assert looks(rig) == {"some": 1, "unknown": 1}
        assert rig.retries() == 1
    assert ": 3 shards give no answer; documents that lie in" in caplog.text


@pytest.mark.parametrize("status", [400, 403, 413])
def test_what_will_not_pass_is_told_and_the_rest_is_left_to_create(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Answer(status, '{"error":{"type":"some_exception","reason":"told"}}')
    with serve(REFRESHED, found("index"), refused, None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE, again=True, at_work=True)
        assert delivery.missing(batch([1, 2])).frame.height == 2
        assert delivery.missing(batch([3, 4])).frame.height == 2
        delivery.send(body("{}"))
        assert delivery.finish().created == 1
        assert looks(rig) == {"some": 1, "unknown": 1}
        assert len(server.bodies) == 4
    (told,) = [line for line in caplog.messages if "cannot be asked" in line]
    assert ("lack read or maintenance" in told) is (status == 403)


def test_many_indices_are_not_named_one_by_one() -> None:
    names = [f".ds-logs-aws.vpcflow-tests-2026.11.21-{number:06}" for number in range(21)]
    rows = {"rows": {"buckets": [{"key": {"row": 2}, "doc_count": 1}]}}
    there = {"_shards": {"failed": 0}, "hits": {"total": {"value": 1}}, "aggregations": rows}
    with serve(REFRESHED, found(*names), Answer(200, json.dumps(there))) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE, again=True, at_work=True)
        assert delivery.missing(batch([1, 2])).frame["row"].to_list() == [1]
        assert server.paths[-1].startswith("/logs-aws.vpcflow-tests/_search?")


def stopped_while_opening(rig: Rig, server: Faulty, requests: int) -> None:
    """Sets the stop once so many requests came; opening then ends with Stopped."""

    def stop() -> None:
        server.wait(requests)
        rig.stop.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Stopped):
        rig.sink.open(SOURCE, again=True, at_work=True)
    stopping.join()


def test_a_stop_ends_the_wait_for_an_answer() -> None:
    with serve(REFRESHED, Answer(503, "{}")) as server, Rig(server.url) as rig:
        stopped_while_opening(rig, server, 2)


def test_nothing_is_asked_before_requests_of_an_earlier_process_have_ended() -> None:
    with serve(REFRESHED, found(), REFRESHED, found()) as server, Rig(server.url, timeout=5) as rig:
        rig.now = 4.8
        rig.sink.open(SOURCE)
        assert server.paths == []
        stopping = threading.Timer(0.05, rig.stop.set)
        stopping.start()
        with pytest.raises(Stopped, match=rf"while waiting to send {SOURCE} again"):
            rig.sink.open(SOURCE, again=True, at_work=True)
        stopping.join()
        assert server.paths == []
        rig.stop.clear()
        rig.sink.open(SOURCE, again=True, at_work=True)
        assert len(server.paths) == 2
        rig.sink.open(OVERWRITTEN, again=True, at_work=True)  # another object, the wait is over
        assert len(server.paths) == 4


def test_a_refresh_a_moment_ago_is_enough_where_nothing_can_be_at_work() -> None:
    with serve(REFRESHED, found(), found(), REFRESHED, found(), REFRESHED, found()) as server, Rig(server.url) as rig:
        for now in (0, 4.9, 5.1):
            rig.now = now
            rig.sink.open(SOURCE, again=True)
        rig.sink.open(SOURCE, again=True, at_work=True)
        assert ["_refresh" in path for path in server.paths] == [True, False, False, True, False, True, False]


def test_nothing_is_asked_before_requests_of_a_delivery_that_was_given_up_have_ended() -> None:
    """Only of the same object, and only for as long as a request may take."""
    gate = threading.Event()
    with serve(replace(REFRESHED, wait_for=gate), REFRESHED, found()) as server, Rig(server.url, timeout=5) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body("{}"))
        server.wait(1)
        delivery.abandon()
        rig.sink.open(OVERWRITTEN, again=True)
        rig.stop.set()
        with pytest.raises(Stopped, match="while waiting to send"):
            rig.sink.open(SOURCE, again=True)
        gate.set()
        rig.stop.clear()
        rig.now += 5
        rig.sink.open(SOURCE, again=True)
        assert looks(rig) == {"none": 2}


def test_whether_it_holds_a_prefix_without_a_server() -> None:
    with Rig("http://127.0.0.1:9") as rig, pytest.raises(Unavailable, match="connection"):
        rig.sink.holds("flow-logs", "")
