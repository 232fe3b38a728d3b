"""A snapshot to a file and back; files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.enrich import snapshot_file
from exporter.enrich.inventory import Snapshot
from exporter.enrich.snapshot_file import load, save
from exporter.errors import InventoryError

from .cases import TAKEN, Interface, snapshot
from .test_answers import WEB, taken

GOOD: dict[str, Any] = {
    "format": "vpcflow-exporter inventory",
    "version": 1,
    "taken": "2026-01-31T12:00:00+00:00",
    "networks": ["10.0.0.0/16"],
    "interfaces": [
        {
            "interface_id": "eni-0a",
            "vpc_id": "vpc-0a",
            "security_group_ids": ["sg-0a"],
            "tags": {"team": "wéb"},
            "addresses": ["10.0.0.5", "2600:1f18::5"],
            "public_addresses": ["54.0.0.5"],
        }
    ],
}


def same(one: Snapshot, other: Snapshot) -> bool:
    frames = one.owners.equals(other.owners) and one.addresses.equals(other.addresses)
    return frames and (one.networks, one.taken) == (other.networks, other.taken)


def written(folder: Path, document: object) -> Path:
    path = folder / "inventory.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "original",
    [
        taken(WEB, {"NetworkInterfaceId": "eni-new"}, tag_keys=("team", "cost")),
        snapshot([Interface("a", None, ("10.0.0.1",), ("54.0.0.1",)), Interface("b", "vpc-b", ())]),
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


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    found = load(written(tmp_path, GOOD))
    row = {key: value for key, value in found.owners.to_dicts()[0].items() if value is not None}
    assert row == {
        "interface_id": "eni-0a",
        "vpc_id": "vpc-0a",
        "security_group_ids": ["sg-0a"],
        "tags": '{"team":"wéb"}',
    }
    assert found.addresses.rows() == [
        ("vpc-0a", "10.0.0.5", 0, False),
        ("vpc-0a", "2600:1f18::5", 0, False),
        ("vpc-0a", "54.0.0.5", 0, True),
    ]
    assert (found.networks, found.taken) == (("10.0.0.0/16",), TAKEN)


INTERFACE = GOOD["interfaces"][0]
FAULTS: tuple[tuple[object, str], ...] = (
    ([], 'is no inventory: expected an object with "format"'),
    ({"version": 1}, 'is no inventory: expected an object with "format"'),
    (GOOD | {"version": 2}, "version: expected 1, found 2"),
    (GOOD | {"taken": None}, "taken: expected a time such as .*, found None"),
    (GOOD | {"taken": "yesterday"}, "taken: expected a time such as .*, found 'yesterday'"),
    (GOOD | {"networks": "10.0.0.0/16"}, "networks: expected a list"),
    (GOOD | {"networks": ["10.0.0.0/16", "10.0.0.1/16"]}, r"networks\[1\]: expected a CIDR block"),
    (GOOD | {"networks": [1]}, r"networks\[0\]: expected a CIDR block"),
    (GOOD | {"interfaces": None}, "interfaces: expected a list"),
    (GOOD | {"interfaces": [INTERFACE, 7]}, r"interfaces\[1\]: expected an object"),
    (GOOD | {"interfaces": [{}]}, r"interfaces\[0\]\.interface_id: expected a text, found none"),
    (GOOD | {"interfaces": [INTERFACE, INTERFACE]}, r"interfaces\[1\]\.interface_id: eni-0a is interfaces\[0\] too"),
    (GOOD | {"interfaces": [INTERFACE | {"vpc_id": 7}]}, r"interfaces\[0\]\.vpc_id: expected a text, found int"),
    (GOOD | {"interfaces": [INTERFACE | {"vpcid": "x"}]}, r"interfaces\[0\]\.vpcid: no such key; expected one of"),
    (GOOD | {"interfaces": [INTERFACE | {"tags": {"a": 1}}]}, r"interfaces\[0\]\.tags: expected an object of texts"),
    (
        GOOD | {"interfaces": [INTERFACE | {"addresses": "10.0.0.1"}]},
        r"\.addresses: expected a list of texts, found str",
    ),
    (GOOD | {"interfaces": [INTERFACE | {"addresses": ["10.0.0.1", "x"]}]}, r"interfaces\[0\]\.addresses\[1\]: 'x'"),
    (GOOD | {"interfaces": [INTERFACE | {"vpc_id": "\ud800"}]}, "surrogates not allowed"),
)


@pytest.mark.parametrize(("document", "expected"), FAULTS)
def test_faults(document: object, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(InventoryError, match=expected) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


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
