"""A back-fill's own work: what goes to the workers, how far it is told to be, and what is named at the end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

import pytest

from exporter.backfill import Amount, Backfill, Part, Progress, Unknown, count
from exporter.daemon import Stops
from exporter.errors import Incomplete, LedgerError, SourceError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.workers import IN_A_ROW, Workers

TIME = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = 10


def objects(number: int, name: str = "o") -> list[S3Object]:
    return [S3Object("b", f"{name}{index:05}", "e", 100, TIME) for index in range(number)]


def part(there: Sequence[S3Object], error: Exception | None = None, seen: list[int] | None = None) -> Part:
    """A source with these objects, ten a page; `seen` is told how many were asked about so far."""

    def walk(unknown: Unknown) -> Iterator[S3Object]:
        for begin in range(0, len(there), PAGE):
            if seen is not None:
                seen.append(begin)
            yield from unknown(there[begin : begin + PAGE])
        if error:
            raise error

    return Part("s3://b/", walk, walk)


@dataclass(slots=True)
class Taken:
    """Stands for the pipeline: objects end as `states` has it by key, else done; `again` collects what was asked."""

    ledger: Ledger
    states: dict[str, State] = field(default_factory=dict)
    again: list[bool] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    before: Callable[[S3Object], object] = lambda _: None
    changing: Lock = field(default_factory=Lock)

    def __call__(self, source: S3Object, again: bool) -> State:  # noqa: FBT001 - as the pipeline is called
        self.before(source)
        with self.changing:
            self.again.append(again)
            self.keys.append(source.key)
        self.ledger.begin(source)
        state = self.states.get(source.key, State.DONE)
        if state is State.UNDONE:
            return self.ledger.fail(source, "no connection")
        if state is State.SET_ASIDE:
            self.ledger.set_aside(source, "no flow log")
        else:
            self.ledger.finish(Outcome(source, records=5))
        return state


@dataclass(slots=True)
class Work:
    """What a test works with."""

    ledger: Ledger
    taken: Taken
    workers: Workers
    stops: Stops

    def run(self, *parts: Part) -> Progress:
        return Backfill(parts, self.workers, self.ledger).run(lambda: None, 0.01)


@contextmanager
def working(path: Path, number: int = 2) -> Iterator[Work]:
    with Ledger(path) as ledger:
        stops, taken = Stops(), Taken(ledger)
        workers = Workers(taken, ledger=ledger, metrics=Metrics(), stops=stops, number=number)
        try:
            yield Work(ledger, taken, workers, stops)
        finally:
            workers.close()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    with working(tmp_path / "backfill.sqlite3") as made:
        yield made


def test_every_object_goes_out_as_one_that_may_be_there_already(work: Work) -> None:
    progress = work.run(part(objects(25, "a")), part(objects(7, "b")))
    assert sorted(work.taken.keys) == [source.key for source in [*objects(25, "a"), *objects(7, "b")]]
    assert work.taken.again == [True] * 32
    assert (progress.earlier, progress.ended) == (Amount(), Amount(32, 3200))
    assert (progress.states, progress.undone, progress.faults) == ({State.DONE: 32}, 0, {})


def test_what_an_earlier_run_did_is_not_taken_again(tmp_path: Path) -> None:
    with working(tmp_path / "b.sqlite3") as first:
        first.run(part(objects(13)))
    with working(tmp_path / "b.sqlite3") as second:
        progress = second.run(part(objects(25)))
        assert sorted(second.taken.keys) == [source.key for source in objects(25)[13:]]
    assert (progress.earlier, progress.ended) == (Amount(13, 1300), Amount(12, 1200))


def test_what_fails_stops_nothing_and_is_named(work: Work) -> None:
    work.taken.states = {"o00003": State.UNDONE, "o00004": State.SET_ASIDE, "o00005": State.DAMAGED}
    progress = work.run(part(objects(20)))
    assert progress.states == {State.DONE: 17, State.UNDONE: 1, State.SET_ASIDE: 1, State.DAMAGED: 1}
    assert [source.key for source in progress.left] == ["o00003"]
    assert progress.undone == 1


def test_the_first_of_many_that_fail_are_named(work: Work) -> None:
    work.taken.states = {f"o{index:05}": State.UNDONE for index in range(0, 60, 2)}
    progress = work.run(part(objects(60)))
    assert (progress.undone, len(progress.left)) == (30, 20)


@pytest.mark.parametrize(
    ("error", "faults"),
    [
        (Incomplete({"a/": "no", "b/": "neither"}), {"a/": "no", "b/": "neither"}),
        (SourceError("no such bucket"), {"s3://b/": "no such bucket"}),
    ],
)
def test_what_cannot_be_listed_stops_no_other_source_and_is_kept_for_status(
    work: Work, error: Exception, faults: dict[str, str]
) -> None:
    progress = work.run(part(objects(3, "a"), error), Part("other", *[part(objects(4, "b")).walk] * 2))
    assert (len(work.taken.keys), progress.faults) == (7, faults)
    assert {trouble.what: trouble.reason for trouble in work.ledger.troubles()} == faults
    again = work.run(part(objects(3, "a")))
    assert (again.faults, work.ledger.troubles()) == ({}, [])


def test_where_nothing_can_be_done_any_more_the_run_ends(work: Work) -> None:
    everything = objects(500)
    work.taken.states = dict.fromkeys((source.key for source in everything), State.UNDONE)
    progress = work.run(part(everything), part(objects(3, "b")))
    assert IN_A_ROW <= progress.undone <= IN_A_ROW + 4  # two workers, and what waits for them
    assert progress.faults == {"s3://b/": "100 objects in a row could not be done, and nothing more was begun"}
    assert not any(key.startswith("b") for key in work.taken.keys)


def test_the_listing_waits_for_the_workers(tmp_path: Path) -> None:
    seen: list[int] = []
    go_on, many = Event(), objects(200)
    with working(tmp_path / "b.sqlite3", number=1) as work:
        work.taken.before = lambda _: go_on.wait(10)
        walked = part(many, seen=seen)
        run = Backfill([Part("s3://b/", walked.walk, part([]).walk)], work.workers, work.ledger)
        looked: list[tuple[int, int]] = []

        def look() -> None:
            looked.append((len(seen), run.progress.ended.objects))
            if len(looked) == 20:
                go_on.set()

        run.run(look, 0.01)
    assert set(looked[:19]) <= {(0, 0), (1, 0)}  # one page of ten, of which two objects are held
    assert len(seen) == 20


def test_a_stop_ends_it_and_the_rest_is_for_the_next_run(tmp_path: Path) -> None:
    with working(tmp_path / "b.sqlite3") as work:

        def stop(source: S3Object) -> None:
            if source.key == "o00010":
                work.stops.soon.set()

        work.taken.before = stop
        first = work.run(part(objects(300)), part(objects(3, "b")))
        assert first.states[State.DONE] < 30
        assert not first.faults
    with working(tmp_path / "b.sqlite3") as work:
        second = work.run(part(objects(300)))
    assert second.earlier.objects + second.ended.objects == 300
    assert second.earlier.objects == first.states[State.DONE]


def test_a_ledger_that_cannot_be_written_ends_it(work: Work) -> None:
    def full(source: S3Object) -> None:
        if source.key == "o00005":
            raise LedgerError("no space left")

    work.taken.before = full
    with pytest.raises(LedgerError, match="no space left"):
        work.run(part(objects(200)))
    assert len(work.taken.keys) < 30


def test_how_much_there_is_is_counted_before_the_work_is_done(work: Work) -> None:
    counted, amounts = Event(), list[Amount]()
    run = Backfill([part(objects(30))], work.workers, work.ledger)

    def look() -> None:
        if run.progress.counted and not counted.is_set():
            amounts.extend((run.progress.found, run.progress.ended))
            counted.set()

    work.taken.before = lambda _: counted.wait(10)
    progress = run.run(look, 0.01)
    assert amounts == [Amount(30, 3000), Amount()]
    assert progress.ended == Amount(30, 3000)


def test_a_count_tells_what_is_known_and_what_could_not_be_listed() -> None:
    progress = Progress()
    count(
        [part(objects(13), Incomplete({"a/": "no"})), part(objects(4, "b"))],
        progress,
        lambda: False,
        lambda page: [source for source in page if source.key >= "o00003"],
    )
    assert (progress.found, progress.earlier, progress.counted) == (Amount(17, 1700), Amount(7, 700), True)
    assert progress.faults == {"a/": "no"}


def test_a_count_can_be_stopped() -> None:
    progress = Progress()
    with pytest.raises(Stopped):
        count([part(objects(30))], progress, lambda: progress.found.objects >= 20)
    assert (progress.found, progress.counted) == (Amount(20, 2000), False)
