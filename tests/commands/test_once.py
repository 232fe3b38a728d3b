"""`once` into a folder: its line and its exit status, where something is left undone above all."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from exporter.flow import S3Object
from exporter.ledger import Ledger
from tests.services.aws import Aws
from tests.source.bucket import Bucket

NOTHING = "0 objects, 0 records: 0 indexed, 0 there already, 0 dead letters; 0 objects damaged, 0 set aside, "
CONFIG = """
source: {{s3: [{{bucket: {bucket}, start: 2026-01-01}}]}}
aws: {{endpoint_url: {url}, region: us-east-1}}
enrich: {{ec2: {{enabled: false}}}}
output: {{files: {{folder: {folder}/out}}}}
state: {{folder: {folder}/state}}
log: {{level: {level}}}
"""


def once(aws: Aws, folder: Path, bucket: str, level: str = "warning") -> "subprocess.CompletedProcess[str]":
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(bucket=bucket, url=aws.url, folder=folder, level=level))
    command = [sys.executable, "-m", "exporter", "once", "--config", str(config)]
    environment = {**os.environ, **aws.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603


def test_the_sum_is_told_at_every_level_of_the_log(aws: Aws, bucket: Bucket, tmp_path: Path) -> None:
    ended = once(aws, tmp_path, bucket.name, "error")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{NOTHING}0 left undone\n", "")


def test_what_an_earlier_run_left_undone_counts_though_its_time_has_not_come(
    aws: Aws, bucket: Bucket, tmp_path: Path
) -> None:
    waiting = S3Object(bucket.name, "AWSLogs/1/a.log.gz", "e", 1, datetime.now(UTC))
    (tmp_path / "state").mkdir()
    with Ledger(tmp_path / "state" / "ledger.sqlite3") as ledger:
        ledger.begin(waiting)
        ledger.fail(waiting, "no connection")
    ended = once(aws, tmp_path, bucket.name)
    assert (ended.returncode, ended.stdout) == (1, f"{NOTHING}1 left undone\n")


def test_a_source_that_cannot_be_listed(aws: Aws, tmp_path: Path) -> None:
    ended = once(aws, tmp_path, "no-such-bucket")
    assert (ended.returncode, ended.stdout) == (1, f"{NOTHING}0 left undone; 1 sources not gone through whole\n")
    assert (
        "the pass over s3://no-such-bucket/AWSLogs/ is not whole: could not list s3://no-such-bucket/" in ended.stderr
    )
    assert "Traceback" not in ended.stderr
