"""Lists in the styles of those that are published, and exactly the indicators that are in them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network, summarize_address_range
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ThreatFeed
from exporter.errors import FeedError
from exporter.lists import indicator_json
from exporter.lists.feeds import Parsed
from exporter.lists.indicator_index import Indicators
from exporter.lists.indicator_lines import LONGEST_LINE
from exporter.lists.indicator_patterns import LONGEST, networks_of_pattern
from exporter.lists.indicator_values import confidence_of, end_of, networks_of, seconds_of
from exporter.lists.indicators import read_indicators

NEVER_ENDS = 2**32 - 1


def settings(**options: object) -> ThreatFeed:
    return ThreatFeed(name="list", location="/lists/list", **options)  # type: ignore[arg-type]  # the option's type reads it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list"


def read(path: Path, content: str | bytes, **options: object) -> Parsed[Indicators]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_indicators(path, settings(**options))


def plainly(key: bytes, bits: int) -> str:
    """A network as the standard library writes it; a single address without a length."""
    number = int.from_bytes(key.ljust(16, b"\0"), "big")
    mapped = number >> 32 == 0xFFFF and bits >= 96
    address = ip_address(number & 0xFFFFFFFF if mapped else number)
    return str(address) if bits == 128 else f"{address}/{bits - 96 if mapped else bits}"


def listed(indicators: Indicators) -> list[str]:
    columns = indicators.columns
    return sorted(plainly(key, bits) for key, bits in zip(columns.key.tolist(), columns.bits.tolist(), strict=True))


def rows(indicators: Indicators) -> dict[str, tuple[int, int, int, dict[str, Any]]]:
    """Of each address or network from when to when it holds, the confidence, and the detail."""
    columns = indicators.columns
    return {
        plainly(columns.key[at], int(columns.bits[at])): (
            int(columns.since[at]),
            int(columns.until[at]),
            int(columns.confidence[at]),
            indicators.details[int(columns.row[at])],
        )
        for at in range(len(indicators))
    }


DROP = """\
; The Example DROP List 2026/01/05 - (c) 2026 Example
; Last-Modified: Mon, 5 Jan 2026 06:03:32 GMT
1.10.16.0/20 ; SBL256894
1.19.0.0/16 ; SBL434604
2a06:e480::/29 ; SBL301771
"""
NETSET = "#\n# example_level1\n#\n# ipv4 hash:net ipset\n#\n1.10.16.0/20\r\n5.134.128.5\r\n10.0.0.0/8\r\n0.0.0.0/8\n"
ODDS = """\
\ufeff# comments of all kinds, and spellings
// another
5.6.7.8 # trailing
5.6.7.9 // trailing

  5.6.7.10\t3
5.6.8.0 - 5.6.8.130
5.6.9.4:8080
5[.]6[.]10[.]4
hxxp://5.6.11[.]4/evil.exe
https://user@5.6.12.4:8443/path?query#part
http://[2a00:1:2::5]:80/x
[2a00:1:2::6]:443
2A00:1:2:0:0:0:0:7
5.6.13.77/24
5.6.14.0/255.255.255.0
::ffff:5.6.15.1
evil.example.com
https://evil.example.com/5.6.7.8
d41d8cd98f00b204e9800998ecf8427e
5.6.7.256
5.6.7.8/33
5.6.016.1
127.0.0.1 localhost
"""
NOBODYS = (
    *("10.1.2.3", "100.64.0.0/10", "169.254.169.254", "172.16.0.0/12", "192.168.1.1", "224.0.0.5", "255.255.255.255"),
    *("0.0.0.0", "::", "::1", "fe80::1", "fd00::/8", "ff02::1", "127.0.0.0/8"),  # noqa: S104 - no place to listen
)
LISTS: dict[str, tuple[str, list[str], int]] = {
    "Spamhaus's style: a semicolon and a reference": (DROP, ["1.10.16.0/20", "1.19.0.0/16", "2a06:e480::/29"], 0),
    "FireHOL's style, with what is private": (NETSET, ["1.10.16.0/20", "5.134.128.5"], 2),
    "spellings": (
        ODDS,
        [
            *("2a00:1:2::5", "2a00:1:2::6", "2a00:1:2::7", "5.6.10.4", "5.6.11.4", "5.6.12.4", "5.6.13.0/24"),
            *("5.6.14.0/24", "5.6.15.1", "5.6.7.10", "5.6.7.8", "5.6.7.9", "5.6.8.0/25", "5.6.8.128/31"),
            *("5.6.8.130", "5.6.9.4"),
        ],
        7,
    ),
    "a wide network": ("1.0.0.0/8\n2.0.0.0/7\n0.0.0.0/0\n::/0\n2a00::/19\n2c00::/18\n", ["1.0.0.0/8", "2a00::/19"], 4),
    "what nobody has": ("\n".join(["9.9.9.9", *NOBODYS]), ["9.9.9.9"], 14),
    "a single one without a line end": ("9.9.9.9", ["9.9.9.9"], 0),
    "quoted, with commas": ("'9.9.9.8',\n\"9.9.9.9\",\n", ["9.9.9.8", "9.9.9.9"], 0),
    "the same twice is two, of which one is shown": ("9.9.9.9\n9.9.9.9\n", ["9.9.9.9", "9.9.9.9"], 0),
    "comments with commas": ("9.9.9.8 # one, two\n9.9.9.9 # one, two\n", ["9.9.9.8", "9.9.9.9"], 0),
    "a line too long": ("x" * (3 * LONGEST_LINE) + "\n9.9.9.9\n", ["9.9.9.9"], 1),
}


@pytest.mark.parametrize(("content", "expected", "skipped"), LISTS.values(), ids=LISTS)
def test_plain_lists(path: Path, content: str, expected: list[str], skipped: int) -> None:
    for kind in ("plain", "auto"):
        parsed = read(path, content, format=kind)
        assert (listed(parsed.value), parsed.entries, parsed.skipped) == (expected, len(expected), skipped)


def test_a_comment_behind_an_address_describes_it(path: Path) -> None:
    assert rows(read(path, DROP).value) == {
        "1.10.16.0/20": (0, NEVER_ENDS, -1, {"description": "SBL256894"}),
        "1.19.0.0/16": (0, NEVER_ENDS, -1, {"description": "SBL434604"}),
        "2a06:e480::/29": (0, NEVER_ENDS, -1, {"description": "SBL301771"}),
    }


def test_what_is_skipped_is_told_by_its_line(path: Path) -> None:
    parsed = read(path, "5.6.7.8\nevil.example.com\n10.0.0.0/8\n1.0.0.0/7\n")
    wide = "is wider than any network that somebody has (at most /8, IPv6 /19)"
    special = "is private, multicast or of another kind that is nobody's on the internet"
    assert parsed.examples == (
        "line 2: 'evil.example.com' is no address",
        f"line 4: '0.0.0.0/7' {wide}",
        f"line 3: '10.0.0.0/8' {special}",
    )


ENDS = """\
indicator,valid_until
45.9.20.7,03/15/2020
45.9.20.9,
45.9.20.10,2030-01-01
"""


def test_an_end_that_cannot_be_read_is_no_indicator_without_an_end(path: Path) -> None:
    parsed = read(path, ENDS)
    assert sorted(rows(parsed.value)) == ["45.9.20.10", "45.9.20.9"]
    assert (parsed.skipped, parsed.examples) == (
        1,
        ("line 2: '45.9.20.7' ends at '03/15/2020', which is no time",),
    )


FEODO = """\
################################################
# Example botnet C2 list (CSV format)          #
################################################
#
# "first_seen_utc","dst_ip","dst_port","c2_status","last_online","malware"
"2026-01-04 14:43:00","45.9.20.7","443","online","2026-01-05","Pikabot"
"2026-01-05 09:00:01","162.243.103.246","8080","offline","2026-01-05","Emotet"
# END (2) entries
"""
QUOTED = """\
indicator;type;threat;description;confidence;tlp;valid_until;url;source
"45.9.20.7";ipv4;"C2; Cobalt";"said ""bad"" twice";90;TLP:AMBER;2026-02-01;https://example.com/7;Team
45.9.21.0/24;ipv4;scanner;;low;;2026-02-01T10:00:00.5Z;javascript:alert(1);
evil.example.com;domain;c2;;;;;;
45.9.22.1;ipv4;a;;200;PURPLE;never;;
"""
TABLES: dict[str, tuple[str, dict[str, Any], dict[str, tuple[int, int, int, dict[str, Any]]], int]] = {
    "abuse.ch's style: the header is a comment": (
        FEODO,
        {},
        {
            "45.9.20.7": (
                *(0, NEVER_ENDS, -1),
                {"first_seen": 1767537780, "last_seen": 1767571200, "description": "Pikabot", "port": 443},
            ),
            "162.243.103.246": (
                *(0, NEVER_ENDS, -1),
                {"first_seen": 1767603601, "last_seen": 1767571200, "description": "Emotet", "port": 8080},
            ),
        },
        0,
    ),
    "the same with an end by what was last seen": (
        "\n".join(FEODO.splitlines()[4:6]),
        {"expire_after": "10d"},
        {
            "45.9.20.7": (
                *(0, 1768435200, -1),
                {"first_seen": 1767537780, "last_seen": 1767571200, "description": "Pikabot", "port": 443},
            )
        },
        0,
    ),
    "semicolons and quotes": (
        QUOTED,
        {"expire_after": "10d"},
        {
            "45.9.20.7": (
                *(0, 1769990400, 90),
                {
                    "provider": "Team",
                    "description": 'said "bad" twice',
                    "reference": "https://example.com/7",
                    "tlp": "AMBER",
                },
            ),
            "45.9.21.0/24": (0, 1769940001, 15, {"description": "scanner, ipv4"}),
            "45.9.22.1": (0, NEVER_ENDS, -1, {"description": "a, ipv4"}),
        },
        1,
    ),
    "no header, tabs": (
        "host\ta\t9.9.9.9\nhost\tb\t9.9.9.8\n",
        {},
        {
            "9.9.9.9": (0, NEVER_ENDS, -1, {}),
            "9.9.9.8": (0, NEVER_ENDS, -1, {}),
        },
        0,
    ),
    "two columns of addresses: the one that is named": (
        "victim,attacker\n8.8.8.8,9.9.9.9\n8.8.4.4,9.9.9.8\n",
        {"column": "Attacker"},
        {"9.9.9.9": (0, NEVER_ENDS, -1, {}), "9.9.9.8": (0, NEVER_ENDS, -1, {})},
        0,
    ),
    "the first where most are": (
        "note,ip,other\n,9.9.9.9,1.1.1.1\n9.9.9.7,9.9.9.8,1.1.1.2\nx,y,1.1.1.3\n",
        {},
        {"9.9.9.9": (0, NEVER_ENDS, -1, {}), "9.9.9.8": (0, NEVER_ENDS, -1, {})},
        1,
    ),
    "by number": (
        "8.8.8.8,9.9.9.9\n8.8.4.4,9.9.9.8\n",
        {"column": "2", "format": "csv"},
        {"9.9.9.9": (0, NEVER_ENDS, -1, {}), "9.9.9.8": (0, NEVER_ENDS, -1, {})},
        0,
    ),
    "few addresses among others": (
        "ioc,threat\nevil.example.com,a\nhttp://evil.example.com/,b\n9.9.9.9:443,c\n",
        {},
        {"9.9.9.9": (0, NEVER_ENDS, -1, {"description": "c"})},
        2,
    ),
    "it begins after it ends": (
        "ip,valid_from,valid_until\n9.9.9.9,2026-01-02,2026-01-01\n9.9.9.8,2026-01-02,2026-01-02\n",
        {},
        {"9.9.9.8": (1767312000, 1767398400, -1, {})},
        1,
    ),
    "a quote that never ends": (
        'ip,description\n9.9.9.7,"one\n9.9.9.8,two\n9.9.9.9,"three\nfour"\n',
        {"format": "csv"},
        {
            "9.9.9.7": (0, NEVER_ENDS, -1, {"description": "one"}),
            "9.9.9.8": (0, NEVER_ENDS, -1, {"description": "two"}),
            "9.9.9.9": (0, NEVER_ENDS, -1, {"description": "three"}),
        },
        1,
    ),
}


@pytest.mark.parametrize(("content", "options", "expected", "skipped"), TABLES.values(), ids=TABLES)
def test_csv_lists(
    path: Path,
    content: str,
    options: dict[str, Any],
    expected: dict[str, tuple[int, int, int, dict[str, Any]]],
    skipped: int,
) -> None:
    parsed = read(path, content, **options)
    assert (rows(parsed.value), parsed.skipped) == (expected, skipped)


AMBER = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"


def indicator(number: int, pattern: str, **more: object) -> dict[str, Any]:
    made = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012}",
        "created": "2026-01-05T12:00:00.000Z",
        "modified": "2026-01-05T12:00:00.000Z",
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": "2026-01-05T12:00:00Z",
    }
    return {**made, **more}


def bundle(*objects: Mapping[str, Any]) -> str:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects})


ONE, OTHER = indicator(1, "[ipv4-addr:value = '9.9.9.9']"), indicator(2, "[ipv6-addr:value = '2a00::1']")
NOTED = {"first_seen": 1767614400, "modified_at": 1767614400}


@pytest.mark.parametrize(
    "content",
    [
        bundle(ONE, OTHER),
        "\ufeff" + bundle(ONE, OTHER),
        json.dumps(json.loads(bundle(ONE, OTHER)), indent=2),
        json.dumps({"more": True, "next": "2", "objects": [ONE, OTHER]}),
        bundle(ONE) + "\n" + bundle(OTHER) + "\n",
        json.dumps([ONE, OTHER]),
        f"{json.dumps(ONE)}\n\n{json.dumps(OTHER)}\n",
        json.dumps(ONE, indent=1) + json.dumps(OTHER, indent=1),
        bundle(
            ONE, ONE, OTHER, ONE | {"modified": "2026-01-05T11:59:59.999Z", "pattern": "[ipv4-addr:value='9.9.9.7']"}
        ),
    ],
)
@pytest.mark.parametrize("kind", ["stix", "auto"])
def test_stix_in_all_its_wrappings(path: Path, content: str, kind: str) -> None:
    assert set(listed(read(path, content, format=kind).value)) == {"2a00::1", "9.9.9.9"}


def test_all_that_an_indicator_tells(path: Path) -> None:
    full = indicator(
        1,
        "[ipv4-addr:value = '9.9.9.0/24']",
        name="Botnet",
        description="Seen at\nmany places",
        valid_until="2026-02-01T00:00:00.25Z",
        confidence=70,
        modified="2026-01-06T00:00:00Z",
        created_by_ref="identity--1",
        object_marking_refs=[AMBER],
        indicator_types=["malicious-activity"],
        external_references=[{"source_name": "x"}, {"source_name": "y", "url": "https://example.com/1"}],
    )
    few = indicator(2, "[ipv4-addr:value = '9.9.8.8']", labels=["c2", "tor"], confidence=True, valid_until="never")
    parsed = read(path, bundle(full, few, {"type": "identity", "id": "identity--1", "name": "CERT Example"}))
    assert rows(parsed.value) == {
        "9.9.9.0/24": (
            *(1767614400, 1769904001, 70),
            {
                "id": full["id"],
                "first_seen": 1767614400,
                "modified_at": 1767657600,
                "provider": "identity--1",
                "description": "Botnet: Seen at many places",
                "markings": [AMBER],
                "reference": "https://example.com/1",
            },
        ),
        "9.9.8.8": (1767614400, NEVER_ENDS, -1, {"id": few["id"], **NOTED, "description": "c2, tor"}),
    }
    assert parsed.value.refs == {"identity--1": "CERT Example"}


def test_revoked_and_superseded_indicators_are_none(path: Path) -> None:
    gone = ONE | {"revoked": True, "modified": "2026-01-05T12:00:00.001Z", "pattern": "[file:name = 'x']"}
    back = OTHER | {"modified": "2026-01-05T12:00:00.002Z", "pattern": "[ipv6-addr:value = '2a00::2']"}
    late = OTHER | {"revoked": True, "modified": "2026-01-05T12:00:00.001Z"}
    parsed = read(path, bundle(gone, ONE, OTHER, back, late))
    assert (listed(parsed.value), parsed.skipped) == (["2a00::2"], 0)


def test_indicators_that_flows_cannot_show_are_counted(path: Path) -> None:
    parsed = read(
        path,
        bundle(
            ONE,
            indicator(3, "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']"),
            indicator(4, "alert tcp any any", pattern_type="snort"),
            indicator(5, "[ipv4-addr:value = '9.9.9.8']", valid_until="2026-01-05T12:00:00Z"),
            indicator(6, "[ipv4-addr:value = '10.0.0.1']"),
            indicator(7, "x") | {"pattern": None},
            {"type": "malware", "id": "malware--1"},
        ),
    )
    assert (listed(parsed.value), parsed.skipped) == (["9.9.9.9"], 5)
    assert parsed.examples[0] == (
        "object 2: \"[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']\" is not about an address alone"
    )


PATTERNS: dict[str, list[str]] = {
    "[ipv4-addr:value = '1.2.3.4']": ["1.2.3.4"],
    "[ipv4-addr:value='1.2.3.4']": ["1.2.3.4"],
    " [ ipv6-addr:value = '2a00::1' ] ": ["2a00::1"],
    "[ipv4-addr:value = '1.2.3.0/24']": ["1.2.3.0/24"],
    "[ipv4-addr:value IN ('1.2.3.4', '1.2.3.5')]": ["1.2.3.4", "1.2.3.5"],
    "[ipv4-addr:value ISSUBSET '1.2.0.0/16']": ["1.2.0.0/16"],
    "[ipv4-addr:value = '1.2.3.4' OR ipv4-addr:value = '1.2.3.5']": ["1.2.3.4", "1.2.3.5"],
    "[ipv4-addr:value = '1.2.3.4'] OR [ipv6-addr:value = '2a00::1']": ["1.2.3.4", "2a00::1"],
    "[ipv4-addr:value = '1.2.3.4' OR domain-name:value = 'x.example']": ["1.2.3.4"],
    "([ipv4-addr:value = '1.2.3.4'] OR ([ipv4-addr:value = '1.2.3.5']))": ["1.2.3.4", "1.2.3.5"],
    "[(ipv4-addr:value = '1.2.3.4' OR ipv4-addr:value = '1.2.3.5')]": ["1.2.3.4", "1.2.3.5"],
    "[network-traffic:dst_ref.value = '1.2.3.4']": ["1.2.3.4"],
    "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '1.2.3.4']": ["1.2.3.4"],
    "[network-traffic:src_ref.value = '1.2.3.4' AND network-traffic:src_ref.type = 'ipv4-addr']": ["1.2.3.4"],
    "[network-traffic:dst_ref.value = '1.2.3.4' AND network-traffic:dst_port = 443]": [],
    "[ipv4-addr:value = '1.2.3.4' AND domain-name:value = 'x.example']": [],
    "[ipv4-addr:value = '1.2.3.4' AND file:name = 'a' OR ipv4-addr:value = '1.2.3.5']": ["1.2.3.5"],
    "[ipv4-addr:value = '1.2.3.4'] AND [ipv4-addr:value = '1.2.3.5']": [],
    "[ipv4-addr:value = '1.2.3.4'] FOLLOWEDBY [ipv4-addr:value = '1.2.3.5']": [],
    "[ipv4-addr:value = '1.2.3.4'] REPEATS 5 TIMES WITHIN 60 SECONDS": [],
    "[ipv4-addr:value = '1.2.3.4'] START t'2026-01-01T00:00:00Z' STOP t'2026-02-01T00:00:00Z' OR "
    "[ipv4-addr:value = '1.2.3.5']": ["1.2.3.5"],
    "[NOT ipv4-addr:value = '1.2.3.4']": [],
    "[ipv4-addr:value NOT = '1.2.3.4']": [],
    "[ipv4-addr:value != '1.2.3.4']": [],
    "[ipv4-addr:value LIKE '1.2.3.%']": [],
    "[ipv4-addr:value ISSUPERSET '1.2.3.0/24']": [],
    "[ipv4-addr:value = '1.2.3.4\\'']": [],
    "[ipv4-addr:value = 'no address']": [],
    "[domain-name:value = 'x'] OR [domain-name:resolves_to_refs[*].value = '1.2.3.4']": [],
    "[network-traffic:dst_ref.type = 'ipv4-addr']": [],
    "[file:created = t'2026-01-01T00:00:00Z' OR ipv4-addr:value = '1.2.3.4']": ["1.2.3.4"],
    "[ipv4-addr:value = '1.2.3.4'": [],
    "[ipv4-addr:value = '1.2.3.4']]": [],
    "[ipv4-addr:value '1.2.3.4']": [],
    "[ipv4-addr:value IN ('1.2.3.4'": [],
    "[ipv4-addr:value = '1.2.3.4": [],
    "[]": [],
    "": [],
    "1.2.3.4": [],
    "(" * 1000 + "[ipv4-addr:value = '1.2.3.4']" + ")" * 1000: [],
    "[ipv4-addr:value = '1.2.3.4']" + " " * LONGEST: [],
}


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS.items(), ids=[each[:90] for each in PATTERNS])
def test_patterns(pattern: str, expected: list[str]) -> None:
    assert [plainly(key, bits) for key, bits in networks_of_pattern(pattern)] == expected


@given(st.text(alphabet="[]()'\\ =ORANDTipv4-addr:value1.2,", max_size=60))
def test_a_pattern_of_any_text_is_read_or_not(pattern: str) -> None:
    assert all(0 <= bits <= 128 for _, bits in networks_of_pattern(pattern))


HTML = "<!DOCTYPE html><html><body>Please log in, 9.9.9.9</body></html>"
BROKEN: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "a web page": (HTML, {}, "is a web page or XML, not a list: it begins with '<!DOCTYPE html><html><body>"),
    "a web page behind blanks": ("\ufeff \n<html>", {"format": "plain"}, "is a web page or XML"),
    "nothing": ("", {}, "is empty; expected a list of addresses"),
    "blanks": (" \r\n\n", {}, "is empty"),
    "comments only": ("# nothing today\n", {}, "has no address or network$"),
    "host names only": ("a.example\nb.example\n", {}, "network; 2 entries were skipped, such as line 1"),
    "private only": ("10.0.0.1\n", {}, "network; 1 entries were skipped, such as line 1: '10.0.0.1'"),
    "binary": (b"\x1f\x8b\x08\x00\x00\x00", {}, "is no text but something binary"),
    "not CSV": ("# ip\n# x\n", {"format": "csv"}, "expected CSV, and there are only comments"),
    "another column": ("ip,b\n9.9.9.9,x\n", {"column": "c"}, "no column 'c': its columns are ip, b; expected"),
    "a number too high": ("9.9.9.9,x\n", {"column": "3"}, "has no column '3': it names none; .*its number from 1 to 2"),
    "no addresses in columns": ("a,b\nx,y\nz,w\n", {}, r"no column of addresses or networks \(a, b\)"),
    "lines for STIX": (
        "9.9.9.9\n",
        {"format": "stix"},
        "expected STIX 2.1, which is JSON, and it begins with '9.9.9.9'",
    ),
    "STIX for lines": (bundle(ONE), {"format": "plain"}, r"expected a list of lines \(plain\), and it is JSON"),
    "STIX that breaks off": (bundle(ONE, OTHER)[:-5], {}, "is no JSON, or breaks off"),
    "STIX with a fault": (bundle(ONE).replace('"created"', "created"), {}, "is no JSON, or breaks off"),
    "a line that breaks off": (json.dumps(ONE) + "\n" + json.dumps(OTHER)[:-5], {}, "is no JSON, or breaks off"),
    "an empty bundle": (bundle(), {}, "has no objects; expected a STIX 2.1 bundle"),
    "some other JSON": ('{"a": {"objects": [1]}}', {}, "has no address or network$"),
    "a bundle without addresses": (
        bundle(indicator(1, "[file:name = 'x']")),
        {},
        "no address or network; 1 entries .* object 1",
    ),
    "all revoked": (bundle(ONE | {"revoked": True}), {}, "has no address or network$"),
    "deeper than anything": ('{"objects": [' + "[" * 100_000, {}, "is no JSON, or breaks off, behind 0 objects"),
    "deeper than anything with names": ('{"a":' * 100_000, {}, "is no JSON, or breaks off, behind 0 objects"),
    "a name that is none": ("{1: 2}", {}, "is no JSON"),
    "a comma too many": (bundle(ONE).replace("}]", "},]"), {}, "is no JSON, or breaks off, behind 1 objects"),
    "something behind it": (bundle(ONE) + "x", {}, "is no JSON, or breaks off, behind 1 objects"),
    "a number too long for Python": ('{"objects": [' + "1" * 5000 + "]}", {}, "is no JSON"),
}


@pytest.mark.parametrize(("content", "options", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_used(path: Path, content: str | bytes, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(FeedError, match=problem):
        read(path, content, **options)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be read: No such file"):
        read_indicators(path, settings())


def test_an_object_without_end_is_not_read_to_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indicator_json, "LARGEST", 200_000)
    with pytest.raises(FeedError, match="has a value of more than 200,000 characters, behind 1 objects"):
        read(path, bundle(ONE, indicator(2, "x" * 600_000)))
    with pytest.raises(FeedError, match="has an object of more than 200,000 characters"):
        read(path, json.dumps({f"x{number}": "x" * 20_000 for number in range(11)}))


def test_many_of_one_address_are_bounded_and_the_last_to_end_stay(path: Path) -> None:
    lines = [f"9.9.9.9,{day:02}.01,2026-01-{day:02}" for day in range(1, 31)]
    parsed = read(path, "\n".join(["ip,x,valid_until", *lines, "9.9.9.0/24,x,2026-01-01"]))
    columns = parsed.value.columns
    assert (len(parsed.value), columns.bits.tolist()) == (21, [120] + [128] * 20)
    assert int(columns.until[1:].min()) == 1768176000  # the 11th, and all of it


def test_each_of_many_keeps_what_is_told_of_it(path: Path) -> None:
    """More than a few blocks of details, in another order than that of the index, and some rows that are none."""
    texts = {f"{9 - number % 3}.9.{number}.9": str(number) for number in range(200)}
    lines = [f"{text},{number}" if int(number) % 7 else f"10.0.0.1,private {number}" for text, number in texts.items()]
    expected = {text: (0, NEVER_ENDS, -1, {"description": number}) for text, number in texts.items() if int(number) % 7}
    assert rows(read(path, "\n".join(["ip,comment", *lines])).value) == expected


def test_stix_indicators_without_an_end_end_by_when_they_were_last_told(path: Path) -> None:
    objects = ONE, OTHER | {"modified": "2026-01-06T00:00:00Z"}, indicator(3, "[ipv4-addr:value = '9.9.9.7']")
    ends = bundle(*objects[:2], objects[2] | {"valid_until": "2026-03-01T00:00:00Z"})
    parsed = read(path, ends, expire_after="1d")
    assert {text: until for text, (_, until, _, _) in rows(parsed.value).items()} == {
        "9.9.9.9": 1767700800,
        "2a00::1": 1767744000,
        "9.9.9.7": 1772323200,
    }


VALUES = {
    "2026-01-05T12:00:00Z": 1767614400,
    "2026-01-05T12:00:00.999Z": 1767614400,
    "2026-01-05T13:00:00+01:00": 1767614400,
    "2026-01-05 12:00:00": 1767614400,
    "2026-01-05 12:00:00 UTC": 1767614400,
    "2026-01-05": 1767571200,
    "20260105": 1767571200,
    "1767614400": 1767614400,
    "1767614400123": 1767614400,
    1767614400: 1767614400,
    1767614400123: 1767614400,
    "9999-12-31": NEVER_ENDS,
    "1960-01-01": None,
    "yesterday": None,
    "": None,
    -1: None,
    None: None,
    True: None,
    float("nan"): None,
}


@pytest.mark.parametrize(("value", "expected"), VALUES.items())
def test_times(value: object, expected: int | None) -> None:
    assert seconds_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-05", 1767657600),
        ("2026-01-05T12:00:00.001Z", 1767614401),
        ("2026-01-05T12:00:00Z", 1767614400),
        ("9999-12-31", NEVER_ENDS),
        ("no", None),
    ],
)
def test_ends(value: str, expected: int | None) -> None:
    assert end_of(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("80", 80), (80, 80), ("80%", 80), ("0.8", 80), ("High", 85), ("none", 0), (0, 0), (1, 1), (101, None),
     ("-1", None), ("sure", None), (None, None), (True, None), ([], None)],
)  # fmt: skip
def test_confidence(value: object, expected: int | None) -> None:
    assert confidence_of(value) == expected


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_a_range_is_the_networks_that_the_standard_library_makes_of_it(one: IPv4Address, other: IPv4Address) -> None:
    first, last = sorted([one, other])
    found = [ip_network(plainly(key, bits)) for key, bits in networks_of(f"{first} - {last}")]
    assert found == list(summarize_address_range(first, last))


@given(st.text(max_size=50) | st.text(alphabet="0123456789.:/[]-abf ", max_size=30))
def test_any_text_stands_for_networks_or_for_none(text: str) -> None:
    assert all(len(key) == 16 and 0 <= bits <= 128 for key, bits in networks_of(text))


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_network_is_read_as_the_standard_library_does(address: IPv4Address, bits: int) -> None:
    ((key, length),) = networks_of(f"{address}/{bits}")
    assert (int.from_bytes(key, "big") & 0xFFFFFFFF, length) == (int(address), bits + 96)
    assert IPv4Network(f"{address}/{bits}", strict=False).prefixlen == bits


MILLION = """
import json, re, sys
from pathlib import Path
from exporter.config import ThreatFeed
from exporter.lists.indicators import read_indicators

def memory(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

settings = ThreatFeed(name="list", location="/lists/list")
before = memory("VmRSS")
parsed = read_indicators(Path(sys.argv[1]), settings)
print(json.dumps([parsed.entries, parsed.skipped, memory("VmHWM") - before]))
"""
"""What reading a list takes at its highest; getrusage would tell of the process that began this one, too."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_a_million_indicators_take_less_than_200_megabytes_to_read(path: Path) -> None:
    numbers = np.random.default_rng(7).permutation(1 << 24)[:1_000_000]
    with path.open("w") as file:
        file.write("ip,first_seen,malware\n")
        for number in numbers.tolist():
            ipv4 = f"{20 + (number >> 20)}.{number >> 12 & 255}.{number >> 4 & 255}.{number & 15}"
            address = (ipv4, f"{ipv4}/31", f"2a00:{number >> 8:x}::{number & 255:x}", ipv4)[number & 3]
            file.write(f"{address},{1_700_000_000 + number},family {number & 255}\n")
    command = [sys.executable, "-c", MILLION, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603 - our own code
    entries, skipped, grown = json.loads(answer.stdout)
    assert (entries, skipped) == (1_000_000, 0)
    assert grown < 200_000_000
