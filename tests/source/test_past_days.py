"""Which days a pass lists: today always, past days now and then, and each once more before it is forgotten."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from exporter.source.past_days import PastDays

FIRST, YESTERDAY, TODAY = date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 3)
EVERY, LOOKBACK = timedelta(minutes=10), timedelta(days=2)
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SEVEN = datetime(2026, 11, 3, 0, 7, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """Stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize(
    ("listed_at", "asked_at", "day", "last", "lookback", "due"),
    [
        (NOON, NOON + timedelta(minutes=9), YESTERDAY, TODAY, LOOKBACK, False),
        (NOON, NOON + timedelta(minutes=10), YESTERDAY, TODAY, LOOKBACK, True),
        (NOON, NOON, TODAY, TODAY, LOOKBACK, True),
        (NOON, NOON - timedelta(minutes=9), YESTERDAY, TODAY, LOOKBACK, False),  # the clock was set back
        (NOON, NOON - timedelta(days=1), FIRST, TODAY, LOOKBACK, True),  # … by far
        (SEVEN, SEVEN, YESTERDAY, TODAY, LOOKBACK, True),  # its last files are still coming
        (SEVEN, SEVEN + timedelta(minutes=55), YESTERDAY, TODAY, LOOKBACK, True),  # 01:02
        (SEVEN, SEVEN, FIRST, TODAY, LOOKBACK, False),
        (SEVEN, SEVEN, date(2026, 10, 31), TODAY, LOOKBACK, True),  # this pass takes it out of the look-back
        (NOON, NOON, FIRST, TODAY, timedelta(hours=36), True),  # since noon, 36 hours reach back to the 2nd
        (NOON, NOON, YESTERDAY, TODAY, timedelta(hours=36), False),
        (NOON, NOON, YESTERDAY, TODAY, timedelta(hours=1), True),
    ],
)
def test_a_day_that_was_listed_is_due(  # noqa: PLR0913 - a table's columns
    listed_at: datetime, asked_at: datetime, day: date, last: date, lookback: timedelta, *, due: bool
) -> None:
    clock = Clock(listed_at)
    past = PastDays(EVERY, lookback, clock)
    past.listed("region/", day, past.now())
    clock.now = asked_at
    assert past.due("region/", day, last) is due


def test_what_was_not_listed_is_due_and_each_folder_goes_by_itself() -> None:
    past = PastDays(EVERY, LOOKBACK, Clock(NOON))
    assert past.due("one/", YESTERDAY, TODAY)
    past.listed("one/", YESTERDAY, NOON)
    assert not past.due("one/", YESTERDAY, TODAY)
    assert past.due("other/", YESTERDAY, TODAY)
    assert past.due("one/", FIRST, TODAY)


def test_days_before_a_pass_are_forgotten() -> None:
    past = PastDays(EVERY, LOOKBACK, Clock(NOON))
    past.listed("region/", FIRST, NOON)
    past.listed("region/", YESTERDAY, NOON)
    past.begin(YESTERDAY)
    assert past.due("region/", FIRST, TODAY)
    assert not past.due("region/", YESTERDAY, TODAY)


def test_without_a_time_every_day_is_always_due() -> None:
    past = PastDays(timedelta(), LOOKBACK, Clock(NOON))
    past.listed("region/", YESTERDAY, NOON)
    assert past.due("region/", YESTERDAY, TODAY)
