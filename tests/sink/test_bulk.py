"""Answers that a real Elasticsearch gives rarely or never, from a server that gives them on a real socket."""

import datetime as dt
import json
import ssl
import threading
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.config import Credentials, ElasticsearchOutput
from exporter.errors import Refused, Stopped, Unavailable
from exporter.flow import Body, DeadLetter, Delivered
from exporter.metrics import Metrics
from exporter.sink.bulk import Bulk, rows_of
from exporter.sink.elasticsearch import new_client
from exporter.sink.pace import Pace
from tests.sink.bodies import GOOD, SOURCE, Kept, Rig, body
from tests.sink.faults import Answer, Faulty, created, items, serve

NEVER = threading.Event()

LATER = {
    "429": (Answer(429, '{"error":{"type":"es_rejected_execution_exception"},"status":429}'), "429"),
    "500": (Answer(500, '{"error":"x","status":500}'), "500"),
    "502 from a proxy": (Answer(502, "<html>Bad Gateway</html>", "text/html", {}), "502"),
    "503": (Answer(503, '{"error":"x","status":503}'), "503"),
    "504 of an unknown type": (Answer(504, "?", "application/x-odd", {}), "unreadable"),
    "closed without an answer": (Answer(0), "connection"),
    "cut short": (replace(created(2), missing=10), "connection"),
    "half of the JSON": (Answer(200, created(2).text[:-20]), "unreadable"),
    "no JSON": (Answer(200, "OK"), "unreadable"),
    "empty": (Answer(200), "200"),
    "a list": (Answer(200, "[]"), "200"),
    "too few items": (created(1), "200"),
    "too many items": (created(3), "200"),
    "no items": (Answer(200, '{"took":1,"errors":false}'), "200"),
    "an item without a status": (items({"status": 201}, {}), "200"),
    "an item of another action": (Answer(200, '{"items":[{"create":{"status":201}},{"index":{"status":201}}]}'), "200"),
    "none taken": (items({"status": 429, "error": {}}, {"status": 503, "error": {}}), "200"),
}


@pytest.mark.parametrize("name", LATER)
def test_what_may_pass_later_is_sent_again_whole(name: str) -> None:
    """After a refresh and a search for what may be there nevertheless, unless the answer says that nothing is."""
    (answer, counted), looks = LATER[name], 0 if name in {"429", "none taken"} else 2
    sent = body(GOOD, GOOD)
    with serve(answer, None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(sent)
        assert delivery.finish() == Delivered(created=2, bytes=len(sent.data))
        assert server.bulks == [sent.data, sent.data]
        assert rig.requests() == ({"200": 2 + looks} if counted == "200" else {counted: 1, "200": 1 + looks})
        assert rig.documents() == {"created": 2}
        assert rig.retries() == 1
        assert rig.kept.letters == []


def test_a_server_that_does_not_answer_in_time_is_asked_again() -> None:
    with serve(replace(created(1), wait_for=NEVER), None) as server, Rig(server.url, timeout=0.3) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        assert delivery.finish().created == 1
        assert rig.requests() == {"timeout": 1, "200": 3}


def test_what_arrived_though_its_answer_did_not_is_not_sent_again() -> None:
    """The stream may have rolled over meanwhile, and would take it once more."""
    there = {"_shards": {"failed": 0}, "aggregations": {"rows": {"buckets": [{"key": {"row": 2}}]}}}
    refreshed = Answer(200, json.dumps({"_shards": {"failed": 0}}))
    sent = body(GOOD, GOOD, GOOD)
    with serve(Answer(0), refreshed, Answer(200, json.dumps(there)), None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(sent)
        assert delivery.finish() == Delivered(created=2, existing=1, bytes=len(sent.data))
        assert [rows_of(Body(SOURCE, data, data.count(b"create"))) for data in server.bulks] == [[1, 2, 3], [1, 3]]
        assert rig.documents() == {"created": 2, "existing": 1}


def test_where_nobody_may_look_it_is_sent_again_whole() -> None:
    refusal = Answer(403, '{"error":{"type":"security_exception"},"status":403}')
    with serve(Answer(0), refusal, None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        assert delivery.finish().created == 1
        assert len(server.bulks) == 2
        assert rig.metrics.value("looks_total", found="unknown") == 1


def test_a_stream_that_is_not_there_yet_holds_nothing() -> None:
    missing = Answer(404, '{"error":{"type":"index_not_found_exception"},"status":404}')
    refreshed = Answer(200, json.dumps({"_shards": {"failed": 0}}))
    with serve(refreshed, missing, None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE, unsure=True)
        delivery.send(body(GOOD))
        assert delivery.finish().created == 1
        assert (rig.retries(), rig.metrics.value("looks_total", found="unknown")) == (0, 0)


def test_a_delivery_that_is_unsure_looks_before_it_sends() -> None:
    with serve(None) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE, unsure=True)
        delivery.send(body(GOOD))
        assert delivery.finish().created == 1
        assert [path.partition("?")[0].rpartition("/")[2] for path in server.paths] == ["_refresh", "_search", "_bulk"]


def test_a_delivery_that_was_given_up_sends_nothing_that_waited_for_its_turn() -> None:
    gate = threading.Event()
    with serve(replace(created(1), wait_for=gate), None) as server, Rig(server.url, requests_in_flight=2) as rig:
        first, second = rig.sink.open(SOURCE), rig.sink.open(SOURCE)
        first.send(body(GOOD))
        server.wait(1)  # one at a time, as the pace begins
        second.send(body(GOOD))
        time.sleep(0.3)
        second.abandon()
        gate.set()
        assert first.finish().created == 1
        third = rig.sink.open(SOURCE)
        third.send(body(GOOD, GOOD))
        assert third.finish().created == 2
        assert [data.count(b"create") for data in server.bulks] == [1, 2]


@pytest.mark.parametrize(
    ("answer", "smaller"),
    [
        (LATER["429"][0], True),
        (LATER["503"][0], True),
        (LATER["502 from a proxy"][0], False),
        (LATER["closed without an answer"][0], False),
        (LATER["half of the JSON"][0], False),
        (LATER["too few items"][0], False),
    ],
)
def test_only_an_output_that_has_too_much_is_sent_less(answer: Answer, smaller: bool) -> None:  # noqa: FBT001 - a table's column
    """At one request at once, the least, that shows in the requests' size."""
    sent = body(*[GOOD] * 2000)
    with serve(answer, None) as server, Rig(server.url, request_bytes=len(sent.data) + 1) as rig:
        for _ in range(2):
            delivery = rig.sink.open(SOURCE)
            delivery.send(sent)
            assert delivery.finish().created == 2000
        assert (len(server.bulks) > 3) is smaller


REFUSED = {
    "400": (Answer(400, '{"error":{"type":"illegal_argument_exception"},"status":400}'), "400", "illegal_argument"),
    "401": (Answer(401, '{"error":{"type":"security_exception"},"status":401}'), "401", "api_key"),
    "403": (Answer(403, '{"error":{"type":"security_exception"},"status":403}'), "403", "create_doc"),
    "404": (Answer(404, '{"error":{"type":"x"},"status":404}'), "404", "vpcflow-exporter setup"),
    "another program": (Answer(200, "hello", "text/plain", {}), "200", "not Elasticsearch"),
    "an item that is forbidden": (
        items({"status": 201}, {"status": 403, "error": {"type": "cluster_block_exception", "reason": "read-only"}}),
        "200",
        "cluster_block_exception: read-only",
    ),
    "a closed index": (
        items({"status": 201}, {"status": 400, "error": {"type": "index_closed_exception", "reason": "closed"}}),
        "200",
        "index_closed_exception",
    ),
}


@pytest.mark.parametrize(("answer", "counted", "text"), REFUSED.values(), ids=REFUSED)
def test_what_will_not_pass_ends_the_delivery(answer: Answer, counted: str, text: str) -> None:
    with serve(answer) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, GOOD))
        with pytest.raises(Refused, match=text):
            delivery.finish()
        with pytest.raises(Refused, match=text):
            delivery.send(body(GOOD))
        assert len(server.bulks) == 1
        assert rig.requests() == {counted: 1}
        assert rig.documents() == {}
        assert rig.retries() == 0


def test_only_what_was_not_taken_is_sent_again_and_a_redirected_document_counts_as_refused() -> None:
    documents = [GOOD.replace("10.0.0.1", f"10.0.0.{number}") for number in range(1, 7)]
    first = items(
        {"status": 201},
        {"status": 429, "error": {"type": "es_rejected_execution_exception"}},
        {"status": 409, "error": {"type": "version_conflict_engine_exception"}},
        {"status": 503, "error": {"type": "unavailable_shards_exception"}},
        {"status": 201, "failure_store": "used"},
        {"status": 400, "error": {"type": "t", "reason": "r", "caused_by": {"type": "c", "reason": "below"}}},
    )
    with serve(first, None) as server, Rig(server.url) as rig:
        sent = body(*documents, first_row=1)
        delivery = rig.sink.open(SOURCE)
        delivery.send(sent)
        assert delivery.finish() == Delivered(created=3, existing=1, refused=2, bytes=len(sent.data))
        second = body(documents[1], first_row=2).data + body(documents[3], first_row=4).data
        assert server.bulks == [sent.data, second]
        assert rig.documents() == {"created": 3, "existing": 1, "refused": 2}
        assert rig.requests() == {"200": 2}
        assert rig.retries() == 1
        redirected = "failure_store: the document went to the data stream's failure store, where the reason stands"
        assert rig.kept.letters == [
            DeadLetter(SOURCE, 5, redirected, documents[4]),
            DeadLetter(SOURCE, 6, "t: r (below)", documents[5]),
        ]


class Unsplit(Body):
    """A body that must not be taken apart."""

    def items(self) -> None:  # type: ignore[override]
        pytest.fail("the body was split although every document was created or existing")


@pytest.mark.parametrize("second", [{"status": 201}, {"status": 409, "error": {"type": "version_conflict"}}])
def test_a_body_without_trouble_is_never_split(second: dict[str, object]) -> None:
    plain = body(GOOD, GOOD)
    with serve(items({"status": 201}, second)) as server, Rig(server.url) as rig:
        settled = Bulk(rig.client, "logs-aws.vpcflow-tests", "_none", Metrics()).send(
            Unsplit(plain.source, plain.data, plain.count)
        )
        assert (settled.created, settled.existing) == ((2, 0) if second["status"] == 201 else (1, 1))
        asked = "took,errors,items.*.status,items.*.error,items.*.failure_store"
        query = f"filter_path={asked}&pipeline=_none&require_data_stream=true"
        assert server.paths == [f"/logs-aws.vpcflow-tests/_bulk?{query}"]


def test_a_request_that_is_too_large_is_halved_and_no_other_of_its_size_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Pace, "SMALLEST", 64)
    too_large = Answer(413, "<html>nginx</html>", "text/html", {})
    whole = body(GOOD, GOOD, GOOD, GOOD)
    with serve(too_large, None) as server, Rig(server.url, requests_in_flight=1) as rig:
        for _ in range(2):
            delivery = rig.sink.open(SOURCE)
            delivery.send(whole)
            assert delivery.finish() == Delivered(created=4, bytes=len(whole.data))
        halves = [body(GOOD, GOOD, first_row=3).data, body(GOOD, GOOD, first_row=1).data]
        assert server.bulks == [whole.data, *halves, *halves]
        assert rig.requests() == {"413": 1, "200": 4}


def test_stop_ends_a_wait_for_the_next_try_at_once() -> None:
    with serve(Answer(503, "{}")) as server, Rig(server.url) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD))
        server.wait(requests=3)
        began = time.monotonic()
        rig.stop.set()
        with pytest.raises(Stopped):
            delivery.finish()
        assert time.monotonic() - began < 1
        assert rig.documents() == {}


def test_send_waits_while_too_many_bytes_are_held_and_stop_ends_the_wait() -> None:
    gate, sent = threading.Event(), body(GOOD)
    answer = replace(created(1), wait_for=gate)
    size = len(sent.data)
    with serve(answer) as server, Rig(server.url, requests_in_flight=1, request_bytes=size) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(sent)
        delivery.send(sent)
        delivery.send(sent)  # three are held: one travels, two wait
        fourth = threading.Thread(target=delivery.send, args=(sent,))
        fourth.start()
        server.wait(requests=1)
        fourth.join(0.3)
        assert fourth.is_alive()
        assert rig.metrics.value("output_bytes_held") == 3 * size
        gate.set()
        fourth.join(10)
        assert delivery.finish().created == 4
        assert server.most_standing == 1
        assert rig.metrics.value("output_bytes_held") == 0
        gate.clear()
        other = rig.sink.open(SOURCE)
        other.send(sent)
        other.send(sent)
        other.send(sent)
        threading.Timer(0.2, rig.stop.set).start()
        with pytest.raises(Stopped):
            other.send(sent)
        gate.set()


def test_a_body_larger_than_the_bound_passes_alone() -> None:
    sent = body(*[GOOD] * 10)
    with serve(None) as server, Rig(server.url, requests_in_flight=1, request_bytes=10) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(sent)
        delivery.send(sent)
        assert delivery.finish().created == 20
        assert server.bulks == [sent.data, sent.data]


def test_as_many_requests_travel_at_once_as_are_asked_for() -> None:
    gate = threading.Event()
    answer = replace(created(1), wait_for=gate)
    with serve(answer) as server, Rig(server.url, requests_in_flight=3, min_requests_in_flight=3) as rig:
        delivery = rig.sink.open(SOURCE)
        for row in range(5):
            delivery.send(body(GOOD, first_row=row))
        server.wait(requests=3)
        gate.set()
        assert delivery.finish().created == 5
        assert server.most_standing == 3


def test_a_failed_delivery_harms_no_other() -> None:
    refusal = Answer(403, "{}")
    with serve(refusal, None) as server, Rig(server.url, requests_in_flight=1) as rig:
        failed, fine = rig.sink.open(SOURCE), rig.sink.open(SOURCE)
        failed.send(body(GOOD))
        fine.send(body(GOOD, GOOD))
        with pytest.raises(Refused):
            failed.finish()
        assert fine.finish().created == 2


def test_a_dead_letter_that_cannot_be_kept_now_is_kept_later() -> None:
    class Full(Kept):
        """Takes nothing the first time."""

        tries = 0

        def keep(self, letters: list[DeadLetter]) -> None:
            self.tries += 1
            if self.tries == 1:
                raise Unavailable("no space left")
            super().keep(letters)

    bad = {"status": 400, "error": {"type": "t", "reason": "r"}}
    conflict = {"status": 409, "error": {"type": "version_conflict_engine_exception"}}
    with serve(items({"status": 201}, bad), items(conflict, bad)) as server, Rig(server.url, kept=Full()) as rig:
        delivery = rig.sink.open(SOURCE)
        delivery.send(body(GOOD, GOOD))
        delivered = delivery.finish()
        assert (delivered.created, delivered.existing, delivered.refused) == (0, 1, 1)
        assert rig.documents() == {"existing": 1, "refused": 1}
        assert rig.kept.letters == [DeadLetter(SOURCE, 2, "t: r", GOOD)]


def test_an_old_server_is_refused_and_a_serverless_one_is_not() -> None:
    def about(version: dict[str, str]) -> Answer:
        return Answer(200, json.dumps({"version": version}))

    with (
        serve(about({"number": "8.16.9", "build_flavor": "default"})) as server,
        Rig(server.url) as rig,
        pytest.raises(Refused, match=r"8\.16\.9 is too old: 8\.17 or newer"),
    ):
        rig.sink.verify()
    with serve(about({"number": "8.11.0", "build_flavor": "serverless"})) as server, Rig(server.url) as rig:
        rig.sink.verify()
        assert server.paths == ["/", "/_index_template/logs-aws.vpcflow-tests"]


class Certificate:
    """A self-signed certificate for localhost in a folder."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.fingerprint = made.fingerprint(hashes.SHA256()).hex()
        self.path = folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))

    def context(self) -> ssl.SSLContext:
        """What a server needs to show it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def _sent_by(server: Faulty, settings: ElasticsearchOutput) -> Metrics:
    """Sends a document with a client made from `settings` and a key; the counters."""
    metrics = Metrics()
    with new_client(settings, Credentials(api_key="c2VjcmV0")) as client:
        try:
            Bulk(client, "logs-aws.vpcflow-tests", None, metrics).send(body(GOOD))
        finally:
            assert "pipeline" not in "".join(server.paths)
    return metrics


def test_certificates_are_verified_by_authority_or_fingerprint(tmp_path: Path) -> None:
    shown = Certificate(tmp_path)
    with serve(None, tls=shown.context()) as server:
        trusted = ElasticsearchOutput(hosts=(server.url,), ca_certs=shown.path)
        assert _sent_by(server, trusted).value("requests_total", status="200") == 1
        pinned = ElasticsearchOutput(hosts=(server.url,), certificate_fingerprint=shown.fingerprint)
        assert _sent_by(server, pinned).value("requests_total", status="200") == 1
        assert len(server.bulks) == 2
        for settings in (
            ElasticsearchOutput(hosts=(server.url,)),
            ElasticsearchOutput(hosts=(server.url,), certificate_fingerprint="00" * 32),
        ):
            with pytest.raises(Refused, match=r"output\.elasticsearch\.ca_certs"):
                _sent_by(server, settings)
        assert len(server.bulks) == 2
