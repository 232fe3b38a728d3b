"""Killed again and again, and at the end each document is there once."""

from pathlib import Path

from tests.delivery.kills import Kills, interrupt
from tests.delivery.stream import compare
from tests.delivery.world import world
from tests.services.aws import Aws
from tests.services.elasticsearch import Cluster

OBJECTS, RECORDS = 3, 20_000


def test_killed_five_times_and_rolled_over(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    with world(aws, elasticsearch, tmp_path) as made:
        made.bucket.put(OBJECTS, RECORDS, seed)
        figures = interrupt(made, Kills(seed, count=5, documents=8_000))
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(figures, verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert (verdict.expected, verdict.found) == (60_000, 60_000)
    assert figures.kills == 5
    assert figures.hits >= 4
    assert figures.roll_overs >= 1


def test_asked_to_end_three_times(aws: Aws, elasticsearch: Cluster, tmp_path: Path, seed: int) -> None:
    with world(aws, elasticsearch, tmp_path) as made:
        made.bucket.put(OBJECTS, RECORDS // 2, seed)
        figures = interrupt(made, Kills(seed, count=3, documents=4_000, sign="SIGTERM"))
        verdict = compare(made.search, made.stream, made.bucket.expected)
    print(figures, verdict)  # noqa: T201
    assert verdict.exact, verdict
    assert figures.kills == 3
    assert figures.hits >= 2
    assert figures.slowest_end < 1 + 2 + 2  # the grace time, what tidying up may take, and a slow machine
