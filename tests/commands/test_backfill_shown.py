"""What is told of a back-fill's progress, in a line of the log and on a terminal."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.backfill import Amount, Progress
from exporter.commands.backfill_shown import Pace, duration, line
from exporter.ledger import State
from tests.commands.test_backfill import BODY, CONFIG, A
from tests.services.aws import Aws
from tests.source.bucket import Bucket, plain


@dataclass(slots=True)
class Clock:
    """Stands until it is moved."""

    now: float = 0.0
    records: float = 0.0

    def __call__(self) -> float:
        return self.now


def pace_of(clock: Clock) -> Pace:
    return Pace(lambda: clock.records, clock)


def test_a_line_tells_objects_bytes_records_rate_and_the_time_left() -> None:
    clock = Clock()
    pace = pace_of(clock)
    progress = Progress(earlier=Amount(10, 1_000_000))
    assert line(progress, pace) == (
        "10 of 0+ objects, 1.0 MB of 0 bytes+, 0 records, 0 records/s, time left: …; listing … 0 objects so far"
    )
    clock.now, clock.records = 10, 50_000
    progress.found, progress.ended = Amount(2_000, 200_000_000), Amount(40, 4_000_000)
    assert line(progress, pace) == (
        "50 of 2,000+ objects, 5.0 MB of 200.0 MB+, 50,000 records, 5,000 records/s, time left: …; "
        "listing … 2,000 objects so far"
    )
    progress.counted, progress.states[State.FAILED] = True, 1
    # 195 MB are left, at 0.4 MB a second.
    assert line(progress, pace) == (
        "50 of 2,000 objects, 5.0 MB of 200.0 MB, 50,000 records, 5,000 records/s, about 8 min left, 1 left undone"
    )


def test_rates_are_those_of_the_last_minute() -> None:
    clock = Clock()
    pace = pace_of(clock)
    for clock.now in range(0, 121, 10):
        clock.records += 100 if clock.now <= 60 else 1_000
        rates = pace.tell(int(clock.now) * 1_000)
    assert rates == (1_000, 100)


def test_the_first_telling_has_no_rate() -> None:
    assert pace_of(Clock()).tell(0) == (0, 0)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (3_569, "59 min"),
        (3_600, "1 h 0 min"),
        (15_060, "4 h 11 min"),
        (86_400, "1 d 0 h"),
        (1_000_000, "11 d 14 h"),
    ],
)
def test_a_duration(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_a_terminal_gets_a_bar_above_which_the_log_stands(aws: Aws, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(plain(A, "us-east-1", "20260301T0000"), body=BODY)
    bucket.put(plain(A, "us-east-1", "20260301T0005"), body=b"no flow log")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(bucket=bucket.name, url=aws.url, folder=tmp_path, level="info", layout=""))
    terminal, other_end = pty.openpty()
    command = [sys.executable, "-m", "exporter", "backfill", "--config", str(config), "--from", "2026-03-01"]
    environment = {**os.environ, **aws.environment(), "TERM": "xterm", "COLUMNS": "200"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=other_end, text=True) as process:  # noqa: S603
        os.close(other_end)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", all_of(terminal))
        output = process.stdout.read() if process.stdout else ""
    os.close(terminal)
    assert process.returncode == 0
    assert output.startswith("1 object, 1 records: 1 indexed")
    assert re.search(r"━━━ 2 of 2 objects, ", shown)
    assert "20260301T0005Z_abc.log.gz is set aside" in shown.replace("\r\n", " ")
    assert "records/s" not in output


def all_of(terminal: int) -> str:
    """What was written to a terminal until nobody holds its other end."""
    parts = []
    try:
        while part := os.read(terminal, 65_536):
            parts.append(part)
    except OSError:
        pass
    return b"".join(parts).decode()
