"""Passes over places with a real ledger: what is taken, what is remembered, and what is told of faults."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from exporter.daemon import Stops
from exporter.errors import Incomplete, LedgerError, SourceError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.health import Health
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.poller import Place, Poller
from exporter.workers import Workers

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
    behind: list[dict[str, date]] = field(default_factory=list)
    given: int = 0

    def new_objects(
        self,
        first: date,
        last: date,
        start: datetime,
        unknown: Callable[[Sequence[S3Object]], list[S3Object]],
        behind: Mapping[str, date],
    ) -> Iterator[S3Object]:
        self.asked.append((first, last))
        self.behind.append(dict(behind))
        days = [each for each in self.objects if first <= each.time.date() <= last and each.time >= start]
        for each in unknown(days):
            self.given += 1
            yield each
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class Slow(Shelf):
    """It answers once it is let go."""

    go: threading.Event = field(default_factory=threading.Event)

    def new_objects(self, *asked: Any) -> Iterator[S3Object]:  # noqa: ANN401 - as its base is called
        assert self.go.wait(20)
        yield from Shelf.new_objects(self, *asked)


@dataclass(slots=True)
class Rig:
    """A poller on a real ledger; what it takes goes through `each`, and is done unless that raises."""

    ledger: Ledger
    metrics: Metrics = field(default_factory=Metrics)
    health: Health = field(default_factory=Health)
    stops: Stops = field(default_factory=Stops)
    workers: Workers = field(init=False)
    told: timedelta = timedelta()
    taken: list[str] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    each: Callable[[S3Object], object] = str

    def poller(self, *shelves: Shelf, start: datetime | None = START, workers: int = 2) -> Poller:
        places = tuple(Place(shelf, shelf.source_id.split("/")[2], "AWSLogs/", start, LOOKBACK) for shelf in shelves)
        self.workers = Workers(self.take, ledger=self.ledger, metrics=self.metrics, stops=self.stops, number=workers)
        return Poller(
            places, self.workers, ledger=self.ledger, metrics=self.metrics, health=self.health, told=self.told
        )

    def take(self, source: S3Object, again: bool) -> State:  # noqa: FBT001 - as the pipeline is called
        assert not again
        self.attempts.append(self.ledger.begin(source))
        self.taken.append(source.key.removeprefix("AWSLogs/"))
        self.each(source)
        self.ledger.finish(Outcome(source))
        return State.DONE

    def polls(self) -> tuple[float, float]:
        ok, failed = (self.metrics.value("polls_total", outcome=outcome) for outcome in ("ok", "failed"))
        return ok, failed

    def floor(self, days_ago: int, shelf: Shelf) -> bool:
        return (
            self.ledger.floor(Place(shelf, "", "", START, LOOKBACK).identity)
            == (TODAY - timedelta(days=days_ago)).date()
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
    rig.workers.close()
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
    rig.workers.close()
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
    rig.workers.close()
    assert sorted(rig.taken) == ["again", "again", "new"]


def test_what_is_left_alone_for_now_is_not_taken_from_the_ledger_either(rig: Rig) -> None:
    waiting = stored("waiting", 400)
    rig.ledger.begin(waiting)
    rig.ledger.fail(waiting, "no connection")
    poller = rig.poller(Shelf("s3://logs/"))
    poller.poll()
    rig.workers.close()
    assert rig.taken == []


def test_a_source_without_a_start_begins_now_and_says_so_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shelf = Shelf("s3://logs/", [stored("old", 1)])
    poller = rig.poller(shelf, start=None)
    poller.poll()
    shelf.objects.append(S3Object("logs", "AWSLogs/new", "e", 100, datetime.now(UTC)))
    poller.poll()
    rig.workers.close()
    assert rig.taken == ["new"]
    assert caplog.messages == [
        "s3://logs/ is new here: what comes from now on is taken; `start` takes older objects too"
    ]


def test_a_failed_listing_raises_no_floor_and_stops_no_other_place(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    broken = Shelf("s3://logs/a/", [stored("a", 5)], SourceError("could not list s3://logs/a/: no connection"))
    faulty, sound = Shelf("s3://logs/b/", [], KeyError("Contents")), Shelf("s3://other/", [stored("b", 0, "other")])
    poller = rig.poller(broken, faulty, sound)
    poller.poll()
    assert sorted(rig.taken) == ["a", "b"]
    assert (rig.ledger.floor(broken.source_id), rig.ledger.floor(faulty.source_id)) == (None, None)
    assert rig.floor(2, sound)
    assert rig.polls() == (1, 2)
    assert caplog.messages == [
        "the pass over s3://logs/a/ is not whole: could not list s3://logs/a/: no connection",
        "s3://logs/b/ met a fault of this program; please report it",
    ]
    broken.error = None
    poller.poll()
    rig.workers.close()
    assert broken.asked[1] == (FIRST_DAY, TODAY.date())
    assert sorted(rig.taken) == ["a", "b"]
    assert rig.floor(2, broken)


@pytest.mark.parametrize("error", [KeyError("srcaddr"), pl.exceptions.PanicException("index out of bounds")])
def test_a_fault_of_the_program_leaves_one_object_undone(
    rig: Rig, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf("s3://logs/", [stored("a", 5), stored("bad", 4), stored("c", 3)])
    rig.each = failing(error, "bad")
    poller = rig.poller(shelf)
    poller.poll()
    rig.workers.close()
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
    rig.workers.close()
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
    rig.workers.close()
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
        rig.workers.close()
        assert sorted(rig.taken) == taken


def test_the_file_that_reaches_into_the_start_is_taken(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("at noon"), stored("earlier", 1)])
    noon = shelf.objects[0].time
    for after, taken in ((timedelta(minutes=5), []), (timedelta(minutes=4, seconds=59), ["at noon"])):
        poller = rig.poller(shelf, start=noon + after)
        poller.poll()
        rig.workers.close()
        assert rig.taken == taken


def test_a_stop_begins_nothing_more_and_raises_no_floor(rig: Rig) -> None:
    shelf = Shelf("s3://logs/a/", [stored(str(number), 5) for number in range(50)])
    other = Shelf("s3://logs/b/", [stored("other", 0)])

    def stop(_: S3Object) -> None:
        rig.stops.soon.set()

    rig.each = stop
    poller = rig.poller(shelf, other, workers=1)
    poller.poll()
    rig.workers.close()
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
    rig.workers.close()
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
    rig.workers.close()
    assert held == (2, 5, 2)
    assert len(rig.taken) == 100


def test_a_bucket_that_answers_slowly_holds_up_no_other(rig: Rig) -> None:
    go = threading.Event()
    slow, quick = Slow("s3://a-slow/", [stored("slow", 0, "a-slow")], go=go), Shelf("s3://logs/", [stored("quick")])
    poller = rig.poller(slow, quick)
    walking = threading.Thread(target=poller.poll)
    walking.start()
    deadline = time.monotonic() + 20
    while not rig.polls()[0] and time.monotonic() < deadline:
        time.sleep(0.02)
    meanwhile = list(rig.taken)
    go.set()
    walking.join(20)
    rig.workers.close()
    assert (meanwhile, sorted(rig.taken)) == (["quick"], ["quick", "slow"])
    assert rig.polls() == (2, 0)


def test_what_may_not_be_listed_is_told_to_the_ledger_and_the_rest_counts_as_working(rig: Rig) -> None:
    denied = Incomplete({"AWSLogs/1/": "could not list AWSLogs/1/: AccessDenied; allow s3:ListBucket"})
    partly = Shelf("s3://logs/", [stored("a")], denied)
    broken = Shelf("s3://other/", [], SourceError("could not list s3://other/: no connection"))
    poller = rig.poller(partly, broken)
    poller.poll()
    assert rig.health.answer().parts == {"s3://logs/": None, "s3://other/": "could not list s3://other/: no connection"}
    assert [(each.scope, each.what, each.reason) for each in rig.ledger.troubles()] == [
        ("s3://logs/", "AWSLogs/1/", "could not list AWSLogs/1/: AccessDenied; allow s3:ListBucket"),
        ("s3://other/", "s3://other/", "could not list s3://other/: no connection"),
    ]
    partly.error = broken.error = None
    poller.poll()
    rig.workers.close()
    assert rig.ledger.troubles() == []
    assert rig.health.answer().parts == {"s3://logs/": None, "s3://other/": None}


@pytest.mark.parametrize(
    ("start", "held", "taken"),
    [
        (None, True, ["late", "yesterday"]),  # from the look-back on, each as if it had been begun before
        (None, False, []),  # a first start: from now on
        (None, None, []),  # nobody may look
        (START, True, ["before", "late", "yesterday"]),
    ],
)
def test_a_lost_ledger_is_known_by_what_is_out_and_leaves_no_gap(
    rig: Rig,
    start: datetime | None,
    held: bool | None,  # noqa: FBT001 - a table's column
    taken: list[str],
) -> None:
    shelf = Shelf("s3://logs/", [stored("before", 5), stored("late", 1), stored("yesterday", 1)])
    asked: list[tuple[str, str]] = []

    def holds(bucket: str, prefix: str) -> bool | None:
        asked.append((bucket, prefix))
        return held

    poller = rig.poller(shelf, start=start)
    poller.recover(holds, datetime.now(UTC))
    poller.poll()
    poller.recover(holds, datetime.now(UTC))  # now the ledger knows it
    assert asked == [("logs", "AWSLogs/")]
    assert sorted(rig.taken) == taken
    assert rig.attempts == [2] * len(taken)
    rig.workers.close()


def test_what_comes_after_the_loss_of_a_ledger_is_in_no_doubt(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("before", 1)])
    poller = rig.poller(shelf, start=None)
    poller.recover(lambda *_: True, datetime.now(UTC) - timedelta(hours=1))
    shelf.objects.append(S3Object("logs", "AWSLogs/new", "e", 100, datetime.now(UTC)))
    poller.poll()
    rig.workers.close()
    assert dict(zip(rig.taken, rig.attempts, strict=True)) == {"before": 2, "new": 1}


def test_a_folder_that_may_not_be_listed_is_left_behind_alone(rig: Rig) -> None:
    """The others' look-back moves on; once the folder may be listed, nothing of it is missing."""
    below, above = "AWSLogs/1/vpcflowlogs/eu-west-1/", "AWSLogs/1/"
    shelf = Shelf("s3://logs/", [stored("done", 9)], Incomplete({below: "AccessDenied"}))
    poller = rig.poller(shelf)
    poller.poll()
    assert rig.floor(2, shelf)
    assert rig.ledger.summary().objects == {State.DONE: 1}  # remembered, as its day may be listed again
    shelf.error = Incomplete({above: "AccessDenied"})
    poller.poll()
    shelf.error = None
    poller.poll()
    poller.poll()
    rig.workers.close()
    assert rig.taken == ["done"]
    assert shelf.behind == [{}, {below: FIRST_DAY}, {above: FIRST_DAY}, {}]
    assert [first for first, _ in shelf.asked] == [FIRST_DAY] + [(TODAY - LOOKBACK).date()] * 3
    assert rig.ledger.summary().objects == {}


def test_a_pass_that_ends_early_leaves_nobody_behind(rig: Rig) -> None:
    below = "AWSLogs/1/"
    shelf = Shelf("s3://logs/", [], Incomplete({below: "AccessDenied"}))
    poller = rig.poller(shelf)
    poller.poll()
    shelf.error = SourceError("no connection")
    poller.poll()
    shelf.error = None
    poller.poll()
    rig.workers.close()
    assert shelf.behind == [{}, {below: FIRST_DAY}, {below: FIRST_DAY}]


def test_what_a_message_may_still_name_is_remembered_though_no_listing_comes_by_it(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [stored("old", 9)])
    rig.told = timedelta(days=14)
    poller = rig.poller(shelf)
    poller.poll()
    assert rig.workers.submit(shelf.objects[0]).result(20) is State.DONE
    rig.workers.close()
    assert rig.taken == ["old"]


def test_a_source_of_which_nothing_may_be_listed_does_not_count_as_working(rig: Rig) -> None:
    shelf = Shelf("s3://logs/", [], Incomplete({"AWSLogs/": "the role is not given"}))
    rig.poller(shelf).poll()
    rig.workers.close()
    assert rig.health.answer().parts == {"s3://logs/": "the role is not given"}


def test_a_pass_ends_where_one_object_after_another_is_undone(rig: Rig) -> None:
    """An output that refuses: the back-log is not fetched for nothing, nor held in memory."""

    def refused(source: S3Object) -> None:
        rig.ledger.release(source)
        raise Stopped("as an undone object ends")

    rig.each = refused
    shelf = Shelf("s3://logs/", [stored(f"{number:03}") for number in range(300)])
    rig.poller(shelf).poll()
    rig.workers.close()
    assert 100 <= len(rig.taken) <= 110
    assert rig.polls() == (0, 1)
    assert rig.ledger.floor(shelf.source_id) is None


def test_a_pass_that_lasts_holds_up_the_passes_over_no_other_bucket(rig: Rig) -> None:
    go = threading.Event()
    slow, quick = Slow("s3://a-slow/", go=go), Shelf("s3://logs/")
    poller = rig.poller(slow, quick)
    for passes in (1, 2, 3):
        poller.poll(wait=False)
        deadline = time.monotonic() + 20
        while rig.polls()[0] < passes and time.monotonic() < deadline:
            time.sleep(0.02)
    go.set()
    poller.close()
    rig.workers.close()
    assert (len(slow.asked), len(quick.asked)) == (1, 3)


def test_a_source_that_is_new_beside_others_is_compared_and_starts_now(rig: Rig) -> None:
    """No ledger was lost: another prefix, a moved start, or a back-fill before."""
    rig.poller(Shelf("s3://other/")).poll()
    shelf = Shelf("s3://logs/", [stored("before", 1)])
    poller = rig.poller(shelf, start=None)
    poller.recover(lambda *_: True, datetime.now(UTC))
    poller.poll()
    assert rig.taken == []
    assert rig.ledger.begin(stored("late", 1)) == 2
    rig.ledger.release(stored("late", 1))
    rig.workers.close()
