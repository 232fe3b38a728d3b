"""What stands in a document, and a batch as such documents.

LEAVES is the whole document: the field table's paths and the derived values, each with the column it comes from.
`_values` makes those columns, each look-up once per distinct address, time or number; `compiler.py` does the rest.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.ecs.community_id import community_ids
from exporter.ecs.compiler import Constant, Leaf, compiled, constant
from exporter.ecs.ends import REPORTER, end_texts
from exporter.ecs.tables import PROTOCOLS, tcp_flags
from exporter.fields import FIELDS, Kind
from exporter.flow import Batch, Body

ECS_VERSION = "9.4.0"
DATASET = "aws.vpcflow"

_NUMBERS = (Kind.COUNT, Kind.PORT)
_STAND_INS = {"cloud.account.id": "cloud_account_id"}
"""Paths whose value has a column of its own, because something else than the inventory stands in for the record."""


def _leaf(path: str, column: str, *, quoted: bool = True) -> Leaf:
    return Leaf(tuple(path.split(".")), column, quoted)


LEAVES: tuple[Leaf, ...] = (
    _leaf("@timestamp", "timestamp"),
    *(
        _leaf(path, _STAND_INS.get(path, each.column), quoted=each.kind not in _NUMBERS)
        for each in FIELDS
        for path in each.paths
    ),
    _leaf("event.outcome", "outcome"),
    _leaf("event.type", "event_type", quoted=False),
    _leaf("event.duration", "duration", quoted=False),
    _leaf("event.original", "original"),
    _leaf("orchestrator.type", "orchestrator_type"),
    _leaf("network.transport", "transport"),
    _leaf("network.type", "network_type"),
    _leaf("network.community_id", "community_id"),
    _leaf("related.ip", "related_ip", quoted=False),
    _leaf("source.locality", "source_locality"),
    _leaf("destination.locality", "destination_locality"),
    _leaf("flow.locality", "flow_locality"),
    _leaf("cloud.instance.name", "instance_name"),
    _leaf("cloud.machine.type", "machine_type"),
    _leaf("cloud.origin", "source_cloud", quoted=False),
    _leaf("cloud.target", "destination_cloud", quoted=False),
    _leaf("aws.vpcflow.tcp_flags_array", "tcp_flags_array", quoted=False),
    _leaf("aws.vpcflow.vpc_name", "vpc_name"),
    _leaf("aws.vpcflow.subnet_name", "subnet_name"),
    _leaf("aws.vpcflow.security_group_ids", "security_group_ids", quoted=False),
    _leaf("aws.vpcflow.source", "source_vpcflow", quoted=False),
    _leaf("aws.vpcflow.destination", "destination_vpcflow", quoted=False),
    _leaf("log.offset", "row", quoted=False),
)

_USED = frozenset(leaf.column for leaf in LEAVES)

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

_TRANSPORT = pl.Series([PROTOCOLS.get(number) for number in range(256)], dtype=pl.String)
_FLAG_BITS = 63
_FLAGS = pl.Series(
    [json.dumps(tcp_flags(mask), separators=(",", ":")) if mask else None for mask in range(_FLAG_BITS + 1)],
    dtype=pl.String,
)
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint8).reshape(256, 2)
_ADDRESSES = ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr")
_FIRST_SLICE = 256
_LONGEST = (2**63 - 1) // 1000
"""Microseconds of the longest duration that is a `long` of nanoseconds (292 years)."""
_SECOND = 1_000_000
_TABLE_SECONDS = 20_000
_ISO = "%Y-%m-%dT%H:%M:%S%.3fZ"

Columns = dict[str, pl.Expr]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Encoder:
    """Batches to request bodies of about `request_bytes` (a body is cut by the size of the documents before it)."""

    namespace: str
    request_bytes: int
    clock: Callable[[], datetime] = _now
    _ends: tuple[pl.DataFrame, pl.DataFrame] | None = field(default=None, init=False)

    def encode(self, batch: Batch) -> Iterator[Body]:
        """The batch's documents, each behind its `create` action; the order within a batch is not promised.

        Records with and without addresses are encoded apart: NODATA lines would else make every value an optional one.
        """
        ends = self._end_texts(batch.owners)
        fixed = (*_FIXED, *self._fixed(batch))
        for part in _apart(batch.frame):
            values = part.select(**_values(part, batch, ends))
            leaves = [leaf for leaf in LEAVES if leaf.column in values.columns]
            extra = [Leaf(("aws", "vpcflow", *name.split(".", 1)), name) for name in _extras(values)]
            yield from self._bodies(values, compiled([*fixed, *leaves, *extra], values), batch)

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

    def _bodies(self, values: pl.DataFrame, document: list[pl.Expr], batch: Batch) -> Iterator[Body]:
        action = pl.lit(f'{{"create":{{"_id":"{batch.source.id_prefix}'), pl.col("row_hex"), pl.lit('"}}\n')
        line = pl.concat_str([*action, *document, pl.lit("\n")], ignore_nulls=True).cast(pl.Binary)
        start, count = 0, _FIRST_SLICE
        while start < values.height:
            lines = values.slice(start, count).select(line).to_series().to_list()
            body = Body(batch.source, b"".join(lines), len(lines))
            yield body
            start += body.count
            count = max(1, self.request_bytes * body.count // len(body.data))

    def _end_texts(self, owners: pl.DataFrame | None) -> pl.DataFrame | None:
        """Made once a snapshot; owners and their text stay one value, for several threads encode at once."""
        if owners is None:
            return None
        made = self._ends
        if made is None or made[0] is not owners:
            made = self._ends = (owners, end_texts(owners))
        return made[1]


def _apart(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """The records with a source address and those without one; whichever there are."""
    if "srcaddr" not in frame.columns or frame["srcaddr"].null_count() in (0, frame.height):
        return [frame] if frame.height else []
    known = frame["srcaddr"].is_not_null()
    return [frame.filter(known), frame.filter(~known)]


def _extras(values: pl.DataFrame) -> list[str]:
    return [name for name in values.columns if name.startswith("extra.")]


def _values(part: pl.DataFrame, batch: Batch, ends: pl.DataFrame | None) -> Columns:
    """A String column (or its expression) for each leaf that the part has something for."""
    columns = {name: _text(part, name, batch) for name in part.columns if name in _USED or name.startswith("extra.")}
    columns |= _times(part, batch)
    columns |= _action(part)
    columns |= _network(part, batch)
    columns |= _orchestrator(part)
    if ends is not None:
        columns |= _reporter(part, ends, columns) | _both_ends(part, ends)
    if "source_locality" in part.columns and "destination_locality" in part.columns:
        columns["flow_locality"] = _flow_locality()
    source = batch.source
    for column, name, fallback in (
        ("cloud_account_id", "account_id", source.account),
        ("region", "region", source.region),
    ):
        known = [columns[name]] if name in columns else []
        if known or fallback:
            columns[column] = pl.coalesce(*known, pl.lit(fallback and _escaped(fallback), dtype=pl.String))
    columns["row_hex"] = pl.lit(_row_hex(part["row"]))
    return columns


def _text(part: pl.DataFrame, name: str, batch: Batch) -> pl.Expr:
    """A column as text, escaped where its batch is not known to be free of what needs it."""
    column = part[name]
    if column.dtype == pl.String and not batch.plain:
        return pl.lit(_per_distinct(column, _escaped))
    return pl.col(name) if column.dtype == pl.String else pl.col(name).cast(pl.String)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _per_distinct(column: pl.Series, make: Callable[[str], str]) -> pl.Series:
    distinct = column.drop_nulls().unique()
    made = pl.Series([make(value) for value in distinct.to_list()], dtype=pl.String)
    return column.replace_strict(distinct, made, default=None, return_dtype=pl.String)


def _times(part: pl.DataFrame, batch: Batch) -> Columns:
    """Times as ISO 8601 text, once per distinct time; a record without any has its object's."""
    times: dict[str, pl.Series] = {name: _iso(part[name]) for name in ("end", "start") if name in part.columns}
    stored = batch.source.time.astimezone(UTC).replace(tzinfo=None)
    fallback = pl.lit(stored, dtype=pl.Datetime("us")).dt.to_string(_ISO)
    columns: Columns = {name: pl.lit(text) for name, text in times.items()}
    columns["timestamp"] = pl.coalesce(*columns.values(), fallback)
    if len(times) == 2:  # noqa: PLR2004 - start and end
        length = (pl.col("end") - pl.col("start")).dt.total_microseconds()
        columns["duration"] = pl.when(length.is_between(0, _LONGEST)).then((length * 1000).cast(pl.String))
    return columns


def _iso(column: pl.Series) -> pl.Series:
    """Whole seconds within a few hours, which is what an object holds, are looked up in a table of all of these."""
    name, first = column.name, column.min()
    if column.null_count() == 0 and column.len():
        since = column.to_physical().to_numpy() - column.to_physical().min()
        seconds = since // _SECOND
        last = int(seconds.max())
        if last < _TABLE_SECONDS and (seconds * _SECOND == since).all():
            times = pl.Series([first]).cast(pl.Datetime("us")).new_from_index(0, last + 1)
            table = times + pl.Series(np.arange(last + 1) * _SECOND).cast(pl.Duration("us"))
            return table.dt.to_string(_ISO).gather(seconds)
    distinct = column.unique().to_frame().with_columns(text=pl.col(name).dt.to_string(_ISO))
    return column.to_frame().join(distinct, on=name, how="left", nulls_equal=True, maintain_order="left")["text"]


def _action(part: pl.DataFrame) -> Columns:
    """Outcome and type of what was accepted or rejected; NODATA and SKIPDATA are neither."""
    if "action" not in part.columns:
        return {}
    action = pl.col("action")
    if "log_status" in part.columns:
        action = pl.when(pl.col("log_status").is_in(["NODATA", "SKIPDATA"]).not_().fill_null(value=True)).then(action)
    accepted, rejected = action == "ACCEPT", action == "REJECT"

    def either(yes: str, no: str) -> pl.Expr:
        return pl.when(accepted).then(pl.lit(yes)).when(rejected).then(pl.lit(no))

    return {
        "outcome": either("success", "failure"),
        "event_type": either('["connection","allowed"]', '["connection","denied"]'),
    }


def _network(part: pl.DataFrame, batch: Batch) -> Columns:
    columns: Columns = {}
    if "protocol" in part.columns:
        columns["transport"] = pl.lit(_TRANSPORT).gather(pl.col("protocol"))
    if "tcp_flags" in part.columns:
        columns["tcp_flags_array"] = pl.lit(_FLAGS).gather(pl.col("tcp_flags") & _FLAG_BITS)
    columns["community_id"] = pl.lit(community_ids(part, batch.addresses))
    present = [name for name in _ADDRESSES if name in part.columns]
    if present:
        columns["related_ip"] = _related(part, present, batch)
        family = pl.Series(np.where(batch.addresses.family == 4, "ipv4", "ipv6"), dtype=pl.String)  # noqa: PLR2004
        columns["network_type"] = pl.lit(family).gather(pl.coalesce(pl.col(present).to_physical()))
    return columns


def _orchestrator(part: pl.DataFrame) -> Columns:
    clusters = [name for name in ("ecs_cluster_arn", "ecs_cluster_name") if name in part.columns]
    known = pl.any_horizontal(pl.col(clusters).is_not_null())
    return {"orchestrator_type": pl.when(known).then(pl.lit("ecs"))} if clusters else {}


def _related(part: pl.DataFrame, present: list[str], batch: Batch) -> pl.Expr:
    """The record's addresses as a JSON array, each once; null where there is none."""
    count = len(batch.addresses.text)
    listed = pl.select(pl.concat_str(pl.lit(',"'), pl.lit(batch.addresses.text), pl.lit('"'))).to_series()
    listed = pl.concat([listed, pl.Series([""])])
    nothing, texts = np.uint32(count), []
    earlier: list[npt.NDArray[np.uint32]] = []
    for name in present:
        codes = part[name].to_physical().fill_null(nothing).to_numpy()
        wanted = codes
        for other in earlier:
            wanted = np.where(codes == other, nothing, wanted)
        earlier.append(codes)
        if (wanted != nothing).any():
            texts.append(pl.lit(listed.gather(wanted)))
    if not texts:
        return pl.lit(None, dtype=pl.String)
    inner = pl.concat_str(texts).str.strip_prefix(",")
    return pl.when(inner != "").then(pl.concat_str(pl.lit("["), inner, pl.lit("]")))


def _reporter(part: pl.DataFrame, ends: pl.DataFrame, columns: Columns) -> Columns:
    """What the inventory says of the reporting interface, where the record is silent.

    The name and kind of an instance go only with the instance that the record names, if it names one.
    """
    known = {name: pl.lit(ends[name]).gather(pl.col("reporter")) for name in (*REPORTER, "security_group_ids")}
    if "instance_id" in part.columns:
        same = pl.col("instance_id").is_null() | (pl.col("instance_id") == known["instance_id"])
        for name in ("instance_name", "machine_type"):
            known[name] = pl.when(same).then(known[name])
    filled = {_FILLS.get(name, name): text for name, text in known.items()}
    return {
        name: pl.coalesce(columns[name], text) if name in part.columns else text
        for name, text in filled.items()
        if name not in part.columns or part[name].null_count()
    }


_FILLS = {"availability_zone": "az_id"}
"""Where the inventory's column has another name than the record's."""


def _both_ends(part: pl.DataFrame, ends: pl.DataFrame) -> Columns:
    return {
        f"{end}_{what}": pl.lit(ends[what]).gather(pl.col(f"{end}_owner"))
        for end in ("source", "destination")
        for what in ("cloud", "vpcflow")
        if f"{end}_owner" in part.columns
    }


def _flow_locality() -> pl.Expr:
    source, destination = pl.col("source_locality"), pl.col("destination_locality")
    return (
        pl.when((source == "internal") & (destination == "internal"))
        .then(pl.lit("internal"))
        .when(source.is_not_null() & destination.is_not_null())
        .then(pl.lit("external"))
    )


def _row_hex(rows: pl.Series) -> pl.Series:
    """Row numbers as 8 hex digits."""
    octets = np.frombuffer(rows.to_numpy().astype(">u4").tobytes(), np.uint8).reshape(-1, 4)
    text = _HEX[octets].reshape(-1, 8)
    return pl.Series(text, dtype=pl.Array(pl.UInt8, 8)).cast(pl.List(pl.UInt8)).cast(pl.Binary).cast(pl.String)
