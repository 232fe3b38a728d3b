"""`backfill` into a folder: what of a bucket it takes, what it prints, where it goes on, and its exit status."""

import fcntl
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.__main__ import main
from exporter.flow import Outcome, S3Object
from exporter.ledger import NAME, Ledger
from tests.services.aws import Aws
from tests.source.bucket import Bucket, plain
from tests.source.faulty import Fault, faulty

A, B = "111111111111", "222222222222"
EAST, WEST = "us-east-1", "us-west-2"
V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
BODY = f"{V2}\n2 {A} eni-1 10.0.0.1 10.0.0.2 1 2 6 1 40 1793696400 1793696459 ACCEPT OK\n".encode()
CONFIG = """
source: {{s3: [{{bucket: {bucket}{layout}}}], describe_flow_logs: false}}
aws: {{endpoint_url: {url}, region: us-east-1}}
enrich: {{ec2: {{enabled: false}}}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
log: {{level: {level}}}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    returncode: object
    stdout: str
    stderr: str


@dataclass(slots=True)
class Program:
    """The command on one bucket and folder, in this process."""

    bucket: Bucket
    folder: Path
    capsys: pytest.CaptureFixture[str]
    url: str
    layout: str = ""
    level: str = "warning"

    def run(self, *options: str) -> Ended:
        config = self.folder / "config.yaml"
        given = {"bucket": self.bucket.name, "layout": self.layout, "folder": self.folder, "level": self.level}
        config.write_text(CONFIG.format(url=self.url, **given))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["vpcflow-exporter", "backfill", "--config", str(config), *options])
            with pytest.raises(SystemExit) as ended:
                main()
        return Ended(ended.value.code, *self.capsys.readouterr())

    @property
    def out(self) -> list[str]:
        """What was sent, by the stamps in the keys."""
        return sorted(re.findall(r"_(\d{8}T\d{4})Z_", " ".join(map(str, (self.folder / "out").rglob("*.ndjson*")))))


@pytest.fixture
def program(
    aws: Aws, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Program:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    return Program(bucket, tmp_path, capsys, aws.url)


def told(indexed: int, earlier: int = 0, *, undone: int = 0) -> str:
    objects = f"{indexed} object{'s' * (indexed != 1)}"
    return (
        f"{objects}, {indexed} records: {indexed} indexed, 0 there already, 0 dead letters; 0 objects damaged, "
        f"0 set aside, {undone} left undone; {earlier} done by earlier back-fills\n"
    )


def test_a_range_is_sent_from_the_file_that_has_its_first_records_and_once(program: Program, bucket: Bucket) -> None:
    stamps = ["20260301T0550", "20260301T0555", "20260301T0600", "20260302T0000", "20260302T2355", "20260303T0000"]
    bucket.put(*(plain(A, EAST, stamp) for stamp in stamps), body=BODY)
    day = ("--from", "2026-03-01T05:57", "--to", "2026-03-03")

    first = program.run(*day)
    assert (first.returncode, first.stdout) == (0, told(4)), first.stderr
    assert program.out == stamps[1:5]

    second = program.run(*day)
    assert (second.returncode, second.stdout) == (0, told(0, 4))
    third = program.run(*day, "--again")
    assert (third.returncode, third.stdout) == (0, told(4))
    wider = program.run("--from", "2026-03-01", "--workers", "1")
    assert (wider.returncode, wider.stdout) == (0, told(2, 4))
    assert program.out == stamps


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (("--account", A), ["0000", "0005", "0010"]),
        (("--account", A, "--account", B), ["0000", "0005", "0010", "0015"]),
        (("--region", WEST), ["0005"]),
        (("--account", A, "--flow-log", "fl-0a1b2c3d"), ["0010"]),
        (("--account", "333333333333"), []),
    ],
)
def test_only_what_is_chosen_is_sent(
    program: Program, bucket: Bucket, options: tuple[str, ...], sent: list[str]
) -> None:
    bucket.put(
        plain(A, EAST, "20260301T0000"),
        plain(A, WEST, "20260301T0005"),
        plain(A, EAST, "20260301T0010", log="fl-0a1b2c3d"),
        plain(B, EAST, "20260301T0015"),
        body=BODY,
    )
    ended = program.run("--from", "2026-03-01", *options)
    assert (ended.returncode, ended.stdout) == (0, told(len(sent)))
    assert program.out == [f"20260301T{time}" for time in sent]


def test_in_any_other_layout_the_time_is_when_an_object_was_stored(program: Program, bucket: Bucket) -> None:
    program.layout = ", layout: any"
    bucket.put(f"flows/{A}_vpcflowlogs_{EAST}_fl-0a1b_20200101T0000Z_a.log.gz", "flows/b.log", body=BODY)
    assert program.run("--from", "2020-01-01", "--to", "2020-01-02").stdout == told(0)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert program.run("--from", today, "--account", A).stdout == told(1)
    assert program.run("--from", today).stdout == told(1, 1)


def test_a_dry_run_sends_nothing_and_tells_how_much_it_is(program: Program, bucket: Bucket) -> None:
    bucket.put(*(plain(A, EAST, f"20260301T00{minute:02}") for minute in range(0, 60, 5)), body=b"x" * 75_000)
    ended = program.run("--from", "2026-03-01", "--dry-run")
    assert (ended.returncode, ended.stdout) == (
        0,
        (
            "12 objects, 900.0 kB\n"
            "to send: about 12,000 records (75 bytes each: assumed), about 2 s (5,000 records a second: assumed)\n"
        ),
    )
    assert not (program.folder / "state" / "backfill.sqlite3").exists()

    with Ledger(program.folder / "state" / NAME) as ledger:  # the daemon's knows what its own objects held
        done = S3Object("other", "k", "e", 1_000, datetime(2026, 3, 1, tzinfo=UTC))
        ledger.begin(done)
        ledger.finish(Outcome(done, records=40))
    assert (
        "about 36,000 records (25 bytes each: as in what is done)"
        in program.run("--from", "2026-03-01", "--dry-run").stdout
    )


def test_a_dry_run_knows_what_was_done(program: Program, bucket: Bucket) -> None:
    bucket.put(*(plain(A, EAST, f"20260301T000{minute}") for minute in (0, 5)), body=BODY)
    assert program.run("--from", "2026-03-01", "--to", "2026-03-01T00:05").stdout == told(1)
    lines = program.run("--from", "2026-03-01", "--dry-run").stdout.splitlines()
    size = len(BODY)
    assert lines[:2] == [f"2 objects, {2 * size} bytes", f"1 object of these, {size} bytes, done by earlier back-fills"]
    assert lines[2].startswith(f"to send: about 1 records ({size} bytes each: as in what is done), about 0 s")


@pytest.mark.parametrize(("options", "first", "logged"), [((), told(1), 1), (("--dry-run",), "1 object, ", 0)])
def test_a_denied_folder_is_named_and_the_others_are_sent(
    program: Program, bucket: Bucket, options: tuple[str, ...], first: str, logged: int
) -> None:
    bucket.put(plain(A, EAST, "20260301T0000"), plain(B, EAST, "20260301T0005"), body=BODY)
    with faulty(program.url) as proxy:
        proxy.always = [Fault(f"{A}%2Fvpcflowlogs%2F&", refuse=(403, "AccessDenied"))]
        program.url = proxy.url
        ended = program.run("--from", "2026-03-01", *options)
    assert ended.returncode == 1
    assert ended.stdout.startswith(first)
    why = f"could not list s3://{bucket.name}/AWSLogs/{A}/vpcflowlogs/: AccessDenied: as told"
    assert f"not gone through whole: AWSLogs/{A}/vpcflowlogs/: {why}" in ended.stdout
    assert ended.stderr.count("AccessDenied") == logged


def test_an_object_that_fails_is_named_and_the_next_run_tries_it_at_once(program: Program, bucket: Bucket) -> None:
    bad, good = plain(A, EAST, "20260301T0000"), plain(A, EAST, "20260301T0005")
    bucket.put(bad, good, body=BODY)
    direct = program.url
    with faulty(direct) as proxy:
        proxy.always = [Fault(f"{bucket.name}/{bad}", refuse=(403, "AccessDenied"))]
        program.url = proxy.url
        ended = program.run("--from", "2026-03-01")
    assert ended.returncode == 1
    assert ended.stdout.startswith(told(1, undone=1))
    assert (
        f"left undone: s3://{bucket.name}/{bad}: could not read s3://{bucket.name}/{bad}: AccessDenied" in ended.stdout
    )
    program.url = direct
    assert program.run("--from", "2026-03-01").stdout == told(1, 1)


def test_a_second_back_fill_on_the_folder_is_refused(program: Program) -> None:
    path = program.folder / "state" / "backfill.sqlite3.lock"
    path.parent.mkdir()
    with path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = program.run("--from", "2026-03-01")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "a back-fill is under way on this state folder" in ended.stderr


def test_it_runs_beside_a_daemon(program: Program, bucket: Bucket) -> None:
    bucket.put(plain(A, EAST, "20260301T0000"), body=BODY)
    with Ledger(program.folder / "state" / NAME):
        assert program.run("--from", "2026-03-01").stdout == told(1)


def test_the_log_tells_how_far_it_is_and_no_object_that_went_well(program: Program, bucket: Bucket) -> None:
    program.level = "info"
    bucket.put(plain(A, EAST, "20260301T0000"), body=BODY)
    log = program.run("--from", "2026-03-01").stderr
    size = len(BODY)
    assert f"1 of 1 objects, {size} bytes of {size} bytes, 1 records, " in log
    assert "log.gz" not in log


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ((), "--from"),
        (("--from", "yesterday"), "expected a time from 2015 to 2099"),
        (("--from", "1999-01-01"), "expected a time from 2015 to 2099"),
        (("--from", "2026-03-02", "--to", "2026-03-02"), "is not before"),
        (("--from", "2026-03-01", "--account", "12"), "expected 12 digits"),
        (("--from", "2026-03-01", "--flow-log", "fl-x"), "expected a flow log's id"),
        (("--from", "2026-03-01", "--bucket", "elsewhere"), "source.s3 has no bucket elsewhere"),
    ],
)
def test_options_that_say_nothing_useful_are_refused(program: Program, options: tuple[str, ...], fault: str) -> None:
    ended = program.run(*options)
    assert ended.returncode == 2
    assert fault in " ".join(ended.stderr.replace("│", " ").split())
