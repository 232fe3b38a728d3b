"""The ledger on a real file: what it says of an object after each thing that can happen, crashes included."""

import logging
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exporter import ledger as ledger_module
from exporter.errors import LedgerError
from exporter.flow import Outcome, S3Object
from exporter.ledger import Entry, Ledger, State

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SOURCE = "s3://logs/AWSLogs/"


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def ahead(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger(path, clock=clock) as opened:
        yield opened


def stored(name: str, time: datetime = NOON, bucket: str = "logs", etag: str = "e") -> S3Object:
    return S3Object(bucket, f"AWSLogs/{name}", etag, 100, time, "123456789012", "us-east-1")


FIRST, SECOND, THIRD = stored("first"), stored("second"), stored("third")


# What is to be done ---------------------------------------------------------------------------------------------------


def test_what_is_neither_under_way_nor_ended_is_unknown(ledger: Ledger) -> None:
    done, damaged, aside, under_way, new = (stored(name) for name in ("a", "b", "c", "d", "e"))
    for item in (done, damaged, aside, under_way):
        assert ledger.begin(item) == 1
    ledger.finish(Outcome(done, records=10))
    ledger.finish(Outcome(damaged, records=5, damage="the gzip stream ends at byte 50"))
    ledger.set_aside(aside, "no header")
    newer, elsewhere = replace(done, etag="f"), replace(done, bucket="other")
    page = [new, done, newer, damaged, elsewhere, aside, under_way]
    assert ledger.unknown(page) == [new, newer, elsewhere]
    assert ledger.unknown([]) == []


def test_a_page_is_asked_about_at_once(ledger: Ledger) -> None:
    page = [stored(f"{number}") for number in range(1000)]
    for item in page[::2]:
        ledger.begin(item)
        ledger.finish(Outcome(item))
    statements: list[str] = []
    assert ledger._database is not None  # noqa: SLF001  only the connection knows how often it was asked
    ledger._database.set_trace_callback(statements.append)  # noqa: SLF001
    assert ledger.unknown(page) == page[1::2]
    assert len(statements) == 1


def test_a_key_of_any_characters_is_known_again(ledger: Ledger) -> None:
    odd = stored("flow logs/ü'\";--%\n\udc80")
    ledger.begin(odd)
    ledger.set_aside(odd, "why")
    assert ledger.unknown([odd]) == []
    assert ledger.kept() == [Entry(odd, State.SET_ASIDE, 1, "why")]


def test_a_failed_object_waits_twice_as_long_each_time_and_is_given_up_after_days(ledger: Ledger, clock: Clock) -> None:
    waits = []
    for attempt in range(1, 11):
        assert ledger.begin(FIRST) == attempt
        assert ledger.fail(FIRST, "no connection") is State.UNDONE
        waits.append(_seconds_until_taken(ledger, clock))
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    clock.now = NOON + timedelta(days=3)
    ledger.begin(FIRST)
    assert ledger.fail(FIRST, "no connection") is State.FAILED
    assert ledger.unknown([FIRST]) == []
    assert ledger.kept() == [Entry(FIRST, State.FAILED, 11, "no connection (attempt 11)")]


def _seconds_until_taken(ledger: Ledger, clock: Clock) -> int:
    """How long the object is left alone; the clock goes ahead by that."""
    for seconds in (30, 60, 120, 240, 480, 960, 1920, 3600):
        start = clock.now
        clock.ahead(seconds=seconds - 1)
        waiting = ledger.unknown([FIRST]) == []
        clock.ahead(seconds=1)
        if waiting and ledger.unknown([FIRST]) == [FIRST]:
            return seconds
        clock.now = start
    raise AssertionError("it is never taken again")


def test_few_attempts_are_not_given_up_however_long_ago_the_first_was(ledger: Ledger, clock: Clock) -> None:
    for _ in range(4):
        ledger.begin(FIRST)
        assert ledger.fail(FIRST, "denied") is State.UNDONE
        clock.ahead(days=4)
    ledger.begin(FIRST)
    assert ledger.fail(FIRST, "denied") is State.FAILED


def test_a_released_object_is_taken_again_at_once(ledger: Ledger) -> None:
    ledger.begin(FIRST)
    ledger.release(FIRST)
    assert ledger.unknown([FIRST]) == [FIRST]
    assert ledger.begin(FIRST) == 2


def test_a_release_is_no_failure(ledger: Ledger, clock: Clock) -> None:
    for _ in range(9):
        ledger.begin(FIRST)
        ledger.release(FIRST, "the output refuses")
        clock.ahead(days=1)
    ledger.begin(FIRST)
    assert ledger.fail(FIRST, "no connection") is State.UNDONE


def test_an_object_that_never_began_cannot_end(ledger: Ledger) -> None:
    told = "s3://logs/AWSLogs/first ended without having begun"
    with pytest.raises(LedgerError, match=told):
        ledger.finish(Outcome(FIRST))
    with pytest.raises(LedgerError, match=told):
        ledger.fail(FIRST, "why")
    with pytest.raises(LedgerError, match=told):
        ledger.release(FIRST)
    with pytest.raises(LedgerError, match=told):
        ledger.set_aside(FIRST, "why")


def test_what_waits_in_a_bucket_is_given_once_each_the_oldest_first(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "WAITING", 2)
    items = [stored(str(number), NOON - timedelta(days=number // 2)) for number in range(7)]
    failed, done, elsewhere = stored("failed"), stored("done"), stored("0", bucket="other")
    for item in (*items, failed, done, elsewhere):
        ledger.begin(item)
    for item in (*items, elsewhere):
        ledger.release(item)
    ledger.fail(failed, "no connection")
    ledger.finish(Outcome(done))
    given = []
    for item in ledger.waiting("logs"):
        given.append(item)
        ledger.begin(item)
        ledger.release(item)  # undone again, which does not bring it back
    oldest_first = sorted(items, key=lambda item: (item.time, item.id_prefix))
    assert given == oldest_first
    clock.ahead(seconds=30)
    assert set(ledger.waiting("logs")) == {*items, failed}
    assert list(ledger.waiting("never-seen")) == []


def test_what_waits_is_found_by_its_index(ledger: Ledger) -> None:
    """Not by a look at every object that is done: each pass asks."""
    statements: list[str] = []
    database = ledger._database  # noqa: SLF001  only the connection knows what was asked
    assert database is not None
    database.set_trace_callback(statements.append)
    assert list(ledger.waiting("logs")) == []
    database.set_trace_callback(None)
    plan = database.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall()
    assert any("object USING INDEX kept (state=? AND bucket=? AND (time,id)>" in row[3] for row in plan), plan
    assert not any("TEMP B-TREE" in row[3] for row in plan), plan


def test_what_is_kept_can_be_asked_for_by_state(ledger: Ledger) -> None:
    for item in (FIRST, SECOND, THIRD):
        ledger.begin(item)
    ledger.finish(Outcome(FIRST))
    ledger.set_aside(SECOND, "no header")
    aside, under_way = Entry(SECOND, State.SET_ASIDE, 1, "no header"), Entry(THIRD, State.UNDER_WAY, 1, "")
    assert ledger.kept() == [aside]
    assert ledger.kept(states=(State.UNDER_WAY,)) == [under_way]
    assert ledger.kept(states=(State.DONE, State.FAILED)) == []  # where done objects lie is forgotten


def test_the_summary_counts_what_there_is(ledger: Ledger) -> None:
    assert ledger.summary().objects == {}
    assert ledger.summary().newest is None
    for item in (FIRST, SECOND, THIRD, stored("late", NOON - timedelta(hours=2)), stored("new", NOON + timedelta(1))):
        ledger.begin(item)
    ledger.finish(Outcome(FIRST, records=10))
    ledger.finish(Outcome(stored("late", NOON - timedelta(hours=2)), records=7))
    ledger.finish(Outcome(SECOND, records=3, damage="breaks off at byte 9"))
    ledger.fail(THIRD, "no connection")
    summary = ledger.summary()
    assert summary.objects == {State.DONE: 2, State.DAMAGED: 1, State.UNDONE: 1, State.UNDER_WAY: 1}
    assert (summary.records, summary.bytes) == (20, 300)
    assert summary.newest == NOON
    assert {(entry.source.key, entry.state, entry.reason) for entry in ledger.kept()} == {
        ("AWSLogs/second", State.DAMAGED, "breaks off at byte 9"),
        ("AWSLogs/third", State.UNDONE, "no connection"),
    }
    assert len(ledger.kept(limit=1)) == 1


# Where to look --------------------------------------------------------------------------------------------------------


def test_the_first_pass_is_remembered_for_each_source(path: Path) -> None:
    first = datetime(2026, 11, 3, 12, 0, 0, 250_000, tzinfo=UTC)
    with Ledger(path) as ledger:
        assert ledger.first_seen(SOURCE, first) == first
    with Ledger(path) as ledger:
        assert ledger.first_seen(SOURCE, first + timedelta(days=9)) == first
        assert ledger.first_seen("s3://other/AWSLogs/", NOON) == NOON


def test_a_source_is_known_after_its_first_pass(ledger: Ledger) -> None:
    assert not ledger.knows(SOURCE)
    ledger.first_seen(SOURCE, NOON)
    assert ledger.knows(SOURCE)
    assert not ledger.knows("s3://other/AWSLogs/")


def test_the_floor_moves_up_and_never_back(ledger: Ledger) -> None:
    ledger.first_seen(SOURCE, NOON)
    assert ledger.floor(SOURCE) is None
    assert ledger.raise_floor(SOURCE, date(2026, 11, 1))
    assert not ledger.raise_floor(SOURCE, date(2026, 11, 1))
    assert not ledger.raise_floor(SOURCE, date(2026, 10, 31))
    assert ledger.floor(SOURCE) == date(2026, 11, 1)
    assert ledger.floor("s3://other/AWSLogs/") is None
    assert ledger.first_seen(SOURCE, NOON + timedelta(days=1)) == NOON


def test_a_marker_moves_on_and_never_back_and_is_there_again_after_a_restart(path: Path) -> None:
    with Ledger(path) as ledger:
        assert ledger.marker(SOURCE) is None
        assert ledger.move_marker(SOURCE, "2026/11/03/09/b")
        assert not ledger.move_marker(SOURCE, "2026/11/03/09/b")
        assert not ledger.move_marker(SOURCE, "2026/11/03/09/a")
        assert ledger.marker(SOURCE) == "2026/11/03/09/b"
        assert ledger.move_marker(SOURCE, "ü")
        assert ledger.marker("s3://other/* (ordered)") is None
        assert ledger.floor(SOURCE) is None
        assert ledger.raise_floor(SOURCE, date(2026, 11, 1))
    with Ledger(path) as ledger:
        assert (ledger.marker(SOURCE), ledger.floor(SOURCE)) == ("ü", date(2026, 11, 1))
        assert ledger.move_marker(SOURCE, "🌍")  # behind ü by its bytes, as S3 has it


def test_what_is_undone_holds_no_floor_and_is_waiting_below_it(ledger: Ledger, clock: Clock) -> None:
    """Else an object of a bucket that nobody reads any more would have all others listed from its day on for ever."""
    old = stored("old", datetime(2026, 10, 30, 23, 55, tzinfo=UTC))
    ledger.begin(old)
    ledger.fail(old, "no connection")
    assert ledger.raise_floor(SOURCE, date(2026, 11, 1))
    assert ledger.floor(SOURCE) == date(2026, 11, 1)
    assert ledger.prune("logs", date(2026, 11, 1)) == 0
    clock.ahead(days=1)
    assert list(ledger.waiting("logs")) == [old]


def test_what_is_expected_is_waiting_unless_it_is_known(ledger: Ledger) -> None:
    new, known = stored("new", NOON), stored("known", NOON)
    ledger.begin(known)
    ledger.finish(Outcome(known))
    for item in (new, new, known):
        ledger.expect(item)
    assert list(ledger.waiting("logs")) == [new]
    assert ledger.begin(new) == 1


def test_the_state_of_an_object(ledger: Ledger) -> None:
    assert ledger.state(FIRST) is None
    told = []
    for change in (
        lambda: ledger.expect(FIRST),
        lambda: ledger.begin(FIRST),
        lambda: ledger.fail(FIRST, "no connection"),
        lambda: ledger.begin(FIRST),
        lambda: ledger.finish(Outcome(FIRST)),
    ):
        change()
        told.append(ledger.state(FIRST))
    assert told == [State.UNDONE, State.UNDER_WAY, State.UNDONE, State.UNDER_WAY, State.DONE]
    assert ledger.state(replace(FIRST, etag="f")) is None
    assert ledger.prune("logs", date(2026, 11, 4)) == 1
    assert ledger.state(FIRST) is None


def test_what_a_lost_ledger_may_have_sent_is_in_doubt(path: Path, clock: Clock) -> None:
    before = [stored(name, NOON - timedelta(seconds=1)) for name in ("new", "expected", "known", "later")]
    new, expected, known, later = before
    with Ledger(path, clock=clock) as ledger:
        assert ledger.begin(known) == 1
        ledger.release(known)
        ledger.expect(expected)
        ledger.doubt(NOON)
        ledger.doubt(NOON - timedelta(days=1))  # never back
        assert [ledger.begin(item) for item in (new, expected, known)] == [2, 2, 2]
        assert ledger.begin(FIRST) == 1  # of noon itself
        assert [entry.attempts for entry in ledger.kept(states=(State.UNDER_WAY,)) if entry.source == new] == [1]
    with Ledger(path, clock=clock) as ledger:
        assert [ledger.begin(item) for item in (new, later, FIRST)] == [2, 2, 2]
        assert ledger.begin(SECOND) == 1
    fraction = NOON + timedelta(microseconds=1)
    with Ledger(path, clock=clock) as ledger:
        ledger.doubt(fraction)
        assert ledger.begin(THIRD) == 2


def test_a_summary_of_some_buckets(ledger: Ledger) -> None:
    for bucket in ("logs", "other", "other"):
        ledger.begin(stored(f"a {ledger.summary().objects}", NOON, bucket=bucket))
    assert ledger.summary().objects == {State.UNDER_WAY: 3}
    assert ledger.summary(["other"]).objects == {State.UNDER_WAY: 2}
    assert ledger.summary([]).objects == {}


def test_what_is_done_is_forgotten_below_the_floor_and_the_rest_after_90_days(ledger: Ledger, clock: Clock) -> None:
    before = datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)
    done, damaged, aside, undone = (stored(name, before) for name in ("done", "damaged", "aside", "undone"))
    on_the_day, elsewhere = stored("day", datetime(2026, 11, 1, tzinfo=UTC)), stored("done", before, bucket="other")
    for item in (done, damaged, aside, undone, on_the_day, elsewhere):
        ledger.begin(item)
    for item in (done, on_the_day, elsewhere):
        ledger.finish(Outcome(item))
    ledger.finish(Outcome(damaged, damage="breaks off"))
    ledger.set_aside(aside, "no header")
    ledger.release(undone)

    assert ledger.prune("logs", date(2026, 11, 1)) == 1
    assert ledger.unknown([done, damaged, aside, on_the_day, elsewhere]) == [done]
    clock.ahead(days=90)
    assert ledger.prune("logs", date(2026, 11, 1)) == 0
    clock.ahead(seconds=1)
    assert ledger.prune("logs", date(2026, 11, 1)) == 2
    assert ledger.summary().objects == {State.DONE: 2, State.UNDONE: 1}
    assert ledger.prune("never-seen", date(2027, 1, 1)) == 0


def test_what_is_found_by_messages_is_forgotten_by_when_it_ended(ledger: Ledger, clock: Clock) -> None:
    long_ago = NOON - timedelta(days=9)
    old, aside, recent, elsewhere = (
        stored(name, long_ago, bucket) for name, bucket in (("a", "logs"), ("b", "logs"), ("c", "logs"), ("a", "other"))
    )
    for item in (old, aside, elsewhere):
        ledger.begin(item)
    ledger.finish(Outcome(old))
    ledger.finish(Outcome(elsewhere))
    ledger.set_aside(aside, "no header")
    clock.ahead(seconds=10)
    ledger.begin(recent)
    ledger.finish(Outcome(recent))
    assert ledger.prune_ended("logs", NOON) == 0
    assert ledger.prune_ended("logs", NOON + timedelta(seconds=1)) == 1
    assert [ledger.state(item) for item in (old, recent, elsewhere)] == [None, State.DONE, State.DONE]
    clock.ahead(days=91)
    assert ledger.prune_ended("logs", NOON) == 0  # it was set aside at noon
    assert ledger.prune_ended("logs", clock.now) == 2
    assert ledger.summary().objects == {State.DONE: 1}


@pytest.mark.parametrize("prune", ["prune", "prune_ended"])
def test_forgetting_looks_at_what_is_old_only(ledger: Ledger, prune: str) -> None:
    statements: list[str] = []
    database = ledger._database  # noqa: SLF001  only the connection knows what was asked
    assert database is not None
    database.set_trace_callback(statements.append)
    assert (ledger.prune("logs", NOON.date()) if prune == "prune" else ledger.prune_ended("logs", NOON)) == 0
    database.set_trace_callback(None)
    plans = [database.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in statements if "DELETE" in each]
    done, kept = (" ".join(row[3] for row in plan) for plan in plans)
    assert "INDEX done (bucket=? AND origin=? AND time<?)" in done
    assert "INDEX kept (state=? AND bucket=? AND time<?)" in kept
    assert "SCAN object" not in done + kept


# Crashes --------------------------------------------------------------------------------------------------------------

KILLED = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger
ledger = Ledger(Path(sys.argv[1])).open()
for name in ("first", "second"):
    noon = datetime(2026, 11, 3, 12, tzinfo=UTC)
    item = S3Object("logs", f"AWSLogs/{name}", "e", 100, noon, "123456789012", "us-east-1")
    ledger.begin(item)
    if name == "first":
        ledger.finish(Outcome(item, records=1))
print("under way", flush=True)
sys.stdin.read()
"""


def kill_one_under_way(path: Path) -> None:
    """Another process finishes FIRST, begins SECOND and is killed."""
    with subprocess.Popen(  # noqa: S603  this file's own text
        [sys.executable, "-c", KILLED, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        with pytest.raises(LedgerError, match=f"in use by process {process.pid}: a state folder serves one daemon"):
            Ledger(path).open()
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL


def test_what_was_under_way_when_the_program_was_killed_is_given_again(path: Path) -> None:
    kill_one_under_way(path)
    with Ledger(path) as ledger:
        assert ledger.interrupted() == [SECOND]
        assert ledger.unknown([FIRST, SECOND, THIRD]) == [SECOND, THIRD]
        assert ledger.begin(SECOND) == 2
        assert ledger.interrupted() == []
        ledger.finish(Outcome(SECOND, records=1))
        assert ledger.interrupted() == []
        assert ledger.unknown([FIRST, SECOND]) == []


def test_an_object_that_kills_the_program_each_time_is_left_alone_and_at_last_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the cause, or have been there by chance: after the fifth time the others get on first."""
    for crash in range(1, 6):
        kill_one_under_way(path)
        with Ledger(path) as ledger:
            assert ledger.unknown([SECOND]) == ([SECOND] if crash < 5 else [])
            assert ledger.state(SECOND) is State.UNDONE
    soon = datetime.now(UTC) + timedelta(seconds=31)
    with Ledger(path, clock=lambda: soon) as ledger:
        assert ledger.unknown([SECOND]) == [SECOND]
    kill_one_under_way(path)
    with Ledger(path, clock=lambda: soon) as ledger:
        assert ledger.unknown([SECOND]) == []  # a minute, this time
    later = soon + timedelta(days=3)
    with Ledger(path, clock=lambda: later) as ledger:
        ledger.begin(SECOND)
        ledger._database.close()  # type: ignore[union-attr]  # noqa: SLF001 - dies
        ledger._database = None  # noqa: SLF001
    with Ledger(path, clock=lambda: later) as ledger:
        assert ledger.kept() == [
            Entry(SECOND, State.FAILED, 7, "the program died 7 times while this was under way"),
        ]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "1 objects are set aside: the program died time and again while they were under way"
    ]


def test_a_stop_in_good_order_is_no_crash(path: Path) -> None:
    for _ in range(6):
        with Ledger(path) as ledger:
            ledger.begin(FIRST)
            ledger.release(FIRST)
    with Ledger(path) as ledger:
        assert ledger.interrupted() == []
        assert ledger.unknown([FIRST]) == [FIRST]


# The file -------------------------------------------------------------------------------------------------------------


def test_making_a_ledger_touches_nothing(path: Path) -> None:
    ledger = Ledger(path)
    assert not path.parent.exists()
    with pytest.raises(LedgerError, match="is not open"):
        ledger.summary()
    ledger.close()


def test_a_second_ledger_on_one_file_is_refused_until_the_first_is_closed(path: Path, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=f"the ledger {path} is in use by process"):
        Ledger(path).open()
    ledger.begin(FIRST)
    ledger.close()
    with Ledger(path) as second:
        assert second.interrupted() == [FIRST]


def test_a_ledger_in_use_can_be_looked_at(path: Path, ledger: Ledger) -> None:
    ledger.begin(FIRST)
    with Ledger(path, read_only=True) as view:
        assert view.summary().objects == {State.UNDER_WAY: 1}
        ledger.finish(Outcome(FIRST, records=2))
        assert view.summary().records == 2
        with pytest.raises(LedgerError, match="readonly"):
            view.begin(SECOND)
    assert ledger.unknown([SECOND]) == [SECOND]


def test_a_ledger_that_is_not_there_cannot_be_looked_at(path: Path) -> None:
    with pytest.raises(LedgerError, match=f"there is no ledger {path} yet: is state.folder the daemon's"):
        Ledger(path, read_only=True).open()
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"cannot be used: .*is there space, and may this user write\?"):
        Ledger(tmp_path / "file" / "ledger.sqlite").open()


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    items = [stored(f"{number}") for number in range(200)]

    def one(item: S3Object) -> None:
        ledger.begin(item)
        ledger.finish(Outcome(item, records=1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(one, items))
    assert ledger.unknown(items) == []
    assert ledger.summary().records == 200


def test_a_file_that_is_no_ledger_is_kept_aside_and_a_new_one_begun(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 1000)
    with Ledger(path, clock=clock) as ledger:
        assert ledger.unknown([FIRST]) == [FIRST]
        assert ledger.begin(replace(FIRST, key="before", time=NOON - timedelta(seconds=1))) == 2  # some may be out
        assert ledger.begin(FIRST) == 1
    aside = path.with_name("ledger.sqlite.corrupt-20261103T120000Z")
    assert aside.read_bytes() == b"this is no database" * 1000
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert f"the ledger {path} is corrupt (file is not a database); it is kept as {aside.name}" in warning
    assert "every source starts as at its first pass" in warning


def test_a_corrupt_ledger_still_tells_where_to_go_on(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Ledger(path, clock=clock) as ledger:
        ledger.first_seen(SOURCE, NOON)
        ledger.raise_floor(SOURCE, date(2026, 11, 1))
        for number in range(300):
            ledger.begin(stored(f"{number}"))
    damage_objects(path)
    with Ledger(path, clock=clock) as ledger:
        assert ledger.summary().objects == {}
        assert ledger.first_seen(SOURCE, NOON + timedelta(days=9)) == NOON
        assert ledger.floor(SOURCE) == date(2026, 11, 1)
    assert "Where to go on was read for 1 sources" in caplog.text
    with Ledger(path) as ledger:
        assert ledger.floor(SOURCE) == date(2026, 11, 1)


def test_a_file_lost_in_a_crash_leaves_nothing_behind_that_harms_the_next(path: Path) -> None:
    kill_one_under_way(path)
    assert path.with_name("ledger.sqlite-wal").stat().st_size > 0
    path.write_bytes(b"\xff" * 40_960)
    for attempt in (1, 2):
        with Ledger(path) as ledger:
            assert ledger.unknown([SECOND]) == [SECOND]
            assert ledger.begin(THIRD) >= attempt
            ledger.release(THIRD)
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def damage_objects(path: Path) -> None:
    """Writes over the first page of the objects' table, as a bad disk would."""
    with closing(sqlite3.connect(path)) as database:
        ((page,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'object'")
        ((size,),) = database.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_a_ledger_is_durable_and_of_the_newest_version(path: Path, ledger: Ledger) -> None:
    database = ledger._database  # noqa: SLF001  what holds for its connection cannot be seen from another
    assert database is not None
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (5,)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_ledger_of_a_newer_release_is_refused_and_left_as_it_is(path: Path, *, read_only: bool) -> None:
    Ledger(path).open().close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(LedgerError, match="has version 7, this program knows 5: use the release that wrote it"):
        Ledger(path, read_only=read_only).open()
    assert not list(path.parent.glob("*.corrupt-*"))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (7,)


def test_who_reports_is_kept_and_forgotten_once_it_is_long_silent(tmp_path: Path) -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    now = int(noon.timestamp())
    day = 86_400
    with Ledger(tmp_path / "ledger.sqlite3", clock=lambda: noon) as ledger:
        assert ledger.reporters() == []
        ledger.keep_reporters({"eni-a": (now - 100 * day, now - 60), "eni-b": (now - 9, now - 8)})
        ledger.keep_reporters({"eni-b": (now - 9, now), "eni-old": (now - 100 * day, now - 91 * day)})
    with Ledger(tmp_path / "ledger.sqlite3", clock=lambda: noon) as ledger:
        assert sorted(ledger.reporters()) == [("eni-a", now - 100 * day, now - 60), ("eni-b", now - 9, now)]
