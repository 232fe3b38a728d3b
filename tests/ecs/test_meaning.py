"""What a flow means, in documents: columns that enrichment adds, to whole documents by hand."""

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from exporter.flow import CLIENT_RULES, REPORTING, Batch
from tests.ecs.cases import LOCAL, V2, V5, Document, always, batches, document_id, encoded, nested

IN, OUT = "10.9.0.1", "93.184.216.34"
FLOW = f"2 012345678901 eni-x {IN} {OUT} 40000 443 6 20 4249 1769860800 1769860860 ACCEPT OK"
BACK = f"2 012345678901 eni-x {OUT} {IN} 443 40000 6 18 9000 1769860800 1769860860 ACCEPT OK"
NODATA = "2 012345678901 eni-x - - - - - - - 1769860800 1769860860 - NODATA"

ENDS = {IN: {"address": IN, "ip": IN}, OUT: {"address": OUT, "ip": OUT}}


def batch_of(*lines: str, header: str = V2, **columns: list[Any] | pl.Series) -> Batch:
    """The lines as one batch, with more columns."""
    (batch,) = batches(header, *lines, inventory=None, source=LOCAL)
    added = {name: values if isinstance(values, pl.Series) else pl.Series(values) for name, values in columns.items()}
    return replace(batch, frame=batch.frame.with_columns(**added))


def codes(*values: int | None) -> pl.Series:
    return pl.Series(values, dtype=pl.UInt8)


def documents(batch: Batch) -> list[Document]:
    found = encoded([batch])
    return [found[document_id(row, LOCAL)] for row in batch.frame["row"].to_list()]


def part(document: Document, *names: str) -> Document:
    """Some of a document's top-level objects, those that it has."""
    return {name: document[name] for name in names if name in document}


def test_client_and_server_of_both_halves_and_of_a_flow_that_nobody_can_tell() -> None:
    batch = batch_of(FLOW, BACK, FLOW, NODATA, client=codes(0, 1, None, None), client_rule=codes(0, 1, None, None))
    there, back, unknown, silent = documents(batch)
    assert part(there, "client", "server") == {
        "client": {**ENDS[IN], "port": 40_000, "bytes": 4249, "packets": 20},
        "server": {**ENDS[OUT], "port": 443},
    }
    assert part(back, "client", "server") == {
        "client": {**ENDS[IN], "port": 40_000},
        "server": {**ENDS[OUT], "port": 443, "bytes": 9000, "packets": 18},
    }
    assert [part(each, "client", "server") for each in (unknown, silent)] == [{}, {}]
    assert [each["aws"]["vpcflow"].get("client_rule") for each in (there, back, unknown, silent)] == [
        "tcp_flags",
        "pair",
        None,
        None,
    ]


@pytest.mark.parametrize("client", [0, 1])
def test_client_and_server_where_all_records_have_them(client: int) -> None:
    (document,) = documents(batch_of(FLOW, client=codes(client), client_rule=codes(2)))
    sent = {"bytes": 4249, "packets": 20}
    ends = ({**ENDS[IN], "port": 40_000, **sent}, {**ENDS[OUT], "port": 443})
    assert (document["client"], document["server"]) == (ends if client == 0 else ends[::-1])
    assert document["source"] == {**ENDS[IN], "port": 40_000, "locality": "internal", **sent}
    assert document["aws"]["vpcflow"]["client_rule"] == "port"


def test_client_and_server_without_ports_and_counts() -> None:
    header = "version interface-id srcaddr dstaddr"
    (document,) = documents(batch_of(f"5 eni-x {IN} {OUT}", header=header, client=codes(1), client_rule=codes(0)))
    assert part(document, "client", "server") == {"client": ENDS[OUT], "server": ENDS[IN]}


def test_counts_that_some_records_lack() -> None:
    lines = (f"{IN} {OUT} 40000 443 5 -", f"{IN} {OUT} 40000 443 - 7", f"{IN} {OUT} 40000 - 5 7")
    header = "srcaddr dstaddr srcport dstport packets bytes"
    found = documents(batch_of(*lines, header=header, client=codes(0, 0, 0), client_rule=codes(0, 0, 0)))
    assert [part(each, "client", "server") for each in found] == [
        {"client": {**ENDS[IN], "port": 40_000, "packets": 5}, "server": {**ENDS[OUT], "port": 443}},
        {"client": {**ENDS[IN], "port": 40_000, "bytes": 7}, "server": {**ENDS[OUT], "port": 443}},
        {"client": {**ENDS[IN], "port": 40_000, "packets": 5, "bytes": 7}, "server": ENDS[OUT]},
    ]


def test_whose_view_it_is() -> None:
    """A flow that only one interface reports stands for both views: so a sum over either counts it."""
    batch = batch_of(*[FLOW] * 5, reporting=codes(0, 1, 2, 3, None))
    views = [each["aws"]["vpcflow"].get("reporter") for each in documents(batch)]
    assert REPORTING == ("source", "destination", "only", "copy")
    assert views == ["source", "destination", ["source", "destination"], "copy", None]


def test_every_view_with_every_rule() -> None:
    pairs = [(view, rule) for view in (None, *range(4)) for rule in (None, *range(len(CLIENT_RULES)))]
    batch = batch_of(
        *[FLOW] * len(pairs),
        reporting=codes(*(view for view, _ in pairs)),
        client_rule=codes(*(rule for _, rule in pairs)),
    )
    views = {None: None, 0: "source", 1: "destination", 2: ["source", "destination"], 3: "copy"}
    rules = {None: None, 0: "tcp_flags", 1: "pair", 2: "port"}
    found = [each["aws"]["vpcflow"] for each in documents(batch)]
    assert [(each.get("reporter"), each.get("client_rule")) for each in found] == [
        (views[view], rules[rule]) for view, rule in pairs
    ]


GEO = '{"city_name":"Norwell","country_iso_code":"US","location":{"lat":42.15,"lon":-70.82}}'
AS = '{"number":15133,"organization":{"name":"EDGECAST \\"x\\""}}'


def test_places_and_networks_at_the_end_that_has_them() -> None:
    batch = batch_of(FLOW, BACK, NODATA)
    place = {IN: None, OUT: GEO}
    network = {IN: None, OUT: AS}
    texts = batch.addresses.text.to_list()
    batch = batch.with_about(
        pl.Series("geo", [place[text] for text in texts], dtype=pl.String),
        pl.Series("as", [network[text] for text in texts], dtype=pl.String),
    )
    there, back, silent = documents(batch)
    far = {
        **ENDS[OUT],
        "port": 443,
        "locality": "external",
        "geo": {"city_name": "Norwell", "country_iso_code": "US", "location": {"lat": 42.15, "lon": -70.82}},
        "as": {"number": 15133, "organization": {"name": 'EDGECAST "x"'}},
    }
    assert there["destination"] == far
    assert there["source"] == {**ENDS[IN], "port": 40_000, "locality": "internal", "bytes": 4249, "packets": 20}
    assert back["source"] == {**far, "bytes": 9000, "packets": 18}
    assert back["destination"] == {**ENDS[IN], "port": 40_000, "locality": "internal"}
    assert part(silent, "source", "destination", "flow") == {}
    assert there["flow"] == back["flow"] == {"locality": "external"}


def test_aws_own_addresses() -> None:
    """The service and its region stand where the inventory would tell who the end is."""
    batch = batch_of(FLOW, BACK)
    service = {IN: (None, None), OUT: ("S3", "eu-west-1")}
    texts = batch.addresses.text.to_list()
    batch = batch.with_about(
        pl.Series("aws_service", [service[text][0] for text in texts], dtype=pl.String),
        pl.Series("aws_region", [service[text][1] for text in texts], dtype=pl.String),
    )
    there, back = documents(batch)
    told = {"region": "eu-west-1", "service": {"name": "S3"}}
    assert part(there["cloud"], "origin", "target") == {"target": told}
    assert part(back["cloud"], "origin", "target") == {"origin": told}


def test_aws_address_without_a_region() -> None:
    batch = batch_of(FLOW)
    batch = batch.with_about(
        pl.Series("aws_service", ["CLOUDFRONT"] * 2), pl.Series("aws_region", [None, None], dtype=pl.String)
    )
    (document,) = documents(batch)
    assert document["cloud"]["target"] == {"service": {"name": "CLOUDFRONT"}}


def test_what_it_costs_what_it_stands_for_and_which_protocol_it_is() -> None:
    batch = batch_of(
        FLOW,
        BACK,
        cost_kind=["internet_egress", None],
        cost_usd=[0.000000356, None],
        sample_rate=[None, 0.01],
        network_protocol=["https", None],
    )
    there, back = documents(batch)
    assert there["aws"]["vpcflow"]["cost"] == {"kind": "internet_egress", "usd": 0.000000356}
    assert there["network"]["protocol"] == "https"
    assert "sample_rate" not in there["aws"]["vpcflow"]
    assert part(back["aws"]["vpcflow"], "cost", "sample_rate") == {"sample_rate": 0.01}
    assert "protocol" not in back["network"]


def test_threats() -> None:
    threats = '[{"indicator":{"ip":"93.184.216.34","type":"ipv4-addr"},"matched":{"field":"destination.ip"}}]'
    batch = batch_of(FLOW, BACK, threats=[threats, None], threat_feeds=['["a","b \\"c\\""]', None])
    there, back = documents(batch)
    assert there["threat"] == {
        "enrichments": [
            {"indicator": {"ip": "93.184.216.34", "type": "ipv4-addr"}, "matched": {"field": "destination.ip"}}
        ],
        "feed": {"name": ["a", 'b "c"']},
    }
    assert "threat" not in back


def test_ready_texts_are_not_escaped_once_more() -> None:
    """A batch of which a text needs escaping (here a zone) has ready JSON as it stands."""
    line = (
        f"5 012345678901 eni-x {IN} {OUT} 40000 443 6 20 4249 1769860800 1769860860 ACCEPT OK "
        "vpc-a subnet-a i-a 2 IPv4 "
        f'{IN} {OUT} eu-west-1 zone"1 - - - - egress 8'
    )
    batch = batch_of(line, header=V5, threats=['[{"matched":{"type":"x"}}]'], threat_feeds=['["a"]'])
    assert not batch.plain
    (document,) = documents(batch)
    assert document["threat"] == {"enrichments": [{"matched": {"type": "x"}}], "feed": {"name": ["a"]}}
    assert document["cloud"]["availability_zone"] == 'zone"1'


def test_the_whole_document_with_all_of_it() -> None:
    batch = batch_of(
        FLOW,
        client=codes(0),
        client_rule=codes(0),
        reporting=codes(2),
        network_protocol=["https"],
        cost_kind=["internet_egress"],
        cost_usd=[0.5],
        threats=['[{"matched":{"field":"destination.ip"}}]'],
        threat_feeds=['["a"]'],
        sample_rate=[0.5],
    )
    batch = batch.with_about(
        *(
            pl.Series(name, [None if text == IN else told for text in batch.addresses.text.to_list()], dtype=pl.String)
            for name, told in (("geo", GEO), ("as", AS))
        )
    )
    (document,) = documents(batch)
    sent = {"bytes": 4249, "packets": 20}
    community = document["network"]["community_id"]
    assert document == nested(
        {
            **always(1, LOCAL),
            "@timestamp": "2026-01-31T12:01:00.000Z",
            "event.start": "2026-01-31T12:00:00.000Z",
            "event.end": "2026-01-31T12:01:00.000Z",
            "event.duration": 60_000_000_000,
            "event.action": "ACCEPT",
            "event.outcome": "success",
            "event.type": ["connection", "allowed"],
            "cloud.account.id": "012345678901",
            "source": {**ENDS[IN], "port": 40_000, "locality": "internal", **sent},
            "destination": {
                **ENDS[OUT],
                "port": 443,
                "locality": "external",
                "geo": {"city_name": "Norwell", "country_iso_code": "US", "location": {"lat": 42.15, "lon": -70.82}},
                "as": {"number": 15133, "organization": {"name": 'EDGECAST "x"'}},
            },
            "client": {**ENDS[IN], "port": 40_000, **sent},
            "server": {**ENDS[OUT], "port": 443},
            "flow.locality": "external",
            "related.ip": [IN, OUT],
            "network": {
                "iana_number": "6",
                "transport": "tcp",
                "type": "ipv4",
                "protocol": "https",
                "community_id": community,
                **sent,
            },
            "threat": {"enrichments": [{"matched": {"field": "destination.ip"}}], "feed": {"name": ["a"]}},
            "aws.vpcflow": {
                "version": "2",
                "account_id": "012345678901",
                "interface_id": "eni-x",
                "action": "ACCEPT",
                "log_status": "OK",
                "reporter": ["source", "destination"],
                "client_rule": "tcp_flags",
                "cost": {"kind": "internet_egress", "usd": 0.5},
                "sample_rate": 0.5,
            },
        }
    )
