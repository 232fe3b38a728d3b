"""Threat lists in STIX 2.1: a bundle, an answer of a TAXII server, several of them, or an object a line.

One object stands in memory at a time, however long the list is.
"""

from datetime import timedelta
from hashlib import blake2b
from typing import Any, BinaryIO

from exporter.errors import FeedError
from exporter.lists.indicator_index import Indicator
from exporter.lists.indicator_json import objects_of
from exporter.lists.indicator_lines import LONGEST_NAME, LONGEST_TEXT, Found, until_of
from exporter.lists.indicator_patterns import networks_of_pattern
from exporter.lists.indicator_values import clipped, confidence_of, end_of, has_end, moment_of, seconds_of

MOST_REFS = 100_000
"""Identities and markings of which the names are kept."""

_MOST_MARKINGS = 10

TLP: dict[str, tuple[str, str]] = {
    "613f2e26-407d-48c7-9eca-b8e91df99dc9": ("WHITE", "1.0"),
    "34098fce-860f-48ae-8e50-ebd3cc5e41da": ("GREEN", "1.0"),
    "f88d31f6-486f-44da-b317-01333bde0b82": ("AMBER", "1.0"),
    "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": ("RED", "1.0"),
    "94868c89-83c2-464b-929b-a1a8aa3c8487": ("CLEAR", "2.0"),
    "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": ("GREEN", "2.0"),
    "55d920b0-5e8b-4f79-9ee9-91f868d9b421": ("AMBER", "2.0"),
    "939a9414-2ddd-4d32-a0cd-375ea402b003": ("AMBER+STRICT", "2.0"),
    "e828b379-4e03-4974-9ac4-e53a884c97c1": ("RED", "2.0"),
}
"""The marking-definition of each TLP level, and its version: STIX 2.1, 7.2.1.4, and OASIS's extension for TLP 2.0."""


def stix(file: BinaryIO, expire_after: timedelta | None, refs: dict[str, str]) -> Found:
    """The indicators of a list that are about addresses; the others are counted.

    `refs` gets the names of identities and of TLP markings by their ids.  FeedError where the list is no JSON, breaks
    off, or has no objects.
    """
    number = 0
    for number, found in enumerate(objects_of(file), 1):
        kind = found.get("type") if isinstance(found, dict) else None
        if kind == "indicator":
            yield _indicator(found, number, expire_after)
        elif kind in {"identity", "marking-definition"} and len(refs) < MOST_REFS:
            _note(found, refs)
    if not number:
        raise FeedError('has no objects; expected a STIX 2.1 bundle, {"objects": [...]}, or an object a line')


def _note(found: dict[str, Any], refs: dict[str, str]) -> None:
    """Keeps the name of an identity, or the TLP level of a marking that is not one of the known ones."""
    definition = found.get("definition")
    level = definition.get("tlp") if isinstance(definition, dict) else None
    name = found.get("name") if found["type"] == "identity" else level
    identity = clipped(found.get("id"), LONGEST_NAME)
    if identity and (text := clipped(name, LONGEST_NAME)):
        refs[identity] = text if found["type"] == "identity" else text.upper()


def _indicator(found: dict[str, Any], number: int, expire_after: timedelta | None) -> Indicator | tuple[int, str, str]:
    identity, pattern = clipped(found.get("id"), LONGEST_NAME), found.get("pattern")
    key = int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big", signed=True) if identity else 0
    version = int((moment_of(found.get("modified")) or moment_of(found.get("created")) or 0) * 1000)
    if found.get("revoked") is True:
        return Indicator([], number, {}, until=0, identity=key, version=version)
    kind = found.get("pattern_type", "stix")
    if not isinstance(pattern, str) or kind != "stix":
        return number, identity, f"has no pattern of STIX's own, but of {clipped(kind, 20) or 'none'}"
    networks = networks_of_pattern(pattern)
    if not networks:
        return number, pattern, "is not about an address alone"
    since, until = seconds_of(found.get("valid_from")), end_of(found.get("valid_until"))
    if until is None and has_end(found.get("valid_until")):
        return number, identity, f"ends at {clipped(str(found['valid_until']), 40)!r}, which is no time"
    if since is not None and until is not None and until <= since:
        return number, identity, "ends before it begins"
    detail = _detail(found, identity)
    told = detail.get("modified_at") or detail.get("first_seen")
    confidence = confidence_of(found.get("confidence"))
    return Indicator(
        networks,
        number,
        detail,
        since or 0,
        until_of(until, told, expire_after),
        -1 if confidence is None else confidence,
        told or 0,
        key,
        version,
    )


def _detail(found: dict[str, Any], identity: str) -> dict[str, Any]:
    name, description = clipped(found.get("name"), LONGEST_NAME), clipped(found.get("description"), LONGEST_TEXT)
    texts = [text for text in (name, description) if text]
    detail = {
        "id": identity,
        "first_seen": seconds_of(found.get("created")) or seconds_of(found.get("valid_from")),
        "modified_at": seconds_of(found.get("modified")),
        "provider": clipped(found.get("created_by_ref"), LONGEST_NAME),
        "description": clipped(": ".join(texts), LONGEST_TEXT) or ", ".join(_texts(found, "indicator_types", "labels")),
        "markings": _texts(found, "object_marking_refs"),
        "reference": _reference(found),
    }
    return {name: value for name, value in detail.items() if value}


def _texts(found: dict[str, Any], *names: str) -> list[str]:
    """The texts of the first of these lists that is there."""
    values = next((value for name in names if isinstance(value := found.get(name), list) and value), [])
    return [text for value in values[:_MOST_MARKINGS] if (text := clipped(value, LONGEST_NAME))]


def _reference(found: dict[str, Any]) -> str:
    references = found.get("external_references")
    for each in references[:_MOST_MARKINGS] if isinstance(references, list) else []:
        url = clipped(each.get("url"), LONGEST_TEXT) if isinstance(each, dict) else ""
        if url.startswith(("https://", "http://")):
            return url
    return ""
