"""Inside or outside, address by address."""

import pytest

from exporter.enrich.locality import locality

from .cases import addresses

LOCALITIES: dict[str | None, tuple[str, ...]] = {
    "internal": (
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "fc00::",
        "fd12:3456::1",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    "external": (
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2600:1f18::5",
        "2001:db7:ffff::1",
        "3fff:1000::",
        "64:ff9b::5db8:d822",
    ),
    None: (
        "0.0.0.0",  # noqa: S104  an address, not a place to listen
        "0.255.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.255",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:ffff",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "4000::",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
}


@pytest.mark.parametrize(("text", "expected"), [(text, name) for name, texts in LOCALITIES.items() for text in texts])
def test_locality_by_the_table(text: str, expected: str | None) -> None:
    assert locality(addresses([text])).to_list() == [expected]


def test_networks_win_over_the_table() -> None:
    networks = ("54.0.0.0/24", "198.19.0.0/16", "2600:1f18:0:1::/64")
    texts = {
        "53.255.255.255": "external",
        "54.0.0.0": "internal",
        "54.0.0.255": "internal",
        "54.0.1.0": "external",
        "198.18.255.255": None,
        "198.19.0.0": "internal",
        "198.20.0.0": "external",
        "2600:1f18::ffff": "external",
        "2600:1f18:0:1::": "internal",
        "2600:1f18:0:1:ffff:ffff:ffff:ffff": "internal",
        "2600:1f18:0:2::": "external",
    }
    assert dict(zip(texts, locality(addresses(list(texts)), networks), strict=True)) == texts


def test_no_addresses() -> None:
    assert locality(addresses([])).to_list() == []
