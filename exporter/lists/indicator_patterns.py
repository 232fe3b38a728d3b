"""What addresses a STIX pattern is about, by a small reader of the part of STIX 2.1's language that lists use.

Of `[ipv4-addr:value = '1.2.3.4' OR domain-name:value = 'example.com']` it is 1.2.3.4: an address that alone fulfils
the pattern.  So of what is joined by AND, negated, to follow one another or to be repeated nothing is taken, but for
`network-traffic:dst_ref.type = 'ipv4-addr'` beside an address, which says nothing new.
"""

import re
from collections.abc import Iterator

from exporter.lists.indicator_values import Network, networks_of

LONGEST = 256 * 1024
"""Characters of a pattern that is read."""

_DEEPEST = 8
_SIMPLE = re.compile(r"\[ ?ipv[46]-addr:value ?= ?'([0-9A-Fa-f.:/]+)' ?\]")
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<path>[A-Za-z0-9-]+:[A-Za-z0-9_.\[\]*'-]*[A-Za-z0-9_\]])"
    r"|(?P<word>[A-Za-z0-9_.:+-]+)|(?P<sign>!=|<>|<=|>=|==|[=<>()\[\],]))",
    re.DOTALL,
)
_ADDRESS = re.compile(r"ipv[46]-addr:value|network-traffic:(?:src|dst)_ref\.value")
_KIND = re.compile(r"network-traffic:(?:src|dst)_ref\.type")

Told = list[Network] | None
"""The networks of which an address alone fulfils an expression; None where it says only what kind of address it is."""


class _Unreadable(Exception):
    """The pattern is none, or goes beyond what is read."""


def networks_of_pattern(pattern: str) -> list[Network]:
    """All networks that fulfil it alone; none where there are none, or it cannot be read."""
    if match := _SIMPLE.fullmatch(pattern):
        return networks_of(match[1])
    if len(pattern) > LONGEST:
        return []
    try:
        return _Pattern(pattern).networks()
    except _Unreadable:
        return []


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    position, end = 0, len(pattern.rstrip())
    while position < end:
        match = _TOKEN.match(pattern, position)
        if match is None or match.lastgroup is None:
            raise _Unreadable
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()


class _Pattern:
    """One pattern, read from its first token to its last."""

    def __init__(self, pattern: str) -> None:
        self._tokens = [*_tokens(pattern), ("end", "")]
        self._next = 0

    def networks(self) -> list[Network]:
        found = self._joined(within=False, depth=0)
        if self._tokens[self._next][0] != "end":
            raise _Unreadable
        return found or []

    def _joined(self, *, within: bool, depth: int) -> Told:
        """Terms joined by OR; `within` the brackets of an observation they are comparisons, else observations."""
        if depth > _DEEPEST:
            raise _Unreadable
        told = [self._all(within=within, depth=depth)]
        while self._is("OR"):
            told.append(self._all(within=within, depth=depth))
        return told[0] if len(told) == 1 else [network for each in told for network in each or []]

    def _all(self, *, within: bool, depth: int) -> Told:
        """Terms that are to be true together: an address counts only where the others just say of which kind it is."""
        terms = [self._term(within=within, depth=depth)]
        while self._is("AND") or (not within and self._is("FOLLOWEDBY")):
            terms.append(self._term(within=within, depth=depth))
        telling = [term for term in terms if term is not None]
        return (telling[0] if len(telling) == 1 else []) if telling else None

    def _term(self, *, within: bool, depth: int) -> Told:
        if self._is("("):
            found = self._joined(within=within, depth=depth + 1)
            self._must(")")
        elif within:
            return self._comparison()
        else:
            self._must("[")
            found = self._joined(within=True, depth=depth + 1)
            self._must("]")
        return found if within else self._qualified(found)

    def _qualified(self, found: Told) -> Told:
        """An observation that is to be repeated, or to be made at some time, tells nothing by itself."""
        while self._tokens[self._next][1].upper() in {"WITHIN", "REPEATS", "START"}:
            found = []
            while self._tokens[self._next][1].upper() not in {"OR", "AND", "FOLLOWEDBY", ")", ""}:
                self._next += 1
        return found

    def _comparison(self) -> Told:
        negated = self._is("NOT")
        kind, path = self._take()
        if kind != "path":
            raise _Unreadable
        negated |= self._is("NOT")
        sign, values = self._take()[1].upper(), self._values()
        if negated:
            return []
        if _ADDRESS.fullmatch(path) and sign in {"=", "==", "IN", "ISSUBSET"}:
            return [network for value in values for network in networks_of(value)]
        says_kind = _KIND.fullmatch(path) and sign in {"=", "=="} and values in (["ipv4-addr"], ["ipv6-addr"])
        return None if says_kind else []

    def _values(self) -> list[str]:
        if not self._is("("):
            return [self._value()]
        values = [self._value()]
        while self._is(","):
            values.append(self._value())
        self._must(")")
        return values

    def _value(self) -> str:
        kind, text = self._take()
        if kind == "word" and text in {"t", "b", "h"} and self._tokens[self._next][0] == "text":
            kind, text = self._take()  # a time, or bytes: t'…', b'…', h'…'
        if kind not in {"text", "word"}:
            raise _Unreadable
        return re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "text" else text

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._next]
        if token[0] == "end":
            raise _Unreadable
        self._next += 1
        return token

    def _is(self, word: str) -> bool:
        """Takes the next token if it is this word or sign."""
        kind, text = self._tokens[self._next]
        found = kind in {"word", "sign"} and text.upper() == word
        self._next += found
        return found

    def _must(self, sign: str) -> None:
        if not self._is(sign):
            raise _Unreadable
