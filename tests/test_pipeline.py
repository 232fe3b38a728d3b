"""One object through the real stages into a folder: what the ledger, the counters and the dead letters say after it."""

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from exporter import config
from exporter.ecs.document import Encoder
from exporter.enrich.ends import enrich
from exporter.errors import LedgerError, ObjectGone, Overwritten, Refused, SourceError, Stopped, Unavailable
from exporter.fields import DEFAULT_FORMAT
from exporter.filter.rules import Filter
from exporter.flow import Batch, Body, Delivered, Delivery, S3Object, Sink
from exporter.ledger import FIRST_WAIT, Entry, Ledger, State
from exporter.ledger_view import look
from exporter.metrics import Metrics
from exporter.pipeline import Stages, take
from exporter.read.reader import Reader
from exporter.sink.dead_letter import DeadLetterFile
from exporter.sink.files import FilesSink
from exporter.sink.kept_letters import read

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SOURCE = S3Object("logs", "AWSLogs/1/a.log.gz", "e1", 100, NOON, "123456789012", "eu-west-1")
HEADER = " ".join(DEFAULT_FORMAT)
GOOD = "2 123456789012 eni-0a 10.0.0.1 10.0.0.2 40000 443 6 3 180 1793707200 1793707260 ACCEPT OK"
BAD = GOOD.replace(" 443 ", " https ")


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass(slots=True)
class Bytes:
    """An object's bytes, a few at a time; then, in place of the end, what `then` does."""

    data: bytes
    then: Callable[[], bytes] = bytes

    def read(self, size: int, /) -> bytes:
        taken, self.data = self.data[: min(size, 65_536)], self.data[min(size, 65_536) :]
        return taken or self.then()

    @contextmanager
    def open(self, source: S3Object) -> Iterator["Bytes"]:
        assert source == SOURCE
        yield self


class RefusingSink:
    """A sink whose deliveries fail with `error` at the end."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.abandoned = False

    def open(self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False) -> Delivery:
        del source, again, at_work, unsure
        return self

    def missing(self, batch: Batch) -> Batch:
        return batch

    def send(self, body: Body) -> None:
        assert body.count

    def finish(self) -> Delivered:
        raise self.error

    def abandon(self) -> None:
        self.abandoned = True

    def close(self) -> None:
        pass


@dataclass(slots=True)
class Rig:
    """The stages, and all that can be seen of them from outside; its ledger's clock stands still until it is told."""

    folder: Path
    metrics: Metrics = field(default_factory=Metrics)
    abandon: Event = field(default_factory=Event)
    filter: Filter = field(default_factory=Filter)
    now: datetime = NOON

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "ledger.sqlite3", clock=lambda: self.now)
        self.sink = FilesSink(self.folder / "out", self.metrics)

    ledger: Ledger = field(init=False)
    sink: FilesSink = field(init=False)

    def take(self, objects: Bytes, sink: Sink | None = None, *, again: bool = False) -> State:
        return take(
            SOURCE,
            Stages(
                objects=objects,
                reader=Reader(),
                enrich=lambda batch: enrich(batch, None, self.metrics),
                filter=self.filter.apply,
                encoder=Encoder("tests", 1024 * 1024),
                sink=sink or self.sink,
                dead_letters=DeadLetterFile(self.folder, self.metrics),
                ledger=self.ledger,
                metrics=self.metrics,
                abandon=self.abandon,
            ),
            again=again,
        )

    def documents(self) -> list[dict[str, Any]]:
        files = [path for path in (self.folder / "out").rglob("*") if path.is_file()]
        assert all(path.name.endswith(f"_{SOURCE.id_prefix}.ndjson") for path in files)
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]

    def letters(self) -> list[tuple[int, str]]:
        path = self.folder / "dead-letters.ndjson"
        letters = read(path) if path.is_file() else ()
        return [(letter.row, letter.reason) for letter in letters if not letter.superseded]

    def kept(self) -> list[tuple[State, str]]:
        return [(entry.state, entry.reason) for entry in self.ledger.kept()]

    def comes_again_after(self) -> timedelta | None:
        """After which wait it would be taken again; None for never."""
        for wait in (timedelta(), FIRST_WAIT):
            self.now = NOON + wait
            if self.ledger.unknown([SOURCE]):
                return wait
        return None

    def counted(self, **wanted: float) -> None:
        """Every counter named has that value, and the object counts as nothing else."""
        outcomes = ("done", "damaged", "set_aside", "failed", "undone")
        assert {
            name: self.metrics.value("objects_total", outcome=name.replace("_", " "))
            if name in outcomes
            else self.metrics.value(name)
            for name in (*outcomes, *wanted)
        } == dict.fromkeys(outcomes, 0) | wanted


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    with made.ledger:
        yield made
        made.sink.close()


def test_done(rig: Rig) -> None:
    rig.take(Bytes(gzip.compress(text(HEADER, GOOD, "", GOOD))))
    assert [document["log"]["offset"] for document in rig.documents()] == [1, 3]
    assert [document["source"]["ip"] for document in rig.documents()] == ["10.0.0.1", "10.0.0.1"]
    summary = rig.ledger.summary()
    assert (summary.objects, summary.records, summary.newest) == ({State.DONE: 1}, 2, NOON)
    assert rig.comes_again_after() is None
    rig.counted(done=1, records_total=2, skipped_lines_total=1, newest_object_time_seconds=NOON.timestamp())
    assert rig.metrics.value("documents_total", outcome="created") == 2
    assert rig.metrics.value("object_seconds_count") == 1


def test_done_with_bad_lines_in_the_dead_letters(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.take(Bytes(text(HEADER, BAD, GOOD, "2 3")))
    assert [document["log"]["offset"] for document in rig.documents()] == [2]
    assert rig.letters() == [(1, "dstport: 'https' is not a number"), (3, "2 fields where the format has 14")]
    assert rig.ledger.summary().objects == {State.DONE: 1}
    rig.counted(done=1, records_total=1, bad_lines_total=2, dead_letters_total=2)
    (line,) = caplog.messages
    assert line.startswith("s3://logs/AWSLogs/1/a.log.gz: 1 records in ")
    assert line.endswith(" s: 1 indexed, 0 there already, 0 refused, 2 bad lines")


def test_fields_that_are_not_known_are_carried_counted_and_told_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        rig.take(Bytes(text("srcport dstport end colour size", "1 443 - red -", "2 80 - blue XL", "x")))
    extras = [document["aws"]["vpcflow"]["extra"] for document in rig.documents()]
    assert extras == [{"colour": "red"}, {"colour": "blue", "size": "XL"}]
    assert rig.metrics.value("unknown_fields_total") == 2 * 4
    (told,) = [line for line in caplog.messages if "not known" in line]
    assert told == (
        "fields that are not known yet, carried in aws.vpcflow.extra: colour, size; first met in "
        "s3://logs/AWSLogs/1/a.log.gz"
    )


def test_done_without_a_record(rig: Rig) -> None:
    rig.take(Bytes(text(HEADER)))
    assert rig.documents() == []
    assert rig.ledger.summary().objects == {State.DONE: 1}
    rig.counted(done=1, records_total=0)


def test_damaged_is_read_up_to_the_break_and_not_taken_again(rig: Rig) -> None:
    stored = gzip.compress(text(HEADER, *[GOOD] * 2000), 0)
    cut = stored[:100_000]
    records = cut.count(b"\n") - 1
    assert rig.take(Bytes(cut)) is State.DAMAGED
    assert len(rig.documents()) == records > 1000
    ((state, reason),) = rig.kept()
    assert state is State.DAMAGED
    assert reason.endswith("at byte 100,000")
    assert rig.letters() == [(records + 1, f"the file breaks off in this line: {reason}")]
    assert rig.comes_again_after() is None
    rig.counted(damaged=1, records_total=records, bad_lines_total=1)


def test_what_is_no_flow_log_is_set_aside(rig: Rig) -> None:
    assert rig.take(Bytes(text('{"records": []}'))) is State.SET_ASIDE
    ((state, reason),) = rig.kept()
    assert state is State.SET_ASIDE
    assert reason.startswith("this is JSON without log events")
    assert (rig.documents(), rig.comes_again_after()) == ([], None)
    rig.counted(set_aside=1, records_total=0)


def failing(error: Exception) -> Callable[[], bytes]:
    def fail() -> bytes:
        raise error

    return fail


def test_what_is_gone_is_set_aside(rig: Rig) -> None:
    assert rig.take(Bytes(b"", failing(ObjectGone("it was deleted")))) is State.SET_ASIDE
    assert rig.kept() == [(State.SET_ASIDE, "it was deleted")]
    assert rig.comes_again_after() is None
    rig.counted(set_aside=1)


def test_what_lies_there_instead_is_done_in_its_place(rig: Rig) -> None:
    """Its day may be one that no listing comes by any more."""
    newer = replace(SOURCE, etag="newer")
    rig.take(Bytes(b"", failing(Overwritten("it was overwritten", newer))))
    assert rig.kept() == [(State.UNDONE, ""), (State.SET_ASIDE, "it was overwritten")]
    assert list(rig.ledger.waiting("logs")) == [newer]
    rig.counted(set_aside=1)


def test_letters_of_an_earlier_attempt_are_no_longer_true_once_it_was_read_whole(rig: Rig) -> None:
    rig.take(Bytes(text(HEADER, BAD, GOOD)), RefusingSink(Unavailable("away")))
    assert [row for row, _ in rig.letters()] == [1]
    rig.take(Bytes(gzip.compress(text(HEADER, GOOD, GOOD), 0)[:-9]))
    assert rig.ledger.summary().objects == {State.DAMAGED: 1}
    assert 1 in [row for row, _ in rig.letters()]
    rig.ledger.expect(SOURCE)
    rig.take(Bytes(text(HEADER, GOOD, BAD)))
    assert [row for row, _ in rig.letters()] == [2]


@dataclass(slots=True)
class Remembering:
    """A sink in front of another one, with a document of row 1 there; `asked` is what it was told at each opening."""

    sink: FilesSink
    asked: list[tuple[bool, bool]] = field(default_factory=list)
    delivery: Delivery = field(init=False)

    def open(self, source: S3Object, *, again: bool = False, at_work: bool = False, unsure: bool = False) -> Delivery:
        assert not unsure
        self.asked.append((again, at_work))
        self.delivery = self.sink.open(source)
        return self

    def missing(self, batch: Batch) -> Batch:
        return batch.without([1]) if self.asked[-1][0] else batch

    def send(self, body: Body) -> None:
        self.delivery.send(body)

    def finish(self) -> Delivered:
        delivered = self.delivery.finish()
        delivered.existing += self.asked[-1][0]
        return delivered

    def abandon(self) -> None:
        self.delivery.abandon()

    def close(self) -> None:
        self.sink.close()


def test_what_is_taken_again_sends_only_what_is_missing(rig: Rig) -> None:
    """Whether the ledger knows of an earlier attempt, or somebody else does."""
    sink = Remembering(rig.sink)
    data = text(HEADER, GOOD, GOOD)
    assert rig.take(Bytes(data, failing(SourceError("no connection"))), sink) is State.UNDONE
    assert rig.take(Bytes(data), sink) is State.DONE
    assert [document["log"]["offset"] for document in rig.documents()] == [2]
    assert sink.asked == [(False, False), (True, True)]
    assert rig.metrics.value("records_total") == 2  # the first attempt met its fault before a piece was whole


def test_an_object_that_somebody_else_began_is_taken_again_at_the_first_attempt(rig: Rig) -> None:
    sink = Remembering(rig.sink)
    assert rig.take(Bytes(text(HEADER, GOOD)), sink, again=True) is State.DONE
    assert sink.asked == [(True, False)]
    assert rig.documents() == []
    assert rig.ledger.summary().records == 1


SMALL = config.Filter(
    dry_run=False,
    rules=(
        config.FilterRule(name="small", action="drop", where={"network.packets": ("<3",)}),
        config.FilterRule(name="tried", action="drop", where={"network.packets": (">=3",)}, dry_run=True),
    ),
)
TINY = GOOD.replace(" 3 180 ", " 2 180 ")


def test_what_a_filter_drops_is_counted_and_goes_nowhere(rig: Rig) -> None:
    assert GOOD != TINY
    rig.filter = Filter.of(SMALL)
    assert rig.take(Bytes(text(HEADER, TINY, GOOD, TINY))) is State.DONE
    assert [document["log"]["offset"] for document in rig.documents()] == [2]
    assert rig.letters() == []
    assert rig.metrics.value("filtered_total", rule="small", outcome="dropped") == 2
    assert rig.metrics.value("filtered_total", rule="tried", outcome="would drop") == 1
    assert rig.ledger.summary().records == 3, "records that were read"


def test_what_is_taken_again_is_counted_once_by_the_ledger(rig: Rig) -> None:
    """The first time all of it was filtered and then not delivered; the second time one document is there already."""
    rig.filter = Filter.of(SMALL)
    sink = Remembering(rig.sink)
    data = text(HEADER, GOOD, TINY, GOOD)
    assert rig.take(Bytes(data), RefusingSink(Refused("the index is read-only"))) is State.UNDONE
    assert look(rig.folder / "ledger.sqlite3", NOON).filtered == []
    assert rig.take(Bytes(data), sink) is State.DONE
    found = {(each.rule, each.outcome): each.records for each in look(rig.folder / "ledger.sqlite3", NOON).filtered}
    assert found == {("small", "dropped"): 1, ("tried", "would drop"): 2}
    assert [document["log"]["offset"] for document in rig.documents()] == [3]


def test_an_object_of_which_nothing_is_kept_is_done(rig: Rig) -> None:
    rig.filter = Filter.of(SMALL)
    assert rig.take(Bytes(text(HEADER, TINY, TINY))) is State.DONE
    assert rig.documents() == []


def test_a_failing_source_leaves_it_undone_for_a_while(rig: Rig) -> None:
    """Even where much of it was read, and some of that went out already."""
    rig.take(Bytes(text(HEADER, *[GOOD] * 60_000), failing(SourceError("no connection"))))
    assert rig.kept() == [(State.UNDONE, "no connection")]
    assert list((rig.folder / "out").rglob("*.ndjson")) == []
    assert rig.comes_again_after() == FIRST_WAIT
    rig.counted(undone=1)


def test_a_refusing_output_leaves_it_undone_without_a_wait(rig: Rig) -> None:
    assert rig.take(Bytes(text(HEADER, GOOD)), RefusingSink(Refused("the index is read-only"))) is State.UNDONE
    assert rig.kept() == [(State.UNDONE, "the index is read-only")]
    assert rig.comes_again_after() == timedelta()
    rig.counted(undone=1, records_total=1)


def test_a_dead_letter_that_cannot_be_kept_leaves_it_undone(rig: Rig) -> None:
    (rig.folder / "dead-letters.ndjson").mkdir()
    rig.take(Bytes(text(HEADER, GOOD, BAD)))
    assert rig.kept() == [
        (State.UNDONE, f"{rig.folder}/dead-letters.ndjson: dead letters cannot be written: Is a directory")
    ]
    assert rig.comes_again_after() == timedelta()
    rig.counted(undone=1, dead_letters_total=0)


def test_a_stop_leaves_it_undone_without_a_wait(rig: Rig) -> None:
    rig.abandon.set()
    with pytest.raises(Stopped, match=r"stopped while s3://logs/AWSLogs/1/a\.log\.gz was under way"):
        rig.take(Bytes(text(HEADER, GOOD)))
    assert rig.kept() == [(State.UNDONE, "")]
    assert rig.comes_again_after() == timedelta()
    rig.counted()


def test_an_object_taken_again_is_done_and_its_documents_are_there_once(rig: Rig) -> None:
    rig.take(Bytes(text(HEADER, GOOD), failing(SourceError("no connection"))))
    rig.take(Bytes(text(HEADER, GOOD)))
    assert [document["log"]["offset"] for document in rig.documents()] == [1]
    assert rig.ledger.summary().objects == {State.DONE: 1}
    rig.counted(undone=1, done=1)


def test_a_ledger_that_cannot_be_written_marks_nothing_done(rig: Rig) -> None:
    def close() -> bytes:
        rig.ledger.close()
        return b""

    with pytest.raises(LedgerError, match="is not open"):
        rig.take(Bytes(text(HEADER, GOOD), close))
    rig.counted(records_total=1)
    with Ledger(rig.folder / "ledger.sqlite3", clock=lambda: NOON) as ledger:
        assert ledger.kept() == [Entry(SOURCE, State.UNDONE, 1, "")]
        assert ledger.interrupted() == [SOURCE]


def test_a_newer_object_is_told_whatever_ends_last(rig: Rig) -> None:
    rig.take(Bytes(text(HEADER, GOOD)))
    rig.metrics.set("newest_object_time_seconds", NOON.timestamp() + 300)
    rig.take(Bytes(text(HEADER, GOOD)))
    assert rig.metrics.value("newest_object_time_seconds") == NOON.timestamp() + 300
