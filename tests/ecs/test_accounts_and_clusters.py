"""Names of accounts and clusters: lines to whole documents, and nothing of it where no account has a name."""

import polars as pl
import pytest

from exporter.ecs.ends import ACCOUNT, EndTexts
from exporter.enrich.inventory import Snapshot
from exporter.flow import S3Object
from tests.ecs.cases import (
    INVENTORY,
    NAMED,
    ODD_NAME,
    POD,
    POD_CLOUD,
    POD_VPCFLOW,
    SOURCE,
    V2,
    Document,
    Interface,
    always,
    batches,
    community_id,
    document_id,
    encoded,
    nested,
    snapshot,
    with_key,
)
from tests.ecs.paths import ACCEPTED, MINUTE, Paths, ends, locality, ports, protocol, traffic

POD_REPORTS = {
    "cloud.region": "eu-central-1",
    "cloud.instance.id": "i-node",
    "aws.vpcflow.instance_id": "i-node",
    "aws.vpcflow.vpc_id": "vpc-eks",
}
"""What the inventory and the key fill in where the pod's interface reports and the record is silent."""
NAMED_ACCOUNT = {"cloud.account.id": "000000000007", "cloud.account.name": "payments"}
HOUR = {"@timestamp": "2026-01-31T12:00:00.000Z"}
"""The object's time, of records that have none."""


def sent(source: str, destination: str) -> Paths:
    """A flow between two addresses, version 2."""
    return {
        **ends(source, destination),
        **ports(40_000, 5432),
        **protocol("6", "tcp"),
        **traffic(20, 4249),
        **MINUTE,
        **ACCEPTED,
        "network.community_id": community_id(source, destination, 40_000, 5432, 6),
        "aws.vpcflow.version": "2",
        "aws.vpcflow.log_status": "OK",
    }


OUT = "10.0.5.5 93.184.216.34 40000 5432 6 20 4249 1769860800 1769860860 ACCEPT OK"
OUT_PATHS = {
    **sent("10.0.5.5", "93.184.216.34"),
    **locality("internal", "external"),
    **POD_REPORTS,
    "network.direction": "egress",
    "aws.vpcflow.interface_id": "eni-pod",
    "cloud.origin": POD_CLOUD,
    "aws.vpcflow.source": POD_VPCFLOW,
}
NOWHERE = with_key(account=None, region=None)

DOCUMENTS: dict[str, tuple[S3Object, str, str, Paths]] = {
    "the record's account is the interface's": (
        SOURCE,
        V2,
        f"2 000000000007 eni-pod {OUT}",
        {**OUT_PATHS, **NAMED_ACCOUNT, "aws.vpcflow.account_id": "000000000007"},
    ),
    "the record's account is another one": (
        SOURCE,
        V2,
        f"2 000000000009 eni-pod {OUT}",
        {**OUT_PATHS, "cloud.account.id": "000000000009", "aws.vpcflow.account_id": "000000000009"},
    ),
    "the record names none, and the key another one": (
        SOURCE,
        V2,
        f"2 - eni-pod {OUT}",
        {**OUT_PATHS, "cloud.account.id": "012345678901"},
    ),
    "the record names none, and the key the interface's": (
        with_key(account="000000000007"),
        V2,
        f"2 unknown eni-pod {OUT}",
        {**OUT_PATHS, **NAMED_ACCOUNT},
    ),
    "a format without an account": (
        with_key(account="000000000007"),
        "interface-id",
        "eni-pod",
        {**HOUR, **POD_REPORTS, **NAMED_ACCOUNT, "aws.vpcflow.interface_id": "eni-pod"},
    ),
    "a format without an account, in an object of another one": (
        SOURCE,
        "interface-id",
        "eni-pod",
        {**HOUR, **POD_REPORTS, "cloud.account.id": "012345678901", "aws.vpcflow.interface_id": "eni-pod"},
    ),
    "neither the record nor the key names one": (
        NOWHERE,
        "interface-id",
        "eni-nameless",
        {**HOUR, "cloud.account.name": ODD_NAME, "aws.vpcflow.interface_id": "eni-nameless"},
    ),
    "an interface whose account has a name and no id": (
        SOURCE,
        "interface-id",
        "eni-nameless",
        {
            **HOUR,
            "cloud.account.id": "012345678901",
            "cloud.region": "eu-central-1",
            "aws.vpcflow.interface_id": "eni-nameless",
        },
    ),
    "the record names another instance": (
        SOURCE,
        "account-id interface-id instance-id",
        "000000000007 eni-pod i-other",
        {
            **HOUR,
            **POD_REPORTS,
            **NAMED_ACCOUNT,
            "cloud.instance.id": "i-other",
            "aws.vpcflow.instance_id": "i-other",
            "aws.vpcflow.account_id": "000000000007",
            "aws.vpcflow.interface_id": "eni-pod",
        },
    ),
    "to a pod, by its node's prefix; the reporting interface is not known": (
        SOURCE,
        f"{V2} vpc-id",
        (
            "2 000000000007 eni-unknown 93.184.216.34 10.0.6.20 40000 5432 6 20 4249 1769860800 1769860860 ACCEPT OK "
            "vpc-eks"
        ),
        {
            **sent("93.184.216.34", "10.0.6.20"),
            **locality("external", "internal"),
            "cloud.account.id": "000000000007",
            "cloud.region": "eu-central-1",
            "cloud.target": POD_CLOUD,
            "aws.vpcflow.account_id": "000000000007",
            "aws.vpcflow.interface_id": "eni-unknown",
            "aws.vpcflow.vpc_id": "vpc-eks",
            "aws.vpcflow.destination": POD_VPCFLOW,
        },
    ),
}


def made(source: S3Object, header: str, *lines: str) -> dict[str, Document]:
    return encoded(batches(header, *lines, inventory=NAMED, source=source))


@pytest.mark.parametrize("case", DOCUMENTS)
def test_document(case: str) -> None:
    source, header, line, paths = DOCUMENTS[case]
    assert made(source, header, line) == {document_id(1): nested({**always(source=source), **paths})}


def test_each_record_of_a_batch_has_the_name_of_its_own_account() -> None:
    cases = [(line, paths) for source, header, line, paths in DOCUMENTS.values() if (source, header) == (SOURCE, V2)]
    assert len(cases) == 3
    assert made(SOURCE, V2, *(line for line, _ in cases)) == {
        document_id(row): nested({**always(row), **paths}) for row, (_, paths) in enumerate(cases, 1)
    }


def texts_of(inventory: Snapshot) -> set[str]:
    """The columns of an inventory's texts."""
    return set(EndTexts(inventory.owners).of(pl.DataFrame(schema={"reporter": pl.UInt32}))[1].columns)


def test_where_no_account_has_a_name_there_is_nothing_to_look_up() -> None:
    blank = Interface({**POD.row, "account_name": ""}, POD.own)
    for inventory in (INVENTORY, snapshot(blank), snapshot()):
        assert set(ACCOUNT) & texts_of(inventory) == set()
    assert set(ACCOUNT) <= texts_of(NAMED)
