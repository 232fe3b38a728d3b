"""A range sent by `backfill`, stopped, killed and repeated, with roll-overs in between: each record is there once."""

import re
import signal

from elasticsearch.helpers import scan

from exporter.identity import id_prefix
from tests.system.test_main_job import GOOD, etag, wait_for
from tests.system.world import REGION, V2, World, plain_key, text

RECORDS = 6_000
LARGE = [plain_key("123456789012", REGION, "2026/01/05", f"20260105T12{minute:02}Z_aaaa") for minute in (0, 5, 10, 15)]
SMALL = plain_key("210987654321", REGION, "2026/01/05", "20260105T1220Z_bbbb")
OTHER = plain_key("210987654321", REGION, "2026/01/07", "20260107T1200Z_cccc")
RANGE = ("--from", "2026-01-05", "--to", "2026-01-07", "--workers", "1")
INDEXED = re.compile(r"([\d,]+) indexed, ([\d,]+) there already")


def ids(world: World) -> list[str]:
    """The ids in all indices of the stream, as often as they are there."""
    client = world.search
    client.indices.refresh(index=world.stream)
    return sorted(hit["_id"] for hit in scan(client, index=world.stream, source=False, size=10_000))


def ids_of(world: World, key: str, records: int) -> list[str]:
    prefix = id_prefix(world.bucket, key, etag(world, key))
    return [f"{prefix}{row:08x}" for row in range(1, records + 1)]


def sums(output: str) -> tuple[int, int]:
    """What a back-fill's last line says: documents indexed, and there already."""
    found = INDEXED.search(output)
    assert found, output
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def interrupted(world: World, number: int, at_least: int) -> str:
    """Starts the back-fill, sends it a signal once so many documents are there; what it printed and logged."""
    with world.start("backfill", *RANGE) as process:
        try:
            wait_for(lambda: world.count() >= at_least, f"{at_least} documents", 120)
        finally:
            process.send_signal(number)
        output, log = process.communicate(timeout=60)
    assert process.returncode == (1 if number == signal.SIGTERM else -number), output + log
    return output + log


def test_a_range_is_there_once_whatever_stops_it_in_between(world: World) -> None:
    world.put(SMALL, text(V2, GOOD, GOOD))
    world.put(OTHER, text(V2, GOOD))
    world.command("once")
    for key in LARGE:
        world.put(key, text(V2, *[GOOD] * RECORDS))
    world.search.indices.rollover(alias=world.stream)
    assert "5 objects, " in world.command("backfill", *RANGE, "--dry-run")
    assert world.count() == 3

    stopped = interrupted(world, signal.SIGTERM, 10)
    assert "stopped before the end: the same command goes on" in stopped
    world.search.indices.rollover(alias=world.stream)
    killed_at = world.count() + 10
    interrupted(world, signal.SIGKILL, killed_at)
    world.search.indices.rollover(alias=world.stream)

    created, _ = sums(world.command("backfill", *RANGE))
    assert 0 < created < len(LARGE) * RECORDS
    expected = [each for key in LARGE for each in ids_of(world, key, RECORDS)]
    expected = sorted(expected + ids_of(world, SMALL, 2) + ids_of(world, OTHER, 1))
    assert ids(world) == expected

    world.search.indices.rollover(alias=world.stream)
    assert sums(world.command("backfill", *RANGE)) == (0, 0)  # its own ledger knows all of it
    assert sums(world.command("backfill", *RANGE, "--again")) == (0, len(LARGE) * RECORDS + 2)
    assert ids(world) == expected
