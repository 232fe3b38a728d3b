"""Objects in threads: one at a time each, whoever finds it, and what became of it told to all."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.daemon import Stops
from exporter.errors import LedgerError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.workers import Workers

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def stored(name: str) -> S3Object:
    return S3Object("logs", f"AWSLogs/{name}", "e", 100, NOON)


@dataclass(slots=True)
class Desk:
    """Workers on a real ledger; each object waits for `go`, and is done."""

    ledger: Ledger
    stops: Stops = field(default_factory=Stops)
    metrics: Metrics = field(default_factory=Metrics)
    go: threading.Event = field(default_factory=threading.Event)
    taken: list[tuple[str, bool]] = field(default_factory=list)
    each: Callable[[S3Object], object] = str

    def workers(self, number: int = 1) -> Workers:
        return Workers(self.take, ledger=self.ledger, metrics=self.metrics, stops=self.stops, number=number)

    def take(self, source: S3Object, again: bool) -> State:  # noqa: FBT001 - as the pipeline is called
        self.ledger.begin(source)
        self.taken.append((source.key.removeprefix("AWSLogs/"), again))
        assert self.go.wait(20)
        self.each(source)
        self.ledger.finish(Outcome(source))
        return State.DONE


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield Desk(ledger)


def test_an_object_that_two_find_at_once_is_taken_once_and_both_hear_of_its_end(desk: Desk) -> None:
    workers = desk.workers(2)
    first, second, other = (workers.submit(each) for each in (stored("a"), stored("a"), stored("b")))
    assert first is second
    desk.go.set()
    assert [each.result(20) for each in (first, second, other)] == [State.DONE] * 3
    workers.close()
    assert sorted(desk.taken) == [("a", False), ("b", False)]


def test_what_somebody_dealt_with_since_it_was_found_is_not_taken_again(desk: Desk) -> None:
    desk.go.set()
    workers = desk.workers()
    assert workers.submit(stored("a")).result(20) is State.DONE
    assert workers.submit(stored("a"), again=True).result(20) is State.DONE
    desk.ledger.begin(stored("b"))
    desk.ledger.fail(stored("b"), "no connection")  # to be left alone for 30 seconds
    assert workers.submit(stored("b")).result(20) is State.UNDONE
    workers.close()
    assert desk.taken == [("a", False)]


def test_again_is_passed_on(desk: Desk) -> None:
    desk.go.set()
    workers = desk.workers()
    workers.submit(stored("a"), again=True).result(20)
    workers.close()
    assert desk.taken == [("a", True)]


def test_room_is_for_twice_as_many_as_are_taken_at_once(desk: Desk) -> None:
    workers = desk.workers(2)
    rooms = [workers.room]
    for name in "abcd":
        workers.submit(stored(name))
        rooms.append(workers.room)
    assert rooms == [4, 3, 2, 1, 0]
    futures = [workers.submit(stored(name)) for name in "abcd"]  # the same: no room is needed
    late = threading.Thread(target=lambda: futures.append(workers.submit(stored("e"))))
    late.start()
    late.join(0.5)
    assert late.is_alive()
    desk.go.set()
    late.join(20)
    assert [future.result(20) for future in futures] == [State.DONE] * 5
    workers.close()
    assert sorted(name for name, _ in desk.taken) == ["a", "b", "c", "d", "e"]
    assert workers.room == 4


def test_a_stop_ends_a_wait_for_room_and_leaves_what_is_not_begun(desk: Desk) -> None:
    workers = desk.workers()
    first, waiting = workers.submit(stored("a")), workers.submit(stored("b"))
    met: list[str] = []

    def third() -> None:
        try:
            workers.submit(stored("c"))
        except Stopped as error:
            met.append(str(error))

    thread = threading.Thread(target=third)
    thread.start()
    desk.stops.soon.set()
    thread.join(20)
    desk.go.set()
    assert met == ["stopped before an object was begun"]
    assert (first.result(20), waiting.result(20)) == (State.DONE, State.UNDONE)
    workers.close()
    assert desk.taken == [("a", False)]
    assert desk.ledger.state(stored("b")) is None


def test_an_end_that_could_not_be_written_down_is_told_and_mended(desk: Desk) -> None:
    def full(_: S3Object) -> None:
        raise LedgerError("disk full")

    desk.each = full
    desk.go.set()
    workers = desk.workers()
    with pytest.raises(LedgerError, match="disk full"):
        workers.submit(stored("a")).result(20)
    assert desk.ledger.state(stored("a")) is State.UNDER_WAY
    workers.write_down()
    assert desk.ledger.state(stored("a")) is State.UNDONE
    desk.each = str
    assert workers.submit(stored("a")).result(20) is State.DONE
    workers.close()
    assert [name for name, _ in desk.taken] == ["a", "a"]
