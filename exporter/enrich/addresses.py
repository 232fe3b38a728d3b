"""Addresses as 128-bit keys that sort and compare: 16 bytes in network order, an IPv4 address as ::ffff:a.b.c.d.

A key is an element of a numpy array of type S16.  numpy pads with NUL and compares as unsigned bytes, so keys order as
the numbers they stand for.
"""

import socket
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

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
