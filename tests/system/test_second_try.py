"""What could not go out the first time: seen, mended and sent by the program's own commands, and sent once."""

import json
import signal
from dataclasses import replace
from typing import Any

from exporter.identity import id_prefix
from tests.system.test_main_job import END, GOOD, START, etag, new_key, wait_for
from tests.system.world import REGION, V2, World, plain_key, text

TRIMMED = f"2 123456789012 10.1.1.1 10.1.1.9 {START} {END} ACCEPT"
"""A record of a flow log of seven fields among those of fourteen."""

FORMAT = "version account-id srcaddr dstaddr start end action"
PORT = GOOD.replace(" 1000 ", " 1001 ")
OLD = plain_key("123456789012", REGION, "2026/01/05", "20260105T1200Z_aaaa")


def mapped(world: World, ports: str) -> None:
    """Gives the stream's next index this type of source.port: a fault, or what it was."""
    client = world.search
    template = client.indices.get_index_template(name=world.stream)["index_templates"][0]["index_template"]
    inner = template.setdefault("template", {})
    inner["mappings"] = {"properties": {"source": {"properties": {"port": {"type": ports}}}}}
    client.indices.put_index_template(name=world.stream, **_accepted(template))
    if client.indices.exists(index=world.stream):
        client.indices.rollover(alias=world.stream)


def _accepted(template: dict[str, Any]) -> dict[str, Any]:
    """A template as it can be put back."""
    return {name: value for name, value in template.items() if not name.endswith("_date_millis") and "date" not in name}


def test_letters_go_out_once_mended_and_are_marked(world: World) -> None:
    key = new_key("mixed")
    world.put(key, text(V2, GOOD, TRIMMED, PORT, "rubbish"))
    mapped(world, "ip")
    assert "0 indexed, 0 there already, 4 dead letters" in world.command("once")
    ids = [f"{id_prefix(world.bucket, key, etag(world, key))}{row:08x}" for row in range(5)]

    listed = world.command("dead-letters", "list")
    lines = [line.split() for line in listed.splitlines()]
    assert sorted((line[0], line[3], line[4]) for line in lines if line[0] in ids) == [
        (ids[1], "1", "document"),
        (ids[2], "2", "line"),
        (ids[3], "3", "document"),
        (ids[4], "4", "line"),
    ]
    assert all(line[2] == f"s3://{world.bucket}/{key}" for line in lines if line[0] in ids)
    assert listed.splitlines()[-1] == "2 lines and 2 documents"
    shown = world.command("dead-letters", "show", ids[2], ids[1])
    assert f"\n{TRIMMED}\n" in shown
    assert "reason    7 fields where the format has 14" in shown
    assert '\n    "port": 1000' in shown

    mapped(world, "long")
    dry = world.command("dead-letters", "replay", "--all", "--dry-run", status=1)
    assert "2 would be sent, 0 there already, 2 would be refused again, 0 cannot be replayed" in dry
    assert world.count() == 0
    log = world.command("dead-letters", "replay", "--reason", "document_parsing")
    assert "2 sent, 0 there already, 0 refused again, 0 cannot be replayed" in log
    log = world.command("dead-letters", "replay", "--object", key, "--format", FORMAT, status=1)
    assert "1 sent, 0 there already, 1 refused again, 0 cannot be replayed" in log
    assert f"{ids[4]} s3://{world.bucket}/{key} row 4: 1 field where the format has 7" in log

    found = world.documents()
    assert found.keys() == {ids[1], ids[2], ids[3]}
    assert {id_: document["log.offset"] for id_, document in found.items()} == {ids[1]: 1, ids[2]: 2, ids[3]: 3}
    assert [found[id_].get("source.port") for id_ in ids[1:4]] == [1000, None, 1001]
    assert found[ids[2]]["destination.ip"] == "10.1.1.9"
    assert found[ids[2]]["aws.s3.object.key"] == key
    assert found[ids[2]]["cloud.account.id"] == "123456789012"
    assert found[ids[2]]["cloud.region"] == "eu-west-1"

    assert world.command("dead-letters", "list").splitlines()[-1] == "1 line and 0 documents"
    everything = world.command("dead-letters", "list", "--all", "--json")
    assert {entry["id"]: entry["replayed"] for entry in map(json.loads, everything.splitlines())} == {
        ids[1]: True,
        ids[2]: True,
        ids[3]: True,
        ids[4]: False,
    }
    again = world.command("dead-letters", "replay", ids[1], ids[2])
    assert "0 sent, 2 there already, 0 refused again, 0 cannot be replayed" in again
    assert world.count() == 3


def test_an_object_set_aside_goes_through_once_its_format_is_told(world: World) -> None:
    """Its day is long below the floor by then: no listing comes by it any more."""
    world.put(OLD, text(TRIMMED, TRIMMED.replace("10.1.1.9", "10.1.1.10")))
    world.put("AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/01/06/gone.log.gz", text("no", "flow log"))
    assert "2 set aside, 0 left undone" in world.command("once")
    assert "0 objects, 0 records" in world.command("once")
    place = f"s3://{world.bucket}/{OLD}"
    lines = world.command("objects", "list", "--failed").splitlines()
    (line,) = (line for line in lines if place in line)
    assert line.split()[:3] == ["set", "aside", "1"]
    assert "123456789012  eu-west-1" in line
    assert "the first line is no header" in line
    assert lines[-1] == "2 set aside"

    world.aws.client("s3", REGION).delete_object(
        Bucket=world.bucket, Key="AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/01/06/gone.log.gz"
    )
    told = replace(world, source=f", format: {FORMAT}")
    assert "2 objects to try again: the next pass" in told.command("objects", "retry", "--failed")
    assert "1 objects, 2 records: 2 indexed" in told.command("once")
    assert {document["destination.ip"] for document in told.documents().values()} == {"10.1.1.9", "10.1.1.10"}
    lines = told.command("objects", "list").splitlines()
    assert lines[-1] == "1 set aside"
    assert "it was deleted after it was listed (NoSuchKey)" in lines[-2]


def test_letters_of_an_object_that_was_mended_are_superseded(world: World) -> None:
    """A note was taken for the end of the flow: by the right format there is nothing wrong with the object."""
    world.put(OLD, text(TRIMMED, TRIMMED.replace(f" {END} ", " late ")))
    wrong = replace(world, source=f", format: {FORMAT}")
    assert "1 indexed, 0 there already, 1 dead letters" in wrong.command("once")
    assert wrong.command("dead-letters", "list").splitlines()[-1] == "1 line and 0 documents"
    right = replace(world, source=f", format: {FORMAT.replace(' end ', ' note ')}")
    assert "1 object to try again" in right.command("objects", "retry", OLD)
    assert "1 indexed, 1 there already, 0 dead letters" in right.command("once")
    assert right.command("dead-letters", "list") == "There are no dead letters.\n"
    (entry,) = map(json.loads, right.command("dead-letters", "list", "--all", "--json").splitlines())
    assert (entry["row"], entry["superseded"], entry["replayed"]) == (1, True, False)
    assert "None was chosen" in right.command("dead-letters", "replay", "--all")
    assert world.count() == 2


def listed(world: World) -> tuple[str, int]:
    """State and attempts of the only object that is not simply done."""
    lines = world.command("objects", "list", "--json", "--state", "damaged").splitlines()
    entries = [json.loads(line) for line in lines]
    return (entries[0]["state"], entries[0]["attempts"]) if entries else ("", 0)


def test_a_running_daemon_takes_what_is_to_be_tried_again(world: World) -> None:
    """A damaged object sends nothing twice; one that is done is known by its dead letter."""
    whole = text(V2, *[GOOD] * 3000, "rubbish")
    done = OLD.replace("_aaaa", "_bbbb")
    world.put(OLD, whole[: len(whole) - 4])
    world.put(done, text(V2, GOOD, "rubbish"))
    with world.start("run") as daemon:
        try:
            wait_for(lambda: world.count() == 3001, "both objects")
            wait_for(lambda: "1 damaged" in world.command("objects", "list"), "the end of the first pass")
            assert "2 objects to try again" in world.command("objects", "retry", f"s3://{world.bucket}/{OLD}", done)
            wait_for(lambda: listed(world) == ("damaged", 2), "the second attempt")
            unknown = world.command("objects", "retry", OLD, "AWSLogs/other", status=1)
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=40)
        finally:
            daemon.kill()
    assert "there is nothing to try again under AWSLogs/other: such an object is under way, or done without" in unknown
    assert f"{done}: 1 records" in log
    assert log.count(f"s3://{world.bucket}/{done}: 1 records") == 2
    assert world.count() == 3001
    assert "0 objects, 0 records" in world.command("once")
