"""The ledger's tables: older files are brought up to date, and what is counted along is what there is."""

import logging
import random
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exporter.errors import LedgerError
from exporter.flow import Outcome, S3Object
from exporter.ledger import NAME, Ledger, State
from exporter.ledger_file import Row, open_to_write
from exporter.ledger_filtered import Filtered
from exporter.ledger_guest import RETRIED, retry, retry_keys
from exporter.ledger_rows import place_of
from exporter.ledger_schema import MIGRATIONS
from exporter.ledger_view import Part, look

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SOURCE = "s3://logs/AWSLogs/"
REGIONS = ("eu-west-1", "us-east-1", None)
FIRST = S3Object("logs", "AWSLogs/first", "e", 100, NOON, "123456789012", "us-east-1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / NAME


# Older files ----------------------------------------------------------------------------------------------------------


def old_file(path: Path, version: int) -> None:
    """A ledger as a release before wrote it: two done objects, one that is damaged, one that waits."""
    path.parent.mkdir()
    rows: list[tuple[object, ...]] = [
        ("done-1", "done", 10, None),
        ("done-2", "done", 20, None),
        ("damaged", "damaged", 5, '["k", "e", 700, "123456789012", "eu-west-1"]'),
        (FIRST.id_prefix, "undone", 0, place_of(FIRST)),
        ("local", "set aside", 0, '["l", "e", 900, null, null]'),
    ]
    with closing(open_to_write(path, NOON, MIGRATIONS[:version])) as database:
        database.execute("INSERT INTO bucket VALUES (1, 'logs')")
        database.executemany(
            "INSERT INTO object (id, bucket, state, time, records, attempts, ended, place) "
            "VALUES (?, 1, ?, ?, ?, 1, ?, ?)",
            [(name, state, NOON.timestamp(), records, NOON.timestamp(), place) for name, state, records, place in rows],
        )


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_ledger_counts_what_it_knows(path: Path, caplog: pytest.LogCaptureFixture, version: int) -> None:
    caplog.set_level(logging.INFO)
    old_file(path, version)
    with Ledger(path, clock=lambda: NOON) as ledger:
        summary = ledger.summary()
        assert summary.objects == {State.DONE: 2, State.DAMAGED: 1, State.UNDONE: 1, State.SET_ASIDE: 1}
        assert (summary.records, summary.bytes, summary.newest) == (35, 700, NOON)
        assert list(ledger.waiting("logs")) == [FIRST]
        assert ledger.begin(FIRST) == 2
        ledger.finish(Outcome(FIRST, records=3))
        parts = {(part.account, part.region): part for part in look(path, NOON).parts}
        assert ledger.prune("logs", date(2026, 11, 4)) == 3
    assert told(parts["123456789012", "us-east-1"]) == ({State.DONE: 1}, 3, 100)
    assert told(parts["123456789012", "eu-west-1"]) == ({State.DAMAGED: 1}, 5, 700)
    assert told(parts[None, None]) == ({State.DONE: 2, State.SET_ASIDE: 1}, 30, 0)
    begun, ended = (each.getMessage() for each in caplog.records)
    assert begun == f"the ledger {path} goes from version {version} to 5: 5 objects"
    assert ended.startswith(f"the ledger {path} has version 5 after 0.")


def told(part: Part) -> tuple[dict[State, int], int, int]:
    return dict(part.objects), part.records, part.bytes


def test_a_new_file_and_one_of_this_version_are_not_worth_a_word(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        with Ledger(path) as ledger:
            ledger.begin(FIRST)
            ledger.release(FIRST)
    assert caplog.records == []


def test_a_ledger_of_the_first_release_gets_a_place_for_markers(path: Path) -> None:
    path.parent.mkdir()
    with closing(open_to_write(path, NOON, MIGRATIONS[:1])) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        database.execute("INSERT INTO source (id, first_seen, floor) VALUES (?, ?, '2026-11-01')", (SOURCE, 7.5))
    with Ledger(path) as ledger:
        assert ledger.marker(SOURCE) is None
        assert ledger.floor(SOURCE) == date(2026, 11, 1)
        assert ledger.first_seen(SOURCE, NOON) == datetime.fromtimestamp(7.5, UTC)
        assert ledger.move_marker(SOURCE, "k")
        assert ledger.marker(SOURCE) == "k"


def test_a_ledger_of_the_third_version_gets_a_place_for_who_owned_what(path: Path) -> None:
    path.parent.mkdir()
    with closing(open_to_write(path, NOON, MIGRATIONS[:3])) as database:
        database.execute("INSERT INTO source (id, first_seen, floor) VALUES (?, ?, '2026-11-01')", (SOURCE, 7.5))
    one, two = (1, "eni-1", "vpc-a", None, None), (2, "eni-2", None, 5, 6)
    with Ledger(path) as ledger:
        assert list(ledger.rows("interface")) == []
        ledger.remember({"interface": [two, one]}, {})
        assert ledger.floor(SOURCE) == date(2026, 11, 1)
    with Ledger(path) as ledger:
        assert list(ledger.rows("interface")) == [one, two]
        ledger.remember({"interface": [(2, "eni-2", "vpc-a", 5, 7)]}, {"interface": [1]})
        assert list(ledger.rows("interface")) == [(2, "eni-2", "vpc-a", 5, 7)]
        with pytest.raises(LedgerError):
            ledger.remember({"interface": [(3, "eni-2", None, None, "late")]}, {"interface": [2]})
        assert list(ledger.rows("interface")) == [(2, "eni-2", "vpc-a", 5, 7)]


def test_a_ledger_of_the_fourth_version_gets_a_place_for_what_filters_dropped(path: Path) -> None:
    path.parent.mkdir()
    with closing(open_to_write(path, NOON, MIGRATIONS[:4])) as database:
        database.execute("INSERT INTO bucket VALUES (1, 'logs')")
        database.execute(
            "INSERT INTO object (id, bucket, state, time, records, attempts, ended) VALUES (?, 1, 'done', 0, 7, 1, 0)",
            (FIRST.id_prefix,),
        )
    with Ledger(path, clock=lambda: NOON) as ledger:
        assert look(path, NOON).filtered == []
        assert ledger.begin(FIRST) == 2
        ledger.finish(Outcome(FIRST, records=7, dropped={("dns", "dropped"): 3}))
        assert look(path, NOON).filtered == [Filtered("dns", "dropped", 3, NOON, NOON)]


def test_a_ledger_of_an_older_version_is_brought_up_once(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.begin(FIRST)
    steps = (*MIGRATIONS, "ALTER TABLE object ADD COLUMN colour TEXT DEFAULT 'blue'")
    for _ in range(2):
        with closing(open_to_write(path, NOON, steps)) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (6,)
            assert database.execute("SELECT id, colour FROM object").fetchall() == [(FIRST.id_prefix, "blue")]


def test_a_step_that_fails_changes_nothing(path: Path) -> None:
    Ledger(path).open().close()
    steps = (*MIGRATIONS, "ALTER TABLE object ADD COLUMN colour TEXT; SELECT 1 FROM nowhere")
    with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
        open_to_write(path, NOON, steps)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (5,)
        assert "colour" not in [row[1] for row in database.execute("PRAGMA table_info(object)")]


# What is counted along ------------------------------------------------------------------------------------------------


def counted(path: Path) -> tuple[Counter[Row], Counter[Row]]:
    """Objects, records and bytes by bucket, origin and state: as they were counted along, and as the rows have them."""
    with closing(sqlite3.connect(path)) as database:
        along = database.execute("SELECT bucket, origin, state, objects, records, bytes FROM tally WHERE objects > 0")
        rows = database.execute(
            "SELECT bucket, origin, state, count(*), sum(records), sum(bytes) FROM object GROUP BY 1, 2, 3"
        )
        return Counter(along.fetchall()), Counter(rows.fetchall())


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_are_those_of_the_rows_whatever_happens(path: Path, seed: int) -> None:
    chance, now = random.Random(seed), [NOON]  # noqa: S311 - a test's
    items = [
        S3Object(f"b{n % 2}", f"k{n}", "e", n, NOON - timedelta(hours=n), "123456789012", REGIONS[n % 3])
        for n in range(40)
    ]
    with Ledger(path, clock=lambda: now[0]) as ledger:
        for _ in range(400):
            now[0] += timedelta(minutes=chance.randrange(200))
            one_thing(chance, ledger, chance.choice(items), path)
        along, rows = counted(path)
        assert along == rows
        assert sum(ledger.summary().objects.values()) == sum(row[3] for row in rows)
        ledger.prune("b0", date(2027, 12, 1))
        ledger.prune("b1", date(2027, 12, 1))
        now[0] += timedelta(days=91)
        for bucket in ("b0", "b1"):
            ledger.prune(bucket, date(2027, 12, 1))
        assert ledger.summary().objects.keys() <= {State.UNDONE, State.UNDER_WAY}
    along, rows = counted(path)
    assert along == rows
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM tally WHERE min(objects, records, bytes) < 0").fetchone() == (0,)
        assert database.execute("SELECT max(minute) - min(minute) <= 70 FROM minute").fetchone() == (1,)


def one_thing(chance: random.Random, ledger: Ledger, item: S3Object, path: Path) -> None:
    """Anything that a daemon or a command does to an object."""
    match chance.randrange(9):
        case 0:
            ledger.expect(item)
        case 1:
            retry(path, RETRIED)
        case 2:
            retry_keys(path, {item.key: [item]}) if ledger.state(item) is State.DONE else None
        case 3:
            ledger.prune(item.bucket, item.time.date())
        case 4:
            ledger.begin(item)
            ledger.finish(Outcome(item, records=chance.randrange(100), damage=chance.choice(["", "breaks off"])))
        case 5:
            ledger.begin(item)
            ledger.set_aside(item, "no header")
        case 6:
            ledger.begin(item)
            ledger.fail(item, "no connection")
        case _:
            ledger.begin(item)
            ledger.finish(Outcome(item, records=chance.randrange(100)))


@pytest.mark.parametrize("seed", range(3))
def test_what_filters_dropped_is_what_the_objects_last_were(path: Path, seed: int) -> None:
    """Whatever was done before, and whether or not the object is still remembered."""
    chance = random.Random(seed)  # noqa: S311 - a test's
    items = [S3Object("logs", f"k{n}", "e", n, NOON - timedelta(hours=n)) for n in range(10)]
    last: dict[str, dict[tuple[str, str], int]] = {}
    with Ledger(path, clock=lambda: NOON) as ledger:
        for _ in range(200):
            item = chance.choice(items)
            ledger.begin(item)
            match chance.randrange(6):
                case 0:
                    ledger.fail(item, "no connection")
                case 1:
                    ledger.release(item)
                case 2:
                    ledger.set_aside(item, "gone")
                case _:
                    keys = [(rule, what) for rule in ("a", "b") for what in ("dropped", "would drop")]
                    last[item.key] = {key: chance.randrange(1, 9) for key in keys if chance.random() < 0.4}
                    damage = chance.choice(["", "breaks off"])
                    ledger.finish(Outcome(item, records=9, damage=damage, dropped=last[item.key]))
            if chance.random() < 0.2:
                retry(path, RETRIED)
        sums = Counter[tuple[str, str]]()
        for counts in last.values():
            sums.update(counts)
        ledger.prune("logs", date(2026, 12, 1))
    assert {(each.rule, each.outcome): each.records for each in look(path, NOON).filtered if each.records} == sums


def test_a_look_costs_no_look_at_what_is_done(path: Path) -> None:
    """Only index searches on objects: ten million of them cost what ten do."""
    statements: list[str] = []
    with Ledger(path) as ledger:
        database = ledger._database  # noqa: SLF001  only the connection knows what was asked
        assert database is not None
        database.set_trace_callback(statements.append)
        ledger.summary()
        ledger.kept()
        ledger.interrupted()
        database.set_trace_callback(None)
        plans = [str(row[3]) for each in statements for row in database.execute(f"EXPLAIN QUERY PLAN {each}")]
    objects: list[str] = [plan for plan in plans if " object" in plan]
    assert len(objects) >= 4
    assert all("INDEX kept" in plan or "INDEX done (bucket=? AND origin=?)" in plan for plan in objects), objects
