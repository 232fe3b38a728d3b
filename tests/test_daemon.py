"""Jobs by the clock, and an end in time by real signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import polars as pl
import pytest

from exporter import daemon
from exporter.daemon import Job, Stops, repeat, signals
from exporter.errors import SourceError


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


SOON = timedelta(seconds=0.1)


def running(*jobs: Job) -> tuple[Stops, threading.Thread]:
    stops = Stops()
    thread = threading.Thread(target=repeat, args=(jobs, stops), daemon=True)
    thread.start()
    return stops, thread


def test_a_job_that_fails_comes_again_whatever_it_raised(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[BaseException] = [
        SourceError("no connection"),
        KeyError("x"),
        pl.exceptions.PanicException("index out of bounds"),
    ]
    times = 0

    def job() -> None:
        nonlocal times
        times += 1
        if errors:
            raise errors.pop(0)

    stops, thread = running(Job("poll", SOON, job))
    assert until(lambda: times > 4)
    stops.soon.set()
    thread.join(5)
    assert not thread.is_alive()
    assert caplog.messages[0] == "poll failed, and comes again in 0:00:00.100000: no connection"
    assert caplog.messages[1:] == ["poll met a fault of this program; please report it"] * 2


def test_a_long_job_delays_no_other_and_the_end_waits_for_it() -> None:
    go, times = threading.Event(), 0

    def often() -> None:
        nonlocal times
        times += 1

    stops, thread = running(Job("long", SOON, lambda: go.wait(30)), Job("often", SOON, often, at_once=False))
    assert until(lambda: times > 3)
    stops.soon.set()
    thread.join(1.5)
    assert thread.is_alive()
    go.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_job_at_once_does_not_wait_for_its_time() -> None:
    times = {"now": 0, "later": 0}

    def count(name: str) -> None:
        times[name] += 1

    hour = timedelta(hours=1)
    stops, thread = running(
        Job("now", hour, lambda: count("now")), Job("later", hour, lambda: count("later"), at_once=False)
    )
    assert until(lambda: times["now"] == 1)
    stops.soon.set()
    thread.join(5)
    assert times == {"now": 1, "later": 0}


def test_a_clock_that_is_set_back_by_an_hour_stops_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """As local time is each autumn, by which `schedule` goes."""
    times = 0

    def job() -> None:
        nonlocal times
        times += 1

    try:
        monkeypatch.setenv("TZ", "SUMMER-2")
        time.tzset()
        stops, thread = running(Job("poll", SOON, job))
        assert until(lambda: times > 1)
        monkeypatch.setenv("TZ", "WINTER-1")
        time.tzset()
        before = times
        assert until(lambda: times > before + 3)
        stops.soon.set()
        thread.join(5)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_drain_and_the_second_ends_it(number: signal.Signals) -> None:
    stops, before = Stops(), signal.getsignal(number)
    left: list[str] = []
    with signals(stops, timedelta(seconds=30), lambda: left.append("left")):
        assert not stops.soon.is_set()
        os.kill(os.getpid(), number)
        assert stops.soon.wait(5)
        assert not stops.now.wait(0.2)
        os.kill(os.getpid(), number)
        assert stops.now.wait(5)
    assert left == []
    assert signal.getsignal(number) is before


def test_the_grace_time_ends_the_drain(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stops = Stops()
    with signals(stops, timedelta(seconds=0.3), lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
        asked = time.monotonic()
        assert stops.now.wait(5)
        assert time.monotonic() - asked >= 0.25
    assert caplog.messages == [
        "SIGTERM: stopping; what is under way has 0 s to end",
        "the grace time is over: what is under way is left for the next start",
    ]


def test_without_a_signal_nothing_is_stopped() -> None:
    stops = Stops()
    with signals(stops, timedelta(seconds=0.1), lambda: None):
        time.sleep(0.3)
    assert not stops.soon.is_set()
    assert not stops.now.is_set()


def test_what_hangs_after_the_grace_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LAST_SECONDS", 0.2)
    stops, left = Stops(), threading.Event()
    with signals(stops, timedelta(seconds=0.1), left.set):
        os.kill(os.getpid(), signal.SIGTERM)
        assert left.wait(5)
        assert stops.now.is_set()


HANGING = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from exporter.daemon import Stops, leave, signals
with signals(Stops(), timedelta(seconds=0.3), partial(leave, 7)), ThreadPoolExecutor() as pool:
    pool.submit(time.sleep, 60)
    print("ready", flush=True)
"""


def test_a_process_that_hangs_ends_in_time_with_its_status() -> None:
    """In a pool's thread, for which Python itself would wait without an end."""
    command = [sys.executable, "-c", HANGING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 7
    assert 2.3 <= time.monotonic() - asked < 10
    assert log.splitlines()[-1] == "something hangs and is not waited for any longer"
