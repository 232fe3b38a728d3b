"""How the work stands, by account and region, beside a ledger that is in use."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.errors import LedgerError
from exporter.flow import Counts, Outcome, S3Object
from exporter.ledger import Ledger, State
from exporter.ledger_filtered import Filtered
from exporter.ledger_rows import LONGEST_REGION
from exporter.ledger_view import Work, look, since

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
FIRST, SECOND = "111111111111", "222222222222"


def stored(name: str, minutes: int, account: str | None = FIRST, region: str | None = "eu-west-1") -> S3Object:
    """An object of so many minutes before noon, of 100 bytes."""
    return S3Object("logs", name, "e", 100, NOON - timedelta(minutes=minutes), account, region)


class Clock:
    """A clock that a test sets, in seconds after noon."""

    seconds = 0

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger(path, clock=clock) as opened:
        yield opened


def end(ledger: Ledger, source: S3Object, records: int, damage: str = "") -> None:
    ledger.begin(source)
    ledger.finish(Outcome(source, records=records, damage=damage))


def test_an_empty_ledger(path: Path, ledger: Ledger) -> None:
    standing = look(path, NOON)
    assert (standing.running, standing.ended, standing.parts, standing.troubles) == (True, None, [], [])
    assert standing.total.objects == {}
    assert (standing.total.newest, standing.total.oldest) == (None, None)
    assert standing.total.recent == {5: Work(), 60: Work()}
    ledger.close()
    assert not look(path, NOON).running


def test_each_account_and_region_and_all_of_them(path: Path, ledger: Ledger, clock: Clock) -> None:
    clock.seconds = 30
    end(ledger, stored("a", 20), 10)
    end(ledger, stored("b", 15), 20)
    end(ledger, stored("c", 10, SECOND), 40, damage="breaks off")
    ledger.begin(stored("d", 5))
    for name, minutes in (("e", 90), ("f", 50)):
        ledger.begin(stored(name, minutes, SECOND, "us-east-1"))
        ledger.fail(stored(name, minutes, SECOND, "us-east-1"), "no connection")
    ledger.begin(stored("g", 300, None, None))
    ledger.set_aside(stored("g", 300, None, None), "no header")
    standing = look(path, NOON + timedelta(minutes=1))
    seen = [
        (each.account, each.region, dict(each.objects), each.records, each.bytes, each.newest, each.oldest)
        for each in [*standing.parts, standing.total]
    ]
    ago = {minutes: NOON - timedelta(minutes=minutes) for minutes in (5, 10, 15, 90)}
    damaged, undone = {State.DAMAGED: 1}, {State.UNDONE: 2}
    every = {State.UNDER_WAY: 1, State.UNDONE: 2, State.DONE: 2, State.DAMAGED: 1, State.SET_ASIDE: 1}
    assert seen == [
        (FIRST, "eu-west-1", {State.UNDER_WAY: 1, State.DONE: 2}, 30, 200, ago[15], ago[5]),
        (SECOND, "eu-west-1", damaged, 40, 100, ago[10], None),
        (SECOND, "us-east-1", undone, 0, 0, None, ago[90]),
        (None, None, {State.SET_ASIDE: 1}, 0, 0, None, None),
        (None, None, every, 70, 300, ago[10], ago[90]),
    ]
    assert standing.ended == NOON + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("seconds", "five", "hour"),
    [
        (59, Work(), Work()),  # the minute is not full yet
        (60, Work(2, 30), Work(2, 30)),
        (5 * 60 + 59, Work(2, 30), Work(2, 30)),
        (6 * 60, Work(), Work(2, 30)),
        (60 * 60 + 59, Work(), Work(2, 30)),
        (61 * 60, Work(), Work()),
    ],
)
def test_rates_are_of_whole_minutes(path: Path, ledger: Ledger, seconds: int, five: Work, hour: Work) -> None:
    end(ledger, stored("a", 0), 10)
    end(ledger, stored("b", 0, SECOND), 20)
    standing = look(path, NOON + timedelta(seconds=seconds))
    assert standing.total.recent == {5: five, 60: hour}
    halves = [each.recent[60] for each in standing.parts]
    assert halves == ([Work(1, 10), Work(1, 20)] if hour.objects else [Work(), Work()])


def test_what_is_done_again_is_work_again_and_counts_once(path: Path, ledger: Ledger, clock: Clock) -> None:
    end(ledger, stored("a", 0), 10)
    clock.seconds = 70
    end(ledger, stored("a", 0), 10)
    standing = look(path, NOON + timedelta(minutes=3))
    assert standing.total.recent[60] == Work(2, 20)
    assert (standing.total.objects, standing.total.records) == ({State.DONE: 1}, 10)
    assert standing.ended == NOON + timedelta(seconds=70)


def test_what_filters_dropped_counts_once_an_object(path: Path, ledger: Ledger, clock: Clock) -> None:
    def done(name: str, dropped: Counts, seconds: int) -> None:
        clock.seconds = seconds
        ledger.begin(stored(name, 0))
        ledger.finish(Outcome(stored(name, 0), records=100, dropped=dropped))

    done("a", {("dns", "dropped"): 10, ("chatter", "sampled out"): 5}, 0)
    done("b", {("nodata", "dropped"): 2, ("dns", "dropped"): 1}, 60)
    done("c", {}, 120)
    first, second = (NOON + timedelta(seconds=seconds) for seconds in (0, 60))
    chatter = Filtered("chatter", "sampled out", 5, first, first)
    assert look(path, NOON).filtered == [
        Filtered("dns", "dropped", 11, first, second),
        chatter,
        Filtered("nodata", "dropped", 2, second, second),
    ]
    clock.seconds = 180
    ledger.begin(stored("b", 0))
    assert look(path, NOON).filtered[0].records == 11
    third = NOON + timedelta(seconds=240)
    done("b", {("dns", "dropped"): 4, ("dns", "would drop"): 3}, 240)
    assert look(path, NOON).filtered == [
        Filtered("dns", "dropped", 14, first, third),
        Filtered("dns", "would drop", 3, third, third),
        chatter,
        Filtered("nodata", "dropped", 0, second, second),
    ]


def test_what_did_not_end_well_counts_nothing(path: Path, ledger: Ledger) -> None:
    for end_it in (ledger.fail, ledger.set_aside, ledger.release):
        ledger.begin(stored("a", 0))
        end_it(stored("a", 0), "why")
    assert look(path, NOON).filtered == []


def test_a_look_is_of_one_moment_and_takes_nothing_from_the_owner(path: Path, ledger: Ledger) -> None:
    """An owner that starts while somebody looks is not refused."""
    ledger.report("s3://logs/", {"a/": "denied"})
    for number in range(20):
        assert look(path, NOON).running
        end(ledger, stored(str(number), 0), 1)
        ledger.close()
        assert not look(path, NOON).running
        ledger.open()
    assert [each.what for each in look(path, NOON).troubles] == ["a/"]


def test_an_account_and_a_region_may_be_anything(path: Path, ledger: Ledger) -> None:
    end(ledger, stored("a", 0, "x", "half \udc80"), 1)
    end(ledger, stored("b", 0, "x", "r" * 900), 1)
    assert [each.region for each in look(path, NOON).parts] == ["half \\udc80", "r" * LONGEST_REGION]


def test_a_ledger_that_is_not_there_is_not_made(path: Path) -> None:
    with pytest.raises(LedgerError, match=f"there is no ledger {path} yet"):
        look(path, NOON)
    assert not path.exists()


def test_a_moment_ahead_is_no_negative_age() -> None:
    assert since(None, NOON) is None
    assert since(NOON - timedelta(hours=1), NOON) == timedelta(hours=1)
    assert since(NOON + timedelta(hours=1), NOON) == timedelta()
