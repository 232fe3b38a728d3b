"""Records of MMDB databases to ECS, maker by maker."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.lists.layouts import texts_of

from .mmdb_files import MAXMIND_ASN, MAXMIND_CITY

Objects = tuple[dict[str, Any] | None, dict[str, Any] | None]

ENTERPRISE = {
    "city": {"confidence": 11, "geoname_id": 5112335, "names": {"en": "Chatham"}},
    "continent": {"code": "NA", "geoname_id": 6255149, "names": {"de": "Nordamerika", "en": "North America"}},
    "country": {
        "confidence": 99,
        "geoname_id": 6252001,
        "iso_code": "US",
        "names": {"de": "USA", "en": "United States"},
    },
    "location": {
        "accuracy_radius": 27,
        "latitude": 42.3478,
        "longitude": -73.5549,
        "metro_code": 532,
        "time_zone": "America/New_York",
    },
    "postal": {"code": "12037", "confidence": 11},
    "subdivisions": [{"confidence": 93, "geoname_id": 5128638, "iso_code": "NY", "names": {"en": "New York"}}],
    "traits": {
        "autonomous_system_number": 14671,
        "autonomous_system_organization": "FairPoint Communications",
        "connection_type": "Cable/DSL",
        "isp": "Fairpoint Communications",
        "organization": "Fairpoint Communications",
    },
}

LAYOUTS: dict[str, tuple[dict[str, Any], Objects]] = {
    "MaxMind City": (
        MAXMIND_CITY,
        (
            {
                "city_name": "Boxford",
                "continent_code": "EU",
                "continent_name": "Europe",
                "country_iso_code": "GB",
                "country_name": "United Kingdom",
                "postal_code": "OX1",
                "region_iso_code": "GB-WBK",
                "region_name": "West Berkshire",
                "timezone": "Europe/London",
                "location": {"lat": 51.75, "lon": -1.25},
            },
            None,
        ),
    ),
    "MaxMind Country": (
        {key: MAXMIND_CITY[key] for key in ("continent", "country", "registered_country")},
        (
            {
                "continent_code": "EU",
                "continent_name": "Europe",
                "country_iso_code": "GB",
                "country_name": "United Kingdom",
            },
            None,
        ),
    ),
    "MaxMind, registered but not placed": ({"registered_country": MAXMIND_CITY["registered_country"]}, (None, None)),
    "MaxMind ASN": (MAXMIND_ASN, (None, {"number": 1221, "organization": {"name": "Telstra Pty Ltd"}})),
    "MaxMind ISP": (
        {"autonomous_system_number": 7018, "isp": "AT&T Services", "organization": "AT&T Worldnet Services"},
        (None, {"number": 7018}),
    ),
    "MaxMind ISP without a system": ({"isp": "WifiNetCom", "organization": "WifiNetCom"}, (None, None)),
    "MaxMind Enterprise": (
        ENTERPRISE,
        (
            {
                "city_name": "Chatham",
                "continent_code": "NA",
                "continent_name": "North America",
                "country_iso_code": "US",
                "country_name": "United States",
                "postal_code": "12037",
                "region_iso_code": "US-NY",
                "region_name": "New York",
                "timezone": "America/New_York",
                "location": {"lat": 42.3478, "lon": -73.5549},
            },
            {"number": 14671, "organization": {"name": "FairPoint Communications"}},
        ),
    ),
    "DB-IP City Lite": (
        {
            "city": {"names": {"en": "Mountain View"}},
            "continent": {"code": "NA", "geoname_id": 6255149, "names": {"de": "Nordamerika", "en": "North America"}},
            "country": {
                "geoname_id": 6252001,
                "is_in_european_union": False,
                "iso_code": "US",
                "names": {"de": "Vereinigte Staaten", "en": "United States"},
            },
            "location": {"latitude": 37.4223, "longitude": -122.085},
            "subdivisions": [{"names": {"en": "California"}}],
        },
        (
            {
                "city_name": "Mountain View",
                "continent_code": "NA",
                "continent_name": "North America",
                "country_iso_code": "US",
                "country_name": "United States",
                "region_name": "California",
                "location": {"lat": 37.4223, "lon": -122.085},
            },
            None,
        ),
    ),
    "DB-IP ISP": (
        {
            "continent": {"code": "NA", "names": {"en": "North America"}},
            "country": {"iso_code": "US", "names": {"en": "United States"}},
            "traits": {
                "autonomous_system_number": 15169,
                "autonomous_system_organization": "Google LLC",
                "connection_type": "Corporate",
                "isp": "Google LLC",
                "user_type": "hosting",
            },
        },
        (
            {
                "continent_code": "NA",
                "continent_name": "North America",
                "country_iso_code": "US",
                "country_name": "United States",
            },
            {"number": 15169, "organization": {"name": "Google LLC"}},
        ),
    ),
    "DB-IP, no country": ({"country": {"iso_code": "ZZ"}, "continent": {"code": "ZZ"}}, (None, None)),
    "IPinfo location": (
        {
            "city": "Yangsan",
            "country": "KR",
            "geoname_id": "1832257",
            "lat": "35.34199",
            "lng": "129.03358",
            "postal_code": "50593",
            "region": "Gyeongsangnam-do",
            "region_code": "48",
            "timezone": "Asia/Seoul",
        },
        (
            {
                "city_name": "Yangsan",
                "country_iso_code": "KR",
                "postal_code": "50593",
                "region_iso_code": "KR-48",
                "region_name": "Gyeongsangnam-do",
                "timezone": "Asia/Seoul",
                "location": {"lat": 35.34199, "lon": 129.03358},
            },
            None,
        ),
    ),
    "IPinfo country and ASN": (
        {
            "as_domain": "arteria-net.com",
            "as_name": "ARTERIA Networks Corporation",
            "asn": "AS2519",
            "continent": "AS",
            "continent_name": "Asia",
            "country": "JP",
            "country_name": "Japan",
        },
        (
            {"continent_code": "AS", "continent_name": "Asia", "country_iso_code": "JP", "country_name": "Japan"},
            {"number": 2519, "organization": {"name": "ARTERIA Networks Corporation"}},
        ),
    ),
    "IPinfo ASN": (
        {"asn": "AS13335", "domain": "cloudflare.com", "name": "Cloudflare, Inc."},
        (None, {"number": 13335, "organization": {"name": "Cloudflare, Inc."}}),
    ),
    "IPinfo Lite": (
        {
            "as_domain": "google.com",
            "as_name": "Google LLC",
            "asn": "AS15169",
            "continent": "North America",
            "continent_code": "NA",
            "country": "United States",
            "country_code": "US",
        },
        (
            {
                "continent_code": "NA",
                "continent_name": "North America",
                "country_iso_code": "US",
                "country_name": "United States",
            },
            {"number": 15169, "organization": {"name": "Google LLC"}},
        ),
    ),
    "IPinfo Lite without a system": (
        {
            "as_domain": "",
            "as_name": "",
            "asn": "",
            "continent": "Europe",
            "continent_code": "EU",
            "country": "France",
            "country_code": "FR",
        },
        (
            {
                "continent_code": "EU",
                "continent_name": "Europe",
                "country_iso_code": "FR",
                "country_name": "France",
            },
            None,
        ),
    ),
    "IPinfo Core": (
        {
            "as_name": "Google LLC",
            "asn": "AS15169",
            "city": "Mountain View",
            "continent": "North America",
            "continent_code": "NA",
            "country": "United States",
            "country_code": "US",
            "latitude": "37.38605",
            "longitude": "-122.08385",
            "postal_code": "94043",
            "region": "California",
            "region_code": "CA",
            "timezone": "America/Los_Angeles",
        },
        (
            {
                "city_name": "Mountain View",
                "continent_code": "NA",
                "continent_name": "North America",
                "country_iso_code": "US",
                "country_name": "United States",
                "postal_code": "94043",
                "region_iso_code": "US-CA",
                "region_name": "California",
                "timezone": "America/Los_Angeles",
                "location": {"lat": 37.38605, "lon": -122.08385},
            },
            {"number": 15169, "organization": {"name": "Google LLC"}},
        ),
    ),
}


def objects(record: object) -> Objects:
    """What the texts say."""
    geo, network = texts_of(record)
    return json.loads(geo or "null"), json.loads(network or "null")


@pytest.mark.parametrize(("record", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_record_of_each_maker(record: dict[str, Any], expected: Objects) -> None:
    assert objects(record) == expected


def test_the_text_is_compact_and_as_it_stands_but_for_what_json_needs() -> None:
    record = {"city": {"names": {"en": 'Östersund "\\\n\x00'}}, "asn": 8075, "as_name": "日本"}
    assert texts_of(record) == (
        '{"city_name":"Östersund \\"\\\\\\n\\u0000"}',
        '{"number":8075,"organization":{"name":"日本"}}',
    )


PLACED: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "the equator": ({"location": {"latitude": 0.0, "longitude": 0}}, {"location": {"lat": 0.0, "lon": 0.0}}),
    "the poles": ({"lat": "-90", "lng": "+180.0"}, {"location": {"lat": -90.0, "lon": 180.0}}),
    "too far north": ({"location": {"latitude": 90.0001, "longitude": 1.0}}, None),
    "too far east": ({"lat": "1", "lng": "180.0001"}, None),
    "not a number": ({"location": {"latitude": float("nan"), "longitude": 1.0}}, None),
    "endless": ({"location": {"latitude": 1.0, "longitude": float("-inf")}}, None),
    "text without a number": ({"lat": "north", "lng": "1"}, None),
    "text of more than a number": ({"lat": "1e1", "lng": "nan"}, None),
    "half a place": ({"location": {"latitude": 1.0}}, None),
    "a flag": ({"location": {"latitude": True, "longitude": 1}}, None),
    "no object": ({"location": "1,2", "city": ["x"], "country": 5, "subdivisions": {"names": "x"}}, None),
    "no subdivisions": ({"subdivisions": []}, None),
    "subdivisions that are none": ({"subdivisions": ["CA", 7]}, None),
    "blank": ({"city": " ", "region": "", "timezone": "\t"}, None),
    "blanks around": ({"city": " Oslo "}, {"city_name": "Oslo"}),
    "only other languages": ({"city": {"names": {"fr": "Genève", "it": "Ginevra"}}}, None),
    "no language": ({"city": {"names": {}}}, None),
    "a name that is none": ({"city": {"names": {"en": 5}}}, None),
    "a long name": ({"city": "x" * 1024}, {"city_name": "x" * 1024}),
    "too long a name": ({"city": "x" * 1025}, None),
    "lower case": ({"country_code": "no"}, {"country_iso_code": "NO"}),
    "a code of three letters": ({"country": {"iso_code": "NOR"}}, None),
    "a region without its country": ({"region_code": "CA", "region": "California"}, {"region_name": "California"}),
    "a whole code of a region": ({"region_code": "US-CA"}, {"region_iso_code": "US-CA"}),
    "an odd code of a region": ({"country": "US", "region_code": "Calif."}, {"country_iso_code": "US"}),
    "the first that fits": ({"continent_code": 5, "continent": "EU"}, {"continent_code": "EU"}),
}


@pytest.mark.parametrize(("record", "expected"), PLACED.values(), ids=PLACED)
def test_what_is_no_place_is_left_out(record: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert objects(record) == (expected, None)


SYSTEMS: dict[str, tuple[Any, int | None]] = {
    "a number": (15169, 15169),
    "the first": (1, 1),
    "the last": (4294967295, 4294967295),
    "beyond the last": (4294967296, None),
    "nobody's": (0, None),
    "below": (-1, None),
    "a text": ("15169", 15169),
    "a text with AS": ("AS15169", 15169),
    "a text of zero": ("AS0", None),
    "a text of too many digits": ("AS99999999999", None),
    "a text that is none": ("AS", None),
    "dotted": ("AS1.10", None),
    "other digits": ("AS\u0661\u0665", None),
    "a fraction": (15169.0, None),
    "a flag": (True, None),
    "a list": ([15169], None),
    "none": (None, None),
}


@pytest.mark.parametrize(("given", "expected"), SYSTEMS.values(), ids=SYSTEMS)
def test_numbers_of_autonomous_systems(given: object, expected: int | None) -> None:
    name = {"organization": {"name": "X"}}
    assert objects({"asn": given, "as_name": "X"}) == (None, expected and {"number": expected, **name})


@pytest.mark.parametrize("record", [None, 5, "text", b"bytes", [MAXMIND_CITY], {}, True])
def test_a_record_that_says_nothing(record: object) -> None:
    assert texts_of(record) == (None, None)


PARTS = (
    *(
        "city",
        "continent",
        "country",
        "location",
        "postal",
        "subdivisions",
        "traits",
        "names",
        "en",
        "code",
        "iso_code",
    ),
    *("latitude", "longitude", "lat", "lng", "time_zone", "timezone", "region", "region_code", "postal_code", "asn"),
    *("country_code", "country_name", "continent_code", "continent_name", "as_name", "org", "name"),
    *("autonomous_system_number", "autonomous_system_organization"),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**128 - 1)
    | st.floats()
    | st.binary(max_size=4)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    | st.sampled_from(["AS1", "0", "-12.5", "US", "ZZ", "nan"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PARTS), inner, max_size=6),
)

FIELDS = frozenset(
    (
        *("city_name", "continent_code", "continent_name", "country_iso_code", "country_name"),
        *("location", "postal_code", "region_iso_code", "region_name", "timezone"),
    )
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PARTS), VALUES) | VALUES)
@example({"location": {"latitude": 10**38, "longitude": 1}})
def test_whatever_stands_in_a_record_gives_good_json_or_nothing(record: object) -> None:
    geo, network = objects(record)
    assert geo != {}
    for field, value in (geo or {}).items():
        assert field in FIELDS
        if field == "location":
            assert -90 <= value["lat"] <= 90
            assert -180 <= value["lon"] <= 180
        else:
            assert isinstance(value, str)
            assert value.strip()
    if network is not None:
        assert 0 < network["number"] < 2**32
        assert set(network) <= {"number", "organization"}
