"""Any records of any format, with and without an inventory: each document is what the plain reference says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from exporter.enrich.inventory import Snapshot
from exporter.fields import FIELDS
from exporter.flow import Batch
from tests.ecs import reference
from tests.ecs.cases import INVENTORY, NAMED, SOURCE, batches, document_id, encoded, snapshot, with_key

Row = tuple[str, ...]

KNOWN = (
    *reference.STRINGS,
    *reference.SAME_NAME,
    *reference.NUMBERS,
    *reference.TAGS,
    *reference.TIMES,
    *reference.ELSEWHERE,
)
UNKNOWN = ("mood", "Weather_2", "x-y-z", "row", "original", "timestamp")
"""Fields of another time; some have the names of columns that the program uses itself."""

words = st.text(alphabet='ab-"\\/{}:,é🤖%\u2028', min_size=1, max_size=6)
addresses = st.sampled_from(
    (
        "10.0.1.5",
        "10.0.2.9",
        "10.0.4.4",
        "10.0.5.5",
        "10.0.6.20",
        "8.8.8.8",
        "10.9.0.1",
        "2a05:d014::5",
        "2a00:1450::8",
        "::1",
        "54.93.1.2",
    )
)
counts = st.one_of(st.sampled_from(("0", "1", str(2**63 - 1))), st.integers(0, 10**12).map(str))
ports = st.integers(0, 65_535).map(str)
VALUES: Mapping[str, st.SearchStrategy[str]] = {
    "account-id": st.sampled_from(("012345678901", "unknown", "000000000007")),
    "interface-id": st.sampled_from(
        ("eni-web", "eni-odd", "eni-db", "eni-bare", "eni-pod", "eni-nameless", "eni-unknown")
    ),
    "instance-id": st.sampled_from(("i-web", "i-odd", "i-other")),
    "vpc-id": st.sampled_from(("vpc-main", "vpc-other")),
    "region": st.sampled_from(("eu-central-1", "us-east-1")),
    "flow-direction": st.sampled_from(("ingress", "egress")),
    "action": st.sampled_from(("ACCEPT", "REJECT", "OTHER")),
    "log-status": st.sampled_from(("OK", "NODATA", "SKIPDATA")),
    "protocol": st.sampled_from((*reference.TRANSPORTS, "61", "255")),
    "tcp-flags": st.sampled_from(("0", "2", "18", "19", "63", "64", "255", "65535")),
    "traffic-path": st.integers(1, 8).map(str),
    "encryption-status": st.integers(0, 3).map(str),
    "version": st.integers(2, 11).map(str),
    "srcport": ports,
    "dstport": ports,
    **dict.fromkeys(("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr"), addresses),
    **dict.fromkeys(("packets", "bytes", *(name for name in reference.NUMBERS if name.startswith("packets-"))), counts),
    **dict.fromkeys(
        reference.TIMES,
        st.one_of(
            st.integers(1_769_860_000, 1_769_860_900), st.sampled_from((0, 99_999_999_999, 1_769_860_800_123))
        ).map(str),
    ),
    **dict.fromkeys(
        reference.TAGS, st.one_of(words, st.text(min_size=1, max_size=6).map(lambda text: quote(text, "")))
    ),
}


@dataclass(frozen=True, slots=True)
class File:
    """A header and its records, a blank between the values, `-` where there is none."""

    names: Row
    rows: tuple[Row, ...]


@st.composite
def files(draw: st.DrawFn) -> File:
    """Any known fields in any order, fewer unknown ones; each column has its own share of nulls, none and all too."""
    width = draw(st.sampled_from((30, 60, 10, 3, 1)))
    first = draw(st.sampled_from((("interface-id", "instance-id"), ("interface-id",), ())))
    names = [*first, *(name for name in draw(st.permutations(KNOWN))[:width] if name not in first)]
    unknown = draw(st.lists(st.sampled_from(UNKNOWN), max_size=len(names) - 1, unique=True))
    order = draw(st.permutations([*names, *unknown]))
    height = draw(st.integers(1, 8))
    columns = [draw(_columns(name, height)) for name in order]
    return File(tuple(order), tuple(zip(*columns, strict=True)))


@st.composite
def _columns(draw: st.DrawFn, name: str, height: int) -> list[str]:
    """Values of one field: all the same, all given, some given, or none."""
    value = VALUES.get(name, words)
    share = draw(st.sampled_from(("some", "all", "same", "none")))
    if share == "none":
        return ["-"] * height
    if share == "same":
        return [draw(value)] * height
    return draw(st.lists(value | st.just("-") if share == "some" else value, min_size=height, max_size=height))


def test_the_reference_knows_every_field() -> None:
    assert sorted(KNOWN) == sorted(field.name for field in FIELDS)


@settings(
    deadline=None, derandomize=True, max_examples=200, phases=[Phase.generate]
)  # a failure would shrink for minutes
@given(files(), st.sampled_from([INVENTORY, NAMED, NAMED, snapshot(), None]), st.booleans())
def test_any_file_as_the_plain_reference(file: File, inventory: Snapshot | None, placed: bool) -> None:  # noqa: FBT001 # drawn
    source = SOURCE if placed else with_key(account=None, region=None)
    found = batches(" ".join(file.names), *(" ".join(row) for row in file.rows), inventory=inventory, source=source)
    documents = encoded(found)
    expected = {}
    for row, (values, known) in enumerate(zip(file.rows, _known(found), strict=True), 1):
        record = {name: None if text == "-" else text for name, text in zip(file.names, values, strict=True)}
        extra = {name: record.pop(name) for name in file.names if name in UNKNOWN}
        expected[document_id(row)] = reference.document(record, extra, row, source, known)
    assert documents == expected


def _known(found: list[Batch]) -> list[reference.Known]:
    """What enrichment, which is not tested here, says of each record."""
    result: list[reference.Known] = []
    for batch in found:
        owners = [{**row, "tags": json.loads(row["tags"] or "{}")} for row in _rows(batch.owners)]
        result += [_of(row, owners, _localities(batch)) for row in batch.frame.rows(named=True)]
    return result


def _rows(owners: pl.DataFrame | None) -> list[dict[str, Any]]:
    return [] if owners is None else owners.rows(named=True)


def _localities(batch: Batch) -> dict[str | None, str | None]:
    """The locality of each address of a batch."""
    assert batch.about is not None
    return dict(zip(batch.addresses.text, batch.about["locality"], strict=True))


def _of(
    row: Mapping[str, Any], owners: list[dict[str, Any]], localities: Mapping[str | None, str | None]
) -> reference.Known:
    def owner(name: str) -> dict[str, Any] | None:
        place = row.get(name)
        return None if place is None else owners[place]

    return reference.Known(
        reporter=owner("reporter"),
        source=owner("source_owner"),
        destination=owner("destination_owner"),
        source_locality=localities.get(row.get("srcaddr")),
        destination_locality=localities.get(row.get("dstaddr")),
        direction=row.get("flow_direction"),
    )
