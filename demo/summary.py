"""What the demo shows at its end, from the documents themselves: a folder of NDJSON, or a data stream."""

import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import polars as pl
from elasticsearch import Elasticsearch
from rich.console import Console
from rich.table import Table

STREAM = "logs-aws.vpcflow-demo"
TOP = 8
_UNITS = ("B", "kB", "MB", "GB", "TB")
_PAIR = {
    "source.ip": pl.String,
    "destination.ip": pl.String,
    "destination.port": pl.Int64,
    "network.bytes": pl.Int64,
    "event.action": pl.String,
    "source": pl.String,
    "destination": pl.String,
    "locality_source": pl.String,
    "locality_destination": pl.String,
    "resolved_source": pl.Boolean,
    "resolved_destination": pl.Boolean,
    "reporter": pl.String,
    "object": pl.String,
}


def of_files(console: Console, folder: Path, seconds: float) -> None:
    """The summary of a folder of documents."""
    files = sorted(folder.rglob("*.ndjson"))
    flows = pl.concat([_flows(file) for file in files]) if files else pl.DataFrame(schema=_PAIR)
    named = flows.filter(pl.col("source.ip").is_not_null())
    inside = {end: named.filter(pl.col(f"locality_{end}") == "internal") for end in ("source", "destination")}
    known = {end: inside[end].filter(pl.col(f"resolved_{end}")).height for end in inside}
    _figures(
        console,
        ("objects", f"{flows['object'].n_unique():,}"),
        ("records", f"{flows.height:,}"),
        ("rate", f"{flows.height / seconds:,.0f} records a second, start and EC2 included"),
        ("documents", f"{_bytes(sum(file.stat().st_size for file in files))} in {len(files)} files"),
        *((f"{end} ends known", f"{_share(known[end], inside[end].height)} inside") for end in inside),
    )
    once = named.filter(pl.col("reporter").str.contains("source"))
    talkers = once.group_by("source.ip", "source", "destination.ip", "destination").agg(
        pl.col("network.bytes").sum(), flows=pl.len()
    )
    top = talkers.sort("network.bytes", "source.ip", descending=[True, False]).head(TOP)
    _table(
        console,
        "top talkers, each flow once",
        ("source", "", "destination", "", "bytes", "flows"),
        ((row[0], row[1], row[2], row[3], _bytes(row[4]), f"{row[5]:,}") for row in top.iter_rows()),
    )
    rejected = named.filter(pl.col("event.action") == "REJECT").group_by("source.ip", "source")
    counted = rejected.agg(
        pl.len(), ports=pl.col("destination.port").n_unique(), targets=pl.col("destination.ip").n_unique()
    )
    _table(
        console,
        "top rejected sources",
        ("source", "", "rejected", "ports", "targets"),
        (
            (row[0], row[1], f"{row[2]:,}", f"{row[3]:,}", f"{row[4]:,}")
            for row in counted.sort("len", "source.ip", descending=[True, False]).head(TOP).iter_rows()
        ),
    )
    console.print(f"The documents are in {os.path.relpath(folder)}, one file an object.")


def of_elasticsearch(console: Console, url: str, seconds: float, since: datetime) -> None:
    """The summary of what came into the data stream `since` then, by its own aggregations."""
    key, user = os.environ.get("ELASTICSEARCH_API_KEY"), os.environ.get("ELASTICSEARCH_USERNAME")
    client = Elasticsearch(
        url,
        api_key=key or None,
        basic_auth=(user, os.environ.get("ELASTICSEARCH_PASSWORD", "")) if user and not key else None,
    )
    client.indices.refresh(index=STREAM)
    end = {"terms": {"field": "source.ip", "size": TOP}}
    answer = client.search(
        index=STREAM,
        size=0,
        track_total_hits=True,
        query={"range": {"event.ingested": {"gte": since.isoformat()}}},
        aggs={
            "objects": {"cardinality": {"field": "aws.s3.object.key"}},
            **{
                end: {
                    "filter": {"term": {f"{end}.locality": "internal"}},
                    "aggs": {"known": {"filter": {"exists": {"field": f"aws.vpcflow.{end}.interface_id"}}}},
                }
                for end in ("source", "destination")
            },
            "once": {
                "filter": {"term": {"aws.vpcflow.reporter": "source"}},
                "aggs": {
                    "talkers": {
                        "terms": {**end["terms"], "order": {"bytes": "desc"}},
                        "aggs": {"bytes": {"sum": {"field": "network.bytes"}}},
                    }
                },
            },
            "rejected": {"filter": {"term": {"event.action": "REJECT"}}, "aggs": {"sources": end}},
        },
    )
    records, aggregations = answer["hits"]["total"]["value"], answer["aggregations"]
    ends = {end: aggregations[end] for end in ("source", "destination")}
    _figures(
        console,
        ("objects", f"{aggregations['objects']['value']:,}"),
        ("records", f"{records:,}"),
        ("rate", f"{records / seconds:,.0f} records a second, start and EC2 included"),
        *(
            (f"{end} ends known", f"{_share(found['known']['doc_count'], found['doc_count'])} inside")
            for end, found in ends.items()
        ),
    )
    _table(
        console,
        "top talkers, each flow once",
        ("source", "bytes", "flows"),
        (
            (bucket["key"], _bytes(bucket["bytes"]["value"]), f"{bucket['doc_count']:,}")
            for bucket in aggregations["once"]["talkers"]["buckets"]
        ),
    )
    _table(
        console,
        "top rejected sources",
        ("source", "rejected"),
        ((bucket["key"], f"{bucket['doc_count']:,}") for bucket in aggregations["rejected"]["sources"]["buckets"]),
    )
    console.print(f"The documents are in the data stream {STREAM} of {url}")


def _flows(file: Path) -> pl.DataFrame:
    """The columns that the summary needs of one file of documents."""
    end = pl.Struct({"ip": pl.String, "port": pl.Int64, "locality": pl.String})
    owner = pl.Struct({"interface_id": pl.String, "resource_name": pl.String, "resource_type": pl.String})
    schema = pl.Schema(
        {
            "source": end,
            "destination": end,
            "network": pl.Struct({"bytes": pl.Int64}),
            "event": pl.Struct({"action": pl.String}),
            "aws": pl.Struct(
                {
                    "vpcflow": pl.Struct({"source": owner, "destination": owner, "reporter": pl.String}),
                    "s3": pl.Struct({"object": pl.Struct({"key": pl.String})}),
                }
            ),
        }
    )
    documents = pl.read_ndjson(file, schema=schema)
    ends = {name: pl.col("aws").struct["vpcflow"].struct[name] for name in ("source", "destination")}
    return documents.select(
        pl.col("source").struct["ip"].alias("source.ip"),
        pl.col("destination").struct["ip"].alias("destination.ip"),
        pl.col("destination").struct["port"].alias("destination.port"),
        pl.col("network").struct["bytes"].alias("network.bytes"),
        pl.col("event").struct["action"].alias("event.action"),
        *(
            pl.coalesce(owner_.struct["resource_name"], owner_.struct["resource_type"], pl.lit("outside")).alias(name)
            for name, owner_ in ends.items()
        ),
        *(pl.col(name).struct["locality"].alias(f"locality_{name}") for name in ends),
        *(owner_.struct["interface_id"].is_not_null().alias(f"resolved_{name}") for name, owner_ in ends.items()),
        pl.col("aws").struct["vpcflow"].struct["reporter"].alias("reporter"),
        pl.col("aws").struct["s3"].struct["object"].struct["key"].alias("object"),
    )


def _figures(console: Console, *figures: tuple[str, str]) -> None:
    width = max(len(name) for name, _ in figures)
    for name, figure in figures:
        console.print(f"  {name:<{width}}  [bold]{figure}[/]", highlight=False)
    console.print()


def _table(console: Console, title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2))
    for head in heads:
        right = head in {"bytes", "flows", "rejected", "ports", "targets"}
        table.add_column(head, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} % of {whole:,}" if whole else "none"


def _bytes(size: float) -> str:
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:  # noqa: PLR2004
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError
