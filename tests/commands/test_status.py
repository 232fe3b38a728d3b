"""`status` beside a real ledger that a daemon would have open, and what it says of each way things can stand."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.commands.status import backfill_headline, headline, lasting
from exporter.flow import Counts, Outcome, S3Object
from exporter.ledger import BACKFILL, NAME, Ledger, State
from exporter.ledger_troubles import Trouble
from exporter.ledger_view import Part, Standing

CONFIG = """
source: {{s3: [{{bucket: logs, start: 2026-01-01}}]}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
"""
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
FIRST, SECOND = "111111111111", "222222222222"
COUNTS = "account region done under way waiting failed damaged set aside"
PACE = "account region behind oldest to do objects/min (5 min) objects/min (1 h) records/min (5 min) records/min (1 h)"
NOTHING_DONE = "done a minute: 0 objects, 0 records (5 min); 0 objects, 0 records (1 h)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


def stored(name: str, time: datetime, account: str | None = FIRST, region: str | None = "eu-west-1") -> S3Object:
    return S3Object("logs", f"AWSLogs/{name}", "e", 1_500, time, account, region)


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["status", "--config", str(folder / "config.yaml"), *arguments])


def shown(folder: Path) -> list[str]:
    """The lines that were printed, with one blank where the table has several."""
    result = run(folder)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return [" ".join(each.split()) for each in result.stdout.splitlines()]


def end(ledger: Ledger, source: S3Object, records: int, damage: str = "") -> None:
    ledger.begin(source)
    ledger.finish(Outcome(source, records=records, damage=damage))


# The whole of it ------------------------------------------------------------------------------------------------------


def test_all_is_well(folder: Path) -> None:
    now = datetime.now(UTC)
    with Ledger(folder / "state" / NAME, clock=lambda: now - timedelta(seconds=150)) as ledger:
        for minute in range(10):
            end(ledger, stored(str(minute), now - timedelta(minutes=9 + minute, seconds=30)), 1_000)
        lines = shown(folder)
    assert lines[0] == "up to date: 9 min behind; the last object ended 2 min ago"
    assert lines[1:] == [
        "",
        "objects: 10 done",
        "done a minute: 2.0 objects, 2,000 records (5 min); 0.2 objects, 167 records (1 h)",
        "",
        COUNTS,
        f"{FIRST} eu-west-1 10 0 0 0 0 0",
        "",
        PACE,
        f"{FIRST} eu-west-1 9 min - 2.0 0.2 2,000 167",
    ]


def test_all_that_can_be_wrong(folder: Path) -> None:
    now = datetime.now(UTC)
    clock = [now - timedelta(days=4, hours=1)]
    failed, aside = stored("failed", clock[0]), stored("aside", clock[0], None, None)
    with Ledger(folder / "state" / NAME, clock=lambda: clock[0]) as ledger:
        ledger.report("s3://logs/AWSLogs/", {f"AWSLogs/{SECOND}/": "access denied\x1b[2J"})
        for _ in range(5):
            ledger.begin(failed)
            ledger.fail(failed, "no connection")
            clock[0] += timedelta(days=0.76)
        assert ledger.state(failed) is State.FAILED
        clock[0] = now - timedelta(hours=3, minutes=30)
        end(ledger, stored("damaged", now - timedelta(hours=4, minutes=30)), 7, damage="breaks off")
        ledger.begin(aside)
        ledger.set_aside(aside, "no header")
        ledger.expect(stored("waiting", now - timedelta(hours=5, minutes=30), SECOND))
        ledger.begin(stored("way", now - timedelta(minutes=10, seconds=30), SECOND))
        lines = shown(folder)
    since = f"{now - timedelta(days=4, hours=1):%Y-%m-%dT%H:%M:%SZ}"
    assert lines == [
        "1 trouble; 1 object failed; 4 h behind; the last object ended 3 h ago",
        "",
        "since where what reason",
        f"{since} (4 days) s3://logs/AWSLogs/ AWSLogs/{SECOND}/ access denied\\x1b[2J",
        "",
        "objects: 1 under way, 1 waiting, 1 failed, 1 damaged, 1 set aside; the oldest to do is of 5 h ago",
        "`objects list --failed` tells which are failed, damaged or set aside, and why",
        NOTHING_DONE,
        "",
        COUNTS,
        f"{FIRST} eu-west-1 0 0 0 1 1 0",
        f"{SECOND} eu-west-1 0 1 1 0 0 0",
        "- - 0 0 0 0 0 1",
        "all 0 1 1 1 1 1",
        "",
        PACE,
        f"{FIRST} eu-west-1 4 h - 0 0 0 0",
        f"{SECOND} eu-west-1 - 5 h 0 0 0 0",
        "- - - - 0 0 0 0",
        "all 4 h 5 h 0 0 0 0",
    ]


def test_nothing_is_there_yet_and_nobody_at_work(folder: Path) -> None:
    Ledger(folder / "state" / NAME).open().close()
    assert shown(folder) == [
        "stopped? nothing has the ledger open",
        "",
        "objects: none",
        NOTHING_DONE,
    ]


def test_a_backfill_has_a_section_of_its_own(folder: Path) -> None:
    now = datetime.now(UTC)
    with (
        Ledger(folder / "state" / NAME, clock=lambda: now) as ledger,
        Ledger(folder / "state" / BACKFILL, clock=lambda: now - timedelta(minutes=3, seconds=30)) as backfill,
    ):
        end(ledger, stored("new", now - timedelta(minutes=5, seconds=30)), 1)
        for number in range(3):
            backfill.expect(stored(f"old {number}", NOON))
        end(backfill, stored("old 0", NOON), 10)
        lines = shown(folder)
        backfill.close()
        later = shown(folder)
    assert lines[0].startswith("up to date: 5 min behind; the last object ended ")
    start = lines.index("backfill under way: 1 of 3 objects done; the last object ended 3 min ago")
    assert lines[start - 1] == ""
    age = (now - NOON).days
    assert lines[start + 2] == f"objects: 1 done, 2 waiting; the oldest to do is of {age} days ago"
    assert later[start] == "backfill not running: 1 of 3 objects done; the last object ended 3 min ago"


def test_the_same_as_json(folder: Path) -> None:
    now = datetime.now(UTC)
    newest, oldest = now - timedelta(minutes=9), now - timedelta(minutes=20)
    with Ledger(folder / "state" / NAME, clock=lambda: now - timedelta(seconds=150)) as ledger:
        end(ledger, stored("done", newest), 1_000)
        ledger.begin(stored("way", oldest, None, None))
        ledger.report("inventory eu-west-1", {"eu-west-1": "denied"})
        result = run(folder, "--json")
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    told: dict[str, Any] = json.loads(result.stdout)
    ended = f"{now - timedelta(seconds=150):%Y-%m-%dT%H:%M:%S+00:00}"
    states = dict.fromkeys(("done", "under_way", "waiting", "failed", "damaged", "set_aside"), 0)
    done = {
        "records": 1_000,
        "bytes": 1_500,
        "newest": f"{newest:%Y-%m-%dT%H:%M:%S+00:00}",
        "a_minute": {"5m": {"objects": 0.2, "records": 200}, "60m": {"objects": 0.017, "records": 16.667}},
    }
    way = {"oldest_to_do": f"{oldest:%Y-%m-%dT%H:%M:%S+00:00}"}
    nothing = {
        "records": 0,
        "bytes": 0,
        "newest": None,
        "behind_seconds": None,
        "a_minute": {span: {"objects": 0, "records": 0} for span in ("5m", "60m")},
    }
    total = told.pop("total")
    first, second = told.pop("places")
    assert 540 <= first.pop("behind_seconds") == total.pop("behind_seconds") < 570
    assert 1200 <= second.pop("oldest_to_do_seconds") == total.pop("oldest_to_do_seconds") < 1230
    assert total == {"objects": {**states, "done": 1, "under_way": 1}, **done, **way}
    assert first == {
        "account": FIRST,
        "region": "eu-west-1",
        "objects": {**states, "done": 1},
        **done,
        "oldest_to_do": None,
        "oldest_to_do_seconds": None,
    }
    assert second == {"account": None, "region": None, "objects": {**states, "under_way": 1}, **nothing, **way}
    assert datetime.fromisoformat(told.pop("now")) - now < timedelta(seconds=30)
    nothing_else: dict[str, Any] = {"inventory": [], "backfill": None}
    trouble = {"scope": "inventory eu-west-1", "what": "eu-west-1", "since": ended, "reason": "denied"}
    assert told == {"running": True, "ended": ended, "troubles": [trouble], "filter": [], **nothing_else}


def test_what_is_not_over_yet_is_no_seconds_old(folder: Path) -> None:
    """An object's time may lie ahead of this machine's clock."""
    with Ledger(folder / "state" / NAME) as ledger:
        end(ledger, stored("ahead", datetime.now(UTC) + timedelta(minutes=1)), 1)
        told = json.loads(run(folder, "--json").stdout)
    assert told["total"]["behind_seconds"] == 0


# The inventory --------------------------------------------------------------------------------------------------------


def answer(ledger: Ledger, number: int, name: str, taken: datetime) -> None:
    seconds = int(taken.timestamp())
    row = (number, name, seconds, seconds, '{"list":[]}', '{"list":[]}')
    ledger.remember({"scope": [row]}, {})


INVENTORIES = "account region inventory reason"
DENIED = "EC2 in us-east-1 for the account 222222222222 refuses"


def asked(ledger: Ledger, now: datetime) -> None:
    """Three that are asked: one answers, one does no longer, one never did; and a file."""
    answer(ledger, 1, f"{FIRST} eu-west-1", now - timedelta(minutes=4, seconds=30))
    answer(ledger, 2, f"{SECOND} us-east-1", now - timedelta(hours=5, minutes=30))
    answer(ledger, 3, "~ file 2026-03-01T12:00:00Z 1a2b3c4d", now - timedelta(days=9))
    faults = {f"{SECOND} us-east-1": DENIED, f"{SECOND} us-west-2": "no answer", "organization": "not allowed"}
    ledger.report("inventory", faults)


def test_the_inventory_by_account_and_region(folder: Path) -> None:
    now = datetime.now(UTC)
    with Ledger(folder / "state" / NAME) as ledger:
        asked(ledger, now)
        lines = shown(folder)
    assert lines[0] == "3 troubles"
    assert lines[-5:] == [
        "",
        INVENTORIES,
        f"{SECOND} us-west-2 - no answer",
        f"{SECOND} us-east-1 5 h {DENIED}",
        f"{FIRST} eu-west-1 4 min",
    ]
    assert [line.partition(" (")[2] for line in lines[3:6]] == [
        f"0 s) inventory {SECOND} us-east-1 {DENIED}",
        f"0 s) inventory {SECOND} us-west-2 no answer",
        "0 s) inventory organization not allowed",
    ]


def test_of_many_that_are_well_the_oldest_are_shown_and_the_rest_is_counted(folder: Path) -> None:
    """25 that answer, the first 5 h ago and each one a minute later; and one that does not."""
    now = datetime.now(UTC)
    with Ledger(folder / "state" / NAME) as ledger:
        for minute in range(25):
            age = timedelta(hours=5, seconds=-60 * minute + 30)
            answer(ledger, minute + 1, f"{SECOND} region-{(minute * 7) % 25:02}", now - age)
        answer(ledger, 26, f"{FIRST} eu-west-1", now - timedelta(seconds=30))
        ledger.report("inventory", {f"{FIRST} eu-west-1": DENIED})
        lines = shown(folder)
    start = lines.index(INVENTORIES)
    assert lines[start + 1].startswith(f"{FIRST} eu-west-1 3")
    assert lines[start + 1].endswith(DENIED)
    regions = [(minute * 7) % 25 for minute in range(20)]
    assert [line.split()[1] for line in lines[start + 2 : -1]] == [f"region-{each:02}" for each in regions]
    assert lines[-1] == "and 5 more, the oldest 4 h old"


def test_twenty_that_are_well_need_no_such_line(folder: Path) -> None:
    with Ledger(folder / "state" / NAME) as ledger:
        for number in range(20):
            answer(ledger, number + 1, f"{SECOND} region-{number:02}", datetime.now(UTC))
        lines = shown(folder)
    assert len(lines) - lines.index(INVENTORIES) == 21
    assert lines[-1].startswith(f"{SECOND} region-19 ")


def test_more_faults_than_the_ledger_names_are_counted(folder: Path) -> None:
    """103 that never answered: the ledger keeps 100 of them by name."""
    with Ledger(folder / "state" / NAME) as ledger:
        answer(ledger, 1, f"{FIRST} eu-west-1", datetime.now(UTC) - timedelta(minutes=4, seconds=30))
        ledger.report("inventory", {f"{SECOND} region-{number:03}": "no answer" for number in range(103)})
        lines = shown(folder)
    start = lines.index(INVENTORIES)
    assert lines[start + 1 :] == [
        *(f"{SECOND} region-{number:03} - no answer" for number in range(100)),
        f"{FIRST} eu-west-1 4 min",
        "and 3 more without an answer",
    ]


def test_the_inventory_of_the_program_s_own_account(folder: Path) -> None:
    with Ledger(folder / "state" / NAME) as ledger:
        answer(ledger, 1, "eu-west-1", datetime.now(UTC) - timedelta(seconds=70))
        lines = shown(folder)
    assert lines[-2] == INVENTORIES
    assert lines[-1] in {"- eu-west-1 70 s", "- eu-west-1 71 s"}


def test_an_inventory_that_is_off_is_not_shown(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder) + "enrich: {ec2: {enabled: false}}\n")
    with Ledger(folder / "state" / NAME) as ledger:
        asked(ledger, NOON)
        assert INVENTORIES not in shown(folder)


def test_the_inventory_as_json(folder: Path) -> None:
    now = datetime.now(UTC)
    with Ledger(folder / "state" / NAME) as ledger:
        asked(ledger, now)
        answer(ledger, 4, "eu-west-1", now)
        told = json.loads(run(folder, "--json").stdout)["inventory"]
    ages = [each.pop("age_seconds") for each in told]
    assert [age and age // 60 for age in ages] == [4, 330, None, 0]
    first, second = (f"{now - age:%Y-%m-%dT%H:%M:%S+00:00}" for age in (timedelta(seconds=270), timedelta(minutes=330)))
    assert told == [
        {"account": FIRST, "region": "eu-west-1", "taken": first, "reason": None},
        {"account": SECOND, "region": "us-east-1", "taken": second, "reason": DENIED},
        {"account": SECOND, "region": "us-west-2", "taken": None, "reason": "no answer"},
        {"account": None, "region": "eu-west-1", "taken": f"{now:%Y-%m-%dT%H:%M:%S+00:00}", "reason": None},
    ]


def test_a_backfill_of_an_older_release_hides_nothing_of_the_daemon(folder: Path) -> None:
    """Its ledger is brought up to date by the next `backfill` alone."""
    with Ledger(folder / "state" / "ledger.sqlite3"):
        with closing(sqlite3.connect(folder / "state" / BACKFILL)) as database:
            database.execute("PRAGMA user_version = 4")
        lines = shown(folder)
    assert lines[0].startswith("nothing is done yet")
    assert lines[-1].startswith("backfill: the ledger ")
    assert lines[-1].endswith("`backfill` of this release bring it up to date at their start")


def test_a_backfill_as_json(folder: Path) -> None:
    Ledger(folder / "state" / NAME).open().close()
    with Ledger(folder / "state" / BACKFILL) as backfill:
        backfill.expect(stored("old", NOON))
        told = json.loads(run(folder, "--json").stdout)
    assert told["running"] is False
    assert told["backfill"]["running"] is True
    assert told["backfill"]["total"]["objects"]["waiting"] == 1


# What the filter did --------------------------------------------------------------------------------------------------

DROPPED: Counts = {
    ("internal dns", "dropped"): 12_000,
    ("health checks", "sampled out"): 900,
    ("internal dns", "would drop"): 34,
    ("nodata", "dropped"): 0,
}


def test_what_the_filter_did_by_rule(folder: Path) -> None:
    now = datetime.now(UTC)
    with Ledger(folder / "state" / NAME, clock=lambda: now - timedelta(minutes=4, seconds=30)) as ledger:
        ledger.begin(stored("a", now))
        ledger.finish(Outcome(stored("a", now), records=20_000, dropped=DROPPED))
        lines = shown(folder)
    since = f"{now - timedelta(minutes=4, seconds=30):%Y-%m-%dT%H:%M:%SZ}"
    assert lines[-5:] == [
        "",
        "filter rule dropped sampled out would drop since last",
        f"internal dns 12,000 0 34 {since} 4 min ago",
        f"health checks 0 900 0 {since} 4 min ago",
        f"nodata 0 0 0 {since} 4 min ago",
    ]


def test_what_the_filter_did_as_json(folder: Path) -> None:
    with Ledger(folder / "state" / NAME, clock=lambda: NOON) as ledger:
        ledger.begin(stored("a", NOON))
        ledger.finish(Outcome(stored("a", NOON), records=20_000, dropped=DROPPED))
        told = json.loads(run(folder, "--json").stdout)["filter"]
    times = {"since": "2026-11-03T12:00:00+00:00", "last": "2026-11-03T12:00:00+00:00"}
    assert told == [
        {"rule": "internal dns", "outcome": "dropped", "records": 12_000, **times},
        {"rule": "internal dns", "outcome": "would drop", "records": 34, **times},
        {"rule": "health checks", "outcome": "sampled out", "records": 900, **times},
        {"rule": "nodata", "outcome": "dropped", "records": 0, **times},
    ]


# Where nothing can be told --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_without_a_ledger(folder: Path, options: tuple[str, ...]) -> None:
    result = run(folder, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(result.exception) == (
        f"there is no ledger {folder}/state/{NAME} yet: is state.folder the daemon's? `run` and `once` make one"
    )
    assert not (folder / "state").exists()


def test_a_corrupt_ledger_is_told_with_what_becomes_of_it(folder: Path) -> None:
    path = folder / "state" / NAME
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    result = run(folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(result.exception) == (
        f"the ledger {path} is corrupt (file is not a database): `run` or `once` sets it aside at its start and "
        "begins anew"
    )


# The first line -------------------------------------------------------------------------------------------------------


def standing(
    *,
    behind: timedelta | None = timedelta(minutes=4),
    ended: timedelta | None = timedelta(seconds=12),
    running: bool = True,
    failed: int = 0,
    troubles: int = 0,
) -> Standing:
    objects = {State.DONE: 2, State.FAILED: failed}
    total = Part(None, None, objects, 0, 0, None if behind is None else NOON - behind, None, {})
    return Standing(
        NOON,
        running,
        None if ended is None else NOON - ended,
        total,
        [],
        [Trouble("s3://logs/", str(number), NOON, "denied") for number in range(troubles)],
    )


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (standing(), "up to date: 4 min behind; the last object ended 12 s ago"),
        (standing(behind=timedelta(minutes=30)), "up to date: 30 min behind; the last object ended 12 s ago"),
        (standing(behind=timedelta(minutes=30, seconds=1)), "30 min behind; the last object ended 12 s ago"),
        (standing(behind=None, ended=None), "nothing is done yet"),
        (standing(ended=None), "up to date: 4 min behind"),
        (standing(troubles=3), "3 troubles; the last object ended 12 s ago"),
        (standing(failed=2, troubles=1), "1 trouble; 2 objects failed; the last object ended 12 s ago"),
        (
            standing(running=False, behind=timedelta(days=2), ended=timedelta(days=3)),
            "stopped? nothing has the ledger open; 2 days behind; the last object ended 3 days ago",
        ),
    ],
)
def test_whether_all_is_well(told: Standing, line: str) -> None:
    assert headline(told) == line


def test_a_backfill_with_troubles() -> None:
    assert backfill_headline(standing(ended=None, troubles=1, failed=3)) == (
        "backfill under way: 2 of 5 objects done; 1 trouble"
    )


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=0.9), "0 s"),
        (timedelta(seconds=119.9), "119 s"),
        (timedelta(seconds=120), "2 min"),
        (timedelta(minutes=119, seconds=59), "119 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=47, minutes=59), "47 h"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_a_time_in_one_unit(span: timedelta, text: str) -> None:
    assert lasting(span) == text
