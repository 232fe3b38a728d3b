"""`objects` on a real ledger that a daemon would have open."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from exporter.__main__ import app
from exporter.flow import DeadLetter, Form, Outcome, S3Object
from exporter.ledger import NAME, Ledger, State
from exporter.metrics import Metrics
from exporter.sink.dead_letter import DeadLetterFile

CONFIG = """
source: {{s3: [{{bucket: logs, start: 2026-01-01}}]}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
"""
DAY = "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/11/03/"


def stored(minute: int) -> S3Object:
    key = f"{DAY}123456789012_vpcflowlogs_eu-west-1_fl-0a_20261103T12{minute:02}Z_x.log.gz"
    return S3Object("logs", key, "e", 1234, datetime(2026, 11, 3, 12, minute, tzinfo=UTC), "123456789012", "eu-west-1")


ASIDE, DAMAGED, WAITING, DONE, UNDER_WAY = (stored(minute) for minute in (0, 5, 10, 15, 20))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG.format(folder=tmp_path))
    return tmp_path


@pytest.fixture
def ledger(folder: Path) -> Iterator[Ledger]:
    """The daemon's, with one object of each kind."""
    with Ledger(folder / "state" / NAME) as opened:
        for item in (ASIDE, DAMAGED, WAITING, DONE, UNDER_WAY):
            opened.begin(item)
        opened.set_aside(ASIDE, "no header\x1b[2J")
        opened.finish(Outcome(DAMAGED, records=5, damage="breaks off at byte 9"))
        opened.fail(WAITING, "no connection")
        opened.finish(Outcome(DONE, records=7))
        yield opened


def run(folder: Path, *arguments: str) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, ["objects", command, "--config", str(folder / "config.yaml"), *rest])


def shown(folder: Path, *arguments: str) -> list[str]:
    """The lines that a command printed, with one blank where the table has several."""
    result = run(folder, *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    return [" ".join(each.split()) for each in result.stdout.splitlines()]


def row(state: str, minute: int, reason: str = "") -> str:
    start = f"{state} 1 2026-11-03T12:{minute:02}:00Z 1,234 123456789012 eu-west-1 {stored(minute)}"
    return f"{start} {reason}".rstrip()


ROWS = [
    row("set aside", 0, "no header\\x1b[2J"),
    row("damaged", 5, "breaks off at byte 9"),
    row("undone", 10, "no connection"),
    row("under way", 20),
]
HEADS = "state attempts time size account region object reason"


def test_what_is_not_simply_done(folder: Path, ledger: Ledger) -> None:
    assert shown(folder, "list") == [HEADS, *ROWS, "1 under way, 1 undone, 1 damaged, 1 set aside"]
    assert ledger.summary().objects[State.UNDER_WAY] == 1


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("options", "rows", "sums"),
    [
        (("--failed",), ROWS[:2], "1 damaged, 1 set aside"),
        (("--state", "undone"), ROWS[2:3], "1 undone"),
        (("--state", "set-aside", "--state", "under-way"), [ROWS[0], ROWS[3]], "1 set aside, 1 under way"),
        (("--limit", "1"), ROWS[3:], "1 under way, 1 undone, 1 damaged, 1 set aside; 3 older ones are not shown, "),
    ],
)
def test_some_of_them(folder: Path, options: tuple[str, ...], rows: list[str], sums: str) -> None:
    listed = shown(folder, "list", *options)
    assert listed[1:-1] == rows
    assert listed[-1].startswith(sums)


@pytest.mark.usefixtures("ledger")
def test_there_are_none_of_a_state(folder: Path) -> None:
    assert shown(folder, "list", "--state", "failed") == ["There are no such objects."]


def test_all_is_done(folder: Path) -> None:
    with Ledger(folder / "state" / NAME):
        assert shown(folder, "list") == ["There are no objects that are not simply done."]
        assert shown(folder, "list", "--json") == []
        assert shown(folder, "retry", "--all") == ["There is nothing to try again."]


@pytest.mark.usefixtures("ledger")
def test_an_object_as_json(folder: Path) -> None:
    (line,) = run(folder, "list", "--json", "--state", "damaged").stdout.splitlines()
    assert json.loads(line) == {
        "state": "damaged",
        "attempts": 1,
        "time": "2026-11-03T12:05:00+00:00",
        "bucket": "logs",
        "key": DAMAGED.key,
        "etag": "e",
        "size": 1234,
        "account": "123456789012",
        "region": "eu-west-1",
        "reason": "breaks off at byte 9",
    }


@pytest.mark.parametrize("command", [("list",), ("retry", "--all")])
def test_without_a_ledger(folder: Path, command: tuple[str, ...]) -> None:
    result = run(folder, *command)
    assert result.exit_code == 1
    assert str(result.exception) == (
        f"there is no ledger {folder}/state/{NAME} yet: is state.folder the daemon's? `run` and `once` make one"
    )
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    ("options", "line", "undone"),
    [
        (("--failed",), "2 objects to try again: the next pass of `run` or `once` does", [ASIDE, DAMAGED]),
        (("--all",), "3 objects to try again: the next pass of `run` or `once` does", [ASIDE, DAMAGED, WAITING]),
        ((str(ASIDE),), "1 object to try again: the next pass of `run` or `once` does", [ASIDE]),
        ((WAITING.key, ASIDE.key), "2 objects to try again: the next pass of `run` or `once` does", [ASIDE, WAITING]),
    ],
)
def test_the_next_pass_takes_them(
    folder: Path, ledger: Ledger, options: tuple[str, ...], line: str, undone: list[S3Object]
) -> None:
    assert shown(folder, "retry", *options) == [line]
    assert list(ledger.waiting("logs")) == undone


def test_a_done_object_is_known_by_its_dead_letters(folder: Path, ledger: Ledger) -> None:
    assert run(folder, "retry", DONE.key).exit_code == 1
    form = Form("text", ("version",), "its header")
    DeadLetterFile(folder / "state", Metrics()).keep([DeadLetter(DONE, row, "why", "x", form) for row in (1, 2)])
    assert shown(folder, "retry", str(DONE)) == ["1 object to try again: the next pass of `run` or `once` does"]
    (again,) = ledger.waiting("logs")
    assert (again.key, again.id_prefix, again.time) == (DONE.key, DONE.id_prefix, DONE.time)
    assert (again.account, again.region) == ("123456789012", "eu-west-1")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("options", [(), ("--all", "--failed"), ("--all", "AWSLogs/x")])
def test_which_ones_has_to_be_said(folder: Path, options: tuple[str, ...]) -> None:
    result = run(folder, "retry", *options)
    assert result.exit_code == 2
    assert "which ones? name keys, or --failed, or --all: one of these" in result.stderr


@pytest.mark.parametrize("command", [("list",), ("retry", "--all"), ("retry", "AWSLogs/x")])
@pytest.mark.parametrize("fault", ["no database", "malformed"])
def test_a_corrupt_ledger_is_told_with_what_becomes_of_it(folder: Path, command: tuple[str, ...], fault: str) -> None:
    path = folder / "state" / NAME
    with Ledger(path) as ledger:
        ledger.begin(ASIDE)
        ledger.set_aside(ASIDE, "no header")
    content = path.read_bytes()
    path.write_bytes(b"no database" * 1000 if fault == "no database" else content[:4096] + b"x" * (len(content) - 4096))
    result = run(folder, *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(result.exception).startswith(f"the ledger {path} is corrupt (")
    assert str(result.exception).endswith("): `run` or `once` sets it aside at its start and begins anew")


FOREIGN = S3Object("sold", ASIDE.key, "e", 1234, ASIDE.time)


@pytest.mark.parametrize("key", [str(FOREIGN), "s3://sold/never/seen"])
def test_a_key_in_a_bucket_that_nobody_reads_is_left_as_it_is(folder: Path, ledger: Ledger, key: str) -> None:
    ledger.begin(FOREIGN)
    ledger.set_aside(FOREIGN, "no header")
    result = run(folder, "retry", str(DAMAGED), key)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(result.exception) == (
        "nothing was changed, for no source of the configuration reads the bucket sold any more, where "
        f"{key} lies: once source.s3 or source.sqs has a source for it, this can be tried again"
    )
    assert (list(ledger.waiting("sold")), list(ledger.waiting("logs"))) == ([], [])


def test_a_bare_key_is_one_of_the_buckets_that_are_read(folder: Path, ledger: Ledger) -> None:
    only_there = S3Object("sold", "only/there", "e", 1234, ASIDE.time)
    for item in (FOREIGN, only_there):
        ledger.begin(item)
        ledger.set_aside(item, "no header")
    assert shown(folder, "retry", ASIDE.key) == ["1 object to try again: the next pass of `run` or `once` does"]
    assert (list(ledger.waiting("sold")), list(ledger.waiting("logs"))) == ([], [ASIDE])
    told = str(run(folder, "retry", "only/there").exception)
    assert "no source of the configuration reads the bucket sold any more, where only/there lies" in told


@pytest.mark.parametrize(("options", "changed"), [("--failed", 2), ("--all", 3)])
def test_of_all_those_in_buckets_that_nobody_reads_are_counted(
    folder: Path, ledger: Ledger, options: str, changed: int
) -> None:
    ledger.begin(FOREIGN)
    ledger.set_aside(FOREIGN, "no header")
    left = "1 object left as before: no source of the configuration reads the bucket sold"
    result = run(folder, "retry", options)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{changed} objects to try again: the next pass of `run` or `once` does",
        left,
    ]
    assert list(ledger.waiting("sold")) == []
    result = run(folder, "retry", "--failed")
    assert (result.exit_code, result.stdout.splitlines()) == (1, [left])
