"""What each part of a flow's meaning costs: the whole path with one of them, with none, and with all.

Databases, ranges, lists and rules are made up, of the sizes that real ones have, and kept in bench/out.
"""

import json
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from bench.traffic import OUT, SEED, Sample
from exporter.config import Config
from exporter.enrich.ends import Known, enrich
from exporter.enrich.reporters import Reporters
from exporter.enrichment import Enrichment, Outside, enrichment_of
from exporter.flow import Batch
from exporter.metrics import Metrics

INDICATORS = 1_000_000
PREFIXES = 10_000
PLACES = 5_000
"""Distinct places, which 65,536 networks share."""

_NONE: dict[str, Any] = {"client_server": False, "reporter": False}
_PRICES = dict.fromkeys(
    ("nat_processing", "cross_zone", "inter_region", "internet_egress", "transit_gateway", "endpoint"), 0.02
)


def _places() -> dict[str, Any]:
    return {"geoip": {"databases": [_database("city", _city), _database("asn", _network)]}}


def _ranges() -> dict[str, Any]:
    return {"aws_ranges": {"location": str(_made("ip-ranges.json", _write_ranges))}}


def _threats() -> dict[str, Any]:
    return {"threats": {"feeds": [{"name": "bench", "location": str(_made("indicators.txt", _write_indicators))}]}}


def _cost() -> dict[str, Any]:
    return {"cost": {"prices": [{"region": "us-east-1", "date": "2026-01-01", **_PRICES}]}}


_RULES: list[dict[str, Any]] = [
    {"name": "port", "where": {"destination.port": [7, 9, "9000-9100"], "network.bytes": "<100"}},
    {"name": "network", "where": {"source.ip": ["10.99.0.0/16", "192.0.2.0/24"]}},
    {"name": "group", "where": {"aws.vpcflow.source.subnet_name": "nobody-*"}},
    {"name": "any end", "where": {"related.ip": ["192.0.2.0/24", "2001:db8::/32"]}},
    {"name": "direction", "where": {"network.direction": "egress", "destination.ip": "198.51.100.0/24"}},
    {"name": "interface", "where": {"aws.vpcflow.interface_id": ["eni-0", "eni-1"]}},
    {"name": "instance", "where": {"cloud.instance.id": "i-0"}},
    {"name": "small", "where": {"network.packets": "<1", "network.transport": "udp"}},
    {"name": "verdict", "where": {"event.outcome": "failure", "destination.port": 1}},
    {"name": "service", "where": {"aws.vpcflow.pkt_dst_service": "NOTHING"}},
]

FEATURES: dict[str, Callable[[], dict[str, Any]]] = {
    "places": _places,
    "AWS ranges": _ranges,
    "threats": _threats,
    "client and server": lambda: {"client_server": True},
    "reporter": lambda: {"reporter": True},
    "cost": _cost,
}
"""Each part, with what the section `enrich` of the configuration says where it is on."""

FILTER = "filter"
ALL = "everything"


def enrichment(sample: Sample, known: Callable[[Sample], Known | None], names: tuple[str, ...]) -> Enrichment:
    """The steps with these parts on and all others off; `filter` is ten rules that keep everything."""
    section = dict(_NONE)
    for name in names:
        section |= FEATURES[name]() if name in FEATURES else {}
    rules = [{**rule, "action": "drop", "dry_run": False} for rule in _RULES] if FILTER in names else []
    config = Config.model_validate(
        {
            "source": {"s3": [{"bucket": "bench"}]},
            "output": {"files": {"folder": "nowhere"}},
            "state": {"folder": "nowhere"},
            "enrich": section,
            "filter": {"rules": [{**rule, "where": _as_read(rule["where"])} for rule in rules]},
        }
    )
    inventory, metrics = known(sample), Metrics()
    if inventory is not None:
        _ = inventory.index

    def ends(batch: Batch) -> Batch:
        return enrich(batch, inventory, metrics)

    outside = Outside(_nowhere, OUT / "feeds", Event())
    made = enrichment_of(config, ends, Reporters(), outside, metrics)
    made.start()
    return made


def _nowhere(bucket: str) -> Any:  # noqa: ANN401 - no list of the bench lies in S3
    raise AssertionError(bucket)


def _as_read(where: dict[str, Any]) -> dict[str, list[str]]:
    return {
        name: [str(each) for each in (value if isinstance(value, list) else [value])] for name, value in where.items()
    }


def _made(name: str, write: Callable[[Path], None]) -> Path:
    path = OUT / name
    if not path.exists():
        begun = path.with_suffix(".begun")
        write(begun)
        begun.rename(path)
    return path


def _write_ranges(path: Path) -> None:
    """As many prefixes as AWS has, in the space that the traffic's outside addresses lie in."""
    rng = np.random.default_rng(SEED)
    services = ("AMAZON", "EC2", "S3", "CLOUDFRONT", "DYNAMODB")
    prefixes = [
        {
            "ip_prefix": f"{first}.{second}.{third}.0/24",
            "region": f"us-east-{region}",
            "service": services[service],
        }
        for first, second, third, region, service in zip(
            rng.integers(1, 224, PREFIXES).tolist(),
            *(rng.integers(0, 256, PREFIXES).tolist() for _ in range(2)),
            rng.integers(1, 3, PREFIXES).tolist(),
            rng.integers(0, len(services), PREFIXES).tolist(),
            strict=True,
        )
    ]
    path.write_text(json.dumps({"prefixes": prefixes, "ipv6_prefixes": []}))


def _write_indicators(path: Path) -> None:
    """Addresses at random, and a network among a hundred."""
    rng = np.random.default_rng(SEED)
    octets = rng.integers(1, 224, (INDICATORS, 4))
    with path.open("w") as file:
        for number, (a, b, c, d) in enumerate(octets.tolist()):
            file.write(f"{a}.{b}.{c}.0/24\n" if number % 100 == 0 else f"{a}.{b}.{c}.{d}\n")


def _city(number: int) -> dict[str, Any]:
    names = {"en": f"City {number}"}
    return {
        "city": {"names": names},
        "continent": {"code": "EU", "names": {"en": "Europe"}},
        "country": {"iso_code": "DE", "names": {"en": "Germany"}},
        "location": {"latitude": number % 90 + 0.25, "longitude": number % 180 + 0.5, "time_zone": "Europe/Berlin"},
        "postal": {"code": f"{number:05}"},
        "subdivisions": [{"iso_code": "HE", "names": {"en": "Hesse"}}],
    }


def _network(number: int) -> dict[str, Any]:
    return {"autonomous_system_number": number + 1, "autonomous_system_organization": f"Organization {number}"}


def _database(name: str, record: Callable[[int], dict[str, Any]]) -> str:
    """A database in which each /16 of IPv4 is one network."""

    def write(path: Path) -> None:
        from mmdb_writer import MMDBWriter  # noqa: PLC0415 - only where it is not made yet
        from netaddr import IPSet  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

        writer = MMDBWriter(
            6, f"Bench-{name}", languages=["en"], description="made for the bench", ipv4_compatible=True
        )
        for number, network in enumerate(IPv4Network("0.0.0.0/0").subnets(new_prefix=16)):
            writer.insert_network(IPSet([str(network)]), record(number % PLACES))
        writer.to_db_file(str(path))

    return str(_made(f"{name}.mmdb", write))


def cases() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every row: a part alone, the filter alone, and all of it."""
    for name in (*FEATURES, FILTER):
        yield f"+ {name}", (name,)
    yield ALL, (*FEATURES, FILTER)
