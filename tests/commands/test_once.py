"""`once` into a folder: its line and its exit status, where something is left undone above all."""

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from exporter.flow import S3Object
from exporter.ledger import Ledger
from exporter.ledger_guest import reporters
from exporter.ledger_view import look
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
FILTER = """
filter:
  dry_run: false
  nodata: drop
  rules: [{{name: small, action: drop, where: {{network.bytes: "<100"}}}}]
"""
LINES = """\
version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
2 123456789012 eni-0a 10.0.0.1 10.0.0.2 40000 443 6 3 180 1793707200 1793707260 ACCEPT OK
2 123456789012 eni-0a 10.0.0.1 10.0.0.2 40000 443 6 1 40 1793707200 1793707260 ACCEPT OK
2 123456789012 eni-0b - - - - - - - 1793707200 1793707260 - NODATA
"""


def once(
    aws: Aws, folder: Path, bucket: str, level: str = "warning", more: str = ""
) -> "subprocess.CompletedProcess[str]":
    config = folder / "config.yaml"
    config.write_text((CONFIG + more).format(bucket=bucket, url=aws.url, folder=folder, level=level))
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


def test_what_the_filter_drops_goes_nowhere_and_is_told(aws: Aws, bucket: Bucket, tmp_path: Path) -> None:
    """And who reports is remembered, the silent one too."""
    name = "123456789012_vpcflowlogs_us-east-1_fl-0a1b2c3d4e5f60718_20261103T1200Z_aaaa.log.gz"
    key = f"AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/11/03/{name}"
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=gzip.compress(LINES.encode()))
    ended = once(aws, tmp_path, bucket.name, "info", FILTER)
    assert ended.returncode == 0
    assert "1 objects, 3 records: 1 indexed" in ended.stdout
    assert "3 records in" in ended.stderr
    assert ", 2 dropped by the filter" in ended.stderr
    documents = [line for path in (tmp_path / "out").rglob("*.ndjson") for line in path.read_text().splitlines()]
    assert [json.loads(line)["network"]["bytes"] for line in documents] == [180]
    standing = look(tmp_path / "state" / "ledger.sqlite3", datetime.now(UTC))
    assert {(each.rule, each.outcome, each.records) for each in standing.filtered} == {
        ("nodata", "dropped", 1),
        ("small", "dropped", 1),
    }
    assert reporters(tmp_path / "state" / "ledger.sqlite3") == [
        ("eni-0a", 1793707200, 1793707260),
        ("eni-0b", 1793707200, 1793707260),
    ]
