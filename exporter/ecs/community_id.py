"""Community ID v1, seed 0, of every record at once.

Source: the Community ID specification 1.0 and its reference implementation (Python package communityid), whose ICMP
rules mirror Zeek's: a record's ports are type and code; a type with a counterpart (echo and its reply) is ordered as a
port would be, any other message is one-way.  Protocols without ports are hashed without them.
"""

import base64

import numpy as np
import numpy.typing as npt
import polars as pl

from exporter.ecs import sha1
from exporter.flow import Addresses

_ICMP, _ICMP6 = 1, 58
_PORTED = (_ICMP, 6, 17, _ICMP6, 132)
_COUNTERPARTS = {
    _ICMP: ((0, 8), (9, 10), (13, 14), (15, 16), (17, 18)),
    _ICMP6: ((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)),
}
_HAS_PORTS = np.isin(np.arange(256), _PORTED)
_BLOCK_WORDS = 16
_LAST_WORD = 15
_PAD = np.uint32(0x80000000)
_HALF = np.uint32(16)
_TEXT = 30
"""Characters of an ID: `1:` and the base64 text of 20 bytes."""

Rows = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.uint32]
NEEDED = ("srcaddr", "dstaddr", "srcport", "dstport", "protocol")


def community_ids(frame: pl.DataFrame, addresses: Addresses) -> pl.Series:
    """One `1:…` a record; null where the address families differ or an address or the protocol is missing.

    It is null also where a port is missing and the protocol has ports.
    """
    unknown = pl.Series([None], dtype=pl.UInt16).new_from_index(0, frame.height)
    columns = [frame.get_column(name, default=unknown) for name in NEEDED]
    if not len(addresses.family):
        return unknown.cast(pl.String)
    source, target, sport, dport, protocol = (_numbers(column) for column in columns)
    families = addresses.family[source]
    families[_missing(columns, protocol) | (families != addresses.family[target])] = 0
    parts = []
    for family, words in ((4, 1), (6, 4)):
        rows = _where(families == family)
        if rows is not None:
            ends = (addresses.words[source[rows], :words], addresses.words[target[rows], :words])
            digests = sha1.digests(_blocks(*ends, sport[rows], dport[rows], protocol[rows]))
            parts.append((rows, _base64(digests)))
    return _gathered(parts, frame.height)


def _missing(columns: list[pl.Series], protocol: Numbers) -> npt.NDArray[np.bool_]:
    """Which records lack something of NEEDED that their protocol needs."""
    source, target, sport, dport, number = (column.is_null().to_numpy() for column in columns)
    missing: npt.NDArray[np.bool_] = source | target | number | ((sport | dport) & _HAS_PORTS[protocol])
    return missing


def _numbers(column: pl.Series) -> Numbers:
    numbers = column.to_physical() if isinstance(column.dtype, pl.Categorical) else column
    return numbers.fill_null(0).to_numpy().astype(np.uint32)


def _where(mask: npt.NDArray[np.bool_]) -> Rows | slice | None:
    """The rows of a mask: a slice where that is all of them, None where there are none."""
    if mask.all():
        return slice(None)
    return np.flatnonzero(mask) if mask.any() else None


def _gathered(parts: list[tuple[Rows | slice, npt.NDArray[np.uint8]]], height: int) -> pl.Series:
    """The texts in their rows, null in all others."""
    if len(parts) == 1 and isinstance(parts[0][0], slice):
        return _strings(parts[0][1])
    text = np.full((height, _TEXT), ord(" "), np.uint8)
    known = np.zeros(height, bool)
    for rows, ids in parts:
        text[rows], known[rows] = ids, True
    return pl.select(pl.when(pl.lit(pl.Series(known))).then(pl.lit(_strings(text)))).to_series()


def _strings(text: npt.NDArray[np.uint8]) -> pl.Series:
    return pl.Series(text, dtype=pl.Array(pl.UInt8, _TEXT)).cast(pl.List(pl.UInt8)).cast(pl.Binary).cast(pl.String)


def _blocks(source: Numbers, target: Numbers, sport: Numbers, dport: Numbers, protocol: Numbers) -> Numbers:
    """The padded messages, shape (16, n): seed, lower end, upper end, protocol, a zero, and the ports in that order."""
    one_way = np.zeros(len(sport), bool)
    for number, pairs in _COUNTERPARTS.items():
        dport = _counterpart(protocol == number, pairs, sport, dport, one_way)
    swapped = _greater(source, sport, target, dport) & ~one_way
    low = [np.where(swapped, target[:, word], source[:, word]) for word in range(source.shape[1])]
    high = [np.where(swapped, source[:, word], target[:, word]) for word in range(source.shape[1])]
    ports = np.where(swapped, dport << _HALF | sport, sport << _HALF | dport)
    ported = _HAS_PORTS[protocol]
    message = _halfwords([*low, *high], protocol)
    length = len(message)
    block = np.zeros((_BLOCK_WORDS, len(sport)), np.uint32)
    block[:length] = message
    block[length] = np.where(ported, ports, _PAD)
    block[length + 1] = np.where(ported, _PAD, np.uint32(0))
    block[_LAST_WORD] = np.where(ported, np.uint32(32 * length + 32), np.uint32(32 * length))
    return block


def _counterpart(
    icmp: npt.NDArray[np.bool_],
    pairs: tuple[tuple[int, int], ...],
    kind: Numbers,
    code: Numbers,
    one_way: npt.NDArray[np.bool_],
) -> Numbers:
    """The second port of ICMP records: the answering type where there is one; `one_way` is set where there is none."""
    if not icmp.any():
        return code
    answers = {asked: answer for pair in pairs for asked, answer in (pair, pair[::-1])}
    table = np.full(1 << 16, -1, np.int64)
    table[list(answers)] = list(answers.values())
    answer = table[kind]
    one_way |= icmp & (answer < 0)
    return np.where(icmp & (answer >= 0), answer, code).astype(np.uint32)


def _greater(source: Numbers, sport: Numbers, target: Numbers, dport: Numbers) -> npt.NDArray[np.bool_]:
    """Whether the source end sorts after the target: by address, the ports deciding between equal ones."""
    greater = sport > dport
    for word in reversed(range(source.shape[1])):
        left, right = source[:, word], target[:, word]
        greater = (left > right) | ((left == right) & greater)
    return greater


def _halfwords(words: list[Numbers], protocol: Numbers) -> list[Numbers]:
    """The words moved on by the two bytes of the seed, protocol and padding filling up the last one."""
    before = np.zeros_like(protocol)
    moved = []
    for word in words:
        moved.append(before << _HALF | word >> _HALF)
        before = word
    return [*moved, before << _HALF | protocol << np.uint32(8)]


def _base64(digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Each digest as its ID: 21 bytes of base64 need no padding, so all digests are encoded as one text."""
    padded = np.zeros((len(digests), 21), np.uint8)
    padded[:, :20] = digests
    text = np.empty((len(digests), _TEXT), np.uint8)
    text[:, 0], text[:, 1] = ord("1"), ord(":")
    text[:, 2:] = np.frombuffer(base64.b64encode(padded.tobytes()), np.uint8).reshape(-1, 28)
    text[:, -1] = ord("=")
    return text
