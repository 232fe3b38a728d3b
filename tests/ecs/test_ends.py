"""The ready text of the inventory's interfaces."""

import json

import polars as pl

from exporter.ecs.ends import ACCOUNT, REPORTER, EndTexts, end_texts
from tests.ecs.cases import (
    BARE,
    DB,
    DB_CLOUD,
    DB_VPCFLOW,
    ODD,
    ODD_NAME,
    POD,
    POD_CLOUD,
    POD_VPCFLOW,
    WEB,
    WEB_CLOUD,
    WEB_VPCFLOW,
    Interface,
    snapshot,
)


def test_an_interface_with_everything() -> None:
    (row,) = end_texts(snapshot(WEB).owners, named=True).rows(named=True)
    assert json.loads(row["cloud"]) == WEB_CLOUD
    assert json.loads(row["vpcflow"]) == WEB_VPCFLOW
    assert json.loads(row["security_group_ids"]) == ["sg-web", "sg-all"]
    assert {name: row[name] for name in REPORTER} == {
        "region": "eu-central-1",
        "availability_zone": "euc1-az2",
        "instance_id": "i-web",
        "instance_name": "web-1",
        "machine_type": "m7g.large",
        "interface_type": "interface",
        "vpc_id": "vpc-main",
        "vpc_name": "main",
        "subnet_id": "subnet-a",
        "subnet_name": "front-a",
    }


def test_an_interface_of_a_cluster_in_an_account_with_a_name() -> None:
    """When it was attached, and whether it is fixed, only the look-ups have to know."""
    (row,) = end_texts(snapshot(POD).owners, named=True).rows(named=True)
    assert json.loads(row["cloud"]) == POD_CLOUD
    assert json.loads(row["vpcflow"]) == POD_VPCFLOW
    assert {name: row[name] for name in ACCOUNT} == {"account_id": "000000000007", "account_name": "payments"}


def test_what_an_interface_lacks_is_left_out() -> None:
    database, bare = end_texts(snapshot(DB, BARE).owners, named=True).rows(named=True)
    assert json.loads(database["cloud"]) == DB_CLOUD
    assert json.loads(database["vpcflow"]) == DB_VPCFLOW
    assert database["security_group_ids"] is None
    assert bare["cloud"] is None
    assert bare["vpcflow"] == '{"interface_id":"eni-bare"}'
    assert {name for name in REPORTER if bare[name] is not None} == set()


def test_names_that_need_escaping() -> None:
    (row,) = end_texts(snapshot(ODD).owners, named=True).rows(named=True)
    assert json.loads(row["cloud"]) == {"instance": {"id": "i-odd", "name": ODD_NAME}}
    assert json.loads(row["vpcflow"]) == {
        "interface_id": "eni-odd",
        "vpc_name": "a\\",
        "security_group_ids": ['sg-"', "sg-\\n"],
        "tags": {'the "key"\n': ODD_NAME},
    }
    assert json.loads(f'"{row["instance_name"]}"') == ODD_NAME
    assert row["vpc_name"] == "a\\\\"
    assert "\n" not in row["cloud"] + row["vpcflow"] + row["instance_name"]


def test_an_empty_inventory() -> None:
    assert end_texts(snapshot().owners, named=True).height == 0


def test_empty_values_are_no_values() -> None:
    blank = {**WEB.row, "instance_name": "", "service_name": "", "security_group_names": [], "tags": "{}"}
    (row,) = end_texts(snapshot(Interface(blank, ())).owners, named=True).rows(named=True)
    assert row["instance_name"] is None
    assert json.loads(row["cloud"]) == {
        "account": {"id": "012345678901"},
        "region": "eu-central-1",
        "availability_zone": "euc1-az2",
        "instance": {"id": "i-web"},
        "machine": {"type": "m7g.large"},
    }
    assert "tags" not in json.loads(row["vpcflow"])
    assert "security_group_names" not in json.loads(row["vpcflow"])


def test_texts_are_made_for_the_owners_that_records_have() -> None:
    """Row numbers of owners become those of texts, one batch after the other."""
    owners = snapshot(BARE, WEB, DB).owners
    texts = EndTexts(owners)
    columns: dict[str, list[int | None]] = {
        "reporter": [2, None],
        "source_owner": [2, 1],
        "destination_owner": [None, 2],
    }
    first, made = texts.of(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.UInt32)))
    assert made.height == 2
    again, more = texts.of(pl.DataFrame({"reporter": [0, 2]}, schema={"reporter": pl.UInt32}))
    assert more.height == 3
    assert more.head(2).equals(made)
    whole = end_texts(owners, named=False)["vpcflow"].to_list()
    for name, rows in columns.items():
        assert told(made, first[name]) == [None if row is None else whole[row] for row in rows]
    assert told(more, again["reporter"]) == [whole[0], whole[2]]


def told(texts: pl.DataFrame, rows: pl.Series) -> list[str | None]:
    return texts["vpcflow"].gather(rows).to_list()
