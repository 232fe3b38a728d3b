"""The pace of calls, by a clock that the test moves, against a token bucket as AWS says that it has."""

from threading import Event

import pytest

from exporter.enrich.budget import Budget
from exporter.errors import Stopped


class Clock:
    """Seconds as the test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bucket:
    """A full bucket of `size` tokens, `refill` a second: a call without a token is throttled."""

    def __init__(self, size: float, refill: float) -> None:
        self._size, self._refill = size, refill
        self._tokens, self._at = size, 0.0

    def takes(self, now: float) -> bool:
        self._tokens = min(self._size, self._tokens + (now - self._at) * self._refill)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def ask(budget: Budget, clock: Clock, bucket: Bucket, answers: int) -> int:
    """Makes calls one after the other until so many were answered; how many were throttled."""
    throttled = 0
    while answers:
        clock.now += budget.own_turn("a")
        clock.now += budget.turn("a")
        if bucket.takes(clock.now):
            budget.answered("a")
            answers -= 1
        else:
            budget.throttled("a")
            throttled += 1
    return throttled


def test_the_turns_of_all_scopes_are_apart() -> None:
    clock = Clock()
    budget = Budget(4, clock)
    assert [budget.turn("a"), budget.turn("b"), budget.turn("c")] == [0, 0.25, 0.5]
    clock.now = 0.6
    assert budget.turn("a") == pytest.approx(0.15)
    clock.now = 10
    assert [budget.turn("b"), budget.turn("a")] == [0, 0.25]  # turns that nobody took are gone


def test_a_throttle_halves_a_scopes_own_rate_and_answers_raise_it_slowly() -> None:
    clock = Clock()
    budget = Budget(20, clock)
    assert budget.own_turn("a") == 0
    budget.throttled("a")
    assert (budget.rate("a"), budget.own_turn("a")) == (10, 0.1)
    budget.throttled("a")
    assert budget.rate("a") == 5
    for _ in range(10):
        budget.answered("a")
    assert budget.rate("a") == pytest.approx(6)
    for _ in range(1000):
        budget.answered("a")
    assert budget.rate("a") == 20
    for _ in range(100):
        budget.throttled("a")
    assert budget.rate("a") == 0.1
    assert budget.rate("b") == 20  # another account or region has a bucket of its own
    assert budget.own_turn("b") == 0


def test_a_slow_scope_holds_no_turn_that_another_could_use() -> None:
    clock = Clock()
    budget = Budget(1, clock)
    budget.throttled("slow")
    assert budget.own_turn("slow") == 2
    assert [budget.turn("fast"), budget.turn("fast")] == [0, 1]


def test_a_bucket_that_is_larger_than_the_work_is_used_at_the_whole_rate() -> None:
    clock = Clock()
    assert ask(Budget(20, clock), clock, Bucket(100, 20), 1000) == 0
    assert clock.now == pytest.approx(999 / 20)


def test_a_bucket_that_refills_more_slowly_is_found_out() -> None:
    """550 calls: 50 are there, 500 come at 5 a second, which takes 100 seconds at best."""
    clock = Clock()
    throttled = ask(Budget(20, clock), clock, Bucket(50, 5), 550)
    assert 100 <= clock.now <= 103
    assert throttled <= 20


def test_a_wait_ends_when_the_program_stops() -> None:
    budget, stop = Budget(1, Clock()), Event()
    budget.wait("a", stop)
    stop.set()
    with pytest.raises(Stopped):
        budget.wait("a", stop)
