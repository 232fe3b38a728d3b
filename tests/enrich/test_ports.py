"""IANA's port numbers."""

import re
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest

from exporter.enrich.ports import (
    LEAST,
    LIKELY,
    NO_TRANSPORT,
    NOT_SERVERS,
    SURE,
    TRANSPORTS,
    UNTOLD,
    WHERE_SERVED,
    registry,
    services,
)

PLACES = {name: place for place, name in enumerate(TRANSPORTS)}

NAMES: dict[tuple[str, int], str | None] = {
    ("tcp", 0): None,
    ("tcp", 1): "tcpmux",
    ("tcp", 20): "ftp-data",
    ("tcp", 22): "ssh",
    ("udp", 22): "ssh",
    ("sctp", 22): "ssh",
    ("dccp", 22): None,
    ("tcp", 53): "domain",
    ("udp", 53): "domain",
    ("sctp", 53): None,
    ("tcp", 80): "http",  # and www, www-http
    ("tcp", 113): "ident",  # and auth
    ("tcp", 443): "https",
    ("udp", 443): "https",
    ("tcp", 465): "submissions",  # and urd
    ("udp", 465): "igmpv3lite",
    ("tcp", 513): "login",
    ("udp", 513): "who",
    ("tcp", 514): "shell",
    ("udp", 514): "syslog",
    ("tcp", 631): "ipp",  # and ipps
    ("udp", 1701): "l2tp",  # and l2f
    ("tcp", 1812): "radius",
    ("tcp", 3000): "hbci",
    ("tcp", 3306): "mysql",
    ("tcp", 3389): "ms-wbt-server",
    ("udp", 3478): "stun",  # and turn, stun-behavior
    ("tcp", 5432): "postgresql",
    ("tcp", 5999): "cvsup",
    ("tcp", 6000): "x11",
    ("udp", 6063): "x11",
    ("tcp", 6379): "redis",
    ("udp", 6379): None,
    ("tcp", 6667): "ircu",
    ("tcp", 9042): None,
    ("tcp", 9092): "xmlipcregsvc",
    ("tcp", 11434): "ollama",
    ("tcp", 27017): "mongodb",
    ("tcp", 33060): "mysqlx",
    ("sctp", 38412): "ng-control",
    ("udp", 44818): "ethernet-ip-2",
    ("tcp", 49150): "inspider",
    ("tcp", 49152): None,
    ("tcp", 65535): None,
}
"""As IANA's registry has them, read in 2026."""


def test_services_of_ports() -> None:
    transport = np.array([PLACES[name] for name, _ in NAMES], dtype=np.uint8)
    port = np.array([port for _, port in NAMES], dtype=np.uint16)
    found = services(transport, port)
    assert dict(zip(NAMES, found.to_list(), strict=True)) == NAMES
    assert services(np.full(len(port), NO_TRANSPORT, dtype=np.uint8), port).null_count() == len(port)


@pytest.mark.parametrize(
    ("transport", "port", "tells"),
    [
        ("tcp", 4, UNTOLD),
        ("tcp", 19, SURE),
        ("tcp", 20, UNTOLD),
        ("udp", 20, UNTOLD),
        ("tcp", 511, SURE),
        ("tcp", 512, LIKELY),
        ("udp", 514, LIKELY),
        ("dccp", 514, UNTOLD),
        ("tcp", 598, LIKELY),
        ("tcp", 600, WHERE_SERVED),
        ("tcp", 989, UNTOLD),
        ("tcp", 990, WHERE_SERVED),
        ("udp", 4789, UNTOLD),
        ("tcp", 5432, WHERE_SERVED),
        ("tcp", 9042, UNTOLD),
        ("tcp", 32767, WHERE_SERVED),
        ("tcp", 32768, UNTOLD),
        ("tcp", 33060, UNTOLD),
    ],
)
def test_what_a_port_tells(transport: str, port: int, tells: int) -> None:
    assert registry().tells[PLACES[transport], port] == tells


def test_where_ports_begin_against_which_one_tells() -> None:
    assert {what: LEAST[what] for what in (UNTOLD, SURE, LIKELY, WHERE_SERVED)} == {
        UNTOLD: 65_536,
        SURE: 1_024,
        LIKELY: 32_768,
        WHERE_SERVED: 32_768,
    }


def test_every_line_is_well_formed_and_in_order() -> None:
    lines = (resources.files("exporter.enrich") / "ports.tsv").read_text("ascii").splitlines()
    bad = [
        line
        for line in lines
        if not re.fullmatch(r"[1-9]\d*\t(tcp|udp|sctp|dccp)(,(udp|sctp|dccp))*\t[a-z0-9_-]{1,15}", line)
    ]
    assert not bad
    ports = [int(line.split("\t")[0]) for line in lines]
    assert ports == sorted(ports)
    assert ports[-1] == 49_150  # above is nobody's: RFC 6335, section 6
    assigned = [
        (port, transport)
        for line, port in zip(lines, ports, strict=True)
        for transport in line.split("\t")[1].split(",")
    ]
    assert len(assigned) == len(set(assigned)) == 11_621


def test_ports_that_are_not_servers_are_assigned() -> None:
    """Else the row is of no use."""
    assert not [
        (port, transport)
        for port, transports in NOT_SERVERS.items()
        for transport in transports
        if not registry().places[PLACES[transport], port]
    ]


def test_the_tables_are_small() -> None:
    assert registry().places.nbytes + registry().tells.nbytes < 1_100_000


def test_nothing_is_read_until_it_is_asked_for() -> None:
    script = "import exporter.enrich.clients, exporter.enrich.ports as p; print(p.registry.cache_info().currsize)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert ran.stdout == "0\n"
