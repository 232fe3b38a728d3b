"""Addresses as 128-bit keys that sort and compare: 16 bytes in network order, an IPv4 address as ::ffff:a.b.c.d.

A key is an element of a numpy array of type S16.  numpy pads with NUL and compares as unsigned bytes, so keys order as
the numbers they stand for.
"""

import socket
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.errors import InventoryError
from exporter.flow import Addresses

Keys = npt.NDArray[np.bytes_]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAPPED = 0xFFFF << 32
"""What an IPv4 address, as a number, lies above in the space of keys (RFC 4291, 2.5.5.2)."""


def keys_of(addresses: Addresses) -> Keys:
    """The key of each distinct address of a batch, in the batch's order."""
    words = addresses.words.astype(">u4")
    ipv4 = addresses.family == 4  # noqa: PLR2004 - IPv4
    words[ipv4, 3] = words[ipv4, 0]
    words[ipv4, :3] = (0, 0, 0xFFFF)
    return words.reshape(-1).view("S16")


def keys_of_texts(texts: Iterable[str]) -> Keys:
    """The key of each text; InventoryError for one that is no address."""
    return np.array([packed(text) for text in texts], dtype="S16")


def cidrs_of_texts(texts: pl.Series) -> tuple[Keys, Integers]:
    """The key and the bits of each address, or network such as 10.0.1.16/28; InventoryError for what is neither."""
    parts = texts.str.splitn("/", 2).struct
    keys = np.concatenate(
        [
            np.empty(0, "S16"),
            *(keys_of_texts(each.to_series()) for each in parts.field("field_0").to_frame().iter_slices(_SLICE)),
        ]
    )
    bits = np.full(len(texts), 128, dtype=np.int64)
    lengths = parts.field("field_1")
    for row in lengths.is_not_null().arg_true():
        bits[row] = _bits(texts[row], lengths[row])
    return keys, bits


_SLICE = 50_000
"""Texts that stand in memory as Python's own at a time."""


def _bits(text: str, length: str) -> int:
    """Bits of a network's key, from its text's length."""
    longest = 128 if ":" in text else 32
    if not length.isdecimal() or int(length) > longest:
        raise InventoryError(f"{text!r} in the inventory is no network")
    return int(length) + 128 - longest


def halves(keys: Keys) -> tuple[Integers, Integers]:
    """The first and the last 8 bytes of each key, as numbers of 64 bits: for tables, which have no such type."""
    numbers = np.frombuffer(keys.tobytes(), dtype=">i8").reshape(-1, 2).astype(np.int64)
    return numbers[:, 0], numbers[:, 1]


def joined(high: Integers, low: Integers) -> Keys:
    """The keys of such halves."""
    return np.column_stack([high, low]).astype(">i8").reshape(-1).view("S16")


def packed(text: str) -> bytes:
    """The 16 bytes of an address; InventoryError for a text that is none."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return b"\0" * 10 + b"\xff\xff" + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError) as error:
        raise InventoryError(f"{text!r} in the inventory is neither an IPv4 nor an IPv6 address") from error


def find(table: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> Integers:
    """Where each element of `wanted` stands in `table` (sorted, no repeats); -1 where it does not.

    Searches once per distinct element and in their order, which keeps a search in a large table within the caches.
    """
    distinct, inverse = np.unique(wanted, return_inverse=True)
    if not len(table):
        return np.full(len(wanted), -1, dtype=np.int64)
    position = np.searchsorted(table, distinct).astype(np.int64)
    position[position == len(table)] = 0
    position[table[position] != distinct] = -1
    return position[inverse]
