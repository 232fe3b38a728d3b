"""A database of networks in a file of the MaxMind DB format, version 2, in a private copy that nobody can change.

The file is copied because whoever renews it may write over it in place: a mapped file that becomes shorter ends the
process (SIGBUS).  The copy has no name, so it is gone with the last database that uses it.

maxminddb tells whether it is a database, and what kind.  Where addresses stand in its search tree is found here, for
all of a batch at once: as the numbers of records, so that each record is decoded once (by `mmdb_data`), and not once
for each address.  The tree's layout is that of the format's specification, version 2.0, "Binary Search Tree Section".
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO

import maxminddb
import numpy as np
import numpy.typing as npt

from exporter.addresses import Integers
from exporter.errors import FeedError
from exporter.flow import Addresses
from exporter.lists.mmdb_data import Data

LARGEST = 2 * 1024**3
"""Bytes that a file may have, so that another one that is named by mistake does not fill the disk."""

NONE = 0
"""The number of no record."""

Signature = tuple[int, int, int, int, int]
"""What tells one state of a file from another: device, inode, size, and when content and inode changed, in ns."""

_CHUNK = 1024 * 1024
_NODES = 16_384
"""Nodes that are looked at together."""
_SIZES = (24, 28, 32)
"""Bits of a value in the tree; a node has two."""
_SEPARATOR = 16
"""Bytes between the tree and the data section, from where pointers count."""

_NO_DATABASE = (maxminddb.InvalidDatabaseError, ValueError, TypeError, ArithmeticError)
"""What maxminddb raises where a file does not describe itself as one: by the types of what it says, all of these."""


@dataclass(frozen=True)
class _Tree:
    """The search tree of a database: `words` has the 4 bytes from each byte of the file on, as a number.

    A value below `nodes` is another node, `nodes` itself is nothing, and one above is the number of a record.
    `version` is 4 or 6.
    """

    words: npt.NDArray[np.uint32]
    nodes: int
    bits: int
    version: int

    @cached_property
    def start(self) -> int:
        """Where IPv4 addresses begin: in a tree for IPv6 after 96 bits that are 0."""
        zeros = np.zeros((1, 3), dtype=np.uint32)
        return int(self._walked(zeros, 0)[0]) if self.version == 6 else 0  # noqa: PLR2004 - the version of IP

    def numbers(self, addresses: Addresses, rows: Integers) -> Integers:
        """The number of the record for each of these rows; NONE where there is none."""
        found = np.full(len(rows), NONE, dtype=np.int64)
        families = addresses.family[rows]
        for family, words, start in ((4, 1, self.start), (6, 4, 0)):
            which = np.flatnonzero(families == family)
            if len(which) and family <= self.version:
                found[which] = self._walked(addresses.words[rows[which], :words], start)
        return np.where(found > self.nodes, found, NONE)

    @property
    def size(self) -> int:
        """Bytes of the tree."""
        return self.nodes * self.bits // 4

    def in_order(self) -> Iterator[int]:
        """The numbers of records, one or several times each."""
        for first in range(0, self.nodes, _NODES):
            node = np.arange(first, min(first + _NODES, self.nodes)).repeat(2)
            found = self._below(node, np.arange(len(node)) % 2)
            yield from found[found > self.nodes].tolist()

    def _walked(self, words: npt.NDArray[np.uint32], start: int) -> Integers:
        """Where the bits of each row of `words` (the first word first) lead to from `start`."""
        node = np.full(len(words), start, dtype=np.int64)
        under_way = np.arange(len(words) if start < self.nodes else 0)
        for depth in range(32 * words.shape[1]):
            bit = words[under_way, depth // 32] >> np.uint32(31 - depth % 32) & np.uint32(1)
            node[under_way] = below = self._below(node[under_way], bit.astype(np.int64))
            under_way = under_way[below < self.nodes]
            if not len(under_way):
                break
        return node

    def _below(self, node: Integers, bit: Integers) -> Integers:
        """The values of nodes for a bit: two of 24 or 32 bits; or two of 28 whose highest 4 share the middle byte."""
        word: Integers = self.words[node * (self.bits // 4) + bit * (self.bits // 8)].astype(np.int64)
        if self.bits != 28:  # noqa: PLR2004 - a size
            return word >> 32 - self.bits
        return np.where(bit, word & 0x0FFF_FFFF, (word & 0xF0) << 20 | word >> 8)


@dataclass(frozen=True, slots=True)
class Database:
    """An open database: which state of the file it is, what the file says that it is, and its content."""

    signature: Signature
    kind: str
    _tree: _Tree
    _data: Data

    def numbers(self, addresses: Addresses, rows: Integers) -> Integers:
        """The number of the record of each of these rows of `addresses`; NONE where it has none.

        Addresses of the same number have the same record.  Costs less than 1 us an IPv4 address.
        """
        return self._tree.numbers(addresses, rows)

    def record(self, number: int) -> object:
        """What is wanted of the record of this number; FeedError where it is damaged."""
        return self._data.value(self._tree.size + number - self._tree.nodes)

    def first_numbers(self) -> Iterator[int]:
        """The numbers of its records, in the order of the tree."""
        return self._tree.in_order()


def signature(path: Path) -> Signature:
    """That of the file there; FeedError where there is no file, or one too large."""
    try:
        found = path.stat()
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise FeedError(f"{path}: expected a file, found {'a folder' if stat.S_ISDIR(found.st_mode) else 'none'}")
    if found.st_size > LARGEST:
        raise FeedError(f"{path}: has {found.st_size:,} bytes; expected a database of at most {LARGEST:,}")
    return _signature(found)


def _signature(found: os.stat_result) -> Signature:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def opened(path: Path, spool: Path | None, wanted: frozenset[str]) -> Database:
    """The database in a file, copied into the folder `spool` (None: the system's for temporary files).

    `wanted` are the keys in maps whose values count.  FeedError where it cannot be read or copied, is no such database,
    is one that breaks off, or changes meanwhile.
    """
    seen = signature(path)
    try:
        with tempfile.TemporaryFile(dir=spool) as copy:
            with path.open("rb") as file:
                _copy(file, copy)
                if _signature(os.fstat(file.fileno())) != seen:
                    raise FeedError(f"{path}: was changed while it was read; it will be read again")
            return _mapped(copy, seen, wanted)
    except OSError as error:
        where = f" into {spool}" if spool else ""
        raise FeedError(f"{path}: cannot be copied{where}: {error.strerror or error}") from error
    except _NO_DATABASE as error:
        raise FeedError(f"{path}: {_wrong(path)}") from error


def _copy(file: BinaryIO, copy: BinaryIO) -> None:
    """At most LARGEST bytes, and one: a file that grows meanwhile is another one afterwards."""
    left = LARGEST + 1
    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
        copy.write(chunk)
        left -= len(chunk)
    copy.flush()


def _mapped(copy: BinaryIO, seen: Signature, wanted: frozenset[str]) -> Database:
    """The database in a file without a name; /dev/fd is its way in for a library that wants one."""
    with maxminddb.open_database(f"/dev/fd/{copy.fileno()}", maxminddb.MODE_MMAP) as reader:
        about = reader.metadata()
    content = mmap(copy.fileno(), 0, access=ACCESS_READ)
    numbers = (about.node_count, about.record_size, about.ip_version)
    whole = all(isinstance(number, int) for number in numbers)
    if not whole or about.record_size not in _SIZES or about.ip_version not in (4, 6) or about.node_count < 1:
        raise ValueError(f"it describes itself by {numbers}: nodes, bits, and version of IP")
    words = np.ndarray(len(content) - 3, dtype=">u4", buffer=content, strides=(1,))
    tree = _Tree(words, about.node_count, about.record_size, about.ip_version)
    return Database(seen, str(about.database_type), tree, Data(content, tree.size + _SEPARATOR, wanted))


def _wrong(path: Path) -> str:
    """What is wrong with a file that is no database, in the words of who has to do something about it."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        start = b""
    if start == b"\x1f\x8b":
        return "is compressed; expected the .mmdb file in it: unpack it first"
    return "is no whole database of the MaxMind DB format (.mmdb); has all of it been downloaded?"
