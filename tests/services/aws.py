"""The AWS services on loopback: moto's server, in a process of its own.

A process of its own, because a server in a thread would take its processor time from the code under test.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"

ACCOUNT_HEADER = "x-moto-account-id"
"""The request header by which moto chooses the account; it is 123456789012 without it."""

_SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
"""Serves on a port that the system chose, says where, and ends with the process that holds its standard input."""


@dataclass(frozen=True, slots=True)
class Aws:
    """A running server; every service of every account and region answers at the one ``url``."""

    url: str

    def client(self, service: str, region: str = REGION, account: str | None = None) -> Any:  # noqa: ANN401
        """A boto3 client for ``service`` as seen from ``account``, which is moto's usual one unless named.

        Its type is Any, for boto3's stubs know services by literal names only: annotate the variable that takes it.
        """
        session: Any = boto3.Session()
        credentials = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        config = Config(proxies={}, retries={"total_max_attempts": 2})
        client = session.client(service, region_name=region, endpoint_url=self.url, config=config, **credentials)
        if account is not None:
            client.meta.events.register("before-call", _as_account(account))
        return client

    def environment(self, region: str = REGION) -> dict[str, str]:
        """The variables that lead a program's own boto3 clients here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": region,
        }

    def reset(self) -> None:
        """Forgets everything that was made in any account."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"{self.url}/moto-api/reset", data=b"", timeout=30).close()


@contextmanager
def aws() -> Iterator[Aws]:
    """Runs a server as long as the block lasts."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield Aws(_address(process))
        finally:
            process.terminate()


def _address(process: subprocess.Popen[str]) -> str:
    """Waits for the line that says where the server answers."""
    url = process.stdout.readline().strip() if process.stdout else ""
    if not url:
        raise RuntimeError("moto's server ended before it answered; its own message stands above on standard error")
    return url


def _as_account(account: str) -> Callable[..., None]:
    """A botocore handler that sends each request in the name of ``account``."""

    def add_header(params: dict[str, Any], **_: object) -> None:
        params["headers"][ACCOUNT_HEADER] = account

    return add_header
