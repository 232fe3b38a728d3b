"""Faults that last: what is kept of them, and since when."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.ledger import Ledger
from exporter.ledger_troubles import LIMIT, LONGEST, Trouble

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
LOGS, EC2 = "s3://logs/AWSLogs/", "inventory eu-west-1"


class Clock:
    """A clock that a test sets."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


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


def test_what_goes_on_keeps_its_since_and_what_is_over_goes(ledger: Ledger, clock: Clock, path: Path) -> None:
    ledger.report(LOGS, {"a/": "denied", "b/": "denied"})
    ledger.report(EC2, {"eu-west-1": "throttled"})
    clock.now = later = NOON + timedelta(minutes=5)
    ledger.report(LOGS, {"b/": "throttled", "c/": "denied"})
    expected = [
        Trouble(EC2, "eu-west-1", NOON, "throttled"),
        Trouble(LOGS, "b/", NOON, "throttled"),
        Trouble(LOGS, "c/", later, "denied"),
    ]
    assert ledger.troubles() == expected
    ledger.close()
    with Ledger(path, read_only=True) as view:
        assert view.troubles() == expected
    with ledger:
        ledger.report(LOGS, {})
        assert ledger.troubles() == expected[:1]
        ledger.report(LOGS, {"b/": "denied"})
        assert ledger.troubles() == [expected[0], Trouble(LOGS, "b/", later, "denied")]


def test_the_same_again_is_not_written(ledger: Ledger, path: Path) -> None:
    ledger.report(LOGS, {"a/": "denied"})
    written = path.with_name(f"{path.name}-wal").stat().st_size
    ledger.report(LOGS, {"a/": "denied"})
    assert path.with_name(f"{path.name}-wal").stat().st_size == written
    ledger.report(LOGS, {"a/": "throttled"})
    assert path.with_name(f"{path.name}-wal").stat().st_size > written


def test_scopes_that_are_no_more_are_forgotten(ledger: Ledger) -> None:
    ledger.report(LOGS, {"a/": "denied"})
    ledger.report(EC2, {"eu-west-1": "throttled"})
    ledger.keep_troubles([EC2, "s3://other/"])
    assert [each.scope for each in ledger.troubles()] == [EC2]
    ledger.keep_troubles([])
    assert ledger.troubles() == []


def test_many_are_counted_and_long_texts_are_cut(ledger: Ledger) -> None:
    ledger.report(LOGS, {f"{number:06}/": "x" * (LONGEST + number) for number in range(1100)})
    kept = ledger.troubles()
    assert len(kept) == LIMIT + 1
    assert [each.what for each in kept[:2]] == ["000000/", "000001/"]
    assert [len(each.reason) for each in kept[:2]] == [LONGEST, LONGEST]
    assert (kept[0].reason[-1], kept[1].reason[-1]) == ("x", "…")
    assert (kept[-1].what, kept[-1].reason) == ("others", "1,000 more are like these, and only told in the log")
    ledger.report(LOGS, {"k" * 2000: "half a character: \udc80"})
    (kept_one,) = ledger.troubles()
    assert kept_one.what == "k" * (LONGEST - 1) + "…"
    assert kept_one.reason == "half a character: \\udc80"
