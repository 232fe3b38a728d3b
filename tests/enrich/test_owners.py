"""The history in use and its store: what goes in, what is written of it, and what odd snapshots do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from exporter.enrich.ends import enrich
from exporter.enrich.history import TABLES, Changes, History
from exporter.enrich.history_store import StoredHistory
from exporter.enrich.inventory import Snapshot
from exporter.enrich.oddities import Oddities
from exporter.enrich.owners import Owners
from exporter.errors import LedgerError
from exporter.ledger import Ledger
from exporter.metrics import Metrics

from .day import MIDNIGHT, timed
from .test_history import at, interface, shot

EAST, WEST = "us-east-1", "us-west-2"
WEB = interface("web", "10.0.0.1", "10.0.0.50", attached="09:00:00", instance="i-web")
LOOSE = interface("loose", "10.0.0.2", "10.0.0.51", fixed=False)
BEGAN = int(MIDNIGHT.timestamp())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite3") as opened:
        yield opened


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


class Rig:
    """Owners over a real ledger, with what each addition wrote."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self.ledger, self.metrics = ledger, metrics
        self.store = StoredHistory(ledger)
        self.writes: list[Changes] = []
        self.broken = False
        self.owners = Owners(
            self.store.load(),
            self._write,
            gap=timedelta(minutes=15),
            remember=timedelta(hours=1),
            metrics=metrics,
            oddities=Oddities(metrics),
        )

    def _write(self, changes: Changes) -> None:
        if self.broken:
            raise LedgerError("the disk is full")
        self.writes.append(changes)
        self.store.write(changes)

    def add(self, **snapshots: Snapshot) -> None:
        """One snapshot a scope, each by its region's first letters; it is the time of the newest one."""
        scopes = {{"east": EAST, "west": WEST}[name]: each for name, each in snapshots.items()}
        self.owners.add(scopes, max(each.taken for each in scopes.values()))

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """The ledger's rows, with times in seconds of the day."""
        times = [place for place, name in enumerate(TABLES[table]) if name in {"since", "until", "first", "last"}]
        return [
            tuple(each - BEGAN if place in times and each is not None else each for place, each in enumerate(row))
            for row in self.ledger.rows(table)
        ]

    def oddities(self, kind: str) -> float:
        return self.metrics.value("inventory_oddities_total", kind=kind)

    def ends(self, source: str, destination: str, first: str, last: str, reporter: str | None = None) -> Any:  # noqa: ANN401
        """The interfaces at both ends of a flow."""
        columns: dict[str, list[str | None]] = {
            "interface_id": [reporter],
            "srcaddr": [source],
            "dstaddr": [destination],
        }
        found = enrich(timed(columns, [(at(first), at(last))]), self.owners.view(), Metrics())
        assert found.owners is not None
        names = found.owners["interface_id"].to_list()
        (row,) = found.frame.select("source_owner", "destination_owner").rows()
        return tuple(None if each is None else names[each] for each in row)


def test_what_is_written_is_what_is_in_use(ledger: Ledger, metrics: Metrics) -> None:
    """Also what the records of a batch proved in between: the interface `loose` was there at 10:20."""
    rig = Rig(ledger, metrics)
    rig.add(east=shot("10:00:00", WEB, LOOSE))
    rig.add(east=shot("10:05:00", WEB, LOOSE), west=shot("10:05:01", interface("far", "10.7.0.1", vpc="vpc-c")))
    assert rig.ends("10.0.0.2", "10.0.0.1", "10:20:00", "10:21:30", reporter="loose") == ("loose", None)
    rig.add(east=shot("10:10:00", interface("new", "10.0.0.2", attached="10:09:00", instance="i-new")))

    seconds = {
        "10:00:05": 36005,
        "10:05:06": 36306,
        "10:10:05": 36605,
        "10:05:00": 36300,
        "10:20:00": 37200,
        "10:20:30": 37230,
    }
    assert rig.rows("interface") == [
        (1, "web", "vpc-a", None, None),
        (2, "loose", "vpc-a", seconds["10:20:00"], seconds["10:20:30"]),
        (3, "far", "vpc-c", None, None),
        (4, "new", "vpc-a", None, None),
    ]
    assert [row[:5] for row in rig.rows("workload")] == [
        (1, 1, 1, seconds["10:00:05"], seconds["10:05:00"]),
        (2, 2, 1, seconds["10:00:05"], seconds["10:05:00"]),
        (3, 3, 2, seconds["10:05:06"], None),
        (4, 4, 1, seconds["10:10:05"], None),
    ]
    in_use, read = rig.owners._history, rig.store.load()  # noqa: SLF001  nothing else shows it whole
    for table in TABLES:
        assert_frame_equal(getattr(read, table), getattr(in_use, table).sort("number"))


def test_what_does_not_change_is_not_written_and_not_made_anew(ledger: Ledger, metrics: Metrics) -> None:
    """Apart from the time up to which it holds, which is the scope's."""
    rig = Rig(ledger, metrics)
    rig.add(east=shot("10:00:00", WEB, LOOSE))
    first = rig.owners.view()
    for clock in ("10:05:00", "10:10:00"):
        rig.add(east=shot(clock, WEB, LOOSE))
        changes, view = rig.writes[-1], rig.owners.view()
        assert {name: rows.select("number", "taken").rows() for name, rows in changes.rows.items()} == {
            "scope": [(1, BEGAN + at(clock))]
        }
        assert changes.gone == {}
        assert first is not None
        assert view is not None
        assert view is not first
        assert view.owners is first.owners
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:09:00") == ("web", "loose")
    rig.add(east=shot("10:15:00", WEB))
    ended = rig.owners.view()
    assert ended is not None
    assert first is not None
    assert ended.owners is not first.owners


def test_a_clock_that_jumps_back_begins_its_scope_anew(
    ledger: Ledger, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """What other scopes told stays; of this one nothing from before the jump is taken for true."""
    rig = Rig(ledger, metrics)
    far = interface("far", "10.7.0.1", "10.7.0.50", vpc="vpc-c")
    rig.add(east=shot("10:00:00", WEB, LOOSE), west=shot("10:00:00", far))
    rig.add(east=shot("10:05:00", WEB, LOOSE), west=shot("10:05:00", far))
    assert rig.ends("10.0.0.51", "10.7.0.50", "10:02:00", "10:03:00") == ("loose", "far")

    rig.add(east=shot("09:30:00", LOOSE))
    rig.add(east=shot("09:35:00", LOOSE))
    assert rig.ends("10.0.0.51", "10.7.0.50", "10:02:00", "10:03:00") == (None, "far")
    assert rig.ends("10.0.0.51", "10.7.0.50", "09:32:00", "09:33:00") == ("loose", None)
    assert sorted(row[1] for row in rig.rows("interface")) == ["far", "loose"]
    assert rig.oddities("clock") == 1
    rig.add(east=shot("09:00:00", LOOSE))
    assert rig.oddities("clock") == 2
    (told,) = caplog.messages
    assert told == (
        "us-east-1: the answer is of 2026-03-01 09:30:00 UTC, and the one before of 2026-03-01 10:05:00 UTC: one of "
        "the clocks jumped: what was known of it is forgotten, and begun anew (said once; "
        "vpcflow_inventory_oddities_total{kind='clock'} counts on)"
    )
    in_use, read = rig.owners._history, rig.store.load()  # noqa: SLF001  nothing else shows it whole
    for table in TABLES:
        assert_frame_equal(getattr(read, table), getattr(in_use, table).sort("number"))


@pytest.mark.parametrize("clock", ["10:05:00", "10:04:59", "10:04:01"])
def test_a_restart_right_after_an_answer_forgets_nothing(
    clock: str, ledger: Ledger, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    before = Rig(ledger, metrics)
    before.add(east=shot("10:00:00", WEB, LOOSE))
    before.add(east=shot("10:05:00", WEB, LOOSE))
    rig = Rig(ledger, metrics)
    assert rig.owners.view() is None
    rig.add(east=shot(clock, WEB))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:03:00") == ("web", "loose")
    assert rig.writes[-1].rows == {}
    rig.add(east=shot("10:10:00", WEB, LOOSE))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:09:00") == ("web", "loose")
    assert (rig.oddities("clock"), caplog.messages) == (0, [])


def test_two_that_claim_one_address_at_once(ledger: Ledger, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    """It is nobody's while both do; what else they have is theirs, and their own records tell of themselves."""
    rig = Rig(ledger, metrics)
    twins = [interface("one", "10.0.0.1", "10.0.0.8"), interface("two", "10.0.0.1", "10.0.0.9")]
    rig.add(east=shot("10:00:00", *twins))
    rig.add(east=shot("10:05:00", *twins))
    assert rig.ends("10.0.0.1", "10.0.0.8", "10:02:00", "10:03:00") == (None, "one")
    assert rig.ends("10.0.0.9", "10.0.0.1", "10:02:00", "10:03:00") == ("two", None)
    assert rig.ends("10.0.0.1", "10.0.0.8", "10:02:00", "10:03:00", reporter="two") == ("two", "one")
    assert rig.oddities("two_owners") == 1
    rig.add(east=shot("10:10:00", *twins))
    assert rig.oddities("two_owners") == 2
    (told,) = caplog.messages
    assert told.startswith(
        "the inventory: addresses that had two owners at once: 1; for those times nobody is named (said once; "
    )


def test_what_is_gone_is_remembered_for_an_hour(ledger: Ledger, metrics: Metrics) -> None:
    """As configured here; it was seen last at 10:05, so 11:05 is the last time that it is known."""
    rig = Rig(ledger, metrics)
    rig.add(east=shot("10:00:00", WEB, LOOSE))
    rig.add(east=shot("10:05:00", WEB, LOOSE))
    for clock in ("10:15:00", "10:30:00", "10:45:00", "11:00:00", "11:05:00"):
        rig.add(east=shot(clock, WEB))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:03:00") == ("web", "loose")
    assert [row[1] for row in rig.rows("interface")] == ["web", "loose"]
    assert metrics.value("inventory_remembered", what="interfaces") == 2
    assert metrics.value("inventory_remembered", what="addresses") == 4
    rig.add(east=shot("11:05:01", WEB))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:03:00") == ("web", None)
    assert [row[1] for row in rig.rows("interface")] == ["web"]
    assert {row[1] for table in ("workload", "holding") for row in rig.rows(table)} == {1}
    assert metrics.value("inventory_remembered", what="interfaces") == 1
    assert metrics.value("inventory_remembered", what="addresses") == 2


def test_a_scope_that_nobody_asks_any_more_is_forgotten_too(ledger: Ledger, metrics: Metrics) -> None:
    rig = Rig(ledger, metrics)
    rig.add(east=shot("10:00:00", WEB), west=shot("10:00:00", interface("far", "10.7.0.1", vpc="vpc-c")))
    rig.add(east=shot("11:00:00", WEB))
    assert [row[1] for row in rig.rows("interface")] == ["web", "far"]
    rig.add(east=shot("11:00:01", WEB))
    assert [row[1] for row in rig.rows("interface")] == ["web"]


def test_an_interface_without_a_vpc(ledger: Ledger, metrics: Metrics) -> None:
    """It is being made: it has its address somewhere, and gets its VPC with the next answer."""
    rig = Rig(ledger, metrics)
    unborn = interface("unborn", "10.0.0.7", vpc=None)  # type: ignore[arg-type]  # as EC2 may answer
    rig.add(east=shot("10:00:00", WEB, unborn))
    rig.add(east=shot("10:05:00", WEB, unborn))
    assert rig.ends("10.0.0.7", "10.0.0.1", "10:02:00", "10:03:00", reporter="unborn") == ("unborn", "web")
    assert rig.ends("10.0.0.7", "10.0.0.1", "10:02:00", "10:03:00", reporter="web") == (None, "web")
    assert rig.rows("interface")[1] == (2, "unborn", None, None, None)
    rig.add(east=shot("10:10:00", WEB, interface("unborn", "10.0.0.7")))
    assert rig.rows("interface") == [(1, "web", "vpc-a", None, None), (2, "unborn", "vpc-a", None, None)]
    rig.add(east=shot("10:15:00", WEB, interface("unborn", "10.0.0.7")))
    assert rig.ends("10.0.0.7", "10.0.0.1", "10:12:00", "10:13:00", reporter="web") == ("unborn", "web")


def test_a_store_that_takes_nothing_leaves_all_as_it_was(ledger: Ledger, metrics: Metrics) -> None:
    rig = Rig(ledger, metrics)
    rig.add(east=shot("10:00:00", WEB, LOOSE))
    before, rows = rig.owners.view(), {table: rig.rows(table) for table in TABLES}
    rig.broken = True
    with pytest.raises(LedgerError, match="the disk is full"):
        rig.add(east=shot("10:05:00", WEB))
    assert rig.owners.view() is before
    assert {table: rig.rows(table) for table in TABLES} == rows
    rig.broken = False
    rig.add(east=shot("10:10:00", WEB, LOOSE))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:09:00") == ("web", "loose")


def test_nothing_is_known_before_anything_was_added(ledger: Ledger, metrics: Metrics) -> None:
    assert Rig(ledger, metrics).owners.view() is None
    assert History.empty().view().owners.height == 0
    rig = Rig(ledger, metrics)
    rig.owners.add({}, datetime(2026, 3, 1, tzinfo=UTC))
    assert rig.ends("10.0.0.50", "10.0.0.51", "10:02:00", "10:09:00") == (None, None)
