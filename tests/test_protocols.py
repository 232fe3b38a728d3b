"""Protocol names and TCP flags."""

import pytest

from exporter.protocols import PROTOCOLS, tcp_flags

IANA = {
    0: "hopopt", 1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 9: "igp", 13: "argus", 15: "xnet",
    16: "chaos", 17: "udp", 20: "hmp", 27: "rdp", 31: "mfe-nsp",
    33: "dccp", 34: "3pc", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre",
    50: "esp", 51: "ah", 55: "min-ipv4", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 62: "cftp",
    64: "sat-expak", 66: "rvd", 67: "ippc", 69: "sat-mon", 79: "wb-expak",
    80: "iso-ip", 88: "eigrp", 89: "ospfigp", 92: "mtp", 93: "ax.25", 94: "ipip", 95: "micp",
    97: "etherip", 98: "encap", 100: "gmtp", 103: "pim", 107: "a/n", 108: "ipcomp", 111: "ipx-in-ip",
    112: "vrrp", 113: "pgm", 115: "l2tp", 118: "stp", 124: "isis-over-ipv4", 127: "crudp",
    128: "sscopmce", 132: "sctp", 133: "fc", 134: "rsvp-e2e-ignore", 135: "mobility-header", 136: "udplite",
    137: "mpls-in-ip", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc", 143: "ethernet",
    144: "aggfrag", 145: "nsh", 146: "homa", 147: "bit-emu",
}  # fmt: skip
"""From IANA's "Assigned Internet Protocol Numbers", every row of the table in protocols.py more than once."""


def test_keywords() -> None:
    assert {number: PROTOCOLS[number] for number in IANA} == IANA


def test_numbers_without_a_keyword() -> None:
    assert set(range(256)) - set(PROTOCOLS) == {61, 63, 68, 99, 114, *range(148, 256)}


def test_keywords_are_distinct_and_lower_case() -> None:
    assert len(set(PROTOCOLS.values())) == len(PROTOCOLS)
    assert all(keyword == keyword.lower() for keyword in PROTOCOLS.values())


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0, []),
        (1, ["fin"]),
        (2, ["syn"]),
        (4, ["rst"]),
        (8, ["psh"]),
        (16, ["ack"]),
        (32, ["urg"]),
        (18, ["syn", "ack"]),
        (19, ["fin", "syn", "ack"]),
        (63, ["fin", "syn", "rst", "psh", "ack", "urg"]),
        (64, []),
        (255, ["fin", "syn", "rst", "psh", "ack", "urg"]),
    ],
)
def test_flags(mask: int, names: list[str]) -> None:
    assert tcp_flags(mask) == names
