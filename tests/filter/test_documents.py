"""The values that a document would show decide: every field and any rules, against the documents themselves."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.filter.fields import FILTERABLE, filterable
from exporter.filter.sampling import are_kept, hashes
from exporter.flow import Batch
from tests.ecs.cases import LOCAL, NAMED, V2, V5, Document, batches

from .cases import HEADER, any_batch, decided, documents, filtering, fits, kept, rates, rule, values_at

_DEEP = ("aws.vpcflow.source.tags.team", "aws.vpcflow.destination.tags.cost center", "aws.vpcflow.extra.new-field")
PATHS = (*FILTERABLE, *_DEEP)
SEEDS = 8
HEADERS = (tuple(HEADER.split()), tuple(V2.split()), tuple(V5.split()), ("srcaddr", "dstport", "action", "log-status"))


def conditions_on(path: str, values: Sequence[Any]) -> list[list[str]]:
    """Conditions that fit some of the values, all of them, or none."""
    kind = filterable(path).kind
    found = [["*"], ["-"], ["*", "-"]]
    for value in values:
        if kind == "ip":
            wide = ip_network(f"{value}/{12 if ip_address(value).version == 4 else 32}", strict=False)
            found += [[value], [str(wide)], [str(wide), "-"]]
        elif kind == "keyword":
            found += [[value], [f"{value[:2]}*"], [f"*{value[-2:]}"], [f"{value[0]}*{value[-1]}"], [value, "-"]]
        elif kind == "whole":
            found += [[str(value)], [f"<{value}"], [f"<={value}"], [f">{value}"], [f">={value}"], [f"0-{value}", "-"]]
        else:
            text = f"{value:.12f}"
            found += [[text], [f"<{text}"], [f"<={text}"], [f">{text}"], [f">={text}"], [f"0-{text}"]]
    if len(values) > 1 and kind != "decimal":
        found.append([str(each) for each in values[:2]])
    return [each for each in found if "**" not in each[0]]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_field_is_what_the_document_shows(seed: int) -> None:
    """Each path with conditions from the values that the documents themselves have there."""
    batch = any_batch(Random(seed), 40, HEADERS[seed % len(HEADERS)])  # noqa: S311 - a test's
    rows = documents(batch)
    for path in PATHS:
        values = sorted({value for document in rows.values() for value in values_at(document, path)})
        for texts in conditions_on(path, values[:4]):
            expected = [row for row, document in rows.items() if fits(document, {path: texts})]
            found, counts = kept(filtering(rule("others", "keep", {path: texts}), rule("all", "drop", ALL)), batch)
            assert found == expected, (path, texts)
            assert counts == ({("all", "dropped"): 40 - len(expected)} if len(expected) < 40 else {})


ALL = {"log.offset": "*"}
"""What every document has."""


def test_every_field_has_a_value_in_some_of_these_documents() -> None:
    """Else the test above shows nothing for it; the file's path is only of local ones."""
    shown: set[str] = set()
    for seed in range(SEEDS):
        found = documents(any_batch(Random(seed), 40, HEADERS[seed % len(HEADERS)]))  # noqa: S311 - a test's
        shown |= {path for path in PATHS for document in found.values() if values_at(document, path)}
    geo = {path for path in PATHS if ".geo." in path and path.rpartition(".")[2] not in _OF_GEO}
    assert set(PATHS) - shown == {"log.file.path"} | geo


_OF_GEO = ("city_name", "country_iso_code", "region_name")


def test_a_local_file_s_path() -> None:
    (batch,) = batches(V2, "2 - eni-1 - - - - - - - - - - NODATA", inventory=NAMED, source=LOCAL)
    assert kept(filtering(rule("r", "drop", {"log.file.path": "*/flows.log"})), batch) == ([], {("r", "dropped"): 1})
    assert kept(filtering(rule("r", "drop", {"aws.s3.object.key": "*"})), batch) == ([1], {})


# Rules of any kind ----------------------------------------------------------------------------------------------------


@st.composite
def clauses(draw: st.DrawFn, shown: dict[str, list[Any]]) -> dict[str, list[str]]:
    """Some fields, each with a condition, mostly on values that are there."""
    paths = draw(st.lists(st.sampled_from(sorted(shown)), min_size=1, max_size=3, unique=True))
    return {path: draw(st.sampled_from(conditions_on(path, shown[path]))) for path in paths}


@st.composite
def rules(draw: st.DrawFn, shown: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Some rules, each with a name of its own."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        action = draw(st.sampled_from(["keep", "drop", "drop", "sample"]))
        more: dict[str, Any] = {"dry_run": draw(st.booleans())}
        if draw(st.booleans()):
            more["unless"] = draw(clauses(shown))
        if action == "sample":
            more["rate"] = draw(st.sampled_from([0.1, 0.5, 0.9]))
        found.append(rule(f"rule {number}", action, draw(clauses(shown)), **more))
    return found


@given(st.data(), st.integers(0, 2**32), st.sampled_from(HEADERS))
@settings(max_examples=60, deadline=None)
def test_rules_do_what_they_say_to_each_document(data: st.DataObject, seed: int, names: tuple[str, ...]) -> None:
    batch = any_batch(Random(seed), 25, names)  # noqa: S311 - a test's
    rows = documents(batch)
    shown = {path: sorted({each for one in rows.values() for each in values_at(one, path)})[:6] for path in PATHS}
    given_rules = data.draw(rules({path: values for path, values in shown.items() if values}))
    expected, counts = decided(rows, given_rules, samples(batch))
    out, found = filtering(*given_rules).apply(batch)
    assert dict(zip(out.frame["row"].to_list(), rates(out), strict=True)) == expected
    assert found == counts
    assert documents(out) == with_rates({row: rows[row] for row in expected}, expected)


def samples(batch: Batch) -> dict[float, set[int]]:
    """The rows of a batch that are kept of samples."""
    hashed = hashes(batch.source, batch.frame["row"].to_numpy())
    return {rate: set(batch.frame["row"].to_numpy()[are_kept(hashed, rate)].tolist()) for rate in (0.1, 0.5, 0.9)}


def with_rates(rows: dict[int, Document], sampled: dict[int, float | None]) -> dict[int, Document]:
    """The documents, those of a sample with its rate."""
    for row, rate in sampled.items():
        if rate is not None:
            rows[row]["aws"].setdefault("vpcflow", {})["sample_rate"] = rate
    return rows
