"""Passes over places with a real ledger, jobs by the clock, and an end in time by real signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from exporter import daemon
from exporter.daemon import Job, Place, Poller, Stops, repeat, signals
from exporter.errors import LedgerError, SourceError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LOOKBACK = timedelta(days=2)
START = TODAY - timedelta(days=9)
FIRST_DAY = (TODAY - timedelta(days=10)).date()  # a file that reaches into midnight would lie there


def stored(name: str, days_ago: int = 0, bucket: str = "logs") -> S3Object:
    return S3Object(bucket, f"AWSLogs/{name}", "e", 100, TODAY - timedelta(days=days_ago))


@dataclass(slots=True)
class Shelf:
    """A listing of what lies in `objects`, by day; `error` comes after the last one."""

    source_id: str
    objects: list[S3Object] = field(default_factory=list)
    error: Exception | None = None
    asked: list[tuple[date, date]] = field(default_factory=list)
    given: int = 0

    def new_objects(
        self, first: date, last: date, start: datetime, unknown: Callable[[Sequence[S3Object]], list[S3Object]]
    ) -> Iterator[S3Object]:
        self.asked.append((first, last))
        days = [each for each in self.objects if first <= each.time.date() <= last and each.time >= start]
        for each in unknown(days):
            self.given += 1
            yield each
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class Rig:
    """A poller on a real ledger; what it takes goes through `each`, and is done unless that raises."""

    ledger: Ledger
    metrics: Metrics = field(default_factory=Metrics)
    stops: Stops = field(default_factory=Stops)
    taken: list[str] = field(default_factory=list)
    each: Callable[[S3Object], object] = str

    def poller(self, *shelves: Shelf, start: datetime | None = START, workers: int = 2) -> Poller:
        places = tuple(Place(shelf, shelf.source_id.split("/")[2], start, LOOKBACK) for shelf in shelves)
        return Poller(places, self.take, ledger=self.ledger, metrics=self.metrics, stops=self.stops, workers=workers)

    def take(self, source: S3Object) -> None:
        self.ledger.begin(source)
        self.taken.append(source.key.removeprefix("AWSLogs/"))
        self.each(source)
        self.ledger.finish(Outcome(source))

    def polls(self) -> tuple[float, float]:
        ok, failed = (self.metrics.value("polls_total", outcome=outcome) for outcome in ("ok", "failed"))
        return ok, failed

    def floor(self, days_ago: int, shelf: Shelf) -> bool:
        return (
            self.ledger.floor(Place(shelf, "", START, LOOKBACK).identity) == (TODAY - timedelta(days=days_ago)).date()
        )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield Rig(ledger)


def failing(error: BaseException, name: str) -> Callable[[S3Object], None]:
    """Raises `error` for the object of that name."""

    def each(source: S3Object) -> None:
        if source.key.endswith(name):
            raise error

    return each


def test_a_pass_takes_what_is_new_and_the_next_one_only_what_came_since(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("a", 9), stored("b", 1), stored("c")])
    poller = rig.poller(shelf)
    poller.poll()
    assert sorted(rig.taken) == ["a", "b", "c"]
    shelf.objects += [stored("late", 2), stored("too late", 3), stored("d")]
    poller.poll()
    poller.close()
    assert sorted(rig.taken) == ["a", "b", "c", "d", "late"]
    assert shelf.asked == [(FIRST_DAY, TODAY.date()), ((TODAY - LOOKBACK).date(), TODAY.date())]
    assert rig.polls() == (2, 0)
    assert rig.metrics.value("objects_in_flight") == 0


def undone(rig: Rig, *sources: S3Object) -> None:
    for source in sources:
        rig.ledger.begin(source)
        rig.ledger.release(source)


def test_what_the_ledger_knows_to_be_undone_is_taken_though_no_listing_finds_it(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("new")])
    poller = rig.poller(shelf)
    poller.poll()
    undone(rig, stored("below the floor", 400), stored("of no layout", 1), stored("elsewhere", 1, "other"))
    poller.poll()
    poller.close()
    assert rig.taken[0] == "new"
    assert sorted(rig.taken[1:]) == ["below the floor", "of no layout"]
    assert rig.ledger.summary().objects == {State.DONE: 2, State.UNDONE: 1}  # the old one is done and forgotten


def test_what_is_undone_is_taken_once_in_a_pass_whatever_becomes_of_it(rig: Rig) -> None:
    """It is undone again before the listings of both places find it, too."""
    again = stored("again", 1)
    first, second = Shelf("s3://logs/a/", [again, stored("new", 1)]), Shelf("s3://logs/b/", [again])
    undone(rig, again)

    def release(source: S3Object) -> None:
        if source == again:
            rig.ledger.release(source)
            raise Stopped("the output refuses")

    rig.each = release
    poller = rig.poller(first, second)
    poller.poll()
    assert sorted(rig.taken) == ["again", "new"]
    poller.poll()
    poller.close()
    assert sorted(rig.taken) == ["again", "again", "new"]


def test_what_is_left_alone_for_now_is_not_taken_from_the_ledger_either(rig: Rig) -> None:
    waiting = stored("waiting", 400)
    rig.ledger.begin(waiting)
    rig.ledger.fail(waiting, "no connection")
    poller = rig.poller(Shelf("s3://logs/"))
    poller.poll()
    poller.close()
    assert rig.taken == []


def test_a_source_without_a_start_begins_now_and_says_so_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shelf = Shelf("s3://logs/", [stored("old", 1)])
    poller = rig.poller(shelf, start=None)
    poller.poll()
    shelf.objects.append(S3Object("logs", "AWSLogs/new", "e", 100, datetime.now(UTC)))
    poller.poll()
    poller.close()
    assert rig.taken == ["new"]
    assert caplog.messages == [
        "s3://logs/ is new here: what comes from now on is taken; `start` takes older objects too"
    ]


def test_a_failed_listing_raises_no_floor_and_stops_no_other_place(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    broken = Shelf("s3://logs/a/", [stored("a", 5)], SourceError("could not list s3://logs/a/: no connection"))
    faulty, sound = Shelf("s3://logs/b/", [], KeyError("Contents")), Shelf("s3://other/", [stored("b", 0, "other")])
    poller = rig.poller(broken, faulty, sound)
    poller.poll()
    assert rig.taken == ["a", "b"]
    assert (rig.ledger.floor(broken.source_id), rig.ledger.floor(faulty.source_id)) == (None, None)
    assert rig.floor(2, sound)
    assert rig.polls() == (1, 2)
    assert caplog.messages == [
        "the pass over s3://logs/a/ is not whole: could not list s3://logs/a/: no connection",
        "s3://logs/b/ met a fault of this program; please report it",
    ]
    broken.error = None
    poller.poll()
    poller.close()
    assert broken.asked[1] == (FIRST_DAY, TODAY.date())
    assert rig.taken == ["a", "b"]
    assert rig.floor(2, broken)


@pytest.mark.parametrize("error", [KeyError("srcaddr"), pl.exceptions.PanicException("index out of bounds")])
def test_a_fault_of_the_program_leaves_one_object_undone(
    rig: Rig, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf("s3://logs/", [stored("a", 5), stored("bad", 4), stored("c", 3)])
    rig.each = failing(error, "bad")
    poller = rig.poller(shelf)
    poller.poll()
    poller.close()
    assert sorted(rig.taken) == ["a", "bad", "c"]
    ((state, reason),) = [(entry.state, entry.reason) for entry in rig.ledger.kept()]
    assert (state, reason) == (State.UNDONE, f"a fault of this program: {error!r}")
    assert rig.metrics.value("objects_total", outcome="undone") == 1
    assert rig.floor(2, shelf)
    assert rig.polls() == (1, 0)
    assert "s3://logs/AWSLogs/bad met a fault of this program; please report it" in caplog.text


def test_an_object_whose_end_cannot_be_written_down_is_taken_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf("s3://logs/", [stored("a", 1)])
    full = "the ledger cannot be used: disk full"
    rig.each = failing(LedgerError(full), "a")
    poller = rig.poller(shelf)
    poller.poll()
    assert rig.ledger.summary().objects == {State.UNDER_WAY: 1}
    assert rig.ledger.floor(shelf.source_id) is None
    assert rig.polls() == (0, 1)
    assert rig.metrics.value("objects_total", outcome="undone") == 1
    assert caplog.messages == [
        f"s3://logs/AWSLogs/a is undone, and taken again once the ledger can be written: {full}",
        f"the pass over s3://logs/ is not whole: {full}",
    ]
    rig.each = str
    poller.poll()
    poller.close()
    assert rig.taken == ["a", "a"]
    assert rig.ledger.summary().objects == {State.DONE: 1}
    assert rig.floor(2, shelf)


def test_two_places_in_one_bucket_forget_only_what_both_have_passed(rig: Rig) -> None:
    """Each object is taken by the place that lists it first, and remembered until no place can list it any more."""
    first = Shelf("s3://logs/a/", [stored("a", 5), stored("both", 5)])
    second = Shelf("s3://logs/b/", [stored("both", 5), stored("b", 5)], SourceError("no connection"))
    poller = rig.poller(first, second)
    poller.poll()
    assert sorted(rig.taken) == ["a", "b", "both"]
    assert rig.ledger.summary().objects == {State.DONE: 3}
    second.error = None
    poller.poll()
    poller.close()
    assert sorted(rig.taken) == ["a", "b", "both"]
    assert rig.ledger.summary().objects == {}
    assert rig.floor(2, first)
    assert rig.floor(2, second)


def test_an_earlier_start_takes_effect_and_what_is_done_stays_done(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("old", 9), stored("new")])
    for start, taken in ((None, []), (TODAY - timedelta(days=1), ["new"]), (START, ["new", "old"])):
        poller = rig.poller(shelf, start=start)
        poller.poll()
        poller.poll()
        poller.close()
        assert sorted(rig.taken) == taken


def test_the_file_that_reaches_into_the_start_is_taken(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("at noon"), stored("earlier", 1)])
    noon = shelf.objects[0].time
    for after, taken in ((timedelta(minutes=5), []), (timedelta(minutes=4, seconds=59), ["at noon"])):
        poller = rig.poller(shelf, start=noon + after)
        poller.poll()
        poller.close()
        assert rig.taken == taken


def test_a_stop_begins_nothing_more_and_raises_no_floor(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored(str(number), 5) for number in range(50)])
    other = Shelf("s3://other/", [stored("other", 0, "other")])

    def stop(_: S3Object) -> None:
        rig.stops.soon.set()

    rig.each = stop
    poller = rig.poller(shelf, other, workers=1)
    poller.poll()
    poller.close()
    assert rig.taken == ["0"]
    assert rig.ledger.summary().objects == {State.DONE: 1}
    assert (rig.ledger.floor(shelf.source_id), other.asked, rig.polls()) == (None, [], (0, 0))
    assert shelf.given <= 4


def test_an_object_that_is_stopped_is_no_failure(rig: Rig) -> None:
    def stopped(source: S3Object) -> None:
        rig.ledger.release(source)
        rig.stops.soon.set()
        raise Stopped("stopped under way")

    rig.each = stopped
    poller = rig.poller(Shelf("s3://logs/", [stored("a")]))
    poller.poll()
    poller.close()
    assert rig.ledger.summary().objects == {State.UNDONE: 1}
    assert rig.metrics.value("objects_total", outcome="undone") == 0


def test_few_objects_are_held_however_many_there_are(rig: Rig) -> None:
    """Two workers have two objects under way and two more waiting; the listing goes no further meanwhile."""
    shelf = Shelf("s3://logs/", [stored(str(number)) for number in range(100)])
    go, begun = threading.Event(), threading.Semaphore(0)

    def each(_: S3Object) -> None:
        begun.release()
        assert go.wait(20)

    rig.each = each
    poller = rig.poller(shelf)
    walking = threading.Thread(target=poller.poll)
    walking.start()
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20)
    time.sleep(0.5)
    held = len(rig.taken), shelf.given, rig.metrics.value("objects_in_flight")
    go.set()
    walking.join(20)
    poller.close()
    assert held == (2, 5, 2)
    assert len(rig.taken) == 100


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


SOON = timedelta(seconds=0.1)


def running(*jobs: Job) -> tuple[Stops, threading.Thread]:
    stops = Stops()
    thread = threading.Thread(target=repeat, args=(jobs, stops), daemon=True)
    thread.start()
    return stops, thread


def test_a_job_that_fails_comes_again_whatever_it_raised(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = [
        SourceError("no connection"),
        KeyError("x"),
        pl.exceptions.PanicException("index out of bounds"),
    ]
    times = 0

    def job() -> None:
        nonlocal times
        times += 1
        if errors:
            raise errors.pop(0)

    stops, thread = running(Job("poll", SOON, job))
    assert until(lambda: times > 4)
    stops.soon.set()
    thread.join(5)
    assert not thread.is_alive()
    assert caplog.messages[0] == "poll failed, and comes again in 0:00:00.100000: no connection"
    assert caplog.messages[1:] == ["poll met a fault of this program; please report it"] * 2


def test_a_long_job_delays_no_other_and_the_end_waits_for_it() -> None:
    go, times = threading.Event(), 0

    def often() -> None:
        nonlocal times
        times += 1

    stops, thread = running(Job("long", SOON, lambda: go.wait(30)), Job("often", SOON, often, at_once=False))
    assert until(lambda: times > 3)
    stops.soon.set()
    thread.join(1.5)
    assert thread.is_alive()
    go.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_job_at_once_does_not_wait_for_its_time() -> None:
    times = {"now": 0, "later": 0}

    def count(name: str) -> None:
        times[name] += 1

    hour = timedelta(hours=1)
    stops, thread = running(
        Job("now", hour, lambda: count("now")), Job("later", hour, lambda: count("later"), at_once=False)
    )
    assert until(lambda: times["now"] == 1)
    stops.soon.set()
    thread.join(5)
    assert times == {"now": 1, "later": 0}


def test_a_clock_that_is_set_back_by_an_hour_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """As local time is each autumn, by which `schedule` goes."""
    times = 0

    def job() -> None:
        nonlocal times
        times += 1

    try:
        monkeypatch.setenv("TZ", "SUMMER-2")
        time.tzset()
        stops, thread = running(Job("poll", SOON, job))
        assert until(lambda: times > 1)
        monkeypatch.setenv("TZ", "WINTER-1")
        time.tzset()
        before = times
        assert until(lambda: times > before + 3)
        stops.soon.set()
        thread.join(5)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_drain_and_the_second_ends_it(number: signal.Signals) -> None:
    stops, before = Stops(), signal.getsignal(number)
    left: list[str] = []
    with signals(stops, timedelta(seconds=30), lambda: left.append("left")):
        assert not stops.soon.is_set()
        os.kill(os.getpid(), number)
        assert stops.soon.wait(5)
        assert not stops.now.wait(0.2)
        os.kill(os.getpid(), number)
        assert stops.now.wait(5)
    assert left == []
    assert signal.getsignal(number) is before


def test_the_grace_time_ends_the_drain(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stops = Stops()
    with signals(stops, timedelta(seconds=0.3), lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
        asked = time.monotonic()
        assert stops.now.wait(5)
        assert time.monotonic() - asked >= 0.25
    assert caplog.messages == [
        "SIGTERM: stopping; what is under way has 0 s to end",
        "the grace time is over: what is under way is left for the next start",
    ]


def test_without_a_signal_nothing_is_stopped() -> None:
    stops = Stops()
    with signals(stops, timedelta(seconds=0.1), lambda: None):
        time.sleep(0.3)
    assert not stops.soon.is_set()
    assert not stops.now.is_set()


def test_what_hangs_after_the_grace_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LAST_SECONDS", 0.2)
    stops, left = Stops(), threading.Event()
    with signals(stops, timedelta(seconds=0.1), left.set):
        os.kill(os.getpid(), signal.SIGTERM)
        assert left.wait(5)
        assert stops.now.is_set()


HANGING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from exporter.daemon import Stops, leave, signals
with signals(Stops(), timedelta(seconds=0.3), partial(leave, 7)), ThreadPoolExecutor() as pool:
    pool.submit(time.sleep, 60)
    print("ready", flush=True)
"""


def test_a_process_that_hangs_ends_in_time_with_its_status() -> None:
    """In a pool's thread, for which Python itself would wait without an end."""
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 7
    assert 2.3 <= time.monotonic() - asked < 10
    assert log.splitlines()[-1] == "something hangs and is not waited for any longer"
