"""`run` where something is in its way: an output that is not there, a request that hangs, an address that is taken."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.aws import Aws
from tests.source.bucket import Bucket

CONFIG = """
source: {{s3: [{{bucket: {bucket}, start: 2026-01-01}}]}}
aws: {{endpoint_url: {url}, region: us-east-1}}
enrich: {{ec2: {{enabled: {inventory}}}}}
output: {{{output}}}
state: {{folder: {folder}/state}}
grace: 1s
metrics: {{listen: "127.0.0.1:{port}"}}
"""


@contextmanager
def running(  # noqa: PLR0913 - each is an option
    folder: Path, url: str, *, bucket: str = "logs", inventory: bool = False, output: str = "", port: int = 0
) -> Iterator["subprocess.Popen[str]"]:
    config, output = folder / "config.yaml", output or f"files: {{folder: {folder}/out}}"
    config.write_text(
        CONFIG.format(bucket=bucket, url=url, inventory=str(inventory).lower(), output=output, folder=folder, port=port)
    )
    command = [sys.executable, "-m", "exporter", "run", "--config", str(config)]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.kill()


def until(process: "subprocess.Popen[str]", what: str) -> str:
    """The first line of the log that holds `what`."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if what in line:
            return line
    raise AssertionError(f"no line with {what!r} in {seen}")


def stopped(process: "subprocess.Popen[str]") -> tuple[float, str]:
    """How many seconds it takes from SIGTERM to its end, and what it logs meanwhile."""
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    return time.monotonic() - asked, log


@pytest.fixture
def deaf() -> Iterator[tuple[str, Callable[[], object]]]:
    """A server that takes connections and never answers: its address, and what waits for a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        held: list[socket.socket] = []
        yield f"http://127.0.0.1:{server.getsockname()[1]}", lambda: held.append(server.accept()[0])
        for connection in held:
            connection.close()


@pytest.mark.parametrize("inventory", [False, True])
def test_a_request_that_hangs_holds_nothing_beyond_the_grace_time(
    inventory: bool,  # noqa: FBT001 - a table's column
    deaf: tuple[str, Callable[[], object]],
    tmp_path: Path,
) -> None:
    """In the poll's thread, or, the inventory being asked for first, in the main one."""
    url, connected = deaf
    with running(tmp_path, url, inventory=inventory) as process:
        connected()
        seconds, log = stopped(process)
    assert process.returncode == 0
    assert 2.9 <= seconds < 8  # a second of grace, two to tidy up
    assert "SIGTERM: stopping; what is under way has 1 s to end" in log
    assert "the grace time is over: what is under way is left for the next start" in log
    assert "Traceback" not in log


def test_an_output_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    output = f"elasticsearch: {{hosts: ['http://127.0.0.1:{nobody}']}}"
    with running(tmp_path, "http://127.0.0.1:9", output=output) as process:
        line = until(process, "the output is not there yet")
        seconds, log = stopped(process)
    assert re.search(r"and asked again in \d+\.\d s: logs-aws\.vpcflow-exporter: connection: ", line)
    assert (process.returncode, seconds < 5) == (0, True)
    assert "stopped before all was there that is needed" in log
    assert "Traceback" not in log


def test_metrics_are_served_on_a_free_port_and_given_back(aws: Aws, bucket: Bucket, tmp_path: Path) -> None:
    with running(tmp_path, aws.url, bucket=bucket.name) as process:
        line = until(process, "metrics are at ")
        url = line.split()[-1]
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=10) as answer:
            text = answer.read().decode()
        assert "# HELP vpcflow_objects_total Objects by what became of them." in text
        seconds, log = stopped(process)
    assert (process.returncode, seconds < 5) == (0, True)
    assert "0 objects were done" in log


def test_a_port_that_is_taken_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, "http://127.0.0.1:9", port=port) as process:
            _, log = process.communicate(timeout=30)
    assert process.returncode == 2
    assert log.endswith(
        f"the configuration has 1 fault:\n  metrics.listen  127.0.0.1:{port} cannot be had: Address already in use\n"
    )
