"""A snapshot as a JSON file, for `convert --inventory FILE` and for the traffic generator.

    {
      "format": "vpcflow-exporter inventory", "version": 1,
      "taken": "2026-01-31T12:00:00+00:00",
      "networks": ["10.0.0.0/16"],
      "interfaces": [
        {
          "interface_id": "eni-0a", "vpc_id": "vpc-0a", "security_group_ids": ["sg-0a"], "tags": {"team": "web"},
          "addresses": ["10.0.0.5", "2600:1f18::5"], "public_addresses": ["54.0.0.5"]
        }
      ]
    }

An interface may have every column of `inventory.OWNERS` and needs only `interface_id`; `tags` is an object here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import polars as pl

from exporter.enrich.addresses import packed
from exporter.enrich.answers import tags_text
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, networks_of
from exporter.errors import InventoryError

FORMAT, VERSION = "vpcflow-exporter inventory", 1

LARGEST = 256 * 1024 * 1024
"""Bytes that a file may have: more than 250,000 interfaces need."""

_LISTS = ("security_group_ids", "security_group_names")
_PARTS = ("addresses", "public_addresses")


def save(snapshot: Snapshot, path: Path) -> None:
    """Writes the snapshot, so that at any time the file is the old one or the new one; OSError as it comes."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "taken": snapshot.taken.isoformat(),
        "networks": list(snapshot.networks),
        "interfaces": _interfaces(snapshot),
    }
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def load(path: Path) -> Snapshot:
    """The snapshot in the file; InventoryError that says what is wrong with it and where."""
    document = _parsed(path)
    try:
        return _snapshot(document)
    except (InventoryError, UnicodeEncodeError) as error:
        raise InventoryError(f"{path}: {error}") from error


def _interfaces(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The owners, each with its addresses, without what they lack."""
    rows = [{key: value for key, value in row.items() if value is not None} for row in snapshot.owners.to_dicts()]
    for row in rows:
        if "tags" in row:
            row["tags"] = json.loads(row["tags"])
        row.update(addresses=[], public_addresses=[])
    for address, owner, public in snapshot.addresses.select("address", "owner", "public").iter_rows():
        rows[owner][_PARTS[public]].append(address)
    return rows


def _parsed(path: Path) -> object:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise InventoryError(f"{path}: larger than {LARGEST:,} bytes, the most that an inventory may have")
        return json.loads(text)
    except OSError as error:
        raise InventoryError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InventoryError(f"{path}: is no JSON: {error}") from error


def _snapshot(document: object) -> Snapshot:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InventoryError(f'is no inventory: expected an object with "format": "{FORMAT}"')
    if document.get("version") != VERSION:
        raise InventoryError(f"version: expected {VERSION}, found {document.get('version')!r}")
    interfaces = document.get("interfaces")
    if not isinstance(interfaces, list):
        raise InventoryError("interfaces: expected a list")
    owners = [_owner(each, f"interfaces[{row}]") for row, each in enumerate(interfaces)]
    _no_repeats(owners)
    addresses = [each for row, interface in enumerate(interfaces) for each in _addresses(interface, row)]
    return Snapshot(
        owners=pl.DataFrame(owners, schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES, orient="row").unique(maintain_order=True),
        networks=networks_of(_networks(document)),
        taken=_taken(document.get("taken")),
    )


def _owner(interface: object, where: str) -> dict[str, Any]:
    """An interface's row of `owners`, every value of the type that its column has."""
    if not isinstance(interface, dict):
        raise InventoryError(f"{where}: expected an object")
    for key, value in interface.items():
        _check(key, value, f"{where}.{key}")
    if not interface.get("interface_id"):
        raise InventoryError(f"{where}.interface_id: expected a text, found none")
    tags = interface.get("tags")
    return {key: interface.get(key) for key in OWNERS} | {"tags": tags_text(tags) if tags else None}


def _check(key: str, value: object, where: str) -> None:
    """InventoryError where a value of an interface is not what its key promises."""
    if key not in OWNERS and key not in _PARTS:
        raise InventoryError(f"{where}: no such key; expected one of {', '.join((*OWNERS, *_PARTS))}")
    if key == "tags":
        fits, expected = isinstance(value, dict) and _texts(value.values()), "an object of texts"
    elif key in _LISTS or key in _PARTS:
        fits, expected = isinstance(value, list) and _texts(value), "a list of texts"
    else:
        fits, expected = isinstance(value, str), "a text"
    if value is not None and not fits:
        raise InventoryError(f"{where}: expected {expected}, found {type(value).__name__}")


def _texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _no_repeats(owners: list[dict[str, Any]]) -> None:
    seen: dict[str, int] = {}
    for row, owner in enumerate(owners):
        first = seen.setdefault(owner["interface_id"], row)
        if first != row:
            raise InventoryError(f"interfaces[{row}].interface_id: {owner['interface_id']} is interfaces[{first}] too")


def _addresses(interface: Mapping[str, Any], row: int) -> Iterator[tuple[str | None, str, int, bool]]:
    """An interface's rows of `addresses`."""
    for public, part in enumerate(_PARTS):
        for place, address in enumerate(interface.get(part) or ()):
            try:
                packed(address)
            except InventoryError as error:
                raise InventoryError(f"interfaces[{row}].{part}[{place}]: {error}") from error
            yield interface.get("vpc_id"), address, row, bool(public)


def _networks(document: Mapping[str, Any]) -> Iterator[str]:
    networks = document.get("networks", [])
    if not isinstance(networks, list):
        raise InventoryError("networks: expected a list of CIDR blocks")
    for place, text in enumerate(networks):
        try:
            yield str(ip_network(text if isinstance(text, str) else ""))
        except ValueError as error:
            raise InventoryError(f"networks[{place}]: expected a CIDR block such as 10.0.0.0/16: {error}") from error


def _taken(text: object) -> datetime:
    try:
        taken = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InventoryError(f"taken: expected a time such as 2026-01-31T12:00:00+00:00, found {text!r}") from error
    return taken.replace(tzinfo=UTC) if taken.tzinfo is None else taken.astimezone(UTC)
