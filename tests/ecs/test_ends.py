"""The ready text of the inventory's interfaces."""

import json

from exporter.ecs.ends import REPORTER, end_texts
from tests.ecs.cases import (
    BARE,
    DB,
    DB_CLOUD,
    DB_VPCFLOW,
    ODD,
    ODD_NAME,
    WEB,
    WEB_CLOUD,
    WEB_VPCFLOW,
    Interface,
    snapshot,
)


def test_an_interface_with_everything() -> None:
    (row,) = end_texts(snapshot(WEB).owners).rows(named=True)
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


def test_what_an_interface_lacks_is_left_out() -> None:
    database, bare = end_texts(snapshot(DB, BARE).owners).rows(named=True)
    assert json.loads(database["cloud"]) == DB_CLOUD
    assert json.loads(database["vpcflow"]) == DB_VPCFLOW
    assert database["security_group_ids"] is None
    assert bare["cloud"] is None
    assert bare["vpcflow"] == '{"interface_id":"eni-bare"}'
    assert {name for name in REPORTER if bare[name] is not None} == set()


def test_names_that_need_escaping() -> None:
    (row,) = end_texts(snapshot(ODD).owners).rows(named=True)
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
    assert end_texts(snapshot().owners).height == 0


def test_empty_values_are_no_values() -> None:
    blank = {**WEB.row, "instance_name": "", "service_name": "", "security_group_names": [], "tags": "{}"}
    (row,) = end_texts(snapshot(Interface(blank, ())).owners).rows(named=True)
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
