"""Makes a small AWS on loopback, lets the program do its main job there once, and shows the result.

Each step is a command that works the same on a real account; only the configuration knows that this one is embedded.
Where ELASTICSEARCH_URL is set, the documents go there instead of into a folder.
"""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from demo.summary import of_elasticsearch, of_files
from demo.world import REGION, make_network
from tests.services.aws import Aws, aws
from tests.services.clock import clock

HERE = Path(__file__).parent
OUT = HERE / "out"
BUCKET = "demo-flow-logs"
RECORDS = int(os.environ.get("DEMO_RECORDS", "200000"))
console = Console(width=None if sys.stdout.isatty() else 120)


def main() -> None:
    """Runs the demo from its first step to its summary."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    console.print(f"[bold]1/4[/] an embedded AWS on loopback: a bucket and a network of EC2 ({REGION})")
    with aws() as cloud, clock(cloud.url) as aws_clock:
        aws_clock.set(datetime.now(UTC) - timedelta(hours=3))  # the network is older than the traffic in it
        make_network(cloud, BUCKET, OUT / "inventory.json")
        aws_clock.set(datetime.now(UTC))
        environment = {**os.environ, **Aws(aws_clock.url).environment(REGION), **_settings()}
        _generate(cloud, environment)
        target = os.environ.get("ELASTICSEARCH_URL")
        config = HERE / ("config-elasticsearch.yaml" if target else "config.yaml")
        console.print(f"[bold]3/4[/] the daemon's job, once: vpcflow-exporter once --config demo/{config.name}")
        if target:
            _command(["setup", "--config", str(config)], environment)
        since, began = datetime.now(UTC), time.monotonic()
        _command(["once", "--config", str(config)], environment)
        seconds = time.monotonic() - began
    console.print("[bold]4/4[/] what came out\n")
    if target:
        of_elasticsearch(console, target, seconds, since)
    else:
        of_files(console, OUT / "documents", seconds)


def _settings() -> dict[str, str]:
    """What the configuration takes from the environment."""
    start = datetime.now(UTC) - timedelta(hours=2)
    return {"DEMO_BUCKET": BUCKET, "DEMO_FOLDER": str(OUT), "DEMO_START": start.isoformat(timespec="seconds")}


def _generate(cloud: Aws, environment: dict[str, str]) -> None:
    console.print(f"[bold]2/4[/] an hour of traffic with every incident in it: {RECORDS:,} records and more")
    arguments = ["generate", "--to", f"s3://{BUCKET}", "--endpoint-url", cloud.url, "--records", str(RECORDS)]
    _command([*arguments, "--incident", "all", "--inventory", str(OUT / "inventory.json")], environment)


def _command(arguments: list[str], environment: dict[str, str]) -> None:
    """One command of the program, as a user runs it; the demo ends where it fails."""
    ended = subprocess.run([sys.executable, "-m", "exporter", *arguments], env=environment, check=False)  # noqa: S603
    if ended.returncode:
        sys.exit(f"the demo stops: vpcflow-exporter {arguments[0]} ended with status {ended.returncode}")


if __name__ == "__main__":
    main()
