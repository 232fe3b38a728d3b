"""The columns of text that documents are put together from.

What is the same for many records (an address, a time, a protocol, an interface) is made once per distinct value and
looked up by number; that costs a hundredth of making it for each record.
"""

import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.ecs.community_id import community_ids
from exporter.ecs.compiler import escaped
from exporter.ecs.conversation import conversation
from exporter.ecs.ends import REPORTER
from exporter.fields import BY_COLUMN, FIELDS, Kind
from exporter.flow import CLIENT_RULES, ENDS, REPORTING, Batch
from exporter.protocols import PROTOCOLS, tcp_flags

Columns = dict[str, pl.Expr]

READY_MADE = ("network_protocol", "threats", "threat_feeds", "sample_rate")
"""What enrichment and filters add as it stands in documents: no text of it needs escaping any more."""

_ADDRESSES = tuple(field.column for field in FIELDS if field.kind is Kind.ADDRESS)
_NUMBERED = ("protocol", "tcp_flags")

READY = frozenset((*_ADDRESSES, *_NUMBERED))
"""Columns whose text is whole members of one object: the field table's paths, and what follows from the value."""

_ENDS = {"source": "srcaddr", "destination": "dstaddr"}
_USED = frozenset(field.column for field in FIELDS) | {"original", "row", *READY_MADE}
_STATUS_ONLY = ["NODATA", "SKIPDATA"]
_VERDICTS = pl.Series(
    [
        None,
        ',"outcome":"success","type":["connection","allowed"]',
        ',"outcome":"failure","type":["connection","denied"]',
    ],
    dtype=pl.String,
)
_OCTETS = 256
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(_OCTETS)).encode(), np.uint8).reshape(_OCTETS, 2)
_LONGEST = (2**63 - 1) // 1000
"""Microseconds of the longest duration that is a `long` of nanoseconds (292 years)."""
_SECOND = 1_000_000
_TABLE_SECONDS = 20_000
_ISO = "%Y-%m-%dT%H:%M:%S%.3fZ"


def values(part: pl.DataFrame, batch: Batch, ends: pl.DataFrame | None) -> Columns:
    """A String column (or its expression) by name for each part of the document that the records have something for.

    `part` is `batch.frame` or some rows of it; `ends` comes from `EndTexts`, and `part` has rows of it.  `row_hex` is
    the row as 8 hex digits.
    """
    columns = {name: _text(part, name, batch) for name in part.columns if name in _USED or name.startswith("extra.")}
    columns |= _times(part, batch)
    columns |= _verdict(part)
    columns |= _numbers(part)
    columns |= _addresses(part, batch)
    columns |= _orchestrator(part)
    columns |= _views(part)
    columns |= _costs(part)
    columns |= conversation(part, batch.addresses)
    if ends is not None:
        columns |= _both_ends(part, ends)
        _add_own(columns, part, ends)
        if "account_name" in ends.columns:
            columns["account_name"] = pl.lit(_account_name(part, ends, batch.source.account))
    if batch.about is not None:
        columns |= _of_addresses(part, batch.about, columns)
    source = batch.source
    for column, name, fallback in (
        ("cloud_account_id", "account_id", source.account),
        ("region", "region", source.region),
    ):
        known = [columns[name]] if name in columns else []
        if known or fallback:
            columns[column] = pl.coalesce(*known, pl.lit(fallback and escaped(fallback), dtype=pl.String))
    columns["row_hex"] = pl.lit(_row_hex(part["row"]))
    return columns


def _text(part: pl.DataFrame, name: str, batch: Batch) -> pl.Expr:
    """A column as text, escaped where its batch is not known to be free of what needs it."""
    column = part[name]
    if column.dtype == pl.String and not batch.plain and name not in READY_MADE:
        return pl.lit(_per_distinct(column, escaped))
    return pl.col(name) if column.dtype == pl.String else pl.col(name).cast(pl.String)


def _per_distinct(column: pl.Series, make: Callable[[str], str]) -> pl.Series:
    distinct = column.drop_nulls().unique()
    made = pl.Series([make(value) for value in distinct.to_list()], dtype=pl.String)
    return column.replace_strict(distinct, made, default=None, return_dtype=pl.String)


def _names(column: str) -> list[str]:
    """The names that a READY column's value has in its object."""
    return [path.rpartition(".")[2] for path in BY_COLUMN[column].paths]


def _times(part: pl.DataFrame, batch: Batch) -> Columns:
    """Times as ISO 8601 text; a record without any has its object's."""
    columns: Columns = {name: pl.lit(_iso(part[name])) for name in ("end", "start") if name in part.columns}
    stored = pl.lit(int(batch.source.time.timestamp() * _SECOND)).cast(pl.Datetime("us")).dt.to_string(_ISO)
    columns["timestamp"] = pl.coalesce(*columns.values(), stored)
    if {"start", "end"} <= columns.keys():
        length = (pl.col("end") - pl.col("start")).dt.total_microseconds()
        columns["duration"] = pl.when(length.is_between(0, _LONGEST)).then((length * 1000).cast(pl.String))
    return columns


def _iso(column: pl.Series) -> pl.Series:
    """Whole seconds within some hours, which is what an object holds, are looked up in a table of all of them."""
    micros = column.to_physical()
    first, last = micros.min(), micros.max()
    if isinstance(first, int) and isinstance(last, int) and not micros.null_count():
        since = micros.to_numpy() - first
        seconds = since // _SECOND
        if last - first < _TABLE_SECONDS * _SECOND and (seconds * _SECOND == since).all():
            table = pl.Series(np.arange(first, last + 1, _SECOND)).cast(pl.Datetime("us"))
            return table.dt.to_string(_ISO).gather(seconds)
    name = column.name
    distinct = column.unique().to_frame().with_columns(text=pl.col(name).dt.to_string(_ISO))
    return column.to_frame().join(distinct, on=name, how="left", nulls_equal=True, maintain_order="left")["text"]


def _verdict(part: pl.DataFrame) -> Columns:
    """Outcome and type of what was accepted or rejected; NODATA and SKIPDATA are neither."""
    if "action" not in part.columns:
        return {}
    action = pl.col("action")
    code = (action == "ACCEPT").cast(pl.UInt8) + 2 * (action == "REJECT").cast(pl.UInt8)
    if "log_status" in part.columns:
        code = code * pl.col("log_status").is_in(_STATUS_ONLY).not_().fill_null(value=True).cast(pl.UInt8)
    return {"verdict": pl.lit(_VERDICTS).gather(code)}


def _numbers(part: pl.DataFrame) -> Columns:
    """Members that follow from a number, from a table up to the largest there is."""
    made = {"protocol": _protocol, "tcp_flags": _tcp_flags}
    return {
        column: pl.lit(_table(part[column], make, _names(column)[0])).gather(pl.col(column))
        for column, make in made.items()
        if column in part.columns and part[column].null_count() < part.height
    }


def _table(column: pl.Series, make: Callable[[str, int], str], name: str) -> pl.Series:
    """The text of each number that there is, at its place."""
    distinct = [number for number in column.unique().to_list() if number is not None]
    texts: list[str | None] = [None] * (max(distinct) + 1)
    for number in distinct:
        texts[number] = make(name, number)
    return pl.Series(texts, dtype=pl.String)


def _protocol(name: str, number: int) -> str:
    keyword = PROTOCOLS.get(number)
    return f',"{name}":"{number}"' + (f',"transport":"{keyword}"' if keyword else "")


def _tcp_flags(name: str, mask: int) -> str:
    flags = json.dumps(tcp_flags(mask), separators=(",", ":"))
    return f',"{name}":"{mask}"' + (f',"{name}_array":{flags}' if tcp_flags(mask) else "")


def _addresses(part: pl.DataFrame, batch: Batch) -> Columns:
    """What follows from addresses: their own members, the list of them, their family, the Community ID."""
    columns: Columns = {"community_id": pl.lit(community_ids(part, batch.addresses))}
    present = [name for name in _ADDRESSES if name in part.columns]
    if not present or not len(batch.addresses.text):
        return columns
    more = _more(batch.about)
    for name in present:
        text = _around(batch.addresses.text, [f',"{key}":"' for key in _names(name)])
        if more is not None and name in _ENDS.values():
            text = text + more
        columns[name] = pl.lit(text).gather(pl.col(name).to_physical())
    columns["related_ip"] = _related(part, present, batch)
    family = pl.Series(np.where(batch.addresses.family == 4, "ipv4", "ipv6"), dtype=pl.String)  # noqa: PLR2004 - IPv4
    columns["network_type"] = pl.lit(family).gather(pl.coalesce(pl.col(present).to_physical()))
    return columns


def _more(about: pl.DataFrame | None) -> pl.Series | None:
    """What else the object of an end says that has this address, by the address."""
    if about is None:
        return None
    told = {"locality": (',"locality":"', '"'), "geo": (',"geo":', ""), "as": (',"as":', "")}
    texts = [
        pl.when(pl.col(name).is_not_null()).then(pl.concat_str(pl.lit(before), pl.col(name), pl.lit(after)))
        for name, (before, after) in told.items()
        if name in about.columns
    ]
    return about.select(pl.concat_str(texts, ignore_nulls=True)).to_series()


def _of_addresses(part: pl.DataFrame, about: pl.DataFrame, columns: Columns) -> Columns:
    """What follows from both addresses together, and who an end is that the inventory does not know: AWS's services."""
    made: Columns = {}
    codes = {end: pl.col(column).to_physical() for end, column in _ENDS.items() if column in part.columns}
    if len(codes) == len(_ENDS):
        place = about["locality"].replace_strict(["internal", "external"], [1, 2], default=0, return_dtype=pl.UInt8)
        source, destination = (pl.lit(place).gather(code) for code in codes.values())
        made["flow_locality"] = pl.lit(_FLOW_LOCALITIES).gather(3 * source + destination)
    if "aws_service" in about.columns:
        text = pl.lit(_services(about))
        for end, code in codes.items():
            owned = [columns[name]] if (name := f"{end}_cloud") in columns else []
            made[name] = pl.coalesce(*owned, text.gather(code))
    return made


_FLOW_LOCALITIES = pl.Series(
    [None, None, None, None, "internal", "external", None, "external", "external"], dtype=pl.String
)
"""By three times the source's locality and the destination's: 0 unknown, 1 internal, 2 external."""


def _services(about: pl.DataFrame) -> pl.Series:
    """The service and its region of each address that is AWS's own, as a JSON object."""
    service, region = pl.col("aws_service"), pl.col("aws_region")
    text = pl.format(
        '{{{}"service":{{"name":"{}"}}}}',
        pl.when(region.is_not_null()).then(pl.format('"region":"{}",', region)).otherwise(pl.lit("")),
        service,
    )
    return about.select(pl.when(service.is_not_null()).then(text)).to_series()


def _views(part: pl.DataFrame) -> Columns:
    """Members that say whose view of the flow the record is, and what told who the client is."""
    names = [name for name in ("reporting", "client_rule") if name in part.columns]
    if not names:
        return {}
    unknown = pl.lit(0, dtype=pl.UInt8)
    reporting, rule = (
        (pl.col(name) + 1).fill_null(0) if name in names else unknown for name in ("reporting", "client_rule")
    )
    return {"views": pl.lit(_VIEWS).gather(reporting * (len(CLIENT_RULES) + 1) + rule)}


def _all_views() -> Iterator[str | None]:
    """By a place in REPORTING and one in CLIENT_RULES, 0 for none and then one more than the place."""
    reporters = [json.dumps(list(ENDS) if name == "only" else name, separators=(",", ":")) for name in REPORTING]
    for reporter in ("", *(f',"reporter":{text}' for text in reporters)):
        for rule in ("", *(f',"client_rule":"{name}"' for name in CLIENT_RULES)):
            yield reporter + rule or None


_VIEWS = pl.Series(list(_all_views()), dtype=pl.String)


def _costs(part: pl.DataFrame) -> Columns:
    if "cost_usd" not in part.columns:
        return {}
    text = pl.concat_str(
        pl.lit(',"cost":{"kind":"'), "cost_kind", pl.lit('","usd":'), pl.col("cost_usd").round(12), pl.lit("}")
    )
    return {"cost": text}


def _around(text: pl.Series, before: Iterable[str]) -> pl.Series:
    """The text once behind each of `before`, closed by a quote."""
    segments = [segment for opening in before for segment in (pl.lit(opening), pl.lit(text), pl.lit('"'))]
    return pl.select(pl.concat_str(segments)).to_series()


def _related(part: pl.DataFrame, present: list[str], batch: Batch) -> pl.Expr:
    """The record's addresses as a JSON array, each once; null where there is none."""
    nothing = np.uint32(len(batch.addresses.text))
    listed = pl.concat([_around(batch.addresses.text, [',"']), pl.Series([""])])
    earlier: list[npt.NDArray[np.uint32]] = []
    texts = []
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


def _orchestrator(part: pl.DataFrame) -> Columns:
    clusters = [name for name in ("ecs_cluster_arn", "ecs_cluster_name") if name in part.columns]
    known = pl.any_horizontal(pl.col(clusters).is_not_null())
    return {"orchestrator_type": pl.when(known).then(pl.lit("ecs"))} if clusters else {}


def _both_ends(part: pl.DataFrame, ends: pl.DataFrame) -> Columns:
    return {
        f"{end}_{what}": pl.lit(ends[what]).gather(pl.col(f"{end}_owner"))
        for end in ("source", "destination")
        for what in ("cloud", "vpcflow")
        if f"{end}_owner" in part.columns
    }


def _add_own(columns: Columns, part: pl.DataFrame, ends: pl.DataFrame) -> None:
    """What the inventory says of the reporting interface, where the record is silent.

    The name and kind of an instance go only with the instance that the record names, if it names one.  Where no record
    names another one, all of it is one text per interface; else value by value.
    """
    own = {name: ends[name].gather(part["reporter"]) for name in _filling(part)}
    instance = part["instance_id"] if "instance_id" in part.columns else pl.Series([None], dtype=pl.String)
    same = (instance.is_null() | (instance == ends["instance_id"].gather(part["reporter"]))).fill_null(value=False)
    if same.all() and _is_silent(part, "interface_type"):
        columns.pop("instance_id", None)
        columns.pop("interface_type", None)
        for name in ("own_cloud", "own_vpcflow"):
            columns[name] = pl.lit(ends[name]).gather(pl.col("reporter"))
    else:
        own |= {name: ends[name].gather(part["reporter"]) for name in _ONE_BY_ONE}
        for name in ("instance_name", "machine_type"):
            own[name] = own[name].set(~same, None)
    for name, text in own.items():
        column = _RECORD_NAMES.get(name, name)
        columns[column] = pl.coalesce(columns[column], pl.lit(text)) if column in columns else pl.lit(text)


def _account_name(part: pl.DataFrame, ends: pl.DataFrame, fallback: str | None) -> pl.Series:
    """The name of the document's account, where that is the reporting interface's.

    `fallback` is the account of a record that names none, as the object's key tells it: in a subnet that is shared the
    key may name another account than the interface's.
    """
    names, theirs = (ends[name].gather(part["reporter"]) for name in ("account_name", "account_id"))
    account = part["account_id"] if "account_id" in part.columns else pl.Series([None], dtype=pl.String)
    if fallback:
        account = account.fill_null(escaped(fallback))
    return names.set(account.is_not_null() & account.ne_missing(theirs), None)


_RECORD_NAMES = {"availability_zone": "az_id"}
"""Where the inventory's column has another name than the record's."""

_FILLING = ("region", "availability_zone", "vpc_id", "subnet_id")
_ONE_BY_ONE = (*(name for name in REPORTER if name not in _FILLING), "security_group_ids")


def _filling(part: pl.DataFrame) -> list[str]:
    """Values of their own in any case, of which some record has none."""
    return [name for name in _FILLING if not _is_said(part, _RECORD_NAMES.get(name, name))]


def _is_said(part: pl.DataFrame, column: str) -> bool:
    return column in part.columns and not part[column].null_count()


def _is_silent(part: pl.DataFrame, column: str) -> bool:
    return column not in part.columns or part[column].null_count() == part.height


def _row_hex(rows: pl.Series) -> pl.Series:
    """Row numbers as 8 hex digits."""
    octets = np.frombuffer(rows.to_numpy().astype(">u4").tobytes(), np.uint8).reshape(-1, 4)
    text = _HEX[octets].reshape(-1, 8)
    return pl.Series(text, dtype=pl.Array(pl.UInt8, 8)).cast(pl.List(pl.UInt8)).cast(pl.Binary).cast(pl.String)
