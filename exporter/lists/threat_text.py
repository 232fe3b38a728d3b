"""An indicator, and a match of it, as ECS's threat.enrichments has them (ECS 9.4)."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from exporter.lists.indicator_index import Indicators
from exporter.lists.indicator_stix import TLP
from exporter.lists.indicator_values import confidence_name, text_of, time_of

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SINGLE = 128
_MARKING = "marking-definition--"


class Shown(NamedTuple):
    """JSON text of threat.enrichments.indicator, and the indicator's id in its list, empty where it has none."""

    indicator: str
    id: str


def array_of(names: Sequence[str]) -> str:
    """A JSON array of texts."""
    return _encode(list(names))


def enrichment(shown: Shown, atomic: str, field: str) -> str:
    """JSON text of one of threat.enrichments: an address that is in a field, and the indicator that it fits."""
    more = f',"id":{_encode(shown.id)}' if shown.id else ""
    matched = f'{{"atomic":"{atomic}","field":"{field}","type":"indicator_match_rule"{more}}}'
    return f'{{"indicator":{shown.indicator},"matched":{matched}}}'


def indicator_of(indicators: Indicators, entry: int, feed: str) -> Shown:
    """What is shown of an indicator; its `provider` is who made it, else the one that is configured, else the feed.

    `name` is the address or network itself; ECS has no field for a network, so only a single address is an `ip` too.
    """
    columns = indicators.columns
    key, bits = bytes(columns.key[entry]).ljust(16, b"\0"), int(columns.bits[entry])
    text = text_of(key, bits)
    detail = indicators.details[int(columns.row[entry])]
    confidence = int(columns.confidence[entry])
    shown: dict[str, Any] = {
        "type": "ipv6-addr" if ":" in text else "ipv4-addr",
        "ip": text if bits == _SINGLE else None,
        "name": text,
        "provider": _provider(indicators, detail.get("provider")) or feed,
        "confidence": confidence_name(confidence) if confidence >= 0 else None,
        **{name: detail.get(name) for name in ("description", "reference", "port")},
        **{name: time_of(detail[name]) for name in ("first_seen", "last_seen", "modified_at") if name in detail},
        "marking": _marking(indicators, detail),
    }
    return Shown(_encode({name: value for name, value in shown.items() if value}), detail.get("id", ""))


def _provider(indicators: Indicators, told: str | None) -> str | None:
    """A name as the list tells it, or the name of the identity that it refers to."""
    if told and told.startswith("identity--"):
        told = indicators.refs.get(told)
    return told or indicators.provider


def _marking(indicators: Indicators, detail: dict[str, Any]) -> dict[str, str]:
    """The TLP level, and its version where that is sure."""
    if "tlp" in detail:
        return {"tlp": detail["tlp"]}
    for marking in detail.get("markings", ()):
        if known := TLP.get(marking.removeprefix(_MARKING)):
            return {"tlp": known[0], "tlp_version": known[1]}
        if marking in indicators.refs:
            return {"tlp": indicators.refs[marking]}
    return {}
