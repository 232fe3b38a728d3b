"""A bucket, a data stream and a state folder of one's own, and the daemon on them."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from elasticsearch import Elasticsearch

from exporter.ledger import NAME
from tests.delivery.daemon import Daemon, DaemonError
from tests.delivery.objects import REGION, Bucket
from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster

VISIBILITY = 30
"""Seconds after which what a dead replica had comes to another one: the least that the program takes."""

NO_SUCH_CALL = (400, 404, 405)
"""A server put together from Maven cannot delete a data stream: there it goes with the server."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What differs between worlds: names as in config.example.yaml.

    Requests are small, so that an object is many of them and a kill falls between two.
    """

    workers: int = 2
    requests_in_flight: int = 2
    request_bytes: str = "256KiB"
    timeout: str = "5s"
    grace: str = "1s"
    queue: str | None = None
    """The URL of a queue, which then stands in the place of the polled bucket."""
    inventory: bool = False


@dataclass(slots=True)
class World:
    """`aws_url` and `elasticsearch_url` are the ways that the daemon takes; tests go straight to the servers."""

    aws: Aws
    cluster: Cluster
    folder: Path
    settings: Settings = field(default_factory=Settings)
    namespace: str = field(default_factory=lambda: f"delivery{secrets.token_hex(4)}")
    aws_url: str = ""
    elasticsearch_url: str = ""
    bucket: Bucket = field(init=False)
    search: Elasticsearch = field(init=False)
    _starts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.aws_url = self.aws_url or self.aws.url
        self.elasticsearch_url = self.elasticsearch_url or self.cluster.url
        self.bucket = Bucket(self.aws.client("s3", REGION), f"flow-logs-{self.namespace}")
        self.search = Elasticsearch(self.cluster.url, basic_auth=self.cluster.basic_auth, request_timeout=120)

    @property
    def stream(self) -> str:
        """The data stream."""
        return f"logs-aws.vpcflow-{self.namespace}"

    def make(self) -> None:
        """The bucket, and the index template by the program's own command."""
        place = {"LocationConstraint": REGION}
        self.bucket.client.create_bucket(Bucket=self.bucket.name, CreateBucketConfiguration=place)
        direct = replace(self, aws_url=self.aws.url, elasticsearch_url=self.cluster.url, namespace=self.namespace)
        direct.command("setup")

    def remove(self) -> None:
        """Everything that was made, for the next one needs the space."""
        client = self.bucket.client
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name):
            for item in page.get("Contents", ()):
                client.delete_object(Bucket=self.bucket.name, Key=item["Key"])
        self.search.options(ignore_status=NO_SUCH_CALL).indices.delete_data_stream(name=self.stream)
        self.search.close()

    def config(self, state: str = "state") -> Path:
        """The configuration file of the daemon whose state folder is this."""
        settings, start = self.settings, datetime.now(UTC) - timedelta(days=1)
        polled = [{"bucket": self.bucket.name, "region": REGION, "start": f"{start:%Y-%m-%d}"}]
        queued = [{"queue_url": settings.queue, "region": REGION, "visibility": f"{VISIBILITY}s"}]
        auth = self.cluster.basic_auth
        document: dict[str, Any] = {
            "source": {"poll_every": "1s", **({"sqs": queued} if settings.queue else {"s3": polled})},
            "aws": {"region": REGION, "endpoint_url": self.aws_url},
            "enrich": {"ec2": {"enabled": settings.inventory}},
            "output": {
                "namespace": self.namespace,
                "request_bytes": settings.request_bytes,
                "elasticsearch": {
                    "hosts": [self.elasticsearch_url],
                    "requests_in_flight": settings.requests_in_flight,
                    "timeout": settings.timeout,
                    "replicas": 0,
                    "allow_plaintext": True,
                    **({"username": auth[0], "password": auth[1]} if auth else {}),
                },
            },
            "state": {"folder": str(self.folder / state)},
            "workers": settings.workers,
            "grace": settings.grace,
            "metrics": {"listen": "127.0.0.1:0"},
        }
        path = self.folder / f"{state}.yaml"
        path.write_text(json.dumps(document, indent=1))  # JSON is YAML, too
        return path

    def command(self, *arguments: str) -> str:
        """What a command of the program printed and logged; DaemonError where it fails."""
        command = [sys.executable, "-m", "exporter", *arguments, "--config", str(self.config())]
        environment = {**os.environ, **self.aws.environment(REGION)}
        ended = subprocess.run(  # noqa: S603
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if ended.returncode:
            raise DaemonError(f"{arguments}: status {ended.returncode}:\n{ended.stdout}")
        return ended.stdout

    @contextmanager
    def daemon(self, state: str = "state") -> Iterator[Daemon]:
        """The daemon, which ends with the block at the latest."""
        log = self.folder / f"{state}-{next(self._starts)}.log"
        environment = {**self.aws.environment(REGION), "AWS_ENDPOINT_URL": self.aws_url}
        running = Daemon.start(self.config(state), environment, log)
        try:
            yield running
        finally:
            if running.alive:
                running.kill()

    def states(self, state: str = "state") -> dict[str, str]:
        """What the ledger says of each object, by the beginning of its ids; also beside a daemon."""
        path = self.folder / state / NAME
        if not path.exists():
            return {}
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", 30, uri=True)) as ledger:
            return dict(ledger.execute("SELECT id, state FROM object").fetchall())

    def under_way(self, state: str = "state") -> set[str]:
        """The objects that the ledger has as under way."""
        return {prefix for prefix, what in self.states(state).items() if what == "under way"}

    def done(self) -> int:
        """How many objects are done."""
        return sum(what == "done" for what in self.states().values())

    def all_done(self) -> bool:
        """Whether every object of the bucket is done.  DaemonError where one has ended otherwise."""
        states = self.states()
        if ill := {what for what in states.values() if what not in {"done", "under way", "undone"}}:
            raise DaemonError(f"objects are {', '.join(sorted(ill))}")
        return len(states) == len(self.bucket.expected) and set(states.values()) == {"done"}

    def finish(self, daemon: Daemon, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Waits until every object is done, then ends the daemon by SIGTERM."""
        self.wait_for_all(daemon, seconds, say)
        daemon.terminate()

    def wait_for_all(self, daemon: Daemon, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Waits until every object is done."""

        def done() -> bool:
            say(f"{self.done()} of {len(self.bucket.expected)} objects done")
            return self.all_done()

        daemon.wait(done, seconds, f"all of {len(self.bucket.expected)} objects are done")

    def roll_over(self) -> bool:
        """A new write index for the stream; False where there is no stream yet."""
        if not self.search.indices.exists(index=self.stream):
            return False
        self.search.indices.rollover(alias=self.stream)
        return True


@contextmanager
def rolling_over(made: World, every: float) -> Iterator[list[float]]:
    """Rolls the stream over time and again while the block lasts; when it did, by the monotonic clock.

    Within one index `create` hides whatever is sent twice.
    """
    ended, rolled = Event(), list[float]()

    def roll() -> None:
        while not ended.wait(every):
            if made.roll_over():
                rolled.append(time.monotonic())

    thread = Thread(target=roll, name="roll over")
    thread.start()
    try:
        yield rolled
    finally:
        ended.set()
        thread.join()


@contextmanager
def world(aws: Aws, cluster: Cluster, folder: Path, settings: Settings | None = None, **ways: str) -> Iterator[World]:
    """A world as long as the block lasts; `ways` as World's two URLs."""
    made = World(aws, cluster, folder, settings or Settings(), **ways)  # type: ignore[arg-type]
    made.make()
    try:
        yield made
    finally:
        made.remove()
