"""The daemon as a process of its own: started, watched, killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60
LOOK_SECONDS = 0.02
LOG_LINES = 25

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TICKS = os.sysconf("SC_CLK_TCK")


class DaemonError(AssertionError):
    """The daemon did not do what it was waited for; the message holds the end of its log."""


@dataclass(slots=True)
class Daemon:
    """`vpcflow-exporter run` under way; `log` is what it writes to standard error."""

    process: subprocess.Popen[bytes]
    log: Path
    address: str = ""

    @classmethod
    def start(cls, config: Path, environment: Mapping[str, str], log: Path) -> Daemon:
        """Starts it, and returns when its metrics can be read."""
        command = [sys.executable, "-m", "exporter", "run", "--config", str(config)]
        with log.open("wb") as file:
            process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=file, stderr=file)  # noqa: S603
        daemon = cls(process, log)
        try:
            daemon.wait(lambda: bool(daemon._answers()), START_SECONDS, "its metrics")
        except BaseException:
            daemon.kill()
            raise
        return daemon

    def _answers(self) -> str:
        found = re.search(r"metrics are at (http\S+)", self.log.read_text(errors="replace"))
        self.address = found[1] if found else ""
        return self.address

    def wait(self, until: Callable[[], bool], seconds: float, what: str) -> None:
        """Looks again and again; DaemonError where the daemon ends meanwhile or the time is over."""
        deadline = time.monotonic() + seconds
        while not until():
            if not self.alive:
                raise DaemonError(f"the daemon ended with {self.process.poll()} before {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DaemonError(f"{what}: not within {seconds:.0f} s:\n{self.tail()}")
            time.sleep(LOOK_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with its labels, as Prometheus sees it."""
        with _DIRECT.open(self.address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def documents(self) -> int:
        """Documents that the output has taken from this process, those that were there already with them."""
        return int(total(self.metrics(), "vpcflow_documents_total"))

    def tail(self) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def memory(self) -> tuple[int, int]:
        """Bytes of memory that it holds now, and that it held at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {name: int(value.split()[0]) * 1024 for name, value in (x.split(":", 1) for x in lines) if name in _RSS}
        return sizes["VmRSS"], sizes["VmHWM"]

    def cpu(self) -> float:
        """Seconds of processor time, user and system, of this process alone."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def kill(self) -> None:
        """SIGKILL: it ends at once, wherever it is."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """SIGTERM; seconds until it ended, with status 0, else DaemonError."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonError(f"SIGTERM did not end it within {START_SECONDS} s:\n{self.tail()}") from None
        if status:
            raise DaemonError(f"SIGTERM ended it with status {status}:\n{self.tail()}")
        return time.monotonic() - began


_RSS = frozenset({"VmRSS", "VmHWM"})


def total(metrics: Mapping[str, float], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(
        value
        for sample, value in metrics.items()
        if sample.partition("{")[0] == name and all(label in sample for label in wanted)
    )
