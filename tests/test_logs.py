"""What stands on standard error, line by line, of a process that logs."""

import json
import re
import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys, warnings
from exporter import logs
from exporter.config import Log

logging.basicConfig(format="earlier: %(message)s")
logs.configure(Log(level=sys.argv[1], format=sys.argv[2]))
log = logging.getLogger("exporter.pipeline")
log.debug("a detail")
log.info("%s is done", "s3://logs/a")
log.warning("%s is odd", "s3://logs/a\\nb\\x1b[2Jc\\x9bd\\te \u00e9\\u202e\\ufeff")
logging.getLogger("urllib3.connectionpool").info("a call")
logging.getLogger("elastic_transport.transport").warning("a library's warning")
logging.getLogger("botocore.credentials").warning("Refreshing temporary credentials failed")
warnings.warn("an old option", stacklevel=1)
try:
    raise KeyError("srcaddr")
except KeyError:
    log.exception("a fault")
"""


def logged(level: str, form: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, level, form]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603
    assert ended.stdout == b""
    return ended.stderr.decode().split("\n")


def test_text() -> None:
    lines = logged("info", "text")
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ")
    events = [stamp.sub("", line) for line in lines if stamp.match(line)]
    assert events[:3] == [
        "INFO    exporter.pipeline: s3://logs/a is done",
        r"WARNING exporter.pipeline: s3://logs/a\x0ab\x1b[2Jc\x9bd" + "\te \u00e9" + r"\u202e\ufeff is odd",
        "WARNING elastic_transport.transport: a library's warning",
    ]
    assert events[3] == "WARNING py.warnings: <string>:15: UserWarning: an old option"
    assert events[4] == "ERROR   exporter.pipeline: a fault"
    assert lines[-2:] == ["KeyError: 'srcaddr'", ""]
    assert len(events) == 5


def test_every_line_is_json_of_ecs() -> None:
    *lines, last = logged("info", "ecs")
    assert last == ""
    events = [json.loads(line) for line in lines]
    assert [(event["log.level"], event["message"]) for event in events[:2]] == [
        ("info", "s3://logs/a is done"),
        ("warning", "s3://logs/a\nb\x1b[2Jc\x9bd\te \u00e9\u202e\ufeff is odd"),
    ]
    assert {event["log"]["logger"] for event in events} == {
        "exporter.pipeline",
        "elastic_transport.transport",
        "py.warnings",
    }
    assert events[-1]["error"]["type"] == "KeyError"
    assert all(event["ecs.version"] and re.fullmatch(r"[\d-]+T[\d:.]+Z", event["@timestamp"]) for event in events)


@pytest.mark.parametrize(("level", "count"), [("debug", 6), ("warning", 4), ("error", 1)])
def test_the_level(level: str, count: int) -> None:
    """The libraries' own are never below a warning."""
    assert len([line for line in logged(level, "ecs") if line]) == count
