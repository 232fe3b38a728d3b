"""What stands in a document, and a batch as such documents.

PARTS is the whole document: the field table's paths and the derived values, each with the column it comes from.
`values.py` makes those columns, `compiler.py` puts them together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from exporter.ecs.compiler import Constant, Leaf, Members, compiled, constant
from exporter.ecs.ends import EndTexts
from exporter.ecs.values import READY, values
from exporter.fields import FIELDS, Field, Kind
from exporter.flow import Batch, Body

ECS_VERSION = "9.4.0"
DATASET = "aws.vpcflow"

_NUMBERS = (Kind.COUNT, Kind.PORT)
_STAND_INS = {"cloud.account.id": "cloud_account_id"}
"""Paths whose value has a column of its own, because something else than the inventory stands in for the record."""

_FIRST_SLICE = 256


def _leaf(path: str, column: str, *, quoted: bool = True) -> Leaf:
    return Leaf(tuple(path.split(".")), column, quoted)


def _members(path: str, column: str) -> Members:
    return Members(tuple(path.split(".")) if path else (), column)


def _parts(each: Field) -> Iterator[Leaf | Members]:
    """A field's leaves; the members of one object where `values` makes their text once per distinct value."""
    if each.column in READY:
        yield _members(each.paths[0].rpartition(".")[0], each.column)
    else:
        for path in each.paths:
            yield _leaf(path, _STAND_INS.get(path, each.column), quoted=each.kind not in _NUMBERS)


PARTS: tuple[Leaf | Members, ...] = (
    _leaf("@timestamp", "timestamp"),
    *(part for each in FIELDS for part in _parts(each)),
    _members("event", "verdict"),
    _leaf("event.duration", "duration", quoted=False),
    _leaf("event.original", "original"),
    _leaf("orchestrator.type", "orchestrator_type"),
    _leaf("network.type", "network_type"),
    _leaf("network.community_id", "community_id"),
    _leaf("related.ip", "related_ip", quoted=False),
    _leaf("network.protocol", "network_protocol"),
    _leaf("flow.locality", "flow_locality"),
    _members("", "client_server"),
    _members("aws.vpcflow", "views"),
    _members("aws.vpcflow", "cost"),
    _leaf("aws.vpcflow.sample_rate", "sample_rate", quoted=False),
    _leaf("threat.enrichments", "threats", quoted=False),
    _leaf("threat.feed.name", "threat_feeds", quoted=False),
    _leaf("cloud.origin", "source_cloud", quoted=False),
    _leaf("cloud.target", "destination_cloud", quoted=False),
    _leaf("aws.vpcflow.source", "source_vpcflow", quoted=False),
    _leaf("aws.vpcflow.destination", "destination_vpcflow", quoted=False),
    # Of the reporting interface: whole where the record leaves all of it to the inventory, else one by one.
    _members("cloud", "own_cloud"),
    _members("aws.vpcflow", "own_vpcflow"),
    _leaf("cloud.account.name", "account_name"),
    _leaf("cloud.instance.name", "instance_name"),
    _leaf("cloud.machine.type", "machine_type"),
    _leaf("aws.vpcflow.vpc_name", "vpc_name"),
    _leaf("aws.vpcflow.subnet_name", "subnet_name"),
    _leaf("aws.vpcflow.security_group_ids", "security_group_ids", quoted=False),
    _leaf("log.offset", "row", quoted=False),
)

_FIXED: tuple[Constant, ...] = (
    constant("event.kind", "event"),
    constant("event.category", ["network"]),
    constant("event.dataset", DATASET),
    constant("event.module", "aws"),
    constant("data_stream.type", "logs"),
    constant("data_stream.dataset", DATASET),
    constant("cloud.provider", "aws"),
    constant("ecs.version", ECS_VERSION),
)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Encoder:
    """Batches to request bodies of about `request_bytes` (a body is cut by the size of the documents before it)."""

    namespace: str
    request_bytes: int
    clock: Callable[[], datetime] = _now
    _ends: EndTexts | None = field(default=None, init=False)

    def encode(self, batch: Batch) -> Iterator[Body]:
        """The batch's documents, each behind its `create` action; the order within a batch is not promised.

        Records with and without addresses are encoded apart: NODATA lines would else make every value an optional one.
        """
        whole, ends = self._with_texts(batch)
        fixed = (*_FIXED, *self._fixed(batch))
        size = 0
        for part in _apart(whole):
            frame = part.select(**values(part, batch, ends))
            parts = [each for each in PARTS if each.column in frame.columns]
            extra = [Leaf(("aws", "vpcflow", *name.split(".", 1)), name) for name in frame.columns if "." in name]
            for body in self._bodies(frame, compiled([*fixed, *parts, *extra], frame), batch, size):
                size = len(body.data) // body.count
                yield body

    def _fixed(self, batch: Batch) -> Iterator[Constant]:
        """What is the same for all of an object."""
        source = batch.source
        yield constant("data_stream.namespace", self.namespace)
        yield constant("event.ingested", self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        if source.bucket:
            yield constant("aws.s3.bucket.name", source.bucket)
            yield constant("aws.s3.object.key", source.key)
        else:
            yield constant("log.file.path", source.key)

    def _bodies(self, frame: pl.DataFrame, document: list[pl.Expr], batch: Batch, size: int) -> Iterator[Body]:
        """Bodies of as many documents as fit by the size of those before; `size` bytes each at first, 0 for unknown."""
        action = pl.lit(f'{{"create":{{"_id":"{batch.source.id_prefix}'), pl.col("row_hex"), pl.lit('"}}\n')
        line = pl.concat_str([*action, *document, pl.lit("\n")], ignore_nulls=True).cast(pl.Binary)
        start = 0
        while start < frame.height:
            count = max(1, self.request_bytes // size) if size else _FIRST_SLICE
            lines = frame.slice(start, count).select(line).to_series().to_list()
            body = Body(batch.source, b"".join(lines), len(lines))
            yield body
            start += body.count
            size = len(body.data) // body.count

    def _with_texts(self, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """The records with rows of the owners' texts; these are made once for all batches with the same owners."""
        if batch.owners is None:
            return batch.frame, None
        made = self._ends  # a value of its own, for several threads encode at once
        if made is None or made.owners is not batch.owners:
            made = self._ends = EndTexts(batch.owners)
        return made.of(batch.frame)


def _apart(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The records with a source address and those without one; whichever there are."""
    if "srcaddr" not in frame.columns or frame["srcaddr"].null_count() in (0, frame.height):
        return [frame] if frame.height else []
    known = frame["srcaddr"].is_not_null()
    return [frame.filter(known), frame.filter(~known)]
