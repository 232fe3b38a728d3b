"""Which past days a pass lists: less often than today, for hardly anything comes below them any more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

EVERY = timedelta(minutes=10)
"""How often a past day is listed in a daemon: what is hours late may be found these minutes later."""

SETTLING = timedelta(hours=1)
"""A day counts as today for so long after its end: its last files come within some ten minutes (AWS: best effort)."""


def _now() -> datetime:
    return datetime.now(UTC)


class PastDays:
    """Remembers when each past day was last listed whole; one listing's own, in memory.

    Nothing is lost by what it leaves out: a day that the end of the pass takes out of the look-back for good is listed
    in that very pass, as are today and all that was not listed whole since the program's start.
    """

    def __init__(self, every: timedelta, lookback: timedelta, clock: Callable[[], datetime] = _now) -> None:
        self._every = every
        self._lookback = lookback
        self._clock = clock
        self._listed: dict[date, dict[str, datetime]] = {}

    def begin(self, first: date) -> None:
        """A pass from the day `first` on: what was remembered of earlier days is forgotten."""
        for day in [day for day in self._listed if day < first]:
            del self._listed[day]

    def due(self, folder: str, day: date, last: date) -> bool:
        """Whether a pass up to the day `last` has to list `day` below a region's folder.

        A pass raises the floor to the look-back's first day, seen from some moment of `last`: what may lie before that
        moment's floor is due whenever it was listed.
        """
        now, end_of_last = self._clock(), datetime.combine(last, time.max, UTC)
        if day >= min(last, (now - SETTLING).date()) or day < (end_of_last - self._lookback).date():
            return True
        listed = self._listed.get(day, {}).get(folder)
        return listed is None or abs(now - listed) >= self._every  # abs: the clock may be set back

    def now(self) -> datetime:
        """The moment to give to `listed`: from before the first request."""
        return self._clock()

    def listed(self, folder: str, day: date, at: datetime) -> None:
        """`day` was listed to its end, and all that was new was handed over; the listing began `at`."""
        self._listed.setdefault(day, {})[folder] = at
