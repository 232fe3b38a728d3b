"""What can be filtered on, against the mapping: every field of documents, or a reason why not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.filter.fields import BELOW, FILTERABLE, UNFILTERABLE, filterable

MAPPINGS = json.loads((Path(__file__).parents[2] / "mappings/elasticsearch/mappings.json").read_text(encoding="utf-8"))
KINDS = {"keyword": {"keyword"}, "ip": {"ip"}, "long": {"whole"}, "double": {"decimal"}}
"""The types of the mapping, and of the filter."""


def mapped(properties: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every field's path and type; an object that takes any names is one, too."""
    for name, each in properties.items():
        if "properties" in each:
            yield from mapped(each["properties"], f"{above}{name}.")
        else:
            yield f"{above}{name}", each["type"]


FIELDS = dict(mapped(MAPPINGS["template"]["mappings"]["properties"]))


def test_every_field_can_be_filtered_on_or_there_is_a_reason() -> None:
    reasons = {path for path in FIELDS for above in UNFILTERABLE if path == above or path.startswith(f"{above}.")}
    assert FILTERABLE.keys() | BELOW.keys() == FIELDS.keys() - reasons
    assert [above for above in UNFILTERABLE if not any(path.startswith(above) for path in FIELDS)] == []
    assert {path: each.kind for path, each in FILTERABLE.items() if each.kind not in KINDS[FIELDS[path]]} == {}


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("destination.prot", "no such field in documents; did you mean destination.port?"),
        ("source.country", "no such field in documents; did you mean source.geo.country_name?"),
        ("xyzzy", "no such field in documents"),
        ("", "no such field in documents"),
        ("aws.vpcflow.source.tags", "expected a tag's key behind it: aws.vpcflow.source.tags.NAME"),
        ("aws.vpcflow.extra.", "expected the field's name in the record behind it: aws.vpcflow.extra.NAME"),
        ("event.kind", "cannot be filtered on: it is the same in every document"),
        ("event.end", "cannot be filtered on: a time is nothing to filter on"),
        (
            "threat.enrichments.indicator.ip",
            "cannot be filtered on: threat.feed.name says which feeds a record matches",
        ),
    ],
)
def test_what_is_no_field(path: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"no such|expected|cannot") as raised:
        filterable(path)
    assert str(raised.value) == fault
