"""What single values of threat lists mean: addresses in the spellings that people use, times, confidence, texts."""

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_network
from math import ceil

Network = tuple[bytes, int]
"""A key as in `addresses`, and how many of its 128 bits count; bits behind these may be set."""

LATEST = 2**32 - 1
"""The last second that is told apart (in 2106); as an end it means that there is none."""

_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_DEFANGED = re.compile(r"[\[({](\.|dot|:|://)[\])}]", re.IGNORECASE)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_RANGE = re.compile(r"([^\s-]+)\s*-\s*([^\s-]+)")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_A_DAY = 24 * 60 * 60
_MAPPED_PREFIX = b"\0" * 10 + b"\xff\xff"
_SINGLE = 128


def networks_of(text: str) -> list[Network]:
    """The networks that a text stands for, a single address with 128 bits; none where it is neither.

    It may be an address, a network (with a length or a netmask), a range `a - b`, an address with a port, or a URL
    whose host is an address; each may be defanged, as in 1[.]2[.]3[.]4 and hxxp://.
    """
    text = text.strip()
    if _IPV4.fullmatch(text):
        key = _key(text)
        return [(key, _SINGLE)] if key else []
    if "[" in text or "(" in text or "{" in text:
        text = _DEFANGED.sub(lambda match: "." if match[1].lower() == "dot" else match[1], text)
    if "://" in text:
        text = re.split(r"[/?#\\]", text.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
        return _single(_without_port(text))
    if "/" in text:
        return _network(text)
    if match := _RANGE.fullmatch(text):
        return _range(match[1], match[2])
    return _single(_without_port(text))


def _key(text: str) -> bytes | None:
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED_PREFIX + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):
        return None


def _without_port(text: str) -> str:
    if match := _BRACKETED.fullmatch(text):
        return match[1]
    address, colon, port = text.partition(":")
    return address if colon and port.isdecimal() and _IPV4.fullmatch(address) else text


def _single(text: str) -> list[Network]:
    key = _key(text)
    return [(key, _SINGLE)] if key else []


def _network(text: str) -> list[Network]:
    address, _, length = text.partition("/")
    key = _key(address)
    if key is None:
        return []
    longest = 128 if ":" in address else 32
    if not length.isdecimal():
        try:
            length = str(ip_network(text, strict=False).prefixlen)
        except ValueError:
            return []
    return [(key, int(length) + _SINGLE - longest)] if len(length) <= 3 and int(length) <= longest else []  # noqa: PLR2004 - three digits do


def _range(first: str, last: str) -> list[Network]:
    keys = _key(first), _key(last)
    if keys[0] is None or keys[1] is None or (":" in first) != (":" in last):
        return []
    return list(_cover(int.from_bytes(keys[0], "big"), int.from_bytes(keys[1], "big")))


def _cover(first: int, last: int) -> Iterator[Network]:
    """The fewest networks that cover a range, in order: less than twice as many as an address has bits."""
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else _SINGLE
        size = min(aligned, (last - first + 1).bit_length() - 1)
        yield first.to_bytes(16, "big"), _SINGLE - size
        first += 1 << size


def text_of(key: bytes, bits: int) -> str:
    """An address, or a network such as 1.2.3.0/24, as it is usually written."""
    mapped = key.startswith(_MAPPED_PREFIX) and bits >= 96  # noqa: PLR2004 - bits before an IPv4 address
    address = socket.inet_ntop(socket.AF_INET, key[12:]) if mapped else socket.inet_ntop(socket.AF_INET6, key)
    return address if bits == _SINGLE else f"{address}/{bits - 96 if mapped else bits}"


def moment_of(value: object) -> float | None:
    """Seconds since 1970 of an ISO 8601 time, or of a number of seconds or milliseconds; None for what is no time.

    A time without a zone is UTC.  What lies beyond LATEST is LATEST.
    """
    if isinstance(value, str):
        return _moment_of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _bounded(value / 1000 if value > LATEST else value)


def _bounded(seconds: float) -> float | None:
    return min(seconds, LATEST) if 0 < seconds < float("inf") else None


@lru_cache(maxsize=4096)
def _moment_of_text(text: str) -> float | None:
    text = text.strip()
    if text.isdecimal() and len(text) in {9, 10, 12, 13}:
        return moment_of(int(text))
    try:
        time = datetime.fromisoformat(text.removesuffix("UTC").removesuffix("GMT").rstrip())
        return _bounded((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None


def seconds_of(value: object) -> int | None:
    """Whole seconds of such a time."""
    moment = moment_of(value)
    return None if moment is None else int(moment)


def end_of(value: object) -> int | None:
    """The same of an end: a day alone is over when the day is, and a part of a second counts."""
    moment = moment_of(value)
    if moment is None:
        return None
    is_day = isinstance(value, str) and _DAY.fullmatch(value.strip())
    return min(ceil(moment) + (_A_DAY if is_day else 0), LATEST)


_ENDLESS = frozenset({"", "-", "never", "none", "null", "n/a", "na", "unknown"})
"""What lists write for an end that there is not."""


def has_end(value: object) -> bool:
    """Whether an end is told, be it one that cannot be read."""
    return value is not None and str(value).strip().lower() not in _ENDLESS


def time_of(seconds: int) -> str:
    """Seconds since 1970 as documents have times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


_CONFIDENCE = {"none": 0, "low": 15, "medium": 50, "med": 50, "moderate": 50, "high": 85}
"""Words for confidence: the middle of what STIX 2.1 (appendix A) has for each of its scale None, Low, Med, High."""


def confidence_of(value: object) -> int | None:
    """0 to 100 from such a number, from a part of 1, or from a word; None for anything else."""
    if isinstance(value, str):
        word = value.strip().lower().removesuffix("%")
        if word in _CONFIDENCE:
            return _CONFIDENCE[word]
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", word):
            return None
        value = float(word)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:  # noqa: PLR2004 - per cent
        return None
    return round(value * 100) if 0 < value < 1 else int(value)


def confidence_name(confidence: int) -> str:
    """ECS's word for it; the bounds are those of STIX 2.1's None/Low/Med/High scale (appendix A)."""
    return "None" if confidence <= 0 else "Low" if confidence < 30 else "Medium" if confidence < 70 else "High"  # noqa: PLR2004 - STIX's bounds


def clipped(value: object, longest: int) -> str:
    """A text's first characters on one line, fit for UTF-8; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    if len(value) <= longest and value.isascii() and value.isprintable():
        return value.strip()
    text = " ".join(value[: longest * 2].split())[:longest]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
