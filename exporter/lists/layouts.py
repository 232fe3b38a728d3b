"""What the records of MMDB databases say, as ECS has it: one table of paths for the layouts of all makers.

MaxMind (GeoIP2, GeoLite2: City, Country, Enterprise, ASN, ISP): nested, names by language; the numbers and names of
autonomous systems stand at the top, in Enterprise among `traits`.  Source: github.com/maxmind/MaxMind-DB, source-data.

DB-IP: as MaxMind, `traits` in those with an ISP; subdivisions have no iso_code, and the country ZZ stands for none.
Source: db-ip.com/db/format, and what akvorado reads (pull request 2607 of github.com/akvorado/akvorado).

IPinfo: flat, and every value is text, empty where there is none.  The older databases have codes in `country` and
`continent`, names in `country_name` and `continent_name`; Lite, Core and Plus have names in the former, and codes in
`country_code` and `continent_code`.  An autonomous system is AS15169.  Source: the descriptions of columns in
github.com/ipinfo/sample-database, and what Elasticsearch's ip_location processor reads (`lat`, `lng`, `name`).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")

Path = tuple[str | int, ...]
"""Keys of objects, and places in lists, from a record to a value of it."""

_ENGLISH = "en"
_LONGEST = 1024
"""Characters of a text: beyond it, ECS's keywords are not indexed, and no name is that long."""

_NO_COUNTRY = "ZZ"
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


def _text(value: object) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text if 0 < len(text) <= _LONGEST else None


def _code(value: object) -> str | None:
    """Two letters, in upper case."""
    fits = isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha()  # noqa: PLR2004
    code = str(value).upper() if fits else None
    return None if code == _NO_COUNTRY else code


def _name(value: object) -> str | None:
    """A text that is no code of two letters: `country` may hold either."""
    text = _text(value)
    return text if text and len(text) > 2 else None  # noqa: PLR2004 - as a code


Row = tuple[str, Callable[[object], str | None], tuple[Path, ...]]

PLACES: tuple[Row, ...] = (
    ("city_name", _text, (("city", "names", _ENGLISH), ("city",))),
    ("continent_code", _code, (("continent", "code"), ("continent_code",), ("continent",))),
    ("continent_name", _name, (("continent", "names", _ENGLISH), ("continent_name",), ("continent",))),
    ("country_iso_code", _code, (("country", "iso_code"), ("country_code",), ("country",))),
    ("country_name", _name, (("country", "names", _ENGLISH), ("country_name",), ("country",))),
    ("postal_code", _text, (("postal", "code"), ("postal_code",), ("postal",))),
    ("region_iso_code", _text, (("subdivisions", -1, "iso_code"), ("region_code",))),
    ("region_name", _text, (("subdivisions", -1, "names", _ENGLISH), ("region",))),
    ("timezone", _text, (("location", "time_zone"), ("timezone",))),
)
"""Fields below `geo` of ECS, what each has to be, and where it may stand: the first value that fits counts.

Of several subdivisions the last counts, the smallest, as in Elasticsearch's geoip processor.
"""

LOCATIONS: tuple[tuple[Path, Path], ...] = (
    (("location", "latitude"), ("location", "longitude")),
    (("latitude",), ("longitude",)),
    (("lat",), ("lng",)),
)
"""Where latitude and longitude may stand, numbers or texts."""

NUMBERS: tuple[Path, ...] = (("autonomous_system_number",), ("traits", "autonomous_system_number"), ("asn",))
"""Where the number of an autonomous system may stand."""

ORGANIZATIONS: tuple[Path, ...] = (
    ("autonomous_system_organization",),
    ("traits", "autonomous_system_organization"),
    ("as_name",),
    ("org",),
    ("name",),
)
"""Where its organization may stand, if there is a number."""


_PATHS = (
    *(path for row in PLACES for path in row[2]),
    *(path for pair in LOCATIONS for path in pair),
    *NUMBERS,
    *ORGANIZATIONS,
)
KEYS = frozenset(step for path in _PATHS for step in path if isinstance(step, str))
"""All keys on these paths: what stands at others need not be decoded."""


def texts_of(record: object) -> tuple[str | None, str | None]:
    """The JSON objects below `geo` and `as` of ECS for a record; None for one that would be empty."""
    if not isinstance(record, dict):
        return None, None
    return _json(_geo(record)), _json(_as(record))


def _geo(record: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, fitting, paths in _rows(tuple(record)):
        if value := _first(record, paths, fitting):
            found[field] = value
    if (code := found.pop("region_iso_code", None)) and (region := _region(found.get("country_iso_code"), code)):
        found["region_iso_code"] = region
    if location := _location(record):
        found["location"] = location
    return found


@lru_cache(maxsize=1024)
def _rows(keys: tuple[object, ...]) -> tuple[Row, ...]:
    """What of PLACES a record with these keys can have: most have few of all paths, and looking for them is dear."""
    rows = [(field, fitting, tuple(path for path in paths if path[0] in keys)) for field, fitting, paths in PLACES]
    return tuple(row for row in rows if row[2])


def _region(country: str | None, code: str) -> str | None:
    """The code of ISO 3166-2, which begins with that of the country; databases have only its second part."""
    whole = code if "-" in code else f"{country}-{code}"
    return whole if _REGION.fullmatch(whole) else None


def _location(record: Mapping[str, Any]) -> dict[str, float] | None:
    for path, other in LOCATIONS:
        if path[0] not in record:
            continue
        latitude, longitude = _degrees(_at(record, path), 90), _degrees(_at(record, other), 180)
        if latitude is not None and longitude is not None:
            return {"lat": latitude, "lon": longitude}
    return None


def _as(record: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing without a number: 0 stands for no autonomous system (RFC 7607)."""
    number = _first(record, NUMBERS, _number)
    if number is None:
        return {}
    name = _first(record, ORGANIZATIONS, _text)
    return {"number": number, **({"organization": {"name": name}} if name else {})}


def _first(record: Mapping[str, Any], paths: Iterable[Path], fitting: Callable[[object], T | None]) -> T | None:
    """The first value at one of the paths that fits."""
    for path in paths:
        value = fitting(_at(record, path))
        if value is not None:
            return value
    return None


def _at(value: Any, path: Path) -> object:  # noqa: ANN401 - whatever a database holds
    """The value at a path; None where the path leads nowhere."""
    try:
        for step in path:
            value = value[step]
    except (KeyError, IndexError, TypeError):
        return None
    return value


def _number(value: object) -> int | None:
    """The number of an autonomous system, of 32 bits (RFC 6793); as text AS15169 or 15169."""
    if isinstance(value, str) and (match := re.fullmatch(r"(?:AS)?([0-9]{1,10})", value.strip(), re.ASCII)):
        value = int(match[1])
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**32 else None


def _degrees(value: object, most: int) -> float | None:
    """A number, or the text of one, whose amount is at most `most`."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,30})?", value.strip()):
        value = float(value)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and -most <= value <= most
    return float(value) if fits else None  # type: ignore[arg-type]  # a number, as `fits` says; NaN fits nowhere


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _json(found: dict[str, Any]) -> str | None:
    return _ENCODER.encode(found) if found else None
