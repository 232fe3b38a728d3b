"""Texts of rules to what they fit, value by value; and the same by slow references."""

from ipaddress import ip_address, ip_network
from re import DOTALL, escape, fullmatch
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.filter.columns import Coded, Plain, Several
from exporter.filter.conditions import LARGEST, Condition, Kind, condition
from exporter.flow import Addresses


def addresses(*texts: str) -> Addresses:
    """As a reader makes them."""
    words = np.zeros((len(texts), 4), dtype=np.uint32)
    for row, text in enumerate(texts):
        family = AF_INET6 if ":" in text else AF_INET
        parts = np.frombuffer(inet_pton(family, text), dtype=">u4")
        words[row, : len(parts)] = parts
    families = [6 if ":" in text else 4 for text in texts]
    return Addresses(pl.Series(texts, dtype=pl.String), np.array(families, dtype=np.uint8), words)


# Keywords -------------------------------------------------------------------------------------------------------------

WORDS = ("web", "web-1", "web-12", "Web", "a-web", "", None)


@pytest.mark.parametrize(
    ("texts", "fitting"),
    [
        (["web"], ["web"]),
        (["web", "Web", "none"], ["web", "Web"]),
        (["web*"], ["web", "web-1", "web-12"]),
        (["*web"], ["web", "a-web"]),
        (["*e*"], ["web", "web-1", "web-12", "Web", "a-web"]),
        (["w*-*2"], ["web-12"]),
        (["w*b*1"], ["web-1"]),
        (["web*b"], []),
        (["*-1*"], ["web-1", "web-12"]),
        (["**"], ["web", "web-1", "web-12", "Web", "a-web", ""]),
        (["*"], ["web", "web-1", "web-12", "Web", "a-web", ""]),
        (["-"], [None]),
        (["*", "-"], list(WORDS)),
        (["Web", "-"], ["Web", None]),
        (["web.1", "w?b", "w[e]b"], []),
        ([f"no {number}" for number in range(20)], []),
        ([*(f"no {number}" for number in range(20)), "a-web", "-"], ["a-web", None]),
    ],
)
def test_keywords(texts: list[str], fitting: list[str | None]) -> None:
    flags = condition("keyword", texts).of(pl.Series(WORDS, dtype=pl.String))
    assert [word for word, fits in zip(WORDS, flags, strict=True) if fits] == fitting


@given(st.lists(st.text("ab*", min_size=1, max_size=6), min_size=1, max_size=4), st.lists(st.text("ab\n", max_size=6)))
def test_keywords_by_regular_expressions(texts: list[str], words: list[str]) -> None:
    patterns = [".*".join(map(escape, text.split("*"))) for text in texts]
    expected = [any(fullmatch(pattern, word, DOTALL) for pattern in patterns) for word in words]
    assert condition("keyword", texts).of(pl.Series(words, dtype=pl.String)).tolist() == expected


def test_a_pattern_of_many_stars_costs_no_more_than_the_text_is_long() -> None:
    """A regular expression would go back and forth over this for years."""
    series = pl.Series(["a" * 50_000])
    assert condition("keyword", ["*".join("a" * 40) + "*b*a"]).of(series).tolist() == [False]


# Numbers --------------------------------------------------------------------------------------------------------------

NUMBERS = (0, 53, 443, 1023, 1024, 2000, 65535, LARGEST, None)


@pytest.mark.parametrize(
    ("texts", "fitting"),
    [
        (["443"], [443]),
        (["443", "53", "443"], [53, 443]),
        (["<1024"], [0, 53, 443, 1023]),
        (["<=1024"], [0, 53, 443, 1023, 1024]),
        ([">1024"], [2000, 65535, LARGEST]),
        ([">= 1024"], [1024, 2000, 65535, LARGEST]),
        (["1000-2000"], [1023, 1024, 2000]),
        (["1000 - 1100", "1050-1500", "2000"], [1023, 1024, 2000]),
        (["<0"], []),
        (["<=0"], [0]),
        ([f"{LARGEST}"], [LARGEST]),
        ([f">{LARGEST}"], []),
        (["*"], [0, 53, 443, 1023, 1024, 2000, 65535, LARGEST]),
        (["-"], [None]),
        (["-", "0-53"], [0, 53, None]),
    ],
)
@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64])
def test_whole_numbers(texts: list[str], fitting: list[int | None], dtype: type[pl.DataType]) -> None:
    flags = condition("whole", texts).of(pl.Series(NUMBERS, dtype=dtype))
    assert [number for number, fits in zip(NUMBERS, flags, strict=True) if fits] == fitting


@pytest.mark.parametrize(
    ("texts", "fitting"),
    [
        (["0.05"], [0.05]),
        (["<0.05"], [0.0, 0.01]),
        (["<=0.05"], [0.0, 0.01, 0.05]),
        ([">0.05"], [1.5]),
        ([">=0.05"], [0.05, 1.5]),
        (["0.01-1"], [0.01, 0.05]),
        (["0", "1.5"], [0.0, 1.5]),
    ],
)
def test_numbers_with_decimals(texts: list[str], fitting: list[float]) -> None:
    numbers = pl.Series([0.0, 0.01, 0.05, 1.5, None])
    flags = condition("decimal", texts).of(numbers)
    assert numbers.filter(pl.Series(flags)).to_list() == fitting


# Addresses ------------------------------------------------------------------------------------------------------------

ADDRESSES = (
    "0.0.0.0",  # noqa: S104  an address, not a place to listen
    "10.0.0.1",
    "10.255.255.255",
    "11.0.0.0",
    "255.255.255.255",
    "::",
    "::a00:1",
    "fd00::1",
    "fe80::",
)


@pytest.mark.parametrize(
    ("texts", "fitting"),
    [
        (["10.0.0.1"], ["10.0.0.1"]),
        (["10.0.0.0/8"], ["10.0.0.1", "10.255.255.255"]),
        (["10.0.0.0/8", "10.0.0.1", "fd00::/8"], ["10.0.0.1", "10.255.255.255", "fd00::1"]),
        (["0.0.0.0/0"], list(ADDRESSES[:5])),
        (["::/0"], list(ADDRESSES[5:])),
        (["::"], ["::"]),
        (["fe80:0000::0"], ["fe80::"]),
        (["*"], list(ADDRESSES)),
        (["-"], []),
        (["-", "::"], ["::"]),
    ],
)
def test_addresses(texts: list[str], fitting: list[str]) -> None:
    flags = condition("ip", texts).of(addresses(*ADDRESSES))
    assert [text for text, fits in zip(ADDRESSES, flags, strict=True) if fits] == fitting


def _networks(bits: int) -> st.SearchStrategy[str]:
    network = ip_network("0.0.0.0/0" if bits == 32 else "::/0")
    near = st.one_of(st.integers(0, 40), st.integers(2**bits - 40, 2**bits - 1), st.integers(0, 2**bits - 1))
    pairs = st.tuples(near, st.integers(0, bits))
    return pairs.map(lambda pair: f"{type(network)((pair[0], pair[1]), strict=False)}")


@given(
    st.lists(st.one_of(_networks(32), _networks(128)), max_size=6),
    st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=6),
)
def test_addresses_by_python_s_own(networks: list[str], more: list[object]) -> None:
    edges = [ip_network(text)[place] for text in networks for place in (0, -1)]
    texts = sorted({str(each) for each in (*edges, *more)})
    expected = [any(ip_address(text) in ip_network(each) for each in networks) for text in texts]
    assert condition("ip", networks).of(addresses(*texts)).tolist() == expected


# What is no condition -------------------------------------------------------------------------------------------------

NETWORK = "expected an address or a network such as 10.0.0.0/8 or fd00::/8, no bits set behind its length"
WHOLE = f"expected a whole number of at most {LARGEST}, or a range such as 1000-2000, <1024, <=1024, >1024 or >=1024"
DECIMAL = "expected a number such as 0.05, or a range such as 1000-2000, <1024, <=1024, >1024 or >=1024"


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        ("keyword", "", "expected a text, * for any, or - where the field is not there; found an empty one"),
        ("keyword", "accept", "expected ACCEPT or REJECT, as these are written"),
        ("keyword", "a*", "expected ACCEPT or REJECT, as these are written"),
        ("ip", "10.0.0.1/8", NETWORK),
        ("ip", "10.0.0", NETWORK),
        ("ip", "10.*", NETWORK),
        ("ip", "web", NETWORK),
        ("ip", "", NETWORK),
        ("whole", "https", WHOLE),
        ("whole", "1.5", WHOLE),
        ("whole", "-1", WHOLE),
        ("whole", "<", WHOLE),
        ("whole", "1 2", WHOLE),
        ("whole", "٣", WHOLE),
        ("whole", str(LARGEST + 1), WHOLE),
        ("whole", f"<{LARGEST + 1}", WHOLE),
        ("whole", "<1-2", WHOLE),
        ("whole", "2000-1000", "expected a range that goes up, such as 1000-2000"),
        ("decimal", "1e3", DECIMAL),
        ("decimal", "nan", DECIMAL),
    ],
)
def test_what_does_not_fit_the_field(kind: Kind, text: str, fault: str) -> None:
    among = ("ACCEPT", "REJECT") if kind == "keyword" and text else ()
    with pytest.raises(ValueError, match=r"^expected ") as raised:
        condition(kind, [text], among)
    assert str(raised.value) == fault


# Columns --------------------------------------------------------------------------------------------------------------


def named(*texts: str) -> Condition:
    return condition("keyword", texts)


def test_a_list_fits_where_one_of_its_values_does() -> None:
    lists = pl.Series([["syn"], ["syn", "ack"], [], None, ["fin"]], dtype=pl.List(pl.String))
    column = Coded(lists, np.array([0, 1, 2, 3, 4, 5, 1]))
    assert column.holds(named("ack", "fin")).tolist() == [False, True, False, False, True, False, True]
    assert column.holds(named("-")).tolist() == [False, False, True, True, False, True, False]
    assert column.holds(named("*")).tolist() == [True, True, False, False, True, False, True]
    assert column.holds(named("syn", "-")).tolist() == [True, True, True, True, False, True, True]
    assert column.known().tolist() == [True, True, False, False, True, False, True]


def test_of_several_columns_one_fits_and_all_are_absent() -> None:
    columns = Several((Plain(pl.Series(["a", "b", None, None])), Plain(pl.Series(["c", None, "a", None]))))
    assert columns.holds(named("a")).tolist() == [True, False, True, False]
    assert columns.holds(named("-")).tolist() == [False, False, False, True]
    assert columns.holds(named("b", "-")).tolist() == [False, True, False, True]
    assert columns.holds(named("*")).tolist() == [True, True, True, False]
