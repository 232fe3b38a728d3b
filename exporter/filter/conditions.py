"""What a rule says of a field, as texts, to a test of the field's values; the same for all that are alike.

`*` alone holds where the field is there, `-` where it is not: a record itself writes `-` for what it lacks.  Else, by
the field's type:

    keyword   a text, of which each `*` stands for any characters, or none; upper and lower case differ
    ip        an address, or a network such as 10.0.0.0/8; of an IPv4 network is no IPv6 address, and none the other way
    number    443, 1000-2000 (both ends count), <1024, <=1024, >1024, >=1024
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_network
from math import inf, nextafter
from typing import Any, Literal, Self, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.flow import Addresses

Flags = npt.NDArray[np.bool_]
Table: TypeAlias = pl.Series | Addresses
"""Values of a field: Addresses of type ip, else a Series: of String for keywords, of numbers for numbers."""

Test = Callable[[Table], Flags]
Kind = Literal["keyword", "ip", "whole", "decimal"]

THERE, ABSENT = "*", "-"

LARGEST = 2**63 - 1
"""The largest number of a document's `long`."""

_IPV4 = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """One field's part of a rule: a test of its values, and what holds for any value and for none."""

    test: Test
    there: bool
    absent: bool

    def of(self, values: Table) -> Flags:
        """For each value whether it fits; null is none."""
        known = known_of(values)
        fits = known if self.there else self.test(values) & known
        return fits | ~known if self.absent else fits

    def of_nothing(self) -> Self:
        """What of the condition asks for no value."""
        return replace(self, test=_never, there=False)

    def of_a_value(self) -> Self:
        """What of the condition asks for a value."""
        return replace(self, absent=False)


def condition(kind: Kind, texts: Sequence[str], among: Sequence[str] = ()) -> Condition:
    """What fits one of the texts; ValueError says what one of them was expected to be, and does not repeat it.

    `among` are all the keywords that the field can have, where these are few.
    """
    left = [text for text in texts if text not in (THERE, ABSENT)]
    if kind == "keyword":
        test: Test = Keywords.of(left, among)
    elif kind == "ip":
        test = Networks.of(left)
    else:
        test = Numbers.of(left, whole=kind == "whole")
    return Condition(test, THERE in texts, ABSENT in texts)


def known_of(values: Table) -> Flags:
    """For each value whether it is one."""
    if isinstance(values, Addresses) or not values.null_count():
        return np.ones(len(values.text if isinstance(values, Addresses) else values), dtype=bool)
    return values.is_not_null().to_numpy()


def flags_of(values: pl.Series) -> Flags:
    """Of a Series of Booleans: null is False.  What polars does by an expression is done where it has to be only."""
    return (values.fill_null(value=False) if values.null_count() else values).to_numpy()


def are(values: pl.Series, text: str) -> Flags:
    """For each text whether it is this one; a null is not."""
    return flags_of(values == text)


def _never(values: Table) -> Flags:
    return np.zeros(len(values.text if isinstance(values, Addresses) else values), dtype=bool)


# Keywords -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keywords:
    """Texts as they are, and texts with `*`, each in the pieces between its stars."""

    texts: tuple[str, ...]
    patterns: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, texts: Iterable[str], among: Sequence[str] = ()) -> Self:
        """ValueError for an empty text, and for one that none of `among` fits."""
        plain, patterns = list[str](), list[tuple[str, ...]]()
        for text in texts:
            if not text:
                raise ValueError("expected a text, * for any, or - where the field is not there; found an empty one")
            pieces = tuple(text.split("*"))
            if among and not any(matches(pieces, each) for each in among):
                raise ValueError(f"expected {' or '.join(among)}, as these are written")
            if len(pieces) > 1:
                patterns.append(pieces)
            else:
                plain.append(text)
        return cls(tuple(plain), tuple(patterns))

    def __call__(self, values: Table) -> Flags:
        """For each text whether it is one of them, or like one."""
        series = cast("pl.Series", values)
        found = np.zeros(len(series), dtype=bool)
        if len(self.texts) > _FEW:
            found |= flags_of(series.is_in(self.texts))
        else:
            for text in self.texts:
                found |= are(series, text)
        for pattern in self.patterns:
            found |= _are_like(series, pattern)
        return found


_FEW = 8
"""Texts that are compared one by one; more are looked up in a set, which costs as much as so many."""


def _are_like(series: pl.Series, pieces: Sequence[str]) -> Flags:
    """What begins and ends as a pattern does is found at once; only what may lie between is looked at one by one."""
    first, *between, last = pieces
    found = np.ones(len(series), dtype=bool)
    if first:
        found &= flags_of(series.str.starts_with(first))
    if last:
        found &= flags_of(series.str.ends_with(last))
    if not any(between) and not (first and last):
        return found
    distinct = series.filter(pl.Series(found)).unique().drop_nulls().to_list()
    return found & flags_of(series.is_in([each for each in distinct if matches(pieces, each)]))


def matches(pieces: Sequence[str], text: str) -> bool:
    """Whether a text is these pieces with anything between them; in time that grows with the text only."""
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == first
    end = len(text) - len(last)
    if not text.startswith(first) or not text.endswith(last) or end < len(first):
        return False
    place = len(first)
    for piece in pieces[1:-1]:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


# Ranges of numbers and of addresses -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges that do not meet, in their order: each from a first to a last value, both of them in it."""

    firsts: npt.NDArray[Any]
    lasts: npt.NDArray[Any]

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]], dtype: npt.DTypeLike) -> Self:
        """Of ranges that may overlap, in any order; one that ends before it begins is none."""
        merged: list[tuple[Any, Any]] = []
        for first, last in sorted(pair for pair in pairs if pair[0] <= pair[1]):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        firsts, lasts = zip(*merged, strict=True) if merged else ((), ())
        return cls(np.array(firsts, dtype=dtype), np.array(lasts, dtype=dtype))

    def hold(self, values: npt.NDArray[Any]) -> Flags:
        """For each value whether it lies in one of them."""
        if not len(self.firsts):
            return np.zeros(len(values), dtype=bool)
        if len(self.firsts) == 1:
            inside: Flags = (values >= self.firsts[0]) & (values <= self.lasts[0])
            return inside
        place = np.searchsorted(self.firsts, values, side="right") - 1
        return (place >= 0) & (values <= self.lasts[place])


@dataclass(frozen=True, slots=True)
class Networks:
    """Ranges of IPv4 addresses, as numbers of 32 bits, and of IPv6 addresses, as 16 bytes in network order."""

    ipv4: Ranges
    ipv6: Ranges

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """ValueError for a text that is neither an address nor a network."""
        ipv4, ipv6 = list[tuple[int, int]](), list[tuple[bytes, bytes]]()
        for text in texts:
            try:
                network = ip_network(text)
            except ValueError:
                raise ValueError(
                    "expected an address or a network such as 10.0.0.0/8 or fd00::/8, no bits set behind its length"
                ) from None
            first, last = network.network_address, network.broadcast_address
            if isinstance(network, IPv4Network):
                ipv4.append((int(first), int(last)))
            else:
                ipv6.append((first.packed, last.packed))
        return cls(Ranges.of(ipv4, np.uint32), Ranges.of(ipv6, "S16"))

    def __call__(self, values: Table) -> Flags:
        """For each address whether it lies in one of them."""
        addresses = cast("Addresses", values)
        found = np.zeros(len(addresses.family), dtype=bool)
        is_ipv4 = addresses.family == _IPV4
        if len(self.ipv4.firsts):
            found |= is_ipv4 & self.ipv4.hold(addresses.words[:, 0])
        if len(self.ipv6.firsts) and not is_ipv4.all():
            rows = np.flatnonzero(~is_ipv4)
            found[rows] = self.ipv6.hold(addresses.words[rows].astype(">u4").reshape(-1).view("S16"))
        return found


_NUMBER = r"[0-9]{1,19}(?:\.[0-9]{1,12})?"
_SPAN = re.compile(rf"(?:(<=?|>=?)\s*({_NUMBER})|({_NUMBER})(?:\s*-\s*({_NUMBER}))?)")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Ranges of numbers, whole ones or with decimals."""

    ranges: Ranges

    @classmethod
    def of(cls, texts: Iterable[str], *, whole: bool) -> Self:
        """ValueError for a text that is no number and no range of numbers of that kind."""
        return cls(Ranges.of([_span(text, whole=whole) for text in texts], np.int64 if whole else np.float64))

    def __call__(self, values: Table) -> Flags:
        """For each number whether it lies in one of them."""
        series = cast("pl.Series", values)
        return self.ranges.hold((series.fill_null(0) if series.null_count() else series).to_numpy())


def _span(text: str, *, whole: bool) -> tuple[float, float]:
    """A text's first and last number."""
    match = _SPAN.fullmatch(text.strip())
    found = [] if match is None else [each for each in match.groups()[1:] if each]
    if match is None or (whole and any("." in each or int(each) > LARGEST for each in found)):
        numbers = f"a whole number of at most {LARGEST}" if whole else "a number such as 0.05"
        raise ValueError(f"expected {numbers}, or a range such as 1000-2000, <1024, <=1024, >1024 or >=1024")
    first, last = (int(each) if whole else float(each) for each in (found[0], found[-1]))
    if first > last:
        raise ValueError("expected a range that goes up, such as 1000-2000")
    match match[1]:
        case "<":
            return _least(whole=whole), first - 1 if whole else nextafter(first, -inf)
        case "<=":
            return _least(whole=whole), first
        case ">":
            return (first + 1, LARGEST) if whole else (nextafter(first, inf), inf)
        case ">=":
            return first, LARGEST if whole else inf
    return first, last


def _least(*, whole: bool) -> float:
    return -LARGEST if whole else -inf
