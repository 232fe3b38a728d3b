"""How the pace follows an output: what happens and what may go then, and a server of so many places, simulated."""

import heapq
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event

import pytest

from exporter.errors import Stopped
from exporter.metrics import Metrics
from exporter.sink.pace import Pace, Room, Trip

MIB = 1024 * 1024


@dataclass(slots=True)
class Driven:
    """A pace whose clock stands until it is moved, and what may be told by it."""

    least: int = 1
    most: int = 4
    request_bytes: int = MIB
    now: float = 0.0
    metrics: Metrics = field(default_factory=Metrics)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(
            least=self.least,
            most=self.most,
            request_bytes=self.request_bytes,
            stop=Event(),
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def round(self, seconds: float = 1.0, requests: int | None = None) -> list[Trip]:
        """As many requests as may go, or `requests`, begin together; all have ended when it returns."""
        trips = [self.pace.begin(MIB) for _ in range(requests or self.pace.requests)]
        self.now += seconds
        for trip in trips:
            self.pace.end(trip)
        return trips

    def well(self, seconds: float = 1.0, runs: int = 1, requests: int | None = None) -> None:
        """Whole runs in which each request takes as long and is taken."""
        for _ in range(runs):
            size, taken = max(Pace.CALM, self.pace.requests), 0
            while taken < size:
                trips = self.round(seconds, min(requests or self.pace.requests, size - taken))
                taken += len(trips)
                for trip in trips:
                    self.pace.taken(trip)

    def badly(self, rounds: int = 1) -> None:
        """Nothing is taken of what may go."""
        for _ in range(rounds):
            for trip in self.round():
                self.pace.slower(trip)

    def stands(self) -> tuple[int, int | None]:
        """Requests at once and bytes a request."""
        assert self.metrics.value("requests_in_flight_limit") == self.pace.requests
        return self.pace.requests, self.pace.bytes


def run(story: str) -> Driven:
    """Lives through a story: `+` a run that went well, `!` a round of which nothing was taken, `<` one too large."""
    driven = Driven()
    for happened in story:
        if happened == "<":
            driven.pace.too_large(MIB)
        elif happened == "!":
            driven.badly()
        else:
            driven.well()
    return driven


STORIES = {
    "at first as few as may be": ("", 1, None),
    "one more after each run": ("++", 3, None),
    "to the bound and no further": ("+++++", 4, None),
    "requests are halved first": ("+++!", 2, None),
    "though four were turned away together": ("+++!!", 1, None),
    "then their size": ("+++!!!", 1, MIB // 2),
    "never below 64 KiB": ("!!!!!!!!!", 1, 64 * 1024),
    "one more again": ("+++!+", 3, None),
    "size comes back before requests": ("+++!!!!+", 1, MIB // 2),
    "size whole again": ("+++!!!!++", 1, None),
    "not at once to where the trouble was": ("+++!!!!" + "+" * 15, 3, None),
    "but after many runs without any": ("+++!!!!" + "+" * 16, 4, None),
    "trouble anew is where it is met": ("+++!!!!" + "+" * 4 + "!" + "+" * 15, 2, None),
    "too large is remembered": ("<++++", 4, MIB // 2),
    "and tried again after many runs": ("<" + "+" * 33, 4, None),
    "to be remembered once more": ("<" + "+" * 33 + "<++", 4, MIB // 2),
    "too large twice": ("<<", 1, MIB // 2),
    "below the bound and back up to it": ("<!!++", 1, MIB // 2),
}


@pytest.mark.parametrize(("story", "requests", "size"), STORIES.values(), ids=STORIES)
def test_pace(story: str, requests: int, size: int | None) -> None:
    driven = run(story)
    assert driven.stands() == (requests, size)
    assert driven.pace.allows(size or 100 * MIB)
    assert size is None or not driven.pace.allows(size + 1)


def test_a_run_is_eight_requests_or_as_many_as_may_go() -> None:
    driven = Driven(most=64)
    for _ in range(7):
        driven.pace.taken(driven.round()[0])
    assert driven.stands() == (1, None)
    driven.pace.taken(driven.round()[0])
    assert driven.stands() == (2, None)
    driven.well(runs=8)
    assert driven.stands() == (10, None)
    for trip in driven.round(requests=9):
        driven.pace.taken(trip)
    assert driven.stands() == (10, None)
    driven.pace.taken(driven.round(requests=1)[0])
    assert driven.stands() == (10, None)  # ten began, and never ten at once: more than that is not asked for


def test_what_went_out_before_a_step_down_tells_nothing_new() -> None:
    driven = Driven(most=64)
    driven.well(runs=7)
    old = [driven.pace.begin(MIB) for _ in range(8)]
    driven.now += 1
    driven.pace.end(old[0])
    driven.pace.slower(old[0])
    assert driven.stands() == (4, None)
    for trip in old[1:]:
        driven.now += 0.01
        driven.pace.end(trip)
        driven.pace.slower(trip)
    assert driven.stands() == (4, None)
    driven.pace.taken(old[7])
    driven.badly()
    assert driven.stands() == (2, None)


SLOWNESS = {
    "as ever": (1.0, 9),
    "half as long again is no queue": (1.5, 9),
    "as if for 6 of 8 there were places": (2.0, 6),  # 8 * 1.5 / 2
    "one fewer at least": (1.51, 7),  # 8 * 1.5 / 1.51 = 7.9
    "half at least": (100.0, 4),
}


@pytest.mark.parametrize(("seconds", "requests"), SLOWNESS.values(), ids=SLOWNESS)
def test_slowness_takes_away_what_stands_in_a_queue(seconds: float, requests: int) -> None:
    driven = Driven(most=64)
    driven.well(runs=7)
    assert driven.stands() == (8, None)
    driven.well(seconds)
    assert driven.stands() == (requests, None)


def test_slowness_alone_makes_no_request_smaller_nor_goes_below_the_bound() -> None:
    driven = Driven(least=3, most=64)
    driven.well(runs=2)
    for factor in range(2, 12):
        driven.well(10.0**factor)
    assert driven.stands() == (3, None)


def test_a_small_request_may_take_as_long_as_its_fixed_cost() -> None:
    driven = Driven(most=64)
    driven.well(1.25, runs=7)  # a second for each MiB and for the 256 KiB that a request counts more
    for trip in [driven.pace.begin(64 * 1024) for _ in range(8)]:
        driven.now += 0.3125 / 8  # the last one ends after the cost of 320 KiB
        driven.pace.end(trip)
        driven.pace.taken(trip)
    assert driven.stands() == (9, None)


@pytest.mark.parametrize("every", [3, 5, 8])
def test_single_requests_that_take_twice_as_long_change_nothing(every: int) -> None:
    """A merge of segments, a collection of garbage."""
    driven = Driven(most=8)
    driven.well(runs=7)
    for _ in range(5):
        trips = [driven.pace.begin(MIB) for _ in range(8)]
        for late in (False, True):
            driven.now += 1
            for trip in (trip for at, trip in enumerate(trips) if (at % every == 0) == late):
                driven.pace.end(trip)
                driven.pace.taken(trip)
        assert driven.stands() == (8, None)


def test_trouble_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    driven = Driven(most=8)
    driven.well(runs=7)
    assert caplog.messages == []
    driven.badly(5)
    (down,) = caplog.messages
    assert "requests at once were up to 8, and are fewer" in down
    assert driven.stands() == (1, 256 * 1024)
    driven.well(runs=10)
    driven.badly()
    driven.well(runs=15)
    assert len(caplog.messages) == 1
    driven.well()
    (up,) = caplog.messages[1:]
    assert up.startswith("the output keeps up again")
    before, _ = driven.stands()
    driven.well(1.6)  # a little slower: one fewer, and not a word
    assert driven.stands() == (before - 1, None)
    assert len(caplog.messages) == 2
    driven.well(4.0)
    assert len(caplog.messages) == 3


def test_stopping_ends_the_waits() -> None:
    stop = Event()
    pace = Pace(least=1, most=1, request_bytes=MIB, stop=stop, metrics=Metrics())
    room = Room(lambda: 10, stop, Metrics())
    pace.begin(1)
    room.enter(100)
    stop.set()
    with pytest.raises(Stopped, match="other requests"):
        pace.begin(1)
    with pytest.raises(Stopped, match="take what it has"):
        room.enter(1)


Service = Callable[[float, random.Random], float]
"""How long a request takes that begins to be served at this second."""


@dataclass(slots=True)
class Server:
    """So many requests are served at once, the others stand in a queue; there is always another one to send."""

    places: int
    service: Service
    seed: int = 1
    ended: list[tuple[float, float]] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)

    def serve(self, driven: Driven, until: float) -> "Server":
        """Notes when each request ended and what it took, and how many might go then."""
        chance, free = random.Random(self.seed), [0.0] * self.places  # noqa: S311 - chance, not secrets
        travelling: list[tuple[float, int, Trip]] = []
        count = 0
        while driven.now < until:
            while len(travelling) < driven.pace.requests:
                begun = max(driven.now, heapq.heappop(free))
                end = begun + self.service(begun, chance)
                heapq.heappush(free, end)
                heapq.heappush(travelling, (end, count, driven.pace.begin(MIB)))
                count += 1
            driven.now, _, trip = heapq.heappop(travelling)
            driven.pace.end(trip)
            driven.pace.taken(trip)
            self.ended.append((driven.now, trip.seconds))
            self.limits.append((driven.now, driven.pace.requests))
        return self

    def rate(self, begin: float, end: float) -> float:
        """Requests a second."""
        return sum(begin <= at < end for at, _ in self.ended) / (end - begin)

    def seconds(self, begin: float, end: float) -> float:
        """What a request took, on average."""
        return _mean(seconds for at, seconds in self.ended if begin <= at < end)

    def limit(self, begin: float, end: float) -> float:
        """How many might go, on average over requests."""
        return _mean(limit for at, limit in self.limits if begin <= at < end)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


SERVICES: dict[str, Service] = {
    "steady": lambda _, __: 0.5,
    "one in five twice as long": lambda _, chance: 0.5 * (1 + (chance.random() < 0.2)),
    "spread by half": lambda _, chance: 0.5 * chance.gammavariate(4, 0.25),
    "one in fifty ten times as long": lambda _, chance: 0.5 * (1 + 9 * (chance.random() < 0.02)),
}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
@pytest.mark.parametrize("places", [1, 2, 4, 8, 16])
def test_it_settles_near_the_places_there_are(places: int, service: Service) -> None:
    """Within a tenth of the best fixed number's rate, which 64 at once reach, at a small part of their wait."""
    ours = Server(places, service).serve(Driven(most=64), 600)
    best = Server(places, service).serve(Driven(least=64, most=64), 600)
    assert ours.rate(100, 600) > 0.9 * best.rate(100, 600)
    assert places <= ours.limit(100, 600) < 2 * places + 1
    assert ours.seconds(100, 600) < 2.5 * best.seconds(100, 600) * places / 64


def test_slow_minutes_pass(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Server(8, lambda now, _: 5.0 if 200 <= now < 320 else 0.5).serve(Driven(most=64), 600)
    assert server.limit(100, 200) > 8
    assert server.limit(240, 320) < 4
    assert server.rate(360, 420) > 0.95 * server.rate(100, 200)
    assert server.limit(500, 600) < 3 * 8
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_server_that_is_slower_for_good_is_used_as_it_is() -> None:
    server = Server(8, lambda now, _: 0.5 if now < 200 else 1.5).serve(Driven(most=64), 900)
    assert server.rate(500, 900) > 0.95 * 8 / 1.5
    assert server.seconds(500, 900) < 2 * 1.5


def test_a_server_that_begins_slowly_is_known_later() -> None:
    server = Server(2, lambda now, _: 2.5 if now < 18 else 0.5).serve(Driven(most=64), 600)
    assert server.rate(20, 600) > 0.95 * 2 / 0.5
    assert server.limit(400, 600) < 7
