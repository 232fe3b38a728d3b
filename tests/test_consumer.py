"""Messages on a real queue interface, objects in a real S3 one, real workers: what becomes of each message."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

import pytest

from exporter.consumer import Consumer
from exporter.daemon import Stops
from exporter.errors import SourceError, Stopped
from exporter.flow import Outcome, S3Object
from exporter.held import LONGEST, MARGIN, Held
from exporter.ledger import Ledger, State
from exporter.metrics import Metrics
from exporter.notices import Message
from exporter.source.notified import NotifiedObjects
from exporter.source.sqs import Queue
from exporter.workers import Workers
from tests.source.bucket import Bucket, plain
from tests.source.conftest import bucket, made
from tests.source.queues import MadeQueue, refuse
from tests.source.test_notifications import TEST_EVENT

__all__ = ["bucket", "made"]

ACCOUNT, REGION = "123456789012", "us-east-1"


def key(number: int = 0) -> str:
    return plain(ACCOUNT, REGION, "20261103T0905", log=f"fl-{number:04}")


def created(stored: S3Object) -> dict[str, object]:
    """S3's record of an object."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-11-03T09:11:02.345Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": stored.bucket},
            "object": {"key": stored.key, "size": stored.size, "eTag": stored.etag},
        },
    }


def body(*stored: S3Object) -> str:
    return json.dumps({"Records": [created(each) for each in stored]})


REMOVED = json.dumps(
    {"Records": [{"eventSource": "aws:s3", "eventVersion": "2.1", "eventName": "ObjectRemoved:Delete", "s3": {}}]}
)


class Noted(Queue):
    """The queue, with what it was told written down."""

    def __init__(self, made: MadeQueue, metrics: Metrics, stop: Event, visibility: int) -> None:
        super().__init__(made.client, made.settings(visibility), metrics, stop)
        self.released: list[int] = []
        self.extended: list[dict[str, int]] = []
        self.asked: list[int] = []

    def release(self, receipt: str, seconds: int) -> str | None:
        self.released.append(seconds)
        return super().release(receipt, seconds)

    def extend(self, seconds: Mapping[str, int]) -> dict[str, str]:
        self.extended.append(dict(seconds))
        return super().extend(seconds)

    def receive(self, most: int, wait: int = 20) -> list[Message]:
        self.asked.append(most)
        return super().receive(most, wait)


@dataclass(slots=True)
class Rig:
    """A consumer with its workers and ledger; `take` is what becomes of each object."""

    made: MadeQueue
    folder: Path
    bucket: Bucket
    take: Callable[[S3Object, bool], State] = lambda *_: State.DONE
    number: int = 2
    visibility: int = 60
    metrics: Metrics = field(default_factory=Metrics)
    stops: Stops = field(default_factory=Stops)
    told: list[str | None] = field(default_factory=list)
    taken: list[tuple[str, bool]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    workers: Workers = field(init=False)

    @contextmanager
    def consumer(self) -> Iterator[tuple[Consumer, Noted]]:
        """Put together by hand, as wiring does."""
        queue = Noted(self.made, self.metrics, self.stops.soon, self.visibility)
        objects = NotifiedObjects(lambda *_: self.bucket.client, self.metrics, self.stops.now)
        with Ledger(self.folder / "ledger.sqlite3") as ledger:
            self.workers = workers = Workers(
                lambda source, again: self._one(ledger, source, again=again),
                ledger=ledger,
                metrics=self.metrics,
                stops=self.stops,
                number=self.number,
            )
            try:
                yield (
                    Consumer(
                        queue,
                        objects,
                        workers,
                        metrics=self.metrics,
                        stops=self.stops,
                        tell=self.told.append,
                        outlast=7,
                    ),
                    queue,
                )
            finally:
                workers.close()

    def _one(self, ledger: Ledger, source: S3Object, *, again: bool) -> State:
        """What the pipeline does to the ledger, by the state that `take` tells."""
        with self.lock:
            self.taken.append((source.key, again))
        ledger.begin(source)
        try:
            state = self.take(source, again)
        except Stopped:
            ledger.release(source)
            raise
        match state:
            case State.DONE | State.DAMAGED:
                ledger.finish(Outcome(source, damage="cut" if state is State.DAMAGED else None))
            case State.SET_ASIDE:
                ledger.set_aside(source, "as told")
            case State.FAILED | State.UNDONE:
                ledger.release(source, "as told")
        return state

    def messages(self) -> dict[str, float]:
        """`messages_total` by outcome, and what is in flight."""
        found = {
            sample.labels["outcome"]: sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "vpcflow_messages_total"
        }
        if left := self.metrics.value("messages_in_flight"):
            found["in flight"] = left
        return found


@pytest.fixture
def rig(made: MadeQueue, tmp_path: Path, bucket: Bucket) -> Rig:
    return Rig(made, tmp_path, bucket)


def stored(rig: Rig, count: int) -> list[S3Object]:
    rig.bucket.put(*(key(number) for number in range(count)))
    return [rig.bucket.object(key(number)) for number in range(count)]


@contextmanager
def running(consumer: Consumer, stops: Stops) -> Iterator[Thread]:
    """`run` in a thread, stopped at the end."""
    thread = Thread(target=consumer.run)
    thread.start()
    try:
        yield thread
    finally:
        stops.soon.set()
        thread.join(20)
        assert not thread.is_alive()


def slowly(seconds: float) -> Callable[[S3Object, bool], State]:
    """Done, but not at once."""

    def take(*_: object) -> State:
        time.sleep(seconds)
        return State.DONE

    return take


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    """Waits for it; fails where it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_messages_whose_objects_are_done_are_deleted(rig: Rig) -> None:
    one, two, three = stored(rig, 3)
    rig.made.send(TEST_EVENT, REMOVED, body(one), body(two, three))
    with rig.consumer() as (consumer, queue):
        assert consumer.drain() == 0
    assert sorted(rig.taken) == [(each.key, True) for each in (one, two, three)]
    assert rig.messages() == {"test event": 1, "nothing to do": 1, "done": 2}
    assert (rig.made.visible(), rig.made.hidden()) == (0, 0)
    assert queue.released == []
    assert rig.told == [None]


@pytest.mark.parametrize("state", [State.DAMAGED, State.FAILED, State.SET_ASIDE])
def test_what_cannot_be_done_is_left_for_the_dead_letter_queue(
    rig: Rig, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = stored(rig, 2)
    rig.take = lambda source, _: state if source == bad else State.DONE
    rig.made.send(body(good, bad))
    with rig.consumer() as (consumer, queue):
        assert consumer.drain() == 1
    assert rig.messages() == {"left": 1}
    assert (rig.made.visible(), rig.made.hidden()) == (0, 1)
    assert queue.released == []
    assert [text for text in caplog.messages if "received 1 times, is left for its dead-letter queue" in text]


def test_an_object_deleted_before_it_was_read_leaves_nothing_to_do(rig: Rig) -> None:
    (gone,) = stored(rig, 1)

    def take(source: S3Object, _: bool) -> State:  # noqa: FBT001 - as workers call it
        rig.bucket.client.delete_object(Bucket=source.bucket, Key=source.key)
        return State.SET_ASIDE

    rig.take = take
    rig.made.send(body(gone))
    with rig.consumer() as (consumer, _):
        assert consumer.drain() == 0
    assert rig.messages() == {"done": 1}
    assert rig.made.hidden() == 0


def test_an_object_that_is_gone_before_it_is_looked_at_leaves_nothing_to_do(rig: Rig) -> None:
    record = created(S3Object(rig.bucket.name, key(), "", 0, stored(rig, 1)[0].time))
    record["s3"] = {"bucket": {"name": rig.bucket.name}, "object": {"key": "AWSLogs/1/vpcflowlogs/none.log.gz"}}
    rig.made.send(json.dumps({"Records": [record]}))
    with rig.consumer() as (consumer, _):
        assert consumer.drain() == 0
    assert rig.messages() == {"done": 1}
    assert rig.taken == []


@pytest.mark.parametrize(("before", "wait"), [(0, 30), (1, 60), (3, 240), (7, 900)])
def test_what_is_undone_is_shown_again_later_and_later(made: MadeQueue, rig: Rig, before: int, wait: int) -> None:
    made.client.set_queue_attributes(QueueUrl=made.url, Attributes={"RedrivePolicy": ""})
    rig.take = lambda *_: State.UNDONE
    made.send(body(*stored(rig, 1)))
    made.receive_and_show(before)
    with rig.consumer() as (consumer, queue):
        assert consumer.drain() == 1
    assert queue.released == [wait]
    assert rig.messages() == {"undone": 1}
    assert rig.taken == [(key(), True)]
    assert made.hidden() == 1


def test_a_bucket_that_may_not_be_read_leaves_the_message_undone(rig: Rig) -> None:
    (one,) = stored(rig, 1)
    rig.made.send(
        json.dumps(
            {
                "Records": [
                    created(one)
                    | {
                        "eventTime": None,
                        "s3": {"bucket": {"name": f"{rig.bucket.name}-none"}, "object": {"key": one.key}},
                    }
                ]
            }
        )
    )
    with rig.consumer() as (consumer, queue):
        assert consumer.drain() == 1
    assert queue.released == [30]
    assert rig.messages() == {"undone": 1}


def test_poison_goes_to_the_dead_letter_queue_with_its_evidence(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Three receives, by the queue's own policy; a message that is partly ours as well, its part done once."""
    rig.visibility = 1
    (one,) = stored(rig, 1)
    mixed = json.dumps({"Records": [created(one), {"eventSource": "aws:ses"}]})
    rig.made.send('{"hello": "password123"}', mixed)
    with rig.consumer() as (consumer, _), running(consumer, rig.stops):
        until(lambda: rig.made.given_up() == 2, seconds=30)
    assert rig.messages() == {"foreign": 6}
    assert rig.taken == [(one.key, True)]
    assert (rig.made.visible(), rig.made.hidden()) == (0, 0)
    dead = rig.made.client.receive_message(QueueUrl=rig.made.dead, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in dead} == {'{"hello": "password123"}', mixed}
    told = [text for text in caplog.messages if "is left for its dead-letter queue" in text]
    assert len(told) == 2
    assert any("its shape: {hello: string}" in text for text in told)
    assert "password123" not in caplog.text


# Hidden while under way -----------------------------------------------------------------------------------------------


def test_a_message_stays_hidden_while_its_object_is_under_way(rig: Rig) -> None:
    rig.visibility, ended = 2, Event()
    rig.take = lambda *_: State.DONE if ended.wait(20) else State.FAILED
    rig.made.send(body(*stored(rig, 1)))
    with rig.consumer() as (consumer, _), running(consumer, rig.stops):
        until(lambda: rig.taken)
        for _ in range(25):  # 5 s, two and a half times as long as it was hidden for at first
            assert rig.made.visible() == 0
            assert rig.made.hidden() == 1
            time.sleep(0.2)
        assert rig.messages() == {"in flight": 1}
        ended.set()
        until(lambda: rig.made.hidden() == 0)
    assert rig.messages() == {"done": 1}
    assert rig.metrics.value("queue_faults_total", call="extend") == 0


def test_after_twelve_hours_a_message_is_let_go_and_said_so(made: MadeQueue, caplog: pytest.LogCaptureFixture) -> None:
    metrics, now = Metrics(), [1000.0]
    queue = Noted(made, metrics, Event(), 3600)
    held = Held(queue, metrics, clock=lambda: now[0])
    made.send("x")
    (message,) = queue.receive(1, 1)
    hold = held.take(message)
    assert hold

    for elapsed in (1200, LONGEST - MARGIN - 1800, LONGEST - MARGIN - 1200, LONGEST - MARGIN):
        now[0] = 1000 + elapsed
        held.keep()

    assert queue.extended == [{message.receipt: 3600}, {message.receipt: 1800}]
    assert metrics.value("messages_total", outcome="let go") == 1
    (text,) = caplog.messages
    assert "is under way for 12 h, longer than SQS keeps a message hidden" in text

    assert held.take(message) is None  # it came again: from now on it is hidden again
    held.keep()
    assert queue.extended[2:] == [{message.receipt: 3600}]
    held.drop(hold)
    held.drop(hold)
    assert metrics.value("messages_in_flight") == 0


def test_an_extension_that_fails_is_counted(made: MadeQueue, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    queue = Noted(made, metrics, Event(), 60)
    held = Held(queue, metrics)
    made.send("x")
    (message,) = queue.receive(1, 1)
    held.take(message)
    queue.delete(message.receipt)
    held.keep()
    assert metrics.value("queue_faults_total", call="extend") == 1
    assert "could not extend: " in caplog.text


# Sharing --------------------------------------------------------------------------------------------------------------


def test_two_replicas_share_the_work(made: MadeQueue, tmp_path: Path, bucket: Bucket) -> None:
    rigs = [Rig(made, tmp_path / name, bucket, number=1) for name in ("one", "two")]
    for each in rigs:
        each.take = slowly(0.3)
    objects = stored(rigs[0], 12)
    made.send(*map(body, objects))
    with (
        rigs[0].consumer() as (one, _),
        rigs[1].consumer() as (two, _),
        running(one, rigs[0].stops),
        running(two, rigs[1].stops),
    ):
        until(lambda: made.visible() + made.hidden() == 0, seconds=30)
    shares = [len(each.taken) for each in rigs]
    assert sum(shares) == 12
    assert min(shares) >= 3
    assert sorted(key for each in rigs for key, _ in each.taken) == [each.key for each in objects]
    assert [each.messages() for each in rigs] == [{"done": share} for share in shares]


def test_no_more_messages_are_held_than_there_is_room_for(rig: Rig) -> None:
    rig.number, ended = 1, Event()  # one under way, one waiting
    rig.take = lambda *_: State.DONE if ended.wait(20) else State.FAILED
    rig.made.send(*map(body, stored(rig, 6)))
    with rig.consumer() as (consumer, queue), running(consumer, rig.stops):
        until(lambda: rig.made.hidden() == 2)
        time.sleep(1)
        assert (rig.made.visible(), rig.made.hidden()) == (4, 2)
        ended.set()
        until(lambda: rig.made.visible() + rig.made.hidden() == 0)
    assert max(queue.asked) == 2
    assert rig.messages() == {"done": 6}


def test_a_place_that_listings_keep_taken_is_waited_for_with_one_message(rig: Rig) -> None:
    """Without it a backlog in a bucket would keep the queue from its turn."""
    rig.number, ended = 1, Event()
    rig.take = lambda *_: State.DONE if ended.wait(20) else State.FAILED
    objects = stored(rig, 4)
    rig.made.send(body(objects[2]), body(objects[3]))
    with rig.consumer() as (consumer, queue):
        for listed in objects[:2]:
            rig.workers.submit(listed)
        with running(consumer, rig.stops):
            until(lambda: rig.made.hidden() == 1)
            time.sleep(1)
            assert (rig.made.visible(), rig.made.hidden(), rig.workers.room) == (1, 1, 0)
            ended.set()
            until(lambda: rig.made.visible() + rig.made.hidden() == 0)
    assert queue.asked[0] == 1
    assert rig.messages() == {"done": 2}


def test_while_messages_end_undone_few_are_received(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that refuses, mended after the third: the other nine have used up no receive by then."""
    monkeypatch.setattr("exporter.consumer.FIRST_PAUSE", 0.05)
    rig.number = 4
    rig.take = lambda *_: State.UNDONE if len(rig.taken) <= 3 else State.DONE
    rig.made.send(body(*stored(rig, 1)))
    with rig.consumer() as (consumer, queue), running(consumer, rig.stops):
        until(lambda: rig.messages().get("undone") == 1)
        asked = len(queue.asked)
        rig.made.send(*map(body, stored(rig, 12)[1:]))
        until(lambda: rig.messages().get("done") == 9)
    assert rig.messages() == {"undone": 3, "done": 9}
    assert queue.released == [30, 30, 30]
    assert 1 in queue.asked[asked:]  # one that was under way may have asked for more


def test_draining_ends_where_one_message_after_another_is_undone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.consumer.FIRST_PAUSE", 0.05)
    rig.number, rig.take = 1, lambda *_: State.UNDONE
    rig.made.send(*map(body, stored(rig, 8)))
    with rig.consumer() as (consumer, _):
        assert 3 <= consumer.drain() <= 4
    assert rig.made.visible() >= 4


def test_an_object_that_two_messages_name_is_taken_once(rig: Rig) -> None:
    (one,) = stored(rig, 1)
    rig.made.send(body(one), body(one))
    rig.take = slowly(0.5)
    with rig.consumer() as (consumer, _):
        assert consumer.drain() == 0
    assert rig.taken == [(one.key, True)]
    assert rig.messages() == {"done": 2}


# Stopping -------------------------------------------------------------------------------------------------------------


def test_at_a_stop_what_is_held_is_shown_once_no_request_can_be_at_work(rig: Rig) -> None:
    """The replica that takes it up looks first which documents are there."""
    rig.number = 1

    def take(*_: object) -> State:
        rig.stops.soon.wait(20)
        raise Stopped("stopped")

    rig.take = take
    rig.made.send(*map(body, stored(rig, 2)))
    with rig.consumer() as (consumer, queue), running(consumer, rig.stops):
        until(lambda: rig.made.hidden() == 2)
        rig.stops.soon.set()
    assert queue.released == [7, 7]
    assert (rig.made.visible(), rig.made.hidden()) == (0, 2)
    assert rig.messages() == {"stopped": 2}


def test_at_a_stop_what_ends_in_time_is_deleted(rig: Rig) -> None:

    def take(*_: object) -> State:
        rig.stops.soon.wait(20)
        time.sleep(0.5)
        return State.DONE

    rig.take = take
    rig.made.send(body(*stored(rig, 1)))
    with rig.consumer() as (consumer, _), running(consumer, rig.stops):
        until(lambda: rig.taken)
    assert rig.messages() == {"done": 1}
    assert (rig.made.visible(), rig.made.hidden()) == (0, 0)


def test_a_receive_under_way_is_not_waited_for_and_loses_nothing(rig: Rig) -> None:
    with rig.consumer() as (consumer, queue):
        with running(consumer, rig.stops):
            until(lambda: len(queue.asked) > 1)  # the first is short
            time.sleep(0.3)
            begun = time.monotonic()
        assert time.monotonic() - begun < 3  # the poll takes 20 s
        rig.made.send("too late")
        until(lambda: queue.released == [0])
    assert (rig.made.visible(), rig.made.hidden()) == (1, 0)
    assert rig.messages() == {}


# Faults of the queue --------------------------------------------------------------------------------------------------


def test_a_fault_is_told_once_and_the_queue_asked_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "exporter.consumer")
    refuse(rig.made.client, "ReceiveMessage", "AccessDenied", times=2, status=403)
    rig.made.send(body(*stored(rig, 1)))
    with rig.consumer() as (consumer, _), running(consumer, rig.stops):
        until(lambda: rig.messages() == {"done": 1})
    assert rig.metrics.value("queue_faults_total", call="receive") == 2
    told = [text for text in caplog.messages if "AccessDenied" in text or "answers again" in text]
    assert len(told) == 2
    assert "allow sqs:ReceiveMessage" in told[0]
    assert told[0].endswith("it is tried again, and the other sources go on")
    assert [why is None for why in rig.told] == [False, True]


def test_a_queue_that_is_made_later_is_found(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.made.client.delete_queue(QueueUrl=rig.made.url)
    with rig.consumer() as (consumer, _), running(consumer, rig.stops):
        until(lambda: rig.told)
        rig.made.client.create_queue(QueueName=rig.made.url.rpartition("/")[2])
        until(lambda: rig.told[-1] is None)
        rig.made.send(TEST_EVENT)
        until(lambda: rig.messages() == {"test event": 1})
    assert "has no RedrivePolicy" in caplog.text


def test_draining_a_queue_that_cannot_be_asked_fails(rig: Rig) -> None:
    refuse(rig.made.client, "ReceiveMessage", "AccessDenied", status=403)
    with rig.consumer() as (consumer, _), pytest.raises(SourceError, match="allow sqs:ReceiveMessage"):
        consumer.drain()


def test_what_is_done_and_could_not_be_deleted_comes_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.made.send(body(*stored(rig, 1)))
    refuse(rig.made.client, "DeleteMessage", "AccessDenied", status=403)
    with rig.consumer() as (consumer, _):
        assert consumer.drain() == 1
        assert rig.messages() == {"not deleted": 1}
        assert "comes again, though nothing is left to do for it" in caplog.text
        rig.made.client.set_queue_attributes(QueueUrl=rig.made.url, Attributes={"RedrivePolicy": ""})
    assert rig.metrics.value("queue_faults_total", call="delete") == 1
