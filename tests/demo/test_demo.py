"""`make demo` on few records: every step works, and the summary at its end has its figures."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.services.elasticsearch import Cluster

ROOT = Path(__file__).parents[2]
RECORDS = 3000


def demo(**environment: str) -> str:
    """What the demo prints, on a fresh AWS of its own."""
    unset = ("ELASTICSEARCH_", "AWS_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    ended = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**own, "DEMO_RECORDS": str(RECORDS), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr.count("Traceback")) == (0, 0), ended.stdout + ended.stderr
    return ended.stdout


def figures(printed: str) -> dict[str, str]:
    """The lines of the summary: name, two blanks or more, figure."""
    lines = (re.fullmatch(r"  ([a-z ]+?) {2,}(\S.*?) *", line) for line in printed.splitlines())
    return {line[1]: line[2] for line in lines if line}


def rows(printed: str, title: str) -> list[list[str]]:
    """A table's rows, between its column heads and the next empty line."""
    lines = printed.split(f"\n{title}", 1)[1].splitlines()[2:]
    end = next(number for number, line in enumerate(lines) if not line.strip())
    return [line.split() for line in lines[:end]]


def check(printed: str) -> None:
    shown = figures(printed)
    records = int(shown["records"].replace(",", ""))
    assert int(shown["objects"]) >= 12  # an hour, five minutes an object
    assert records > RECORDS  # the incidents come on top
    assert (
        f"{shown['objects']} objects, {records} records: {records} indexed, 0 there already, 0 dead letters" in printed
    )
    assert re.fullmatch(r"[\d,]+ records a second, start and EC2 included", shown["rate"])
    for end in ("source", "destination"):
        known = re.fullmatch(r"([\d.]+) % of [\d,]+ inside", shown[f"{end} ends known"])
        assert known
        assert float(known[1]) > 90
    talkers, rejected = rows(printed, "top talkers"), rows(printed, "top rejected sources")
    assert len(talkers) == len(rejected) == 8
    assert all(re.search(r" [\d.]+ ([kMG]B|B) ", f" {' '.join(row)} ") for row in talkers)


def test_into_a_folder() -> None:
    printed = demo()
    check(printed)
    files = list((ROOT / "demo" / "out" / "documents").rglob("*.ndjson"))
    written = sum(len(path.read_bytes().splitlines()) for path in files)
    assert f"{written:,}" == figures(printed)["records"]
    assert "The documents are in demo/out/documents, one file an object." in printed


def test_into_elasticsearch(elasticsearch: Cluster) -> None:
    user, password = elasticsearch.basic_auth or ("", "")
    printed = demo(
        ELASTICSEARCH_URL=elasticsearch.url,
        ELASTICSEARCH_USERNAME=user,
        ELASTICSEARCH_PASSWORD=password,
        DEMO_ALLOW_PLAINTEXT="true",
    )
    check(printed)
    assert f"The documents are in the data stream logs-aws.vpcflow-demo of {elasticsearch.url}" in printed
