"""How many calls a second: no more than so many over all accounts, and in each place as many as it stands.

EC2 throttles by a token bucket for each account and region, whose size and refill nobody tells: so each scope has a
rate of its own, which a throttle halves and answers raise again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock
from time import monotonic

from exporter.errors import Stopped

SLOWEST = 0.1
"""Calls a second below which no scope's own rate falls."""

GROWTH = 0.005
"""What an answer adds to a scope's own rate, as a share of the whole: 200 answers take it from nothing to all."""


@dataclass(slots=True)
class _Pace:
    """A scope's own rate in calls a second, and when its next call may go by the clock's time."""

    rate: float
    next: float = 0.0


class Budget:
    """Paces calls; `calls_per_second` over all scopes, `clock` in seconds.  Any thread may ask.

    A scope is whatever throttles on its own, by its name: an account's region.
    """

    def __init__(self, calls_per_second: float, clock: Callable[[], float] = monotonic) -> None:
        self._most = calls_per_second
        self._clock = clock
        self._lock = Lock()
        self._next = 0.0
        self._paces: dict[str, _Pace] = {}

    def wait(self, scope: str, stop: Event) -> None:
        """Returns when a call of this scope may go; Stopped where `stop` is set before."""
        # First the scope's own turn, then one among all: a slow scope must not hold a turn that another could use.
        for turn in (self.own_turn, self.turn):
            if stop.wait(turn(scope)):
                raise Stopped("stopped while waiting for a turn to ask AWS")

    def own_turn(self, scope: str) -> float:
        """Seconds until the scope's own rate lets its next call go, which takes that turn."""
        with self._lock:
            pace, now = self._pace(scope), self._clock()
            at = max(now, pace.next)
            pace.next = at + 1 / pace.rate
            return at - now

    def turn(self, _: str = "") -> float:
        """Seconds until the whole rate lets the next call of any scope go, which takes that turn."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + 1 / self._most
            return at - now

    def throttled(self, scope: str) -> None:
        """AWS said that the scope asks too often: half as often from now on."""
        with self._lock:
            pace = self._pace(scope)
            pace.rate = max(min(SLOWEST, self._most), pace.rate / 2)
            pace.next = max(pace.next, self._clock() + 1 / pace.rate)

    def answered(self, scope: str) -> None:
        """AWS answered: a little more often from now on."""
        with self._lock:
            pace = self._pace(scope)
            pace.rate = min(self._most, pace.rate + GROWTH * self._most)

    def rate(self, scope: str) -> float:
        """The scope's own rate now, in calls a second."""
        with self._lock:
            return self._pace(scope).rate

    def _pace(self, scope: str) -> _Pace:
        return self._paces.setdefault(scope, _Pace(self._most))
