"""A snapshot to a file and back; files that are none."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.enrich import snapshot_file
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot
from exporter.enrich.snapshot_file import load, save
from exporter.errors import InventoryError

from .cases import TAKEN, Interface, snapshot

NONE: dict[str, Any] = dict.fromkeys(OWNERS)

WEB = {
    "interface_id": "eni-web",
    "interface_type": "interface",
    "account_id": "012345678901",
    "account_name": "Zahlungen 🤖",
    "region": "us-east-1",
    "availability_zone": "use1-az1",
    "instance_id": "i-web",
    "instance_name": "web-1",
    "machine_type": "m7g.large",
    "service_name": "ec2",
    "subnet_id": "subnet-1",
    "subnet_name": "private-1",
    "vpc_id": "vpc-a",
    "vpc_name": "prod",
    "security_group_ids": ["sg-1", "sg-2"],
    "security_group_names": ["web", "ssh"],
    "resource_type": "instance",
    "resource_name": "web-1",
    "cluster_name": "shop",
    "tags": '{"team":"wéb","cost":"\\"42\\""}',
    "attached": 1_769_857_200,
    "fixed": True,
}
POD = NONE | {"interface_id": "eni-pod", "vpc_id": "vpc-b", "fixed": False}
NEW = NONE | {"interface_id": "eni-new"}
SIX = NONE | {"interface_id": "eni-six", "vpc_id": "vpc-b"}
FULL = Snapshot(
    owners=pl.DataFrame([WEB, POD, NEW, SIX], schema=OWNERS),
    addresses=pl.DataFrame(
        [
            ("vpc-a", "10.0.0.10", 0, "primary"),
            ("vpc-a", "10.0.0.11", 0, "own"),
            ("vpc-a", "2600:1f18:0:1::10", 0, "own"),
            ("vpc-a", "10.0.1.16/28", 0, "own"),
            ("vpc-a", "2600:1f18:0:1:8::/80", 0, "own"),
            ("vpc-a", "54.0.0.10", 0, "public"),
            ("vpc-b", "10.1.0.11", 1, "own"),
            ("vpc-b", "10.1.0.10", 1, "primary"),
            (None, "10.9.0.1", 2, "own"),
            ("vpc-b", "2600:1f18:0:2::10", 3, "primary"),
        ],
        schema=ADDRESSES,
        orient="row",
    ),
    networks=(("", "192.168.0.0/16"), ("vpc-a", "10.0.0.0/16"), ("vpc-a", "2600:1f18:0:1::/64")),
    links=(("pcx-1", "vpc-a"), ("pcx-1", "vpc-b"), ("tgw-1", "vpc-a")),
    taken=TAKEN,
    answered=TAKEN + timedelta(seconds=4, microseconds=5),
)
WRITTEN = {
    "format": "vpcflow-exporter inventory",
    "version": 2,
    "taken": "2026-01-31T12:00:00+00:00",
    "answered": "2026-01-31T12:00:04.000005+00:00",
    "networks": [
        "192.168.0.0/16",
        {"vpc_id": "vpc-a", "cidr": "10.0.0.0/16"},
        {"vpc_id": "vpc-a", "cidr": "2600:1f18:0:1::/64"},
    ],
    "links": [
        {"link": "pcx-1", "vpc_id": "vpc-a"},
        {"link": "pcx-1", "vpc_id": "vpc-b"},
        {"link": "tgw-1", "vpc_id": "vpc-a"},
    ],
    "interfaces": [
        WEB
        | {
            "tags": {"team": "wéb", "cost": '"42"'},
            "attached": "2026-01-31T11:00:00+00:00",
            "addresses": ["10.0.0.10", "10.0.0.11", "2600:1f18:0:1::10"],
            "prefixes": ["10.0.1.16/28", "2600:1f18:0:1:8::/80"],
            "public_addresses": ["54.0.0.10"],
        },
        {
            "interface_id": "eni-pod",
            "vpc_id": "vpc-b",
            "fixed": False,
            "addresses": ["10.1.0.11", "10.1.0.10"],
            "public_addresses": [],
            "primary": "10.1.0.10",
        },
        {"interface_id": "eni-new", "addresses": ["10.9.0.1"], "public_addresses": [], "primary": None},
        {
            "interface_id": "eni-six",
            "vpc_id": "vpc-b",
            "addresses": ["2600:1f18:0:2::10"],
            "public_addresses": [],
            "primary": "2600:1f18:0:2::10",
        },
    ],
}


def same(one: Snapshot, other: Snapshot) -> bool:
    frames = one.owners.equals(other.owners) and one.addresses.equals(other.addresses)
    rest = [(each.networks, each.links, each.taken, each.answered) for each in (one, other)]
    return frames and rest[0] == rest[1]


def written(folder: Path, document: object) -> Path:
    path = folder / "inventory.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "original",
    [
        FULL,
        snapshot([Interface("a", None, ("10.0.0.1",), ("54.0.0.1",)), Interface("b", "vpc-b", ())], ("10.0.0.0/8",)),
        snapshot([]),
    ],
    ids=["full", "bare", "empty"],
)
def test_back_as_it_was(original: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_text("what was there before", encoding="utf-8")
    save(original, path)
    assert same(load(path), original)
    assert [each.name for each in tmp_path.iterdir()] == ["inventory.json"]


def test_what_could_not_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "inventory.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(FULL, tmp_path / "inventory.json")
    assert [each.name for each in tmp_path.iterdir()] == ["inventory.json"]


def test_what_is_written(tmp_path: Path) -> None:
    save(FULL, tmp_path / "inventory.json")
    assert json.loads((tmp_path / "inventory.json").read_text(encoding="utf-8")) == WRITTEN


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
times = st.integers(0, 4_000_000_000)
OWN = ("10.0.0.1", "10.0.0.2", "2600:1f18::1", "2600:1f18::2")
PREFIXES = ("10.0.1.16/28", "2600:1f18:0:0:8::/80")
PUBLIC = ("54.0.0.1", "54.0.0.2")
_LISTS = ("security_group_ids", "security_group_names")


@st.composite
def interfaces(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A row of owners without its id, and its addresses with their kinds in the order of the file."""
    row: dict[str, Any] = {name: draw(st.none() | texts) for name in OWNERS if name != "interface_id"}
    row |= {name: draw(st.none() | st.lists(texts, max_size=2)) for name in _LISTS}
    row["attached"], row["fixed"] = draw(st.none() | times), draw(st.none() | st.booleans())
    tags = draw(st.dictionaries(texts, texts, max_size=2))
    row["tags"] = json.dumps(tags, ensure_ascii=False, separators=(",", ":")) if tags else None
    own, prefixes, public = (draw(st.lists(st.sampled_from(some), unique=True)) for some in (OWN, PREFIXES, PUBLIC))
    primary = draw(st.sampled_from([None, *own]))
    kinds = [(text, "primary" if text == primary else "own") for text in own]
    return row, [*kinds, *((text, "own") for text in prefixes), *((text, "public") for text in public)]


@settings(deadline=None, derandomize=True)
@given(st.lists(interfaces(), max_size=4), times, st.none() | st.integers(0, 9), st.sets(texts.filter(bool)))
def test_any_snapshot_comes_back(
    drawn: list[tuple[dict[str, Any], list[tuple[str, str]]]], taken: int, took: int | None, vpcs: set[str]
) -> None:
    owners = [{**row, "interface_id": f"eni-{number}"} for number, (row, _) in enumerate(drawn)]
    addresses = [
        (row["vpc_id"], text, number, kind) for number, (row, found) in enumerate(drawn) for text, kind in found
    ]
    original = Snapshot(
        owners=pl.DataFrame(owners, schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES, orient="row"),
        networks=tuple(sorted((vpc, "10.0.0.0/16") for vpc in {"", *vpcs})),
        links=tuple(sorted(("pcx-1", vpc) for vpc in vpcs)),
        taken=datetime.fromtimestamp(taken, UTC),
        answered=None if took is None else datetime.fromtimestamp(taken + took, UTC),
    )
    with TemporaryDirectory() as folder:
        save(original, Path(folder) / "inventory.json")
        assert same(load(Path(folder) / "inventory.json"), original)


BY_HAND: dict[str, Any] = {
    "format": "vpcflow-exporter inventory",
    "version": 2,
    "taken": "2026-01-31T13:00:00+01:00",
    "networks": [{"vpc_id": "vpc-0a", "cidr": "10.0.0.0/16"}, "192.168.0.0/16"],
    "links": [{"vpc_id": "vpc-0b", "link": "pcx-0a"}, {"link": "pcx-0a", "vpc_id": "vpc-0a"}],
    "interfaces": [
        {
            "interface_id": "eni-0a",
            "vpc_id": "vpc-0a",
            "security_group_ids": ["sg-0a"],
            "tags": {"team": "wéb"},
            "attached": "2026-01-31T11:00:00.9",
            "fixed": True,
            "addresses": ["2600:1f18::5", "10.0.0.5", "10.0.0.6", "10.0.0.5"],
            "prefixes": ["10.0.1.16/28"],
            "public_addresses": ["54.0.0.5"],
        },
        {"interface_id": "eni-0b", "addresses": ["10.0.0.7", "10.0.0.8"], "primary": "10.0.0.8", "fixed": None},
        {"interface_id": "eni-0c", "addresses": ["10.0.0.9"], "primary": None},
        {"interface_id": "eni-0d", "addresses": None},
    ],
}


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    """Times of any zone, or of none; fractions of seconds are cut; an address named twice is there once."""
    found = load(written(tmp_path, BY_HAND))
    assert found.owners.to_dicts() == [
        NONE
        | {
            "interface_id": "eni-0a",
            "vpc_id": "vpc-0a",
            "security_group_ids": ["sg-0a"],
            "tags": '{"team":"wéb"}',
            "attached": 1_769_857_200,
            "fixed": True,
        },
        NONE | {"interface_id": "eni-0b"},
        NONE | {"interface_id": "eni-0c"},
        NONE | {"interface_id": "eni-0d"},
    ]
    assert found.addresses.rows() == [
        ("vpc-0a", "2600:1f18::5", 0, "own"),
        ("vpc-0a", "10.0.0.5", 0, "primary"),
        ("vpc-0a", "10.0.0.6", 0, "own"),
        ("vpc-0a", "10.0.1.16/28", 0, "own"),
        ("vpc-0a", "54.0.0.5", 0, "public"),
        (None, "10.0.0.7", 1, "own"),
        (None, "10.0.0.8", 1, "primary"),
        (None, "10.0.0.9", 2, "own"),
    ]
    assert found.networks == (("", "192.168.0.0/16"), ("vpc-0a", "10.0.0.0/16"))
    assert found.links == (("pcx-0a", "vpc-0a"), ("pcx-0a", "vpc-0b"))
    assert (found.taken, found.answered) == (TAKEN, None)


VERSION_1 = {
    "format": "vpcflow-exporter inventory",
    "version": 1,
    "written by": "hand",
    "taken": "2026-01-31T12:00:00+00:00",
    "networks": ["10.0.0.0/16"],
    "interfaces": [
        {
            "interface_id": "eni-0a",
            "vpc_id": "vpc-0a",
            "addresses": ["10.0.0.5", "10.0.0.6", "2600:1f18::5"],
            "public_addresses": ["54.0.0.5"],
        }
    ],
}


def test_a_file_of_version_1(tmp_path: Path) -> None:
    found = load(written(tmp_path, VERSION_1))
    assert found.owners.to_dicts() == [NONE | {"interface_id": "eni-0a", "vpc_id": "vpc-0a"}]
    assert found.addresses.rows() == [
        ("vpc-0a", "10.0.0.5", 0, "primary"),
        ("vpc-0a", "10.0.0.6", 0, "own"),
        ("vpc-0a", "2600:1f18::5", 0, "own"),
        ("vpc-0a", "54.0.0.5", 0, "public"),
    ]
    assert (found.networks, found.links) == ((("", "10.0.0.0/16"),), ())
    assert (found.taken, found.answered) == (TAKEN, None)


GOOD: dict[str, Any] = WRITTEN
INTERFACE = BY_HAND["interfaces"][0]


def altered(**changes: object) -> dict[str, Any]:
    """A document whose first interface has other values."""
    return GOOD | {"interfaces": [INTERFACE | changes]}


OTHER_KEYS = ("addresses", "prefixes", "public_addresses", "primary")
A_TIME = "a time such as 2026-01-31T12:00:00+00:00, from 1970 on, found"
FAULTS: tuple[tuple[object, str], ...] = (
    ([], 'is no inventory: expected an object with "format": "vpcflow-exporter inventory"'),
    ({"version": 1}, 'is no inventory: expected an object with "format": "vpcflow-exporter inventory"'),
    (GOOD | {"version": 3}, "version: expected 1 or 2, found 3"),
    (GOOD | {"version": [2]}, "version: expected 1 or 2, found [2]"),
    (
        GOOD | {"link": []},
        "link: no such key; expected one of format, version, taken, answered, networks, links, interfaces",
    ),
    (GOOD | {"taken": None}, f"taken: expected {A_TIME} None"),
    (GOOD | {"taken": "yesterday"}, f"taken: expected {A_TIME} 'yesterday'"),
    (GOOD | {"taken": "1969-12-31T23:59:59Z"}, f"taken: expected {A_TIME} '1969-12-31T23:59:59Z'"),
    (GOOD | {"taken": "9999-12-31T23:59:59-14:00"}, f"taken: expected {A_TIME} '9999-12-31T23:59:59-14:00'"),
    (GOOD | {"answered": 7}, f"answered: expected {A_TIME} 7"),
    (
        GOOD | {"answered": "2026-01-31T11:59:59Z"},
        "answered: expected a time not before taken, found '2026-01-31T11:59:59Z'",
    ),
    (
        GOOD | {"networks": "10.0.0.0/16"},
        "networks: expected a list of CIDR blocks and of objects, found str",
    ),
    (
        GOOD | {"networks": ["10.0.0.0/16", "10.0.0.1/16"]},
        "networks[1]: expected a CIDR block such as 10.0.0.0/16: 10.0.0.1/16 has host bits set",
    ),
    (
        GOOD | {"networks": [1]},
        "networks[0]: expected a CIDR block such as 10.0.0.0/16, found int",
    ),
    (
        GOOD | {"networks": [{"vpc_id": "vpc-a", "cidr": "10.0.0.1/8"}]},
        "networks[0].cidr: expected a CIDR block such as 10.0.0.0/16: 10.0.0.1/8 has host bits set",
    ),
    (GOOD | {"networks": [{"cidr": "10.0.0.0/16"}]}, "networks[0].vpc_id: expected a text, found none"),
    (GOOD | {"networks": [{"vpc_id": "", "cidr": "10.0.0.0/16"}]}, "networks[0].vpc_id: expected a text, found none"),
    (GOOD | {"networks": [{"vpc": "vpc-a"}]}, "networks[0].vpc: no such key; expected one of vpc_id, cidr"),
    (GOOD | {"links": None}, "links: expected a list of objects, found none"),
    (GOOD | {"links": ["pcx-1"]}, "links[0]: expected an object of link and vpc_id, found str"),
    (GOOD | {"links": [{"link": 1, "vpc_id": "vpc-a"}]}, "links[0].link: expected a text, found int"),
    (GOOD | {"links": [{"link": "pcx-1"}]}, "links[0].vpc_id: expected a text, found none"),
    (GOOD | {"links": [{"link": "a", "vpc_id": "b", "c": 1}]}, "links[0].c: no such key; expected one of link, vpc_id"),
    (
        GOOD | {"links": [{"link": "\ud800", "vpc_id": "b"}]},
        "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed",
    ),
    (GOOD | {"interfaces": None}, "interfaces: expected a list of objects, found none"),
    (GOOD | {"interfaces": [INTERFACE, 7]}, "interfaces[1]: expected an object, found int"),
    (GOOD | {"interfaces": [{}]}, "interfaces[0].interface_id: expected a text, found none"),
    (GOOD | {"interfaces": [INTERFACE, INTERFACE]}, "interfaces[1].interface_id: eni-0a is interfaces[0] too"),
    (altered(vpc_id=7), "interfaces[0].vpc_id: expected a text, found int"),
    (
        altered(vpcid="x"),
        f"interfaces[0].vpcid: no such key; expected one of {', '.join(OWNERS)}, {', '.join(OTHER_KEYS)}",
    ),
    (altered(tags={"a": 1}), "interfaces[0].tags: expected an object of texts, found dict"),
    (altered(fixed="yes"), "interfaces[0].fixed: expected true or false, found str"),
    (altered(fixed=1), "interfaces[0].fixed: expected true or false, found int"),
    (altered(attached=1_769_857_200), "interfaces[0].attached: expected a text, found int"),
    (altered(attached="noon"), f"interfaces[0].attached: expected {A_TIME} 'noon'"),
    (altered(attached="4200-01-01"), f"interfaces[0].attached: expected {A_TIME} '4200-01-01'"),
    (altered(addresses="10.0.0.1"), "interfaces[0].addresses: expected a list of texts, found str"),
    (
        altered(addresses=["10.0.0.1", "x"]),
        "interfaces[0].addresses[1]: 'x' in the inventory is neither an IPv4 nor an IPv6 address",
    ),
    (
        altered(public_addresses=["54.0.0.0/28"]),
        "interfaces[0].public_addresses[0]: '54.0.0.0/28' in the inventory is neither an IPv4 nor an IPv6 address",
    ),
    (altered(primary=5), "interfaces[0].primary: expected a text, found int"),
    (altered(primary="10.0.0.7"), "interfaces[0].primary: expected one of its addresses, or null, found '10.0.0.7'"),
    (altered(prefixes="10.0.1.16/28"), "interfaces[0].prefixes: expected a list of texts, found str"),
    (
        altered(prefixes=["10.0.1.16"]),
        "interfaces[0].prefixes[0]: expected a CIDR block such as 10.0.1.16/28, found the address '10.0.1.16'",
    ),
    (
        altered(prefixes=["10.0.1.16/28", "10.0.1.17/28"]),
        "interfaces[0].prefixes[1]: expected a CIDR block such as 10.0.1.16/28: 10.0.1.17/28 has host bits set",
    ),
    (
        altered(prefixes=["10.0.1.16/255.255.255.240"]),
        "interfaces[0].prefixes[0]: '10.0.1.16/255.255.255.240' in the inventory is no network",
    ),
    (altered(vpc_id="\ud800"), "'utf-8' codec can't encode character '\\ud800' in position 0: surrogates not allowed"),
)


@pytest.mark.parametrize(("document", "expected"), FAULTS)
def test_faults(document: object, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(InventoryError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: {expected}"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 200_000], ids=["empty", "cut", "bytes", "deep"])
def test_no_json(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    path.write_bytes(content)
    with pytest.raises(InventoryError, match="is no JSON"):
        load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="cannot be read: No such file"):
        load(tmp_path / "none.json")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, GOOD)
    monkeypatch.setattr(snapshot_file, "LARGEST", path.stat().st_size)
    load(path)
    monkeypatch.setattr(snapshot_file, "LARGEST", path.stat().st_size - 1)
    with pytest.raises(InventoryError, match="larger than"):
        load(path)
