"""SHA-1 of many one-block messages, against hashlib."""

import hashlib
import random

import numpy as np
import numpy.typing as npt
import pytest

from exporter.ecs import sha1

LONGEST = 55
"""Bytes of a message that, with a bit of padding and its length, still fits into one block."""


def blocks(messages: list[bytes]) -> npt.NDArray[np.uint32]:
    """FIPS 180-4, 5.1.1: a one bit, zeros, and the length in bits in the last eight bytes; words by message."""
    padded = [
        message + b"\x80" + bytes(55 - len(message)) + (8 * len(message)).to_bytes(8, "big") for message in messages
    ]
    words = np.frombuffer(b"".join(padded), ">u4").astype(np.uint32)
    return np.ascontiguousarray(words.reshape(-1, 16).T)


def digest(message: bytes) -> bytes:
    return hashlib.sha1(message, usedforsecurity=False).digest()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),  # FIPS 180-4, the worked example
        (b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (b"The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"),
    ],
)
def test_published_digests(message: bytes, expected: str) -> None:
    assert sha1.digests(blocks([message])).tobytes().hex() == expected


def test_every_length_of_a_block() -> None:
    messages = [bytes(range(200, 200 + length)) for length in range(LONGEST + 1)]
    assert [bytes(row) for row in sha1.digests(blocks(messages))] == [digest(message) for message in messages]


@pytest.mark.parametrize("count", [16_383, 16_384, 16_385, 33_000])
def test_messages_that_go_part_by_part_keep_their_order(count: int) -> None:
    random_ = random.Random(count)  # noqa: S311 # a repeatable test
    messages = [random_.randbytes(20) for _ in range(count)]
    result = sha1.digests(blocks(messages))
    assert result.shape == (count, 20)
    assert result.tobytes() == b"".join(map(digest, messages))


def test_no_messages() -> None:
    assert sha1.digests(np.empty((16, 0), np.uint32)).shape == (0, 20)
