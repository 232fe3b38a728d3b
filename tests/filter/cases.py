"""What the filter's tests share: rules from plain values, batches of all that a record can say, and a slow reference.

The reference looks at documents only, as they go out; it knows nothing of columns and codes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import numpy as np
import polars as pl

from exporter import config
from exporter.fields import FIELDS
from exporter.filter.rules import Filter
from exporter.flow import CLIENT_RULES, REPORTING, Batch, Counts
from tests.ecs.cases import NAMED, Document, batches, encoded

HEADER = " ".join([*(field.name for field in FIELDS), "new-field"])

_VALUES: dict[str, tuple[str, ...]] = {
    "version": ("11",),
    "account-id": ("012345678901", "000000000007"),
    "interface-id": ("eni-web", "eni-db", "eni-pod", "eni-odd", "eni-nobody"),
    "srcaddr": ("10.0.1.5", "10.0.2.9", "10.0.5.5", "54.93.1.2", "93.184.216.34", "2a05:d014::5", "203.0.113.9"),
    "dstaddr": ("10.0.1.5", "10.0.3.3", "10.0.4.4", "52.95.1.1", "2600:1f18::9", "10.9.9.9"),
    "pkt-srcaddr": ("10.0.1.5", "10.0.5.6", "93.184.216.34"),
    "pkt-dstaddr": ("10.0.3.3", "2600:1f18::9"),
    "srcport": ("0", "443", "40000", "65535"),
    "dstport": ("0", "53", "443", "1024", "50000"),
    "protocol": ("1", "6", "17", "58", "61", "255"),
    "packets": ("0", "1", "20", "9223372036854775807"),
    "bytes": ("0", "40", "4249"),
    "start": ("1769860800", "1769860801"),
    "end": ("1769860860", "1769860800"),
    "action": ("ACCEPT", "REJECT"),
    "log-status": ("OK", "OK", "OK", "NODATA", "SKIPDATA"),
    "vpc-id": ("vpc-main", "vpc-eks", "vpc-else"),
    "subnet-id": ("subnet-a", "subnet-else"),
    "instance-id": ("i-web", "i-node", "i-else"),
    "tcp-flags": ("0", "2", "18", "19", "255"),
    "type": ("IPv4", "IPv6"),
    "region": ("eu-central-1", "us-east-1"),
    "az-id": ("euc1-az2", "euc1-az3"),
    "pkt-src-aws-service": ("S3", "EC2"),
    "pkt-dst-aws-service": ("DYNAMODB",),
    "flow-direction": ("ingress", "egress"),
    "traffic-path": ("1", "8"),
    "interface-type": ("interface", "nat_gateway"),
    "new-field": ("a.b", "c"),
}
"""Some values of each field; a name made of the field's own for one that is not here."""

_NUMBERS = {"packets-lost-no-route", "packets-lost-blackhole", "packets-lost-mtu-exceeded", "packets-lost-ttl-expired"}
_TIMES, _CODES = {"start", "end"}, {"encryption-status"}
_GEO = (
    {"city_name": "Köln", "country_iso_code": "DE", "location": {"lat": 50.9, "lon": 6.9}},
    {"region_name": 'a"b\\'},
)
_AS = ({"number": 15169, "organization": {"name": "GOOGLE"}}, {"number": 64512})


def _value(name: str, chance: Random) -> str:
    if chance.random() < 0.35:
        return "-"
    if name in _NUMBERS | _CODES:
        return chance.choice(["0", "7"])
    if "account-id" in name:
        return chance.choice(["012345678901", "000000000007"])
    return chance.choice(_VALUES.get(name, (f"{name}-1", f"{name}-2")))


def any_batch(chance: Random, records: int, names: Sequence[str] = tuple(HEADER.split())) -> Batch:
    """Records of any values in the fields of these names, enriched with all that there is."""
    lines = [" ".join(_value(name, chance) for name in names) for _ in range(records)]
    (batch,) = batches(" ".join(names), *lines, inventory=NAMED if chance.random() < 0.8 else None)
    return _enriched(batch, chance) if chance.random() < 0.8 else batch


def _enriched(batch: Batch, chance: Random) -> Batch:
    """With columns as other stages would have added them."""
    height, distinct = batch.frame.height, len(batch.addresses.text)

    def some(values: Sequence[Any], count: int = height) -> list[Any]:
        return [chance.choice([None, *values]) for _ in range(count)]

    kinds = some(["cross_zone", "internet_egress"])
    feeds = some(['["a"]', '["a","b \\"c\\""]'])
    ends = {"srcaddr", "dstaddr"} <= set(batch.frame.columns)
    frame = batch.frame.with_columns(
        pl.Series("reporting", some(range(len(REPORTING))), pl.UInt8),
        pl.Series("client_rule", some(range(len(CLIENT_RULES))), pl.UInt8),
        pl.Series("network_protocol", some(["https", "domain"]), pl.String),
        pl.Series("cost_kind", kinds, pl.String),
        pl.Series(
            "cost_usd", [None if kind is None else chance.choice([0.1 + 0.2, 1e-6]) for kind in kinds], pl.Float64
        ),
        pl.Series("threat_feeds", feeds, pl.String),
        pl.Series("threats", [each and '[{"indicator":{"name":"x"}}]' for each in feeds], pl.String),
    )
    if ends:
        known = pl.col("srcaddr").is_not_null() & pl.col("dstaddr").is_not_null()
        client = pl.Series("client", some([0, 1]), pl.UInt8)
        frame = frame.with_columns(client=pl.when(known).then(client))
    texts = {
        name: [each and json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in some(values, distinct)]
        for name, values in (("geo", _GEO), ("as", _AS))
    }
    services = some(["S3", "AMAZON"], distinct)
    batch = replace(batch, frame=frame)
    return batch.with_about(
        *(pl.Series(name, values, pl.String) for name, values in texts.items()),
        pl.Series("aws_service", services, pl.String),
        pl.Series("aws_region", [each and chance.choice([None, "us-east-1"]) for each in services], pl.String),
    )


# Rules and what they do -----------------------------------------------------------------------------------------------


def rule(name: str, action: str, where: Mapping[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401  as in a file
    """A rule as it stands in the configuration."""
    return {"name": name, "action": action, "where": where, **more}


def filtering(*rules: Mapping[str, Any], **options: Any) -> Filter:  # noqa: ANN401  as in a file
    """The filter of such rules, none of them on a dry run."""
    return Filter.of(config.Filter.model_validate({"dry_run": "false", "rules": rules, **options}))


def kept(found: Filter, batch: Batch) -> tuple[list[int], Counts]:
    """The rows that go out, and the counts."""
    out, counts = found.apply(batch)
    return out.frame["row"].to_list(), counts


def documents(batch: Batch) -> dict[int, Document]:
    """The batch's documents by their rows."""
    found = {int(name[16:], 16): document for name, document in encoded([batch]).items()}
    return {row: found[row] for row in batch.frame["row"].to_list()}


# The reference --------------------------------------------------------------------------------------------------------

_OPEN = ("aws.vpcflow.source.tags.", "aws.vpcflow.destination.tags.", "aws.vpcflow.extra.")
_ADDRESSES = re.compile(r"(.*\.)?(ip|pkt_(src|dst)addr)")
_SPAN = re.compile(r"(<=|>=|<|>)?([0-9.]+)(?:-([0-9.]+))?")


def values_at(document: Document, path: str) -> list[Any]:
    """The values that a document has at a path; none where it has not got that far."""
    above = next((each for each in _OPEN if path.startswith(each)), "")
    names = [*above.rstrip(".").split("."), path.removeprefix(above)] if above else path.split(".")
    node: Any = document
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, list) else [] if node is None else [node]


def fits(document: Document, conditions: Mapping[str, Sequence[str]]) -> bool:
    """Whether all conditions hold for a document."""
    return all(_one_fits(values_at(document, path), path, texts) for path, texts in conditions.items())


def _one_fits(values: Sequence[Any], path: str, texts: Sequence[str]) -> bool:
    if not values:
        return "-" in texts
    return "*" in texts or any(_fits(value, path, text) for value in values for text in texts if text != "-")


def _fits(value: Any, path: str, text: str) -> bool:  # noqa: ANN401  JSON
    if isinstance(value, int | float):
        match = _SPAN.fullmatch(text)
        assert match is not None
        number = float(match[2]) if "." in text else int(match[2])
        upper = number if match[3] is None else type(number)(match[3])
        return {
            None: number <= value <= upper,
            "<": value < number,
            "<=": value <= number,
            ">": value > number,
            ">=": value >= number,
        }[match[1]]
    if _ADDRESSES.fullmatch(path):
        return ip_address(value) in ip_network(text)
    return re.fullmatch(".*".join(map(re.escape, text.split("*"))), value, re.DOTALL) is not None


def decided(rows: Mapping[int, Document], rules: Sequence[Mapping[str, Any]], sampled: Mapping[float, set[int]]) -> Any:  # noqa: ANN401
    """The rows that go out with their rates, and the counts: rule by rule for one document at a time.

    `sampled` has the rows that a sample of a rate keeps.
    """
    out: dict[int, float | None] = {}
    counts: Counts = {}
    for row, document in rows.items():
        fitting = [each for each in rules if _applies(document, each)]
        live = next((each for each in fitting if not each.get("dry_run")), None)
        planned = next(iter(fitting), None)
        if planned is not None and planned.get("dry_run") and not _stays(row, planned, sampled):
            _count(counts, planned["name"], "would drop")
        if live is None or _stays(row, live, sampled):
            out[row] = live.get("rate") if live else None
        else:
            _count(counts, live["name"], "dropped" if live["action"] == "drop" else "sampled out")
    return out, counts


def _applies(document: Document, each: Mapping[str, Any]) -> bool:
    return fits(document, each["where"]) and not (each.get("unless") and fits(document, each["unless"]))


def _stays(row: int, each: Mapping[str, Any], sampled: Mapping[float, set[int]]) -> bool:
    return each["action"] == "keep" or (each["action"] == "sample" and row in sampled[each["rate"]])


def _count(counts: Counts, name: str, what: str) -> None:
    counts[name, what] = counts.get((name, what), 0) + 1


def rates(batch: Batch) -> list[float | None]:
    """Each record's rate."""
    if "sample_rate" not in batch.frame.columns:
        return [None] * batch.frame.height
    assert not np.isnan(batch.frame["sample_rate"].drop_nulls().to_numpy()).any()
    return batch.frame["sample_rate"].to_list()
