"""Dead letters in a real data stream, what is read back from it, and what becomes of them where it takes none."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Timer
from typing import Any, Self
from uuid import uuid4

import pytest
from elasticsearch import Elasticsearch

from exporter.ecs.document import ECS_VERSION as DOCUMENTS_ECS_VERSION
from exporter.errors import ExporterError, Refused, Stopped, Unavailable
from exporter.flow import DeadLetter, DeadLetters, Form
from exporter.install.templates import mappings_root, setup
from exporter.metrics import Metrics
from exporter.sink import streamed_letters
from exporter.sink.dead_letter import TEXT_LIMIT, DeadLetterFile
from exporter.sink.kept_letters import KeptLetter
from exporter.sink.kept_letters import read as read_file
from exporter.sink.letter_stream import CHUNK_BYTES, ECS_VERSION, NAMES_LIMIT, LetterStream, stream_of
from exporter.sink.streamed_letters import read
from tests.install.test_templates import mapped
from tests.services.elasticsearch import Cluster
from tests.sink.bodies import SOURCE
from tests.sink.faults import Answer, Faulty, created, items, serve
from tests.sink.test_dead_letter import DOCUMENT, IDS, LETTER
from tests.system.world import flat

MINUTE = timedelta(minutes=1)


class Rig:
    """A stream of letters with all that it needs, and what it counted."""

    def __init__(self, url: str, folder: Path, namespace: str = "tests") -> None:
        self.client = Elasticsearch(url, max_retries=0, retry_on_status=(), request_timeout=30)
        self.metrics = Metrics()
        self.stop = Event()
        self.file = DeadLetterFile(folder / "state", self.metrics)
        self.letters = LetterStream(
            self.client, namespace=namespace, fallback=self.file, metrics=self.metrics, stop=self.stop
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def documents(self) -> list[dict[str, Any]]:
        """All that stands in the stream, in the order in which it is read."""
        self.client.indices.refresh(index=self.letters.stream)
        order = ["vpcflow_exporter.letter.id", "@timestamp", "event.kind"]
        found = self.client.search(index=self.letters.stream, size=1000, sort=order)
        return [hit["_source"] for hit in found["hits"]["hits"]]

    def read(self, *ids: str) -> list[KeptLetter]:
        """The letters, read back."""
        return list(read(self.client, self.letters.stream, ids))

    def kept(self) -> float:
        """Letters, as counted."""
        return self.metrics.value("dead_letters_total")

    def retries(self) -> float:
        """Requests and parts of requests sent again, as counted."""
        return self.metrics.value("retries_total", policy="output")


@pytest.fixture
def rig(elasticsearch: Cluster, tmp_path: Path) -> Iterator[Rig]:
    """A data stream of the test's own, set up and empty."""
    namespace = f"letters_{uuid4().hex}"
    with Rig(elasticsearch.url, tmp_path, namespace) as made:
        setup(made.client, namespace=namespace, replicas=0, dead_letters=True)
        made.letters.verify()
        yield made
        # A server without the data stream API (400, 405) is one that is thrown away after the run.
        made.client.options(ignore_status=(400, 404, 405)).indices.delete_data_stream(name=made.letters.stream)


def told(letters: list[KeptLetter]) -> list[tuple[int, str, bool, bool]]:
    """Row, reason, whether it went out, whether it is superseded."""
    return [(each.row, each.reason, each.replayed, each.superseded) for each in letters]


def version_of(document: dict[str, Any]) -> str:
    version = document["vpcflow_exporter"]["letter"].pop("version")
    assert len(version) == 16
    return str(version)


def test_a_letter_is_a_document_with_object_row_reason_and_text(rig: Rig) -> None:
    letters: DeadLetters = rig.letters
    letters.keep([LETTER, DOCUMENT])
    letters.keep([])
    first, second = rig.documents()
    assert timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(first["@timestamp"]) < MINUTE
    assert version_of(first) != version_of(second)
    frame = {
        "@timestamp": first["@timestamp"],
        "data_stream": {
            "type": "logs",
            "dataset": "vpcflow_exporter.dead_letter",
            "namespace": rig.letters.stream.rpartition("-")[2],
        },
        "ecs": {"version": "9.4.0"},
        "aws": {"s3": {"bucket": {"name": "flow-logs"}, "object": {"key": SOURCE.key}}},
    }
    event = {"kind": "pipeline_error", "dataset": "vpcflow_exporter.dead_letter"}
    assert first == {
        **frame,
        "event": {**event, "original": "2 123456789012 eni-1 ü"},
        "error": {"message": "too few fields: 13 of 14"},
        "log": {"offset": 255},
        "vpcflow_exporter": {
            "letter": {
                "id": f"{SOURCE.id_prefix}000000ff",
                "kind": "line",
                "etag": "9b2cf535f27731c974343645a3985328",
                "exact": True,
                "container": "csv",
                "names": ["version", "eni-x"],
            }
        },
    }
    assert second == {
        **frame,
        "event": {**event, "original": '{"network":{"bytes":1}}'},
        "error": {"message": "mapper_parsing_exception: no"},
        "log": {"offset": 256},
        "vpcflow_exporter": {
            "letter": {
                "id": f"{SOURCE.id_prefix}00000100",
                "kind": "document",
                "etag": "9b2cf535f27731c974343645a3985328",
                "exact": True,
            }
        },
    }
    assert rig.kept() == 2
    assert not rig.file.path.exists()


def test_a_letter_is_read_back_as_the_file_would_give_it(rig: Rig, tmp_path: Path) -> None:
    """Whatever is in its text: control characters, halves of characters, more than is kept."""
    odd = [
        LETTER,
        DOCUMENT,
        replace(LETTER, row=1, text="x\ud800 \x00\x1b[2J\udcff", exact=False),
        replace(LETTER, row=2, text="\x01" * (TEXT_LIMIT + 1), reason="r" * 1001),
        replace(LETTER, row=2**32 - 1, source=replace(SOURCE, key="a\udcff\nb", etag='"')),
        replace(DOCUMENT, row=3, text=""),
    ]
    file = DeadLetterFile(tmp_path / "beside", Metrics())
    file.keep(odd)
    rig.letters.keep(odd)
    now = datetime.now(UTC)
    expected = {each.id: replace(each, time=now) for each in read_file(file.path)}
    found = rig.read()
    assert [each.id for each in found] == sorted(expected)
    assert {each.id: replace(each, time=now) for each in found} == expected
    assert all(abs(each.time - now) < MINUTE for each in found)


def test_what_is_kept_again_is_there_once_and_still_true_after_its_object_was_read_again(rig: Rig) -> None:
    other = replace(LETTER, source=replace(SOURCE, etag="another"))
    rig.letters.keep([LETTER, DOCUMENT, other])
    time.sleep(0.002)
    begun = datetime.now(UTC)
    rig.letters.keep([LETTER])
    rig.letters.supersede(SOURCE, begun)
    assert sorted(told(rig.read())) == [
        (255, LETTER.reason, False, False),
        (255, LETTER.reason, False, False),
        (256, DOCUMENT.reason, False, True),
    ]
    assert len([each for each in rig.documents() if "error" in each]) == 3
    words = [each for each in rig.documents() if "error" not in each]
    assert sorted((each["event"]["kind"], each["event"]["action"]) for each in words) == [
        ("event", "kept again"),
        ("event", "superseded"),
    ]
    superseded, again = sorted((each["vpcflow_exporter"]["letter"] for each in words), key=lambda each: len(each["id"]))
    assert superseded == {
        "id": SOURCE.id_prefix,
        "before": f"{begun:%Y-%m-%dT%H:%M:%S}.{begun.microsecond // 1000:03}Z",
    }
    assert again.keys() == {"id", "version"}
    assert again["id"] == IDS[255]
    assert rig.kept() == 4

    rig.letters.supersede(SOURCE, begun)
    assert len(rig.documents()) == 5  # said before, with the same time


def test_a_letter_is_as_it_was_kept_last(rig: Rig) -> None:
    """Read in one way, then in another, then in the first way again."""
    other = replace(LETTER, form=Form("text", ("bytes",), "the configuration"))
    for kept in (LETTER, other):
        rig.letters.keep([kept])
        time.sleep(0.002)
    assert [(each.container, each.format) for each in rig.read()] == [("text", ("bytes",))]
    rig.letters.keep([LETTER])
    assert [(each.container, each.format) for each in rig.read()] == [("csv", ("version", "eni-x"))]


def test_what_went_out_is_marked_once(rig: Rig) -> None:
    rig.letters.keep([LETTER, DOCUMENT])
    for _ in range(2):
        rig.letters.mark_replayed([IDS[255], IDS[257]])
        assert told(rig.read()) == [(255, LETTER.reason, True, False), (256, DOCUMENT.reason, False, False)]
        assert len(rig.documents()) == 4


def test_a_letter_on_both_sides_of_a_roll_over_is_one(rig: Rig) -> None:
    rig.letters.keep([LETTER])
    rig.client.indices.rollover(alias=rig.letters.stream)
    rig.letters.keep([LETTER, DOCUMENT])
    assert len(rig.documents()) == 3
    assert told(rig.read()) == [(255, LETTER.reason, False, False), (256, DOCUMENT.reason, False, False)]


def test_letters_are_read_page_by_page_and_by_their_ids(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what is said of one letter, or of an object and its letters, stands on two pages."""
    monkeypatch.setattr(streamed_letters, "_PAGE", 3)
    other = replace(SOURCE, etag="another")
    rows = range(10)
    rig.letters.keep([replace(LETTER, row=row, source=source) for row in rows for source in (SOURCE, other)])
    ids = {source: [f"{source.id_prefix}{row:08x}" for row in rows] for source in (SOURCE, other)}
    rig.letters.mark_replayed([*ids[SOURCE][1::3], *ids[other][::2]])
    rig.letters.supersede(other, datetime.now(UTC) + MINUTE)
    found = rig.read()
    assert [each.id for each in found] == sorted(ids[SOURCE] + ids[other])
    assert [each.id for each in found if each.replayed] == sorted([*ids[SOURCE][1::3], *ids[other][::2]])
    assert [each.id for each in found if each.superseded] == ids[other]
    chosen = rig.read(ids[SOURCE][4], ids[other][5], "unknown")
    assert sorted((each.id, each.replayed, each.superseded) for each in chosen) == sorted(
        [(ids[SOURCE][4], True, False), (ids[other][5], False, True)]
    )


def test_there_is_no_stream_yet(rig: Rig) -> None:
    assert rig.read() == []


def test_what_is_no_letter_is_skipped_and_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.letters.keep([LETTER])
    (letter,) = rig.documents()
    forged: list[dict[str, Any]] = [
        {"@timestamp": "2026-11-21T10:00:00Z", "message": "of somebody else"},
        {**letter, "log": {"offset": 7}},
        {**letter, "event": {"kind": "event", "action": "burnt"}},
    ]
    for number, document in enumerate(forged):
        rig.client.create(index=rig.letters.stream, id=f"forged-{number}", document=document)
    assert told(rig.read()) == [(255, LETTER.reason, False, False)]
    skipped = f"{rig.letters.stream}: the document with the id {IDS[255]} is no dead letter and is skipped"
    assert sorted(caplog.messages) == sorted([skipped.replace(IDS[255], ""), skipped, skipped])


def test_the_mappings_have_every_field_that_is_written_and_no_other(rig: Rig) -> None:
    rig.letters.keep([LETTER, replace(LETTER, row=1, text="x" * 70_000)])
    rig.letters.mark_replayed([IDS[255]])
    rig.letters.supersede(SOURCE, datetime.now(UTC))
    text = (mappings_root() / "elasticsearch" / "dead_letter_mappings.json").read_text("utf-8")
    paths = mapped(json.loads(text)["template"]["mappings"]["properties"])
    assert {path for document in rig.documents() for path in flat(document)} == paths.keys()
    ((_, made),) = rig.client.indices.get(index=rig.letters.stream).items()
    assert mapped(made["mappings"]["properties"]) == paths
    found = rig.client.search(index=rig.letters.stream, query={"match": {"error.message": "few fields"}})
    assert {hit["_source"]["log"]["offset"] for hit in found["hits"]["hits"]} == {255, 1}
    assert ECS_VERSION == DOCUMENTS_ECS_VERSION


LATER = {
    "429": Answer(429, '{"error":{"type":"es_rejected_execution_exception"},"status":429}'),
    "503": Answer(503, '{"error":"x","status":503}'),
    "502 from a proxy": Answer(502, "<html>Bad Gateway</html>", "text/html", {}),
    "closed without an answer": Answer(0),
    "cut short": replace(created(2), missing=10),
    "half of the JSON": Answer(200, created(2).text[:-20]),
    "none taken": items({"status": 429, "error": {}}, {"status": 503, "error": {}}),
}


def ids_of(body: bytes) -> list[str]:
    """The letters of a request."""
    return [json.loads(line)["create"]["_id"][:24] for line in body.splitlines()[::2]]


@pytest.mark.parametrize("answer", LATER.values(), ids=LATER)
def test_what_may_pass_later_is_sent_again_whole(answer: Answer, tmp_path: Path) -> None:
    with serve(answer, None) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep([LETTER, DOCUMENT])
        assert [ids_of(body) for body in server.bodies] == [[IDS[255], IDS[256]]] * 2
        assert server.bodies[0] == server.bodies[1]
        assert all(path.startswith(f"/{stream_of('tests')}/_bulk?") for path in server.paths)
        assert (rig.kept(), rig.retries(), rig.file.path.exists()) == (2, 1, False)


def test_only_the_part_that_was_not_taken_is_sent_again(tmp_path: Path) -> None:
    partly = items({"status": 201}, {"status": 429, "error": {}})
    with serve(partly, None) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep([LETTER, DOCUMENT])
        assert [ids_of(body) for body in server.bodies] == [[IDS[255], IDS[256]], [IDS[256]]]
        assert (rig.kept(), rig.retries()) == (2, 1)


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    with serve(LATER["503"]) as server, Rig(server.url, tmp_path) as rig:
        Timer(0.2, rig.stop.set).start()
        begun = time.monotonic()
        with pytest.raises(Stopped):
            rig.letters.keep([LETTER])
        assert time.monotonic() - begun < 10
        assert (rig.kept(), rig.file.path.exists()) == (0, False)


NO = {"type": "document_parsing_exception", "reason": "no"}


def test_what_the_stream_refuses_is_kept_in_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "exporter")
    answer = items({"status": 201}, {"status": 400, "error": NO}, {"status": 201, "failure_store": "used"})
    third = replace(LETTER, row=257)
    with serve(answer) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep([LETTER, DOCUMENT, third])
        assert [(each.id, each.text) for each in read_file(rig.file.path)] == [
            (IDS[256], DOCUMENT.text),
            (IDS[257], third.text),
        ]
        assert rig.kept() == 3
        kept = f"refused 2 dead letters, which are kept in {rig.file.path}: document_parsing_exception: no"
        assert caplog.messages == [f"{stream_of('tests')} {kept}"]
        assert caplog.records[0].levelname == "ERROR"


def test_a_request_that_is_too_large_is_halved_and_a_letter_that_is_goes_to_the_file(tmp_path: Path) -> None:
    large = Answer(413, "{}")
    with serve(large, large, None) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep([LETTER, DOCUMENT])
        assert [ids_of(body) for body in server.bodies] == [[IDS[255], IDS[256]], [IDS[256]], [IDS[255]]]
        assert [each.id for each in read_file(rig.file.path)] == [IDS[256]]
        assert (rig.kept(), rig.retries()) == (2, 0)


def test_the_file_is_told_too_that_letters_are_superseded(tmp_path: Path) -> None:
    with serve(items({"status": 400, "error": NO}), None) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep([LETTER])
        rig.letters.supersede(SOURCE, datetime.now(UTC) + MINUTE)
        assert [each.superseded for each in read_file(rig.file.path)] == [True]
        assert len(server.bodies) == 2


FOR_GOOD = {
    "no privilege": (Answer(403, '{"error":{"type":"security_exception"}}'), "create_doc"),
    "no privilege for the items": (items({"status": 403, "error": {"type": "security_exception"}}), "create_doc"),
    "no template": (Answer(404, '{"error":{"type":"index_not_found_exception"}}'), "run `vpcflow-exporter setup`"),
    "no Elasticsearch": (Answer(200, "{}", "application/json", {}), "not Elasticsearch"),
}


@pytest.mark.parametrize(("answer", "text"), FOR_GOOD.values(), ids=FOR_GOOD)
def test_a_stream_that_takes_nothing_is_an_error_and_the_object_stays_undone(
    answer: Answer, text: str, tmp_path: Path
) -> None:
    with serve(answer) as server, Rig(server.url, tmp_path) as rig:
        with pytest.raises(Refused, match=text):
            rig.letters.keep([LETTER])
        assert (rig.kept(), rig.file.path.exists()) == (0, False)


def test_a_word_that_is_refused_is_an_error(tmp_path: Path) -> None:
    with serve(items({"status": 400, "error": NO})) as server, Rig(server.url, tmp_path) as rig:
        refused = "what became of dead letters was refused: document_parsing_exception"
        with pytest.raises(Refused, match=refused):
            rig.letters.mark_replayed([IDS[255]])
        with pytest.raises(Refused, match=refused):
            rig.letters.supersede(SOURCE, datetime.now(UTC))


def test_requests_are_bounded_in_bytes(tmp_path: Path) -> None:
    """Letters as long as they may be, of characters that take six bytes each."""
    letters = [replace(LETTER, row=row, text="\x01" * (TEXT_LIMIT * 2)) for row in range(10)]
    with serve(None) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.keep(letters)
        assert [len(ids_of(body)) for body in server.bodies] == [2] * 5
        assert max(map(len, server.bodies)) <= CHUNK_BYTES
        assert rig.kept() == 10


@pytest.mark.parametrize(("length", "there"), [(NAMES_LIMIT, True), (NAMES_LIMIT + 1, False)])
def test_names_that_are_too_long_are_left_out(rig: Rig, length: int, there: bool) -> None:  # noqa: FBT001 - a row's word
    name = "n" * length
    rig.letters.keep([replace(LETTER, form=Form("parquet", (f"extra.{name}",), "its schema"))])
    assert [(each.container, each.format) for each in rig.read()] == [("parquet", (name,) if there else None)]


READING: dict[str, tuple[tuple[Answer, ...], type[ExporterError], str]] = {
    "no privilege": ((Answer(200, "{}"), Answer(403, "{}")), Refused, "the privilege `read` on the data stream"),
    "not now": ((Answer(200, "{}"), Answer(503, "{}")), Unavailable, "503"),
    "not even a refresh": ((Answer(503, "{}"),), Unavailable, "503"),
    "closed": ((Answer(0),), Unavailable, "connection"),
    "forgotten": (
        (Answer(200, "{}"), Answer(200, '{"id":"p"}'), Answer(404, "{}"), Answer(200, "{}")),
        Unavailable,
        "run it again, nothing is sent twice",
    ),
}


@pytest.mark.parametrize(("answers", "error", "text"), READING.values(), ids=READING)
def test_letters_that_cannot_be_read_are_an_error(
    answers: tuple[Answer, ...], error: type[ExporterError], text: str, tmp_path: Path
) -> None:
    with serve(*answers) as server, Rig(server.url, tmp_path) as rig:
        with pytest.raises(error, match=text):
            rig.read()
        # What the server holds for a reader is given back.
        assert ("/_pit" in paths(server)) is (len(answers) > 3)


VERIFYING: dict[str, tuple[Answer, type[ExporterError], str]] = {
    "not there": (Answer(404), Refused, "does not exist: run `vpcflow-exporter setup`"),
    "not now": (Answer(503), Unavailable, "503"),
    "closed": (Answer(0), Unavailable, "connection"),
}


@pytest.mark.parametrize(("answer", "error", "text"), VERIFYING.values(), ids=VERIFYING)
def test_what_is_missing_is_told_before_anything_is_sent(
    answer: Answer, error: type[ExporterError], text: str, tmp_path: Path
) -> None:
    with serve(answer) as server, Rig(server.url, tmp_path) as rig, pytest.raises(error, match=text):
        rig.letters.verify()


def test_what_may_not_be_looked_at_is_only_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve(Answer(403)) as server, Rig(server.url, tmp_path) as rig:
        rig.letters.verify()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert paths(server) == [f"/_index_template/{rig.letters.stream}"]


def paths(server: Faulty) -> list[str]:
    return [path.partition("?")[0] for path in server.paths]


def test_letters_of_one_call_are_of_any_objects(rig: Rig) -> None:
    kept: list[DeadLetter] = [replace(LETTER, source=replace(SOURCE, key=f"k{number}")) for number in range(3)]
    rig.letters.keep(kept)
    assert {each.key for each in rig.read()} == {"k0", "k1", "k2"}
