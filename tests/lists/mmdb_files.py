"""MMDB databases for tests, made of networks and their records by mmdb_writer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter, TreeWriter
from netaddr import IPSet  # type: ignore[import-untyped]  # mmdb_writer wants it; its types are a package of their own

MAXMIND_CITY: dict[str, Any] = {
    "city": {"geoname_id": 2655045, "names": {"en": "Boxford"}},
    "continent": {"code": "EU", "geoname_id": 6255148, "names": {"de": "Europa", "en": "Europe", "ja": "ヨーロッパ"}},
    "country": {
        "geoname_id": 2635167,
        "iso_code": "GB",
        "names": {"de": "Vereinigtes Königreich", "en": "United Kingdom"},
    },
    "location": {"accuracy_radius": 100, "latitude": 51.75, "longitude": -1.25, "time_zone": "Europe/London"},
    "postal": {"code": "OX1"},
    "registered_country": {"geoname_id": 3017382, "iso_code": "FR", "names": {"en": "France"}},
    "subdivisions": [
        {"geoname_id": 6269131, "iso_code": "ENG", "names": {"en": "England", "fr": "Angleterre"}},
        {"geoname_id": 3333217, "iso_code": "WBK", "names": {"en": "West Berkshire"}},
    ],
}
"""As GeoIP2 City has them."""

MAXMIND_ASN: dict[str, Any] = {
    "autonomous_system_number": 1221,
    "autonomous_system_organization": "Telstra Pty Ltd",
}
"""As GeoLite2 ASN has them."""


def write(path: Path, networks: Mapping[str, Any], *, kind: str = "Test", version: int = 6, bits: int = 0) -> Path:
    """A database with a record for each network (CIDR), wide ones before narrow ones; `bits` of a record, 0 for few."""
    writer = MMDBWriter(version, kind, languages=["en"], description="made for a test", ipv4_compatible=version == 6)
    for network, record in sorted(networks.items(), key=lambda each: int(each[0].partition("/")[2])):
        writer.insert_network(IPSet([network]), record)
    _Sized(writer.tree, writer._build_meta(), bits).write(str(path))  # noqa: SLF001 - it has no way to choose the size
    return path


class _Sized(TreeWriter):
    """Writes records of a size that is given, and not of the least."""

    def __init__(self, tree: Any, meta: dict[str, Any], bits: int) -> None:  # noqa: ANN401 - mmdb_writer's own type
        super().__init__(tree, meta)
        self._bits = bits

    def _adjust_record_size(self) -> None:
        super()._adjust_record_size()
        self.record_size = self._bits or self.record_size
        self.data_offset = self.record_size * 2 / 8 * self._node_counter
