"""A snapshot as a JSON file, for `convert --inventory FILE` and for the traffic generator.

    {
      "format": "vpcflow-exporter inventory", "version": 2,
      "taken": "2026-01-31T12:00:00+00:00", "answered": "2026-01-31T12:00:04+00:00",
      "networks": [{"vpc_id": "vpc-0a", "cidr": "10.0.0.0/16"}, "192.168.0.0/16"],
      "links": [{"link": "pcx-0a", "vpc_id": "vpc-0a"}, {"link": "pcx-0a", "vpc_id": "vpc-0b"}],
      "interfaces": [
        {
          "interface_id": "eni-0a", "vpc_id": "vpc-0a", "security_group_ids": ["sg-0a"], "tags": {"team": "web"},
          "attached": "2026-01-31T11:00:00+00:00", "fixed": true,
          "addresses": ["10.0.0.5", "2600:1f18::5"], "prefixes": ["10.0.1.16/28"], "public_addresses": ["54.0.0.5"]
        }
      ]
    }

An interface may have every column of `inventory.OWNERS` and needs only `interface_id`; `tags` is an object here and
`attached` a time.  Its primary address is the first IPv4 one of `addresses`, unless `primary` names another one of
them, or is null: none.  A network that is only a text is no VPC's in particular.  A time without a zone is UTC.

Version 1 is read too: it has less (no `answered`, `links`, `prefixes`, `primary`, no VPCs of networks), and what it
has means the same.  Only there other keys beside these at the top are passed over.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import polars as pl

from exporter.addresses import cidrs_of_texts, packed
from exporter.enrich.answers import tags_text
from exporter.enrich.index import ALWAYS, NEVER, Kind
from exporter.enrich.inventory import ADDRESSES, OWNERS, Snapshot, pairs_of
from exporter.errors import InventoryError

FORMAT, VERSION = "vpcflow-exporter inventory", 2
READ = (1, VERSION)
"""The versions that are read; VERSION is written."""

LARGEST = 256 * 1024 * 1024
"""Bytes that a file may have: more than 250,000 interfaces need."""

_TOP = ("format", "version", "taken", "answered", "networks", "links", "interfaces")
_NETWORK, _LINK = ("vpc_id", "cidr"), ("link", "vpc_id")
_PARTS = ("addresses", "prefixes", "public_addresses")
_KEYS = (*OWNERS, *_PARTS, "primary")
"""Of an interface."""


def save(snapshot: Snapshot, path: Path) -> None:
    """Writes the snapshot, so that at any time the file is the old one or the new one; OSError as it comes."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "taken": snapshot.taken.isoformat(),
        **({"answered": snapshot.answered.isoformat()} if snapshot.answered else {}),
        "networks": [dict(zip(_NETWORK, pair, strict=True)) if pair[0] else pair[1] for pair in snapshot.networks],
        "links": [dict(zip(_LINK, pair, strict=True)) for pair in snapshot.links],
        "interfaces": _interfaces(snapshot),
    }
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def load(path: Path) -> Snapshot:
    """The snapshot in the file; InventoryError that says what is wrong with it and where."""
    return parse(content(path), path)


def content(path: Path) -> bytes:
    """What is in the file; InventoryError where it cannot be read, or is larger than LARGEST."""
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise InventoryError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > LARGEST:
        raise InventoryError(f"{path}: larger than {LARGEST:,} bytes, the most that an inventory may have")
    return text


def parse(text: bytes, path: Path) -> Snapshot:
    """The snapshot in what was read of `path`; errors as `load`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InventoryError(f"{path}: is no JSON: {error}") from error
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
        if "attached" in row:
            row["attached"] = datetime.fromtimestamp(row["attached"], UTC).isoformat()
        row.update({part: [] for part in _PARTS})
    primary: dict[int, str] = {}
    for address, owner, kind in snapshot.addresses.select("address", "owner", "kind").iter_rows():
        own = "prefixes" if "/" in address else "addresses"
        rows[owner]["public_addresses" if kind == Kind.PUBLIC else own].append(address)
        if kind == Kind.PRIMARY:
            primary[owner] = address
    for number, row in enumerate(rows):
        if primary.get(number) != _first_ipv4(row["addresses"]):
            row["primary"] = primary.get(number)
        if not row["prefixes"]:
            del row["prefixes"]
    return rows


def _first_ipv4(addresses: Iterable[str]) -> str | None:
    return next((address for address in addresses if ":" not in address), None)


def _snapshot(document: object) -> Snapshot:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InventoryError(f'is no inventory: expected an object with "format": "{FORMAT}"')
    version = document.get("version")
    if version not in READ:
        raise InventoryError(f"version: expected {' or '.join(map(str, READ))}, found {version!r:.60}")
    if version == VERSION:
        _no_others(document, _TOP, "")
    interfaces = _list(document.get("interfaces"), "interfaces", "a list of objects")
    owners = [_owner(each, f"interfaces[{row}]") for row, each in enumerate(interfaces)]
    _no_repeats(owners)
    addresses = [
        (owner["vpc_id"], address, row, kind.value)
        for row, owner in enumerate(owners)
        for address, kind in _addresses(interfaces[row], f"interfaces[{row}]")
    ]
    taken, answered = _time(document.get("taken"), "taken"), document.get("answered")
    found = Snapshot(
        owners=pl.DataFrame(owners, schema=OWNERS),
        addresses=pl.DataFrame(addresses, schema=ADDRESSES, orient="row").unique(maintain_order=True),
        networks=pairs_of(_networks(document.get("networks", []))),
        taken=taken,
        links=pairs_of(_links(document.get("links", []))),
        answered=None if answered is None else _time(answered, "answered"),
    )
    if found.answered and found.answered < taken:
        raise InventoryError(f"answered: expected a time not before taken, found {answered!r:.60}")
    return found


def _owner(interface: object, where: str) -> dict[str, Any]:
    """An interface's row of `owners`, every value of the type that its column has."""
    if not isinstance(interface, dict):
        raise InventoryError(f"{where}: expected an object, found {_told(interface)}")
    _no_others(interface, _KEYS, f"{where}.")
    for key, value in interface.items():
        fits, expected = _SHAPES.get(key, _TEXT)
        if value is not None and not fits(value):
            raise InventoryError(f"{where}.{key}: expected {expected}, found {_told(value)}")
    if not interface.get("interface_id"):
        raise InventoryError(f"{where}.interface_id: expected a text, found none")
    tags, attached = interface.get("tags"), interface.get("attached")
    return {key: interface.get(key) for key in OWNERS} | {
        "tags": tags_text(tags) if tags else None,
        "attached": int(_time(attached, f"{where}.attached").timestamp()) if attached is not None else None,
    }


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


_Shape = tuple[Callable[[object], bool], str]
_TEXT: _Shape = (_is_text, "a text")
_SHAPES: Mapping[str, _Shape] = {
    "tags": (_is_object, "an object of texts"),
    "fixed": (lambda value: isinstance(value, bool), "true or false"),
    **dict.fromkeys(("security_group_ids", "security_group_names", *_PARTS), (_is_list, "a list of texts")),
}
"""What the value of an interface's key has to be: a text where the key is not here.  Null is no value at all."""


def _addresses(interface: Mapping[str, Any], where: str) -> Iterator[tuple[str, Kind]]:
    """An interface's addresses and prefixes, in the order of the file."""
    own = interface.get("addresses") or ()
    primary = interface.get("primary", _first_ipv4(own))
    if primary not in (None, *own):
        raise InventoryError(f"{where}.primary: expected one of its addresses, or null, found {primary!r:.60}")
    for part, check in (("addresses", packed), ("prefixes", _check_prefix), ("public_addresses", packed)):
        for place, address in enumerate(interface.get(part) or ()):
            try:
                check(address)
            except InventoryError as error:
                raise InventoryError(f"{where}.{part}[{place}]: {error}") from error
            if part == "public_addresses":
                yield address, Kind.PUBLIC
            else:
                yield address, Kind.PRIMARY if part == "addresses" and address == primary else Kind.OWN


def _check_prefix(text: str) -> None:
    _block(text, "10.0.1.16/28")
    if "/" not in text:
        raise InventoryError(f"expected a CIDR block such as 10.0.1.16/28, found the address {text!r:.60}")
    cidrs_of_texts(pl.Series([text]))


def _networks(entries: object) -> Iterator[tuple[str, str]]:
    for place, entry in enumerate(_list(entries, "networks", "a list of CIDR blocks and of objects")):
        where, vpc, cidr = f"networks[{place}]", "", entry
        if isinstance(entry, dict):
            vpc, cidr = _pair(entry, _NETWORK, where)
            where += ".cidr"
        try:
            yield vpc, _block(cidr, "10.0.0.0/16")
        except InventoryError as error:
            raise InventoryError(f"{where}: {error}") from error


def _links(entries: object) -> Iterator[tuple[str, str]]:
    for place, entry in enumerate(_list(entries, "links", "a list of objects")):
        yield _pair(entry, _LINK, f"links[{place}]")


def _pair(entry: object, keys: tuple[str, str], where: str) -> tuple[str, str]:
    """The texts of an object of just these two keys."""
    if not isinstance(entry, dict):
        raise InventoryError(f"{where}: expected an object of {' and '.join(keys)}, found {_told(entry)}")
    _no_others(entry, keys, f"{where}.")
    for key in keys:
        value = entry.get(key)
        if not isinstance(value, str) or not value:
            raise InventoryError(f"{where}.{key}: expected a text, found {_told(value)}")
        value.encode()
    return entry[keys[0]], entry[keys[1]]


def _block(text: object, example: str) -> str:
    if not isinstance(text, str):
        raise InventoryError(f"expected a CIDR block such as {example}, found {_told(text)}")
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise InventoryError(f"expected a CIDR block such as {example}: {error}") from error


def _list(value: object, where: str, expected: str) -> list[Any]:
    if not isinstance(value, list):
        raise InventoryError(f"{where}: expected {expected}, found {_told(value)}")
    return value


def _no_others(given: Iterable[str], known: tuple[str, ...], where: str) -> None:
    """InventoryError for a key that is not known: what it says would be lost without a word."""
    for key in given:
        if key not in known:
            raise InventoryError(f"{where}{key:.60}: no such key; expected one of {', '.join(known)}")


def _no_repeats(owners: list[dict[str, Any]]) -> None:
    seen: dict[str, int] = {}
    for row, owner in enumerate(owners):
        first = seen.setdefault(owner["interface_id"], row)
        if first != row:
            raise InventoryError(f"interfaces[{row}].interface_id: {owner['interface_id']} is interfaces[{first}] too")


def _time(given: object, where: str) -> datetime:
    """A time in UTC, one that an index can hold."""
    time = _utc(given) if isinstance(given, str) else None
    if time is None or not NEVER <= time.timestamp() <= ALWAYS:
        expected = "a time such as 2026-01-31T12:00:00+00:00, from 1970 on"
        raise InventoryError(f"{where}: expected {expected}, found {given!r:.60}")
    return time


def _utc(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _told(value: object) -> str:
    """What a value is, for a message."""
    return "none" if value is None or value == "" else type(value).__name__
