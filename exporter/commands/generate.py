"""`vpcflow-exporter generate`: flow-log objects of any size, format and time range, to a folder or a bucket."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import boto3
import polars as pl
import typer
from botocore.exceptions import BotoCoreError, ClientError

from exporter.commands.network_inventory import network_of, snapshot_of
from exporter.enrich.snapshot_file import load, save
from exporter.errors import InventoryError
from exporter.simulate.containers import FORMATS, Format, Parquet, Text
from exporter.simulate.incidents import INCIDENTS, named
from exporter.simulate.network import Network
from exporter.simulate.plan import plausible
from exporter.simulate.scene import Scene
from exporter.simulate.traffic import Order, frames
from exporter.simulate.writer import Bucket, Folder, Layout, Place, Writer, Written

PROGRESS_SECONDS = 5
"""Between two lines of progress."""


class Fields(StrEnum):
    """Ready formats: all fields up to a version."""

    v2 = "v2"
    v3 = "v3"
    v4 = "v4"
    v5 = "v5"


class Packed(StrEnum):
    """What AWS offers to write."""

    text = "text"
    parquet = "parquet"


CONTAINERS = {Packed.text: Text, Packed.parquet: Parquet}


class Keys(StrEnum):
    """How keys are made."""

    plain = "plain"
    hive = "hive"


def list_incidents(wanted: bool) -> None:  # noqa: FBT001 (typer's callback)
    """Prints the table of incidents on standard output and ends the program."""
    if wanted:
        width = max(len(incident.name) for incident in INCIDENTS)
        for incident in INCIDENTS:
            typer.echo(f"{incident.name:<{width}}  {incident.what}")
        raise typer.Exit


To = Annotated[str, typer.Option("--to", help="Where the objects go: a folder, or s3://BUCKET/PREFIX.")]
Records = Annotated[
    int, typer.Option("--records", min=0, help="Records of ordinary traffic; those of incidents come on top.")
]
From = Annotated[
    str | None, typer.Option("--from", help="The first time: ISO 8601, UTC without a zone. Else the range ends now.")
]
ToTime = Annotated[
    str | None, typer.Option("--to-time", help="The time to end before; both are widened to whole five minutes.")
]
Hours = Annotated[float, typer.Option("--hours", min=0.01, help="The range's length, unless both times are given.")]
ReadyFields = Annotated[Fields, typer.Option("--fields", help="All fields up to this version of AWS's records.")]
OwnFields = Annotated[str | None, typer.Option("--format", help="The fields in their order instead, between blanks.")]
PackedAs = Annotated[Packed, typer.Option("--container", help="Text with a header line, or Parquet.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same options and seed give the same bytes.")]
Incidents = Annotated[
    list[str] | None, typer.Option("--incident", help="An incident to add, or all of them: all. Can be repeated.")
]
KeyLayout = Annotated[Keys, typer.Option("--layout", help="AWS's plain keys, or hive-compatible ones.")]
Hourly = Annotated[bool, typer.Option("--hourly", help="Keys with a part for the hour.")]
Account = Annotated[str | None, typer.Option("--account", help="123456789012, or the inventory's first one.")]
Region = Annotated[str | None, typer.Option("--region", help="us-east-1, or the inventory's first one.")]
Interfaces = Annotated[int, typer.Option("--interfaces", help="How many interfaces the made-up network has.")]
GzipLevel = Annotated[
    int,
    typer.Option("--gzip-level", min=0, max=9, help="1 is fast, 9 makes the smallest objects, 0 does not compress."),
]
EndpointUrl = Annotated[str | None, typer.Option("--endpoint-url", help="Another address of S3.")]
InventoryFile = Annotated[
    Path | None, typer.Option("--inventory", help="Make traffic for the interfaces of this saved inventory.")
]
WriteInventory = Annotated[
    Path | None, typer.Option("--write-inventory", help="Save the network as an inventory, for convert --inventory.")
]
ListIncidents = Annotated[
    bool, typer.Option("--list-incidents", callback=list_incidents, is_eager=True, help="Say what there is, and end.")
]


def generate(  # noqa: PLR0913 (the options of the command line)
    *,
    to: To,
    records: Records = 100_000,
    start: From = None,
    end: ToTime = None,
    hours: Hours = 1,
    fields: ReadyFields = Fields.v5,
    own_fields: OwnFields = None,
    container: PackedAs = Packed.text,
    seed: Seed = 1,
    incident: Incidents = None,
    layout: KeyLayout = Keys.plain,
    hourly: Hourly = False,
    account: Account = None,
    region: Region = None,
    interfaces: Interfaces = 120,
    gzip_level: GzipLevel = 1,
    endpoint_url: EndpointUrl = None,
    inventory: InventoryFile = None,
    write_inventory: WriteInventory = None,
    _list: ListIncidents = False,
) -> None:
    """Make flow-log objects: a plausible day of a made-up network, and incidents on request."""
    began = time.monotonic()
    try:
        network = _network(inventory, seed, account, region, interfaces)
        first, last = time_range(start, end, hours, datetime.now(UTC))
        form = Format.of(FORMATS[fields] if own_fields is None else own_fields.split())
        place, prefix = _place(to, network.region, endpoint_url)
        keys = Layout(network.account, network.region, form.flow_log, prefix, layout is Keys.hive, hourly)
        if write_inventory:
            save(snapshot_of(network, datetime.fromtimestamp(first, UTC)), write_inventory)
        order = Order(first, last, records, seed, named(incident or []))
        writer = Writer(place, keys, CONTAINERS[container](form, gzip_level or None))
        written = _write(writer, frames(Scene.of(network, seed), order), records)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except (OSError, BotoCoreError, ClientError, InventoryError) as error:
        _say(f"generate stopped: {error}")
        raise typer.Exit(1) from error
    seconds = time.monotonic() - began
    _say(f"{written.objects:,} objects, {written.records:,} records, {written.bytes:,} bytes in {seconds:.1f} s")


def time_range(start: str | None, end: str | None, hours: float, now: datetime) -> tuple[int, int]:
    """The times in seconds since 1970, what is missing by the length; a ValueError where they are no times."""
    length = timedelta(hours=hours)
    first, last = _time(start), _time(end)
    if first is None:
        last = last or now
        first = last - length
    last = last or first + length
    if last <= first:
        raise ValueError(f"the time range is empty: {last.isoformat()} is not after {first.isoformat()}")
    return int(first.timestamp()), int(last.timestamp())


def _time(text: str | None) -> datetime | None:
    """The time that ISO 8601 means, UTC where it has no zone."""
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: expected one as 2026-01-31T12:00:00Z") from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _network(inventory: Path | None, seed: int, account: str | None, region: str | None, size: int) -> Network:
    if inventory:
        return network_of(load(inventory), account, region)
    return plausible(seed, account or "123456789012", region or "us-east-1", size)


def _place(to: str, region: str, endpoint_url: str | None) -> tuple[Place, str]:
    """The folder or bucket, and the prefix of its keys."""
    if not to.startswith("s3://"):
        return Folder(Path(to)), ""
    bucket, _, prefix = to.removeprefix("s3://").partition("/")
    if not bucket:
        raise ValueError(f"{to!r} names no bucket: expected s3://BUCKET/PREFIX")
    session: Any = boto3.Session()
    return Bucket(session.client("s3", region_name=region, endpoint_url=endpoint_url), bucket), prefix.strip("/")


def _write(writer: Writer, made: Iterable[pl.DataFrame], expected: int) -> Written:
    """Writes all frames, and says now and then on standard error how far it is."""
    done, said = 0, time.monotonic()
    for frame in made:
        writer.add(frame)
        done += frame.height
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            _say(f"{done:,} records of about {expected:,}")
    return writer.finish()


def _say(line: str) -> None:
    typer.echo(line, err=True)
