"""A daemon that dies in the middle of an object: the next one sends what is missing, whichever index is written now."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.identity import id_prefix
from tests.system.test_main_job import GOOD, etag, new_key, wait_for
from tests.system.world import V2, World, text

RECORDS = 40_000
"""Some seconds of a server's work."""


def ids_in(world: World) -> Iterator[str]:
    """The id of each document of the stream, as often as it is there."""
    client = world.search
    client.indices.refresh(index=world.stream)
    after: dict[str, Any] = {}
    while True:
        found = client.search(
            index=world.stream,
            size=10_000,
            source=False,
            sort=["log.offset", {"aws.s3.object.key": "asc"}],
            **after,
        )["hits"]["hits"]
        if not found:
            return
        yield from (hit["_id"] for hit in found)
        after = {"search_after": found[-1]["sort"]}


def counts(log: str) -> tuple[int, int]:
    """Documents indexed and there already, as the log tells of the only object."""
    (told,) = re.findall(r"(\d+) indexed, (\d+) there already, 0 refused", log)
    return int(told[0]), int(told[1])


@pytest.mark.parametrize("rolled_over", [True, False], ids=["rolled over", "same index"])
def test_killed_in_the_middle(world: World, *, rolled_over: bool) -> None:
    """Nothing is missing and nothing is there twice; what is there is not even sent."""
    key = new_key("interrupted")
    world.put(key, text(V2, *[GOOD] * RECORDS))
    with world.start("run") as daemon:
        try:
            wait_for(lambda: world.count() > 0, "the first documents")
        finally:
            daemon.kill()
        daemon.communicate(timeout=20)
    before = world.count()
    assert 0 < before < RECORDS
    if rolled_over:
        world.search.indices.rollover(alias=world.stream)
    indexed, existing = counts(world.command("once"))
    prefix = id_prefix(world.bucket, key, etag(world, key))
    assert sorted(ids_in(world)) == [f"{prefix}{row:08x}" for row in range(1, RECORDS + 1)]
    assert indexed + existing == RECORDS
    assert existing >= before
    assert "0 objects, 0 records" in world.command("once")


def test_killed_before_anything_was_sent(world: World) -> None:
    """An output that takes nothing; then there is nothing to be found, and everything is sent."""
    client = world.search
    world.put(new_key("first"), text(V2, GOOD))
    assert "1 objects, 1 records" in world.command("once")
    client.indices.put_settings(index=world.stream, settings={"index.blocks.write": True})
    key = new_key("second")
    world.put(key, text(V2, *[GOOD] * 3))
    assert "1 left undone" in world.command("once", status=1)
    client.indices.rollover(alias=world.stream)
    assert counts(world.command("once")) == (3, 0)
    assert len(list(ids_in(world))) == 4
